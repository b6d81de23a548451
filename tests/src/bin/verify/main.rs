//! Runs the checks, makes the surveys and types the book's commands in the VM, and says what came of them.

use std::collections::VecDeque;
use std::env;
use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::Instant;

use pages::Page;
use shared::Error;
use tests::checks::{self, LAST_STAGE};
use tests::grading::{self, How};
use tests::report::{Plan, Report};
use tests::surveys::{self, Survey};
use tests::transcripts;
use tests::vm::{Command, Outcome, Stream, Vm};

use options::{Options, Subject};
use tally::Tally;

mod options;
mod saved;
mod tally;

/// VMs at a time, so that they keep two cores busy.
const VMS: usize = 2;

/// How long a negative control waits for what does not come, in seconds. Most of them wait for that.
const PATIENCE_OF_CONTROLS: u64 = 8;

fn main() -> ExitCode {
    shared::main("verify", run)
}

fn run(options: &Options) -> Result<u8, Error> {
    let jobs: VecDeque<Job> = match options.subject.clone() {
        Some(Subject::Stage(stage)) => {
            let mut plans = Plan::of_stage(stage);
            if let Some(file) = options.program.as_ref().and_then(|file| file.file_name()) {
                plans.iter_mut().for_each(|plan| plan.program = file.to_string_lossy().into());
            }
            // In halves, so that two VMs share the work.
            let parts = if options.only.is_none() { Part::HALVES } else { &[Part::ALL] };
            let job = |plan: Plan| {
                let checks = move |part: &Part| Job::Checks {
                    plan: plan.clone(),
                    part: *part,
                    control: false,
                };
                parts.iter().map(checks)
            };
            plans.into_iter().flat_map(job).collect()
        }
        Some(Subject::Survey(survey)) if options.only.is_some() => {
            let name = survey.name;
            return Err(Error::new(format!(
                "{name} is a survey, and has no checks: leave --only out"
            )));
        }
        Some(Subject::Survey(survey)) => VecDeque::from([Job::Survey(survey)]),
        Some(Subject::Pages(_)) if options.only.is_some() || options.program.is_some() => {
            return Err(Error::new(
                "a chapter's commands are not checks: leave --only and --program out",
            ));
        }
        Some(Subject::Pages(pages)) => pages.into_iter().map(Job::Page).collect(),
        None => {
            // The longest first, so that both VMs end at about the same time.
            let steps = (0..=LAST_STAGE).rev().flat_map(Plan::of_step);
            let controls = (0..=LAST_STAGE).rev().map(Plan::control);
            let checks = |control| move |plan| Job::Checks { plan, part: Part::ALL, control };
            let surveys = surveys::ALL.iter().filter(|_| options.only.is_none()).map(Job::Survey);
            let pages = if options.only.is_none() { transcripts::pages()? } else { Vec::new() };
            let pages = pages.into_iter().rev().map(Job::Page);
            let held = steps.map(checks(false)).chain(surveys);
            // The book's pages first, while no worker has a VM that would be idle.
            let saved = options.only.is_none().then_some(Job::Saved);
            pages.chain(saved).chain(held).chain(controls.map(checks(true))).collect()
        }
    };
    let vms = VMS.min(jobs.len());
    let tally = Tally::new(options.subject.is_some());
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

/// What a worker does at a time.
enum Job {
    /// A plan, which of its checks, and whether they must fail.
    Checks {
        plan: Plan,
        part: Part,
        control: bool,
    },
    Survey(&'static Survey),
    /// The transcripts of a page of the book.
    Page(Page),
    /// A VM that goes on from a saved one.
    Saved,
}

/// Every so many of a plan's checks, from one on.
#[derive(Clone, Copy)]
struct Part {
    first: usize,
    of: usize,
}

impl Part {
    const ALL: Part = Part { first: 0, of: 1 };
    const HALVES: &'static [Part] = &[Part { first: 0, of: 2 }, Part { first: 1, of: 2 }];

    /// The names of its checks.
    fn names(self, plan: &Plan) -> Vec<String> {
        let planned = checks::all().filter(|check| plan.has(check));
        planned.skip(self.first).step_by(self.of).map(|check| check.name.into()).collect()
    }
}

/// Takes jobs until there are none left.
fn work(options: &Options, jobs: &Mutex<VecDeque<Job>>, tally: &Mutex<Tally>) -> Result<(), Error> {
    let mut vm = None;
    loop {
        let Some(job) = lock(jobs).pop_front() else { return Ok(()) };
        let start = Instant::now();
        match job {
            Job::Checks { plan, part, control } => {
                let vm = started(&mut vm, options)?;
                let reports = run_checks(vm, options, &plan, part, control, tally)?;
                lock(tally).take(options, &plan, part.of, control, reports);
            }
            Job::Survey(survey) => {
                // All of it only for those who ask for it.
                let sample = survey.sample.is_some() && options.subject.is_none();
                let text = run_survey(started(&mut vm, options)?, survey, sample)?;
                let seconds = start.elapsed().as_secs_f64();
                lock(tally).take_survey(survey, sample, text.as_deref(), seconds);
            }
            Job::Page(page) => {
                let accept = env::var_os("INSTA_UPDATE").is_some_and(|value| value == "always");
                let mut outcome = transcripts::check(&page, accept)?;
                if outcome.hung {
                    // An emulated kernel locks up now and then ("soft lockup"). A command that hangs by itself hangs again.
                    outcome.broken.iter().for_each(|broken| println!("      {broken}"));
                    println!("{}: all of it once more, in new VMs", transcripts::title(&page));
                    outcome = transcripts::check(&page, accept)?;
                }
                lock(tally).take_page(&page, &outcome, start.elapsed().as_secs_f64());
            }
            Job::Saved => {
                let faults = saved::faults()?;
                lock(tally).take_saved(&faults);
            }
        }
    }
}

/// The worker's VM. A page does without, as it has fresh ones.
fn started<'a>(vm: &'a mut Option<Vm>, options: &Options) -> Result<&'a mut Vm, Error> {
    let started = vm.take().map_or_else(|| Vm::start_with(options.program.as_slice()), Ok)?;
    Ok(vm.insert(started))
}

