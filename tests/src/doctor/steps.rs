//! The steps, by running each with a small command.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio, id};
use std::thread::sleep;
use std::time::{Duration, Instant};

use shared::{Error, Explain, home};

use super::host::is_root;
use crate::checks::images::{Archive, Image, Item, Shelf};
use crate::steps::{self, Root};

/// Longer than any of them takes, on a machine that does something else as well.
const TIME_LIMIT: Duration = Duration::from_secs(20);

/// Runs every step that is built and tells how that went; 0 if all of them run here.
pub fn report() -> Result<u8, Error> {
    let steps = built()?;
    if steps.is_empty() {
        return Err(Error::new("no step is built: `./just doctor` builds them"));
    }
    let sudo = (!is_root()).then(try_sudo);
    let mut all_run = true;
    for step in &steps {
        let (verdict, runs) = try_step(step, sudo.as_ref())?;
        let name = step.file_name().unwrap_or_default().display().to_string();
        println!("  {name:8} {verdict}");
        all_run &= runs;
    }
    Ok(if all_run { 0 } else { 1 })
}

/// The steps' programs, where cargo puts the release build. Some steps' unit tests leave others beside this program.
fn built() -> Result<Vec<PathBuf>, Error> {
    let doctor = env::current_exe().explain("find myself")?;
    let beside = doctor.parent().unwrap_or(Path::new("/"));
    Ok(steps_in(&beside.join("../release")))
}

fn steps_in(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut steps: Vec<PathBuf> =
        entries.map(|entry| entry.path()).filter(|path| number(path).is_some()).collect();
    steps.sort_by_key(|path| number(path));
    steps
}

/// Its number, if it's a program of a step that the table has.
fn number(path: &Path) -> Option<u8> {
    let number: u8 = path.file_name()?.to_str()?.strip_prefix("step")?.parse().ok()?;
    (number <= steps::last()).then_some(number)
}

/// What to say of this step, and whether it runs here. `sudo`: whether it works unasked; None for root.
fn try_step(step: &Path, sudo: Option<&Result<(), String>>) -> Result<(String, bool), Error> {
    let own = match run(Command::new(step), step, &[])? {
        Ok(()) => return with_limits(step),
        Err(error) => error,
    };
    match sudo {
        None => Ok((format!("only in the VM: {own}"), false)),
        Some(Err(no_sudo)) => Ok((format!("not tried as root ({no_sudo}); as you: {own}"), false)),
        Some(Ok(())) => {
            let mut command = Command::new("sudo");
            command.arg("-n").arg("--").arg(step);
            Ok(match run(command, step, &[])? {
                Ok(()) => ("runs only as root (tried through sudo)".to_owned(), true),
                Err(as_root) => (format!("only in the VM: {as_root} (as root)"), false),
            })
        }
    }
}

/// What to say of a step that runs here: whether its limits work, too, if it has any.
fn with_limits(step: &Path) -> Result<(String, bool), Error> {
    let limits = ["--memory", "64M", "--cpus", "0.5", "--pids", "64"];
    let as_whom = if is_root() { " (tried as root)" } else { "" };
    if number(step).is_some_and(|number| number < steps::since(limits[0])) {
        return Ok((format!("runs here{as_whom}"), true));
    }
    Ok(match run(Command::new(step), step, &limits)? {
        Ok(()) => (format!("runs here, limits and all{as_whom}"), true),
        Err(error) => (format!("runs here, but without limits{as_whom}: {error}"), false),
    })
}

/// Whether sudo works without a password; if not, what it said.
fn try_sudo() -> Result<(), String> {
    let mut command = Command::new("sudo");
    command.args(["-n", "true"]);
    let output = finish(command).map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(last_line(&output)) }
}

