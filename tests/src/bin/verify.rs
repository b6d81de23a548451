//! Runs the checks in the VM and says what came of them.

use std::process::ExitCode;

use clap::Parser;
use shared::Error;
use tests::checks::LAST_STAGE;
use tests::report::{Plan, Report};
use tests::snapshots::Snapshots;
use tests::vm::{Command, Outcome, Stream, Vm};

/// Runs the checks in a throw-away VM
///
/// With a stage: its checks on its own step. Without: all steps, each with its own stage's checks
/// and those of the stages before it; then the negative controls, each stage's checks on the step
/// before, which must not pass them.
#[derive(Parser)]
#[command(
    version,
    after_help = "INSTA_UPDATE=always accepts what the checks show as the new snapshots."
)]
struct Options {
    /// The stage to check
    #[arg(value_parser = clap::value_parser!(u8).range(0..=LAST_STAGE as i64))]
    stage: Option<u8>,

    /// Only the check of this name
    #[arg(long, value_name = "NAME")]
    only: Option<String>,

    /// Print a line for each check also where all is well
    #[arg(short, long)]
    verbose: bool,
}

fn main() -> ExitCode {
    shared::main("verify", run)
}

fn run(options: &Options) -> Result<u8, Error> {
    let (bound, controls) = match options.stage {
        Some(stage) => (vec![Plan::of_stage(stage)], vec![]),
        None => (
            (0..=LAST_STAGE).map(Plan::of_step).collect(),
            (0..=LAST_STAGE).map(Plan::control).collect(),
        ),
    };
    let mut tally = Tally {
        controls_from: bound.len(),
        plans: [bound, controls].concat(),
        verbose: options.verbose || options.stage.is_some(),
        ..Tally::default()
    };
    let argv = ["checks", "--json"].map(String::from).into_iter();
    let only = options.only.iter().flat_map(|name| ["--only".to_string(), name.clone()]);
    let plans = tally.plans.iter().map(Plan::to_string);
    let command = Command::new(argv.chain(only).chain(plans).collect::<Vec<_>>());
    let outcome = Vm::start()?.run_lines(&command, &mut |stream, line| match stream {
        Stream::Stdout => tally.take(line),
        Stream::Stderr => eprintln!("vm: {line}"),
    })?;
    if !matches!(outcome, Outcome::Ended(0 | 1)) {
        return Err(Error::new(format!("the checks did not come to their end: {outcome:?}")));
    }
    tally.end(options.only.is_none());
    println!("{} passed, {} failed, 0 skipped", tally.passed, tally.failed);
    // A run that checked nothing has proven nothing.
    match (tally.passed, tally.failed) {
        (0, 0) => Err(Error::new("no check has this name")),
        (_, 0) => Ok(0),
        _ => Ok(1),
    }
}

/// What has come of the checks so far.
#[derive(Default)]
struct Tally {
    plans: Vec<Plan>,
    /// From this plan on a check has to fail.
    controls_from: usize,
    verbose: bool,
    reports: Vec<Report>,
    passed: usize,
    failed: usize,
    snapshots: Snapshots,
}

impl Tally {
    /// A line that the checks printed.
    fn take(&mut self, line: &str) {
        let Ok(report) = serde_json::from_str::<Report>(line) else {
            println!("{line}");
            return;
        };
        if self.reports.last().is_some_and(|last| last.plan != report.plan) {
            self.end_plan();
        }
        let wanted = report.failure.is_some() == (report.plan >= self.controls_from);
        self.count(wanted);
        if report.plan >= self.controls_from {
            if !wanted {
                println!("FAIL  {}: passes where it must not ({})", report.promise, report.name);
            }
        } else if !wanted || self.verbose {
            println!("{report}");
        }
        self.reports.push(report);
    }

    fn count(&mut self, passed: bool) {
        if passed { self.passed += 1 } else { self.failed += 1 }
    }

    /// All of a plan's checks are over: one line, and the snapshots.
    fn end_plan(&mut self) {
        let reports = std::mem::take(&mut self.reports);
        let Some(first) = reports.first() else { return };
        let plan = &self.plans[first.plan];
        let seconds: f64 = reports.iter().map(|report| report.seconds).sum();
        let failures = reports.iter().filter(|report| report.failure.is_some()).count();
        let count = reports.len();
        if first.plan >= self.controls_from {
            let stage = plan.step;
            println!(
                "{failures} of {count} checks of stage {stage} fail on {}, as they must ({seconds:.0} s)",
                plan.program
            );
            self.snapshots.controls(stage, &reports);
        } else {
            println!(
                "{}: {} of {count} checks passed ({seconds:.0} s)",
                plan.program,
                count - failures
            );
            self.snapshots.shown(plan.step, &reports);
        }
    }

    /// The run is over. Snapshots count when it was a whole one.
    fn end(&mut self, whole: bool) {
        self.end_plan();
        if whole {
            self.passed += self.snapshots.kept;
            self.failed += self.snapshots.broken;
        }
    }
}
