//! Plumbing that every step needs and that is no lesson: the command line, errors, exit statuses,
//! sizes, foreign text, locks, where files live.
//!
//! Nothing here makes a namespace, a mount, a cgroup or changes an identity: such calls stand in
//! the steps.

mod cli;
mod error;
mod execute;
mod foreign;
pub mod home;
mod lock;
pub mod size;

pub use cli::{main, note, print};
pub use error::{ENGINE_FAILED, Error, Explain};
pub use execute::{cannot_execute, not_on_path};
pub use foreign::{short, shown};
pub use lock::Lock;
