//! Runs the checks in the VM and says what came of them.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard};
use std::thread;

use clap::Parser;
use shared::Error;
use tests::checks::{self, Check, LAST_STAGE};
use tests::report::{CalledBy, Plan, Report};
use tests::snapshots::Snapshots;
use tests::vm::{Command, Outcome, Stream, Vm};

/// VMs at a time, so that a whole run keeps two cores busy.
const VMS: usize = 2;

/// How long a negative control waits for what does not come, in seconds. Most of them wait for that.
const PATIENCE_OF_CONTROLS: &str = "8";

/// Runs the checks in a throw-away VM
///
/// With a stage: its checks on its own step. Without: all steps, each with its own stage's checks
/// and those of the stages before it; then the negative controls, each stage's checks on the step
/// before, which must not pass them.
#[derive(Parser)]
#[command(version, after_help = "INSTA_UPDATE=always accepts what the checks show as snapshots.")]
struct Options {
    /// The stage to check
    #[arg(value_parser = stage)]
    stage: Option<u8>,

    /// Put another program to the stage's checks than the step itself
    #[arg(long, value_name = "FILE", requires = "stage")]
    program: Option<PathBuf>,

    /// Only the check of this name
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
}

/// A stage's number, as one types it.
fn stage(text: &str) -> Result<u8, String> {
    let number = text.parse().ok().filter(|stage| *stage <= LAST_STAGE);
    number.ok_or(format!("the stages are 0 to {LAST_STAGE}"))
}

fn main() -> ExitCode {
    shared::main("verify", run)
}

fn run(options: &Options) -> Result<u8, Error> {
    let jobs: VecDeque<Job> = match options.stage {
        Some(stage) => {
            let mut plans = Plan::of_stage(stage);
            if let Some(file) = options.program.as_ref().and_then(|file| file.file_name()) {
                plans.iter_mut().for_each(|plan| plan.program = file.to_string_lossy().into());
            }
            plans.into_iter().map(|plan| Job { plan, control: false }).collect()
        }
        None => {
            // The longest first, so that both VMs end at about the same time.
            let steps = (0..=LAST_STAGE).rev().flat_map(Plan::of_step);
            let controls = (0..=LAST_STAGE).rev().map(Plan::control);
            let job = |control| move |plan| Job { plan, control };
            steps.map(job(false)).chain(controls.map(job(true))).collect()
        }
    };
    // For one stage a second VM would take longer to boot than it saves.
    let vms = if options.stage.is_some() { 1 } else { VMS };
    let tally = Tally { live: options.stage.is_some(), ..Tally::default() };
    let (jobs, tally) = (Mutex::new(jobs), Mutex::new(tally));
    thread::scope(|scope| {
        let work = || work(options, &jobs, &tally);
        let workers: Vec<_> = (0..vms).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("a worker does not panic"))
    })?;
    let Tally { passed, failed, .. } = *lock(&tally);
    println!("VM: {passed} passed, {failed} failed, 0 skipped");
    // A run that checked nothing has proven nothing.
    match (passed, failed) {
        (0, 0) => Err(Error::new("there is no check of this name")),
        (_, 0) => Ok(0),
        _ => Ok(1),
    }
}

/// A plan, and whether its checks must fail.
struct Job {
    plan: Plan,
    control: bool,
}

/// Boots a VM and takes jobs until there are none left.
fn work(options: &Options, jobs: &Mutex<VecDeque<Job>>, tally: &Mutex<Tally>) -> Result<(), Error> {
    let mut vm = Vm::start_with(options.program.as_slice())?;
    loop {
        let Some(job) = lock(jobs).pop_front() else { return Ok(()) };
        let reports = run_job(&mut vm, options, &job, tally)?;
        lock(tally).take(options, &job, &reports);
    }
}

fn run_job(
    vm: &mut Vm,
    options: &Options,
    job: &Job,
    tally: &Mutex<Tally>,
) -> Result<Vec<Report>, Error> {
    let mut argv = vec!["checks".to_string(), "--json".into(), job.plan.to_string()];
    if job.control {
        argv.extend(["--patience".into(), PATIENCE_OF_CONTROLS.into()]);
    }
    if let Some(name) = &options.only {
        argv.extend(["--only".into(), name.clone()]);
    }
    let mut reports = Vec::new();
    let outcome = vm.run_lines(&Command::new(argv), &mut |stream, line| match (
        stream,
        serde_json::from_str::<Report>(line),
    ) {
        (Stream::Stdout, Ok(report)) => {
            if lock(tally).live {
                println!("{report}");
            }
            reports.push(report);
        }
        _ if job.control => {}
        _ => eprintln!("{}: {line}", job.plan.title()),
    })?;
    match outcome {
        Outcome::Ended(0 | 1) => Ok(reports),
        _ => Err(Error::new(format!("the checks {} did not come to their end", job.plan))),
    }
}

/// What has come of the checks so far.
#[derive(Default)]
struct Tally {
    /// Each check is told when it is over; otherwise only those that fail.
    live: bool,
    passed: usize,
    failed: usize,
    snapshots: Snapshots,
}

impl Tally {
    /// Counts a job's reports, says what is wrong, and compares the snapshots.
    fn take(&mut self, options: &Options, job: &Job, reports: &[Report]) {
        let Job { plan, control } = job;
        let (wrong, right): (Vec<_>, Vec<_>) =
            reports.iter().partition(|report| report.failure.is_some() != *control);
        for report in &wrong {
            match control {
                true => println!("FAIL  passes on {}, and must not: {}", plan.program, report.name),
                false if self.live => {}
                false => println!("{report}"),
            }
        }
        let seconds: f64 = reports.iter().map(|report| report.seconds).sum();
        let (count, good) = (reports.len(), right.len());
        let come = if *control { "fail, as they must" } else { "pass" };
        println!("{}: {good} of {count} checks {come} ({seconds:.0} s)", plan.title());
        self.passed += good;
        self.failed += wrong.len();
        if options.only.is_none() {
            let planned = checks::all().filter(|check| plan.has(check)).count();
            if planned != count {
                println!("FAIL  {} checks of {plan} did not report", planned - count);
                self.failed += planned - count;
            }
        }
        if options.only.is_none() && options.program.is_none() {
            self.compare(job, reports);
        }
    }

    fn compare(&mut self, job: &Job, reports: &[Report]) {
        match job.control {
            true => self.snapshots.controls(job.plan.step, reports),
            // What everybody is shown, root's run has shown.
            false => self.snapshots.shown(job.plan.step, reports, |report| {
                let to_all = |check: &Check| check.name == report.name && check.only_for.is_none();
                job.plan.called_by == CalledBy::Root || !checks::all().any(to_all)
            }),
        }
        let Snapshots { kept, broken } = std::mem::take(&mut self.snapshots);
        self.passed += kept;
        self.failed += broken;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no worker panicked")
}
