//! Every system call of the lesson, in every run of every step, made to fail; and the process that
//! makes it killed just before it. Each time the run must end in time and say what has failed, and
//! leave nothing behind.

mod judge;
mod number;
mod run;
mod state;
mod table;
mod tracer;

use std::time::Duration;

use fastrand::Rng;

use crate::checks::Caller;
use crate::checks::engine::set_patience;
use crate::checks::failure::{Failure, require};

use judge::{Verdict, judge};
use run::{Kind, Occurrence, Run};
use state::State;
use table::Known;
use tracer::Fault;

/// How long a run may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The same for one that has taken too long: on a busy machine that emulates its processor it may have
/// been unlucky, and one that hangs hangs again.
const PATIENCE_AGAIN: Duration = Duration::from_secs(15);

/// Runs that a sample takes, and what it lets happen in each.
const SAMPLED_RUNS: usize = 3;
const SAMPLED_FAULTS: usize = 20;

/// Above the rows that the ladder writes.
const HEAD: &str =
    "| run | system calls | errors | told | survived | killed |\n|---|---|---|---|---|---|\n";

/// All of it.
pub fn run() -> Result<String, Failure> {
    let known = Known::new();
    let mut ladder = Ladder::new(&known);
    for which in run::all() {
        ladder.climb(which, |all| all)?;
    }
    let text = ladder.text()?;
    for survived in &known.survived {
        let tried = "faults/survived.toml";
        let expected = "entries that a run needs";
        require(survived.is_used.get(), tried, expected, format!("not so: {}", survived.tell()))?;
    }
    Ok(HEAD.to_string() + &text)
}

/// A few runs, and a few faults of each.
pub fn sample() -> Result<String, Failure> {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = Rng::with_seed(seed);
    let known = Known::new();
    let mut ladder = Ladder::new(&known);
    let mut runs = run::all();
    random.shuffle(&mut runs);
    for which in runs.into_iter().take(SAMPLED_RUNS) {
        ladder.climb(which, |mut all| {
            random.shuffle(&mut all);
            all.truncate(SAMPLED_FAULTS);
            all
        })?;
    }
    ladder.text()
}

/// Runs, and what has come of them.
struct Ladder<'a> {
    known: &'a Known,
    text: String,
    wrong: Vec<String>,
}

/// Something that happens at a call.
type Rung = (Occurrence, Fault);

/// How many rungs have ended how.
#[derive(Default)]
struct Counts {
    told: usize,
    survived: usize,
    killed: usize,
}

impl<'a> Ladder<'a> {
    fn new(known: &'a Known) -> Ladder<'a> {
        // A traced run takes its time.
        set_patience(20);
        Ladder { known, text: String::new(), wrong: Vec::new() }
    }

    /// Takes one run through those of its rungs that are chosen.
    fn climb(
        &mut self,
        which: (u8, Caller, Kind),
        choose: impl FnOnce(Vec<Rung>) -> Vec<Rung>,
    ) -> Result<(), Failure> {
        let run = Run::of(which)?;
        // The first may make what stays: mount points in the root filesystem.
        run.succeed()?;
        run.empty_store()?;
        let all = run.occurrences(self.known)?;
        run.empty_store()?;
        run.succeed()?;
        let good = State::now(&run.store());
        run.empty_store()?;
        let before = State::now(&run.store());
        let count = all.len();
        let rungs = all.into_iter().flat_map(|at| {
            let faults = self.known.faults(&at.call);
            faults.into_iter().map(move |fault| (at.clone(), fault))
        });
        let (mut counts, mut wrong) = (Counts::default(), Vec::new());
        for (at, fault) in choose(rungs.collect()) {
            let found = self.climb_one(&run, &at, fault, &before, &good, &mut counts);
            if let Err(what) = found? {
                let Occurrence { place, call, arguments } = &at;
                let (name, step, line) = (run.name(), run.step, run.typed());
                let which = format!("process {}, {call} number {}", place.process, place.nth);
                wrong.push(format!("step {step}, {name}: {fault:?} at {which}: {call}({arguments}): {what} [{line}]"));
                before.restore();
            }
            run.empty_store()?;
        }
        let Counts { told, survived, killed } = counts;
        let name = format!("step {}, {}", run.step, run.name());
        let errors = told + survived;
        // As it comes, for somebody who waits.
        eprintln!(
            "{name:25} {count:4} calls {errors:4} errors: {told:4} told, {survived:2} survived; {killed:3} killed, {} wrong",
            wrong.len()
        );
        let row = format!("| {name} | {count} | {errors} | {told} | {survived} | {killed} |\n");
        self.text += &row;
        self.wrong.extend(wrong);
        Ok(())
    }

    /// Lets one thing happen. The inner error says what is wrong.
    fn climb_one(
        &self,
        run: &Run,
        at: &Occurrence,
        fault: Fault,
        before: &State,
        good: &State,
        counts: &mut Counts,
    ) -> Result<Result<(), String>, Failure> {
        let mut ending = tracer::run(&run.program()?, at.place, fault, PATIENCE)?;
        if ending.status.is_none() {
            before.restore();
            run.empty_store()?;
            ending = tracer::run(&run.program()?, at.place, fault, PATIENCE_AGAIN)?;
        }
        let verdict = match judge(self.known, run, at, fault, &ending) {
            Ok(verdict) => verdict,
            Err(wrong) => return Ok(Err(wrong)),
        };
        let (count, cleaned_later) = match verdict {
            Verdict::Told => (&mut counts.told, false),
            Verdict::Survived(survived) => (&mut counts.survived, survived.cleaned_later),
            Verdict::Killed => (&mut counts.killed, true),
        };
        *count += 1;
        // A pull that goes on has pulled.
        let is_pulled = run.kind == Kind::Pull && matches!(verdict, Verdict::Survived(_));
        let store = run.store();
        let Some(left) = (if is_pulled { good } else { before }).changes(&store) else {
            return Ok(Ok(()));
        };
        if !cleaned_later {
            return Ok(Err(format!("left behind: {left}")));
        }
        run.succeed()?;
        let after = if run.kind == Kind::Pull { good } else { before };
        let left = after.changes(&store);
        Ok(left.map_or(Ok(()), |left| Err(format!("left behind, also by the next start: {left}"))))
    }

    fn text(self) -> Result<String, Failure> {
        let seen = format!("\n{}", self.wrong.join("\n"));
        let expected = "runs that end in time, say what has failed, and leave nothing behind";
        require(self.wrong.is_empty(), "the lesson's system calls, made to fail", expected, seen)?;
        Ok(self.text)
    }
}
