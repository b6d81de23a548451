//! What a run of the checks says: which checks to put to which program, and what came of each.

use std::fmt::{self, Display};
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::checks::{Caller, Check, Failure};
use crate::steps;

/// Which checks to put to which program. Written `PROGRAM:STEP:FIRST-LAST:CALLER`.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// A name on PATH or a path.
    pub program: String,
    /// The step whose promises it has to keep.
    pub step: u8,
    /// The stages whose checks are run.
    pub stages: RangeInclusive<u8>,
    pub called_by: CalledBy,
}

/// The stages whose checks a step is put to: all up to its own, without those whose promises it keeps by the code of the
/// step before.
fn put_to(step: u8) -> Vec<RangeInclusive<u8>> {
    let same_code = &steps::step(step).same_code;
    let mut ranges: Vec<RangeInclusive<u8>> = Vec::new();
    for stage in (0..=step).filter(|stage| !same_code.contains(stage)) {
        match ranges.last_mut() {
            Some(range) if range.end() + 1 == stage => *range = *range.start()..=stage,
            _ => ranges.push(stage..=stage),
        }
    }
    ranges
}

/// Who calls the program.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum CalledBy {
    Root,
    Ada,
    /// Root, and the checks of what only an ordinary user is promised are made all the same: this
    /// is about a program that keeps none of the promises.
    Control,
}

impl CalledBy {
    const NAMES: [(CalledBy, &str); 3] =
        [(CalledBy::Root, "root"), (CalledBy::Ada, "ada"), (CalledBy::Control, "control")];

    pub fn user(self) -> Caller {
        match self {
            CalledBy::Ada => Caller::Ada,
            CalledBy::Root | CalledBy::Control => Caller::Root,
        }
    }
}

impl Plan {
    /// What `./just verify` has kept: each stage's promises by its own step, and all of them by the last step of each
    /// part. The newest steps come first.
    pub fn usual() -> Vec<Plan> {
        let of = |step: u8| {
            if steps::is_last_of_part(step) { Plan::of_step(step) } else { Plan::of_stage(step) }
        };
        (0..=steps::last()).rev().flat_map(of).collect()
    }

    /// The full matrix: all promises, by every step.
    pub fn all() -> Vec<Plan> {
        (0..=steps::last()).rev().flat_map(Plan::of_step).collect()
    }

    /// All that `step` promises: its own checks and those of the stages before it. Plans for each
    /// who can call it.
    pub fn of_step(step: u8) -> Vec<Plan> {
        let mut plans: Vec<Plan> =
            put_to(step).into_iter().flat_map(|stages| Plan::of_stages(step, stages)).collect();
        let first_for_ordinary = steps::first_for_ordinary();
        // The promises of the first stages were made to root, who alone could call these steps. That ordinary
        // users have them, too, is seen on the first step that they can call, and on the last ones.
        if step > first_for_ordinary && steps::is_last_of_part(step) {
            plans.push(Plan {
                program: format!("step{step}"),
                step,
                stages: 0..=first_for_ordinary - 1,
                called_by: CalledBy::Ada,
            });
        }
        plans
    }

    /// A stage's own checks on its own step.
    pub fn of_stage(stage: u8) -> Vec<Plan> {
        Plan::of_stages(stage, stage..=stage)
    }

    /// These stages on a step, for each who can call it.
    pub fn of_stages(step: u8, stages: RangeInclusive<u8>) -> Vec<Plan> {
        let (first, last) = (*stages.start(), *stages.end());
        let plan = |called_by, first| Plan {
            program: format!("step{step}"),
            step,
            stages: first..=last,
            called_by,
        };
        // The promises of the first stages again, for an ordinary caller: that once is enough.
        let first_for_ordinary = steps::first_for_ordinary();
        let first_for_ada =
            if step == first_for_ordinary { first } else { first.max(first_for_ordinary) };
        let has_ada = step >= first_for_ordinary && first_for_ada <= last;
        let ada = has_ada.then(|| plan(CalledBy::Ada, first_for_ada));
        ada.into_iter().chain([plan(CalledBy::Root, first)]).collect()
    }

    /// The negative control of a stage: its new checks on the step before, which can't pass them.
    /// Before step 0 there is a program that does nothing.
    pub fn control(stage: u8) -> Plan {
        let before = stage.checked_sub(1);
        let program = before.map_or("/fixture/nothing".into(), |step| format!("step{step}"));
        Plan { program, step: stage, stages: stage..=stage, called_by: CalledBy::Control }
    }

