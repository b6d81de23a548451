//! Puts a program to a stage's checks in the VM, and tells a learner what came of them.

use std::env;
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
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
        let mut outcomes = Outcomes {
            tasks: vec![Done::default(); self.exercise.tasks.len()],
            first_failed: None,
        };
        let earlier = (self.from < step).then(|| Plan::of_stages(step, self.from..=step - 1));
        for plan in earlier.unwrap_or_default() {
            self.run(vm, plan, &[], &mut outcomes)?;
        }
        // What builds on a task that is not done fails, too, and to wait for that takes minutes.
        for (number, task) in self.exercise.numbered() {
            let names: Vec<&str> = task.all_checks().collect();
            for plan in Plan::of_stages(step, 0..=step) {
                self.run(vm, plan, &names, &mut outcomes)?;
            }
            if !outcomes.tasks[number - 1].is_whole() {
                if number < self.exercise.tasks.len() {
                    println!("The tasks after it are checked when it is done.");
                }
                break;
            }
        }
        match &outcomes.first_failed {
            Some(report) => println!("\n{}", self.advice(report)),
            None => println!("\nAll of it is right."),
        }
        println!("(What the checks put in was drawn from seed {}; --seed repeats it.)", self.seed);
        Ok(outcomes)
    }

    /// Makes the checks of a plan: `only` these, those of the tasks, in this order; all if there are none.
    fn run(&self, vm: &mut Vm, plan: Plan, only: &[&str], outcomes: &mut Outcomes) -> Result<()> {
        let name = self.program.file_name().context("a program has a name")?.to_string_lossy();
        let plan = Plan { program: name.into(), ..plan };
        let how = How {
            seed: Some(self.seed),
            only: only.iter().map(|name| name.to_string()).collect(),
            ..How::default()
        };
        let by_task = !only.is_empty();
        let mut heading = String::new();
        run_checks(vm, &plan, &how, &mut |report| {
            let new = self.heading(&plan, &report, by_task);
            if heading != new {
                println!("{new}");
                heading = new;
            }
            let mark = if report.failure.is_some() { "FAIL" } else { "ok" };
            println!("{mark:>6}  {}", report.promise);
            outcomes.take(self.exercise, report, by_task);
        })
        .map_err(|error| anyhow!("{error}"))?;
        Ok(())
    }

    fn heading(&self, plan: &Plan, report: &Report, by_task: bool) -> String {
        let number = by_task.then(|| self.exercise.task_of(&report.name)).flatten();
        let task = number.and_then(|number| Some((number, self.exercise.task(number).ok()?)));
        let what = match task {
            Some((number, task)) => format!("Task {number}: {}", task.title),
            None => format!("Stage {}", report.stage),
        };
        match plan.called_by {
            CalledBy::Ada => format!("{what} (called by an ordinary user)"),
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
        let mistake = self.exercise.mistake(&report.name, &failure.seen);
        if let Some((_, mistake)) = mistake {
            let cause = mistake.cause.trim().replace('\n', "\n            ");
            text += &format!("  probably  {cause}\n");
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
    /// By task.
    pub tasks: Vec<Done>,
    pub first_failed: Option<Report>,
}

impl Outcomes {
    fn take(&mut self, exercise: &Exercise, report: Report, by_task: bool) {
        let number = by_task.then(|| exercise.task_of(&report.name)).flatten();
        let task = number.and_then(|number| self.tasks.get_mut(number - 1));
        // What an earlier step did is no progress where it still holds, and in the way where it does
        // not.
        if let Some(done) = task
            && (report.stage == exercise.step || report.failure.is_some())
        {
            done.checks += 1;
            done.passed += usize::from(report.failure.is_none());
        }
        if report.failure.is_some() {
            self.first_failed.get_or_insert(report);
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
        let mut outcomes = Outcomes { tasks: vec![Done::default(); 9], first_failed: None };
        outcomes.take(&exercise, report(0, &task.keeps[0], false), true);
        assert_eq!(outcomes.tasks[0], Done::default());
        outcomes.take(&exercise, report(2, &task.checks[0], false), true);
        assert!(outcomes.tasks[0].is_whole());
        outcomes.take(&exercise, report(0, &task.keeps[0], true), true);
        assert!(!outcomes.tasks[0].is_whole());
        assert_eq!(outcomes.first_failed.unwrap().name, task.keeps[0]);
    }
}
