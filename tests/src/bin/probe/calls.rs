//! What the kernel, or a filter before it, answers to a system call.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use libc::c_long;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, dup2_stdin, fork, getpid};

/// Numbers up to here are tried. The last of Linux 6.18 is 470.
const LAST: i64 = 479;

/// Calls that change the process that asks so that it can't tell any more: rt_sigreturn, vfork.
const UNTOLD: [i64; 2] = [libc::SYS_rt_sigreturn, libc::SYS_vfork];

/// How long a call may take that has nothing to wait for.
const PATIENCE: Duration = Duration::from_secs(1);

/// Makes one call, and prints what came of it. A child that it makes says nothing.
pub fn print(number: i64, arguments: [u64; 6]) {
    let own = getpid();
    let answer = one(number, arguments);
    if getpid() == own {
        println!("{answer}");
    }
}

/// Makes one call: `ok`, or the errno's name.
fn one(number: i64, arguments: [u64; 6]) -> String {
    let [a, b, c, d, e, f] = arguments.map(|argument| argument as c_long);
    // SAFETY: who asks for it says what it does. With zeros, no call writes anywhere.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    match Errno::result(result) {
        Ok(_) => "ok".into(),
        Err(errno) => format!("{errno:?}"),
    }
}

/// Makes each call in a process of its own, with zeros for arguments, and prints what came of it.
pub fn all() -> io::Result<()> {
    // Soon after a machine has started, this waits, and so would the call among the others.
    let mut byte = 0_u8;
    // SAFETY: the kernel writes one byte.
    unsafe { libc::getrandom((&raw mut byte).cast(), 1, 0) };
    for number in (0..=LAST).filter(|number| !UNTOLD.contains(number)) {
        println!("{number} {}", alone(number)?);
    }
    Ok(())
}

fn alone(number: i64) -> io::Result<String> {
    let (mut reader, mut writer) = io::pipe()?;
    // SAFETY: this process has one thread.
    match unsafe { fork() }? {
        ForkResult::Child => {
            drop(reader);
            // A call with 0 for its file means this one, and not, say, the machine's /dev/null.
            dup2_stdin(io::pipe()?.0)?;
            let own = getpid();
            let answer = one(number, [0; 6]);
            // fork and clone come back twice.
            if getpid() == own {
                let _ = writer.write_all(answer.as_bytes());
            }
            // SAFETY: it ends without a word of its own.
            unsafe { libc::_exit(0) }
        }
        ForkResult::Parent { child } => {
            drop(writer);
            let mut events = [PollFd::new(reader.as_fd(), PollFlags::POLLIN)];
            let patience = PollTimeout::try_from(PATIENCE).unwrap_or(PollTimeout::ZERO);
            if poll(&mut events, patience)? == 0 {
                kill(child, Signal::SIGKILL)?;
                waitpid(child, None)?;
                return Ok("waits".into());
            }
            let mut answer = String::new();
            reader.read_to_string(&mut answer)?;
            let ending = waitpid(child, None)?;
            Ok(if answer.is_empty() { ended(ending) } else { answer })
        }
    }
}

/// How it ended that could not say.
fn ended(ending: WaitStatus) -> String {
    match ending {
        WaitStatus::Exited(_, status) => format!("ends with {status}"),
        WaitStatus::Signaled(_, signal, _) => signal.to_string(),
        other => format!("{other:?}"),
    }
}

/// Asks for its process id as a 32-bit program does.
pub fn as_32_bits() -> bool {
    let mut result: i32 = 20;
    // SAFETY: getpid of the other machine, which takes nothing.
    unsafe { std::arch::asm!("int 0x80", inout("eax") result) };
    Pid::from_raw(result) == getpid()
}
