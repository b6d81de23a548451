//! Proves in the VM that the exercises are sound: an untouched starter keeps the promises of the
//! stages before and none of its own, each typical mistake is recognised, and a program in another
//! language can pass.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::{self, ExitCode};
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, ensure};
use clap::Parser;
use exercises::tasks::Exercise;
use shared::Error;
use sources::Sources;
use tests::checks::draw;
use tests::steps;
use tests::vm::Vm;

use case::{Case, IN_C, Kind};
use variants::Variants;

mod case;
mod variants;

/// VMs at a time, so that two cores are busy.
const VMS: usize = 2;

/// Proves in the VM that the exercises are sound
#[derive(Parser)]
#[command(version)]
struct Options {
    /// Put the starters to all checks of their stage and of those before, not to one of each task, and the
    /// mistakes also to the checks that come before the one that shows them
    #[arg(long)]
    all: bool,

    /// Repeat a run: what the checks put in is drawn from this number
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,

    /// Only these exercises
    #[arg(value_name = "STEP", value_parser = clap::value_parser!(u8).range(1..=i64::from(steps::last())))]
    steps: Vec<u8>,
}

fn main() -> ExitCode {
    shared::main("prove", |options| run(options).map_err(|error| Error::new(format!("{error:#}"))))
}

fn run(options: &Options) -> Result<u8> {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let sources = Sources::read(&checkout)?;
    let wanted = |step: &u8| options.steps.is_empty() || options.steps.contains(step);
    let exercises: Vec<Exercise> = (1..=steps::last())
        .filter(wanted)
        .map(|step| Exercise::read(&checkout, step))
        .collect::<Result<_>>()?;
    let mut variants = Variants::default();
    let mut kinds = Vec::new();
    for exercise in &exercises {
        let name = format!("starter{}", exercise.step);
        variants.add_starter(&checkout, &sources, exercise, &name)?;
        // Step 0 is no exercise; all that it promises is soon checked.
        let kept = match exercise.step {
            1 => Vec::new(),
            step => first_checks(&Exercise::read(&checkout, step - 1)?),
        };
        let own = first_checks(exercise);
        // One in which something begins empty that was there before, as `child` in step 8, runs no container,
        // which most of the earlier checks want.
        let begins_empty = exercise.tasks.iter().any(|task| !task.anew.is_empty());
        let first = if begins_empty { exercise.step - 1 } else { 0 };
        let given = exercise.tasks.iter().flat_map(|task| task.given.clone()).collect();
        kinds.push((name, Kind::Starter { step: exercise.step, first, kept, own, given }));
        let mut mistakes = Vec::new();
        for (number, task) in exercise.numbered() {
            for (count, mistake) in (1..).zip(&task.mistakes) {
                let name = format!("mistake{}-{number}-{count}", exercise.step);
                kinds.push((name.clone(), Kind::Mistake(exercise, mistake)));
                mistakes.push((name, mistake));
            }
        }
        variants.add_mistakes(&checkout, &sources, exercise, &mistakes)?;
    }
    let start = Instant::now();
    let programs = variants.build(&checkout)?;
    let seed = options.seed.unwrap_or_else(draw::new_seed);
    let (count, seconds) = (kinds.len(), start.elapsed().as_secs_f64());
    println!("{count} programs are built ({seconds:.0} s); --seed {seed} repeats what follows");
    let mut cases = VecDeque::new();
    for (name, kind) in kinds {
        let program = programs.get(&name).with_context(|| format!("{name} has no program"))?;
        cases.push_back(Case { program: program.clone(), kind });
    }
    if wanted(IN_C.end()) {
        cases.push_back(Case { program: in_c(&checkout)?, kind: Kind::InC });
    }
    let queue = Mutex::new(Queue { cases, passed: 0, failed: 0 });
    thread::scope(|scope| {
        let workers: Vec<_> =
            (0..VMS).map(|_| scope.spawn(|| work(&queue, options.all, seed))).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("a worker does not panic"))
    })?;
    let Queue { passed, failed, .. } = *lock(&queue);
    println!("exercises: {passed} passed, {failed} failed, 0 skipped");
    Ok((failed > 0).into())
}

/// Of each task the first check.
fn first_checks(exercise: &Exercise) -> Vec<String> {
    exercise.tasks.iter().filter_map(|task| task.checks.first().cloned()).collect()
}

/// What is still to do, and what has come of the rest.
struct Queue<'a> {
    cases: VecDeque<Case<'a>>,
    passed: usize,
    failed: usize,
}

/// Takes cases until there are none left.
fn work(queue: &Mutex<Queue>, all: bool, seed: u64) -> Result<()> {
    let start_vm = || Vm::start().map_err(|error| anyhow!("{error}"));
    let mut vm = start_vm()?;
    loop {
        let Some(case) = lock(queue).cases.pop_front() else { return Ok(()) };
        let start = Instant::now();
        // A mistake may leave a VM that is good for nothing: what goes wrong in it does not count.
        let wrong = match case.wrong(&mut vm, all, seed) {
            Ok(wrong) if wrong.is_empty() => wrong,
            _ => {
                vm = start_vm()?;
                case.wrong(&mut vm, all, seed)?
            }
        };
        let mut queue = lock(queue);
        let mark = if wrong.is_empty() { "ok" } else { "FAIL" };
        println!("{mark:>4}  {} ({:.0} s)", case.title(), start.elapsed().as_secs_f64());
        for wrong in &wrong {
            println!("        {wrong}");
        }
        if wrong.is_empty() { queue.passed += 1 } else { queue.failed += 1 }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no worker panicked")
}

/// Builds the engine in C.
fn in_c(checkout: &Path) -> Result<PathBuf> {
    let program = checkout.join("target/exercises/engine-in-c");
    let source = checkout.join("exercises/in-c/engine.c");
    let status = process::Command::new("cc")
        .args(["-O2", "-Wall", "-Wextra", "-Werror", "-static", "-o"])
        .args([&program, &source])
        .status()
        .context("run cc")?;
    ensure!(status.success(), "{source:?} does not compile, see above");
    Ok(program)
}
