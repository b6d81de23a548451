//! What later steps import from this one.

pub mod signals;
pub mod terminal;
