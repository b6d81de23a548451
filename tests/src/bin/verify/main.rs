//! Runs the checks, makes the surveys and types the book's commands in the VM, and says what came of them.

use std::collections::VecDeque;
use std::env;
use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::Instant;

use pages::Page;
use shared::Error;
use tests::checks;
use tests::grading::{self, How};
use tests::remembered::{Memory, Print};
use tests::report::{Plan, Report};
use tests::surveys::Survey;
use tests::transcripts;
use tests::vm::{Command, Outcome, Stream, Vm};

use job::{Found, Job, Prints};
use options::Options;
use tally::Tally;

mod job;
mod options;
mod saved;
mod tally;

/// VMs at a time, so that they keep two cores busy.
const VMS: usize = 2;

fn main() -> ExitCode {
    shared::main("verify", run)
}

fn run(options: &Options) -> Result<u8, Error> {
    let memory = Memory::open();
    if options.fresh {
        memory.forget()?;
    }
    let mut tally = Tally::new(options.subject.is_some());
    let queue = Queue {
        jobs: Mutex::new(remembered(options, &memory, &mut tally)?),
        tally: Mutex::new(tally),
        memory,
    };
    let vms = VMS.min(lock(&queue.jobs).len());
    thread::scope(|scope| {
        let work = || work(options, &queue);
        let workers: Vec<_> = (0..vms).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("a worker does not panic"))
    })?;
    let Tally { passed, failed, remembered, .. } = *lock(&queue.tally);
    if remembered > 0 {
        println!(
            "VM: {remembered} remembered: they passed before, and nothing that can affect them has changed (--fresh repeats them)"
        );
    }
    println!("VM: {passed} passed, {failed} failed, 0 skipped");
    // A run that checked nothing has proven nothing.
    match (passed, failed) {
        (0, 0) => Err(Error::new("there is no check of this name")),
        (_, 0) => Ok(0),
        _ => Ok(1),
    }
}

/// A job, and what its result depends on, if it is to be remembered.
type Task = (Job, Option<Print>);

/// What the workers share.
struct Queue {
    jobs: Mutex<VecDeque<Task>>,
    tally: Mutex<Tally>,
    memory: Memory,
}

/// Counts what has passed before, and gives back what is to be done. Whoever asks for something by its name wants to see it done.
fn remembered(
    options: &Options,
    memory: &Memory,
    tally: &mut Tally,
) -> Result<VecDeque<Task>, Error> {
    for stage in job::stages(options).into_iter().filter(|stage| !checks::has_stage(*stage)) {
        println!(
            "FAIL  stage {stage} has no checks: they belong in tests/src/checks/stage{stage}.rs"
        );
        tally.failed += 1;
    }
    let jobs = job::all(options)?;
    if options.subject.is_some() || options.only.is_some() {
        return Ok(jobs.into_iter().map(|job| (job, None)).collect());
    }
    let prints = Prints::make()?;
    let mut left = VecDeque::new();
    for job in jobs {
        let print = prints.of(&job, options)?;
        let found = print.as_ref().and_then(|print| memory.recall::<Found>(&job.name(), print));
        match found {
            Some(found) => _ = tally.take(options, &job, found, None),
            None => left.push_back((job, print)),
        }
    }
    Ok(left)
}

/// Does jobs until there are none left.
fn work(options: &Options, queue: &Queue) -> Result<(), Error> {
    let mut vm = None;
    loop {
        let Some((job, print)) = lock(&queue.jobs).pop_front() else { return Ok(()) };
        let start = Instant::now();
        let found = match &job {
            Job::Checks { plan, control, .. } => {
                let (vm, how) = (started(&mut vm, options)?, job.how(options));
                Found::Checks(run_checks(vm, &how, plan, *control, &queue.tally)?)
            }
            Job::Survey { survey, sample, like } => {
                let vm = started(&mut vm, options)?;
                Found::Survey(run_survey(vm, survey, *sample, like.as_deref())?)
            }
            Job::Page(page) => Found::Page(type_page(page)?),
            Job::Saved => Found::Saved(saved::faults()?),
        };
        let seconds = start.elapsed().as_secs_f64();
        let all_passed = lock(&queue.tally).take(options, &job, found.clone(), Some(seconds));
        if let Some(print) = print.filter(|_| all_passed) {
            queue.memory.keep(&job.name(), &print, found);
        }
    }
}

/// The worker's VM. A page does without, as it has fresh ones.
fn started<'a>(vm: &'a mut Option<Vm>, options: &Options) -> Result<&'a mut Vm, Error> {
    let started = vm.take().map_or_else(|| Vm::start_with(options.program.as_slice()), Ok)?;
    Ok(vm.insert(started))
}

/// The survey's text; None if it failed, and has said why.
fn run_survey(
    vm: &mut Vm,
    survey: &Survey,
    sample: bool,
    like: Option<&str>,
) -> Result<Option<String>, Error> {
    let mut text = String::new();
    let mut words = vec!["survey", survey.name];
    if sample {
        words.push("--sample");
    }
    if let Some(head) = like {
        words.extend(["--like", head]);
    }
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

fn type_page(page: &Page) -> Result<transcripts::Outcome, Error> {
    let accept = env::var_os("INSTA_UPDATE").is_some_and(|value| value == "always");
    let outcome = transcripts::check(page, accept)?;
    if !outcome.hung {
        return Ok(outcome);
    }
    // An emulated kernel locks up now and then ("soft lockup"). A command that hangs by itself hangs again.
    for broken in &outcome.broken {
        println!("      {broken}");
    }
    println!("{}: all of it once more, in new VMs", transcripts::title(page));
    transcripts::check(page, accept)
}

fn run_checks(
    vm: &mut Vm,
    how: &How,
    plan: &Plan,
    control: bool,
    tally: &Mutex<Tally>,
) -> Result<Vec<Report>, Error> {
    let mut reports = Vec::new();
    let others = grading::run_checks(vm, std::slice::from_ref(plan), how, &mut |report| {
        if lock(tally).live {
            println!("{report}");
        }
        reports.push(report);
    })?;
    if !control {
        for line in &others {
            eprintln!("{}: {line}", plan.title());
        }
    }
    Ok(reports)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no worker panicked")
}
