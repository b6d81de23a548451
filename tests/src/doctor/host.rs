//! The machine, its users and its tools.

use std::env;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::utsname::uname;
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Gid, Pid, Uid, fork, getegid, geteuid, getpid};
use step5::subordinate::{Missing, Range, Subordinate};

use super::child::{Call, Failure, become_ordinary, in_child};
use super::{Finding, Verdict};

/// An ordinary user.
#[derive(Clone, Debug)]
pub struct User {
    pub uid: Uid,
    pub gid: Gid,
    pub name: String,
}

/// Whether all this runs as root.
pub fn is_root() -> bool {
    geteuid().is_root()
}

/// The ordinary user: the caller; for root the one behind sudo, else nobody.
pub fn user() -> User {
    let number = |name| env::var(name).ok()?.parse().ok();
    let (uid, gid) = match (number("SUDO_UID"), number("SUDO_GID")) {
        _ if !is_root() => (geteuid(), getegid()),
        (Some(uid), Some(gid)) if uid != 0 => (Uid::from_raw(uid), Gid::from_raw(gid)),
        _ => (Uid::from_raw(65534), Gid::from_raw(65534)),
    };
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, _, id) = (fields.next()?, fields.next()?, fields.next()?);
        (id == uid.to_string()).then(|| name.to_owned())
    });
    User { uid, gid, name: name.unwrap_or_else(|| uid.to_string()) }
}

/// The kernel, the calls that the steps expect of it, and where we are.
pub fn system() -> Vec<Finding> {
    let kernel = uname()
        .map(|name| format!("Linux {} {}", name.release().display(), name.machine().display()));
    let kernel = Finding::new(Verdict::Note, "kernel", kernel.unwrap_or_default());
    let signs = container_signs();
    let place = if signs.is_empty() {
        Finding::new(Verdict::Note, "container", "not inside one, as far as can be seen")
    } else {
        let detail = format!("inside one ({}): its rules come on top", signs.join(", "));
        Finding::new(Verdict::Note, "container", detail)
    };
    let calls =
        [("clone3", clone3 as fn() -> _), ("close_range", close_range), ("pidfd_open", pidfd_open)];
    let calls = calls.map(|(name, call)| match in_child(call) {
        Ok(()) => Finding::new(Verdict::Yes, name, "works"),
        Err(failure) => Finding::new(Verdict::No, name, failure.to_string())
            .cure("a kernel from 5.11 on, outside of a container; or use the VM: ./just vm"),
    });
    [kernel, place].into_iter().chain(calls).collect()
}

fn clone3() -> Result<(), Failure> {
    // SAFETY: all its fields are integers; zero means "not used".
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.exit_signal = libc::SIGCHLD as u64;
    // SAFETY: without a stack it returns twice, as fork does; this process has one thread.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &args, size_of_val(&args)) };
    match Errno::result(pid).call("clone3")? {
        // SAFETY: the child has nothing left to do.
        0 => unsafe { libc::_exit(0) },
        pid => waitpid(Pid::from_raw(pid as i32), None).call("wait4").map(drop),
    }
}

fn close_range() -> Result<(), Failure> {
    let flag = libc::CLOSE_RANGE_CLOEXEC;
    // SAFETY: files are only marked, in a process that executes nothing.
    Errno::result(unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, flag) })
        .call("close_range CLOEXEC")
        .map(drop)
}

fn pidfd_open() -> Result<(), Failure> {
    // SAFETY: it only makes a file descriptor, which ends with this process.
    Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, getpid().as_raw(), 0) })
        .call("pidfd_open")
        .map(drop)
}

/// What shows that this runs inside a container; empty if nothing does.
pub fn container_signs() -> Vec<String> {
    let mut signs: Vec<String> = ["/.dockerenv", "/run/.containerenv", "/run/systemd/container"]
        .into_iter()
        .filter(|path| Path::new(path).exists())
        .map(str::to_owned)
        .collect();
    let own = env::var("container").ok();
    // PID 1's environment is for root alone to read.
    let first = fs::read("/proc/1/environ").unwrap_or_default();
    let first = String::from_utf8_lossy(&first);
    let first = first.split('\0').find_map(|pair| pair.strip_prefix("container="));
    signs.extend(own.as_deref().or(first).map(|name| format!("container={name}")));
    let cgroup = fs::read_to_string("/proc/1/cgroup").unwrap_or_default();
    let known = ["docker", "libpod", "kubepods", "lxc", "containerd"];
    signs.extend(
        known
            .into_iter()
            .find(|name| cgroup.contains(name))
            .map(|name| format!("cgroup of {name}")),
    );
    signs
}

