//! Who the command is.

use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use serde_json::json;

use super::{bare, whole};
use crate::checks::engine::{Engine, Outcome, called_by};
use crate::checks::failure::{Failure, Verdict, equal, require};
use crate::checks::images::Archive;
use crate::checks::running::{Running, eventually};
use crate::checks::samples;

promises! { stage 8:
    user_of_image "the command is the image's User"
    users_by_name_and_number "-u UID, UID:GID, NAME and NAME:GROUP, as the image's files know them"
    groups_of_user "a user's groups are those that the image's group file gives; else none"
    callers_groups_stay_out "none of the caller's groups gets in"
    unknown_users "a user or group that the image does not know: status 125, named"
    lists_from_windows by one "carriage returns and spaces are no part of a field in /etc/passwd or /etc/group"
    broken_numbers by one "a listed user or group whose number can't be read: status 125, and nobody becomes 0"
    no_id_is_minus_one "-u -1, or the same as a large number, is refused: it would change nothing"
    no_capabilities "who is not root has no capabilities, and can't get any"
    users_files "a user's files are its own; root's are closed to it"
    users_pipes "a user can open /dev/stdin, /dev/stdout and /dev/stderr where they are pipes"
    umask_is_022 "the caller's umask stays outside"
    ids_not_mapped for Ada "with one id in the map another user can't be: status 125, and why"
    user_ends_with_its_engine "SIGKILL for the engine ends a command that is another user, too"
}

/// Prints user, group and all groups.
const WHO: &str = "id -u; id -g; id -G";

fn user_of_image(engine: &Engine) -> Verdict {
    let outcome = engine.run_image(&["--entrypoint", "sh"], &whole(engine)?, &["-c", WHO])?;
    outcome.ends_with(0)?.prints("1000\n100\n100 10 11\n")?;
    let outcome =
        engine.run_image(&["--entrypoint", "sh", "-u", "0"], &whole(engine)?, &["-c", WHO])?;
    outcome.ends_with(0)?.prints("0\n0\n0 10\n")?;
    Ok(())
}

fn users_by_name_and_number(engine: &Engine) -> Verdict {
    for (user, expected) in [
        ("", "0 0 0 10"),
        ("root", "0 0 0 10"),
        ("ada", "1000 100 100 10 11"),
        ("1000", "1000 100 100 10 11"),
        ("ada:audio", "1000 11 11"),
        ("1000:12", "1000 12 12"),
        ("0:12", "0 12 12"),
        (":audio", "0 11 11"),
        ("4711", "4711 0 0"),
        ("4711:users", "4711 100 100"),
        ("7", "2000 2000 2000"),
    ] {
        let outcome = engine.sh_in_bare(&["-u", user], "echo $(id -u) $(id -g) $(id -G)")?;
        outcome.ends_with(0)?.prints(&format!("{expected}\n"))?;
    }
    Ok(())
}

fn groups_of_user(engine: &Engine) -> Verdict {
    for (user, expected) in [("ada", "Groups:\t10 11 100 \n"), ("ada:users", "Groups:\t100 \n")] {
        let outcome = engine.sh_in_bare(&["-u", user], "grep Groups /proc/self/status")?;
        outcome.ends_with(0)?.prints(expected)?;
    }
    Ok(())
}

fn callers_groups_stay_out(engine: &Engine) -> Verdict {
    let id = engine.caller.id().to_string();
    let mut command = Command::new("/usr/bin/setpriv");
    command.args(["--reuid", &id, "--regid", &id, "--groups=4,27,1000"]).arg(&engine.binary);
    command.args([
        "run",
        "-u",
        "4711:4712",
        &bare(engine)?,
        "/bin/grep",
        "Groups",
        "/proc/self/status",
    ]);
    Outcome::of(command, b"")?.ends_with(0)?.prints("Groups:\t4712 \n")?;
    Ok(())
}

fn unknown_users(engine: &Engine) -> Verdict {
    for (user, words) in [
        ("eve", ["user", "\"eve\""]),
        ("ada:eves", ["group", "\"eves\""]),
        ("adam", ["user", "\"adam\""]),
        ("ada:100:100", ["group", "100:100"]),
        ("+1", ["user", "\"+1\""]),
    ] {
        let outcome = engine.sh_in_bare(&["-u", user], "echo started")?;
        outcome.ends_with(125)?.prints("")?.complains_of(&words)?;
    }
    let image = samples::offer("nobody", json!({ "User": "nobody-there" }), None)?;
    engine.pulled(&image)?;
    let outcome = engine.run_image(&[], &image, &["/bin/probe", "env"])?;
    outcome.ends_with(125)?.prints("")?.complains_of(&["nobody-there"])
}

/// An image whose two lists somebody has written by hand.
fn untidy() -> Result<String, Failure> {
    let passwd = "root:x:0:0:root:/root:/bin/sh\r\nada : x : 1000 : 100 : : /home/ada \r\n\
        grace:x:1001:1o0::/home/grace:/bin/sh\nedith:x:1oo2:100::/:/bin/sh\n";
    let group = "audio:x:11:eve, ada\r\nships:x:l2:ada\r\nlast:x:13:root,ada\r\n";
    let layer = || Archive::begin().file("etc/passwd", passwd).file("etc/group", group);
    samples::offer_once("untidy", || (serde_json::Value::Null, Some(layer())))
}

