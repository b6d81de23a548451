//! What is left of a container's cgroups: nothing, however it ends.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::super::engine::{Engine, Outcome, patience};
use super::super::failure::{Failure, Verdict, require};
use super::super::fixture::own;
use super::super::machine::Machine;
use super::super::running::{Running, within};
use super::super::stage0::early_moments;
use super::{all, cgroup_of, made_by_engine, start_in_cgroup};

pub fn leaves_no_cgroup(engine: &Engine) -> Verdict {
    let machine = Machine::now();
    let limited = |args: &[&str]| engine.run([&all(), args].concat());
    limited(&["/bin/true"])?.ends_with(0)?;
    machine.is_unchanged()?;
    limited(&["/no/such/file"])?.ends_with(127)?;
    machine.is_unchanged()?;
    // In the container, before there is a command.
    let fails =
        if engine.runs_images() { ["-w", "/bin/busybox/x"] } else { ["--rootfs", "/no/such"] };
    limited(&[&fails[..], &["/bin/true"]].concat())?.ends_with(125)?;
    machine.is_unchanged()?;
    limited(&["/bin/sh", "-c", "sleep 310 & exit 3"])?.ends_with(3)?;
    machine.is_unchanged()?;
    // It may divide its own cgroup further.
    let script = "mount -t cgroup2 none /tmp && mkdir -p /tmp/a/b/c; exit 4";
    limited(&["/bin/sh", "-c", script])?.ends_with(4)?;
    machine.is_unchanged()?;
    let (mut running, _) = start_in_cgroup(engine, &all())?;
    running.signal(Signal::SIGTERM)?;
    running.says("SIGTERM")?;
    running.close_stdin();
    running.ends_with(23)?;
    machine.is_unchanged()
}

pub fn nested_cgroups(engine: &Engine) -> Verdict {
    engine.asks_for("SYS_ADMIN");
    let machine = Machine::now();
    // Names of 200 bytes, that no path is long enough for.
    let deep = "mount -t cgroup2 none /tmp; cd /tmp; name=$(printf %0200d 0); depth=0
                while mkdir $name 2>/dev/null && cd -P $name; do depth=$((depth + 1)); done
                echo $depth";
    let outcome = engine.run(["--pids", "9", "/bin/sh", "-c", deep])?;
    machine.is_unchanged()?;
    outcome.ends_with(0)?.prints("9\n")?;
    let many = "mount -t cgroup2 none /tmp; cd /tmp; mkdir $(seq 1100) 2>/dev/null
                ls -d [0-9]* | wc -l";
    let outcome = engine.run(["--pids", "9", "/bin/sh", "-c", many])?;
    machine.is_unchanged()?;
    outcome.ends_with(0)?.prints("999\n")?;
    Ok(())
}

pub fn without_cgroup_kill(engine: &Engine) -> Verdict {
    let machine = Machine::now();
    // Its process 1 does not end with the engine, and has a process in a group of its own.
    let script =
        "mount -t cgroup2 none /tmp && mkdir -p /tmp/a/b && echo $$ > /tmp/a/b/cgroup.procs
                  exec probe as 1000 /bin/sh -c 'sleep 312 & echo begin; wait'";
    let mut running = Running::start(engine.command(["--pids", "9", "/bin/sh", "-c", script]))?;
    running.says("begin")?;
    let group = made_by_engine(&cgroup_of(&running.inner()?.to_string())?)?;
    let file = group.last().map(|outer| outer.join("cgroup.kill")).unwrap_or_default();
    running.signal(Signal::SIGKILL)?;
    running.status()?;
    let survives = fs::read_to_string(file.with_file_name("cgroup.events"))?;
    require(survives.contains("populated 1"), &running.tried, "a survivor", survives)?;
    // For the next engine, there is no such file.
    let hidden = ["-qq", "-o", "/dev/null", "-P", &file.to_string_lossy()].map(String::from);
    let hidden = hidden.into_iter().chain(["--inject=openat:error=ENOENT".to_string()]);
    let mut strace = engine.strace(hidden);
    strace.args(engine.line(["/bin/true"]));
    Outcome::of(strace, b"")?.ends_with(0)?;
    machine.is_unchanged()
}

