//! The guest's part of the runner: the VM's first process, which runs the commands that the runner asks for.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::thread;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use shared::Error;

use super::job::Job;
use super::wire::{Frames, Kind, Request, frame};

/// Serves the runner until it is gone, then switches the VM off.
pub fn main() {
    if let Err(error) = serve() {
        eprintln!("slipway: the guest's part of the runner failed: {error}");
    }
    // SAFETY: reboot takes no pointer here. Nothing needs to be synced: what the VM wrote is thrown away.
    unsafe { libc::reboot(libc::LINUX_REBOOT_CMD_POWER_OFF) };
}

fn serve() -> io::Result<()> {
    let mut guest = Guest::new()?;
    while guest.turn()? {}
    Ok(())
}

struct Guest {
    port: File,
    frames: Frames,
    /// Readable when a child ended: ours, or an orphan that its parent left to the first process.
    children: SignalFd,
    job: Option<Job>,
}

impl Guest {
    fn new() -> io::Result<Guest> {
        let mut ended = SigSet::empty();
        ended.add(Signal::SIGCHLD);
        ended.thread_block()?;
        let children =
            SignalFd::with_flags(&ended, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        reseed()?;
        let mut port = open_port()?;
        port.write_all(&frame(Kind::Ready, &[]))?;
        Ok(Guest { port, frames: Frames::default(), children, job: None })
    }

    /// Waits for something to happen and deals with it; false when the runner is gone.
    fn turn(&mut self) -> io::Result<bool> {
        // Nothing is read from the runner while its last bytes still wait for the command: so a command that does
        // not read makes the sender wait, as in a pipe.
        let pending = self.job.as_ref().is_some_and(Job::has_pending_input);
        let wanted = if pending { PollFlags::empty() } else { PollFlags::POLLIN };
        let mut fds = vec![
            PollFd::new(self.port.as_fd(), wanted),
            PollFd::new(self.children.as_fd(), PollFlags::POLLIN),
        ];
        if let Some(job) = &self.job {
            fds.extend(job.outputs().map(|file| PollFd::new(file.as_fd(), PollFlags::POLLIN)));
            if pending {
                fds.extend(job.input().map(|file| PollFd::new(file.as_fd(), PollFlags::POLLOUT)));
            }
        }
        match poll(&mut fds, PollTimeout::NONE) {
            Err(nix::Error::EINTR) => return Ok(true),
            result => result?,
        };
        let happened: Vec<PollFlags> =
            fds.iter().map(|fd| fd.revents().unwrap_or(PollFlags::empty())).collect();

        if let Some(job) = &mut self.job {
            job.relay(&mut self.port, &happened[2..])?;
        }
        if !happened[1].is_empty() {
            while self.children.read_signal()?.is_some() {}
            self.reap()?;
        }
        if happened[0].intersects(PollFlags::POLLIN) {
            return self.listen();
        }
        Ok(!happened[0].intersects(PollFlags::POLLHUP))
    }

    /// Reads what the runner sent and does it; false at its end.
    fn listen(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 32 * 1024];
        let count = self.port.read(&mut buffer)?;
        self.frames.push(&buffer[..count]);
        while let Some((kind, data)) = self.frames.pop() {
            match (kind, &mut self.job) {
                (Kind::Run, None) => self.start(&data)?,
                (Kind::Stdin, Some(job)) => job.take_input(&data),
                (Kind::Size, Some(job)) => job.resize(&data),
                // Input and sizes that crossed with the news that the command ended.
                _ => {}
            }
        }
        Ok(count > 0)
    }

    fn start(&mut self, request: &[u8]) -> io::Result<()> {
        let request = Request::decode(request)
            .ok_or_else(|| io::Error::other("a request that makes no sense"))?;
        match User::named(&request.user.to_string_lossy())
            .and_then(|user| Job::start(&request, &user))
        {
            Ok(job) => self.job = Some(job),
            Err(error) => {
                let mut data = vec![error.status()];
                data.extend(error.to_string().bytes());
                self.port.write_all(&frame(Kind::Failed, &data))?;
            }
        }
        Ok(())
    }

    /// Collects every child that ended, and tells the runner if the command is among them.
    fn reap(&mut self) -> io::Result<()> {
        loop {
            let (pid, status) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, status)) => (pid, status),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, 128 + signal as i32),
                Ok(WaitStatus::StillAlive) | Err(_) => return Ok(()),
                Ok(_) => continue,
            };
            if let Some(job) = self.job.take_if(|job| job.pid == pid) {
                job.finish(&mut self.port)?;
                self.port.write_all(&frame(Kind::Ended, &[status as u8]))?;
            }
        }
    }
}

/// Has the kernel's random numbers begin anew, from all that it was given: a VM that was saved would go on with those that
/// every other one from the same file has, for a while (random(4)).
fn reseed() -> io::Result<()> {
    /// From linux/random.h: `_IO('R', 0x07)`.
    const RNDRESEEDCRNG: libc::Ioctl = 0x5207;
    let random = File::open("/dev/urandom")?;
    // SAFETY: this request takes no pointer. It fails as long as none could be asked for, and then all is well.
    unsafe { libc::ioctl(random.as_raw_fd(), RNDRESEEDCRNG) };
    Ok(())
}

/// Opens the runner's port, the only one: /dev/vportNp1, which appears a moment after its driver was loaded.
fn open_port() -> io::Result<File> {
    loop {
        for entry in fs::read_dir("/dev")? {
            let entry = entry?;
            if entry.file_name().as_encoded_bytes().starts_with(b"vport") {
                return OpenOptions::new().read(true).write(true).open(entry.path());
            }
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// A line of /etc/passwd. (A static program cannot ask the C library, which would load more of itself to answer.)
pub struct User {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
    pub home: String,
    pub shell: String,
}

impl User {
    fn named(name: &str) -> Result<User, Error> {
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        passwd
            .lines()
            .filter_map(User::parse)
            .find(|user| user.name == name)
            .ok_or_else(|| Error::new(format!("the VM has no user {name:?}; it has root and ada")))
    }

    fn parse(line: &str) -> Option<User> {
        let fields: Vec<&str> = line.split(':').collect();
        let &[name, _, uid, gid, _, home, shell] = fields.as_slice() else { return None };
        let (uid, gid) = (uid.parse().ok()?, gid.parse().ok()?);
        Some(User { name: name.into(), uid, gid, home: home.into(), shell: shell.into() })
    }
}
