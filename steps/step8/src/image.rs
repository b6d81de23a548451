//! The image to run: from the store, or pulled first.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::process;

use clap::ValueEnum;
use documents::{Config, Document};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, getpid, getppid};
use reference::Reference;
use shared::{Error, Explain, home};
use step7::pull::{self, Image};
use step7::store::Store;

/// When to ask the registry.
#[derive(Clone, Copy, PartialEq, ValueEnum)]
pub enum Pull {
    /// If the image is not in the store
    Missing,
    /// Also if it is: the name may stand for a newer one by now
    Always,
    /// Run only what is in the store
    Never,
}

/// Gives the image of this name, unpacked.
pub fn get(name: &OsStr, pull: Pull) -> Result<Image, Error> {
    let name: &Reference = &name.to_string_lossy().parse().map_err(Error::new)?;
    if pull != Pull::Always
        && let Some(image) = stored(name)?
    {
        return Ok(image);
    }
    if pull == Pull::Never {
        return Err(Error::new(format!("there is no {name} here (without --pull it is fetched)")));
    }
    in_child(|| pull::pull(&options(name)).map(drop))?;
    stored(name)?.ok_or_else(|| Error::new(format!("{name} has gone again")))
}

/// The image of this name, if it is in the store with all that it takes to run it.
pub fn stored(name: &Reference) -> Result<Option<Image>, Error> {
    let store = Store::open(home::directory()?)?;
    let Some(descriptor) = store.find(&name.to_string())? else { return Ok(None) };
    let rootfs = store.rootfs(&descriptor.digest);
    let Some(bytes) = store.document(&descriptor.digest)? else { return Ok(None) };
    let Document::Manifest(manifest) = documents::parse(&bytes, &descriptor.media_type)? else {
        return Ok(None);
    };
    match store.document(&manifest.config.digest)? {
        Some(config) if rootfs.exists() => {
            Ok(Some(Image { manifest: descriptor, config: Config::parse(&config)?, rootfs }))
        }
        _ => Ok(None),
    }
}

/// Pulls in a process of its own: that takes threads, and who makes namespaces must not have any.
pub fn in_child(pull: impl FnOnce() -> Result<(), Error>) -> Result<(), Error> {
    let (mut message, mut tell) = io::pipe().explain("pipe")?;
    let parent = getpid();
    // SAFETY: this process has one thread, so the child may do whatever its parent could.
    match unsafe { fork() }.explain("fork a process to pull")? {
        ForkResult::Child => {
            drop(message);
            let error = end_with(parent).and_then(|()| pull()).err();
            let error = error.map(|error| error.to_string()).unwrap_or_default();
            let told = tell.write_all(error.as_bytes());
            process::exit(if told.is_ok() && error.is_empty() { 0 } else { 1 })
        }
        ForkResult::Parent { child } => {
            drop(tell);
            let mut error = String::new();
            message.read_to_string(&mut error).explain("hear from the process that pulls")?;
            let status = waitpid(child, None).explain("wait for the process that pulls")?;
            if !error.is_empty() {
                Err(Error::new(error))
            } else if status == WaitStatus::Exited(child, 0) {
                Ok(())
            } else {
                Err(Error::new("the process that pulls has died"))
            }
        }
    }
}

fn end_with(parent: Pid) -> Result<(), Error> {
    prctl::set_pdeathsig(Signal::SIGKILL).explain("prctl PR_SET_PDEATHSIG")?;
    if getppid() == parent { Ok(()) } else { Err(Error::new("the engine has ended")) }
}

/// How to pull where nothing but the name is said.
pub fn options(image: &Reference) -> pull::Options {
    let image = image.clone();
    let (platform, username) = (None, None);
    let (plain_http, password_stdin, quiet) = (false, false, false);
    pull::Options { platform, plain_http, username, password_stdin, quiet, image }
}