/// Whether the user may own more than one id in a user namespace, by making one with such ids.
pub fn subordinate_ids(user: &User, user_namespaces_work: bool) -> Finding {
    let name = "subordinate ids";
    if !user_namespaces_work {
        return Finding::new(Verdict::NotTried, name, "they need a user namespace");
    }
    if is_root() && env::var_os("SUDO_UID").is_none() {
        return Finding::new(Verdict::NotTried, name, "root needs none: ask as the user who would");
    }
    let no = |what: String, cure: String| Finding::new(Verdict::No, name, what).cure(cure);
    let ids = match Subordinate::of(user.uid) {
        Ok(Ok(ids)) => ids,
        Ok(Err(Missing { what, cure })) => return no(what, cure),
        Err(error) => return no(error.to_string(), "mend the file, as root".to_owned()),
    };
    match in_child(|| become_ordinary(user).and_then(|()| map_ids(&ids))) {
        Ok(()) => {
            let Range { first, count } = ids.uids[0];
            let detail = format!("mapped {count} uids from {first} on, and gids");
            Finding::new(Verdict::Yes, name, detail)
        }
        Err(failure) => no(
            failure.to_string(),
            "newuidmap and newgidmap need their privilege back: sudo apt install --reinstall uidmap".to_owned(),
        ),
    }
}

/// Has newuidmap and newgidmap map the ranges into the user namespace of a child.
fn map_ids(ids: &Subordinate) -> Result<(), Failure> {
    let (mut ready, mut is_ready) = io::pipe().call("pipe")?;
    let (mut end, ending) = io::pipe().call("pipe")?;
    // SAFETY: this process has one thread.
    let ForkResult::Parent { child } = unsafe { fork() }.call("fork")? else {
        drop(ending);
        if unshare(CloneFlags::CLONE_NEWUSER).is_ok() {
            let _ = is_ready.write_all(b"1");
        }
        // The namespace lasts as long as this process, and that as long as its parent.
        let _ = end.read(&mut [0]);
        // SAFETY: this copy of the parent has nothing left to do.
        unsafe { libc::_exit(0) }
    };
    drop(is_ready);
    ready.read_exact(&mut [0]).call("unshare CLONE_NEWUSER")?;
    let programs = [(&ids.newuidmap, ids.uids[0]), (&ids.newgidmap, ids.gids[0])];
    let mapped = programs.into_iter().try_for_each(|(program, Range { first, count })| {
        let name = program.display();
        let mut command = Command::new(program);
        command.args([child.to_string(), "1".into(), first.to_string(), count.to_string()]);
        if command.output().call(&name)?.status.success() {
            Ok(())
        } else {
            Err(Failure { errno: Errno::EPERM, call: name.to_string() })
        }
    });
    drop(ending);
    waitpid(child, None).call("wait4")?;
    mapped
}

/// The programs that some recipes need, and Debian's packages of them.
pub fn tools() -> Vec<Finding> {
    let qemu = format!("qemu-system-{}", env::consts::ARCH);
    [
        ("sudo", "sudo", "./just step, as an ordinary user"),
        ("busybox", "busybox-static", "./just rootfs busybox"),
        ("mmdebstrap", "mmdebstrap", "./just rootfs debian, ./just vm"),
        (
            &qemu,
            if env::consts::ARCH == "x86_64" { "qemu-system-x86" } else { "qemu-system-arm" },
            "./just vm",
        ),
        ("strace", "strace", "./just trace"),
        ("newuidmap", "uidmap", "more than one id in a user namespace"),
    ]
    .map(|(name, package, needed_for)| match on_path(name) {
        Some(path) => Finding::new(Verdict::Yes, name, path.display().to_string()),
        None => Finding::new(Verdict::No, name, format!("missing; needed for {needed_for}"))
            .cure(format!("sudo apt install {package}")),
    })
    .into()
}

/// An executable file on PATH, or where system programs are.
fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path).chain(system).map(|directory| directory.join(name)).find(|file| {
        file.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
    })
}

/// KVM, by making a virtual machine without anything in it.
pub fn kvm() -> Finding {
    const KVM_CREATE_VM: libc::Ioctl = 0xae01;
    let device = match OpenOptions::new().read(true).write(true).open("/dev/kvm") {
        Ok(device) => device,
        Err(error) => {
            let denied = error.kind() == io::ErrorKind::PermissionDenied;
            let has_group = fs::metadata("/dev/kvm").is_ok_and(|data| data.gid() != 0);
            let cure = if denied && has_group {
                "sudo usermod -aG kvm $USER, then log in again"
            } else {
                "none is needed: the VM is emulated instead, a few times slower"
            };
            return Finding::new(Verdict::No, "KVM", format!("/dev/kvm: {}", text(&error)))
                .cure(cure);
        }
    };
    // SAFETY: the call takes a number, 0, and gives a file descriptor that ends with this process.
    match Errno::result(unsafe { libc::ioctl(device.as_raw_fd(), KVM_CREATE_VM, 0) }) {
        Ok(_) => Finding::new(
            Verdict::Yes,
            "KVM",
            "made an empty machine; ./just vm emulates by itself where that is not enough",
        ),
        Err(errno) => Finding::new(Verdict::No, "KVM", format!("KVM_CREATE_VM: {}", errno.desc()))
            .cure("none is needed: the VM is emulated instead, a few times slower"),
    }
}

fn text(error: &io::Error) -> &'static str {
    Errno::from_raw(error.raw_os_error().unwrap_or_default()).desc()
}
