//! Puts mutants to a stage's checks in the VM.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use exercises::numbered;
use exercises::tasks::Exercise;
use serde::{Deserialize, Serialize};
use tests::checks;
use tests::grading::{How, run_checks};
use tests::report::{CalledBy, Plan, Report};
use tests::vm::{Command, Input, Outcome, Vm};

use crate::program::Program;

/// How long a check waits for what does not come, in seconds; and with an idle machine, in milliseconds.
const PATIENCE: u64 = 8;
const IDLE: u64 = 3000;

/// A check that fails after so long, in seconds, may have been impatient: it is made again.
const SLOW: f64 = 1.0;

/// What all checks of a mutant may take. A VM that takes longer is no good any more.
const LONGEST: Duration = Duration::from_secs(600);
/// And its unit tests.
const LONGEST_TEST: Duration = Duration::from_secs(60);

/// The folder of the programs in the VM, and the name of the mutant that is on trial.
const FOLDER: &str = "/slipway/bin";
const MUTANT: &str = "mutant";
const UNIT_TESTS: &str = "unit-tests";

/// A step's mutants on trial.
pub struct Trial<'a> {
    step: u8,
    program: &'a Program,
    plans: Vec<Plan>,
    /// The checks' names, those first that have caught something last.
    names: Vec<String>,
    /// Which check has caught the last mutant of an item, and who called.
    last: HashMap<String, (String, CalledBy)>,
    vm: Option<Vm>,
    /// What has been put into it.
    there: HashSet<String>,
}

/// What came of a mutant.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub enum Found {
    /// A check has failed: which, for whom, and what it has seen.
    InVm(String),
    /// The unit tests fail.
    ByUnitTests,
    /// Nobody has noticed.
    Survived,
}

