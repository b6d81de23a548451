//! What this machine can do, found out by doing it, and which steps run on it.

mod cgroups;
mod child;
mod host;
mod namespaces;
mod overlay;
mod steps;

use std::fmt::{self, Display};
use std::io::{self, IsTerminal};

use nix::sys::signal::{SigSet, Signal};
use shared::{Error, Explain};

/// How a finding turned out.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Verdict {
    Yes,
    No,
    /// A fact, neither good nor bad.
    Note,
    NotTried,
}

/// One line of the report.
#[derive(Debug)]
struct Finding {
    name: String,
    verdict: Verdict,
    detail: String,
    cure: Option<String>,
}

impl Finding {
    fn new(verdict: Verdict, name: impl Into<String>, detail: impl Into<String>) -> Finding {
        Finding { name: name.into(), verdict, detail: detail.into(), cure: None }
    }

    fn cure(mut self, cure: impl Into<String>) -> Finding {
        self.cure = Some(cure.into());
        self
    }
}

impl Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (word, colour) = match self.verdict {
            Verdict::Yes => ("yes", "32"),
            Verdict::No => ("no", "31"),
            Verdict::Note => ("", "0"),
            Verdict::NotTried => ("?", "33"),
        };
        let word = format!("{word:4}");
        let word =
            if io::stdout().is_terminal() { format!("\x1b[{colour}m{word}\x1b[0m") } else { word };
        write!(f, "  {word} {:20} {}", self.name, self.detail)?;
        self.cure.iter().try_for_each(|cure| write!(f, "\n{:28}cure: {cure}", ""))
    }
}

/// Prints the report, and gives 0 if every step that is built runs here, else 1.
pub fn run() -> Result<u8, Error> {
    // What is made for a test is removed again, also when Ctrl-C comes in between.
    let interruptions = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
    interruptions.thread_block().explain("block signals")?;

    let user = host::user();
    println!("Tried as {}", if host::is_root() { "root" } else { &user.name });
    print(host::system());

    println!("\nNamespaces");
    let user_namespace = namespaces::user_namespace(&user);
    let unprivileged = user_namespace.verdict == Verdict::Yes;
    let can = host::is_root() || unprivileged;
    print(namespaces::each(&user, can));
    print([user_namespace, host::subordinate_ids(&user, unprivileged)]);

    println!("\nLimits and layers");
    print(cgroups::findings());
    print([overlay::finding(&user, can)]);

    println!("\nTools");
    print(host::tools());
    print([host::kvm()]);

    println!("\nSteps");
    let status = steps::report()?;
    interruptions.thread_unblock().explain("unblock signals")?;
    Ok(status)
}

fn print(findings: impl IntoIterator<Item = Finding>) {
    for finding in findings {
        println!("{finding}");
    }
}
