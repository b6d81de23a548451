//! Stage 5: root inside, an ordinary user outside.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::Signal;

use super::engine::{Caller, Engine, Outcome, called_by};
use super::failure::{Failure, Verdict, equal, require};
use super::fixture::{ROOTFS, inside, own};
use super::refusals;
use super::running::Running;

mod ranges;

use ranges::{
    killed_before_its_ids, mapping_fails, newuidmap_apart, newuidmap_elsewhere, no_new_privs,
    no_newuidmap, no_range, range_taken_twice, ranges_of_groups, single_without_range, traced,
    unlisted_caller,
};

promises! { stage 5:
    user_namespace "the container has a user namespace of its own"
    root_inside for Ada "the command is root inside, and its caller outside"
    id_maps "the maps: root is the caller, the rest the caller's range (root: all ids as they are)"
    ranges_of_groups for Ada "users from the ranges in /etc/subuid, groups from those in /etc/subgid"
    single_id "--userns single: one id, setgroups denied, and chown fails"
    single_without_range for Ada "without a range in /etc/subuid one id is mapped"
    no_range for Ada "--userns range without a range names the file and how to get one"
    unlisted_caller for Ada "a caller who is not in /etc/passwd goes by $USER, or by number"
    no_newuidmap for Ada "--userns range without newgidmap names the package"
    newuidmap_elsewhere for Ada "newuidmap and newgidmap are found on PATH, and without one"
    traced for Ada "under strace, where newuidmap has no power, one id is mapped"
    no_new_privs for Ada "under no_new_privs, where it has none either, the same"
    range_taken_twice for Ada "a range that somebody else has, too, is refused"
    mapping_fails for Ada "when the ids can't be mapped: one line, status 125, nothing left"
    newuidmap_apart for Ada "newuidmap gets nothing of the command's input, nor of its Ctrl-C"
    killed_before_its_ids for Ada "a container that is killed before it has its ids: status 137, no error"
    file_is_the_callers until 7 for Ada "a file made inside belongs to the caller outside"
    chown_inside until 7 for Ada "chown to another id gives a file to one of the caller's range"
    other_id for Ada "the engine signals a command that has become another user"
    refused_ids until 7 "a call that fails while the ids are mapped is told: status 125"
    groups_are_left for Ada "the caller's supplementary groups are left outside"
    rootfs_for_a_group until 7 for Ada "a root filesystem that only a supplementary group of the caller's may reach"
    owners_unknown until 7 for Ada "what belongs to others is nobody's inside"
    all_capabilities until 9 for Ada "the command has all capabilities, though its caller has none"
    no_power_outside "what belongs to the machine takes more: a device file, a sysfs, a negative nice"
    hosts_secrets until 7 for Ada "root's files stay closed, even where they are in reach"
    hosts_processes until 7 "the host's processes are safe, even with the host's /proc in reach"
    hosts_hostname until 7 "nor can the host's name be changed"
    hosts_mounts until 7 "what the host mounted can't be unmounted, what it protects not be written"
    setuid_of_the_host until 7 for Ada "a set-user-ID program of root's gives nothing"
    setuid_inside for Ada "one that belongs to the container's root works"
    nested until 7 for Ada "a container in a container"
    no_namespaces_allowed "user.max_user_namespaces=0: status 125, and the cure"
    switched_off for Ada "kernel.unprivileged_userns_clone=0: status 125, and the cure"
    seccomp_filter "a seccomp filter, as in Docker: status 125, and the cure"
    other_refusals "no such call, and a refusal that no setting explains: status 125, and the cure"
    apparmor for Ada "AppArmor's restriction: status 125, and the cure"
    proc_is_covered "where a part of /proc is covered: status 125, which, and the cure"
    rootfs_of_others until 7 for Ada "mount points missing in somebody else's root filesystem: the cure"
}

/// The ordinary caller's own id outside.
const ADA: u32 = Caller::Ada.id();

fn user_namespace(engine: &Engine) -> Verdict {
    engine.has_own_namespace("user")
}

fn root_inside(engine: &Engine) -> Verdict {
    engine.sh("id -u; id -g")?.ends_with(0)?.prints("0\n0\n")?;
    let (running, _) = engine.start_catching(0)?;
    for key in ["Uid", "Gid"] {
        let outside = [ADA.to_string(), ADA.to_string(), ADA.to_string(), ADA.to_string()];
        let what = format!("{key} outside");
        equal(&running.tried, &what, outside.join("\t"), running.inner_status(key)?)?;
    }
    Ok(())
}

