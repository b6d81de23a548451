//! Attacks on files, and through files.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use nix::errno::Errno;

use super::attempt::{Attempt, Ending, SECRET};
use crate::checks::failure::Failure;
use crate::checks::fixture::ROOTFS;
use crate::checks::samples;

/// The caller has a file open that it means nobody to read: number 7.
pub fn leaked(attempt: &Attempt) -> Result<Ending, Failure> {
    let file = File::open(SECRET)?;
    let mut command = attempt.command(&[], &[]);
    // SAFETY: dup2 is async-signal-safe, and nothing else uses this number in the child.
    unsafe {
        command.pre_exec(move || Ok(Errno::result(libc::dup2(file.as_raw_fd(), 7)).map(drop)?));
    }
    attempt.steals(command)
}

pub fn read(attempt: &Attempt) -> Result<Ending, Failure> {
    attempt.steals(attempt.command(&[], &[SECRET]))
}

/// The caller's standard input is a directory of the host.
pub fn handed_directory(attempt: &Attempt) -> Result<Ending, Failure> {
    let mut command = attempt.command(&[], &[SECRET]);
    let output = command.stdin(File::open("/")?).output()?;
    let works = String::from_utf8_lossy(&output.stdout).contains(attempt.secret);
    Ok(Ending::of(works, &String::from_utf8_lossy(&output.stderr), "ends inside"))
}

/// What one container has written, the next one reads.
pub fn image(attempt: &Attempt) -> Result<Ending, Failure> {
    attempt.run(&[])?.ends_with(0)?;
    let next = attempt.engine.run(["/bin/cat", "/tmp/left"])?;
    Ok(Ending::of(next.stdout.contains("changed"), "", "starts afresh"))
}

/// A user of the host without any rights runs what the container has left.
pub fn set_user_id(attempt: &Attempt) -> Result<Ending, Failure> {
    let mut words = "not there".to_string();
    let watched = attempt.watch(&[], |_| {
        let Some(program) = left_program(attempt)? else { return Ok(false) };
        let mut command = Command::new(program);
        command.arg("ids").uid(NOBODY).gid(NOBODY);
        match command.stdin(Stdio::null()).output() {
            Ok(output) => {
                words = String::from_utf8_lossy(&output.stdout).trim().to_string();
                words =
                    words.rsplit(' ').next().map(|id| format!("becomes {id}")).unwrap_or_default();
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                words = "EACCES".into()
            }
            Err(error) => return Err(error.into()),
        }
        Ok(words == "becomes 0")
    })?;
    Ok(Ending::of(watched.seen, &watched.complaints, &words))
}

/// Is on no list of users, owns nothing and is in nobody's group.
const NOBODY: u32 = 65534;

/// Where the program is on the host: in /tmp, in the root filesystem, or in a container's layer.
fn left_program(attempt: &Attempt) -> io::Result<Option<PathBuf>> {
    let containers = samples::store(attempt.engine.caller).join("containers");
    let mut layers = Vec::new();
    for entry in fs::read_dir(containers).into_iter().flatten() {
        layers.push(entry?.path().join("upper"));
    }
    let roots = [PathBuf::from("/"), PathBuf::from(ROOTFS)].into_iter().chain(layers);
    let files = roots.map(|root| root.join("tmp/become-root"));
    Ok(files.into_iter().find(|file| file.exists()))
}
