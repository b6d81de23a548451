//! QEMU: its command line, its start, its end.

use std::env;
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use shared::{Error, Explain};

use super::wire::{Frames, Kind};
use super::{payload, saved};
use crate::remembered::Print;

/// A guest that is not up by then never will be: under software emulation on a busy machine it takes some 15 seconds.
const BOOT_LIMIT: Duration = Duration::from_secs(120);

/// One that was saved goes on at once, or never.
const RESUME_LIMIT: Duration = Duration::from_secs(30);

/// With KVM the kernel prints its first line within a fraction of a second.
const KVM_FIRST_SIGN: Duration = Duration::from_secs(5);

/// The oldest machine has the fewest devices to find. (microvm has still fewer, but no clock that the kernel trusts, and
/// hangs now and then when this machine is busy.)
const MACHINE: &str =
    "-machine pc,usb=off,vmport=off -m 1536 -nodefaults -no-user-config -display none -no-reboot";

/// The payload's disk is at least of this size, in bytes, most of it a hole: who was saved knows the sizes of its disks.
const PAYLOAD: u64 = 1 << 30;

/// The guest reads the payload in blocks of this size, in bytes.
const BLOCK: u64 = 64 << 10;

/// What the kernel is told. It need not defend itself: that would cost the emulator a second.
const KERNEL: &str = "console=ttyS0 panic=-1 mitigations=off nokaslr no_timer_check";

/// Where the log of a VM that failed is kept, beside the images.
const LOG: &str = "console.log";

/// How the guest's instructions are run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Accel {
    /// By the processor.
    Kvm,
    /// By translation: some ten times slower, and works everywhere.
    Tcg,
}

impl Accel {
    /// What QEMU is told.
    fn options(self) -> &'static str {
        match self {
            Accel::Kvm => "-accel kvm -cpu host -smp 2",
            // The plainest processor: the C library uses instructions that are cheap to translate. And one of them: what
            // two have to tell each other costs the emulator more than the second gains, on a machine that has two itself.
            Accel::Tcg => "-accel tcg -cpu qemu64 -smp 1",
        }
    }

    /// What the kernel is told besides.
    fn kernel(self) -> &'static str {
        match self {
            // The first line is the sign of life.
            Accel::Kvm => "",
            // quiet: each line costs the emulator a millisecond or two. norandmaps: it keeps what it has translated of a
            // program for the next one at the same addresses; all of this is five times as fast.
            Accel::Tcg => "quiet norandmaps",
        }
    }
}

/// How a VM came to be up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Booted, with KVM.
    Kvm,
    /// Booted in an emulated processor, and saved on the way if that was possible.
    Emulated,
    /// Gone on from where an emulated one was saved.
    Saved,
}

/// A running QEMU. Killed when dropped: nothing in the guest is worth an orderly end.
pub struct Qemu {
    process: Child,
    pub origin: Origin,
    /// Connected to the guest's port.
    pub wire: UnixStream,
    /// QEMU's own ear.
    monitor: UnixStream,
    /// What the guest's kernel and QEMU itself had to say.
    log: File,
    cache: PathBuf,
    /// Keeps the image from being removed by a run that makes a newer one.
    _image: File,
}

/// Boots a VM: with KVM if it works, which is tried once after each boot of this machine, or else with TCG.
pub fn start(programs: &[PathBuf]) -> Result<(Qemu, Frames), Error> {
    let image = image()?;
    let payload = memory_file("payload")?;
    payload::write(&payload, &image.join("rootfs"), programs).explain("pack the VM's payload")?;
    let length = payload.metadata().explain("look at the VM's payload")?.len();
    payload.set_len(length.max(PAYLOAD)).explain("make the VM's payload larger")?;
    let boot = |accel| boot(&image, &payload, accel, length.div_ceil(BLOCK));

    match env::var("SLIPWAY_ACCEL").as_deref() {
        Ok("kvm") => boot(Accel::Kvm),
        Ok("tcg") => boot(Accel::Tcg),
        Ok(other) => Err(Error::new(format!("SLIPWAY_ACCEL is {other:?}; it can be kvm or tcg"))),
        Err(_) => {
            let verdict = image.with_file_name("no-kvm");
            let this_boot =
                fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
            let usable = File::options().read(true).write(true).open("/dev/kvm").is_ok();
            let failed_before = fs::read_to_string(&verdict).is_ok_and(|boot| boot == this_boot);
            if !usable || failed_before {
                return boot(Accel::Tcg);
            }
            boot(Accel::Kvm).or_else(|_| {
                let vm = boot(Accel::Tcg)?;
                let _ = fs::write(&verdict, &this_boot);
                let _ = fs::remove_file(image.with_file_name(LOG));
                Ok(vm)
            })
        }
    }
}

