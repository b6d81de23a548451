//! Layers applied to scratch directories: as root, and as an ordinary user.
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
