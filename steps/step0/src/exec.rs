//! The end of every step: this process becomes the command.

use std::convert::Infallible;
use std::env;
use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::execv;
use shared::Error;

/// Where commands are if the environment has no PATH, as in execvp(3).
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// Becomes the command. This returns only when that failed: otherwise nothing is left to return to.
pub fn exec(command: &[OsString]) -> Result<Infallible, Error> {
    let to_c = |arg: &OsStr| CString::new(arg.as_bytes()).expect("no argument contains a NUL");
    let argv: Vec<CString> = command.iter().map(|arg| to_c(arg)).collect();
    let name = &command[0];
    if name.as_bytes().contains(&b'/') {
        let Err(errno) = execv(&argv[0], &argv);
        return Err(shared::cannot_execute(name, Path::new(name), errno));
    }
    let mut refused = Vec::new();
    let path = env::var_os("PATH").unwrap_or(DEFAULT_PATH.into());
    for program in env::split_paths(&path).map(|directory| directory.join(name)) {
        let Err(errno) = execv(&to_c(program.as_os_str()), &argv);
        if !matches!(errno, Errno::ENOENT | Errno::ENOTDIR | Errno::EACCES) {
            return Err(shared::cannot_execute(name, &program, errno));
        }
        // Another directory may have one that runs.
        refused.push((program, errno));
    }
    match refused.into_iter().find(|(program, _)| program.is_file()) {
        Some((program, errno)) => Err(shared::cannot_execute(name, &program, errno)),
        None => Err(shared::not_on_path(name)),
    }
}
