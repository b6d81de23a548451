//! The ids that an administrator has set aside for a user: /etc/subuid and /etc/subgid.

use std::fmt::{self, Display};
use std::fs;
use std::path::{Path, PathBuf};

use nix::unistd::Uid;
use shared::Error;

/// A range of ids on the host (subuid(5)).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    pub first: u32,
    pub count: u32,
}

/// A user's own ranges, and the programs that may map them.
#[derive(Debug)]
pub struct Subordinate {
    pub uids: Vec<Range>,
    pub gids: Vec<Range>,
    pub newuidmap: PathBuf,
    pub newgidmap: PathBuf,
}

/// What a user lacks, and the cure.
#[derive(Debug)]
pub struct Missing {
    pub what: String,
    pub cure: String,
}

impl Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.cure)
    }
}

impl Subordinate {
    /// What a user has, or lacks. The outer error is for a file that nobody can have meant so.
    pub fn of(uid: Uid) -> Result<Result<Subordinate, Missing>, Error> {
        let name = name_of(uid);
        let read = |file| fs::read_to_string(file).unwrap_or_default();
        let mut found = Vec::new();
        for (file, kind) in [("/etc/subuid", "subuids"), ("/etc/subgid", "subgids")] {
            let own = ranges(file, kind, &read(file), &name, uid)?;
            if own.is_empty() {
                let cure = format!("sudo usermod --add-{kind} {} {name}", free(&read(file)));
                return Ok(Err(Missing { what: format!("{file} has no range for {name}"), cure }));
            }
            found.push(own);
        }
        let (gids, uids) = (found.pop().unwrap_or_default(), found.pop().unwrap_or_default());
        let (Some(newuidmap), Some(newgidmap)) = (find("newuidmap"), find("newgidmap")) else {
            let what = "newuidmap or newgidmap is missing".into();
            return Ok(Err(Missing { what, cure: "sudo apt install uidmap".into() }));
        };
        // They are root's, with the set-user-ID bit; for such a process the kernel ignores it.
        if let Some((what, cure)) = gains_no_privilege() {
            return Ok(Err(Missing { what: what.into(), cure: cure.into() }));
        }
        Ok(Ok(Subordinate { uids, gids, newuidmap, newgidmap }))
    }
}

/// Why no program that this process starts gets more privileges than it has (execve(2)).
fn gains_no_privilege() -> Option<(&'static str, &'static str)> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let value = |key| status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or("0");
    match (value("TracerPid:\t"), value("NoNewPrivs:\t")) {
        ("0", "0") => None,
        ("0", _) => Some(("newuidmap is powerless under no_new_privs", "start it without")),
        _ => Some(("newuidmap is powerless under a tracer", "trace as root")),
    }
}

/// The login name, which the files go by. (A static program can't ask the C library for it.)
fn name_of(uid: Uid) -> String {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let listed = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, _, id) = (fields.next()?, fields.next()?, fields.next()?);
        (id == uid.to_string()).then(|| name.to_string())
    });
    listed.or_else(|| std::env::var("USER").ok()).unwrap_or_else(|| uid.to_string())
}

/// The user's ranges in such a file, given by name or by number. One that somebody else has, too, is
/// an error: each of the two could kill the other's containers and read their files.
fn ranges(file: &str, kind: &str, text: &str, name: &str, uid: Uid) -> Result<Vec<Range>, Error> {
    let is_own = |owner: &str| owner == name || owner == uid.to_string();
    let lines: Vec<(&str, Range)> = text.lines().filter_map(parse).collect();
    for (number, (owner, range)) in lines.iter().enumerate() {
        let is_conflict = |(other, taken): &&(&str, Range)| {
            overlap(range, taken) && (is_own(owner) || is_own(other))
        };
        let Some((other, _)) = lines[..number].iter().find(is_conflict) else { continue };
        let (first, count) = (range.first, range.count);
        let last = u64::from(first) + u64::from(count) - 1;
        return Err(Error::new(format!(
            "{file} gives {first}:{count} to {owner}, but some of it to {other} already (sudo \
             usermod --del-{kind} {first}-{last} --add-{kind} {} {owner})",
            free(text)
        )));
    }
    Ok(lines.into_iter().filter(|(owner, _)| is_own(owner)).map(|(_, range)| range).collect())
}

/// A range that nobody has, as usermod(8) takes it, of the usual size.
fn free(text: &str) -> String {
    let ends = text.lines().filter_map(parse).map(|(_, range)| end(&range));
    let first = ends.max().unwrap_or_default().max(100_000);
    format!("{first}-{}", first + 65535)
}

/// A line, `NAME:FIRST:COUNT`; None for what is no such line, as newuidmap takes it.
fn parse(line: &str) -> Option<(&str, Range)> {
    let mut fields = line.split(':');
    let owner = fields.next()?;
    let (first, count) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    (count > 0).then_some((owner, Range { first, count }))
}

fn overlap(a: &Range, b: &Range) -> bool {
    u64::from(a.first) < end(b) && u64::from(b.first) < end(a)
}

/// The first id after a range.
fn end(range: &Range) -> u64 {
    u64::from(range.first) + u64::from(range.count)
}

/// A program of the host's. PATH may be one meant for the container, so the usual place counts, too.
fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain([Path::new("/usr/bin").into()]);
    places.map(|place| place.join(name)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, name: &str, uid: u32) -> Result<Vec<Range>, String> {
        ranges("/etc/subuid", "subuids", text, name, Uid::from_raw(uid))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn ranges_go_by_name_and_by_number() {
        let file = "# users\nann:100000:65536\n1002:165536:65536\nann:400000:1\nbad line\n";
        let [first, second, third] = [(100000, 65536), (165536, 65536), (400000, 1)]
            .map(|(first, count)| Range { first, count });
        assert_eq!(of(file, "ann", 1001), Ok(vec![first, third]));
        assert_eq!(of(file, "bob", 1002), Ok(vec![second]));
        assert_eq!(of(file, "an", 1003), Ok(vec![]));
    }

    #[test]
    fn a_free_range_is_nobodys() {
        assert_eq!(free(""), "100000-165535");
        assert_eq!(free("ann:5:5\n"), "100000-165535");
        assert_eq!(free("ann:200000:10\nbob:100000:65536\n"), "200010-265545");
    }

    #[test]
    fn a_range_taken_twice_is_an_error_for_both_and_for_nobody_else() {
        let file = "ann:100000:65536\nbob:165535:10\neve:300000:65536\n";
        assert!(
            of(file, "ann", 1).unwrap_err().contains("165535:10 to bob, but some of it to ann")
        );
        let cure = "--del-subuids 165535-165544 --add-subuids 365536-431071 bob";
        assert!(of(file, "bob", 2).unwrap_err().contains(cure));
        assert!(of(file, "eve", 3).is_ok());
        assert!(of("ann:5:1\nann:5:1\n", "ann", 1).is_err());
        assert!(of("bob:1:5\nann:9:5\neve:1:50\n", "ann", 1).unwrap_err().contains("of it to ann"));
        assert!(of("ann:5:1\nbob:6:1\n", "ann", 1).is_ok());
    }
}
