//! Puts a program to a stage's checks in the VM, and tells a learner what came of them.

use std::env;
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
use tests::checks::{self, Check};
use tests::grading::{How, run_checks};
use tests::report::{CalledBy, Plan, Report};
use tests::vm::Vm;

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
    /// Makes the checks up to the first task that is not done, printing a line for each, and gives what
    /// of each task is done.
    ///
    /// # Errors
    ///
    /// The checks do not come to their end.
    pub fn grade(&self, vm: &mut Vm) -> Result<Outcomes> {
        let step = self.exercise.step;
        let count = self.exercise.tasks.len();
        let mut outcomes = Outcomes { tasks: vec![None; count], failed: None };
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
                later.for_each(|task| _ = task.get_or_insert_default());
                break;
            }
        }
        match &outcomes.failed {
            Some(failed) => println!("\n{}", self.advice(&failed.report)),
            None => {
                println!(
                    "\nAll of it is right. ./just solution {step} shows how the reference does it."
                );
            }
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
        plans.iter_mut().for_each(|plan| plan.program = name.clone().into());
        let is_wanted = |check: &Check| only.is_empty() || only.contains(&check.name);
        plans.retain(|plan| checks::all().any(|check| is_wanted(check) && plan.has(check)));
        let how = How {
            patience: Some(self.patience),
            seed: Some(self.seed),
            only: only.iter().map(|name| name.to_string()).collect(),
            sparing: true,
            until_failure: self.at.is_some(),
        };
        let by_task = !only.is_empty();
        let mut heading = String::new();
        run_checks(vm, &plans, &how, &mut |report| {
            let called_by = plans[report.plan].called_by;
            let new = self.heading(called_by, &report, by_task);
            if heading != new {
                println!("{new}");
                heading = new;
            }
            let mark = if report.failure.is_some() { "FAIL" } else { "ok" };
            println!("{mark:>6}  {}", report.promise);
            outcomes.take(self.exercise, report, called_by, by_task);
        })
        .map_err(|error| anyhow!("{error}"))?;
        Ok(())
    }

    fn heading(&self, called_by: CalledBy, report: &Report, by_task: bool) -> String {
        let number = by_task.then(|| self.exercise.task_of(&report.name)).flatten();
        let task = number.and_then(|number| Some((number, self.exercise.task(number).ok()?)));
        let what = match task {
            Some((number, task)) => format!("Task {number}: {}", task.title),
            None => format!("Stage {}", report.stage),
        };
        match called_by {
            CalledBy::Ada => format!("{what} (called by an ordinary user)"),
            CalledBy::Root if self.exercise.step >= checks::FIRST_FOR_ORDINARY => {
                format!("{what} (called by root)")
            }
            CalledBy::Root | CalledBy::Control => what,
        }
    }

    /// What a learner needs to mend the first thing that is wrong.
    fn advice(&self, report: &Report) -> String {
        let Some(failure) = &report.failure else { return String::new() };
        let step = self.exercise.step;
        let here = env::current_dir().unwrap_or_default();
        let program = self.program.strip_prefix(here).unwrap_or(&self.program).display();
        let mut text = format!(
            "The first to mend is `{}`: {}\n  tried     {}\n  expected  {}\n  seen      {}\n",
            report.name, report.promise, failure.tried, failure.expected, failure.seen
        );
        text += &format!("  by hand   ./just vm --program {program}, and there what was tried\n");
        let mistake = self.exercise.mistake(&report.name, failure);
        if let Some((_, mistake)) = mistake {
            let cause = mistake.cause.trim().replace('\n', "\n            ");
            text += &format!("  probably  {cause}\n");
        }
        if ["no end", "no further line"].iter().any(|it| failure.seen.contains(it)) {
            text += "  or        this machine was too busy to answer in time: check once more\n";
        }
        let number = mistake.map(|(number, _)| number);
        if let Some(number) = number.or_else(|| self.exercise.task_of(&report.name))
            && let Ok(task) = self.exercise.task(number)
        {
            text += &format!("  the book  chapter {step}, #{}\n", task.book);
            text += &format!("  a hint    ./just hint {step} {number}\n");
        }
        text
    }
}

/// What has come of the checks.
pub struct Outcomes {
    /// By task; None: that one was not checked, and is what it was.
    pub tasks: Vec<Option<Done>>,
    /// The first that failed.
    pub failed: Option<Failed>,
}

/// A check that failed.
pub struct Failed {
    pub report: Report,
    pub called_by: CalledBy,
}

impl Outcomes {
    fn is_done(&self, number: usize) -> bool {
        self.tasks[number - 1].as_ref().is_some_and(Done::is_whole)
    }

    fn take(&mut self, exercise: &Exercise, report: Report, called_by: CalledBy, by_task: bool) {
        let number = by_task.then(|| exercise.task_of(&report.name)).flatten();
        let task = number.and_then(|number| self.tasks[number - 1].as_mut());
        // What an earlier step did is no progress where it still holds, and in the way where it does
        // not.
        if let Some(done) = task
            && (report.stage == exercise.step || report.failure.is_some())
        {
            done.checks += 1;
            done.passed += usize::from(report.failure.is_none());
        }
        if report.failure.is_some() {
            self.failed.get_or_insert(Failed { report, called_by });
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
        let report = |stage, name: &str, failed: bool| {
            let failure = serde_json::json!({"tried": "", "expected": "", "seen": ""});
            let failure = if failed { failure } else { serde_json::Value::Null };
            let report = serde_json::json!({"plan": 0, "stage": stage, "name": name, "promise": "",
                "failure": failure, "shown": null, "seconds": 0.0});
            serde_json::from_value::<Report>(report).unwrap()
        };
        let task = &exercise.tasks[0];
        let mut outcomes = Outcomes { tasks: vec![Some(Done::default())], failed: None };
        outcomes.take(&exercise, report(0, &task.keeps[0], false), CalledBy::Root, true);
        assert_eq!(outcomes.tasks[0], Some(Done::default()));
        outcomes.take(&exercise, report(2, &task.checks[0], false), CalledBy::Root, true);
        assert!(outcomes.is_done(1));
        outcomes.take(&exercise, report(0, &task.keeps[0], true), CalledBy::Root, true);
        assert!(!outcomes.is_done(1));
        assert_eq!(outcomes.failed.unwrap().report.name, task.keeps[0]);
    }
}
