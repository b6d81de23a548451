//! What the VM gets anew for each start: the programs that were built, as a tar archive on its second disk.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tar::{Builder, EntryType, Header};

/// The tests crate's programs that go into the VM when they are there, beside the runner's own.
const PROGRAMS: [&str; 4] = ["checks", "probe", "survey", "trace"];

/// The guest's part of the runner; without it there is nobody to run a command.
const GUEST: &str = "vm-guest";

/// `step 4 -- ARG…` in the VM, as `./just step 4 -- ARG…` outside.
const STEP: &str = "#!/bin/sh
[ $# -gt 0 ] || { echo 'usage: step N [--] ARG...' >&2; exit 125; }
step=step$1
shift
[ \"$1\" != -- ] || shift
exec \"$step\" \"$@\"
";

/// Writes the archive: `bin/`, with `more` programs if there are any, `rootfs/` (a copy of `rootfs`) and `.vm/guest`; of
/// `more`, folders go beside these. The guest unpacks it as /slipway.
pub fn write(to: &File, rootfs: &Path, more: &[PathBuf]) -> io::Result<()> {
    let programs = checkers()?;
    let mut tar = Builder::new(to);
    tar.follow_symlinks(false);

    add_program(&mut tar, ".vm/guest", &programs.join(GUEST)).map_err(|error| {
        io::Error::other(format!("{error} (it is built by: cargo build --bins)"))
    })?;
    add(&mut tar, "bin/step", &mut header(EntryType::Regular, 0o755), STEP.as_bytes())?;
    for name in PROGRAMS {
        if programs.join(name).exists() {
            add_program(&mut tar, &format!("bin/{name}"), &programs.join(name))?;
        }
    }
    let (folders, more): (Vec<_>, Vec<_>) = more.iter().partition(|path| path.is_dir());
    for folder in folders {
        add_tree(&mut tar, folder, Path::new(folder.file_name().unwrap_or_default()), 0)?;
    }
    // A later one of the same name takes the place of an earlier one.
    for program in steps()?.iter().chain(more) {
        let name = program.file_name().unwrap_or_default().display();
        add_program(&mut tar, &format!("bin/{name}"), program)?;
    }
    add_tree(&mut tar, rootfs, Path::new("rootfs"), 0)?;
    tar.into_inner()?.flush()
}

/// The folder that the programs of the tests crate were built in.
pub fn checkers() -> io::Result<PathBuf> {
    Ok(std::env::current_exe()?.parent().map(Path::to_owned).unwrap_or_default())
}

/// The step programs that were built: step0, step1 …
pub fn steps() -> io::Result<Vec<PathBuf>> {
    let Ok(entries) = fs::read_dir(checkers()?.join("../release")) else { return Ok(Vec::new()) };
    let mut steps = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let number = path
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.strip_prefix("step"));
        if number.is_some_and(|number| number.parse::<u32>().is_ok()) {
            steps.push(path);
        }
    }
    steps.sort();
    Ok(steps)
}

/// A header of the archive. Everything is root's in the guest, whoever built it here.
fn header(kind: EntryType, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

fn add(tar: &mut Builder<&File>, name: &str, header: &mut Header, data: &[u8]) -> io::Result<()> {
    header.set_size(data.len() as u64);
    tar.append_data(header, name, data)
}

fn add_program(tar: &mut Builder<&File>, name: &str, file: &Path) -> io::Result<()> {
    let mut data =
        fs::read(file).map_err(|error| io::Error::other(format!("{}: {error}", file.display())))?;
    strip(&mut data);
    add(tar, name, &mut header(EntryType::Regular, 0o755), &data)
}

/// Cuts off what an ELF program does not need to run, three quarters of one built for debugging: all that follows its
/// last loaded segment. What is emulated is slow, so this is worth a second of each start.
pub fn strip(program: &mut Vec<u8>) {
    if let Some(end) = loaded_end(program)
        && end < program.len()
    {
        program.truncate(end);
        // The table of sections is gone: its offset, and its number of entries and the index of their names.
        program[0x28..0x30].fill(0);
        program[0x3c..0x40].fill(0);
    }
}

/// Where the last loaded segment of a 64-bit ELF program ends in the file; `None` for anything else.
fn loaded_end(program: &[u8]) -> Option<usize> {
    let number = |at: usize, size: usize| {
        let bytes = program.get(at..at + size)?;
        Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    };
    if !program.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let (table, entry, count) = (number(0x20, 8)?, number(0x36, 2)?, number(0x38, 2)?);
    // Of each program header: the segment's offset in the file and its size there.
    (0..count)
        .map(|index| table + index * entry)
        .map(|at| Some(number(at + 8, 8)? + number(at + 0x20, 8)?))
        .max()?
}

/// Adds a folder, and what is in it, to the archive as `name`. Below home/ada everything belongs to ada.
pub fn add_tree(
    tar: &mut Builder<impl Write>,
    from: &Path,
    name: &Path,
    owner: u64,
) -> io::Result<()> {
    let metadata = fs::symlink_metadata(from)?;
    let kind = metadata.file_type();
    let owner = if name.ends_with("home/ada") { 1000 } else { owner };
    let mut header = header(EntryType::Regular, metadata.permissions().mode() & 0o7777);
    header.set_uid(owner);
    header.set_gid(owner);
    header.set_size(0);
    if kind.is_symlink() {
        header.set_entry_type(EntryType::Symlink);
        tar.append_link(&mut header, name, fs::read_link(from)?)
    } else if kind.is_dir() {
        header.set_entry_type(EntryType::Directory);
        tar.append_data(&mut header, name, io::empty())?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            add_tree(tar, &entry.path(), &name.join(entry.file_name()), owner)?;
        }
        Ok(())
    } else {
        header.set_size(metadata.len());
        tar.append_data(&mut header, name, File::open(from)?)
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_stripped_program_is_smaller_and_runs() {
        let mut program = fs::read("/proc/self/exe").unwrap();
        let before = program.len();
        strip(&mut program);
        assert!(program.len() < before / 2, "{} of {before} bytes", program.len());
        let file = std::env::temp_dir().join(format!("slipway-stripped-{}", std::process::id()));
        fs::write(&file, &program).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        let status =
            Command::new(&file).arg("--help").output().map(|output| output.status.success());
        fs::remove_file(&file).unwrap();
        assert!(status.unwrap());
    }

    #[test]
    fn a_script_is_left_alone() {
        let mut script = STEP.as_bytes().to_vec();
        strip(&mut script);
        assert_eq!(script, STEP.as_bytes());
    }
}
