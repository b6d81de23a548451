//! The known ways out, tried from inside: through the engine's own file, through what is shared with other
//! containers, through what is handed down.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use super::{bare, with_host_open};
use crate::checks::draw;
use crate::checks::engine::{Caller, Engine, Outcome, called_by};
use crate::checks::failure::{Failure, Verdict, equal, require};
use crate::checks::fixture::own;
use crate::checks::images::home::PLACE;
use crate::checks::images::image::digest;
use crate::checks::images::{Archive, Item, Shelf, Tree};
use crate::checks::running::Running;
use crate::checks::samples;

promises! { stage 8:
    engines_file_stays "an image that runs /proc/self/exe cannot change the engine's file (CVE-2019-5736)"
    nothing_of_the_hosts_is_open "the command has 0, 1 and 2 open, and is in directories of the image's"
    nothing_to_race_for "a container that keeps exchanging /etc for a link does not reach the others"
    callers_keys by one "no key of the caller's session is to be read"
    what_root_can_write for Ada "in /proc ada's root can write to what is the container's, and to nothing else"
}

/// What the container lets the engine's file be, if it can reach it. All may write to it then.
const REACH: &str = "chmod 777 /proc/1/exe && echo reached";

/// Copies a program to where it is the caller's, as a checkout's is.
fn callers_own(program: &Path, caller: Caller) -> Result<PathBuf, Failure> {
    let place = Path::new(PLACE).join("own-program");
    let _ = fs::remove_dir_all(&place);
    fs::create_dir_all(&place)?;
    let copy = place.join(program.file_name().unwrap_or_default());
    fs::copy(program, &copy)?;
    fs::set_permissions(&copy, Permissions::from_mode(0o755))?;
    own(&place, caller)?;
    Ok(copy)
}

