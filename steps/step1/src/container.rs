//! What happens to the process, in order.

use std::convert::Infallible;
use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStrExt;

use nix::unistd::execvp;
use shared::Error;

use crate::Options;

/// Runs the command and gives its exit status.
pub fn run(options: &Options) -> Result<u8, Error> {
    match exec(&options.command)? {}
}

/// Becomes the command. This returns only when that failed: otherwise nothing is left to return to.
fn exec(command: &[OsString]) -> Result<Infallible, Error> {
    let to_c = |arg: &OsString| CString::new(arg.as_bytes()).expect("no argument contains a NUL");
    let argv: Vec<CString> = command.iter().map(to_c).collect();
    let Err(errno) = execvp(&argv[0], &argv);
    Err(shared::cannot_execute(&command[0], errno))
}
