//! What later steps import from this one.

pub mod chain;
pub mod etc;
pub mod image;
pub mod images;
pub mod inventory;
pub mod layers;
pub mod names;
pub mod pull;
pub mod rmi;
pub mod sweep;
pub mod table;
pub mod unpack;
