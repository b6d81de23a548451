//! Mutation testing: each line that a step adds is changed in the usual ways, one change at a time, and each of these
//! mutants is put to the stage's checks in the VM. One that nobody notices needs a check, or stands in a list with the
//! reason why nobody could notice it. `./just verify mutants` is this.

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, ensure};
use clap::Parser;
use exercises::tasks::Exercise;
use shared::Error;
use sources::Sources;
use tests::snapshots::Snapshots;
use tests::steps;

use found::{Equivalents, Results};
use mutants::Mutant;
use trial::{Found, Trial};

mod changes;
mod found;
mod mutants;
mod program;
mod statements;
mod trial;
mod words;

/// Changes each line that a step adds, and counts which of these mutants the checks catch
#[derive(Parser)]
#[command(name = "verify mutants", version)]
struct Options {
    /// Only these steps
    #[arg(value_name = "STEP", value_parser = clap::value_parser!(u8).range(0..=i64::from(steps::last())))]
    steps: Vec<u8>,

    /// Only the mutants in whose names this is, or another of these texts; the table stays as it is
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,

    /// Only those that nobody caught when the step's mutants were made last
    #[arg(long)]
    survivors: bool,

    /// Put those to the checks, too, that are said to be equivalent
    #[arg(long)]
    equivalent: bool,

    /// Only tell their names
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    shared::main("verify", |options| run(options).map_err(|error| Error::new(format!("{error:#}"))))
}

fn run(options: &Options) -> Result<u8> {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let sources = Sources::read(&checkout)?;
    let equivalents = Equivalents::read(&checkout)?;
    let wanted = |step: &u8| options.steps.is_empty() || options.steps.contains(step);
    let (mut rows, mut wrong) = (Vec::new(), 0);
    for (step, source) in sources.iter().filter(|(step, _)| wanted(step)) {
        let mutants = mutants::all(source)?;
        if options.list {
            for mutant in &mutants {
                println!("step {step}: {}", mutant.name);
            }
            continue;
        }
        let start = Instant::now();
        println!("step {step}: {} mutants, to be built as one program", mutants.len());
        let program = program::build(&checkout, step, source, &mutants)?;
        let seconds = start.elapsed().as_secs();
        println!("step {step}: {} of them compile ({seconds} s)", program.compiled.len());
        let exercise = (step > 0).then(|| Exercise::read(&checkout, step)).transpose()?;
        let mut results = Results::read(&checkout, step)?;
        let before = results.clone();
        let mut trial = Trial::new(step, exercise.as_ref(), &program);
        // For some mutants this would take longer than they do; what catches one is put to the step in any case.
        if options.only.is_empty() {
            trial.right_one()?;
        }
        results.keep(program.compiled.iter().map(|id| mutants[id - 1].name.as_str()));
        for id in &program.compiled {
            let Mutant { name, .. } = &mutants[id - 1];
            let is_equivalent = equivalents.has(step, name);
            let was = before.get(name);
            let is_named = |text: &String| name.contains(text.as_str());
            let is_wanted = (options.only.is_empty() || options.only.iter().any(is_named))
                && (!options.survivors || was.is_none_or(|was| *was == Found::Survived))
                && (!is_equivalent || options.equivalent);
            if !is_wanted {
                continue;
            }
            let start = Instant::now();
            let item = name.split(": ").next().unwrap_or_default();
            let found = trial.put(*id, item)?;
            let seconds = start.elapsed().as_secs();
            println!("  {} ({seconds} s)", found::told(name, &found));
            results.take(name, found)?;
        }
        let minutes = start.elapsed().as_secs() / 60;
        let row = results.row(step, &equivalents);
        println!("step {step}: {row} ({minutes} minutes)");
        wrong += results.complain(step, &equivalents);
        rows.push((step, row));
    }
    if options.list || !options.only.is_empty() {
        return Ok((wrong > 0).into());
    }
    ensure!(!rows.is_empty(), "there is no such step");
    let mut snapshots = Snapshots::default();
    snapshots.compare("mutants", &found::table(&checkout, &rows)?);
    println!("mutants: {} passed, {} failed, 0 skipped", rows.len(), wrong + snapshots.broken);
    Ok((wrong + snapshots.broken > 0).into())
}
