//! What later steps import from this one.

pub mod pid1;
pub mod rootfs;
