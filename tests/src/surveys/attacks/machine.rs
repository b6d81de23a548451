//! Attacks on the machine: its name, its processes, its mounts, its disks, its kernel.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::{Mode, SFlag, mknod};
use nix::unistd::{Pid, gethostname};

use super::attempt::{Attempt, Ending, SECRET};
use crate::checks::engine::{Engine, Outcome, called_by, patience, wait};
use crate::checks::failure::Failure;
use crate::checks::fixture::{ROOTFS, own};
use crate::checks::running::within;
use crate::checks::samples;

pub fn hostname(attempt: &Attempt) -> Result<Ending, Failure> {
    let outcome = attempt.run(&[])?;
    let works = gethostname()?.to_string_lossy() == "evil";
    Ok(Ending::of(works, &outcome.stderr, "changes its own"))
}

/// The hole of chroot(2).
pub fn chroot(attempt: &Attempt) -> Result<Ending, Failure> {
    attempt.steals(attempt.command(&[], &[SECRET]))
}

/// A process of the caller's, which has nothing to do with the container.
fn bystander(attempt: &Attempt) -> Result<Child, Failure> {
    let mut command = Command::new("/bin/sleep");
    command.arg("60").stdin(Stdio::null()).process_group(0);
    Ok(called_by(attempt.engine.caller, command).spawn()?)
}

/// Whether it has been killed. If not it ends by another signal, so there is no need to wait for nothing.
fn is_killed(mut bystander: Child) -> Result<bool, Failure> {
    kill(Pid::from_raw(bystander.id().cast_signed()), Signal::SIGTERM)?;
    let status = wait(&mut bystander, patience())?;
    Ok(status.and_then(|status| status.signal()) == Some(Signal::SIGKILL as i32))
}

pub fn kill_process(attempt: &Attempt) -> Result<Ending, Failure> {
    let bystander = bystander(attempt)?;
    let outcome = attempt.run(&[&bystander.id().to_string()])?;
    Ok(Ending::of(is_killed(bystander)?, &outcome.stderr, "only its own"))
}

/// The bystander is in the engine's process group, as all the commands of a script are in one.
pub fn kill_group(attempt: &Attempt) -> Result<Ending, Failure> {
    let bystander = bystander(attempt)?;
    let mut command = attempt.command(&[], &[]);
    command.process_group(bystander.id().cast_signed());
    let outcome = Outcome::of(command, b"")?;
    Ok(Ending::of(is_killed(bystander)?, &outcome.stderr, "only its own"))
}

pub fn mount(attempt: &Attempt) -> Result<Ending, Failure> {
    let watched = attempt
        .watch(&[], |_| Ok(fs::read_to_string("/proc/self/mountinfo")?.contains("/tmp/mnt ")))?;
    Ok(Ending::of(watched.seen, &watched.complaints, "in its own mounts"))
}

/// A mount runs code that no ordinary user's call gets to, and that has had holes.
pub fn kernel(attempt: &Attempt) -> Result<Ending, Failure> {
    let outcome = attempt.run(&[])?;
    Ok(Ending::of(outcome.stdout.contains("inside"), &outcome.stderr, "no mount"))
}

/// The disk under /scratch.
pub fn device(attempt: &Attempt) -> Result<Ending, Failure> {
    let file = Path::new("/scratch/secret");
    fs::write(file, attempt.secret)?;
    let disk = file.metadata()?.dev();
    let numbers = [libc::major(disk), libc::minor(disk)].map(|number| number.to_string());
    let ending = attempt.steals(attempt.command(&[], &[&numbers[0], &numbers[1]]));
    fs::remove_file(file)?;
    ending
}

/// A file on the same disk is read from the disk itself. The image's author has packed a device file
/// with its numbers, and the container's root owns it.
pub fn device_of_image(attempt: &Attempt) -> Result<Ending, Failure> {
    let file = Path::new("/scratch/secret");
    fs::write(file, attempt.secret)?;
    let open = File::open(file)?;
    open.sync_all()?;
    let size = open.metadata()?.blksize();
    let mut block: libc::c_int = 0;
    // SAFETY: FIBMAP reads and writes the number, and the file is open.
    Errno::result(unsafe { libc::ioctl(open.as_raw_fd(), FIBMAP, &mut block) })?;
    let mut devices = Vec::new();
    attempt.engine.fetch_rootfs();
    for root in roots(attempt.engine)? {
        let device = root.join("disk");
        mknod(&device, SFlag::S_IFBLK, Mode::S_IRUSR, open.metadata()?.dev())?;
        own(&device, attempt.engine.caller)?;
        devices.push(device);
    }
    let args = [size.to_string(), block.to_string()];
    let ending = attempt.steals(attempt.command(&[], &[&args[0], &args[1]]));
    devices.iter().chain([&file.to_path_buf()]).try_for_each(fs::remove_file)?;
    ending
}

/// Asks for the block of the disk that a file's block is in (linux/fs.h).
const FIBMAP: libc::Ioctl = 1;

/// The root filesystems that the engine may run a command in: the usual one, its images', and their
/// layers.
fn roots(engine: &Engine) -> io::Result<Vec<PathBuf>> {
    let mut roots = vec![PathBuf::from(ROOTFS)];
    for (directory, root) in [("rootfs", ""), ("layers", "diff")] {
        let images = fs::read_dir(samples::store(engine.caller).join(directory));
        for entry in images.into_iter().flatten() {
            roots.push(entry?.path().join(root));
        }
    }
    Ok(roots)
}

/// What the kernel is told to start when a process crashes, it starts on the host.
pub fn core_pattern(attempt: &Attempt) -> Result<Ending, Failure> {
    let setting = "/proc/sys/kernel/core_pattern";
    let before = fs::read_to_string(setting)?;
    let outcome = attempt.run(&[])?;
    let changed = fs::read_to_string(setting)? != before;
    let works = changed
        && within(Duration::from_secs(5), || {
            Path::new("/run/evil").metadata().is_ok_and(|made| made.uid() == 0)
        });
    fs::write(setting, before)?;
    Ok(Ending::of(works, &outcome.stderr, "does not start"))
}
