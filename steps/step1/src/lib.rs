//! What later steps import from this one.

pub mod files;
pub mod signals;
pub mod terminal;
