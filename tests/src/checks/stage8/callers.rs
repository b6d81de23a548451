//! What the caller says and has, of kinds that a program in a hurry forgets: bytes that are no text, numbers beyond the usual.

use std::ffi::OsStr;
use std::fs;
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use serde_json::json;

use super::{bare, with_host_open};
use crate::checks::engine::{Engine, Outcome, called_by, patience};
use crate::checks::failure::{Verdict, equal, require};
use crate::checks::fixture::own;
use crate::checks::images::Archive;
use crate::checks::images::home::PLACE;
use crate::checks::machine::Machine;
use crate::checks::running::{Running, eventually, first_child, within};
use crate::checks::samples;

promises! { stage 8:
    words_are_bytes by one "arguments and values that are no text arrive as they are"
    name_is_no_text by one "an image's name that is no text: status 125 and one line"
    odd_environment by one "nothing of the caller's environment gets in, not even what is no NAME=VALUE"
    last_value_counts by one "of two values of one variable the last counts, the image's and the caller's"
    high_file_numbers by one "a file of the caller's is not open in the container, whatever its number"
    few_files by one "with no number left for another open file: status 125 and one line; what is left goes with the next start"
    closed_workdir "a WorkingDir that root alone may enter: another user starts there all the same"
    user_and_engine_killed_first for Root "killed while its command becomes another user, the engine leaves nothing"
    callers_files_stay_the_callers "a file that is standard output keeps its owner: the user gets pipes only"
    killed_while_it_pulls by one "killed while it pulls, the engine leaves no process"
    group_not_mapped for Ada "a user with a group that the container does not have: status 125, and why"
}

fn words_are_bytes(engine: &Engine) -> Verdict {
    let image = bare(engine)?;
    let word = OsStr::from_bytes(b"WORD=\xff\xfe");
    let mut command = engine.subcommand([OsStr::new("run"), OsStr::new("-e"), word]);
    command.args([&image, "/bin/probe", "env"]);
    let outcome = Outcome::of(command, b"")?;
    let seen = outcome.ends_with(0)?.stdout.lines().any(|line| line == "WORD=\\xff\\xfe");
    if !seen {
        return Err(outcome.failure("the line WORD=\\xff\\xfe"));
    }
    let mut command = engine.image(&[], &image, &["/bin/probe", "args"]);
    command.arg(OsStr::from_bytes(b"\xff\xfe"));
    Outcome::of(command, b"")?.ends_with(0)?.prints("\\xff\\xfe\n")?;
    Ok(())
}

fn name_is_no_text(engine: &Engine) -> Verdict {
    let name = OsStr::from_bytes(b"name-\xff");
    let mut command = engine.subcommand([OsStr::new("run"), name]);
    command.arg("/bin/true");
    Outcome::of(command, b"")?.ends_with(125)?.prints("")?.complains_of(&["name-"])
}

fn odd_environment(engine: &Engine) -> Verdict {
    let image = bare(engine)?;
    let with_more = |inner: &Command| {
        let mut outer = Command::new("/bin/probe");
        outer.arg("with-odd-environment").arg(inner.get_program()).args(inner.get_args());
        Outcome::of(called_by(engine.caller, outer), b"")
    };
    let mut control = Command::new("/bin/grep");
    control.args(["-ac", "ODD", "/proc/self/environ"]);
    with_more(&control)?.ends_with(0)?.prints("1\n")?;
    let args = ["/bin/grep", "-c", "ODD", "/proc/self/environ"];
    with_more(&engine.image(&[], &image, &args))?.ends_with(1)?.prints("0\n")?;
    Ok(())
}

fn few_files(engine: &Engine) -> Verdict {
    let image = bare(engine)?;
    let containers = samples::store(engine.caller).join("containers");
    for most in 4..=12 {
        let inner = engine.image(&[], &image, &["/bin/sh", "-c", ":"]);
        let mut outer = Command::new("/bin/sh");
        outer.args(["-c", &format!("ulimit -n {most}; exec \"$0\" \"$@\"")]);
        outer.arg(inner.get_program()).args(inner.get_args());
        let outcome = Outcome::of(called_by(engine.caller, outer), b"")?;
        if !outcome.status.is_some_and(|status| status.success()) {
            outcome.ends_with(125)?.complains_of(&["Too many open files"])?;
        }
    }
    // To remove a directory takes a number, too. A start that has enough finds what is left.
    let outcome = Outcome::of(engine.image(&[], &image, &["/bin/sh", "-c", ":"]), b"")?;
    outcome.ends_with(0)?;
    let left = fs::read_dir(&containers)?.count();
    equal(&outcome.tried, "the containers that are left", 0, left)
}

