//! A program, and what has to come of it in the VM.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use exercises::tasks::{Exercise, Mistake};
use tests::checks;
use tests::grading::{How, run_checks};
use tests::report::{CalledBy, Plan, Report};
use tests::vm::Vm;

/// The stages whose promises the program in C keeps.
pub const IN_C: RangeInclusive<u8> = 1..=4;

/// How long a check that must fail waits for what does not come, in seconds.
const PATIENCE: u64 = 8;

/// A program to put to checks.
pub struct Case<'a> {
    pub program: PathBuf,
    pub kind: Kind<'a>,
}

/// What has to come of it.
pub enum Kind<'a> {
    /// It keeps the promises of the stages before, from `first` on, and none of its own but `given`. The
    /// lists `kept` and `own` have the first check of each task; none stands for all checks.
    Starter { step: u8, first: u8, kept: Vec<String>, own: Vec<String>, given: Vec<String> },
    /// A check fails, and the cause is recognised.
    Mistake(&'a Exercise, &'a Mistake),
    /// It keeps all promises of [`IN_C`].
    InC,
}

impl Case<'_> {
    /// One line.
    pub fn title(&self) -> String {
        match &self.kind {
            Kind::Starter { step, .. } => {
                format!("the starter of step {step} is step {} still", step - 1)
            }
            Kind::Mistake(exercise, mistake) => {
                format!("step {}: {}", exercise.step, mistake.cause.trim())
            }
            Kind::InC => format!(
                "a program in C keeps all promises of stages {} to {}",
                IN_C.start(),
                IN_C.end()
            ),
        }
    }

    /// What is not as it has to be. Without `all`, a starter is put to one check of each task, of its own
    /// and of the step before, and a mistake to the check that shows it. What the checks put in is drawn from `seed`.
    pub fn wrong(&self, vm: &mut Vm, all: bool, seed: u64) -> Result<Vec<String>> {
        vm.put(&self.program).map_err(|error| anyhow!("{error}"))?;
        let mut trial = Trial { vm, program: &self.program, seed };
        match &self.kind {
            Kind::Starter { step, first, kept, own, given } => {
                let first = if all { *first } else { step - 1 };
                let kept = if all { &[][..] } else { kept };
                let mut wrong = trial.failures(*step, first..=step - 1, kept)?;
                let own = if all { &[][..] } else { own };
                let own = trial.reports(Plan::control(*step), own, Expected::Failures)?;
                let is_given = |report: &Report| given.contains(&report.name);
                let passed =
                    own.iter().filter(|report| report.failure.is_none() && !is_given(report));
                wrong.extend(passed.map(|report| format!("passes {}", report.name)));
                Ok(wrong)
            }
            Kind::Mistake(exercise, mistake) => trial.wrong_in_mistake(exercise, mistake, all),
            Kind::InC => trial.failures(*IN_C.end(), IN_C, &[]),
        }
    }
}

/// What is to come of some checks.
#[derive(PartialEq)]
enum Expected {
    Passes,
    Failures,
    /// The first one is the answer.
    OneFailure,
}

/// A program on trial.
struct Trial<'a> {
    vm: &'a mut Vm,
    program: &'a Path,
    seed: u64,
}

impl Trial<'_> {
    /// The promises of these stages that are not kept to root, who may call every step.
    fn failures(
        &mut self,
        step: u8,
        stages: RangeInclusive<u8>,
        only: &[String],
    ) -> Result<Vec<String>> {
        let mut failures = Vec::new();
        let plans = Plan::of_stages(step, stages).into_iter();
        for plan in plans.filter(|plan| plan.called_by == CalledBy::Root) {
            for report in self.reports(plan, only, Expected::Passes)? {
                if let Some(failure) = report.failure {
                    failures.push(format!("fails {}: {}", report.name, failure.seen));
                }
            }
        }
        Ok(failures)
    }

    /// A learner is told about the first check that fails: with `all` it has to be the mistake's,
    /// otherwise the checks before it are taken for granted.
    fn wrong_in_mistake(
        &mut self,
        exercise: &Exercise,
        mistake: &Mistake,
        all: bool,
    ) -> Result<Vec<String>> {
        let check = checks::all().find(|check| check.name == mistake.check);
        let check = check.with_context(|| format!("there is no check {}", mistake.check))?;
        let step = exercise.step;
        let mut plans = Plan::of_stages(step, 0..=step).into_iter();
        let plan = plans.find(|plan| plan.has(check)).context("nobody is promised it")?;
        let in_order = exercise.tasks.iter().flat_map(|task| task.all_checks());
        let before = in_order.take_while(|name| all && *name != check.name);
        let before = before.filter(|name| mistake.also.iter().all(|also| also != name));
        let until: Vec<String> = before.chain([check.name]).map(String::from).collect();
        let reports = self.reports(plan, &until, Expected::OneFailure)?;
        let failed =
            reports.iter().find_map(|report| Some((&report.name, report.failure.as_ref()?)));
        let Some((name, failure)) = failed else {
            return Ok(vec![format!("passes {}", check.name)]);
        };
        Ok(match exercise.mistake(name, failure) {
            Some((_, found)) if found.cause == mistake.cause => vec![],
            Some((_, found)) => vec![format!("is taken for: {}", found.cause.trim())],
            None => vec![format!("is not recognised; {name} has seen: {}", failure.seen)],
        })
    }

    fn reports(&mut self, plan: Plan, only: &[String], expected: Expected) -> Result<Vec<Report>> {
        let name = self.program.file_name().context("a program has a name")?.to_string_lossy();
        let plan = Plan { program: name.into(), ..plan };
        let how = How {
            patience: (expected != Expected::Passes).then_some(PATIENCE),
            seed: Some(self.seed),
            idle: None,
            only: only.to_vec(),
            sparing: true,
            until_failure: expected == Expected::OneFailure,
            longest: None,
        };
        let mut reports = Vec::new();
        run_checks(self.vm, &[plan], &how, &mut |report| reports.push(report))
            .map_err(|error| anyhow!("{error}"))?;
        Ok(reports)
    }
}
