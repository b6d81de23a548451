//! Puts a program to a stage's checks in the VM, and tells a learner what came of them.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
use tests::checks::{self, Check, Failure};
use tests::grading::{How, run_checks};
use tests::report::{CalledBy, Plan, Report};
use tests::steps;
use tests::vm::Vm;

use crate::advice::Advice;
use crate::progress::Done;
use crate::tasks::Exercise;

/// What to check.
pub struct Grading<'a> {
    pub exercise: &'a Exercise,
    /// The program, and in which place it is in the VM: `/slipway/bin/NAME`.
    pub program: PathBuf,
    /// The first stage; the stages before it are taken for granted.
    pub from: u8,
    /// What the checks put in is drawn from this.
    pub seed: u64,
    /// How long a check waits for what does not come, in seconds.
    pub patience: u64,
    /// By task, whether it was right at an earlier check; nothing if that is not known.
    pub was_right: Vec<bool>,
    /// It is to end with the first check that fails, and to begin where that is likely.
    pub at: Option<At<'a>>,
}

/// Where a learner is.
pub struct At<'a> {
    /// The task.
    pub task: usize,
    /// What failed last.
    pub failed: Option<&'a Failed>,
}

impl Grading<'_> {
    /// Makes the checks up to the first task that is not done, and gives what of each task is done. It prints a line for
    /// each task, and the checks of the one that is not done.
    ///
    /// # Errors
    ///
    /// The checks do not come to their end.
    pub fn grade(&self, vm: &mut Vm) -> Result<Outcomes> {
        let step = self.exercise.step;
        let count = self.exercise.tasks.len();
        let mut outcomes = Outcomes { tasks: vec![None; count], failed: Vec::new() };
        if self.from < step {
            self.run(vm, Plan::of_stages(step, self.from..=step - 1), &[], &mut outcomes)?;
        }
        let first = self.at.as_ref().map_or(1, |at| at.task);
        if first > 1 {
            println!(
                "The tasks before task {first} are checked again when this and what follows is done."
            );
        }
        // What builds on a task that is not done fails, too, and to wait for that takes minutes.
        for number in (first..=count).chain(1..first) {
            let task = self.exercise.task(number)?;
            let mut names: Vec<&str> = task.all_checks().collect();
            let mut plans = Plan::of_stages(step, 0..=step);
            if let Some(failed) = self.at.as_ref().and_then(|at| at.failed) {
                names.sort_by_key(|name| *name != failed.report.name);
                plans.sort_by_key(|plan| plan.called_by != failed.called_by);
            }
            outcomes.tasks[number - 1] = Some(Done::default());
            self.run(vm, plans, &names, &mut outcomes)?;
            if !outcomes.is_done(number) {
                if let Some(done) = &mut outcomes.tasks[number - 1] {
                    done.checks = done.checks.max(task.checks.len());
                }
                if number < count {
                    println!("The tasks after it are checked when it is done.");
                }
                // Whatever was found out about them before need not hold any more.
                let later = outcomes.tasks[number..].iter_mut();
                for task in later {
                    _ = task.get_or_insert_default();
                }
                break;
            }
        }
        let advice =
            Advice { exercise: self.exercise, program: &self.program, was_right: &self.was_right };
        if !outcomes.failed.is_empty() {
            println!("\n{}", advice.text(&outcomes.failed))
        } else {
            println!(
                "\nAll of it is right. ./just solution {step} shows how the reference does it."
            );
        }
        println!("(What the checks put in was drawn from seed {}; --seed repeats it.)", self.seed);
        Ok(outcomes)
    }

    /// Makes the checks of some plans: `only` these, those of a task, in this order; all if there are none.
    fn run(
        &self,
        vm: &mut Vm,
        mut plans: Vec<Plan>,
        only: &[&str],
        outcomes: &mut Outcomes,
    ) -> Result<()> {
        let name = self.program.file_name().context("a program has a name")?.to_string_lossy();
        for plan in &mut plans {
            plan.program = name.clone().into();
        }
        let is_wanted = |check: &Check| only.is_empty() || only.contains(&check.name);
        plans.retain(|plan| checks::all().any(|check| is_wanted(check) && plan.has(check)));
        let how = How {
            patience: Some(self.patience),
            seed: Some(self.seed),
            idle: None,
            only: only.iter().map(|name| name.to_string()).collect(),
            sparing: true,
            until_failure: self.at.is_some(),
            longest: None,
        };
        let by_task = !only.is_empty();
        let mut shown = Shown::begin(&self.title(&plans, only));
        run_checks(vm, &plans, &how, &mut |mut report| {
            let called_by = plans[report.plan].called_by;
            let failure = report.failure.take();
            shown.take(self.caller(called_by), &report, failure.is_some());
            outcomes.take(self.exercise, report, failure, called_by, by_task);
        })
        .map_err(|error| anyhow!("{error}"))?;
        shown.end();
        Ok(())
    }

    /// What is checked: a task, or the stages before.
    fn title(&self, plans: &[Plan], only: &[&str]) -> String {
        let number = only.first().and_then(|name| self.exercise.task_of(name));
        let task = number.and_then(|number| Some((number, self.exercise.task(number).ok()?)));
        match (task, plans.first()) {
            (Some((number, task)), _) => format!("Task {number}: {}", task.title),
            (None, Some(plan)) if plan.stages.start() == plan.stages.end() => {
                format!("Stage {}", plan.stages.start())
            }
            (None, Some(plan)) => {
                format!("Stages {} to {}", plan.stages.start(), plan.stages.end())
            }
            (None, None) => String::from("Nothing"),
        }
    }

    /// Who calls it, where that may be more than one.
    fn caller(&self, called_by: CalledBy) -> &'static str {
        match called_by {
            CalledBy::Ada => "called by an ordinary user",
            CalledBy::Root if self.exercise.step >= steps::first_for_ordinary() => "called by root",
            CalledBy::Root | CalledBy::Control => "",
        }
    }
}

