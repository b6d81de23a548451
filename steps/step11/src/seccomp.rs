//! Filters of system calls, from a profile to the kernel (seccomp(2)).

use std::os::fd::{FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc::{self, sock_filter, sock_fprog};
use nix::sys::utsname::uname;
use shared::{Error, Explain};
use step10::capabilities::Set;

use crate::calls::Machine;
use crate::filter::{self, Instruction};
use crate::profile::{Profile, Setting};
use crate::verdict::{Branch, Condition, Rules, Test, Verdict};
use crate::{record, rule};

/// A filter, ready to be loaded.
#[derive(Debug)]
pub struct Filter {
    pub machine: Machine,
    pub code: Vec<Instruction>,
    encoded: Vec<sock_filter>,
    flags: libc::c_ulong,
}

impl Filter {
    /// The one that a profile means in this setting.
    /// `still` are the calls that the engine itself has to make when the filter holds.
    pub fn new(profile: &Profile, setting: Setting, still: &[&str]) -> Result<Filter, Error> {
        let rules = profile.rules(setting).map_err(Error::new)?;
        require_calls(&rules, still)?;
        Filter::from_rules(&rules, profile.flags().map_err(Error::new)?)
    }

    /// The same, but whoever holds the filter's other end is asked about each call that it would
    /// allow: but for a message on one file, with which that end itself is sent.
    pub fn asking(profile: &Profile, setting: Setting, still: &[&str]) -> Result<Filter, Error> {
        let mut rules = profile.rules(setting).map_err(Error::new)?;
        require_calls(&rules, still)?;
        let ask = |verdict: &mut Verdict| {
            if verdict.lets_through() {
                *verdict = Verdict::ASK;
            }
        };
        rules.calls.iter_mut().flatten().for_each(|branch| ask(&mut branch.verdict));
        ask(&mut rules.default);
        let test =
            Test { argument: 0, condition: Condition::Equal, value: record::unasked()?.into() };
        let first = Branch { tests: vec![test], verdict: Verdict::ALLOW };
        let sendmsg = rules.machine.number("sendmsg").expect("every machine has it");
        rules.of(sendmsg).insert(0, first);
        let mut flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
        if setting.kernel >= (5, 19) {
            // Else a signal can end the wait for our answer, and a call fails with EINTR that never does.
            // That still happens, but seldom, before we have received the question.
            flags |= libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
        }
        Filter::from_rules(&rules, profile.flags().map_err(Error::new)? | flags)
    }

    fn from_rules(rules: &Rules, flags: libc::c_ulong) -> Result<Filter, Error> {
        for verdict in rules.verdicts() {
            if !is_in_kernel(verdict)? {
                return Err(Error::new(format!("this kernel's filters can't {verdict}")));
            }
        }
        let code = filter::compile(rules);
        if code.len() > filter::MOST {
            let (has, most) = (code.len(), filter::MOST);
            return Err(Error::new(format!("the filter has {has} instructions, more than {most}")));
        }
        let encoded = code.iter().map(|instruction| instruction.encode()).collect();
        Ok(Filter { machine: rules.machine, code, encoded, flags })
    }

    /// Loads it, for good: it holds for this process, for the program that it becomes, and for all
    /// that they start. A set-user-ID program under it could be led astray by calls that fail where
    /// they never do, so this takes CAP_SYS_ADMIN, or a promise that no program gets more power.
    ///
    /// Gives the filter's other end, if it asks.
    pub fn load(&self) -> Result<Option<OwnedFd>, Error> {
        let filter = self.encoded.as_ptr().cast_mut();
        let program = sock_fprog { len: self.encoded.len() as u16, filter };
        let mode = libc::SECCOMP_SET_MODE_FILTER;
        // SAFETY: the program is as long as it says, and the kernel only reads it.
        let loaded = unsafe { libc::syscall(libc::SYS_seccomp, mode, self.flags, &program) };
        let listener = Errno::result(loaded).explain("seccomp SECCOMP_SET_MODE_FILTER")?;
        let asks = self.flags & libc::SECCOMP_FILTER_FLAG_NEW_LISTENER != 0;
        // SAFETY: with this flag the kernel gives a new file, which nobody else has.
        Ok(asks.then(|| unsafe { OwnedFd::from_raw_fd(listener as i32) }))
    }
}

/// This machine and its kernel, for a command that can have these capabilities.
pub fn here(bounding: Set) -> Result<Setting, Error> {
    let names = uname().explain("uname")?;
    let release = names.release().to_string_lossy();
    let kernel = rule::version(&release).unwrap_or_default();
    Ok(Setting { machine: Machine::here()?, bounding, kernel })
}

/// Fails if rules refuse what the engine still has to call when they hold.
fn require_calls(rules: &Rules, still: &[&str]) -> Result<(), Error> {
    let number = |name: &str| rules.machine.number(name).expect("every machine has it");
    match still.iter().find(|name| !rules.may_let_through(number(name))) {
        Some(name) => {
            Err(Error::new(format!("the filter refuses {name}, and no command starts without it")))
        }
        None => Ok(()),
    }
}

/// Whether this kernel can do what a verdict says.
fn is_in_kernel(verdict: Verdict) -> Result<bool, Error> {
    let (get, action) = (libc::SECCOMP_GET_ACTION_AVAIL, verdict.action());
    // SAFETY: the kernel reads the action, and nothing else.
    match Errno::result(unsafe { libc::syscall(libc::SYS_seccomp, get, 0, &action) }) {
        Err(Errno::EOPNOTSUPP) => Ok(false),
        asked => asked.explain("seccomp SECCOMP_GET_ACTION_AVAIL").map(|_| true),
    }
}
