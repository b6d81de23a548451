//! What later steps import from this one.

pub mod lifeline;
pub mod pid1;
pub mod rootfs;
