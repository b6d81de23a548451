//! What later steps import from this one.

pub mod digest;
pub mod layer;
pub mod manifest;
pub mod progress;
pub mod pull;
pub mod reference;
pub mod registry;
pub mod store;
pub mod unpack;
