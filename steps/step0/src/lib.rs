//! What later steps import from this one.

pub mod exec;
