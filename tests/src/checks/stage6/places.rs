//! Where a container's cgroups are made: as near to the caller's as can be.

use std::fs;
use std::path::Path;

use super::super::engine::Engine;
use super::super::failure::{Verdict, equal};
use super::super::stage5::on_changed_machine;
use super::all;

pub fn beside_a_busy_cgroup(engine: &Engine) -> Verdict {
    // As in a login session: the shell, and so the engine, in a cgroup that hands down nothing. (To
    // ada's checks this is so throughout.)
    let above = Path::new("/sys/fs/cgroup/above");
    let session = above.join("session");
    let script = format!("mkdir -p {0}; echo $$ > {0}/cgroup.procs", session.display());
    let line = "engine --pids 9 /bin/cat /sys/fs/cgroup/pids.max";
    let outcome = on_changed_machine(engine, &script, line);
    let kind = fs::read_to_string(session.join("cgroup.type"))?;
    fs::remove_dir(session)?;
    fs::remove_dir(above)?;
    let outcome = outcome?;
    outcome.ends_with(0)?.prints("9\n")?;
    // And not "domain threaded", which it would stay.
    equal(&outcome.tried, "the type of the session's cgroup", "domain\n", &kind)
}

pub fn beside_a_threaded_cgroup(engine: &Engine) -> Verdict {
    // A group for threads hands down what it has, and a container can't be born in one.
    let above = Path::new("/sys/fs/cgroup/above");
    let script =
        "(cd /sys/fs/cgroup; echo +pids > cgroup.subtree_control; mkdir -p above/session; cd above
                  echo +pids > cgroup.subtree_control; echo threaded > session/cgroup.type
                  echo +pids > session/cgroup.subtree_control; echo $$ > session/cgroup.procs)";
    let line = "engine --pids 9 /bin/echo started";
    let outcome = on_changed_machine(engine, script, line);
    fs::remove_dir(above.join("session"))?;
    fs::remove_dir(above)?;
    outcome?.ends_with(0)?.prints("started\n")?;
    Ok(())
}

pub fn from_the_top(engine: &Engine) -> Verdict {
    let root = Path::new("/sys/fs/cgroup");
    let control = |group: &str| root.join(group).join("cgroup.subtree_control");
    for file in [control("ada"), control("")] {
        if file.exists() {
            fs::write(file, "-memory -cpu -pids")?;
        }
    }
    let outcome = engine.run([&all()[..], &["/bin/echo", "started"]].concat());
    fs::write(control(""), "+memory +cpu +pids")?;
    outcome?.ends_with(0)?.prints("started\n")?;
    Ok(())
}

pub fn nowhere_to_divide(engine: &Engine) -> Verdict {
    // As in a container that may write to its cgroups: they begin with one that has processes.
    let outer = Path::new("/sys/fs/cgroup/outer");
    let script = "mkdir /sys/fs/cgroup/outer; echo $$ > /sys/fs/cgroup/outer/cgroup.procs";
    let line = "unshare --cgroup --mount sh -c 'umount -l /sys/fs/cgroup; \
                mount -t cgroup2 none /sys/fs/cgroup; exec engine --pids 9 /bin/echo started'";
    let outcome = on_changed_machine(engine, script, line);
    fs::remove_dir(outer)?;
    let cure = ["divide", "which has processes", "delegated", "./just vm"];
    outcome?.ends_with(125)?.prints("")?.complains_of(&cure)
}

pub fn not_delegated(engine: &Engine) -> Verdict {
    let script = "echo $$ > /sys/fs/cgroup/cgroup.procs";
    let line = "engine --memory 64M /bin/echo started";
    let outcome = on_changed_machine(engine, script, line)?;
    let cure = ["Permission denied", "delegated", "./just vm"];
    outcome.ends_with(125)?.prints("")?.complains_of(&cure)?;
    // Half is not enough: to make groups in one's own, but not to move processes there.
    let half = Path::new("/sys/fs/cgroup/half");
    let half_script = "mkdir -p /sys/fs/cgroup/half/session; cd /sys/fs/cgroup/half
                       chown 1000 . cgroup.subtree_control; echo $$ > session/cgroup.procs";
    let outcome = on_changed_machine(engine, half_script, line);
    fs::remove_dir(half.join("session"))?;
    fs::remove_dir(half)?;
    let file = "/sys/fs/cgroup/half/cgroup.procs";
    outcome?.ends_with(125)?.prints("")?.complains_of(&[&[file], &cure[..]].concat())?;
    // Nor is one to which nothing is handed down.
    let bare = Path::new("/sys/fs/cgroup/bare");
    let bare_script = "mkdir -p /sys/fs/cgroup/bare/hers/session; cd /sys/fs/cgroup/bare
                       chown -R 1000 hers; echo $$ > hers/session/cgroup.procs";
    let outcome = on_changed_machine(engine, bare_script, line);
    for group in ["hers/session", "hers", ""] {
        fs::remove_dir(bare.join(group))?;
    }
    let file = "/sys/fs/cgroup/bare/cgroup.subtree_control";
    outcome?.ends_with(125)?.prints("")?.complains_of(&[&[file], &cure[..]].concat())?;
    let script = format!("{script}; mount -t tmpfs none /run; mkdir -p /run/systemd/system");
    let outcome = on_changed_machine(engine, &script, line)?;
    let cure = ["Permission denied", "systemd-run --user --scope --property=Delegate=yes"];
    outcome.ends_with(125)?.prints("")?.complains_of(&cure)
}

pub fn version_1(engine: &Engine) -> Verdict {
    // As on a hybrid machine: version 2 is there, but elsewhere and without controllers.
    let script = "mount -t tmpfs none /sys/fs/cgroup; mkdir /sys/fs/cgroup/unified
                  mount -t cgroup2 none /sys/fs/cgroup/unified";
    for option in ["--memory 64M", "--cpus 0.5", "--pids 9"] {
        let line = format!("engine {option} /bin/echo started");
        let outcome = on_changed_machine(engine, script, &line)?;
        outcome.ends_with(125)?.prints("")?.complains_of(&["cgroup v2", "./just vm"])?;
    }
    // And as on one without any.
    let none = "mount -t tmpfs none /sys/fs";
    let outcome = on_changed_machine(engine, none, "engine --pids 9 /bin/echo started")?;
    outcome.ends_with(125)?.prints("")?.complains_of(&["cgroup v2", "./just vm"])?;
    on_changed_machine(engine, script, "engine /bin/echo started")?
        .ends_with(0)?
        .prints("started\n")?;
    Ok(())
}