impl<'a> Trial<'a> {
    /// The checks are those that a learner's program is put to: the stage's own, and those of earlier stages that the
    /// exercise names.
    pub fn new(step: u8, exercise: Option<&Exercise>, program: &'a Program) -> Trial<'a> {
        let own = checks::all().filter(|check| check.stage == step);
        let mut names: Vec<String> = own.map(|check| check.name.to_string()).collect();
        let tasks = exercise.into_iter().flat_map(|exercise| &exercise.tasks);
        names.extend(tasks.flat_map(|task| task.keeps.iter().cloned()));
        let plans = Plan::of_stages(step, 0..=step);
        Trial { step, program, plans, names, last: HashMap::new(), vm: None, there: HashSet::new() }
    }

    /// Requires that the step without a change passes.
    pub fn right_one(&mut self) -> Result<()> {
        let found = self.put(0, "")?;
        ensure!(found == Found::Survived, "the step itself fails: {found:?}");
        Ok(())
    }

    /// Puts the mutant of this number to the checks, those first that have caught one of the same item.
    pub fn put(&mut self, number: usize, item: &str) -> Result<Found> {
        if self.fails_unit_tests(number)? {
            return Ok(Found::ByUnitTests);
        }
        // What fails for no reason in a machine of its own, too, proves nothing: the others may.
        let (mut fresh, mut in_doubt) = (false, Vec::new());
        loop {
            let (report, by) = match self.attempt(number, item, &in_doubt) {
                Ok(None) => return Ok(Found::Survived),
                Ok(Some(failed)) => failed,
                Err(error) if fresh => return self.without_vm(&error),
                Err(_) => {
                    (self.vm, fresh) = (None, true);
                    continue;
                }
            };
            if !self.is_proof(number, &report, by, fresh) {
                if fresh {
                    println!("  in doubt  {}: {}", report.name, seen(&report));
                    in_doubt.push(report.name);
                }
                (self.vm, fresh) = (None, true);
                continue;
            }
            self.last.insert(item.into(), (report.name.clone(), by));
            let by = if by == CalledBy::Ada { " (ada)" } else { "" };
            return Ok(Found::InVm(format!("{}{by}: {}", report.name, seen(&report))));
        }
    }

    /// Whether a check fails because of the mutant. A busy machine may be to blame, or a mutant before this one. Where
    /// there was none, this one may have spoiled the machine: then the step passes in another.
    fn is_proof(&mut self, number: usize, report: &Report, by: CalledBy, fresh: bool) -> bool {
        if report.seconds >= SLOW && !self.fails(&report.name, by, MUTANT).unwrap_or(false) {
            return false;
        }
        let step = format!("step{}", self.step);
        let passes = |trial: &mut Trial| !trial.fails(&report.name, by, &step).unwrap_or(true);
        if number == 0 || passes(self) {
            return true;
        }
        self.vm = None;
        fresh && self.start_vm().is_ok() && passes(self)
    }

    /// What came of a mutant that makes an end of the VM: the step itself must not.
    fn without_vm(&mut self, error: &anyhow::Error) -> Result<Found> {
        self.vm = None;
        self.start_vm()?;
        let (plans, names) = (self.plans.clone(), self.names.clone());
        let step = format!("step{}", self.step);
        let failed = self.first_failure(&plans, &names, &step).context("nor the step itself")?;
        ensure!(failed.is_none(), "{error}; and the step itself fails: {failed:?}");
        Ok(Found::InVm(format!("the VM does not survive it: {error}")))
    }

    /// The first check that fails.
    fn attempt(
        &mut self,
        number: usize,
        item: &str,
        in_doubt: &[String],
    ) -> Result<Option<(Report, CalledBy)>> {
        self.prepare(MUTANT, &self.program.bytes, &self.program.digits, number)?;
        let last = self.last.get(item).cloned();
        if let Some((name, _)) = &last {
            self.names.sort_by_key(|other| other != name);
        }
        let mut plans = self.plans.clone();
        plans.sort_by_key(|plan| last.as_ref().is_none_or(|(_, by)| plan.called_by != *by));
        let mut names = self.names.clone();
        names.retain(|name| !in_doubt.contains(name));
        self.first_failure(&plans, &names, MUTANT)
    }

    /// Whether this check fails for a program.
    fn fails(&mut self, name: &str, by: CalledBy, program: &str) -> Result<bool> {
        let mut plans = self.plans.clone();
        plans.retain(|plan| plan.called_by == by);
        Ok(self.first_failure(&plans, &[name.to_string()], program)?.is_some())
    }

    fn first_failure(
        &mut self,
        plans: &[Plan],
        only: &[String],
        program: &str,
    ) -> Result<Option<(Report, CalledBy)>> {
        let mut plans = plans.to_vec();
        for plan in &mut plans {
            plan.program = program.into();
        }
        let is_wanted = |name: &str| only.iter().any(|wanted| wanted == name);
        plans.retain(|plan| checks::all().any(|check| is_wanted(check.name) && plan.has(check)));
        let how = How {
            patience: Some(PATIENCE),
            idle: Some(IDLE),
            only: only.to_vec(),
            sparing: true,
            until_failure: true,
            longest: Some(LONGEST),
            ..How::default()
        };
        let mut failed = None;
        let vm = self.vm.as_mut().context("there is a VM")?;
        run_checks(vm, &plans, &how, &mut |report| {
            if report.failure.is_some() {
                let by = plans[report.plan].called_by;
                failed = Some((report, by));
            }
        })
        .map_err(|error| anyhow!("{error}"))?;
        Ok(failed)
    }

    /// Whether a unit test fails. They are run in the VM: who knows what a mutant does.
    fn fails_unit_tests(&mut self, number: usize) -> Result<bool> {
        let program = self.program;
        for (count, (bytes, digits)) in (1..).zip(&program.unit_tests) {
            let name = format!("{UNIT_TESTS}-{count}");
            self.prepare(&name, bytes, digits, number)?;
            let argv = [format!("{FOLDER}/{name}"), "--quiet".into()];
            match self.run(&Command { timeout: Some(LONGEST_TEST), ..Command::new(argv) })? {
                Outcome::Ended(0) => {}
                Outcome::TimedOut => {
                    self.vm = None;
                    return Ok(true);
                }
                _ => return Ok(true),
            }
        }
        Ok(false)
    }

    /// Starts the VM, if there is none.
    fn start_vm(&mut self) -> Result<()> {
        if self.vm.is_none() {
            self.vm = Some(Vm::start().map_err(|error| anyhow!("{error}"))?);
            self.there.clear();
        }
        Ok(())
    }

    /// Makes a program of this number in the VM; and the VM first, if there is none.
    fn prepare(
        &mut self,
        name: &str,
        bytes: &[u8],
        digits: &Range<usize>,
        number: usize,
    ) -> Result<()> {
        self.start_vm()?;
        let all = format!("{FOLDER}/all-{name}");
        if self.there.insert(name.into()) {
            let input = Input::Bytes(bytes.to_vec());
            let script = format!("cat > {all} && chmod 755 {all}");
            let put = Command { input, ..Command::new(["sh", "-c", &script]) };
            ensure!(self.run(&put)? == Outcome::Ended(0), "cannot write {all} in the VM");
        }
        let one = format!("{FOLDER}/{name}");
        let (number, at) = (numbered::digits(number), digits.start);
        // One that still runs can't be written to.
        let script = format!(
            "rm -f {one}; cp {all} {one} && printf {number} | dd of={one} bs=1 seek={at} conv=notrunc status=none"
        );
        let made = self.run(&Command::new(["sh", "-c", &script]))?;
        ensure!(made == Outcome::Ended(0), "cannot write {one} in the VM: {made:?}");
        Ok(())
    }

    fn run(&mut self, command: &Command) -> Result<Outcome> {
        let vm = self.vm.as_mut().context("there is a VM")?;
        let timeout = command.timeout.or(Some(LONGEST));
        let command = Command { timeout, ..command.clone() };
        vm.run(&command, &mut |_, _| Ok(())).map_err(|error| anyhow!("{error}"))
    }
}

/// The first line of what a check that has failed has seen.
fn seen(report: &Report) -> &str {
    let seen = report.failure.as_ref().map(|failure| failure.seen.as_str()).unwrap_or_default();
    seen.lines().next().unwrap_or_default()
}