/// Requires these lines of map files, whose columns are a blank apart here.
fn has_maps(outcome: &Outcome, expected: &[&str]) -> Verdict {
    outcome.ends_with(0)?;
    let line = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let seen: Vec<String> = outcome.stdout.lines().map(line).collect();
    equal(&outcome.tried, "uid_map and gid_map", expected.join("; "), seen.join("; "))
}

const SHOW_MAPS: &str = "cat /proc/self/uid_map /proc/self/gid_map";

fn id_maps(engine: &Engine) -> Verdict {
    engine.has_own_namespace("user")?;
    let expected: &[&str] = match engine.caller {
        Caller::Root => &["0 0 4294967295"; 2],
        Caller::Ada => &["0 1000 1", "1 100000 65536", "0 1000 1", "1 100000 65536"],
    };
    has_maps(&engine.sh(SHOW_MAPS)?, expected)
}

fn single_id(engine: &Engine) -> Verdict {
    let script = format!("{SHOW_MAPS} /proc/self/setgroups; chown 1000 /tmp 2>&1");
    let outcome = engine.run(["--userns", "single", "/bin/sh", "-c", &script])?;
    let map = format!("         0 {:10}          1\n", engine.caller.id());
    outcome.ends_with(1)?.prints(&format!("{map}{map}deny\nchown: /tmp: Invalid argument\n"))?;
    Ok(())
}

/// Runs the engine on a machine that a script of root's has changed, for this run only: what it
/// mounts, it mounts in a mount namespace. `engine` in `line` stands for the engine that runs a command.
pub fn on_changed_machine(engine: &Engine, script: &str, line: &str) -> Result<Outcome, Failure> {
    let line = match line.split_once("engine ") {
        Some((before, rest)) => before.to_string() + &engine.typed(rest),
        None => line.to_string(),
    };
    let id = engine.caller.id();
    let become_caller = format!("exec setpriv --reuid {id} --regid {id} --clear-groups {line}");
    let mut command = Command::new("/usr/bin/unshare");
    command.args(["--mount", "/bin/sh", "-ec", &format!("{script}\n{become_caller}")]);
    Outcome::of(command, b"")
}

/// Runs a script that makes the file /tmp/made, and gives the file's owner outside.
fn owner_of_made(engine: &Engine, script: &str) -> Result<(Outcome, u32), Failure> {
    let outcome = engine.sh(script)?;
    let file = Path::new(ROOTFS).join("tmp/made");
    let owner = fs::metadata(&file).map(|metadata| metadata.uid());
    let _ = fs::remove_file(&file);
    outcome.ends_with(0)?;
    Ok((outcome, owner?))
}

fn file_is_the_callers(engine: &Engine) -> Verdict {
    let (outcome, owner) = owner_of_made(engine, "touch /tmp/made; stat -c %u /tmp/made")?;
    outcome.prints("0\n")?;
    equal(&outcome.tried, "the owner outside", ADA, owner)
}

fn chown_inside(engine: &Engine) -> Verdict {
    let script = "touch /tmp/made; chown 1000:1000 /tmp/made && stat -c %u:%g /tmp/made";
    let (outcome, owner) = owner_of_made(engine, script)?;
    outcome.prints("1000:1000\n")?;
    equal(&outcome.tried, "the owner outside", 100_000 + 1000 - 1, owner)
}

fn other_id(engine: &Engine) -> Verdict {
    let args = ["/bin/probe", "as", "1000", "/bin/probe", "catch", "21"];
    let mut running = Running::start(engine.command(args))?;
    running.line("two process ids")?;
    let uids = running.inner_status("Uid")?;
    equal(&running.tried, "its user id outside", Some("100999"), uids.split('\t').next())?;
    running.signal(Signal::SIGTERM)?;
    running.says("SIGTERM")?;
    running.close_stdin();
    running.ends_with(21)
}

fn refused_ids(engine: &Engine) -> Verdict {
    let lists = [
        ("write", Errno::EIO),
        ("sendto,sendmsg", Errno::ENOBUFS),
        ("pivot_root", Errno::EPERM),
        ("setgroups", Errno::EINVAL),
    ];
    refusals::are_told(engine, &[], &lists)?;
    refusals::are_told(engine, &["--userns", "single"], &lists[..1])
}

