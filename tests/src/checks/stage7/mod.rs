//! Stage 7: an image from a registry.

mod access;
pub mod fidelity;
mod names;
mod outside;
mod platforms;
mod pulling;
mod refused;
mod store;

use super::{Caller, Check};

/// The checks, by what they are about.
pub const CHECKS: [&[Check]; 8] = [
    pulling::CHECKS,
    names::CHECKS,
    platforms::CHECKS,
    access::CHECKS,
    store::CHECKS,
    refused::CHECKS,
    outside::CHECKS,
    fidelity::CHECKS,
];
