//! System calls that are made to fail, one at a time: the engine has to say so and to end, not to go on without.

use std::fs;

use nix::errno::Errno;

use super::engine::{Engine, Outcome};
use super::failure::{Failure, Verdict, require};

/// Where strace(1) writes what it has seen.
const LOG: &str = "/tmp/refused";

/// A process makes none of these calls more often before it is the command.
const MOST: u32 = 40;

/// What is written to when all is over. If that fails, the next start tries again.
const CLEANS_UP: [&str; 2] = ["cgroup.kill", "cgroup.freeze"];

/// Lets the calls of each list fail with an error: the first that a process makes, in another run the second, and so on.
/// Each list has the names of one call and of what others may use in its place. Of the first list there must be one.
pub fn are_told(engine: &Engine, options: &[&str], lists: &[(&str, Errno)]) -> Verdict {
    let args = [options, &["/bin/probe", "exit", "7"]].concat();
    for (number, (calls, error)) in lists.iter().enumerate() {
        let mut made = 0;
        while made < MOST && is_told(engine, &args, calls, *error, made + 1)? {
            made += 1;
        }
        let line = format!("{} {}", engine.typed_start(), args.join(" "));
        require(made > 0 || number > 0, &line, format!("a call of {calls}"), "none")?;
    }
    Ok(())
}

/// Whether there is a call of this number in a process; if so, it fails, and that must be told.
fn is_told(
    engine: &Engine,
    args: &[&str],
    calls: &str,
    error: Errno,
    nth: u32,
) -> Result<bool, Failure> {
    let inject = format!("--inject={calls}:error={error:?}:when={nth}");
    let trace = format!("--trace={calls}");
    let mut strace = engine.strace(["-qq", "-y", "--seccomp-bpf", "-o", LOG, &trace, &inject]);
    strace.args(engine.line(args));
    let outcome = Outcome::of(strace, b"")?;
    let log = fs::read_to_string(LOG)?;
    fs::remove_file(LOG)?;
    let Some(failed) = log.lines().find(|line| line.contains("(INJECTED)")) else {
        return Ok(false);
    };
    if CLEANS_UP.iter().any(|file| failed.contains(file)) {
        return Ok(true);
    }
    outcome.ends_with(125)?;
    // What fails later because of it, and for another reason, explains nothing.
    let is_about_it = outcome.stderr.lines().count() == 1 && outcome.stderr.contains(error.desc());
    let expected = format!("one line on standard error about the call that failed: {failed}");
    if is_about_it { Ok(true) } else { Err(outcome.failure(expected)) }
}
