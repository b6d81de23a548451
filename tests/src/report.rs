//! What a run of the checks says: which checks to put to which program, and what came of each.

use std::fmt::{self, Display};
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::checks::{Check, Failure, LAST_STAGE};

/// Which checks to put to which program. Written `PROGRAM:STEP:FIRST-LAST`.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// A name on PATH or a path.
    pub program: String,
    /// The step whose promises it has to keep.
    pub step: u8,
    /// The stages whose checks are run.
    pub stages: RangeInclusive<u8>,
}

impl Plan {
    /// All that `step` promises: its own checks and those of the stages before it.
    pub fn of_step(step: u8) -> Plan {
        Plan { program: format!("step{step}"), step, stages: 0..=step }
    }

    /// A stage's own checks on its own step.
    pub fn of_stage(stage: u8) -> Plan {
        Plan { program: format!("step{stage}"), step: stage, stages: stage..=stage }
    }

    /// The negative control of a stage: its new checks on the step before, which can't pass them.
    /// Before step 0 there is a program that does nothing.
    pub fn control(stage: u8) -> Plan {
        let before = stage.checked_sub(1);
        let program = before.map_or("/fixture/nothing".into(), |step| format!("step{step}"));
        Plan { program, step: stage, stages: stage..=stage }
    }

    /// Whether a check belongs to this plan.
    pub fn has(&self, check: &Check) -> bool {
        self.stages.contains(&check.stage) && check.binds(self.step)
    }
}

impl Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (first, last) = (self.stages.start(), self.stages.end());
        write!(f, "{}:{}:{first}-{last}", self.program, self.step)
    }
}

impl FromStr for Plan {
    type Err = String;

    fn from_str(text: &str) -> Result<Plan, String> {
        let number = |text: &str| text.parse().ok().filter(|stage| *stage <= LAST_STAGE);
        let parse = || {
            let (rest, stages) = text.rsplit_once(':')?;
            let (program, step) = rest.rsplit_once(':')?;
            let (first, last) = stages.split_once('-')?;
            let stages = number(first)?..=number(last)?;
            Some(Plan { program: program.into(), step: number(step)?, stages })
        };
        parse().ok_or(format!("{text:?} is not PROGRAM:STEP:FIRST-LAST, as in step4:4:0-4"))
    }
}

/// What came of one check.
#[derive(Debug, Serialize, Deserialize)]
pub struct Report {
    /// The plan's place among those given, from 0.
    pub plan: usize,
    pub stage: u8,
    pub name: String,
    pub promise: String,
    pub failure: Option<Failure>,
    /// What the reader is shown of it, held to by a snapshot.
    pub shown: Option<String>,
    pub seconds: f64,
}

impl Display for Report {
    /// One line if the promise was kept; otherwise what was tried, expected and seen as well.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let mark = if self.failure.is_some() { "FAIL" } else { "ok" };
        write!(f, "{mark:>4}  {}  {}", self.stage, self.promise)?;
        let Some(failure) = &self.failure else { return Ok(()) };
        write!(f, " ({})\n        tried     {}", self.name, failure.tried)?;
        write!(f, "\n        expected  {}\n        seen      {}", failure.expected, failure.seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_reads_what_it_writes() {
        for plan in [Plan::of_step(3), Plan::of_stage(4), Plan::control(0), Plan::control(2)] {
            assert_eq!(plan.to_string().parse(), Ok(plan));
        }
    }

    #[test]
    fn a_malformed_plan_is_named() {
        for text in ["", "step4", "step4:4", "step4:4:x-4", "step4:4:0-99"] {
            assert!(text.parse::<Plan>().unwrap_err().contains(text));
        }
    }
}
