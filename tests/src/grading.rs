//! Puts a program that is in the VM to checks, from outside.

use std::time::Duration;

use shared::Error;

use crate::report::{Plan, Report};
use crate::vm::{Command, Outcome, Stream, Vm};

/// What the longest plan takes on a slow machine, several times over: the kernel in a VM can hang.
const LONGEST: Duration = Duration::from_secs(20 * 60);

/// How checks are made; what is not said is as `checks` has it by itself.
#[derive(Clone, Debug, Default)]
pub struct How {
    /// How long a check waits for what does not come, in seconds.
    pub patience: Option<u64>,
    /// Such a wait ends earlier when the machine has been idle for so much of it, in milliseconds: for those who
    /// expect failures.
    pub idle: Option<u64>,
    /// What the checks put in is drawn from this.
    pub seed: Option<u64>,
    /// Only the checks of these names, in this order; all if there are none.
    pub only: Vec<String>,
    /// Of many runs of one kind some, as the seed has it.
    pub sparing: bool,
    /// No more checks after the first that fails.
    pub until_failure: bool,
    /// What all of them may take.
    pub longest: Option<Duration>,
}

/// Makes the checks of some plans and gives `tell` each report when it is there. What else the checks
/// wrote is returned, line by line.
///
/// # Errors
///
/// The checks do not come to their end.
pub fn run_checks(
    vm: &mut Vm,
    plans: &[Plan],
    how: &How,
    tell: &mut dyn FnMut(Report),
) -> Result<Vec<String>, Error> {
    let names: Vec<String> = plans.iter().map(Plan::to_string).collect();
    let mut argv = ["checks", "--json"].map(String::from).to_vec();
    argv.extend(names.iter().cloned());
    for (option, wanted) in [("--sparing", how.sparing), ("--until-failure", how.until_failure)] {
        argv.extend(wanted.then(|| option.into()));
    }
    for (option, value) in
        [("--patience", how.patience), ("--idle", how.idle), ("--seed", how.seed)]
    {
        argv.extend(value.into_iter().flat_map(|value| [option.into(), value.to_string()]));
    }
    if !how.only.is_empty() {
        argv.extend(["--only".into(), how.only.join(",")]);
    }
    let mut others = Vec::new();
    let longest = how.longest.unwrap_or(LONGEST);
    let command = Command { timeout: Some(longest), ..Command::new(argv) };
    let outcome =
        vm.run_lines(&command, &mut |stream, line| match (stream, serde_json::from_str(line)) {
            (Stream::Stdout, Ok(report)) => tell(report),
            _ => others.push(line.to_string()),
        })?;
    match outcome {
        Outcome::Ended(0 | 1) => Ok(others),
        Outcome::TimedOut => {
            let minutes = longest.as_secs() / 60;
            let words = vm.last_words();
            Err(Error::new(format!(
                "no end of the checks in {minutes} minutes: {words}; try again"
            )))
        }
        _ => {
            let said = others.join("; ");
            let names = names.join(" ");
            Err(Error::new(format!("the checks {names} did not come to their end: {said}")))
        }
    }
}
