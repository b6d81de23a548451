//! Layers applied to scratch directories: as root; or by an ordinary user, as the root of a user
//! namespace with one id. That is how the process that unpacks runs.
//!
//! Nothing here is skipped: where the two differ, the tests say what each must see.

#[path = "layer/hostile.rs"]
mod hostile;
#[path = "layer/metadata.rs"]
mod metadata;
#[path = "layer/odd.rs"]
mod odd;
#[path = "layer/replacing.rs"]
mod replacing;
#[path = "layer/scratch.rs"]
mod scratch;
#[path = "layer/whiteouts.rs"]
mod whiteouts;
#[path = "layer/writers.rs"]
mod writers;
