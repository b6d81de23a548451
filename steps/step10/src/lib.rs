//! What later steps import from this one.

pub mod capabilities;
pub mod choice;
pub mod confinement;
pub mod masks;
