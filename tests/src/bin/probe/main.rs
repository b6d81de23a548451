//! What the checks run inside a container: it says what it sees. Static, so it runs in any of them.

use std::env;
use std::ffi::{CString, OsString};
use std::fs;
use std::io::{self, Read};
use std::num::ParseIntError;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use nix::pty::{PtyMaster, grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::signal::{SigSet, Signal, raise};
use nix::unistd::{Gid, Uid, execv, geteuid, getpid, getppid, getuid, pause, setgid, setuid};

mod attacks;
mod calls;
mod inside;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<OsString> = env::args_os().skip(1).collect();
    let text = |n: usize| args.get(n).and_then(|arg| arg.to_str()).unwrap_or_default();
    match text(0) {
        "args" => args[1..].iter().for_each(|arg| println!("{}", arg.as_bytes().escape_ascii())),
        "env" => environment(),
        "fds" => (0..4096).filter(|fd| is_open(*fd)).for_each(|fd| println!("{fd}")),
        "signals" => signals()?,
        "catch" => catch(&USUAL, text(1).parse()?)?,
        "catch-all" => catch(&all_signals(), text(1).parse()?)?,
        "idle" => idle(),
        "exit" => std::process::exit(text(1).parse()?),
        "kill" => die_of(text(1).parse()?)?,
        "crash" => crash(),
        "escape" => print!("{}", attacks::escape(text(1))?),
        "devices" => devices()?,
        "pty" => println!("{}", pseudo_terminal()?),
        "as" => return Err(become_and_execute(text(1).parse()?, &args[2..]).into()),
        "ids" => println!("real {}, effective {}", getuid(), geteuid()),
        "allocate" => allocate(text(1).parse()?),
        "hold" => attacks::hold(text(1).parse()?),
        "fork" => attacks::fork_many(text(1).parse()?)?,
        "connect" => attacks::connect(text(1))?,
        "type" => attacks::type_in(text(1))?,
        "exchange" => inside::exchange(text(1), text(2))?,
        "outlive" => inside::outlive()?,
        "key" => println!("{}", inside::key()?),
        "with-odd-environment" => {
            return Err(inside::execute_with_odd_environment(&args[1..])?.into());
        }
        "with-key" => return Err(inside::execute_with_key(text(1), &args[2..])?.into()),
        "writable" => inside::writable(text(1).as_ref())?,
        "spin" => spin(),
        "power" => print!("{}", inside::power()?),
        "calls" => calls::all()?,
        "call" => calls::print(text(1).parse()?, numbers(&args[2..])?),
        "call32" => println!("{}", if calls::as_32_bits() { "ok" } else { "refused" }),
        "queue" => println!("{}", if has_queue(text(1).parse()?) { "there" } else { "none" }),
        other => return Err(format!("probe has no {other:?}").into()),
    }
    Ok(())
}

/// Up to six numbers, in base 16; the others are 0.
fn numbers(words: &[OsString]) -> Result<[u64; 6], ParseIntError> {
    let mut numbers = [0; 6];
    for (number, word) in numbers.iter_mut().zip(words) {
        *number = u64::from_str_radix(word.to_str().unwrap_or_default(), 16)?;
    }
    Ok(numbers)
}

/// The environment, sorted, a variable a line.
fn environment() {
    let mut all: Vec<Vec<u8>> =
        env::vars_os().map(|(key, value)| [key.into_vec(), value.into_vec()].join(&b'=')).collect();
    all.sort();
    for variable in &all {
        println!("{}", variable.escape_ascii());
    }
}

fn is_open(fd: i32) -> bool {
    // SAFETY: F_GETFD only asks.
    unsafe { libc::fcntl(fd, libc::F_GETFD) >= 0 }
}

/// The signals that the caller left blocked or ignored.
fn signals() -> nix::Result<()> {
    let blocked = SigSet::thread_get_mask()?;
    for signal in Signal::iterator() {
        if blocked.contains(signal) {
            println!("{signal} blocked");
        }
        // SIGPIPE: Rust itself has ignored it by now, so ask the kernel's record of our exec
        // instead.
        if signal != Signal::SIGPIPE && is_ignored(signal) {
            println!("{signal} ignored");
        }
    }
    Ok(())
}

fn is_ignored(signal: Signal) -> bool {
    // SAFETY: without a new action the call only fills in `old`, which may be all zeroes.
    unsafe {
        let mut old: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal as i32, std::ptr::null(), &mut old);
        old.sa_sigaction == libc::SIG_IGN
    }
}

/// What people and programs send to ask for something.
const USUAL: [i32; 7] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGTERM,
    libc::SIGWINCH,
];

/// All signals that a process can catch. (glibc keeps 32 and 33 for itself.)
fn all_signals() -> Vec<i32> {
    let never = [libc::SIGKILL, libc::SIGSTOP, 32, 33];
    (1..=64).filter(|signal| !never.contains(signal)).collect()
}

