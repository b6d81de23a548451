//! The command that runs in the guest, and its streams there.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{OpenOptionsExt, fchown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::signal::SigSet;
use nix::unistd::{Pid, pipe2, setsid};
use shared::Error;

use super::guest::User;
use super::terminal;
use super::wire::{Kind, Request, frame};

/// Where the built steps are comes first.
const PATH: &str = "/slipway/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const DIRECTORY: &str = "/slipway";

/// So much is read from a stream at once.
const PIECE: usize = 32 * 1024;

/// What is left in the streams of a command that ended is sent up to this many pieces (all that a pipe can hold):
/// a process that it left in the background may write on for ever.
const LAST_PIECES: usize = 32;

/// A running command.
pub struct Job {
    /// Its process.
    pub pid: Pid,
    input: Option<File>,
    /// Bytes that the runner sent and the command has not read yet.
    pending: Vec<u8>,
    /// The runner's input has ended: the command's does when nothing is pending any more.
    input_ended: bool,
    outputs: Vec<(Kind, File)>,
    on_terminal: bool,
}

impl Job {
    /// Starts what is asked for, as that user.
    pub fn start(request: &Request, user: &User) -> Result<Job, Error> {
        let argv = match &request.command[..] {
            [] => &[OsString::from(&user.shell)],
            command => command,
        };
        let mut command = Command::new(&argv[0]);
        command
            .args(&argv[1..])
            .current_dir(DIRECTORY)
            .env_clear()
            .env("PATH", PATH)
            .env("LANG", "C.UTF-8");
        command
            .env("HOME", &user.home)
            .env("USER", &user.name)
            .env("LOGNAME", &user.name)
            .env("SHELL", &user.shell);
        if user.uid != 0 {
            command.uid(user.uid).gid(user.gid);
        }
        let on_terminal = request.terminal.is_some();
        // SAFETY: only system calls that are safe after a fork.
        unsafe {
            command.pre_exec(move || {
                SigSet::empty().thread_set_mask()?;
                setsid()?;
                if on_terminal && libc::ioctl(0, libc::TIOCSCTTY, 0) == -1 {
                    return Err(io::Error::last_os_error());
                }
                Ok(())
            })
        };
        let job = match &request.terminal {
            Some((term, size)) => on_a_terminal(&mut command, user, term, *size),
            None => on_pipes(&mut command, user),
        };
        job.map_err(|error| {
            let errno = Errno::try_from(error).unwrap_or(Errno::EIO);
            shared::cannot_execute(&argv[0], Path::new(&argv[0]), errno)
        })
    }

