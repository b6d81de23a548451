//! Puts a program to a stage's checks in the VM, and tells a learner what came of them.

use std::env;
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail};
use tests::report::{CalledBy, Plan, Report};
use tests::vm::{Command, Outcome, Stream, Vm};

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
    /// Makes the checks, printing a line for each, and gives what of each task is done.
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
        let in_order: Vec<&str> =
            self.exercise.tasks.iter().flat_map(|task| &task.checks).map(String::as_str).collect();
        for plan in Plan::of_stage(step) {
            self.run(vm, plan, &in_order, &mut outcomes)?;
        }
        match &outcomes.first_failed {
            Some(report) => println!("\n{}", self.advice(report)),
            None => println!("\nAll of it is right."),
        }
        println!("(What the checks put in was drawn from seed {}; --seed repeats it.)", self.seed);
        Ok(outcomes)
    }

    /// Makes the checks of a plan; `only` these, in this order, if there are any.
    fn run(&self, vm: &mut Vm, plan: Plan, only: &[&str], outcomes: &mut Outcomes) -> Result<()> {
        let name = self.program.file_name().context("a program has a name")?.to_string_lossy();
        let plan = Plan { program: name.into(), ..plan };
        let mut argv = vec!["checks".into(), "--json".into(), plan.to_string()];
        argv.extend(["--seed".into(), self.seed.to_string()]);
        if !only.is_empty() {
            argv.extend(["--only".into(), only.join(",")]);
        }
        let (mut heading, mut lost) = (String::new(), Vec::new());
        let outcome = vm.run_lines(&Command::new(argv), &mut |stream, line| {
            let report = match stream {
                Stream::Stdout => serde_json::from_str::<Report>(line).ok(),
                Stream::Stderr => None,
            };
            let Some(report) = report else { return lost.push(line.to_string()) };
            let new = self.heading(&plan, &report);
            if heading != new {
                println!("{new}");
                heading = new;
            }
            let mark = if report.failure.is_some() { "FAIL" } else { "ok" };
            println!("{mark:>6}  {}", report.promise);
            outcomes.take(self.exercise, report);
        });
        match outcome.map_err(|error| anyhow!("{error}"))? {
            Outcome::Ended(0 | 1) => Ok(()),
            _ => bail!("the checks did not come to their end: {}", lost.join("; ")),
        }
    }

    fn heading(&self, plan: &Plan, report: &Report) -> String {
        let number = self.exercise.task_of(&report.name);
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
        if let Some(number) = self.exercise.task_of(&report.name)
            && let Ok(task) = self.exercise.task(number)
        {
            let mut mistakes = task.mistakes.iter();
            if let Some(mistake) = mistakes.find(|it| it.explains(&report.name, &failure.seen)) {
                text += &format!(
                    "  probably  {}\n",
                    mistake.cause.trim().replace('\n', "\n            ")
                );
            }
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
    fn take(&mut self, exercise: &Exercise, report: Report) {
        let task = exercise.task_of(&report.name).and_then(|task| self.tasks.get_mut(task - 1));
        if let Some(done) = task {
            done.checks += 1;
            done.passed += usize::from(report.failure.is_none());
        }
        if report.failure.is_some() {
            self.first_failed.get_or_insert(report);
        }
    }
}
