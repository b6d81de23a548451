//! The program under test, and one run of it from start to end.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::FromRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::failure::{Failure, Verdict, equal, require};
use super::images::merged;
use super::samples;
use super::waiting::Wait;
pub use super::waiting::{patience, set_patience};
use crate::steps::{self, Root};

/// How long a run may take. On a busy machine that emulates its processor, Python takes ten seconds.
fn longest_run() -> Duration {
    3 * patience()
}

/// Who calls the engine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Caller {
    Root,
    /// The ordinary user of the VM.
    Ada,
}

impl Caller {
    /// Its user id, and its group's.
    pub const fn id(self) -> u32 {
        match self {
            Caller::Root => 0,
            Caller::Ada => 1000,
        }
    }
}

/// The program under test.
pub struct Engine {
    /// Its file, absolute.
    pub binary: PathBuf,
    /// The step it stands for: which promises it has to keep.
    pub step: u8,
    pub caller: Caller,
    /// The capability that this check asks for, if a command does not have it anyway.
    power: Cell<Option<&'static str>>,
    shown: RefCell<Option<String>>,
    /// Images that it has been told to pull.
    pub pulled: RefCell<BTreeSet<String>>,
    knows_pull: OnceCell<Verdict>,
    has_rootfs: OnceCell<()>,
}

impl Engine {
    pub fn new(binary: PathBuf, step: u8, caller: Caller) -> Engine {
        let (shown, pulled, knows_pull, has_rootfs) = Default::default();
        let power = Cell::new(None);
        Engine { binary, step, caller, power, shown, pulled, knows_pull, has_rootfs }
    }

    /// Says that what is to be tried takes a capability. A later stage takes most of them away.
    pub fn asks_for(&self, capability: &'static str) {
        self.power.set(Some(capability));
    }

    /// Forgets that.
    pub fn asks_for_nothing(&self) {
        self.power.set(None);
    }

    /// The option for it.
    fn power(&self) -> Vec<String> {
        let takes_away = self.step >= steps::since("--cap-add");
        let asked = self.power.get().filter(|_| takes_away);
        asked.iter().map(|capability| format!("--cap-add={capability}")).collect()
    }

    /// Whether what was the step before is its `run`.
    pub fn has_subcommands(&self) -> bool {
        !steps::step(self.step).subcommands.is_empty()
    }

    /// Whether an image stands between options and command.
    pub fn runs_images(&self) -> bool {
        steps::step(self.step).root == Root::Image
    }

    /// How a command line begins that runs a command, up to the options. `program` is the engine's
    /// file, or a copy.
    pub fn start_of_line(&self, program: &Path) -> Vec<String> {
        let program = program.to_string_lossy().into_owned();
        let subcommand = self.has_subcommands().then(|| "run".to_string());
        [program].into_iter().chain(subcommand).chain(self.power()).collect()
    }

    /// The same for a shell.
    pub fn typed_start(&self) -> String {
        self.start_of_line(&self.binary).join(" ")
    }