fn engines_file_stays(engine: &Engine) -> Verdict {
    // Where nothing stands in the way, these lines do change the program that is process 1.
    let program = callers_own(Path::new("/bin/busybox"), engine.caller)?;
    let mut control = Command::new("/usr/bin/unshare");
    control.args(["--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]);
    control.arg(&program).args(["sh", "-c", &format!("{REACH}; true")]);
    let control = Outcome::of(called_by(engine.caller, control), b"")?;
    let mode = program.metadata()?.mode() & 0o7777;
    equal(&control.tried, "the mode of a file without a wall before it", 0o777, mode)?;

    // A program of the image's that the engine starts: by it a container of one process gets a second.
    let helper = format!("#!/bin/sh\n{REACH} >&2\n");
    let script = |text| Item { mode: 0o755, content: text, ..Item::default() };
    let layer = || {
        Archive::begin()
            .directory("root", 0o700)
            .directory("root/.docker", 0o700)
            .file("root/.docker/config.json", r#"{"credsStore":"evil"}"#)
            .add("bin/docker-credential-evil", script(helper.as_bytes()))
            .symlink("bin/link", "/proc/self/exe")
            .add("bin/script", script(b"#!/proc/self/exe pull\n"))
    };
    // A registry that asks for a password, so that the engine would ask the program.
    let asking = Shelf::at("127.0.0.1")?;
    asking.contents().challenge = Some("Basic realm=\"slipway\"".into());
    let binary = callers_own(&engine.binary, engine.caller)?;
    let before = (digest(&fs::read(&binary)?), binary.metadata()?.mode());
    let own = Engine::new(binary.clone(), engine.step, engine.caller);
    let name = &asking.name();
    for (tag, entrypoint) in [
        ("exe", &["/proc/self/exe", "pull", name][..]),
        ("exe-1", &["/proc/1/exe", "pull", name]),
        ("exe-link", &["/bin/link", "pull", name]),
        // Its interpreter gets the script's name as the name of an image.
        ("exe-script", &["bin/script"]),
    ] {
        let config = json!({
            "Entrypoint": entrypoint,
            "Env": ["HOME=/root", "SLIPWAY_HOME=/tmp/store"],
            "WorkingDir": "/",
        });
        let image = samples::offer(tag, config, Some(layer()))?;
        own.pulled(&image)?;
        let outcome = own.run_image(&[], &image, &[])?;
        let after = (digest(&fs::read(&binary)?), binary.metadata()?.mode());
        let seen = format!("{after:?}; {:?}", outcome.stderr);
        require(before == after, &outcome.tried, "the engine's file as before", seen)?;
        outcome.ends_with(125)?.prints("")?.complains_of(&["/proc/self/exe"])?;
    }
    // That the file is there, and still does what it did.
    own.sh_in_bare(&[], "exit 5")?.ends_with(5)?;
    fs::remove_dir_all(Path::new(PLACE).join("own-program"))?;
    Ok(())
}

fn nothing_of_the_hosts_is_open(engine: &Engine) -> Verdict {
    let image = bare(engine)?;
    let script = "exec /bin/probe fds";
    let command = engine.image(&[], &image, &["/bin/sh", "-c", script]);
    let outcome = Outcome::of(with_host_open(command, &[3, 5, 6, 7, 8, 9, 10, 11])?, b"")?;
    outcome.ends_with(0)?.prints("0\n1\n2\n")?;
    let script = "for link in cwd root; do readlink /proc/1/$link; done; ls -A / | grep -c fixture
                  cd ../../../..; ls -A | grep -c fixture; readlink /proc/1/exe";
    let outcome = engine.sh_in_bare(&[], script)?;
    outcome.ends_with(0)?.prints("/\n/\n0\n0\n/bin/busybox\n")?;
    Ok(())
}

fn nothing_to_race_for(engine: &Engine) -> Verdict {
    let image = bare(engine)?;
    let rootfs = engine.pulled(&image)?;
    let before = Tree::of(&rootfs)?;
    // From step 9 on its files are mounts. With this the container's root may unmount them.
    engine.asks_for("SYS_ADMIN");
    let script = "busybox umount /etc/hostname /etc/hosts /etc/resolv.conf 2>/dev/null
                  mkdir /tmp/d /tmp/d/etc; busybox ln -s / /tmp/d/link; busybox mv /etc /tmp/d/old
                  busybox ln -s /proc/self/cwd /linked; mkdir /etc; exec /bin/probe exchange /etc /linked";
    let mut racing = Running::start(engine.image(&[], &image, &["/bin/sh", "-c", script]))?;
    racing.says("begin")?;
    for number in 0..5 {
        let name = format!("box-{number}");
        let script = "cat /etc/hostname; stat -c %F /etc; ls -A /tmp";
        let outcome = engine.sh_in_bare(&["--hostname", &name], script)?;
        outcome.ends_with(0)?.prints(&format!("{name}\ndirectory\n"))?;
    }
    let still_there = racing.inner().is_ok();
    require(still_there, &racing.tried, "that it goes on all the time", racing.complaints()?)?;
    racing.signal(nix::sys::signal::Signal::SIGKILL)?;
    racing.status()?;
    let differences = before.differences(&Tree::of(&rootfs)?);
    require(differences.is_empty(), script, "an unpacked image that is as before", differences)?;
    engine.sh_in_bare(&[], "exit 0")?.ends_with(0).map(drop)
}

fn callers_keys(engine: &Engine) -> Verdict {
    let secret = draw::word("key");
    let with_key = |command: &Command| {
        let mut outer = Command::new("/bin/probe");
        outer.args(["with-key", &secret]).arg(command.get_program()).args(command.get_args());
        outer.stdin(std::process::Stdio::null());
        called_by(engine.caller, outer)
    };
    // The caller's own programs read it.
    let mut control = Command::new("/bin/probe");
    control.arg("key");
    Outcome::of(with_key(&control), b"")?.ends_with(0)?.prints(&format!("{secret}\n"))?;
    let inside = engine.image(&[], &bare(engine)?, &["/bin/probe", "key"]);
    let outcome = Outcome::of(with_key(&inside), b"")?;
    let seen = format!("{}{}", outcome.stdout, outcome.stderr);
    require(!seen.contains(&secret), &outcome.tried, "no key", &seen)?;
    outcome.ends_with(1)?.prints("")?;
    Ok(())
}

fn what_root_can_write(engine: &Engine) -> Verdict {
    // Where it is the host's root, all of them: so the probe sees what there is.
    let mut control = Command::new("/bin/probe");
    control.args(["writable", "/proc"]);
    let control = Outcome::of(control, b"")?;
    let all: BTreeSet<&str> = control.ends_with(0)?.stdout.lines().collect();
    for file in ["/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "/proc/sys/vm/drop_caches"]
    {
        require(all.contains(file), &control.tried, file, format!("{} others", all.len()))?;
    }
    let outcome = engine.run_image(&[], &bare(engine)?, &["/bin/probe", "writable", "/proc"])?;
    let inside: BTreeSet<&str> = outcome.ends_with(0)?.stdout.lines().collect();
    let is_own = |file: &&&str| {
        // Those of its IPC, PID and user namespaces; the first is what a process asks to be told of,
        // and lasts as long as it is open.
        const OWN: [&str; 8] = [
            "/proc/pressure/",
            "/proc/sys/fs/mqueue/",
            "/proc/sys/kernel/auto_msgmni",
            "/proc/sys/kernel/msg",
            "/proc/sys/kernel/ns_last_pid",
            "/proc/sys/kernel/sem",
            "/proc/sys/kernel/shm",
            "/proc/sys/user/",
        ];
        OWN.iter().any(|start| file.starts_with(start))
    };
    let others: Vec<_> = inside.iter().filter(|file| !is_own(file)).collect();
    require(
        others.is_empty(),
        &outcome.tried,
        "files of the container's namespaces",
        format!("{others:?}"),
    )?;
    Ok(())
}