fn lists_from_windows(engine: &Engine) -> Verdict {
    let image = engine.ready(untidy()?)?;
    let script = "echo $(id -u) $(id -g) $(id -G) \"$HOME.\"";
    for (user, expected) in [
        ("ada", "1000 100 100 11 13 /home/ada.\n"),
        ("root", "0 0 0 13 /root.\n"),
        ("ada:last", "1000 13 13 /home/ada.\n"),
    ] {
        let outcome = engine.run_image(&["-u", user], &image, &["/bin/sh", "-c", script])?;
        outcome.ends_with(0)?.prints(expected)?;
    }
    Ok(())
}

fn broken_numbers(engine: &Engine) -> Verdict {
    let image = engine.ready(untidy()?)?;
    for (user, words) in [
        ("grace", ["/etc/passwd", "\"grace\"", "\"1o0\""]),
        ("1001", ["/etc/passwd", "\"1001\"", "\"1o0\""]),
        ("edith", ["/etc/passwd", "\"edith\"", "\"1oo2\""]),
        ("ada:ships", ["/etc/group", "\"ships\"", "\"l2\""]),
    ] {
        let outcome = engine.run_image(&["-u", user], &image, &["/bin/probe", "env"])?;
        outcome.ends_with(125)?.prints("")?.complains_of(&words)?;
    }
    Ok(())
}

fn no_id_is_minus_one(engine: &Engine) -> Verdict {
    for user in ["-1", "4294967295", "0:-1", "0:4294967295", "4294967296", "-1:0"] {
        let outcome = engine.sh_in_bare(&["-u", user], "echo started")?;
        outcome
            .ends_with(125)?
            .prints("")?
            .complains_of(&["no ", user.trim_start_matches("0:").trim_end_matches(":0")])?;
    }
    Ok(())
}

fn no_capabilities(engine: &Engine) -> Verdict {
    let script = "grep ^Cap /proc/self/status | grep -v Bnd";
    let none: String = ["Inh", "Prm", "Eff", "Amb"]
        .iter()
        .map(|set| format!("Cap{set}:\t0000000000000000\n"))
        .collect();
    engine.sh_in_bare(&["-u", "1000"], script)?.ends_with(0)?.prints(&none)?;
    Ok(())
}

fn users_files(engine: &Engine) -> Verdict {
    let script = "touch /tmp/own && stat -c %u:%g /tmp/own
                  touch /etc/not-mine 2>/dev/null || echo closed
                  chown 0 /tmp/own 2>/dev/null || echo not given away";
    let outcome = engine.sh_in_bare(&["-u", "1000:12"], script)?;
    outcome.ends_with(0)?.prints("1000:12\nclosed\nnot given away\n")?;
    Ok(())
}

fn users_pipes(engine: &Engine) -> Verdict {
    let script = "read word < /dev/stdin && echo $word > /dev/stdout && echo $word > /dev/stderr";
    let inner = engine.image(&["-u", "1000:12"], &bare(engine)?, &["/bin/sh", "-c", script]);
    // The caller's shell makes the pipes, so they are the caller's: three of them.
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "{ echo word | \"$@\" | cat; } 2>&1 | cat", "sh"]);
    command.arg(inner.get_program()).args(inner.get_args());
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Outcome::of(called_by(engine.caller, command), b"")?.ends_with(0)?.prints("word\nword\n")?;
    Ok(())
}

fn umask_is_022(engine: &Engine) -> Verdict {
    let image = bare(engine)?;
    let script =
        "umask; mkdir /tmp/new; cd /etc; stat -c %a /tmp/new /srv hostname hosts resolv.conf";
    let mut command = engine.image(&["-w", "/srv/deep"], &image, &["/bin/sh", "-c", script]);
    // SAFETY: it is one system call.
    unsafe {
        command.pre_exec(|| {
            libc::umask(0o077);
            Ok(())
        })
    };
    Outcome::of(command, b"")?.ends_with(0)?.prints("0022\n755\n755\n644\n644\n644\n")?;
    Ok(())
}

fn ids_not_mapped(engine: &Engine) -> Verdict {
    let single = |user| engine.sh_in_bare(&["--userns", "single", "-u", user], WHO);
    single("0")?.ends_with(0)?.prints("0\n0\n0\n")?;
    single("1000")?.ends_with(125)?.prints("")?.complains_of(&["no such id", "/etc/subuid"])
}

fn user_ends_with_its_engine(engine: &Engine) -> Verdict {
    let image = bare(engine)?;
    engine.pulled(&image)?;
    engine.leaves_nothing(|| {
        let command = engine.image(&["-u", "1000"], &image, &["/bin/probe", "catch", "0"]);
        let mut running = Running::start(command)?;
        let line = running.line("two process ids")?;
        equal(&running.tried, "process id inside", "1 0", line.as_str())?;
        let inner = running.inner()?;
        running.signal(Signal::SIGKILL)?;
        running.status()?;
        let gone = eventually(|| kill(inner, None).is_err());
        require(gone, &running.tried, "that the command ends too", "it lives on")?;
        // The next start removes what it has left.
        engine.sh_in_bare(&[], "exit 0")?.ends_with(0).map(drop)
    })
}
