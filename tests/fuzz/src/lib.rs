//! What must hold for every input that a stranger can write, one module for each kind of input.
//!
//! A target's `check` panics when it does not hold. A fuzzer makes inputs until one does that; the
//! test `seeds` gives it the inputs in `seeds/`, and with them all that a fuzzer has ever found.

pub mod challenge;
pub mod layer;
pub mod limits;
pub mod manifest;
pub mod reference;
pub mod user;

/// A property, put to the test with one input.
pub type Check = fn(&[u8]);

/// All targets, by name.
pub const TARGETS: [(&str, Check); 6] = [
    ("reference", reference::check),
    ("limits", limits::check),
    ("challenge", challenge::check),
    ("manifest", manifest::check),
    ("user", user::check),
    ("layer", layer::check),
];

/// An error's text must be one line, and not much longer than what it is about.
fn check_message(message: &str, input: &[u8]) {
    assert!(!message.is_empty() && !message.contains(['\n', '\r', '\x1b']), "{message:?}");
    // An escaped byte is at most ten characters, as \u{10ffff}.
    assert!(message.len() <= 2048 + 10 * input.len(), "{} bytes of error", message.len());
}
