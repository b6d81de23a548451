//! What later steps import from this one.

pub mod restrictions;
pub mod subordinate;
pub mod userns;