/// Prints the process ids, then every signal of these that arrives; ends with `status` at the end of
/// input.
fn catch(signals: &[i32], status: i32) -> nix::Result<()> {
    let handler = say as extern "C" fn(i32);
    for signal in signals {
        // SAFETY: the handler only calls write(2). (glibc's signal(3) lets calls go on after it.)
        let before = unsafe { libc::signal(*signal, handler as libc::sighandler_t) };
        nix::errno::Errno::result(before as isize)?;
    }
    println!("{} {}", getpid(), getppid());
    let _ = io::stdin().read_to_end(&mut Vec::new());
    std::process::exit(status);
}

/// Prints the process id and waits for ever, with no handler for any signal.
fn idle() {
    println!("pid={}", getpid());
    loop {
        pause();
    }
}

extern "C" fn say(signal: i32) {
    // The real-time signals have numbers only, of two digits.
    let number = [b'0' + (signal / 10) as u8, b'0' + (signal % 10) as u8];
    let name = match Signal::try_from(signal) {
        Ok(signal) => signal.as_str().as_bytes(),
        Err(_) => &number,
    };
    // SAFETY: write(2) may be called in a handler; the buffers are valid for their lengths.
    unsafe {
        libc::write(1, name.as_ptr().cast(), name.len());
        libc::write(1, b"\n".as_ptr().cast(), 1);
    }
}

/// Ends by a signal's default action, real-time signals included.
fn die_of(signal: i32) -> nix::Result<()> {
    // SAFETY: SIG_DFL runs no code of ours. SIGKILL refuses, and needs no default.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::kill(libc::getpid(), signal);
    }
    Ok(())
}

/// Touches memory that is not there.
fn crash() {
    // SAFETY: none: that is the point. The kernel answers with SIGSEGV, to a process 1 as well.
    unsafe { std::ptr::null_mut::<u8>().write_volatile(1) };
    let _ = raise(Signal::SIGABRT);
}

/// The entries of /dev: kind, numbers, mode, name, target.
fn devices() -> io::Result<()> {
    let mut lines = Vec::new();
    for entry in fs::read_dir("/dev")? {
        let path = entry?.path();
        let meta = path.symlink_metadata()?;
        let [major, minor] = [libc::major(meta.rdev()), libc::minor(meta.rdev())];
        let mode = meta.mode() & 0o7777;
        lines.push(
            match meta.file_type() {
                kind if kind.is_char_device() => format!("char {major}:{minor} {mode:04o} "),
                kind if kind.is_symlink() => format!("link {} ", path.read_link()?.display()),
                kind if kind.is_dir() => format!("dir {mode:04o} "),
                _ => "other ".to_string(),
            } + &path.display().to_string(),
        );
    }
    lines.sort_by_key(|line| line.rsplit(' ').next().map(str::to_string));
    for line in &lines {
        println!("{line}");
    }
    Ok(())
}

/// Opens a new pseudo-terminal and gives its name.
fn pseudo_terminal() -> nix::Result<String> {
    let master: PtyMaster = posix_openpt(nix::fcntl::OFlag::O_RDWR)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let name = ptsname_r(&master)?;
    let path = CString::new(name.clone()).map_err(|_| nix::Error::EINVAL)?;
    nix::fcntl::open(path.as_c_str(), nix::fcntl::OFlag::O_RDWR, nix::sys::stat::Mode::empty())?;
    Ok(name)
}

/// Becomes a user and its group, then another program; gives the error if that fails.
fn become_and_execute(id: u32, command: &[OsString]) -> nix::Error {
    let became = setgid(Gid::from_raw(id)).and_then(|()| setuid(Uid::from_raw(id)));
    match became {
        Ok(()) => execute(command),
        Err(errno) => errno,
    }
}

/// Becomes another program; gives the error if that fails.
fn execute(command: &[OsString]) -> nix::Error {
    let to_c = |arg: &OsString| CString::new(arg.as_bytes()).expect("no argument contains a NUL");
    let argv: Vec<CString> = command.iter().map(to_c).collect();
    match execv(&argv[0], &argv) {
        Err(errno) => errno,
    }
}

/// Uses so many MiB of memory, every page of them.
fn allocate(mebibytes: usize) {
    let mut memory = vec![0u8; mebibytes << 20];
    for page in memory.chunks_mut(4096) {
        page[0] = 1;
    }
    println!("{} MiB", std::hint::black_box(&memory).len() >> 20);
}

/// Uses all the processor time that it can get.
fn spin() {
    println!("begin");
    loop {
        std::hint::spin_loop();
    }
}

/// Whether a System V message queue with this key is there.
fn has_queue(key: i32) -> bool {
    // SAFETY: msgget without IPC_CREAT only asks.
    unsafe { libc::msgget(key, 0) >= 0 }
}