    fn new(
        child: Child,
        input: File,
        outputs: Vec<(Kind, File)>,
        on_terminal: bool,
    ) -> io::Result<Job> {
        let pid = Pid::from_raw(child.id().cast_signed());
        // A command that does not read must not keep its output from being sent.
        fcntl(&input, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok(Job {
            pid,
            input: Some(input),
            pending: Vec::new(),
            input_ended: false,
            outputs,
            on_terminal,
        })
    }

    /// Whether bytes from the runner wait for the command to read them.
    pub fn has_pending_input(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Where the pending bytes go.
    pub fn input(&self) -> Option<&File> {
        self.input.as_ref()
    }

    /// Where the command's output arrives.
    pub fn outputs(&self) -> impl Iterator<Item = &File> {
        self.outputs.iter().map(|(_, file)| file)
    }

    /// Takes input from the runner; no bytes are its end.
    pub fn take_input(&mut self, data: &[u8]) {
        if self.input.is_some() {
            self.pending.extend(data);
        }
        self.input_ended |= data.is_empty();
        self.close_input();
    }

    /// Gives the command's terminal another size.
    pub fn resize(&self, size: &[u8]) {
        if let (Ok(size), Some(input)) = (size.try_into(), &self.input) {
            let _ = terminal::set_size(input.as_fd(), size);
        }
    }

    /// Moves what can be moved: `happened` is what poll(2) found for the outputs and, last, for the input.
    pub fn relay(&mut self, port: &mut File, happened: &[PollFlags]) -> io::Result<()> {
        let mut happened = happened.iter();
        let mut open = Vec::new();
        for (kind, mut file) in std::mem::take(&mut self.outputs) {
            if happened.next().is_none_or(|flags| flags.is_empty())
                || forward(kind, &mut file, port)?
            {
                open.push((kind, file));
            }
        }
        self.outputs = open;
        if happened.next().is_some_and(|flags| !flags.is_empty()) {
            self.write_pending();
        }
        Ok(())
    }

    fn write_pending(&mut self) {
        let Some(input) = &mut self.input else { return };
        match input.write(&self.pending) {
            Ok(count) => drop(self.pending.drain(..count)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // The command has closed its input.
            Err(_) => {
                self.pending.clear();
                self.input = None;
            }
        }
        self.close_input();
    }

    fn close_input(&mut self) {
        if self.input_ended && self.pending.is_empty() {
            self.input = None;
        }
    }

    /// The command has ended: sends what it wrote and nobody read yet.
    pub fn finish(self, port: &mut File) -> io::Result<()> {
        // A terminal's driver hands on what was written a little later; a pipe holds it already.
        let patience = PollTimeout::from(if self.on_terminal { 100_u8 } else { 0 });
        for (kind, mut file) in self.outputs {
            for _ in 0..LAST_PIECES {
                let ready = poll(&mut [PollFd::new(file.as_fd(), PollFlags::POLLIN)], patience);
                if ready != Ok(1) || !forward(kind, &mut file, port)? {
                    break;
                }
            }
        }
        Ok(())
    }
}

/// Sends on what there is to read; false at the stream's end.
fn forward(kind: Kind, from: &mut File, port: &mut File) -> io::Result<bool> {
    let mut buffer = [0; PIECE];
    match from.read(&mut buffer) {
        // A terminal that no process has open any more answers EIO.
        Ok(0) | Err(_) => Ok(false),
        Ok(count) => port.write_all(&frame(kind, &buffer[..count])).and(Ok(true)),
    }
}

fn on_pipes(command: &mut Command, user: &User) -> io::Result<Job> {
    let pipe = || -> io::Result<(OwnedFd, OwnedFd)> {
        let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
        // So that the command may open /dev/stdout again.
        fchown(&read, Some(user.uid), Some(user.gid))?;
        Ok((read, write))
    };
    let (stdin, input) = pipe()?;
    let (output, stdout) = pipe()?;
    let (errors, stderr) = pipe()?;
    let child = command
        .stdin(Stdio::from(stdin))
        .stdout(Stdio::from(stdout))
        .stderr(Stdio::from(stderr))
        .spawn()?;
    let outputs = vec![(Kind::Stdout, output.into()), (Kind::Stderr, errors.into())];
    Job::new(child, input.into(), outputs, false)
}

fn on_a_terminal(
    command: &mut Command,
    user: &User,
    term: &OsStr,
    size: [u8; 4],
) -> io::Result<Job> {
    let master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let slave = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NOCTTY)
        .open(ptsname_r(&master)?)?;
    fchown(&slave, Some(user.uid), None)?;
    terminal::set_size(slave.as_fd(), size)?;
    command.env("TERM", known_terminal(term));
    let child =
        command.stdin(slave.try_clone()?).stdout(slave.try_clone()?).stderr(slave).spawn()?;
    let input = File::from(OwnedFd::from(master));
    let outputs = vec![(Kind::Stdout, input.try_clone()?)];
    Job::new(child, input, outputs, true)
}

/// The terminal's kind, or a common one where the guest's Debian does not know it.
fn known_terminal(term: &OsStr) -> &OsStr {
    let name = term.to_str().unwrap_or_default();
    let initial = name.get(..1).unwrap_or_default();
    let folders = ["/lib/terminfo", "/usr/share/terminfo", "/etc/terminfo"];
    let known = !name.is_empty()
        && folders.iter().any(|folder| Path::new(folder).join(initial).join(name).exists());
    if known { term } else { OsStr::new("xterm-256color") }
}
