//! `./just bench`: the steps, their peers and the least program that does the same, side by side.

mod bench;
mod figures;
mod images;
mod machine;
mod measure;
mod registry;
mod report;
mod rows;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use nix::unistd::geteuid;

use bench::Bench;
use machine::Machine;
use report::{Measured, Record};
use rows::Row;

/// Measures the steps beside their peers, in turns, and says what is reached
#[derive(Parser)]
#[command(bin_name = "./just bench", about)]
struct Options {
    /// Few repetitions and small images; fails only if something is twice as bad as it should be
    #[arg(long)]
    short: bool,

    /// Keep the figures for the book, in book/bench.json
    #[arg(long, conflicts_with = "short")]
    record: bool,

    /// How often each does the work, if not as often as the row says
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..))]
    rounds: Option<u16>,

    /// An empty folder to work in
    #[arg(long, hide = true)]
    scratch: PathBuf,

    /// Where the steps are, as they are shipped
    #[arg(long, hide = true)]
    steps: PathBuf,

    /// The least program
    #[arg(long, hide = true)]
    floor: PathBuf,

    /// What kind of file system it is in, if it is a new one
    #[arg(long, hide = true, value_name = "WHAT")]
    filesystem: Option<String>,

    /// docker-registry
    #[arg(long, hide = true)]
    registry: PathBuf,

    /// The rows to measure; without one, all that do not take many minutes
    #[arg(value_name = "ROW", value_parser = row)]
    rows: Vec<&'static Row>,
}

fn row(name: &str) -> Result<&'static Row, String> {
    let names: Vec<&str> = rows::ALL.iter().map(|row| row.name).collect();
    let row = rows::ALL.iter().find(|row| row.name == name);
    row.ok_or_else(|| format!("the rows are {}", names.join(", ")))
}

fn main() -> ExitCode {
    shared::main("bench", |options: &Options| {
        run(options).map_err(shared::Error::new).map(|is_reached| u8::from(!is_reached))
    })
}

/// Measures; false if something is far off.
fn run(options: &Options) -> Result<bool, String> {
    let checkout = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let checkout = checkout.canonicalize().map_err(|error| error.to_string())?;
    let scratch = options.scratch.clone();
    measure::adopt_orphans();
    let machine = Machine::here(&scratch, options.filesystem.clone());
    println!("{}", report::head(&machine));
    let missing = machine::missing();
    if !missing.is_empty() {
        println!("Not installed, so not measured: {0} (sudo apt install {0})", missing.join(" "));
    }
    let programs = ["step4", "step7", "step8", "step9", "step10", "step11", "step12"]
        .map(|name| options.steps.join(name));
    let programs = [&programs[..], std::slice::from_ref(&options.floor)].concat();
    let registry = options.registry.clone();
    let bench = Bench::new(scratch, checkout.clone(), &programs, registry, options.short)?;
    let mut is_far_off = false;
    for row in chosen(options) {
        if row.needs_root && !geteuid().is_root() {
            println!("\n{}: not measured, because it needs root", row.name);
            continue;
        }
        let rounds = if options.short { row.short_rounds } else { row.rounds };
        let rounds = options.rounds.map_or(rounds, usize::from);
        if rounds == 0 {
            println!("\n{}: not measured, because it has no short form", row.name);
            continue;
        }
        let mut figures = Measured::measure(row, rounds, &bench)?;
        print!("{}", figures.text());
        if options.short && figures.is_far_off() {
            // Something else may have kept the machine busy.
            println!("{}: far off, so once more", row.name);
            figures = Measured::measure(row, rounds, &bench)?;
            print!("{}", figures.text());
        }
        is_far_off |= figures.is_far_off();
        if options.record {
            // At once: a row that fails later does not take this one with it.
            Record::add(&checkout.join("book/bench.json"), machine.clone(), vec![figures])?;
        }
    }
    if options.short {
        let come = if is_far_off { "something is, see above" } else { "nothing is" };
        println!("\nfar off (twice its bar): {come}");
    }
    Ok(!(options.short && is_far_off))
}

fn chosen(options: &Options) -> Vec<&'static Row> {
    if !options.rows.is_empty() {
        return options.rows.clone();
    }
    let is_meant = |row: &&Row| !row.is_slow && (!options.short || row.short_rounds > 0);
    rows::ALL.iter().filter(is_meant).collect()
}