fn last_value_counts(engine: &Engine) -> Verdict {
    let config = json!({ "Env": ["IMAGES=first", "OTHER=x", "IMAGES=last"] });
    let image = engine.ready(samples::offer("env-twice", config, None)?)?;
    let options = ["-e", "CALLERS=first", "-e", "CALLERS=last"];
    let script = "echo $IMAGES $CALLERS";
    let outcome = engine.run_image(&options, &image, &["/bin/sh", "-c", script])?;
    outcome.ends_with(0)?.prints("last last\n")?;
    Ok(())
}

fn high_file_numbers(engine: &Engine) -> Verdict {
    let command = engine.image(&[], &bare(engine)?, &["/bin/probe", "fds"]);
    let outcome = Outcome::of(with_host_open(command, &[1022, 1023, 1024, 2000])?, b"")?;
    outcome.ends_with(0)?.prints("0\n1\n2\n")?;
    Ok(())
}

fn closed_workdir(engine: &Engine) -> Verdict {
    let layer = || Archive::begin().directory("closed", 0o700);
    let config = || json!({ "User": "ada", "WorkingDir": "/closed" });
    let image = samples::offer_once("closed", || (config(), Some(layer())))?;
    let script = "id -u; readlink /proc/self/cwd; ls 2>/dev/null || echo closed";
    let outcome = engine.run_image(&[], &engine.ready(image)?, &["/bin/sh", "-c", script])?;
    outcome.ends_with(0)?.prints("1000\n/closed\nclosed\n")?;
    Ok(())
}

fn group_not_mapped(engine: &Engine) -> Verdict {
    let layer = Archive::begin().file("etc/group", "far:x:700000:ada\n");
    let image = samples::offer("far-group", serde_json::Value::Null, Some(layer))?;
    let image = engine.ready(image)?;
    let words = ["no such id", "/etc/subgid"];
    for user in ["ada", "700000:0", "0:700000"] {
        let outcome = engine.run_image(&["-u", user], &image, &["/bin/probe", "env"])?;
        outcome.ends_with(125)?.prints("")?.complains_of(&words)?;
    }
    // Without that group ada is no stranger.
    let outcome = engine.run_image(&["-u", "ada:100"], &image, &["/bin/sh", "-c", "id -u"])?;
    outcome.ends_with(0)?.prints("1000\n")?;
    Ok(())
}

fn user_and_engine_killed_first(engine: &Engine) -> Verdict {
    let image = bare(engine)?;
    engine.pulled(&image)?;
    let machine = Machine::now();
    // The second prctl(2) of a process, in microseconds: by then the first one's word is undone.
    let held = "--inject=prctl:delay_enter=3000000:when=2";
    let mut strace = engine.strace(["-qq", "-o", "/dev/null", held]);
    strace.arg(&engine.binary).args(["run", "-u", "1000", &image, "/bin/sleep", "305"]);
    let mut running = Running::start(strace)?;
    let is_another = || {
        let child = first_child(running.inner().ok()?)?;
        let status = fs::read_to_string(format!("/proc/{child}/status")).ok()?;
        let uid = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
        Some(uid.split_whitespace().next()? == "1000")
    };
    let changed = within(patience(), || is_another() == Some(true));
    let seen = running.complaints()?;
    require(changed, &running.tried, "that the child becomes user 1000", seen.trim_end())?;
    kill(running.inner()?, Signal::SIGKILL)?;
    running.status()?;
    machine.is_unchanged()?;
    // The next start removes the layer.
    engine.sh_in_bare(&[], "exit 0")?.ends_with(0).map(drop)
}

fn callers_files_stay_the_callers(engine: &Engine) -> Verdict {
    let place = Path::new(PLACE).join("output");
    fs::write(&place, "")?;
    own(&place, engine.caller)?;
    let inner = engine.image(&["-u", "1000:12"], &bare(engine)?, &["/bin/probe", "args", "word"]);
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "file=$1; shift; \"$@\" > $file", "sh"]).arg(&place);
    command.arg(inner.get_program()).args(inner.get_args());
    let outcome = Outcome::of(called_by(engine.caller, command), b"");
    let (text, metadata) = (fs::read_to_string(&place)?, fs::metadata(&place)?);
    fs::remove_file(&place)?;
    let outcome = outcome?;
    outcome.ends_with(0)?;
    equal(&outcome.tried, "what is in the file", "word\n", text.as_str())?;
    let id = engine.caller.id();
    equal(&outcome.tried, "the file's owner", [id, id], [metadata.uid(), metadata.gid()])
}

fn killed_while_it_pulls(engine: &Engine) -> Verdict {
    let machine = Machine::now();
    // A registry that never answers.
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let image = format!("{}/test", listener.local_addr()?);
    let mut running = Running::start(engine.image(&[], &image, &["/bin/true"]))?;
    let mut asked = None;
    eventually(|| {
        asked = listener.accept().ok();
        asked.is_some()
    });
    let seen = running.complaints()?;
    require(asked.is_some(), &running.tried, "a connection to the registry", seen.trim_end())?;
    running.signal(Signal::SIGKILL)?;
    running.status()?;
    machine.is_unchanged()
}
