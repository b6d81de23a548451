//! Containers with limits. They are started in the VM: on this machine cgroup v2 may have none to give.

use std::collections::VecDeque;

use tests::vm::{Command, Outcome, Stream, Vm};

use super::Contender;
use crate::bench::Bench;
use crate::measure::Sample;

/// All of them do the work so often there, in turns. The first time does not count.
pub const ROUNDS: usize = 21;

/// Step 6 beside OCI runtimes that get the same limits and the same namespaces.
pub fn step6(_: &Bench) -> Result<Vec<Contender>, String> {
    let rounds = (ROUNDS + 1).to_string();
    let script = include_str!("limits.py");
    let mut samples = ["step 6", "crun", "runc"].map(|name| (name, VecDeque::new()));
    let mut said = String::new();
    let mut vm = Vm::start().map_err(|error| error.to_string())?;
    let outcome = vm.run_lines(
        &Command::new(["python3", "-c", script, &rounds]),
        &mut |stream, line| match (stream, sample(line)) {
            (Stream::Stdout, Some((name, sample))) => {
                let own = samples.iter_mut().find(|(own, _)| *own == name);
                for (_, samples) in own.into_iter() {
                    samples.push_back(sample);
                }
            }
            _ => said = line.into(),
        },
    );
    match outcome.map_err(|error| error.to_string())? {
        Outcome::Ended(0) => {}
        outcome => return Err(format!("{outcome:?} in the VM: {said}")),
    }
    let contender = |(name, mut samples): (&'static str, VecDeque<Sample>)| {
        let next = move || samples.pop_front().ok_or(format!("the VM has made {ROUNDS} rounds"));
        Contender::new(name, next)
    };
    Ok(samples.into_iter().map(contender).collect())
}

/// A line of the script's.
fn sample(line: &str) -> Option<(&str, Sample)> {
    let mut fields = line.split('\t');
    let (name, wall, cpu) = (fields.next()?, fields.next()?, fields.next()?);
    Some((name, Sample { wall: wall.parse().ok()?, cpu: cpu.parse().ok()?, ..Sample::default() }))
}
