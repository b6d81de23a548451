//! What Slipway gains in step 12, for this step and those after it: files that stay.

pub mod copy;
pub mod detached;
pub mod mounts;
pub mod place;
pub mod spec;
pub mod volume;
pub mod volumes;