    /// What follows that: options, an image where the step runs one, and the command.
    pub fn rest_of_line<S: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = S>,
    ) -> Vec<OsString> {
        let mut args: Vec<OsString> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
        let at = end_of_options(&args);
        // Without a command the line is about options, or about what is missing.
        if self.runs_images() && at < args.len() {
            self.fetch_rootfs();
            args.insert(at, samples::rootfs().unwrap_or_default().into());
        }
        args
    }

    /// The whole line for a shell, which reads its quotes.
    pub fn typed(&self, rest: &str) -> String {
        let rest = self.rest_of_line(rest.split(' '));
        let rest: Vec<_> = rest.iter().map(|word| word.to_string_lossy()).collect();
        format!("{} {}", self.typed_start(), rest.join(" "))
    }

    /// The whole line as words.
    pub fn line<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Vec<OsString> {
        let start = self.start_of_line(&self.binary).into_iter().map(OsString::from);
        start.chain(self.rest_of_line(args)).collect()
    }

    /// strace(1) with these options, for a line of the engine's caller. It is root's itself: so set-user-ID
    /// programs keep their meaning (-u).
    pub fn strace<S: AsRef<OsStr>>(&self, options: impl IntoIterator<Item = S>) -> Command {
        let mut strace = Command::new("/usr/bin/strace");
        strace.arg("-f").args(options);
        if self.caller == Caller::Ada {
            strace.args(["-u", "ada"]);
        }
        strace.arg("--");
        strace
    }

    /// The engine as a command, with these options and this command to run.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let line = self.line(args);
        let mut command = Command::new(&line[0]);
        command.args(&line[1..]).stdin(Stdio::null());
        called_by(self.caller, command)
    }

    /// The same where the command is looked up in these directories: they are the caller's, until
    /// the image has a say.
    pub fn with_path(&self, path: &str, args: &[&str]) -> Command {
        if !self.runs_images() {
            let mut command = self.command(args);
            command.env("PATH", path);
            return command;
        }
        self.command([&["-e", &format!("PATH={path}")], args].concat())
    }

    /// The engine with a subcommand of its own, and what belongs to that.
    pub fn subcommand<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(args).stdin(Stdio::null());
        called_by(self.caller, command)
    }

    /// Requires that there is a `pull` which knows what an IMAGE is.
    pub fn knows_pull(&self) -> Verdict {
        let ask = || {
            let outcome = Outcome::of(self.subcommand(["pull", "--help"]), b"")?;
            let explains = outcome.ends_with(0)?.stdout.contains("IMAGE");
            if explains { Ok(()) } else { Err(outcome.failure("what to pull: an IMAGE")) }
        };
        self.knows_pull.get_or_init(ask).clone()
    }

    /// The engine with `run`, for an image other than the usual one.
    pub fn image(&self, options: &[&str], image: &str, args: &[&str]) -> Command {
        let power = self.power();
        let power: Vec<&str> = power.iter().map(String::as_str).collect();
        self.subcommand([&["run"], &power[..], options, &[image], args].concat())
    }

    /// Whether images share layers, so that no image has a root filesystem of its own.
    pub fn shares_layers(&self) -> bool {
        self.step >= steps::since("images")
    }

    /// The root filesystem that a quiet pull into this store has made. The path is all that is
    /// printed; or where images share layers, the manifest's digest.
    pub fn rootfs(&self, outcome: &Outcome, store: &Path) -> Result<PathBuf, Failure> {
        let printed = outcome.ends_with(0)?.stdout.strip_suffix('\n').unwrap_or_default();
        if self.shares_layers() {
            let is_digest = printed.starts_with("sha256:") && printed.len() == 71;
            let expected = "the digest of a manifest on standard output";
            require(is_digest, &outcome.tried, expected, printed)?;
            // A starter's still has all layers in one directory.
            let unpacked = store.join("rootfs").join(&printed["sha256:".len()..]);
            return if unpacked.is_dir() {
                Ok(unpacked)
            } else {
                Ok(merged::merged(store, printed)?)
            };
        }
        let path = PathBuf::from(printed);
        if path.is_absolute() && path.is_dir() {
            Ok(path)
        } else {
            Err(outcome.failure("the path of a root filesystem on standard output"))
        }
    }

    /// Lets an engine that runs images pull the usual one, if it has not yet: so no run takes the time for
    /// it. If that fails, the checks will tell.
    pub fn fetch_rootfs(&self) {
        if self.runs_images()
            && let Ok(image) = samples::rootfs()
        {
            let pull = || drop(Outcome::of(self.subcommand(["pull", &image]), b""));
            self.has_rootfs.get_or_init(pull);
        }
    }

    /// Runs the engine to its end.
    pub fn run<S: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = S>,
    ) -> Result<Outcome, Failure> {
        Outcome::of(self.command(args), b"")
    }

    /// The same for a line that `/bin/sh -c` runs.
    pub fn sh(&self, script: &str) -> Result<Outcome, Failure> {
        self.run(["/bin/sh", "-c", script])
    }

    /// Keeps a text that the snapshots hold to: what the reader is shown of this check.
    pub fn show(&self, text: impl Into<String>) {
        *self.shown.borrow_mut() = Some(text.into());
    }

    /// Takes what the last check showed.
    pub fn take_shown(&self) -> Option<String> {
        self.shown.take()
    }
}

/// Where the engine's own options end, and the command begins.
fn end_of_options(args: &[OsString]) -> usize {
    let mut at = 0;
    while let Some(arg) = args.get(at).and_then(|arg| arg.to_str()) {
        match arg {
            "--" => return at + 1,
            option if steps::has_value(option) => at += 2,
            option if option.len() > 1 && option.starts_with('-') => at += 1,
            _ => break,
        }
    }
    at
}