/// What is shown of some checks: one line, unless one fails.
struct Shown {
    count: usize,
    /// The lines of checks as long as none has failed; then they are printed as they come.
    kept: Option<Vec<String>>,
    caller: &'static str,
}

impl Shown {
    fn begin(title: &str) -> Shown {
        print!("{title} … ");
        // A line that is not ended waits in the buffer. Who does not see it sees the rest.
        let _ = io::stdout().flush();
        Shown { count: 0, kept: Some(Vec::new()), caller: "" }
    }

    fn take(&mut self, caller: &'static str, report: &Report, failed: bool) {
        self.count += 1;
        let mut lines = Vec::new();
        if caller != self.caller {
            lines.push(format!("  {caller}"));
            self.caller = caller;
        }
        let mark = if failed { "FAIL" } else { "ok" };
        lines.push(format!("{mark:>6}  {}", report.promise));
        match self.kept.take() {
            Some(mut kept) if !failed => {
                kept.append(&mut lines);
                self.kept = Some(kept);
            }
            Some(kept) => {
                println!();
                for line in kept.iter().chain(&lines) {
                    println!("{line}");
                }
            }
            None => lines.iter().for_each(|line| println!("{line}")),
        }
    }

    fn end(self) {
        match (self.kept, self.count) {
            (Some(_), 1) => println!("done (1 check)"),
            (Some(_), count) => println!("done ({count} checks)"),
            (None, _) => {}
        }
    }
}

/// What has come of the checks.
pub struct Outcomes {
    /// By task; None: that one was not checked, and is what it was.
    pub tasks: Vec<Option<Done>>,
    /// Those that failed.
    pub failed: Vec<Failed>,
}

/// A check that failed.
pub struct Failed {
    /// Without its failure.
    pub report: Report,
    pub failure: Failure,
    pub called_by: CalledBy,
}

impl Outcomes {
    fn is_done(&self, number: usize) -> bool {
        self.tasks[number - 1].as_ref().is_some_and(Done::is_whole)
    }

    fn take(
        &mut self,
        exercise: &Exercise,
        report: Report,
        failure: Option<Failure>,
        called_by: CalledBy,
        by_task: bool,
    ) {
        let number = by_task.then(|| exercise.task_of(&report.name)).flatten();
        let task = number.and_then(|number| self.tasks[number - 1].as_mut());
        // What an earlier step did is no progress where it still holds, and in the way where it does
        // not.
        if let Some(done) = task
            && (report.stage == exercise.step || failure.is_some())
        {
            done.checks += 1;
            done.passed += usize::from(failure.is_none());
        }
        if let Some(failure) = failure {
            self.failed.push(Failed { report, failure, called_by });
        }
    }
}

#[cfg(test)]
mod test {
    use std::path::Path;

    use super::*;

    #[test]
    fn what_an_earlier_step_did_counts_only_when_it_is_broken() {
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let exercise = Exercise::read(&checkout, 2).unwrap();
        let mut outcomes = Outcomes { tasks: vec![Some(Done::default())], failed: Vec::new() };
        let task = &exercise.tasks[0];
        let mut take = |stage, name: &str, failure| {
            let (name, promise) = (name.into(), String::new());
            let report =
                Report { plan: 0, stage, name, promise, failure: None, shown: None, seconds: 0.0 };
            outcomes.take(&exercise, report, failure, CalledBy::Root, true);
            outcomes.tasks[0].clone().unwrap()
        };
        assert_eq!(take(0, &task.keeps[0], None), Done::default());
        assert!(take(2, &task.checks[0], None).is_whole());
        assert!(!take(0, &task.keeps[0], Some(Failure::new("", "", ""))).is_whole());
        assert_eq!(outcomes.failed[0].report.name, task.keeps[0]);
    }
}
