//! What a program that puts steps to the test does first in the VM.

use std::path::PathBuf;
use std::{env, fs};

use shared::{Error, Explain};

use super::engine::set_patience;
use super::fixture;

/// Makes the files of the checks, on a machine that may be changed: on no other.
pub fn begin(patience: u64) -> Result<(), Error> {
    let hostname = fs::read_to_string("/proc/sys/kernel/hostname").explain("read the hostname")?;
    if hostname.trim() != "slipway-vm" {
        return Err(Error::new(
            "the checks change the machine that they run on: use ./just verify",
        ));
    }
    env::set_current_dir("/slipway").explain("enter /slipway")?;
    set_patience(patience);
    fixture::prepare().explain("make the files of the checks")
}

/// The program's file: a path as it is, a name looked up on PATH.
pub fn find(program: &str) -> Result<PathBuf, Error> {
    let path = env::var_os("PATH").unwrap_or_default();
    let places = env::split_paths(&path).map(|place| place.join(program));
    let found = places.chain([PathBuf::from(program)]).find(|file| file.is_file());
    found.ok_or_else(|| Error::new(format!("there is no program {program:?} in the VM")))
}
