//! What later steps import from this one.

pub mod handshake;
pub mod restrictions;
pub mod subordinate;
pub mod userns;
