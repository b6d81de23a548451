//! `./just start`, `check`, `hint`, `solution`, `reset` and `progress`: writing a step oneself.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow, ensure};
use clap::{Parser, Subcommand};
use exercises::grade::{At, Failed, Grading};
use exercises::progress::Progress;
use exercises::tasks::Exercise;
use exercises::watch::Watch;
use exercises::{build, place, report, solution};
use shared::Error;
use tests::checks::draw;
use tests::vm::Vm;

/// How long a check waits for what does not come, in seconds. On a busy machine that emulates another
/// one a step in a check takes two.
const PATIENCE_OF_CHECK: u64 = 8;

/// The same while a learner waits for an answer.
const PATIENCE_OF_WATCH: u64 = 4;

/// The steps as exercises: write them yourself, in work/stepN
#[derive(Parser)]
#[command(version)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes work/stepN, with the code of the step before and what to do
    Start {
        #[arg(value_parser = step)]
        step: u8,
    },
    /// Moves work/stepN aside
    Reset {
        #[arg(value_parser = step)]
        step: u8,
    },
    /// Checks work/stepN, or another program, in the VM
    Check {
        #[arg(value_parser = step)]
        step: u8,

        /// The program to check, in any language
        #[arg(long, value_name = "FILE")]
        bin: Option<PathBuf>,

        /// Check the stages from this one on, too
        #[arg(long, value_name = "STAGE")]
        from: Option<u8>,

        /// Repeat a run: what the checks put in is drawn from this number
        #[arg(long, value_name = "NUMBER")]
        seed: Option<u64>,
    },
    /// Checks work/stepN, and again each time that you save a file
    Watch {
        #[arg(value_parser = step)]
        step: u8,
    },
    /// Gives the next hint of a task, below those that it has given
    Hint {
        #[arg(value_parser = step)]
        step: u8,

        /// The task; without it, the first that is not done
        task: Option<usize>,

        /// Show what was shown, and no more
        #[arg(long)]
        again: bool,
    },
    /// Shows what the reference has where your code has something else
    Solution {
        #[arg(value_parser = step)]
        step: u8,

        /// The task; without it, all
        task: Option<usize>,
    },
    /// Shows what is done
    Progress,
    /// Writes what is done to work/report.json and work/report.txt
    Report,
}

/// A step that can be written: there is one before it.
fn step(text: &str) -> Result<u8, String> {
    let last = tests::steps::last();
    let number = text.parse().ok().filter(|step| (1..=last).contains(step));
    number.ok_or(format!("the exercises are 1 to {last}"))
}

fn main() -> ExitCode {
    shared::main("exercise", |options| {
        run(options).map_err(|error| Error::new(format!("{error:#}")))
    })
}

