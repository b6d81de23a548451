//! What later steps import from this one.

pub mod digest;
pub mod index;
pub mod layer;
pub mod pull;
pub mod registry;
pub mod store;
pub mod unpack;