/// How a run ended and what it wrote.
pub struct Outcome {
    /// The command line, as one would type it.
    pub tried: String,
    /// None when it had to be killed because it did not end.
    pub status: Option<ExitStatus>,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    /// Runs `command` with `stdin` as its standard input, and kills it when it takes too long.
    pub fn of(mut command: Command, stdin: &[u8]) -> Result<Outcome, Failure> {
        // Files, not pipes: what a left-over process still holds open does not keep the check
        // waiting.
        let [out, err, mut input] = [memory_file()?, memory_file()?, memory_file()?];
        input.write_all(stdin)?;
        input.rewind()?;
        command.stdin(input).stdout(out.try_clone()?).stderr(err.try_clone()?);
        let tried = typed(&command);
        let mut child = command
            .spawn()
            .map_err(|error| Failure::new(&tried, "a program that can be started", error))?;
        let status = wait(&mut child, longest_run())?;
        Ok(Outcome { tried, status, stdout: text(&out)?, stderr: text(&err)? })
    }

    /// Requires this exit status (not a death by signal).
    pub fn ends_with(&self, status: i32) -> Result<&Outcome, Failure> {
        let seen = self.status.and_then(|status| status.code());
        if seen == Some(status) {
            Ok(self)
        } else {
            Err(self.failure(format!("exit status {status}")))
        }
    }

    /// Requires exactly this on standard output.
    pub fn prints(&self, expected: &str) -> Result<&Outcome, Failure> {
        equal(&self.tried, "standard output", expected, &self.stdout)
            .map_err(|failure| Failure { seen: self.seen(), ..failure })?;
        Ok(self)
    }

    /// Requires one line on standard error that names what each of `words` names.
    pub fn complains_of(&self, words: &[&str]) -> Verdict {
        let lines = self.stderr.lines().count();
        let named = words.iter().all(|word| self.stderr.contains(word));
        let expected = format!("one line on standard error with {}", words.join(" … "));
        require(lines == 1 && named, &self.tried, expected, self.seen())
    }

    /// The failure of this run to do what was expected.
    pub fn failure(&self, expected: impl std::fmt::Display) -> Failure {
        Failure::new(&self.tried, expected, self.seen())
    }

    /// How it ended and what it wrote, for a person.
    fn seen(&self) -> String {
        let ending = match self.status {
            None => format!("no end within {} s", longest_run().as_secs()),
            Some(status) => ending(status),
        };
        let written = [("standard output", &self.stdout), ("standard error", &self.stderr)]
            .into_iter()
            .filter(|(_, text)| !text.is_empty())
            .map(|(name, text)| format!("; {name}: {:?}", shorten(text)));
        ending + &written.collect::<String>()
    }
}

/// How a program ended, for a person. A status beyond 128 tells a signal, as a shell and an engine report it.
pub fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code @ 129..=192), _) => match Signal::try_from(code - 128) {
            Ok(signal) => format!("exit status {code} (killed by {signal})"),
            Err(_) => format!("exit status {code} (killed by signal {})", code - 128),
        },
        (Some(code), _) => format!("exit status {code}"),
        (None, signal) => format!("death by signal {}", signal.unwrap_or(0)),
    }
}

/// Waits for a child; kills it and gives None when it takes longer than `patience`.
pub fn wait(child: &mut Child, patience: Duration) -> io::Result<Option<ExitStatus>> {
    let waiting = Wait::of(patience);
    while !waiting.is_over() {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        thread::sleep(Duration::from_millis(2));
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}

/// The command line as one would type it in /slipway, where a shell in the VM begins.
pub fn typed(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    let name = program.rsplit('/').next().unwrap_or_default().to_string();
    let quoted = |arg: &OsStr| {
        let Some(arg) = arg.to_str() else {
            return format!(" $'{}'", arg.as_bytes().escape_ascii());
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_=/.,:+".contains(c);
        if !arg.is_empty() && arg.chars().all(plain) {
            format!(" {arg}")
        } else {
            format!(" '{}'", arg.replace('\'', r"'\''"))
        }
    };
    let line = command.get_args().map(quoted).fold(name, |line, arg| line + &arg);
    match command.get_current_dir() {
        Some(directory) if directory != Path::new("/slipway") => {
            format!("(cd {} && {line})", directory.display())
        }
        _ => line,
    }
}

/// The same command, run by this user.
pub fn called_by(caller: Caller, mut command: Command) -> Command {
    if caller != Caller::Root {
        command.uid(caller.id()).gid(caller.id());
    }
    command
}

/// A file without a name, for what a program writes.
pub fn memory_file() -> io::Result<File> {
    // SAFETY: the name is a C string, and the new descriptor belongs to nobody else.
    unsafe {
        let fd = libc::memfd_create(c"checks".as_ptr(), libc::MFD_CLOEXEC);
        if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(File::from_raw_fd(fd)) }
    }
}

/// All that was written to a file.
pub fn text(mut file: &File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn shorten(text: &str) -> String {
    let start: String = text.chars().take(400).collect();
    if start.len() < text.len() { start + " …" } else { start }
}