    /// The stages, the program, and who calls it, for a person.
    pub fn title(&self) -> String {
        let (first, last) = (self.stages.start(), self.stages.end());
        let stages = if first == last {
            format!("stage {first}")
        } else {
            format!("stages {first} to {last}")
        };
        match self.called_by {
            CalledBy::Ada => format!("{stages} on {} as ada", self.program),
            CalledBy::Root | CalledBy::Control => format!("{stages} on {}", self.program),
        }
    }

    /// Whether a check belongs to this plan.
    pub fn has(&self, check: &Check) -> bool {
        let made_to =
            |caller| self.called_by == CalledBy::Control || self.called_by.user() == caller;
        let promised = check.only_for.is_none_or(made_to);
        let by_ada = check.once && check.stage >= steps::first_for_ordinary();
        let left_to_ada = by_ada && self.called_by == CalledBy::Root;
        self.stages.contains(&check.stage) && check.binds(self.step) && promised && !left_to_ada
    }
}

impl Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (first, last) = (self.stages.start(), self.stages.end());
        let caller = CalledBy::NAMES.iter().find(|(by, _)| *by == self.called_by);
        let caller = caller.map_or("", |(_, name)| name);
        write!(f, "{}:{}:{first}-{last}:{caller}", self.program, self.step)
    }
}

impl FromStr for Plan {
    type Err = String;

    fn from_str(text: &str) -> Result<Plan, String> {
        let number = |text: &str| text.parse().ok().filter(|stage| *stage <= steps::last());
        let parse = || {
            let (rest, caller) = text.rsplit_once(':')?;
            let (called_by, _) = CalledBy::NAMES.into_iter().find(|(_, name)| *name == caller)?;
            let (rest, stages) = rest.rsplit_once(':')?;
            let (program, step) = rest.rsplit_once(':')?;
            let (first, last) = stages.split_once('-')?;
            let stages = number(first)?..=number(last)?;
            Some(Plan { program: program.into(), step: number(step)?, stages, called_by })
        };
        parse().ok_or(format!(
            "{text:?} is not PROGRAM:STEP:FIRST-LAST:CALLER, as in step4:4:0-4:root"
        ))
    }
}

/// What came of one check.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
        write!(f, " ({})\n{failure}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks;

    #[test]
    fn a_plan_reads_what_it_writes() {
        let some = [Plan::of_step(3), Plan::of_stage(5), vec![Plan::control(0), Plan::control(2)]];
        for plan in some.into_iter().flatten() {
            assert_eq!(plan.to_string().parse(), Ok(plan));
        }
    }

    #[test]
    fn stages_of_the_same_code_are_left_out() {
        assert_eq!(put_to(6), [0..=6]);
        assert_eq!(put_to(7), [0..=0, 7..=7]);
        assert_eq!(put_to(8), [0..=6, 8..=8]);
    }

    #[test]
    fn every_promise_is_put_to_somebody() {
        for check in checks::all() {
            let plans = Plan::of_stage(check.stage);
            assert!(plans.iter().any(|plan| plan.has(check)), "{}", check.name);
        }
    }

    /// For each promise: who it is made to, on its own step and on the last one, is in a usual run.
    #[test]
    fn a_usual_run_leaves_no_promise_out() {
        let plans = Plan::usual();
        let is_kept = |check, step, called_by| {
            let is_it = |plan: &&Plan| plan.step == step && plan.called_by == called_by;
            plans.iter().filter(is_it).any(|plan| plan.has(check))
        };
        for check in checks::all() {
            let first = |by| is_kept(check, check.stage, by);
            assert!(first(CalledBy::Root) || first(CalledBy::Ada), "{}", check.name);
            let same_code = &steps::step(steps::last()).same_code;
            if same_code.contains(&check.stage) || !check.binds(steps::last()) {
                continue;
            }
            let last = |by| is_kept(check, steps::last(), by);
            let is_promised = |caller| check.only_for.is_none_or(|only| only == caller);
            assert!(last(CalledBy::Ada) || !is_promised(Caller::Ada), "{}", check.name);
            let by_root = !check.once || check.stage < steps::first_for_ordinary();
            assert!(
                last(CalledBy::Root) || !is_promised(Caller::Root) || !by_root,
                "{}",
                check.name
            );
        }
    }

    #[test]
    fn a_malformed_plan_is_named() {
        for text in
            ["", "step4", "step4:4:0-4", "step4:4:x-4:root", "step4:4:0-99:ada", "step4:4:0-4:eve"]
        {
            assert!(text.parse::<Plan>().unwrap_err().contains(text));
        }
    }
}
