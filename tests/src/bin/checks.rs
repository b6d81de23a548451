//! Puts programs to the checks, inside the VM. On the host `./just verify` calls it.

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use shared::{Error, Explain};
use tests::checks::engine::{Caller, Engine};
use tests::checks::machine::Machine;
use tests::checks::setup::{begin, find};
use tests::checks::waiting::end_when_idle;
use tests::checks::{self, Check, draw, fixture};
use tests::report::{Plan, Report};

#[derive(Parser)]
#[command(version, about = "Puts programs to the checks; for the VM, which it changes")]
struct Options {
    /// Print a JSON object for each check instead of text
    #[arg(long)]
    json: bool,

    /// How long a check waits for what does not come
    #[arg(long, value_name = "SECONDS", default_value_t = 20)]
    patience: u64,

    /// End a wait earlier, when the machine has been idle for so long of it
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 0)]
    idle: u64,

    /// What the checks put in is drawn from this number
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    seed: u64,

    /// Only the checks of these names, in this order
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    only: Vec<String>,

    /// Of many runs of one kind make some, which are drawn
    #[arg(long)]
    sparing: bool,

    /// End after the first check that fails
    #[arg(long)]
    until_failure: bool,

    /// Only make the files of the checks, for this caller: root or ada
    #[arg(long, value_name = "USER", conflicts_with = "plan")]
    prepare: Option<String>,

    /// PROGRAM:STEP:FIRST-LAST:CALLER, as in step4:4:0-4:root
    #[arg(required_unless_present = "prepare")]
    plan: Vec<Plan>,
}

impl Options {
    /// The checks of a plan.
    fn checks(&self, plan: &Plan) -> Vec<&'static Check> {
        let mut checks: Vec<_> = checks::all().filter(|check| plan.has(check)).collect();
        if !self.only.is_empty() {
            let place = |check: &&Check| self.only.iter().position(|name| name == check.name);
            checks.retain(|check| place(check).is_some());
            checks.sort_by_key(place);
        }
        checks
    }
}

fn main() -> ExitCode {
    shared::main("checks", run)
}

fn run(options: &Options) -> Result<u8, Error> {
    draw::set_seed(options.seed);
    draw::set_sparing(options.sparing);
    begin(options.patience)?;
    end_when_idle(options.idle);
    if let Some(user) = &options.prepare {
        let caller = if user == "ada" { Caller::Ada } else { Caller::Root };
        fixture::hand_over(caller).explain("give the files of the checks to the caller")?;
        return Ok(0);
    }
    let mut failed = false;
    for (number, plan) in options.plan.iter().enumerate() {
        let caller = plan.called_by.user();
        fixture::hand_over(caller)
            .explain("give the files of the checks to the engine's caller")?;
        let engine = Engine::new(find(&plan.program)?, plan.step, caller);
        for check in options.checks(plan) {
            let report = put_to(check, &engine, number);
            failed |= report.failure.is_some();
            if options.json {
                println!("{}", serde_json::to_string(&report).expect("it is plain data"))
            } else {
                println!("{report}")
            }
            if failed && options.until_failure {
                return Ok(1);
            }
        }
    }
    Ok(failed.into())
}

/// Runs one check. Whatever it was about, the machine must be as before when it is over.
fn put_to(check: &Check, engine: &Engine, plan: usize) -> Report {
    let (before, files) = (Machine::now(), fixture::contents());
    let start = Instant::now();
    let verdict = (check.run)(engine);
    engine.asks_for_nothing();
    let verdict = verdict.and_then(|()| before.is_unchanged());
    before.restore();
    fixture::tidy(&files);
    Report {
        plan,
        stage: check.stage,
        name: check.name.into(),
        promise: check.promise.into(),
        failure: verdict.err(),
        shown: engine.take_shown(),
        seconds: start.elapsed().as_secs_f64(),
    }
}
