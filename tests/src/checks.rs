//! What each stage promises, as checks that any program with a step's command line can be put to.
//!
//! A check makes real containers, looks at them from both sides and compares the machine before and
//! after. They need root and change what goes wrong, so they run in the VM only: binary `checks`.

/// The list of a stage's checks: `name "promise"` for each function, in the order of the tasks.
/// `until 2` is for a promise that a later step's own idea ends: a new root directory, say, ends
/// "the command starts in the caller's directory". `for Ada`: what ordinary users are
/// promised, and root is not. `by one`: it does not depend on who calls, so one caller is enough.
macro_rules! promises {
    (stage $stage:literal: $(
        $name:ident $(until $last:literal)? $(for $caller:ident)? $(by $once:ident)? $promise:literal
    )*) => {
        pub const CHECKS: &[super::Check] = &[$(super::Check {
            stage: $stage,
            #[allow(unused_assignments, unused_mut)]
            until: { let mut until = u8::MAX; $(until = $last;)? until },
            #[allow(unused_assignments, unused_mut)]
            only_for: { let mut caller = None; $(caller = Some(super::Caller::$caller);)? caller },
            once: !stringify!($($once)?).is_empty(),
            name: stringify!($name),
            promise: $promise,
            run: $name,
        }),*];
    };
}

pub mod draw;
pub mod engine;
pub mod failure;
pub mod fixture;
pub mod images;
pub mod machine;
pub mod podman;
pub mod refusals;
pub mod running;
pub mod samples;
pub mod setup;
pub mod terminal;
pub mod waiting;

mod stage0;
mod stage1;
mod stage10;
mod stage11;
mod stage12;
mod stage2;
mod stage3;
mod stage4;
mod stage5;
mod stage6;
mod stage7;
mod stage8;
mod stage9;

pub use engine::{Caller, Engine};
pub use failure::{Failure, Verdict};

/// One promise: made by a stage, and kept by all later ones unless `until` says otherwise.
pub struct Check {
    /// The stage that makes the promise.
    pub stage: u8,
    /// The last stage that keeps it.
    pub until: u8,
    /// Whom it is made to; None: everybody who can call the step.
    pub only_for: Option<Caller>,
    /// One caller is enough: the ordinary user, where that one can call the step.
    pub once: bool,
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

/// The checks of each stage, by what they are about. A step of steps/steps.toml whose stage has none here fails.
const STAGES: &[&[&[Check]]] = &[
    &[stage0::CHECKS],
    &[stage1::CHECKS],
    &[stage2::CHECKS],
    &[stage3::CHECKS],
    &[stage4::CHECKS],
    &[stage5::CHECKS],
    &[stage6::CHECKS],
    &stage7::CHECKS,
    &stage8::CHECKS,
    &stage9::CHECKS,
    &stage10::CHECKS,
    &stage11::CHECKS,
    &stage12::CHECKS,
];

/// All checks, in the order of the stages.
pub fn all() -> impl Iterator<Item = &'static Check> {
    STAGES.iter().copied().flatten().copied().flatten()
}

/// Whether a stage promises anything that is checked.
pub fn has_stage(stage: u8) -> bool {
    all().any(|check| check.stage == stage)
}
