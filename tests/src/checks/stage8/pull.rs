//! Where the image comes from: the store, or a registry.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use serde_json::json;

use super::bare;
use crate::checks::engine::{Caller, Engine, Outcome, called_by};
use crate::checks::failure::{Failure, Verdict, equal};
use crate::checks::fixture::own;
use crate::checks::images::home::PLACE;
use crate::checks::samples;

promises! { stage 8:
    pulls_what_is_missing by one "an image that is not here is pulled, and run"
    pull_never by one "--pull never: an image that is not here is an error, status 125"
    image_stays_after_a_reboot by one "an image is still here when the machine has been started anew"
    image_not_to_be_had by one "an image that the registry does not have: status 125 and one line"
    moved_tag_is_seen by one "--pull always asks the registry what the name stands for now"
    offline by one "what is here runs without a network"
    unfit_home "a $SLIPWAY_HOME on a file system that can't hold layers: status 125 and the cure"
    store_for_a_group for Ada "a store that only a supplementary group of the caller's may reach"
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

/// What tells one boot of a machine from another.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

fn image_stays_after_a_reboot(engine: &Engine) -> Verdict {
    let image = saying("rebooted", "still here")?;
    engine.pulled(&image)?;
    // Another boot, as far as an engine can tell. No container starts in it, because a part of /proc is covered.
    let file = Path::new(PLACE).join("boot");
    fs::write(&file, "00000000-0000-4000-8000-000000000000\n")?;
    mount(Some(&file), BOOT, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
    let other = saying("after-boot", "other").and_then(|other| engine.pulled(&other));
    umount2(BOOT, MntFlags::MNT_DETACH)?;
    fs::remove_file(&file)?;
    other?;
    let outcome = engine.run_image(&["--pull", "never"], &image, &[])?;
    outcome.ends_with(0)?.prints("still here\n")?;
    Ok(())
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
    let left = fs::read_dir(home.join("containers")).map(Iterator::count);
    fs::remove_dir_all(home)?;
    let outcome = last_line(outcome?);
    outcome.ends_with(125)?.prints("")?.complains_of(&["/tmp/home", "set SLIPWAY_HOME"])?;
    equal(&outcome.tried, "layers that are left", 0, left?)
}

fn store_for_a_group(engine: &Engine) -> Verdict {
    // The way to the store is closed to ada but for a group that is not her own.
    let team = Path::new(PLACE).join("team");
    // In an overlay's options these would be the end of a path.
    let store = team.join("store,of:all");
    fs::create_dir_all(&store)?;
    own(&store, engine.caller)?;
    chown(&team, Some(0), Some(4711))?;
    fs::set_permissions(&team, Permissions::from_mode(0o770))?;
    let image = bare(engine)?;
    let call = |args: &[&str]| {
        let mut command = Command::new("/usr/bin/setpriv");
        command.args(["--reuid=1000", "--regid=1000", "--groups=4711"]).arg(&engine.binary);
        command.env("SLIPWAY_HOME", &store).args(args);
        Outcome::of(command, b"")
    };
    let script = "cat /etc/hostname; echo changed > /bin/new; grep Groups /proc/self/status";
    let pulled = call(&["pull", "--quiet", &image]);
    let ran = call(&["run", &image, "/bin/sh", "-c", script]);
    let left = fs::read_dir(store.join("containers")).map(Iterator::count);
    fs::remove_dir_all(&team)?;
    pulled?.ends_with(0)?;
    let ran = ran?;
    ran.ends_with(0)?.prints("slipway\nGroups:\t0 10 \n")?;
    equal(&ran.tried, "layers that are left", 0, left?)
}

fn private_store(engine: &Engine) -> Verdict {
    engine.sh_in_bare(&[], "exit 0")?.ends_with(0)?;
    let rootfs = engine.pulled(&bare(engine)?)?;
    let mut command = Command::new("/usr/bin/setpriv");
    command.args(["--reuid=4711", "--regid=4711", "--clear-groups", "/bin/ls"]).arg(rootfs);
    let outcome = Outcome::of(called_by(Caller::Root, command), b"")?;
    outcome.ends_with(2)?.complains_of(&["Permission denied"])
}
