//! Hostile registries: each does one thing to whoever pulls from it. No pull hangs, none takes much
//! memory, and each that fails says why in one line.

use std::cmp::Reverse;
use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use super::engine;
use super::measured::Run;
use crate::checks::engine::Engine;
use crate::checks::failure::{Failure, Verdict, equal, require};
use crate::checks::images::Home;
use crate::checks::images::image::digest;
use crate::checks::{Caller, draw};

mod answers;
mod bodies;
mod liar;
mod logins;

use liar::Liar;

/// MiB that the engine may have.
const MEMORY: u64 = 64;

/// Pulls at a time: nearly all of them wait.
const AT_A_TIME: usize = 8;

/// How long a pull takes, for a person. It may take longer where the processor is emulated, and the
/// machine does other things, too.
#[derive(Clone, Copy, PartialEq)]
enum Within {
    /// It is over as soon as the answer is there.
    NoTime,
    /// The registry is given some time, or some more attempts.
    AMinute,
    /// It is given time more than once.
    TwoMinutes,
}

impl Within {
    fn most(self) -> Duration {
        Duration::from_secs(match self {
            Within::NoTime => 60,
            Within::AMinute => 120,
            Within::TwoMinutes => 240,
        })
    }

    /// The bound, as the book shows it.
    fn shown(self) -> &'static str {
        match self {
            Within::NoTime => "a minute",
            Within::AMinute => "two minutes",
            Within::TwoMinutes => "four minutes",
        }
    }
}

/// What a registry does, and what must come of it.
struct Case {
    /// What it does, for the book.
    what: &'static str,
    within: Within,
    /// The words of the one line; None: the image is pulled all the same.
    refused: Option<&'static str>,
    /// Whether the caller has kept a login for it.
    has_login: bool,
    /// Starts it, and those that it leads to.
    start: fn() -> Result<Registry, Failure>,
}

/// A registry that was started.
struct Registry {
    /// What is pulled.
    name: String,
    /// What must hold when the pull is over.
    then: Box<dyn Fn() -> Verdict + Send>,
    /// A file of certificates to trust.
    trusted: Option<String>,
}

impl Registry {
    fn of(liar: &Liar) -> Registry {
        let name = format!("{}/test", liar.address);
        Registry { name, then: Box::new(|| Ok(())), trusted: None }
    }

    /// The same, with what must hold when the pull is over.
    fn then(self, then: impl Fn() -> Verdict + Send + 'static) -> Registry {
        Registry { then: Box::new(then), ..self }
    }
}

fn cases() -> Vec<Case> {
    [answers::cases(), bodies::cases(), logins::cases()].into_iter().flatten().collect()
}

/// The table.
pub fn run() -> Result<String, Failure> {
    let cases = cases();
    put_to_test(&cases.iter().collect::<Vec<_>>())?;
    let row = |case: &Case| {
        let comes = match case.refused {
            None => "the image is pulled".to_string(),
            Some(words) => format!("refused: {words}"),
        };
        format!("| {} | {comes} | {} |\n", case.what, case.within.shown())
    };
    Ok("| registry | what comes of it | within |\n|---|---|---|\n".to_string()
        + &cases.iter().map(row).collect::<String>())
}

/// Those that take no time, or some of them.
pub fn sample() -> Result<String, Failure> {
    let seed = draw::new_seed();
    draw::set_seed(seed);
    let cases = cases();
    let fast = cases.iter().filter(|case| case.within == Within::NoTime);
    let some: Vec<&Case> = draw::some_of(fast, 2).collect();
    put_to_test(&some)?;
    Ok(format!("registries: {} of {} (seed {seed})\n", some.len(), cases.len()))
}

/// Pulls from all of them, by ada.
fn put_to_test(cases: &[&Case]) -> Verdict {
    let step7 = engine(7, Caller::Ada)?;
    // Those that wait first: so the others need no time of their own.
    let mut cases = cases.to_vec();
    cases.sort_by_key(|case| Reverse(case.within.most()));
    let (file, next, failed) = (step7.binary.clone(), AtomicUsize::new(0), Mutex::new(0));
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let engine = Engine::new(file.clone(), 7, Caller::Ada);
                    if let Err(failure) = try_one(case, &engine) {
                        let tried = format!("{}: {}", case.what, failure.tried);
                        eprintln!("{}", Failure { tried, ..failure });
                        *failed.lock().expect("nobody panics") += 1;
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("nobody panics");
    require(failed == 0, "all registries", "no failure", format!("{failed}, see above"))
}

/// The login that is kept for those cases that have one.
fn login() -> String {
    BASE64_STANDARD.encode("alice:correct horse")
}

fn try_one(case: &Case, engine: &Engine) -> Verdict {
    let registry = (case.start)()?;
    let home = Home::new(engine)?;
    if case.has_login {
        let host = registry.name.split('/').next().unwrap_or_default();
        let config = json!({ "auths": { host: { "auth": login() } } });
        home.make_file(".docker/config.json", 0o600, &config.to_string())?;
    }
    let mut command = home.pull(&[&registry.name]);
    if let Some(file) = &registry.trusted {
        command.env("SSL_CERT_FILE", file);
    }
    let run = Run::alone(&command, Caller::Ada, case.within.most())?;
    run.has_taken(case.within.most(), MEMORY)?;
    let outcome = &run.outcome;
    match case.refused {
        Some(words) => {
            outcome.ends_with(125)?.prints("")?;
            // Before it gives up it says what it waits for.
            let last = outcome.stderr.lines().last().unwrap_or_default();
            let ours: Vec<&str> =
                outcome.stderr.lines().filter(|line| line.starts_with("step7: ")).collect();
            let right = ours == [last] && last.contains(words) && last.len() < 1000;
            let expected = format!("one last line of step7's with {words}");
            require(right, &outcome.tried, expected, &outcome.stderr)?;
            equal("pull", "root filesystems", Vec::new(), home.entries("rootfs")?)?;
        }
        None => drop(home.rootfs(outcome)?),
    }
    is_sound(&home)?;
    (registry.then)()
}

/// Requires that what is in the store is what its name says.
fn is_sound(home: &Home) -> Verdict {
    for name in home.entries("images/blobs/sha256")? {
        let bytes = fs::read(home.layout().join("blobs/sha256").join(&name))?;
        equal("pull", "a blob's digest", format!("sha256:{name}"), digest(&bytes))?;
    }
    Ok(())
}
