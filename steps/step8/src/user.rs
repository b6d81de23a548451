//! Who the command is: an image's word for a user, looked up in its own /etc/passwd and /etc/group
//! (passwd(5), group(5)).

use std::ffi::{OsStr, OsString};
use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::statfs::{FsType, fstatfs};
use nix::unistd::{Gid, Uid, fchown, setgid, setgroups, setuid};
use shared::{Error, Explain, size};

/// A larger file, in bytes, is no list of users.
const LARGEST: u64 = 4 << 20;

/// The file system of pipes that have no name (PIPEFS_MAGIC in linux/magic.h).
const PIPES: FsType = FsType(0x5049_5045);

/// A user, in numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
    /// All groups, `gid` too.
    pub groups: Vec<u32>,
    /// The home directory.
    pub home: OsString,
}

impl User {
    /// Looks up `uid`, `user`, `uid:gid` or `user:group`; nothing at all is root.
    ///
    /// The files are those of the process's root directory: by now that is the image's.
    pub fn find(user: &str) -> Result<User, Error> {
        let [passwd, group] = ["/etc/passwd", "/etc/group"].map(read);
        parse(user, &passwd?, &group?)
    }

    /// Makes this process the user's, for good: the groups first, as the rest takes away the right to
    /// set them. Who is not root afterwards has no capabilities, either (capabilities(7)).
    pub fn take_on(&self) -> Result<(), Error> {
        self.give_pipes();
        let groups: Vec<Gid> = self.groups.iter().copied().map(Gid::from_raw).collect();
        match setgroups(&groups) {
            // With a map of one id, made by an ordinary user: there are no groups to have.
            Err(Errno::EPERM) => {}
            result => known(result.explain(format_args!("setgroups {:?}", self.groups)))?,
        }
        known(setgid(Gid::from_raw(self.gid)).explain(format_args!("setgid {}", self.gid)))?;
        known(setuid(Uid::from_raw(self.uid)).explain(format_args!("setuid {}", self.uid)))
    }

    /// Gives the user those of standard input, output and error that are pipes. To open /dev/stdout is
    /// to open the pipe once more, and that asks for rights (proc_pid_fd(5)).
    ///
    /// Files and terminals are the host's, and stay with their owners.
    fn give_pipes(&self) {
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
        for file in [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()] {
            if fstatfs(file).is_ok_and(|found| found.filesystem_type() == PIPES) {
                // If it fails, the pipe is of a user that does not exist here.
                let _ = fchown(file, Some(uid), Some(gid));
            }
        }
    }
}

/// Adds why the kernel does not know an id.
fn known(result: Result<(), Error>) -> Result<(), Error> {
    let cure = "the container has no such id: /etc/subuid and /etc/subgid give more; or -u 0";
    result.map_err(|error| error.cure(Errno::EINVAL, cure))
}

/// Reads one of the two files, which an image need not have.
fn read(path: &str) -> Result<Vec<u8>, Error> {
    // It is a stranger's: what looks like a file could be a pipe that nobody writes to.
    let open = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = match open {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        open => open.explain(format_args!("open the image's {path}"))?,
    };
    let metadata = file.metadata().explain(format_args!("stat the image's {path}"))?;
    if !metadata.is_file() || metadata.len() > LARGEST {
        let most = size::text(LARGEST);
        return Err(Error::new(format!("the image's {path} is no file of {most} at most")));
    }
    let mut text = Vec::new();
    file.take(LARGEST).read_to_end(&mut text).explain(format_args!("read the image's {path}"))?;
    Ok(text)
}

/// The same with the contents of the two files.
pub fn parse(user: &str, passwd: &[u8], group: &[u8]) -> Result<User, Error> {
    let (user, wanted_group) = user.split_once(':').unwrap_or((user, ""));
    let user = if user.is_empty() { "0" } else { user };

    let entry = entries(passwd).find(|entry| is(entry, user));
    let number = |index| entry.as_ref().and_then(|entry: &Vec<&[u8]>| id(entry.get(index)?));
    let uid = number(2).or_else(|| id(user.as_bytes())).ok_or_else(|| unknown("user", user))?;
    // No variable can have a NUL.
    let is_home = |home: &&&[u8]| !home.is_empty() && !home.contains(&0);
    let home = entry.as_ref().and_then(|entry| entry.get(5)).filter(is_home);
    let home = home.map_or("/".into(), |home| OsString::from_vec(home.to_vec()));

    // A group that is asked for is all there is. Otherwise it is the user's own and those that list
    // the user's name.
    if !wanted_group.is_empty() {
        let entry = entries(group).find(|entry| is(entry, wanted_group));
        let gid = entry.and_then(|entry| id(entry[2])).or_else(|| id(wanted_group.as_bytes()));
        let gid = gid.ok_or_else(|| unknown("group", wanted_group))?;
        return Ok(User { uid, gid, groups: vec![gid], home });
    }
    let gid = number(3).unwrap_or(0);
    let mut groups = vec![gid];
    if let Some(name) = entry.as_ref().map(|entry| entry[0]) {
        for other in entries(group) {
            let members = other.get(3).copied().unwrap_or_default();
            if members.split(|byte| *byte == b',').any(|member| member == name) {
                groups.extend(id(other[2]).filter(|gid| !groups.contains(gid)));
            }
        }
    }
    Ok(User { uid, gid, groups, home })
}