fn groups_are_left(engine: &Engine) -> Verdict {
    let mut command = Command::new("/usr/bin/setpriv");
    command.args(["--reuid=1000", "--regid=1000", "--groups=4,1000"]);
    command.args(engine.start_of_line(&engine.binary));
    let script = "id -G; grep Groups /proc/self/status";
    command.args(engine.rest_of_line(["/bin/sh", "-c", script]));
    // In an image the command has the groups of a user of the image's: root is in its own.
    let groups = if engine.runs_images() { "0" } else { "" };
    Outcome::of(command, b"")?.ends_with(0)?.prints(&format!("0\nGroups:\t{groups} \n"))?;
    Ok(())
}

fn rootfs_for_a_group(engine: &Engine) -> Verdict {
    // The way to the root filesystem is closed to ada but for a group that is not her own.
    let team = Path::new("/tmp/team");
    let rootfs = team.join("rootfs");
    fs::create_dir_all(&rootfs)?;
    chown(team, Some(0), Some(4711))?;
    fs::set_permissions(team, Permissions::from_mode(0o770))?;
    mount(Some(ROOTFS), &rootfs, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
    let call = |groups: &str| {
        let mut command = Command::new("/usr/bin/setpriv");
        command.args(["--reuid=1000", "--regid=1000", groups]);
        command.args(engine.start_of_line(&engine.binary)).arg("--rootfs").arg(&rootfs);
        command.args(["/bin/sh", "-c", "cat /fixture/where; grep Groups /proc/self/status"]);
        Outcome::of(command, b"")
    };
    let outcomes = [call("--groups=4711"), call("--clear-groups")];
    umount2(&rootfs, MntFlags::MNT_DETACH)?;
    fs::remove_dir_all(team)?;
    let [member, stranger] = outcomes;
    member?.ends_with(0)?.prints(&format!("{}Groups:\t \n", inside()))?;
    stranger?.ends_with(125)?.prints("")?.complains_of(&["/tmp/team", "Permission denied"])
}

fn owners_unknown(engine: &Engine) -> Verdict {
    let script = "stat -c %u:%g /; touch /file 2>&1; chown root /etc/hostname 2>&1; true";
    let outcome = engine.run(["--rootfs", "/debian", "/bin/sh", "-c", script])?;
    outcome.ends_with(0)?.prints(
        "65534:65534\ntouch: cannot touch '/file': Permission denied\n\
         chown: changing ownership of '/etc/hostname': Operation not permitted\n",
    )?;
    Ok(())
}

fn all_capabilities(engine: &Engine) -> Verdict {
    let last: u32 =
        fs::read_to_string("/proc/sys/kernel/cap_last_cap")?.trim().parse().unwrap_or(0);
    let (running, _) = engine.start_catching(0)?;
    let uids = running.inner_status("Uid")?;
    equal(&running.tried, "its user id outside", Some("1000"), uids.split('\t').next())?;
    let all = format!("{:016x}", (1u64 << (last + 1)) - 1);
    equal(&running.tried, "its capabilities", all, running.inner_status("CapEff")?)
}

fn no_power_outside(engine: &Engine) -> Verdict {
    let script = "mknod /tmp/made b 254 0 && echo made a device && rm /tmp/made
                  mount -t sysfs none /tmp && echo mounted a sysfs
                  nice -n -5 true && echo took the processor from others
                  chroot / true && echo this needs a capability, too";
    let outcome = engine.sh(script)?;
    outcome.ends_with(0)?.prints("this needs a capability, too\n")?;
    Ok(())
}

/// Puts the host's / and /proc into the root filesystem, the first read-only, for as long as `check`
/// runs: the worst that a careless mount could do.
fn with_host_in_reach(check: impl FnOnce() -> Verdict) -> Verdict {
    let place = PathBuf::from(ROOTFS).join("fixture/host");
    fs::create_dir_all(&place)?;
    let change = |source: Option<&str>, target: &Path, flags| {
        mount(source, target, None::<&str>, flags, None::<&str>)
    };
    change(Some("/"), &place, MsFlags::MS_BIND)?;
    let verdict = change(None, &place, MsFlags::MS_PRIVATE)
        .and_then(|()| change(Some("/proc"), &place.join("proc"), MsFlags::MS_BIND))
        .and_then(|()| {
            change(None, &place, MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY)
        })
        .map_err(Failure::from)
        .and_then(|()| check());
    umount2(&place, MntFlags::MNT_DETACH)?;
    fs::remove_dir(&place)?;
    verdict
}

fn hosts_secrets(engine: &Engine) -> Verdict {
    with_host_in_reach(|| {
        let outcome = engine.sh("id -u; cat /fixture/host/etc/shadow 2>&1")?;
        let denied = "0\ncat: can't open '/fixture/host/etc/shadow': Permission denied\n";
        outcome.ends_with(1)?.prints(denied)?;
        Ok(())
    })
}

/// A process of the caller's on the host.
struct Victim(Child);

impl Victim {
    fn start(caller: Caller) -> Result<Victim, Failure> {
        let mut command = Command::new("/bin/sleep");
        command.arg("306");
        Ok(Victim(called_by(caller, command).spawn()?))
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn hosts_processes(engine: &Engine) -> Verdict {
    let mut victim = Victim::start(engine.caller)?;
    let place = format!("/fixture/host/proc/{}", victim.0.id());
    with_host_in_reach(|| {
        let script = format!(
            "kill -KILL -1 2>/dev/null
             cat {place}/environ > /dev/null 2>&1 && echo looked into its memory
             (echo > {place}/mem) 2>/dev/null && echo opened its memory for writing; true"
        );
        let outcome = engine.sh(&script)?;
        outcome.ends_with(0)?.prints("")?;
        let ended = victim.0.try_wait()?;
        require(ended.is_none(), &outcome.tried, "that the process lives on", "it was killed")
    })
}

fn hosts_hostname(engine: &Engine) -> Verdict {
    let before = fs::read_to_string("/proc/sys/kernel/hostname")?;
    with_host_in_reach(|| {
        let outcome = engine
            .sh("nsenter --uts=/fixture/host/proc/1/ns/uts hostname taken 2>/dev/null; true")?;
        let after = fs::read_to_string("/proc/sys/kernel/hostname")?;
        equal(&outcome.tried, "the host's name", before, after)
    })
}

fn hosts_mounts(engine: &Engine) -> Verdict {
    with_host_in_reach(|| {
        let script = "umount /fixture/host/proc 2>/dev/null && echo unmounted
                      mount -o remount,bind,rw /fixture/host 2>/dev/null && echo writable
                      mount -t tmpfs none /tmp && umount /tmp && echo its own mounts it can";
        engine.sh(script)?.ends_with(0)?.prints("its own mounts it can\n")?;
        Ok(())
    })
}

/// A set-user-ID program in the root filesystem, for as long as `check` runs.
fn with_setuid_program(owner: Caller, check: impl FnOnce(&str) -> Verdict) -> Verdict {
    let file = Path::new(ROOTFS).join("fixture/setuid");
    fs::copy("/slipway/bin/probe", &file)?;
    own(&file, owner)?;
    fs::set_permissions(&file, Permissions::from_mode(0o4755))?;
    let verdict = check("/fixture/setuid");
    fs::remove_file(&file)?;
    verdict
}

fn setuid_of_the_host(engine: &Engine) -> Verdict {
    with_setuid_program(Caller::Root, |file| {
        let outcome = engine.run(["/bin/probe", "as", "1000", file, "ids"])?;
        outcome.ends_with(0)?.prints("real 1000, effective 1000\n")?;
        Ok(())
    })
}

fn setuid_inside(engine: &Engine) -> Verdict {
    with_setuid_program(Caller::Ada, |file| {
        let outcome = engine.run(["/bin/probe", "as", "7", file, "ids"])?;
        outcome.ends_with(0)?.prints("real 7, effective 0\n")?;
        Ok(())
    })
}

fn nested(engine: &Engine) -> Verdict {
    let inner = Path::new(ROOTFS).join("fixture/inner");
    fs::create_dir_all(inner.join("bin"))?;
    fs::copy(Path::new(ROOTFS).join("bin/busybox"), inner.join("bin/cat"))?;
    fs::copy(&engine.binary, Path::new(ROOTFS).join("fixture/engine"))?;
    own(&inner, engine.caller)?;
    let maps_inside = "/bin/cat /proc/self/uid_map /proc/self/gid_map".split(' ');
    let mut args = engine.start_of_line(Path::new("/fixture/engine"));
    args.extend(["--rootfs", "/fixture/inner"].map(str::to_string));
    args.extend(maps_inside.map(str::to_string));
    let outcome = engine.run(args);
    fs::remove_dir_all(&inner)?;
    fs::remove_file(Path::new(ROOTFS).join("fixture/engine"))?;
    has_maps(&outcome?, &["0 0 1", "1 1 65536", "0 0 1", "1 1 65536"])
}

/// Runs `check` while a kernel setting has another value.
fn with_setting(name: &str, value: &str, check: impl FnOnce() -> Verdict) -> Verdict {
    let path = format!("/proc/sys/{name}");
    let before = fs::read_to_string(&path)?;
    fs::write(&path, value)?;
    let verdict = check();
    fs::write(&path, before)?;
    verdict
}

fn no_namespaces_allowed(engine: &Engine) -> Verdict {
    with_setting("user/max_user_namespaces", "0", || {
        let outcome = engine.run(["/bin/echo", "started"])?;
        let cure = ["user.max_user_namespaces is 0", "sudo sysctl user.max_user_namespaces="];
        outcome.ends_with(125)?.prints("")?.complains_of(&cure)
    })
}

fn switched_off(engine: &Engine) -> Verdict {
    with_setting("kernel/unprivileged_userns_clone", "0", || {
        let outcome = engine.run(["/bin/echo", "started"])?;
        let cure = ["kernel.unprivileged_userns_clone is 0", "sudo sysctl"];
        outcome.ends_with(125)?.prints("")?.complains_of(&cure)
    })
}

/// Runs the engine under a strace(1) with these options.
fn traced_with(engine: &Engine, options: &[&str]) -> Result<Outcome, Failure> {
    let mut command = Command::new("/usr/bin/strace");
    command.args(["-f", "-o", "/dev/null", "-e", "trace=clone3"]).args(options);
    command.args(engine.line(["/bin/echo", "started"]));
    Outcome::of(called_by(engine.caller, command), b"")
}

fn seccomp_filter(engine: &Engine) -> Verdict {
    // This strace works by a seccomp filter, so the kernel says of the engine that it has one.
    let outcome = traced_with(engine, &["--seccomp-bpf", "-e", "inject=clone3:error=ENOSYS"])?;
    outcome.ends_with(125)?.prints("")?.complains_of(&["seccomp", "Docker", "./just vm"])
}

fn other_refusals(engine: &Engine) -> Verdict {
    for (error, reason) in [("ENOSYS", "before 5.3"), ("EACCES", "no setting")] {
        let outcome = traced_with(engine, &["-e", &format!("inject=clone3:error={error}")])?;
        outcome.ends_with(125)?.prints("")?.complains_of(&["clone3", reason, "./just vm"])?;
    }
    Ok(())
}

fn apparmor(engine: &Engine) -> Verdict {
    // This kernel has no AppArmor. What it does is: the setting is there, the namespace is made, and
    // each call that needs a capability fails.
    let script = "boot=$(cat /proc/sys/kernel/random/boot_id)
                  mount -t tmpfs none /proc/sys/kernel
                  mkdir /proc/sys/kernel/random
                  echo $boot > /proc/sys/kernel/random/boot_id
                  echo 1 > /proc/sys/kernel/apparmor_restrict_unprivileged_userns";
    let line = "strace -f -o /dev/null -e inject=sethostname,mount,unshare:error=EPERM \
                engine --userns single /bin/echo started";
    let outcome = on_changed_machine(engine, script, line)?;
    let cure = ["AppArmor", "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0"];
    outcome.ends_with(125)?.prints("")?.complains_of(&cure)
}

fn proc_is_covered(engine: &Engine) -> Verdict {
    // What lies on an empty directory covers nothing, though it is the first.
    let harmless = "mount -t tmpfs none /proc/sys/fs/binfmt_misc";
    for before in ["true", harmless] {
        let script = format!("{before}; mount --bind /dev/null /proc/timer_list");
        let outcome = on_changed_machine(engine, &script, "engine /bin/echo started")?;
        let cure = ["mount proc", "/proc/timer_list covers", "systempaths=unconfined", "./just vm"];
        outcome.ends_with(125)?.prints("")?.complains_of(&cure)?;
    }
    Ok(())
}

fn rootfs_of_others(engine: &Engine) -> Verdict {
    let rootfs = Path::new("/tmp/others");
    fs::create_dir(rootfs)?;
    let outcome = engine.run(["--rootfs", "/tmp/others", "/bin/echo", "started"]);
    fs::remove_dir_all(rootfs)?;
    let cure = ["/tmp/others/proc", "Permission denied", "./just rootfs"];
    outcome?.ends_with(125)?.complains_of(&cure)
}