/// An emulated one goes on from where an earlier one was saved; the first is saved on its way.
fn boot(image: &Path, payload: &File, accel: Accel, blocks: u64) -> Result<(Qemu, Frames), Error> {
    let disk = payload.metadata().explain("look at the VM's payload")?.len();
    let machine = format!("{MACHINE} {} {KERNEL} {} {disk}", accel.options(), accel.kernel());
    let file = saved::file(image, &machine)?;
    if accel == Accel::Tcg
        && let Ok(state) = File::open(&file)
    {
        let resumed = Qemu::spawn(image, payload, accel, Some(&state))
            .and_then(|qemu| qemu.go_on(accel, blocks, RESUME_LIMIT));
        match resumed {
            Ok(vm) => return Ok(vm),
            // The file is of no use.
            Err(_) => drop(fs::remove_file(&file)),
        }
    }
    let mut qemu = Qemu::spawn(image, payload, accel, None)?;
    qemu.wait(accel, Kind::Held, BOOT_LIMIT)?;
    if accel == Accel::Tcg {
        // One that cannot be saved is as good as any other.
        let _ = saved::make(&file, |name| saved::save(&qemu.monitor, name));
    }
    qemu.go_on(accel, blocks, BOOT_LIMIT)
}

/// The folder with kernel, initramfs and disks, made if need be; the script says what it does and what went wrong.
fn image() -> Result<PathBuf, Error> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rootfs-scripts/vm-image");
    let made = Command::new(&script).stderr(Stdio::inherit()).output();
    let made = made.explain(format_args!("run {}", script.display()))?;
    if !made.status.success() {
        return Err(Error::new("there is no image to start (see the line above)"));
    }
    Ok(PathBuf::from(String::from_utf8_lossy(&made.stdout).trim_end()))
}

/// Adds what every VM is made of, but for the programs that it gets: the image, QEMU, and how it runs the guest. (Its options
/// are part of program `vm`.)
pub fn add_to(print: &mut Print) -> Result<(), Error> {
    let image = image()?;
    // The name stands for what has made it; the scratch disk, 1 GiB and empty, is not worth a second.
    print.text(&image.file_name().unwrap_or_default().to_string_lossy());
    for name in ["kernel", "initramfs", "root.squashfs"] {
        print.file(&image.join(name))?;
    }
    print.folder(&image.join("rootfs"))?;
    print.text(&format!("{:?}", saved::qemu_version()?));
    let usable = File::options().read(true).write(true).open("/dev/kvm").is_ok();
    print.text(&format!("{:?} {usable}", env::var_os("SLIPWAY_ACCEL")));
    Ok(())
}

/// A file without a name, which nobody has to remove.
fn memory_file(name: &str) -> Result<File, Error> {
    memfd_create(name, MFdFlags::MFD_CLOEXEC).map(File::from).explain("make a file in memory")
}

/// The path under which a process opens what it inherited.
fn inherited(file: &impl AsRawFd) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

impl Qemu {
    /// Starts QEMU; `state` is what a VM was saved in.
    fn spawn(
        image: &Path,
        payload: &File,
        accel: Accel,
        state: Option<&File>,
    ) -> Result<Qemu, Error> {
        let held = File::open(image).and_then(|folder| folder.lock_shared().and(Ok(folder)));
        let held = held.explain(format_args!("lock {}", image.display()))?;
        let (wire, theirs) = UnixStream::pair().explain("make a socket")?;
        let (monitor, ear) = UnixStream::pair().explain("make a socket")?;
        let log = memory_file("log")?;
        // Two write to it, QEMU's messages and the guest's console.
        fcntl(&log, FcntlArg::F_SETFL(OFlag::O_APPEND)).explain("make a log")?;

        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.args(MACHINE.split(' ')).args(accel.options().split(' '));
        qemu.args(["-append", &format!("{KERNEL} {}", accel.kernel())]);
        qemu.arg("-kernel").arg(image.join("kernel")).arg("-initrd").arg(image.join("initramfs"));
        qemu.args(["-chardev", &format!("file,id=console,path={},append=on", inherited(&log))]);
        qemu.args(["-serial", "chardev:console"]);

        let root = image.join("root.squashfs").display().to_string();
        let scratch = image.join("scratch.ext4").display().to_string();
        disk(&mut qemu, "root", &root, "readonly=on");
        disk(&mut qemu, "payload", &inherited(payload), "readonly=on");
        disk(&mut qemu, "scratch", &scratch, "snapshot=on");
        qemu.args(["-device", "virtio-serial-pci"]);
        qemu.args(["-chardev", &format!("socket,id=wire,fd={}", theirs.as_raw_fd())]);
        qemu.args(["-device", "virtserialport,chardev=wire"]);
        qemu.args(["-chardev", &format!("socket,id=monitor,fd={}", ear.as_raw_fd())]);
        qemu.args(["-mon", "chardev=monitor,mode=control"]);
        if let Some(state) = state {
            qemu.args(["-incoming", &format!("fd:{}", state.as_raw_fd())]);
        }

        // Ctrl-C is for the runner, and QEMU ends with it: that is what a process group and a death signal are for.
        qemu.process_group(0).stdin(Stdio::null()).stdout(Stdio::null());
        qemu.stderr(log.try_clone().explain("copy a file descriptor")?);
        let mut keep =
            vec![theirs.as_raw_fd(), ear.as_raw_fd(), payload.as_raw_fd(), log.as_raw_fd()];
        keep.extend(state.map(File::as_raw_fd));
        let runner = std::process::id();
        // SAFETY: only system calls that are safe after a fork.
        unsafe {
            qemu.pre_exec(move || {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                if libc::getppid().cast_unsigned() != runner {
                    // Of the runner, whom nobody is left to tell: a text would need memory.
                    return Err(io::Error::from_raw_os_error(libc::ESRCH));
                }
                for fd in &keep {
                    libc::fcntl(*fd, libc::F_SETFD, 0);
                }
                Ok(())
            })
        };
        let process = qemu.spawn().explain("start qemu-system-x86_64")?;
        let cache = image.parent().unwrap_or(image).to_owned();
        let origin = match (accel, state) {
            (Accel::Kvm, _) => Origin::Kvm,
            (Accel::Tcg, None) => Origin::Emulated,
            (Accel::Tcg, Some(_)) => Origin::Saved,
        };
        Ok(Qemu { process, origin, wire, monitor, log, cache, _image: held })
    }