pub fn killed_engine_leaves_none(engine: &Engine) -> Verdict {
    let machine = Machine::now();
    for delay in early_moments(20) {
        let mut running = Running::start(engine.command(["--pids", "9", "/bin/sleep", "311"]))?;
        thread::sleep(delay);
        running.signal(Signal::SIGKILL)?;
        running.status()?;
    }
    // One whose process 1 did not notice: becoming another user takes the parent-death signal away.
    let args = ["--pids", "9", "/bin/probe", "as", "1000", "/bin/probe", "catch", "0"];
    let mut running = Running::start(engine.command(args))?;
    running.line("two process ids")?;
    running.signal(Signal::SIGKILL)?;
    running.status()?;
    // The next start needs no limits for that.
    engine.run(["/bin/true"])?.ends_with(0)?;
    machine.is_unchanged()?;
    // One whose processes take a while to die.
    let script = "for n in $(seq 200); do sleep 311 & done; echo begin; wait";
    let args = ["--pids", "250", "/bin/probe", "as", "1000", "/bin/sh", "-c", script];
    let mut running = Running::start(engine.command(args))?;
    running.says("begin")?;
    running.signal(Signal::SIGKILL)?;
    running.status()?;
    engine.run(["--pids", "9", "/bin/true"])?.ends_with(0)?;
    machine.is_unchanged()
}

/// A script of the engine's caller as process 1 of a PID namespace, with a process group of its own. `GROUP-` in it
/// is how the names of groups begin that an engine makes there, in the usual place.
fn in_a_pid_namespace(engine: &Engine, script: &str) -> Result<Command, Failure> {
    let (mut running, cgroup) = start_in_cgroup(engine, &["--pids", "9"])?;
    let group = made_by_engine(&cgroup)?.pop().unwrap_or_default();
    running.close_stdin();
    running.ends_with(23)?;
    let place = group.parent().unwrap_or(&group).display();
    let start = format!("{place}/slipway-$(stat -Lc %i /proc/self/ns/pid)-");
    let mut command = Command::new("/usr/bin/unshare");
    command.args(["--pid", "--fork", "--mount-proc", "setpriv"]);
    let id = engine.caller.id();
    command.args([format!("--reuid={id}"), format!("--regid={id}"), "--clear-groups".into()]);
    command.args(["/bin/sh", "-ec", &script.replace("GROUP-", &start)]).process_group(0);
    Ok(command)
}

pub fn of_its_own_number(engine: &Engine) -> Verdict {
    let machine = Machine::now();
    let script = format!("mkdir GROUP-1; exec {}", engine.typed("--pids 9 /bin/true"));
    Outcome::of(in_a_pid_namespace(engine, &script)?, b"")?.ends_with(0)?;
    machine.is_unchanged()
}

pub fn leaves_others_processes(engine: &Engine) -> Verdict {
    let machine = Machine::now();
    // A group without an engine, and in it a process that has no number where the next engine is.
    let line = engine.typed("--pids 9 /bin/true");
    let script = format!(
        "mkdir GROUP-99; echo GROUP-99; read -r _ || true
         exec strace -qq -o /dev/null -P GROUP-99/cgroup.kill --inject=openat:error=ENOENT {line}"
    );
    let mut running = Running::start(in_a_pid_namespace(engine, &script)?)?;
    let group = PathBuf::from(running.line("the group")?);
    let mut other = Command::new("/bin/sleep").arg("313").spawn()?;
    fs::write(group.join("cgroup.procs"), other.id().to_string())?;
    running.close_stdin();
    // The next engine freezes it, and finds nobody whom it could kill.
    let events = || fs::read_to_string(group.join("cgroup.events")).unwrap_or_default();
    within(patience(), || events().contains("frozen 1"));
    thread::sleep(Duration::from_millis(500));
    let lives = other.try_wait()?.is_none();
    // So that it need not wait any longer.
    other.kill()?;
    other.wait()?;
    running.ends_with(0)?;
    machine.is_unchanged()?;
    require(lives, &script, "that the process lives on", "it was killed")
}

pub fn others_stay(engine: &Engine) -> Verdict {
    let (mut running, cgroup) = start_in_cgroup(engine, &["--pids", "9"])?;
    let parent = made_by_engine(&cgroup)?.pop().and_then(|group| Some(group.parent()?.to_owned()));
    let parent = parent.unwrap_or_default();
    // Of an engine with a process id that means another process here.
    let foreign = parent.join("slipway-1-99999999");
    fs::create_dir(&foreign)?;
    own(&foreign, engine.caller)?;
    let next = engine.run(["--pids", "9", "/bin/true"]);
    // Elsewhere its engine's number means nobody.
    let script = format!("exec {}", engine.typed("--pids 9 /bin/true"));
    let elsewhere = Outcome::of(in_a_pid_namespace(engine, &script)?, b"");
    let stays = foreign.is_dir() && cgroup.is_dir();
    // It may have gone: that is what this is about.
    let _ = fs::remove_dir(&foreign);
    next?.ends_with(0)?;
    elsewhere?.ends_with(0)?;
    require(stays, &running.tried, "both cgroups after another start", "one is gone")?;
    running.close_stdin();
    running.ends_with(23)
}
