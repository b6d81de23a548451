//! One command's run, seen from outside: moves its streams between this process and the guest.

use std::env;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{MsgFlags, send};
use nix::unistd::read;
use shared::{Error, Explain};

use super::terminal::{self, Raw};
use super::wire::{Kind, Request, frame};
use super::{Command, Input, Outcome, Stream, Vm};

/// Ctrl-], as telnet has it: the way out when the guest does not listen any more.
const LEAVE: u8 = 0x1d;

/// So much of the input goes into a frame.
const PIECE: usize = 32 * 1024;

/// What a command's output is given to.
type Output<'a> = &'a mut dyn FnMut(Stream, &[u8]) -> io::Result<()>;

/// Runs the command in the VM.
pub fn run(vm: &mut Vm, command: &Command, output: Output) -> Result<Outcome, Error> {
    let stdin = io::stdin();
    let stdin = stdin.as_fd();
    let terminal = (command.input == Input::Terminal).then(|| {
        let term = env::var_os("TERM").unwrap_or_default();
        (term, terminal::size(stdin))
    });
    let request = Request { user: (&command.user).into(), terminal, command: command.argv.clone() };
    let mut to_guest = frame(Kind::Run, &request.encode());
    match &command.input {
        Input::Nothing => to_guest.extend(frame(Kind::Stdin, &[])),
        Input::Bytes(bytes) => {
            for piece in bytes.chunks(PIECE) {
                to_guest.extend(frame(Kind::Stdin, piece));
            }
            to_guest.extend(frame(Kind::Stdin, &[]));
        }
        Input::Stdin | Input::Terminal => {}
    }
    // While the terminal is raw, a signal must not end this process before the terminal is as it was.
    let held = (command.input == Input::Terminal)
        .then(Held::new)
        .transpose()
        .explain("hold signals back")?;
    let _raw = match command.input {
        Input::Terminal => Some(Raw::set(stdin).explain("set the terminal to raw mode")?),
        _ => None,
    };
    let input = matches!(command.input, Input::Stdin | Input::Terminal).then_some(stdin);
    let mut relay = Relay { vm, input, on_terminal: held.is_some(), to_guest, output };
    let deadline = command.timeout.map(|timeout| Instant::now() + timeout);
    let outcome = loop {
        match relay.turn(held.as_ref().map(|held| &held.signals), deadline) {
            Ok(None) => {}
            Ok(Some(outcome)) => break Ok(outcome),
            Err(error) => break Err(error),
        }
    };
    if !matches!(outcome, Ok(Outcome::Ended(_) | Outcome::Failed(..))) {
        relay.vm.qemu.kill();
    }
    outcome
}

struct Relay<'a> {
    vm: &'a mut Vm,
    /// Until it ends.
    input: Option<BorrowedFd<'a>>,
    on_terminal: bool,
    /// What QEMU has not taken yet.
    to_guest: Vec<u8>,
    output: Output<'a>,
}