/// The survey's text; None if it failed, and has said why.
fn run_survey(vm: &mut Vm, survey: &Survey, sample: bool) -> Result<Option<String>, Error> {
    let mut text = String::new();
    let words = ["survey", survey.name].into_iter().chain(sample.then_some("--sample"));
    let command = Command::new(words);
    let outcome = vm.run_lines(&command, &mut |stream, line| match stream {
        Stream::Stdout => text += &format!("{line}\n"),
        Stream::Stderr => eprintln!("survey {}: {line}", survey.name),
    })?;
    match outcome {
        Outcome::Ended(0) => Ok(Some(text)),
        Outcome::Ended(1) => Ok(None),
        _ => Err(Error::new(format!("the survey {} did not come to its end", survey.name))),
    }
}

fn run_checks(
    vm: &mut Vm,
    options: &Options,
    plan: &Plan,
    part: Part,
    control: bool,
    tally: &Mutex<Tally>,
) -> Result<Vec<Report>, Error> {
    let how = How {
        patience: control.then_some(PATIENCE_OF_CONTROLS),
        only: options.only.clone().map_or_else(|| part.names(plan), |name| vec![name]),
        ..How::default()
    };
    let mut reports = Vec::new();
    let others = grading::run_checks(vm, std::slice::from_ref(plan), &how, &mut |report| {
        if lock(tally).live {
            println!("{report}");
        }
        reports.push(report);
    })?;
    if !control {
        others.iter().for_each(|line| eprintln!("{}: {line}", plan.title()));
    }
    Ok(reports)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no worker panicked")
}
