//! Makes one text about all steps, inside the VM. On the host `./just verify NAME` calls it.

use std::process::ExitCode;

use clap::Parser;
use shared::Error;
use tests::checks::setup;
use tests::surveys::{self, Survey, columns};

/// How long a survey waits for what does not come, in seconds.
const PATIENCE: u64 = 20;

#[derive(Parser)]
#[command(version, about = "Puts all steps to the same probes; for the VM, which it changes")]
struct Options {
    /// Which survey
    #[arg(value_parser = survey)]
    name: &'static Survey,

    /// Make no more columns than a table with this head has, and the newest
    #[arg(long, value_name = "HEAD")]
    like: Option<String>,

    /// Only a sample of it, if it has one
    #[arg(long)]
    sample: bool,
}

fn survey(name: &str) -> Result<&'static Survey, String> {
    let names: Vec<&str> = surveys::ALL.iter().map(|survey| survey.name).collect();
    surveys::named(name).ok_or(format!("the surveys are: {}", names.join(", ")))
}

fn main() -> ExitCode {
    shared::main("survey", run)
}

fn run(options: &Options) -> Result<u8, Error> {
    setup::begin(PATIENCE)?;
    if let Some(head) = &options.like {
        columns::make_like(head);
    }
    let sample = options.name.sample.filter(|_| options.sample);
    match surveys::conduct(sample.unwrap_or(options.name.run)) {
        Ok(text) => print!("{text}"),
        Err(failure) => {
            eprintln!("{failure}");
            return Ok(1);
        }
    }
    Ok(0)
}
