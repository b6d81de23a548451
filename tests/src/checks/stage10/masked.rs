//! What of /proc is the host's.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::*;
use crate::checks::machine::Machine;

promises! { stage 10:
    hidden_files "the host's memory, keys and timers have the null device over them, its hardware an empty directory"
    protected_files "/proc/sys and what else changes the machine can't be written, with all capabilities neither"
    own_files_of_proc "a container's own files in /proc are as before"
    masks_keep_flags "each mask is a mount that allows no programs, devices and set-user-ID bits"
}

/// What engines hide, as far as this kernel has it.
fn hidden() -> impl Iterator<Item = &'static str> {
    let all = [
        "/proc/acpi",
        "/proc/asound",
        "/proc/kcore",
        "/proc/keys",
        "/proc/latency_stats",
        "/proc/sched_debug",
        "/proc/scsi",
        "/proc/timer_list",
        "/proc/timer_stats",
    ];
    all.into_iter().filter(|path| Path::new(path).exists())
}

fn hidden_files(engine: &Engine) -> Verdict {
    let mut expected = String::new();
    let mut script = String::new();
    for path in hidden() {
        if fs::metadata(path)?.is_dir() {
            script += &format!(
                "echo {path} $(ls -A {path}); touch {path}/new 2>/dev/null && echo made\n"
            );
            expected += &format!("{path}\n");
        } else {
            script +=
                &format!("echo {path} $(stat -c %F,%t,%T {path}) $(busybox wc -c < {path})\n");
            expected += &format!("{path} character special file,1,3 0\n");
        }
    }
    require(expected.lines().count() >= 4, "the host", "four such files", &expected)?;
    engine
        .run(["--cap-add=ALL", "/bin/sh", "-c", &format!("{script}true")])?
        .ends_with(0)?
        .prints(&expected)?;
    Ok(())
}

fn protected_files(engine: &Engine) -> Verdict {
    let machine = Machine::now();
    let paths = ["/proc/sys", "/proc/irq", "/proc/bus", "/proc/fs", "/proc/sysrq-trigger"];
    for path in paths.into_iter().filter(|path| Path::new(path).exists()) {
        let outcome = engine.run(["--cap-add=ALL", "/bin/probe", "writable", path])?;
        outcome.ends_with(0)?.prints("")?;
    }
    // One that is the container's own, so that nothing but the mask protects it.
    let script = "echo other > /proc/sys/kernel/hostname; cat /proc/sys/kernel/hostname";
    let outcome = engine.run(["--cap-add=ALL", "/bin/sh", "-c", script])?;
    let (seen, said) = (&outcome.stdout, &outcome.stderr);
    require(seen == "slipway\n", &outcome.tried, "the name as before", seen)?;
    require(said.contains("Read-only"), &outcome.tried, "a read-only file", said)?;
    let script = "echo h > /proc/sysrq-trigger";
    let outcome = engine.run(["--cap-add=ALL", "/bin/sh", "-c", script])?;
    require(
        outcome.stderr.contains("Read-only"),
        &outcome.tried,
        "a read-only file",
        &outcome.stderr,
    )?;
    machine.is_unchanged()
}

fn own_files_of_proc(engine: &Engine) -> Verdict {
    let script =
        "cat /proc/1/comm; cat /proc/sys/kernel/hostname; echo 100 > /proc/self/oom_score_adj
                  cat /proc/self/oom_score_adj; grep -q MemTotal /proc/meminfo && echo memory
                  grep -c ' /proc/sys ' /proc/self/mounts";
    engine.sh(script)?.ends_with(0)?.prints("sh\nslipway\n100\nmemory\n1\n")?;
    Ok(())
}

fn masks_keep_flags(engine: &Engine) -> Verdict {
    let outcome = engine.sh("grep ' /proc/' /proc/self/mounts")?;
    let mut seen = Vec::new();
    for line in outcome.ends_with(0)?.stdout.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let flags: Vec<&str> = fields.get(3).unwrap_or(&"").split(',').collect();
        // The null device is the host's, from a mount on which devices are devices.
        let is_null = fs::metadata(fields[1]).is_ok_and(|found| found.is_file());
        let wanted: &[&str] = if is_null && fields[0] != "proc" {
            &["nosuid"]
        } else {
            &["ro", "nosuid", "nodev", "noexec"]
        };
        for flag in wanted {
            let has = flags.contains(flag);
            require(has, &outcome.tried, format!("{} with {flag}", fields[1]), line)?;
        }
        seen.push(fields[1].to_string());
    }
    let all = hidden().all(|path| seen.iter().any(|seen| seen == path));
    require(all, &outcome.tried, "a mount for each that is hidden", seen.join(" "))?;
    // They are the container's, and not the host's.
    let keys = fs::metadata("/proc/keys")?;
    equal("the host", "its /proc/keys is a device", 0, keys.rdev())
}
