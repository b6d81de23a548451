//! Why a command does not run: what the kernel's errno leaves open, looked up.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{AccessFlags, eaccess};

use crate::Error;

/// Exit status when the command was found but could not be executed (as `docker run`, POSIX `env`).
const NOT_EXECUTABLE: u8 = 126;
/// Exit status when the command was not found (as `docker run`, POSIX `env`).
const NOT_FOUND: u8 = 127;

/// How many bytes of a file the kernel reads to see what it is (execve(2), BINPRM_BUF_SIZE).
const BEGINNING: u64 = 256;

/// The error for a command that no directory of PATH has: status 127.
pub fn not_on_path(command: &OsStr) -> Error {
    let error = Error::failed(format_args!("execute {command:?}"), Errno::ENOENT);
    let note = match command.as_bytes() {
        [b'-', ..] => "an option of the engine's goes before what is run",
        _ => "no directory of PATH has it",
    };
    error.note(note).with_status(NOT_FOUND)
}

/// The error for a command whose file `program` execve(2) refused: status 127 when it was not found,
/// else 126.
///
/// One errno stands for several mistakes, so this looks at the file before it says which it was.
pub fn cannot_execute(command: &OsStr, program: &Path, errno: Errno) -> Error {
    let status = if errno == Errno::ENOENT { NOT_FOUND } else { NOT_EXECUTABLE };
    let error = Error::failed(format_args!("execute {command:?}"), errno).with_status(status);
    let seen = match errno {
        Errno::ENOENT => not_found(program),
        Errno::EACCES => not_permitted(program),
        Errno::ENOEXEC => wrong_format(program),
        _ => None,
    };
    match seen {
        Some(seen) => error.note(&seen),
        None => error,
    }
}

/// ENOENT: the file is missing, or another one that it asks for.
fn not_found(program: &Path) -> Option<String> {
    if program.exists() {
        return Some(match interpreter(program) {
            Some(interpreter) => format!("it is there, but its interpreter {interpreter:?} is not"),
            None => "it is there, but the loader that it asks for is not".into(),
        });
    }
    let target = fs::read_link(program).ok()?;
    Some(format!("it is a symbolic link to {target:?}, which is not there"))
}

/// EACCES: something on the way to the file, the file itself, or its interpreter.
fn not_permitted(program: &Path) -> Option<String> {
    let metadata = match fs::metadata(program) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            let locked = |directory: &&Path| eaccess(*directory, AccessFlags::X_OK).is_err();
            // The one nearest to / is what keeps us from all below it.
            let directory = program.ancestors().skip(1).filter(locked).last()?;
            return Some(format!("this user may not search {directory:?}"));
        }
        Err(_) => return None,
    };
    if metadata.is_dir() {
        return Some("it is a directory".into());
    }
    if !metadata.is_file() {
        return Some("it is no regular file".into());
    }
    if metadata.permissions().mode() & 0o111 == 0 {
        return Some("it needs execute permission: chmod +x".into());
    }
    if statvfs(program).is_ok_and(|mount| mount.flags().contains(FsFlags::ST_NOEXEC)) {
        return Some("it lies on a file system that is mounted noexec".into());
    }
    if eaccess(program, AccessFlags::X_OK).is_err() {
        return Some("its permissions let other users execute it, not this one".into());
    }
    let interpreter = interpreter(program)?;
    Some(format!("its interpreter {interpreter:?} may not be executed"))
}

/// ENOEXEC: the kernel does not know what to do with these bytes.
fn wrong_format(program: &Path) -> Option<String> {
    if let Some(interpreter) = interpreter(program) {
        return Some(format!("its interpreter {interpreter:?} is no program for this machine"));
    }
    let seen = match beginning(program)?.as_slice() {
        [] => "it is empty",
        // elf(5): the class, the byte order and the machine differ from what this kernel runs.
        [0x7f, b'E', b'L', b'F', ..] => "it is a program for another processor, or damaged",
        _ => "it is no program, and no script: its first line does not begin with #!",
    };
    Some(seen.into())
}

/// What the first line of a script asks for (execve(2), "Interpreter scripts").
fn interpreter(program: &Path) -> Option<OsString> {
    let bytes = beginning(program)?;
    let line = bytes.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?.trim_ascii_start();
    let path = line.split(|byte| matches!(byte, b' ' | b'\t')).next()?;
    Some(OsString::from_vec(path.to_vec()))
}

fn beginning(program: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(program).ok()?.take(BEGINNING).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::{env, process};

    use super::*;

    /// A file of the test's own, with these bytes and this mode.
    fn file(name: &str, bytes: &[u8], mode: u32) -> PathBuf {
        let path = env::temp_dir().join(format!("shared-{}-{name}", process::id()));
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        path
    }

    fn said(program: &Path, errno: Errno) -> (u8, String) {
        let error = cannot_execute(program.as_os_str(), program, errno);
        (error.status(), error.to_string())
    }

    #[test]
    fn a_missing_interpreter_is_no_missing_file() {
        let script = file("script", b"#! /no/such/shell -x\necho\n", 0o755);
        let (status, text) = said(&script, Errno::ENOENT);
        assert!(status == 127 && text.contains("interpreter \"/no/such/shell\""), "{text}");
        let (status, text) = said(Path::new("/bin/sh"), Errno::ENOENT);
        assert!(status == 127 && text.contains("loader"), "{text}");
        let (status, text) = said(Path::new("/no/such/file"), Errno::ENOENT);
        assert_eq!(status, 127);
        assert_eq!(text, "cannot execute \"/no/such/file\": No such file or directory");
        fs::remove_file(script).unwrap();
    }

    #[test]
    fn a_refusal_names_what_refuses() {
        let (plain, script) =
            (file("plain", b"", 0o644), file("unreadable-interpreter", b"#!/etc/passwd\n", 0o755));
        for (program, word) in [
            (Path::new("/etc"), "directory"),
            (Path::new("/dev/null"), "no regular file"),
            (&plain, "chmod +x"),
            (&script, "\"/etc/passwd\" may not be executed"),
        ] {
            let (status, text) = said(program, Errno::EACCES);
            assert!(status == 126 && text.contains(word), "{text}");
        }
        for path in &[plain, script] {
            fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn bytes_of_no_known_format() {
        for (name, bytes, word) in [
            ("none", &b""[..], "empty"),
            ("text", b"echo hello\n", "#!"),
            ("elf", b"\x7fELF\x02\x01", "another processor"),
            ("by", b"#!/bin/aarch64\n", "interpreter \"/bin/aarch64\""),
        ] {
            let path = file(name, bytes, 0o755);
            let (status, text) = said(&path, Errno::ENOEXEC);
            assert!(status == 126 && text.contains(word), "{text}");
            fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn other_causes_stay_what_they_are() {
        assert_eq!(said(Path::new("/etc/passwd/x"), Errno::ENOTDIR).0, 126);
        let error = not_on_path(OsStr::new("-w"));
        assert!(error.status() == 127 && error.to_string().contains("goes before"), "{error}");
        assert!(not_on_path(OsStr::new("")).to_string().contains("PATH"));
    }
}
