//! What a container tries from inside: on its engine, on other containers, on the caller's keys.

use std::env;
use std::ffi::{CString, OsStr, OsString};
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{execve, pause};

/// Exchanges two names of one directory without end, so that who goes through one of them sees it change on
/// the way. Says when it has begun.
pub fn exchange(one: &str, other: &str) -> nix::Result<()> {
    let [one, other] = [one, other].map(|name| CString::new(name).expect("it was an argument"));
    let once = || {
        // SAFETY: both are C strings.
        let result = unsafe {
            let here = libc::AT_FDCWD;
            libc::renameat2(here, one.as_ptr(), here, other.as_ptr(), libc::RENAME_EXCHANGE)
        };
        Errno::result(result).map(drop)
    };
    once()?;
    println!("begin");
    loop {
        once()?;
    }
}

/// Takes back that this process ends with its parent, and leaves its process group, then waits for ever.
pub fn outlive() -> nix::Result<()> {
    // SAFETY: the calls take numbers only.
    Errno::result(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, 0) })?;
    println!("begin");
    loop {
        pause();
    }
}

/// What a key is looked up by.
const KEY: &std::ffi::CStr = c"slipway-check";

/// Reads the key that [`execute_with_key`] has put into the session's keyring (keyctl(2)).
pub fn key() -> nix::Result<String> {
    let mut text = [0u8; 64];
    let (kind, name, room) = (c"user", KEY, text.len());
    let session = libc::c_long::from(libc::KEY_SPEC_SESSION_KEYRING);
    // SAFETY: strings that end with NUL, and a buffer of that size.
    let count = unsafe {
        let key = Errno::result(libc::syscall(
            libc::SYS_keyctl,
            libc::c_long::from(libc::KEYCTL_SEARCH),
            session,
            kind.as_ptr(),
            name.as_ptr(),
            0,
        ))?;
        let read = libc::c_long::from(libc::KEYCTL_READ);
        Errno::result(libc::syscall(libc::SYS_keyctl, read, key, text.as_mut_ptr(), room))?
    };
    Ok(String::from_utf8_lossy(&text[..room.min(count as usize)]).into_owned())
}

/// Becomes another program in a session keyring of its own with one key, as a login gives one.
pub fn execute_with_key(word: &str, command: &[OsString]) -> nix::Result<nix::Error> {
    let session = libc::c_long::from(libc::KEY_SPEC_SESSION_KEYRING);
    let join = libc::c_long::from(libc::KEYCTL_JOIN_SESSION_KEYRING);
    // SAFETY: strings that end with NUL, and as many bytes as the word has.
    unsafe {
        Errno::result(libc::syscall(libc::SYS_keyctl, join, 0))?;
        let (kind, name) = (c"user".as_ptr(), KEY.as_ptr());
        let add = libc::SYS_add_key;
        Errno::result(libc::syscall(add, kind, name, word.as_ptr(), word.len(), session))?;
    }
    Ok(crate::execute(command))
}

/// Becomes another program with an environment that no shell makes, but execve(2) takes: bytes that are no text, no name, no
/// value.
pub fn execute_with_odd_environment(command: &[OsString]) -> nix::Result<nix::Error> {
    let argv: Vec<CString> = command.iter().map(|word| c_string(word.as_bytes())).collect();
    let own = env::vars_os().map(|(name, value)| [name, value].join(OsStr::new("=")));
    let mut environment: Vec<CString> = own.map(|text| c_string(text.as_bytes())).collect();
    let odd: [&[u8]; 4] = [b"ODD=\xff\xfe", b"\xffODD=1", b"=ODD", b"ODD"];
    environment.extend(odd.map(c_string));
    let Err(errno) = execve(argv.first().ok_or(Errno::EINVAL)?, &argv, &environment);
    Ok(errno)
}

fn c_string(bytes: &[u8]) -> CString {
    CString::new(bytes).expect("no argument and no variable has a NUL")
}

/// Prints the files below a directory that can be opened for writing. Those of single processes are left out: they
/// are the container's own.
pub fn writable(directory: &Path) -> io::Result<()> {
    // A directory that must not be read has nothing to be found, either.
    let Ok(entries) = fs::read_dir(directory) else { return Ok(()) };
    let mut entries: Vec<_> = entries.collect::<Result<_, _>>()?;
    entries.sort_by_key(|entry| entry.file_name());
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_process = name.parse::<u32>().is_ok() && directory == Path::new("/proc");
        let kind = entry.file_type()?;
        if kind.is_dir() && !is_process {
            writable(&entry.path())?;
        } else if kind.is_file() {
            let open =
                OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(entry.path());
            // A mount may lie over the name, as the null device does.
            if open.is_ok_and(|file| file.metadata().is_ok_and(|found| found.is_file())) {
                println!("{}", entry.path().display());
            }
        }
    }
    Ok(())
}

/// What power this process has, by the kernel's own words: its capabilities, and whether programs give it more.
pub fn power() -> io::Result<String> {
    let status = fs::read_to_string("/proc/self/status")?;
    let is_power = |line: &&str| line.starts_with("Cap") || line.starts_with("NoNewPrivs");
    Ok(status.lines().filter(is_power).map(|line| line.replace(":\t", " ") + "\n").collect())
}
