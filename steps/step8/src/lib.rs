//! What later steps import from this one.

pub mod directory;
pub mod environment;
pub mod etc;
pub mod image;
pub mod inherited;
pub mod layer;
pub mod own_file;
pub mod process;
pub mod user;
