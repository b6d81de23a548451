//! What later steps import from this one.

pub mod cgroup;
pub mod limits;
