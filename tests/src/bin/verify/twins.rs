//! What must hold of VMs that go on from the same saved one.

use std::time::{SystemTime, UNIX_EPOCH};

use shared::Error;
use tests::vm::{Command, Origin, Outcome, Stream, Vm};

/// How far a VM's clock may be off, in seconds: it takes one to start, and is told whole ones.
const CLOCK: u64 = 10;

/// Starts two VMs, one after the other, and says what is wrong with them.
pub fn faults() -> Result<Vec<String>, Error> {
    let mut faults = Vec::new();
    // The first may have to be booted; it is saved then.
    let first = numbers(&mut Vm::start()?)?;
    let mut vm = Vm::start()?;
    if vm.origin() == Origin::Emulated {
        faults.push("the second VM does not go on from a saved one, but was booted".into());
    }
    let second = numbers(&mut vm)?;
    if first.random == second.random {
        faults.push(format!("both draw the same random number, {}", first.random));
    }
    for Numbers { late, .. } in [first, second].iter().filter(|numbers| numbers.late > CLOCK) {
        faults.push(format!("the clock of one is {late} seconds off"));
    }
    Ok(faults)
}

/// What a VM has to say of itself.
struct Numbers {
    /// Drawn by its kernel.
    random: String,
    /// Seconds between its clock and this machine's.
    late: u64,
}

fn numbers(vm: &mut Vm) -> Result<Numbers, Error> {
    let command = Command::new(["sh", "-c", "cat /proc/sys/kernel/random/uuid; date +%s"]);
    let mut lines = Vec::new();
    let outcome = vm.run_lines(&command, &mut |stream, line| {
        if stream == Stream::Stdout {
            lines.push(line.to_string());
        }
    })?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let seconds = lines.get(1).and_then(|seconds| seconds.parse::<u64>().ok());
    match (outcome, lines.first(), seconds) {
        (Outcome::Ended(0), Some(random), Some(seconds)) => {
            Ok(Numbers { random: random.clone(), late: now.abs_diff(seconds) })
        }
        _ => Err(Error::new(format!("a VM does not say what time it is, but {lines:?}"))),
    }
}