    /// Tells the guest that waits to be saved, or has been, how to go on, and waits until it is up.
    fn go_on(
        mut self,
        accel: Accel,
        blocks: u64,
        limit: Duration,
    ) -> Result<(Qemu, Frames), Error> {
        self.wire.write_all(saved::news(blocks)?.as_bytes()).explain("write to the VM")?;
        let frames = self.wait(accel, Kind::Ready, limit)?;
        Ok((self, frames))
    }

    /// Waits for this sign of the guest's.
    fn wait(&mut self, accel: Accel, sign: Kind, limit: Duration) -> Result<Frames, Error> {
        let started = Instant::now();
        let mut frames = Frames::default();
        loop {
            let mut fds = [PollFd::new(self.wire.as_fd(), PollFlags::POLLIN)];
            if poll(&mut fds, 100_u8).explain("wait for the VM")? > 0
                && !self.receive(&mut frames)?
            {
                return Err(self.died("did not start"));
            }
            if frames.pop().is_some_and(|(kind, _)| kind == sign) {
                return Ok(frames);
            }
            if accel == Accel::Kvm
                && started.elapsed() > KVM_FIRST_SIGN
                && !self.log().contains("Linux version")
            {
                return Err(
                    self.died("shows no sign of life under KVM; SLIPWAY_ACCEL=tcg does without")
                );
            }
            if started.elapsed() > limit {
                return Err(self.died("did not come up in time"));
            }
        }
    }

    /// Reads what the guest sent; false when QEMU is gone.
    pub fn receive(&mut self, frames: &mut Frames) -> Result<bool, Error> {
        let mut buffer = [0; 64 * 1024];
        let count = match self.wire.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => 0,
            result => result.explain("read from the VM")?,
        };
        frames.push(&buffer[..count]);
        Ok(count > 0)
    }

    fn log(&mut self) -> String {
        let mut log = Vec::new();
        let _ = self.log.rewind().and_then(|()| self.log.read_to_end(&mut log));
        String::from_utf8_lossy(&log).replace('\r', "")
    }

    /// The error for a guest that is no more: keeps its log and quotes its last words.
    pub fn died(&mut self, how: &str) -> Error {
        let log = self.log();
        let panic = log.lines().find(|line| line.contains("Kernel panic"));
        let last =
            panic.or(log.lines().rfind(|line| !line.trim().is_empty())).unwrap_or("nothing").trim();
        let kept = self.cache.join(LOG);
        match fs::write(&kept, &log) {
            Ok(()) => {
                Error::new(format!("the VM {how}; it said: {last} (all of it: {})", kept.display()))
            }
            Err(_) => Error::new(format!("the VM {how}; it said: {last}")),
        }
    }

    /// Ends the VM.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        self.kill();
    }
}

fn disk(qemu: &mut Command, id: &str, path: &str, option: &str) {
    // In QEMU's options a comma is written twice.
    let path = path.replace(',', ",,");
    qemu.args([
        "-drive",
        &format!("if=none,id={id},file={path},format=raw,file.locking=off,{option}"),
    ]);
    qemu.args(["-device", &format!("virtio-blk-pci,drive={id}")]);
}
