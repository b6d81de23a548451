//! What must hold of a VM that goes on from a saved one.

use std::time::{SystemTime, UNIX_EPOCH};

use shared::Error;
use tests::vm::{Command, Origin, Stream, Vm};

/// How far its clock may be off, in seconds: it takes one to start, and is told whole ones.
const CLOCK: u64 = 10;

/// Starts two VMs, one after the other, and says what is wrong with the second.
pub fn faults() -> Result<Vec<String>, Error> {
    // It may have to be booted, and is saved then.
    drop(Vm::start()?);
    let mut vm = Vm::start()?;
    let mut faults = Vec::new();
    if vm.origin() == Origin::Emulated {
        faults.push("it does not go on from the saved one, but was booted".into());
    }
    let mut said = String::new();
    vm.run_lines(&Command::new(["date", "+%s"]), &mut |stream, line| {
        if stream == Stream::Stdout {
            said = line.into();
        }
    })?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    if !said.parse().is_ok_and(|said: u64| now.abs_diff(said) <= CLOCK) {
        faults.push(format!("its clock says {said:?}, seconds since 1970; it is {now}"));
    }
    Ok(faults)
}