impl Relay<'_> {
    /// Waits for something to happen and deals with it; gives the outcome when the command ended.
    fn turn(
        &mut self,
        signals: Option<&SignalFd>,
        deadline: Option<Instant>,
    ) -> Result<Option<Outcome>, Error> {
        // Input is read when the last is gone, and the guest is always listened to: neither side can wait for the other.
        let mut wanted = PollFlags::POLLIN;
        wanted.set(PollFlags::POLLOUT, !self.to_guest.is_empty());
        let input = self.input.filter(|_| self.to_guest.is_empty());
        let mut fds = vec![PollFd::new(self.vm.qemu.wire.as_fd(), wanted)];
        fds.extend(signals.map(|signals| PollFd::new(signals.as_fd(), PollFlags::POLLIN)));
        fds.extend(input.map(|input| PollFd::new(input, PollFlags::POLLIN)));
        match poll(&mut fds, remaining(deadline)) {
            Ok(0) if deadline.is_some_and(|deadline| deadline <= Instant::now()) => {
                return Ok(Some(Outcome::TimedOut));
            }
            Err(Errno::EINTR) => return Ok(None),
            result => result.explain("wait for the VM")?,
        };
        let mut happened = fds
            .iter()
            .map(|fd| fd.revents().unwrap_or(PollFlags::empty()))
            .collect::<Vec<_>>()
            .into_iter();
        let wire = happened.next().unwrap_or(PollFlags::empty());

        if let (Some(signals), Some(true)) =
            (signals, signals.and_then(|_| happened.next()).map(|flags| !flags.is_empty()))
            && let Some(outcome) = self.signal(signals)?
        {
            return Ok(Some(outcome));
        }
        if let (Some(input), true) = (input, happened.next().is_some_and(|flags| !flags.is_empty()))
            && let Some(outcome) = self.take_input(input)?
        {
            return Ok(Some(outcome));
        }
        if wire.contains(PollFlags::POLLOUT) {
            self.send()?;
        }
        if wire.intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR) {
            return self.listen();
        }
        Ok(None)
    }

    /// Deals with a signal: the terminal's new size is passed on, the others end the run.
    fn signal(&mut self, signals: &SignalFd) -> Result<Option<Outcome>, Error> {
        let number = signals
            .read_signal()
            .explain("read a signal")?
            .map_or(0, |info| info.ssi_signo.cast_signed());
        if number != libc::SIGWINCH {
            return Ok((number != 0).then_some(Outcome::Signaled(number)));
        }
        self.to_guest.extend(frame(Kind::Size, &terminal::size(io::stdin().as_fd())));
        Ok(None)
    }

    fn take_input(&mut self, input: BorrowedFd) -> Result<Option<Outcome>, Error> {
        let mut buffer = [0; PIECE];
        // A terminal that is gone, a descriptor that was never open: the input's end.
        let count = read(input, &mut buffer).unwrap_or(0);
        let bytes = &buffer[..count];
        if self.on_terminal && bytes.contains(&LEAVE) {
            return Ok(Some(Outcome::Left));
        }
        if bytes.is_empty() {
            self.input = None;
        }
        self.to_guest.extend(frame(Kind::Stdin, bytes));
        Ok(None)
    }

    fn send(&mut self) -> Result<(), Error> {
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        match send(self.vm.qemu.wire.as_raw_fd(), &self.to_guest, flags) {
            Ok(count) => drop(self.to_guest.drain(..count)),
            Err(Errno::EAGAIN) => {}
            // QEMU is gone; listening will tell.
            Err(Errno::EPIPE | Errno::ECONNRESET) => self.to_guest.clear(),
            Err(errno) => return Err(errno).explain("write to the VM"),
        }
        Ok(())
    }

    fn listen(&mut self) -> Result<Option<Outcome>, Error> {
        if !self.vm.qemu.receive(&mut self.vm.frames)? {
            return Err(self.vm.qemu.died("went down while the command ran"));
        }
        while let Some((kind, data)) = self.vm.frames.pop() {
            match kind {
                Kind::Stdout => {
                    (self.output)(Stream::Stdout, &data).explain("pass the output on")?
                }
                Kind::Stderr => {
                    (self.output)(Stream::Stderr, &data).explain("pass the output on")?
                }
                Kind::Ended => return Ok(Some(Outcome::Ended(data[0]))),
                Kind::Failed => {
                    let (status, why) = (data[0], String::from_utf8_lossy(&data[1..]).into_owned());
                    return Ok(Some(Outcome::Failed(why, status)));
                }
                _ => {}
            }
        }
        Ok(None)
    }
}

fn remaining(deadline: Option<Instant>) -> PollTimeout {
    let Some(deadline) = deadline else { return PollTimeout::NONE };
    let left = deadline.saturating_duration_since(Instant::now());
    // One more millisecond, so that the time is really over when poll returns.
    PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
}

/// Signals that are read from a descriptor instead of being delivered, until this is dropped.
struct Held {
    signals: SignalFd,
    before: SigSet,
}

impl Held {
    fn new() -> nix::Result<Held> {
        use Signal::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGWINCH};
        let mask = SigSet::from_iter([SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGWINCH]);
        let before = SigSet::thread_get_mask()?;
        mask.thread_block()?;
        let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Held { signals, before })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.before.thread_set_mask();
    }
}
