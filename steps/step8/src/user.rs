//! Who the command is: an image's word for a user, looked up in its own /etc/passwd and /etc/group
//! (passwd(5), group(5)).

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::OpenOptionsExt;

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

    let entry = entries(passwd, 4).find(|entry| is(entry, user));
    let Some(entry) = entry else {
        let uid = id(user.as_bytes()).ok_or_else(|| unknown("user", user))?;
        let gid = match wanted_group {
            "" => 0,
            wanted => find_group(wanted, group)?,
        };
        return Ok(User { uid, gid, groups: vec![gid], home: "/".into() });
    };
    // Root is 0, so a number that can't be read must not become one.
    let uid = id(entry[2]).ok_or_else(|| broken("user", user, entry[2]))?;
    let own_gid = id(entry[3]).ok_or_else(|| broken("user", user, entry[3]))?;
    // No variable can have a NUL.
    let is_home = |home: &&&[u8]| !home.is_empty() && !home.contains(&0);
    let home = entry.get(5).filter(is_home).map_or(&b"/"[..], |home| home);
    let home = OsString::from_vec(home.to_vec());

    // A group that is asked for is all there is. Otherwise it is the user's own and those that list
    // the user's name.
    if !wanted_group.is_empty() {
        let gid = find_group(wanted_group, group)?;
        return Ok(User { uid, gid, groups: vec![gid], home });
    }
    let mut groups = vec![own_gid];
    for other in entries(group, 3) {
        let members = other.get(3).copied().unwrap_or_default();
        let mut members = members.split(|byte| *byte == b',');
        if members.any(|member| member.trim_ascii() == entry[0]) {
            groups.extend(id(other[2]).filter(|gid| !groups.contains(gid)));
        }
    }
    Ok(User { uid, gid: own_gid, groups, home })
}

/// The number of a group that is asked for, by name or number.
fn find_group(wanted: &str, group: &[u8]) -> Result<u32, Error> {
    match entries(group, 3).find(|entry| is(entry, wanted)) {
        Some(entry) => id(entry[2]).ok_or_else(|| broken("group", wanted, entry[2])),
        None => id(wanted.as_bytes()).ok_or_else(|| unknown("group", wanted)),
    }
}

/// The lines of passwd or group that have a name and `fields` fields at least, split at their colons.
/// White space around a field, such as the carriage return of a file from Windows, is not part of it.
fn entries(text: &[u8], fields: usize) -> impl Iterator<Item = Vec<&[u8]>> {
    let lines = text.split(|byte| *byte == b'\n');
    let entries = lines.map(|line| line.split(|byte| *byte == b':').map(<[u8]>::trim_ascii));
    let entries = entries.map(|fields| fields.collect::<Vec<_>>());
    entries.filter(move |entry| entry.len() >= fields && !entry[0].is_empty())
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

/// The error for a name that is not listed.
fn unknown(what: &str, name: &str) -> Error {
    Error::new(format!("the image has no {what} {name:?} in {}", list_of(what)))
}

/// The error for a name whose entry has `text` where a number belongs.
fn broken(what: &str, name: &str, text: &[u8]) -> Error {
    let text = String::from_utf8_lossy(text);
    Error::new(format!("the image's {} gives {what} {name:?} the number {text:?}", list_of(what)))
}

/// The file that lists users, or groups.
fn list_of(what: &str) -> &'static str {
    if what == "user" { "/etc/passwd" } else { "/etc/group" }
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
        odd:x:3001:3001::/o\0dd:\n\
        grace:x:4000:4001::/home/grace\r\n\
        \x20edith : x : 4100 : 4101 : : /home/edith \r\n\
        no-uid:x::100::/:\n\
        no-gid:x:5000:1o0::/:\n\
        large:x:5001:4294967296::/:\n";
    const GROUP: &[u8] = b"root:x:0:\n\
        users:x:100:\n\
        wheel:x:10:root,ada\n\
        audio:x:11:adam,ada,eve\n\
        wheel-too:x:10:ada\n\
        mailman:x:12:ad\n\
        ships:x:13:ada, edith , grace\r\n\
        last:x:14:edith,grace\r\n\
        broken:x:1o4:ada,grace\n\
        empty:x::ada\n";

    fn found(user: &str) -> (u32, u32, Vec<u32>, String) {
        let User { uid, gid, groups, home } = parse(user, PASSWD, GROUP).unwrap();
        (uid, gid, groups, home.into_string().unwrap())
    }

    #[test]
    fn a_name_gives_its_groups_and_home() {
        let ada = (1000, 100, vec![100, 10, 11, 13], "/home/ada".to_string());
        assert_eq!(found("ada"), ada);
        assert_eq!(found("1000"), ada);
        assert_eq!(found("ada:"), ada);
        assert_eq!([found("homeless").3, found("odd").3], ["/", "/"]);
    }

    #[test]
    fn white_space_is_no_part_of_a_field() {
        assert_eq!(found("grace"), (4000, 4001, vec![4001, 13, 14], "/home/grace".into()));
        assert_eq!(found("edith"), (4100, 4101, vec![4101, 13, 14], "/home/edith".into()));
        let bare = parse("ada", b"ada:x:7:8\r", b"last:x:9:ada\r").unwrap();
        assert_eq!((bare.gid, bare.groups), (8, vec![8, 9]));
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
            ("all", "/etc/passwd gives user \"all\" the number \"4294967295\""),
            ("no-uid", "user \"no-uid\" the number \"\""),
            ("no-gid", "user \"no-gid\" the number \"1o0\""),
            ("no-gid:100", "user \"no-gid\" the number \"1o0\""),
            ("5000", "user \"5000\" the number \"1o0\""),
            ("large", "user \"large\" the number \"4294967296\""),
            ("ada:broken", "/etc/group gives group \"broken\" the number \"1o4\""),
            ("4711:empty", "group \"empty\" the number \"\""),
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
