//! The throw-away VM: a stock Debian kernel and a Debian root image in QEMU, up in seconds, gone without a trace.
//!
//! [`Vm::start`] boots it, [`Vm::run`] runs a command in it, as often as wanted, and dropping it ends it. What the
//! guest writes goes to memory; nothing on this machine changes.

pub mod guest;
mod job;
pub mod payload;
mod qemu;
mod relay;
mod saved;
mod terminal;
pub mod typist;
mod wire;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use shared::{Error, Explain};

pub use qemu::{Origin, add_to};

use qemu::Qemu;
use wire::Frames;

/// A running VM. It ends when this is dropped, and with the thread that started it, however that one ends.
pub struct Vm {
    qemu: Qemu,
    frames: Frames,
}

/// What to run in the VM, and how.
#[derive(Clone, Debug)]
pub struct Command {
    /// The program and its arguments. None: a shell.
    pub argv: Vec<OsString>,
    /// The user that it runs as: `root` or `ada`.
    pub user: String,
    /// What it reads.
    pub input: Input,
    /// How long it may take.
    pub timeout: Option<Duration>,
}

impl Command {
    /// A command that root runs, that reads nothing and takes its time.
    pub fn new<Arg: Into<OsString>>(argv: impl IntoIterator<Item = Arg>) -> Command {
        let argv = argv.into_iter().map(Into::into).collect();
        Command { argv, user: "root".into(), input: Input::Nothing, timeout: None }
    }
}

/// Where a command's input comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// It has none: the end of the file at once.
    Nothing,
    /// These bytes.
    Bytes(Vec<u8>),
    /// This process's standard input.
    Stdin,
    /// This process's terminal, which must be its standard input: the command has a terminal in the VM, and each key
    /// goes there. All that it writes is [`Stream::Stdout`].
    Terminal,
}

/// Which of its streams a command wrote to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// How a command in the VM ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// By itself, or by a signal in the VM: its exit status, as a shell tells it.
    Ended(u8),
    /// It could not be started: why, and the status that a shell would give (126, 127).
    Failed(String, u8),
    /// Its time was over; so is the VM's.
    TimedOut,
    /// The person at the terminal ended the VM (Ctrl-]).
    Left,
    /// This process got this signal, while it held the terminal.
    Signaled(i32),
}

impl Vm {
    /// Boots a VM that holds the programs built so far; makes its image first if there is none.
    pub fn start() -> Result<Vm, Error> {
        Vm::start_with(&[])
    }

    /// The same with more programs, which are on PATH there by their names; a folder is in /slipway by its name.
    pub fn start_with(programs: &[PathBuf]) -> Result<Vm, Error> {
        let (qemu, frames) = qemu::start(programs)?;
        Ok(Vm { qemu, frames })
    }

    /// How it came to be up.
    pub fn origin(&self) -> Origin {
        self.qemu.origin
    }

    /// Puts a program on PATH there, in place of one of its name.
    ///
    /// # Errors
    ///
    /// It can't be read, or not be written there.
    pub fn put(&mut self, program: &Path) -> Result<(), Error> {
        let mut bytes = fs::read(program).explain(format_args!("read {}", program.display()))?;
        payload::strip(&mut bytes);
        let name = program.file_name().unwrap_or_default();
        let script = r#"cat > "$0.new" && chmod 755 "$0.new" && mv "$0.new" "$0""#;
        let file = Path::new("/slipway/bin").join(name).into_os_string();
        let mut command = Command::new(["sh".into(), "-c".into(), script.into(), file]);
        command.input = Input::Bytes(bytes);
        match self.run(&command, &mut |_, _| Ok(()))? {
            Outcome::Ended(0) => Ok(()),
            outcome => Err(Error::new(format!("cannot put {} there: {outcome:?}", name.display()))),
        }
    }

    /// What the guest's kernel said last, of a VM that gives no answer; all of it is kept beside the images.
    pub fn last_words(&mut self) -> String {
        self.qemu.died("gives no answer").to_string()
    }

    /// Runs a command and gives `output` each piece of what it writes while it runs. An error that `output`
    /// returns ends the run.
    pub fn run(
        &mut self,
        command: &Command,
        output: &mut dyn FnMut(Stream, &[u8]) -> std::io::Result<()>,
    ) -> Result<Outcome, Error> {
        relay::run(self, command, output)
    }

    /// As [`Vm::run`], but line by line, without the line's end; the last line may lack one.
    pub fn run_lines(
        &mut self,
        command: &Command,
        line: &mut dyn FnMut(Stream, &str),
    ) -> Result<Outcome, Error> {
        let mut unfinished = [Vec::new(), Vec::new()];
        let outcome = self.run(command, &mut |stream, bytes| {
            let pending = &mut unfinished[stream as usize];
            pending.extend(bytes);
            while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
                line(stream, &String::from_utf8_lossy(&pending[..end]));
                pending.drain(..=end);
            }
            Ok(())
        })?;
        for (stream, rest) in [Stream::Stdout, Stream::Stderr].into_iter().zip(unfinished) {
            if !rest.is_empty() {
                line(stream, &String::from_utf8_lossy(&rest));
            }
        }
        Ok(outcome)
    }
}
