//! What Slipway gains in step 12, for this step and those after it: files that stay.

pub mod copy;
pub mod detached;
pub mod mounts;
pub mod owners;
pub mod place;
pub mod shift;
pub mod spec;
pub mod unshare;
pub mod volume;
pub mod volumes;
