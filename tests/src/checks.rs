//! What each stage promises, as checks that any program with a step's command line can be put to.
//!
//! A check makes real containers, looks at them from both sides and compares the machine before and
//! after. They need root and change what goes wrong, so they run in the VM only: binary `checks`.

/// The list of a stage's checks: `name "promise"` for each function, in the order of the tasks.
/// `until 2` is for a promise that a later step's own idea ends: a new root directory, say, ends
/// "the command starts in the caller's directory".
macro_rules! promises {
    (stage $stage:literal: $($name:ident $(until $last:literal)? $promise:literal)*) => {
        pub const CHECKS: &[super::Check] = &[$(super::Check {
            stage: $stage,
            #[allow(unused_assignments, unused_mut)]
            until: { let mut until = u8::MAX; $(until = $last;)? until },
            name: stringify!($name),
            promise: $promise,
            run: $name,
        }),*];
    };
}

pub mod engine;
pub mod failure;
pub mod fixture;
pub mod machine;
pub mod running;
pub mod terminal;

mod stage0;
mod stage1;
mod stage2;
mod stage3;
mod stage4;

pub use engine::Engine;
pub use failure::{Failure, Verdict};

/// The newest stage that there are checks for.
pub const LAST_STAGE: u8 = 4;

/// One promise: made by a stage, and kept by all later ones unless `until` says otherwise.
pub struct Check {
    /// The stage that makes the promise.
    pub stage: u8,
    /// The last stage that keeps it.
    pub until: u8,
    /// A short name, unique among all checks.
    pub name: &'static str,
    /// The promise, as one sentence.
    pub promise: &'static str,
    /// Puts an engine to the test.
    pub run: fn(&Engine) -> Verdict,
}

impl Check {
    /// Whether `step` has to keep this promise.
    pub fn binds(&self, step: u8) -> bool {
        (self.stage..=self.until).contains(&step)
    }
}

/// All checks, in the order of the stages.
pub fn all() -> impl Iterator<Item = &'static Check> {
    [stage0::CHECKS, stage1::CHECKS, stage2::CHECKS, stage3::CHECKS, stage4::CHECKS]
        .into_iter()
        .flatten()
}
