//! Stage 2: a hostname of its own.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use super::draw;
use super::engine::{Caller, Engine, Outcome, called_by};
use super::failure::{Verdict, require};

promises! { stage 2:
    default_hostname "without --hostname the container is called slipway"
    hostname "--hostname names the container"
    longest_hostname "a hostname may have 64 bytes, and need not be UTF-8"
    hostname_too_long "one of 65 bytes is an error that says how many there may be"
    hostname_stays_inside "a hostname set by the command stays in the container"
    uts_namespace "the container has a UTS namespace of its own"
    ordinary_user until 4 "an ordinary user is told how to become root: status 125"
}

fn default_hostname(engine: &Engine) -> Verdict {
    engine.run(["/bin/hostname"])?.ends_with(0)?.prints("slipway\n")?;
    Ok(())
}

fn hostname(engine: &Engine) -> Verdict {
    let name = draw::word("box");
    let outcome = engine.run(["--hostname", &name, "/bin/uname", "-n"])?;
    outcome.ends_with(0)?.prints(&format!("{name}\n"))?;
    Ok(())
}

fn longest_hostname(engine: &Engine) -> Verdict {
    let name = [&[b'h'; 63][..], b"\xff"].concat();
    let args =
        ["--hostname".as_ref(), OsStr::from_bytes(&name), "/bin/uname".as_ref(), "-n".as_ref()];
    let outcome = engine.run(args)?;
    outcome.ends_with(0)?.prints(&format!("{}\u{fffd}\n", "h".repeat(63)))?;
    Ok(())
}

fn hostname_too_long(engine: &Engine) -> Verdict {
    let outcome = engine.run(["--hostname", &"h".repeat(65), "/bin/echo", "started"])?;
    outcome.ends_with(125)?.prints("")?.complains_of(&["hhhh", "64 bytes"])
}

fn hostname_stays_inside(engine: &Engine) -> Verdict {
    engine.asks_for("SYS_ADMIN");
    let before = fs::read_to_string("/proc/sys/kernel/hostname")?;
    let outcome = engine.sh("hostname changed && hostname")?;
    outcome.ends_with(0)?.prints("changed\n")?;
    let after = fs::read_to_string("/proc/sys/kernel/hostname")?;
    require(
        before == after,
        &outcome.tried,
        format!("the host is {before:?}"),
        format!("{after:?}"),
    )
}

fn uts_namespace(engine: &Engine) -> Verdict {
    engine.has_own_namespace("uts")
}

fn ordinary_user(engine: &Engine) -> Verdict {
    let outcome =
        Outcome::of(called_by(Caller::Ada, engine.command(["/bin/echo", "started"])), b"")?;
    let cure = ["Operation not permitted", "sudo"];
    outcome.ends_with(125)?.prints("")?.complains_of(&cure)
}
