//! A shell on a terminal in the VM, and a program that types at it.

use std::io::Write;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use shared::{Error, Explain};

use super::Vm;
use super::wire::{Kind, Request, frame};

/// A shell that has the VM for itself. With this dropped, both are gone.
pub struct Typist {
    vm: Vm,
}

/// What arrived at once, and when.
pub type Piece = (Instant, Vec<u8>);

impl Typist {
    /// Starts a command as `user`, on a terminal of so many rows and columns.
    pub fn start(vm: Vm, user: &str, argv: &[&str], size: (u16, u16)) -> Result<Typist, Error> {
        let ([a, b], [c, d]) = (size.0.to_be_bytes(), size.1.to_be_bytes());
        let terminal = Some(("xterm".into(), [a, b, c, d]));
        let command = argv.iter().map(Into::into).collect();
        let mut typist = Typist { vm };
        typist.send(Kind::Run, &Request { user: user.into(), terminal, command }.encode())?;
        Ok(typist)
    }

    /// As [`Vm::last_words`].
    pub fn last_words(&mut self) -> String {
        self.vm.last_words()
    }

    /// Types a text.
    pub fn press(&mut self, keys: &str) -> Result<(), Error> {
        self.send(Kind::Stdin, keys.as_bytes())
    }

    fn send(&mut self, kind: Kind, data: &[u8]) -> Result<(), Error> {
        self.vm.qemu.wire.write_all(&frame(kind, data)).explain("write to the VM")
    }

    /// Reads until the shell writes `end`, which does not belong to what it gives back, or until the time is over:
    /// then the second value is false.
    pub fn read_until(&mut self, end: u8, patience: Duration) -> Result<(Vec<Piece>, bool), Error> {
        let deadline = Instant::now() + patience;
        let mut pieces = Vec::new();
        loop {
            while let Some((kind, mut data)) = self.vm.frames.pop() {
                match kind {
                    Kind::Stdout => {
                        let ended = data.iter().position(|byte| *byte == end);
                        data.truncate(ended.unwrap_or(data.len()));
                        pieces.push((Instant::now(), data));
                        if ended.is_some() {
                            return Ok((pieces, true));
                        }
                    }
                    Kind::Failed => {
                        return Err(Error::new(String::from_utf8_lossy(&data[1..]).into_owned()));
                    }
                    Kind::Ended => return Ok((pieces, false)),
                    _ => {}
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            let mut fds = [PollFd::new(self.vm.qemu.wire.as_fd(), PollFlags::POLLIN)];
            if poll(&mut fds, timeout).explain("wait for the VM")? == 0 {
                return Ok((pieces, false));
            }
            if !self.vm.qemu.receive(&mut self.vm.frames)? {
                return Err(self.vm.qemu.died("went down while a shell ran"));
            }
        }
    }
}
