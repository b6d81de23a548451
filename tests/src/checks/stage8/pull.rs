//! Where the image comes from: the store, or a registry.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::bare;
use crate::checks::engine::{Caller, Engine, Outcome, called_by};
use crate::checks::failure::{Failure, Verdict};
use crate::checks::fixture::own;
use crate::checks::samples;

promises! { stage 8:
    pulls_what_is_missing by one "an image that is not here is pulled, and run"
    pull_never by one "--pull never: an image that is not here is an error, status 125"
    image_not_to_be_had by one "an image that the registry does not have: status 125 and one line"
    moved_tag_is_seen by one "--pull always asks the registry what the name stands for now"
    offline by one "what is here runs without a network"
    unfit_home "a $SLIPWAY_HOME on a file system that can't hold layers: status 125 and the cure"
    private_store "no other user of the machine reaches an image's files"
}

/// An image that prints one word.
fn saying(tag: &str, word: &str) -> Result<String, Failure> {
    samples::offer(tag, json!({ "Cmd": ["/bin/probe", "args", word] }), None)
}

fn pulls_what_is_missing(engine: &Engine) -> Verdict {
    let image = saying("missing", "pulled")?;
    engine.run_image(&[], &image, &[])?.ends_with(0)?.prints("pulled\n")?;
    // Now it is here.
    let outcome = engine.run_image(&["--pull", "never"], &image, &[])?;
    outcome.ends_with(0)?.prints("pulled\n")?;
    Ok(())
}

fn pull_never(engine: &Engine) -> Verdict {
    let image = saying("never", "pulled")?;
    let outcome = engine.run_image(&["--pull", "never"], &image, &[])?;
    outcome.ends_with(125)?.prints("")?.complains_of(&[&image, "--pull"])
}

fn image_not_to_be_had(engine: &Engine) -> Verdict {
    let image = bare(engine)?.replace(":bare", ":there-is-none");
    let outcome = engine.run_image(&[], &image, &["/bin/probe", "args", "started"])?;
    outcome.ends_with(125)?.prints("")?.complains_of(&["there-is-none"])
}

fn moved_tag_is_seen(engine: &Engine) -> Verdict {
    let image = saying("moving", "old")?;
    engine.run_image(&[], &image, &[])?.ends_with(0)?.prints("old\n")?;
    saying("moving", "new")?;
    engine.run_image(&["--pull", "missing"], &image, &[])?.ends_with(0)?.prints("old\n")?;
    engine.run_image(&["--pull", "always"], &image, &[])?.ends_with(0)?.prints("new\n")?;
    engine.run_image(&[], &image, &[])?.ends_with(0)?.prints("new\n")?;
    Ok(())
}

fn offline(engine: &Engine) -> Verdict {
    let image = bare(engine)?;
    engine.pulled(&image)?;
    let alone = |options: &[&str]| {
        let mut command = Command::new("/usr/bin/unshare");
        let id = engine.caller.id().to_string();
        command.args(["--net", "setpriv", "--reuid", &id, "--regid", &id, "--clear-groups"]);
        command.arg(&engine.binary).arg("run").args(options).arg(&image);
        Outcome::of(
            {
                command.args(["/bin/probe", "args", "started"]);
                command
            },
            b"",
        )
    };
    alone(&[])?.ends_with(0)?.prints("started\n")?;
    let outcome = last_line(alone(&["--pull", "always"])?);
    outcome.ends_with(125)?.prints("")?.complains_of(&["127.0.0.1"])
}

/// The outcome with the last line of standard error alone: before it a pull may tell what it does.
fn last_line(outcome: Outcome) -> Outcome {
    let last = outcome.stderr.lines().last().unwrap_or_default().to_string();
    Outcome { stderr: last, ..outcome }
}

fn unfit_home(engine: &Engine) -> Verdict {
    let home = Path::new("/tmp/home");
    fs::create_dir(home)?;
    own(home, engine.caller)?;
    let mut command = engine.image(&[], &bare(engine)?, &["/bin/probe", "args", "started"]);
    command.env("SLIPWAY_HOME", home);
    let outcome = Outcome::of(command, b"");
    fs::remove_dir_all(home)?;
    last_line(outcome?).ends_with(125)?.prints("")?.complains_of(&["/tmp/home", "set SLIPWAY_HOME"])
}

fn private_store(engine: &Engine) -> Verdict {
    engine.sh_in_bare(&[], "exit 0")?.ends_with(0)?;
    let rootfs = engine.pulled(&bare(engine)?)?;
    let mut command = Command::new("/usr/bin/setpriv");
    command.args(["--reuid=4711", "--regid=4711", "--clear-groups", "/bin/ls"]).arg(rootfs);
    let outcome = Outcome::of(called_by(Caller::Root, command), b"")?;
    outcome.ends_with(2)?.complains_of(&["Permission denied"])
}