/// The lines of passwd or group that have a name and a number, split at their colons.
fn entries(text: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
    let lines = text.split(|byte| *byte == b'\n');
    let entries = lines.map(|line| line.split(|byte| *byte == b':').collect::<Vec<_>>());
    entries
        .filter(|entry| !entry[0].is_empty() && entry.get(2).is_some_and(|id_| id(id_).is_some()))
}

/// Whether an entry is about this name, or this number.
fn is(entry: &[&[u8]], wanted: &str) -> bool {
    entry[0] == wanted.as_bytes() || id(entry[2]) == id(wanted.as_bytes()) && id(entry[2]).is_some()
}

/// Reads a number. Nobody has the largest: as -1 it means "leave it as it is" to calls such as
/// setresuid(2).
fn id(text: impl AsRef<[u8]>) -> Option<u32> {
    let text = text.as_ref();
    let number = std::str::from_utf8(text).ok()?.parse().ok()?;
    (number != u32::MAX && text[0].is_ascii_digit()).then_some(number)
}

fn unknown(what: &str, name: &str) -> Error {
    let file = Path::new(if what == "user" { "/etc/passwd" } else { "/etc/group" });
    Error::new(format!("the image has no {what} {:?} in {}", OsStr::new(name), file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/sh\n\
        # a remark\n\
        \n\
        half:x\n\
        all:x:4294967295:0::/:\n\
        ada:x:1000:100:Ada,,,:/home/ada:/bin/sh\n\
        7:x:2000:2000::/seven:\n\
        homeless:x:3000:3000\n\
        odd:x:3001:3001::/o\0dd:\n";
    const GROUP: &[u8] = b"root:x:0:\n\
        users:x:100:\n\
        wheel:x:10:root,ada\n\
        audio:x:11:adam,ada,eve\n\
        wheel-too:x:10:ada\n\
        mailman:x:12:ad\n";

    fn found(user: &str) -> (u32, u32, Vec<u32>, String) {
        let User { uid, gid, groups, home } = parse(user, PASSWD, GROUP).unwrap();
        (uid, gid, groups, home.into_string().unwrap())
    }

    #[test]
    fn a_name_gives_its_groups_and_home() {
        let ada = (1000, 100, vec![100, 10, 11], "/home/ada".to_string());
        assert_eq!(found("ada"), ada);
        assert_eq!(found("1000"), ada);
        assert_eq!(found("ada:"), ada);
        assert_eq!([found("homeless").3, found("odd").3], ["/", "/"]);
    }

    #[test]
    fn nothing_is_root() {
        let root = (0, 0, vec![0, 10], "/root".to_string());
        assert_eq!(found(""), root);
        assert_eq!(found("0"), root);
        assert_eq!(found("root"), root);
    }

    #[test]
    fn a_group_that_is_asked_for_is_the_only_one() {
        assert_eq!(found("ada:audio"), (1000, 11, vec![11], "/home/ada".into()));
        assert_eq!(found("ada:4711"), (1000, 4711, vec![4711], "/home/ada".into()));
        assert_eq!(found(":audio"), (0, 11, vec![11], "/root".into()));
    }

    #[test]
    fn a_number_need_not_be_known() {
        assert_eq!(found("4711"), (4711, 0, vec![0], "/".into()));
        assert_eq!(found("4711:4712"), (4711, 4712, vec![4712], "/".into()));
        let bare = parse("", b"", b"").unwrap();
        assert_eq!((bare.uid, bare.gid, bare.groups, bare.home), (0, 0, vec![0], "/".into()));
    }

    #[test]
    fn a_name_may_look_like_a_number() {
        assert_eq!(found("7"), (2000, 2000, vec![2000], "/seven".into()));
    }

    #[test]
    fn what_is_unknown_is_an_error() {
        for (user, words) in [
            ("eve", "no user \"eve\" in /etc/passwd"),
            ("-1", "no user \"-1\""),
            ("+1", "no user \"+1\""),
            ("4294967295", "no user"),
            ("all", "no user \"all\""),
            ("half", "no user \"half\""),
            ("ada:eve", "no group \"eve\" in /etc/group"),
            ("ada:-1", "no group \"-1\""),
            ("ada:100:100", "no group \"100:100\""),
        ] {
            let error = parse(user, PASSWD, GROUP).unwrap_err().to_string();
            assert!(error.contains(words), "{user}: {error}");
        }
    }
}
