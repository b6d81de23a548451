//! Whose a file is, on both sides of a mount: the caller's id inside can be the caller's outside.

use std::cmp::Ordering;
use std::fs;
use std::io::{self, IsTerminal};

use clap::ValueEnum;
use nix::errno::Errno;
use nix::unistd::{Gid, Pid, Uid, getegid, geteuid, getuid, setresgid, setresuid};
use shared::{Error, Explain};
use step5::subordinate::{Range, Subordinate};
use step5::userns::{self, map_range, write_map};
use step8::user::User;

use crate::mounts::Mounts;

/// Which ids a container gets.
#[derive(Clone, Copy, PartialEq, ValueEnum)]
pub enum Userns {
    /// `range` if the caller has one and the programs for it, else `single`
    Auto,
    /// 0 is the caller; from 1 on, the caller's ranges in /etc/subuid and /etc/subgid
    Range,
    /// 0 is the caller, and there is no other
    Single,
    /// The caller keeps the id, and is the command's user; all others are the ranges'
    KeepId,
}

impl Userns {
    /// Whether anything changes. For root it does not: all ids stand for themselves.
    pub fn keeps_id(self) -> bool {
        self == Userns::KeepId && !geteuid().is_root()
    }

    /// The command's user, if the caller names none. It is a number: an image's /etc/passwd could have
    /// a user whose *name* is 1000, and who is root.
    pub fn caller(self) -> Option<User> {
        let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
        self.keeps_id().then(|| User { uid, gid, groups: vec![gid], home: "/".into() })
    }
}

/// Writes the maps of the child's user namespace.
pub fn map_ids(child: Pid, userns: Userns) -> Result<(), Error> {
    let earlier = match userns {
        Userns::Auto => step5::userns::Userns::Auto,
        Userns::Range => step5::userns::Userns::Range,
        Userns::Single => step5::userns::Userns::Single,
        Userns::KeepId if userns.keeps_id() => return keep_id(child),
        Userns::KeepId => step5::userns::Userns::Auto,
    };
    userns::map_ids(child, earlier)
}

/// Maps the caller's own id to itself, and the ranges to all others.
fn keep_id(child: Pid) -> Result<(), Error> {
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    let Ok(ids) = Subordinate::of(getuid())? else {
        // Without ranges there is nobody else in the container, and no root.
        write_map(child, "setgroups", "deny")?;
        write_map(child, "uid_map", &format!("{uid} {uid} 1\n"))?;
        return write_map(child, "gid_map", &format!("{gid} {gid} 1\n"));
    };
    let all = [(&ids.newuidmap, uid, &ids.uids), (&ids.newgidmap, gid, &ids.gids)];
    for (newidmap, own, ranges) in all {
        let (root, others) = around(own, ranges)?;
        map_range(newidmap, child, root, &others)?;
    }
    Ok(())
}

/// The host's ids for the container's: for 0, and in ranges for those from 1 on. `own` stands for
/// itself.
pub fn around(own: u32, ranges: &[Range]) -> Result<(u32, Vec<Range>), Error> {
    let mut below = own;
    let mut all = Vec::new();
    for Range { first, count } in ranges {
        let before = below.min(*count);
        all.push(Range { first: *first, count: before });
        if below > 0 && below == before {
            all.push(Range { first: own, count: 1 });
        }
        all.push(Range { first: first + before, count: count - before });
        below -= before;
    }
    if below > 0 {
        let have = own - below;
        return Err(Error::new(format!(
            "cannot keep the id {own}: {own} others come before it, and your ranges in /etc/subuid \
             and /etc/subgid have {have} (--userns auto needs none)"
        )));
    }
    let root = all[0].first;
    all[0] = Range { first: root + 1, count: all[0].count - 1 };
    all.retain(|range| range.count > 0);
    Ok((root, all))
}