fn run(options: &Options) -> Result<u8> {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    match &options.command {
        Command::Start { step } => {
            if place::start(&checkout, *step)? {
                println!("work/step{step} is made: begin with work/step{step}/TASKS.md")
            } else {
                println!(
                    "work/step{step} is there already, and stays as it is (./just reset {step} moves it aside)"
                )
            }
            Ok(0)
        }
        Command::Reset { step } => {
            let date = jiff::Zoned::now().date().to_string();
            let aside = place::reset(&checkout, *step, &date)?;
            let aside = aside.strip_prefix(&checkout).unwrap_or(&aside);
            Progress::forget(&checkout, *step)?;
            println!("work/step{step} is {} now; ./just start {step} begins anew", aside.display());
            Ok(0)
        }
        Command::Check { step, bin, from, seed } => {
            let exercise = Exercise::read(&checkout, *step)?;
            let program = match bin {
                Some(program) => program.canonicalize().with_context(|| format!("{program:?}"))?,
                None => built(&checkout, *step)?,
            };
            let from = from.unwrap_or(*step);
            ensure!(from <= *step, "--from {from} is after stage {step}: it is the first to check");
            let mut vm = start_vm(&program)?;
            let seed = seed.unwrap_or_else(draw::new_seed);
            let patience = PATIENCE_OF_CHECK;
            // Another program than the learner's has no history.
            let was_right = match bin {
                Some(_) => Vec::new(),
                None => was_right(&mut Progress::read(&checkout)?, &exercise),
            };
            let grading =
                Grading { exercise: &exercise, program, from, seed, patience, was_right, at: None };
            let outcomes = grading.grade(&mut vm)?;
            if bin.is_none() {
                Progress::note(&checkout, *step, &outcomes.tasks)?;
            }
            Ok((!outcomes.failed.is_empty()).into())
        }
        Command::Watch { step } => watch(&checkout, *step),
        Command::Hint { step, task, again } => {
            let exercise = Exercise::read(&checkout, *step)?;
            let mut progress = Progress::read(&checkout)?;
            let tasks = progress.tasks(*step, exercise.tasks.len());
            let number = task.or_else(|| Some(tasks.iter().position(|task| !task.is_whole())? + 1));
            let Some(number) = number else {
                println!("Step {step} is done.");
                return Ok(0);
            };
            let task = exercise.task(number)?;
            let shown = &mut tasks[number - 1].hints;
            *shown = (*shown + usize::from(!again)).min(task.hints.len());
            println!("Task {number}: {}", task.title);
            if *shown == 0 {
                println!("\nNo hint was given yet: ./just hint {step} {number} gives the first.");
            }
            for (count, hint) in (1..).zip(&task.hints).take(*shown) {
                println!("\nHint {count} of {}: {}", task.hints.len(), hint.trim());
            }
            if *shown == task.hints.len() {
                println!(
                    "\nThat is the last. ./just solution {step} {number} shows how the reference does it."
                );
            }
            progress.write(&checkout)?;
            Ok(0)
        }
        Command::Solution { step, task } => {
            let exercise = Exercise::read(&checkout, *step)?;
            println!("- is yours, + is the reference's.\n");
            for (number, a_task) in exercise.numbered() {
                if task.is_none_or(|task| task == number) {
                    println!("Task {number}: {}\n", a_task.title);
                    print!("{}", solution::diff(&checkout, &exercise, number, task.is_none())?);
                    println!();
                }
            }
            if let Some(task) = task {
                exercise.task(*task)?;
            }
            Ok(0)
        }
        Command::Progress => {
            print!("{}", Progress::read(&checkout)?);
            Ok(0)
        }
        Command::Report => {
            print!("{}", report::write(&checkout, &Progress::read(&checkout)?)?);
            println!(
                "\nThis is in work/report.txt, and in work/report.json for a program. The name is LOGNAME's."
            );
            Ok(0)
        }
    }
}

/// Which tasks of an exercise were right at an earlier check.
fn was_right(progress: &mut Progress, exercise: &Exercise) -> Vec<bool> {
    let tasks = progress.tasks(exercise.step, exercise.tasks.len());
    tasks.iter().map(|task| task.was_right).collect()
}

/// Builds work/stepN, and says how long that may take.
fn built(checkout: &Path, step: u8) -> Result<PathBuf> {
    let time = if build::has_built(checkout, step) {
        ""
    } else {
        " (the first time with what it uses, which may take minutes)"
    };
    eprintln!("building work/step{step}{time} …");
    build::build(checkout, step)
}

fn start_vm(program: &Path) -> Result<Vm> {
    eprintln!("starting the virtual machine …");
    Vm::start_with(&[program.to_owned()]).map_err(|error| anyhow!("{error}"))
}

/// Until Ctrl-C. The VM stays up, and what failed last is checked first: an answer takes seconds.
fn watch(checkout: &Path, step: u8) -> Result<u8> {
    let exercise = Exercise::read(checkout, step)?;
    let watch = Watch::on(&place::begun(checkout, step)?)?;
    let mut vm: Option<Vm> = None;
    // An image that the checks have made stays in the VM, and has what was drawn for it.
    let seed = draw::new_seed();
    let patience = PATIENCE_OF_WATCH;
    let mut failed: Option<Failed> = None;
    let mut check = || {
        let program = built(checkout, step)?;
        let mut progress = Progress::read(checkout)?;
        let tasks = progress.tasks(step, exercise.tasks.len());
        let task = tasks.iter().position(|task| !task.is_whole()).unwrap_or(0) + 1;
        let was_right = was_right(&mut progress, &exercise);
        let at = Some(At { task, failed: failed.as_ref() });
        let grading =
            Grading { exercise: &exercise, program, from: step, seed, patience, was_right, at };
        // A program may leave a VM that is good for nothing. It is not used again, and what it did to the
        // next program does not count.
        let again = vm.take().and_then(|mut running| {
            running.put(&grading.program).ok()?;
            Some((grading.grade(&mut running).ok()?, running))
        });
        let (outcomes, running) = match again {
            Some(both) => both,
            None => {
                let mut fresh = start_vm(&grading.program)?;
                (grading.grade(&mut fresh)?, fresh)
            }
        };
        vm = Some(running);
        failed = outcomes.failed.into_iter().next();
        Progress::note(checkout, step, &outcomes.tasks)
    };
    loop {
        if let Err(error) = check() {
            println!("{error:#}");
        }
        println!("\nWaiting for you to save a file in work/step{step}; Ctrl-C ends this.");
        watch.wait()?;
    }
}
