//! What later steps import from this one.

mod calls;
pub mod confinement;
mod filter;
mod profile;
pub mod record;
mod rule;
mod seccomp;
pub mod show;
mod verdict;
mod walk;