/// Lets the step, with these options, run a command, itself with --version: it is static, so it runs in any root filesystem.
/// The inner result is the step's own error.
fn run(mut command: Command, step: &Path, options: &[&str]) -> Result<Result<(), String>, Error> {
    let Some(facts) = number(step).map(steps::step) else {
        return Err(Error::new(format!("{} is in no row of steps/steps.toml", step.display())));
    };
    command.args((!facts.subcommands.is_empty()).then_some("run")).args(options);
    let name = step.file_name().unwrap_or_default();
    // Removed again at the end of this function, whatever happens in it.
    let (rootfs, home);
    match facts.root {
        Root::Host => _ = command.arg(step),
        Root::Folder => {
            rootfs = Rootfs::make(step, name)?;
            command.arg("--rootfs").arg(&rootfs.0).arg(Path::new("/").join(name));
        }
        Root::Image => {
            home = Home::make()?;
            command.env("SLIPWAY_HOME", &home.0);
            command.arg(image_of(step, name)?).arg(Path::new("/").join(name));
        }
    }
    command.arg("--version");
    let mut version = Command::new(step);
    version.arg("--version");
    let (expected, output) = (finish(version)?, finish(command)?);
    if output.status.success() && output.stdout == expected.stdout {
        return Ok(Ok(()));
    }
    Ok(Err(last_line(&output)))
}

/// What a program that failed said last, or how it ended if it said nothing.
fn last_line(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    stderr.lines().last().map_or_else(|| output.status.to_string(), str::to_owned)
}

/// Runs a command to its end, or to the time limit's.
fn finish(mut command: Command) -> Result<Output, Error> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let what = format!("run {:?}", command.get_program());
    let mut child = command.spawn().explain(&what)?;
    let start = Instant::now();
    while child.try_wait().explain(&what)?.is_none() {
        if start.elapsed() > TIME_LIMIT {
            return give_up(child, &what);
        }
        sleep(Duration::from_millis(2));
    }
    child.wait_with_output().explain(&what)
}

fn give_up(mut child: Child, what: &str) -> Result<Output, Error> {
    child.kill().explain(what)?;
    child.wait_with_output().explain(what)
}

/// An image with nothing but the step's program in it; its name at a registry of our own.
fn image_of(step: &Path, name: &OsStr) -> Result<String, Error> {
    let program = fs::read(step).explain(format_args!("read {step:?}"))?;
    let item = Item { mode: 0o755, content: &program, ..Item::default() };
    let layer = Archive::begin().add(&name.to_string_lossy(), item).end();
    Ok(Shelf::with(&Image::of(&[layer])).explain("open a registry on loopback")?.name())
}

/// A throw-away place for images, on the file system where the real one is or will be: the overlay's
/// upper directory will lie there.
struct Home(PathBuf);

impl Home {
    fn make() -> Result<Home, Error> {
        let home = Home(home::directory()?.join(format!("doctor-{}", id())));
        fs::create_dir_all(&home.0).explain(format_args!("make the directory {:?}", home.0))?;
        Ok(home)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("doctor: cannot remove {}: {error}", self.0.display());
        }
        // The real one was not there before if it is empty now.
        let _ = self.0.parent().map(fs::remove_dir);
    }
}

/// A throw-away root filesystem with nothing but the step's program in it.
struct Rootfs(PathBuf);

impl Rootfs {
    /// Made where the steps are: a file can be executed there, which is not true for every /tmp.
    fn make(step: &Path, name: &OsStr) -> Result<Rootfs, Error> {
        let beside = step.parent().unwrap_or(Path::new("/")).join(format!("doctor-{}", id()));
        let elsewhere = env::temp_dir().join(format!("doctor-{}", id()));
        let made = fs::create_dir(&beside).map(|()| beside);
        let made = made.or_else(|_| fs::create_dir(&elsewhere).map(|()| elsewhere));
        let rootfs = Rootfs(made.explain("make a directory for a root filesystem")?);
        // The step's mount points: were they made by it, as root, they would not be ours to remove.
        for directory in ["proc", "dev", "tmp"] {
            fs::create_dir(rootfs.0.join(directory)).explain("make a root filesystem")?;
        }
        fs::copy(step, rootfs.0.join(name)).explain("copy the step into a root filesystem")?;
        Ok(rootfs)
    }
}

impl Drop for Rootfs {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("doctor: cannot remove {}: {error}", self.0.display());
        }
    }
}