/// What an id of an image is in the user namespace where images are unpacked, when a container with
/// the caller's id kept is to see it as it is. There the caller is 0, and the ranges begin at 1.
pub fn shifted(own: u32, id: u32) -> u32 {
    match id.cmp(&own) {
        Ordering::Less => id + 1,
        Ordering::Equal => 0,
        Ordering::Greater => id,
    }
}

/// Becomes the container's root, which the caller is not where the id is kept.
pub fn become_root() -> Result<(), Error> {
    if geteuid().is_root() {
        return Ok(());
    }
    let (uid, gid) = (Uid::from_raw(0), Gid::from_raw(0));
    let group = setresgid(gid, gid, gid);
    match setresuid(uid, uid, uid).and(group) {
        // Without ranges there is no root. The capabilities are there all the same.
        Err(Errno::EINVAL) => Ok(()),
        changed => changed.explain("setresuid to the container's root"),
    }
}

/// Tells a person whose the files will be that the command makes on the host.
pub fn note_strange(user: &User, mounts: &Mounts) -> Result<(), Error> {
    let Some(place) = mounts.writable_of_host() else { return Ok(()) };
    if !io::stderr().is_terminal() {
        return Ok(()); // A script's standard error belongs to the command.
    }
    let map = fs::read_to_string("/proc/self/uid_map").explain("read /proc/self/uid_map")?;
    match outside(&map, user.uid) {
        Some(id) if user.uid != 0 && id != user.uid => shared::note(format_args!(
            "note: what user {} makes in {place:?} is user {id}'s on the host (--userns keep-id makes it \
             yours; `unshare` is the way to get rid of it)",
            user.uid
        )),
        _ => {}
    }
    Ok(())
}

/// What an id is outside, by a map as in uid_map.
fn outside(map: &str, inside: u32) -> Option<u32> {
    map.lines().find_map(|line| {
        let mut fields = line.split_whitespace().map_while(|field| field.parse::<u32>().ok());
        let (first, host, count) = (fields.next()?, fields.next()?, fields.next()?);
        let offset = inside.checked_sub(first).filter(|offset| *offset < count)?;
        host.checked_add(offset)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(text: &[[u32; 2]]) -> Vec<Range> {
        text.iter().map(|[first, count]| Range { first: *first, count: *count }).collect()
    }

    #[test]
    fn the_callers_id_stands_for_itself_and_the_others_around_it() {
        for (own, given, root, expected) in [
            (2, &[[100, 5]][..], 100, &[[101, 1], [2, 1], [102, 3]][..]),
            (1, &[[100, 5]], 100, &[[1, 1], [101, 4]]),
            // The ranges may end just before it, or one just there.
            (3, &[[100, 3]], 100, &[[101, 2], [3, 1]]),
            (3, &[[100, 3], [200, 2]], 100, &[[101, 2], [3, 1], [200, 2]]),
            (4, &[[100, 3], [200, 2]], 100, &[[101, 2], [200, 1], [4, 1], [201, 1]]),
        ] {
            assert_eq!(around(own, &ranges(given)).unwrap(), (root, ranges(expected)), "{own}");
        }
        assert!(around(1000, &ranges(&[[100, 999]])).unwrap_err().to_string().contains("have 999"));
    }

    #[test]
    fn an_id_that_is_shifted_is_seen_as_it_was() {
        // In the namespace of the images: 0 is the caller, and from 1 on come the ranges.
        let host = |id: u32| if id == 0 { 7 } else { 100 + id - 1 };
        let (root, others) = around(7, &ranges(&[[100, 3], [103, 20]])).unwrap();
        let mut map = format!("0 {root} 1\n");
        let mut inside = 1;
        for Range { first, count } in others {
            map += &format!("{inside} {first} {count}\n");
            inside += count;
        }
        for id in 0..24 {
            assert_eq!(outside(&map, id), Some(host(shifted(7, id))), "{id}");
        }
        assert_eq!(outside(&map, 24), None);
    }
}
