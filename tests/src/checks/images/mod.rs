//! Images to pull, where they come from, and what becomes of them.

pub mod archive;
pub mod home;
pub mod image;
pub mod merged;
pub mod registry;
pub mod shelf;
pub mod tokens;
pub mod tree;
pub mod umoci;

pub use archive::{Archive, Item};
pub use home::Home;
pub use image::Image;
pub use registry::Registry;
pub use shelf::Shelf;
pub use tree::Tree;
