//! Stage 11: fewer system calls.

use std::collections::BTreeMap;

use super::engine::{Engine, Outcome};
use super::failure::{Failure, Verdict, equal, require};
use super::images::{Archive, Home, Item};
use super::{Check, samples};

mod filtered;
mod profiles;
mod recorded;

/// The checks, by what they are about.
pub const CHECKS: [&[Check]; 3] = [filtered::CHECKS, profiles::CHECKS, recorded::CHECKS];

/// An image with the program that makes calls: plain, and set-user-ID root.
fn image(engine: &Engine) -> Result<String, Failure> {
    let image = samples::offer_once("calls", || {
        let program = std::fs::read("/slipway/bin/probe").unwrap_or_default();
        let item = Item { mode: 0o4755, content: &program, ..Item::default() };
        (serde_json::Value::Null, Some(Archive::begin().add("bin/setuid", item)))
    })?;
    engine.ready(image)
}

/// Runs a command in that image.
fn run(engine: &Engine, options: &[&str], command: &[&str]) -> Result<Outcome, Failure> {
    Outcome::of(engine.image(options, &image(engine)?, command), b"")
}

/// Makes one call in there, with arguments in base 16: `ok`, or its errno.
fn call(
    engine: &Engine,
    options: &[&str],
    number: i64,
    arguments: &str,
) -> Result<String, Failure> {
    let number = number.to_string();
    let mut command = vec!["/bin/probe", "call", &number];
    command.extend(arguments.split_whitespace());
    let outcome = run(engine, options, &command)?;
    Ok(outcome.ends_with(0)?.stdout.trim().to_string())
}

/// Requires that this is what a call comes to.
fn comes_to(
    engine: &Engine,
    options: &[&str],
    (number, arguments): (i64, &str),
    expected: &str,
) -> Verdict {
    let tried = format!("{} call {number} {arguments}", options.join(" "));
    equal(&tried, "the call", expected.to_string(), call(engine, options, number, arguments)?)
}

/// What each call comes to, by number.
fn all_calls(text: &str) -> BTreeMap<u32, String> {
    let pair = |line: &str| {
        let (number, answer) = line.split_once(' ')?;
        Some((number.parse().ok()?, answer.to_string()))
    };
    text.lines().filter_map(pair).collect()
}

/// A profile of the caller's, and the option for it.
fn profile(home: &Home, name: &str, text: &str) -> Result<String, Failure> {
    let path = home.make_file(name, 0o644, text)?;
    Ok(format!("--security-opt=seccomp={}", path.display()))
}
