//! Makes one entry after the other, in a directory that was resolved below the root: with calls that
//! take this directory, and a last part of the name that is never followed if it's a symbolic link.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufRead, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::path::Path;

use archive::{Archive, Entry, Kind};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{FchmodatFlags, Mode, SFlag, fchmodat, fstatat, mkdirat, mknodat};
use nix::unistd::{ftruncate, linkat, symlinkat};
use shared::{Error, Explain};

use super::memory::Memory;
use super::place::Place;
use super::root::{self, Root};
use super::whiteout::{self, Meaning};
use super::{Owners, Report, metadata, prune};

/// What nobody else may use until it has its own mode.
const PRIVATE_FILE: Mode = Mode::S_IRUSR.union(Mode::S_IWUSR);

pub struct Applier<'a> {
    root: &'a Root,
    owners: Owners,
    /// Where the last entry was put: the next one is mostly put there, too.
    place: Option<Place>,
    memory: Memory,
    report: Report,
}

impl<'a> Applier<'a> {
    pub fn new(root: &'a Root, owners: Owners) -> Applier<'a> {
        let (memory, report) = (Memory::default(), Report::default());
        Applier { root, owners, place: None, memory, report }
    }

    /// Does what an entry says, and reads its content from the archive.
    pub fn apply(
        &mut self,
        entry: &Entry,
        archive: &mut Archive<impl BufRead>,
    ) -> Result<(), Error> {
        self.report.entries += 1;
        let refuse = |why| Error::new(format!("cannot accept {:?}: {why}", entry.name));
        let parts = root::parts(&entry.name);
        let Some((name, above)) = parts.split_last() else {
            return match entry.kind {
                Kind::Directory => self.change_root(entry),
                _ => Err(refuse("the root is a directory")),
            };
        };
        let path = root::join(above);
        let what = || format!("remove what {:?} hides", entry.name);
        let meaning = whiteout::meaning(&parts).map_err(refuse)?;
        if let Meaning::Hide(_) | Meaning::HideAll = meaning {
            self.leave()?;
        }
        match meaning {
            Meaning::Nothing => return Ok(()),
            Meaning::Hide(hidden) => return self.hide(&path, Some(hidden)).explain(what()),
            Meaning::HideAll => return self.hide(&path, None).explain(what()),
            Meaning::File => {}
        }
        let place = self.go_to(&path, entry)?;
        let has_replaced = match entry.kind {
            Kind::Directory => self.make_directory(&place, name, entry)?,
            Kind::Hardlink => self.make_link(&place, name, entry)?,
            _ => self.make_file(&place, name, entry, archive)?,
        };
        self.place = Some(place);
        if has_replaced {
            // It may have been a symbolic link in the path to this place.
            self.leave()?;
        }
        Ok(())
    }

    /// Leaves all as it shall be, and says what was lost.
    pub fn finish(mut self) -> Result<Report, Error> {
        self.leave()?;
        Ok(self.report)
    }

    /// The directory for an entry, where the last one was or elsewhere.
    fn go_to(&mut self, path: &OsStr, entry: &Entry) -> Result<Place, Error> {
        if let Some(place) = self.place.take_if(|place| place.path() == path) {
            return Ok(place);
        }
        self.leave()?;
        let what = || format!("enter the directory of {:?}", entry.name);
        let place = Place::enter_or_make(self.root, path, &mut self.memory).explain(what())?;
        place.remember(self.root, &mut self.memory).explain(what())?;
        Ok(place)
    }

    fn leave(&mut self) -> Result<(), Error> {
        let Some(place) = self.place.take() else { return Ok(()) };
        let path = Path::new("/").join(place.path());
        place.leave().explain(format_args!("set the time of the directory {path:?}"))
    }

    /// The entry for the root directory: `./`.
    fn change_root(&mut self, entry: &Entry) -> Result<(), Error> {
        let itself = OsStr::new(".");
        self.leave()?;
        metadata::clear_xattrs(self.root.as_fd(), itself).explain("change the root directory")?;
        metadata::set(self.root.as_fd(), itself, entry, self.owners, &mut self.report)
    }

    /// A whiteout: removes what was there before this layer, `name` or all. It may be nothing.
    fn hide(&mut self, path: &OsStr, name: Option<&OsStr>) -> io::Result<()> {
        let place = match Place::enter(self.root, path) {
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(()),
            result => result?,
        };
        match name {
            Some(name) => prune::hide(place.as_fd(), place.inode(), name, &self.memory)?,
            None => prune::hide_all(place.as_fd(), place.inode(), &self.memory)?,
        }
        Ok(place.leave()?)
    }

    /// Makes a directory, or takes over the one that is there, with all it holds.
    fn make_directory(
        &mut self,
        place: &Place,
        name: &OsStr,
        entry: &Entry,
    ) -> Result<bool, Error> {
        let what = || format!("make the directory {:?}", entry.name);
        let look = || fstatat(place, name, AtFlags::AT_SYMLINK_NOFOLLOW);
        let make = || mkdirat(place, name, Mode::S_IRWXU);
        let mut has_replaced = false;
        let is_new = match make() {
            Err(Errno::EEXIST) if prune::is_directory(&look().explain(what())?) => false,
            Err(Errno::EEXIST) => {
                has_replaced = true;
                prune::remove(place.as_fd(), name).explain(what())?;
                make().map(|()| true).explain(what())?
            }
            result => result.map(|()| true).explain(what())?,
        };
        let stat = look().explain(what())?;
        if is_new {
            self.memory.made(stat.st_ino);
        } else {
            self.memory.shares(stat.st_ino);
            // Attributes can be set only where files can be made.
            let mode = metadata::mode(&stat) | Mode::S_IRWXU;
            let _ = fchmodat(place, name, mode, FchmodatFlags::FollowSymlink);
            metadata::clear_xattrs(place.as_fd(), name).explain(what())?;
        }
        metadata::set(place.as_fd(), name, entry, self.owners, &mut self.report)?;
        Ok(has_replaced)
    }

    /// Makes another name for a file of this layer or an earlier one. Its metadata are that file's.
    fn make_link(&mut self, place: &Place, name: &OsStr, entry: &Entry) -> Result<bool, Error> {
        let what = || format!("link {:?} to {:?}", entry.name, entry.link);
        let parts = root::parts(&entry.link);
        let (target, above) = parts.split_last().ok_or(Errno::EISDIR).explain(what())?;
        let other = Place::enter(self.root, &root::join(above)).explain(what())?;
        // A symbolic link is not followed, but gets another name itself (linkat(2)).
        let link = || linkat(&other, *target, place, name, AtFlags::empty());
        let inode = |place: &Place, name: &OsStr| {
            fstatat(place, name, AtFlags::AT_SYMLINK_NOFOLLOW).map(|stat| stat.st_ino)
        };
        let has_replaced = match link() {
            Err(Errno::EEXIST) if inode(&other, target) == inode(place, name) => false,
            Err(Errno::EEXIST) => {
                prune::remove(place.as_fd(), name).explain(what())?;
                link().explain(what())?;
                true
            }
            result => result.map(|()| false).explain(what())?,
        };
        other.leave().explain(what())?;
        self.memory.put(place.inode(), name);
        Ok(has_replaced)
    }

    /// Makes a file, symbolic link, fifo or device, in place of whatever is there.
    fn make_file(
        &mut self,
        place: &Place,
        name: &OsStr,
        entry: &Entry,
        archive: &mut Archive<impl BufRead>,
    ) -> Result<bool, Error> {
        let what = || format!("make {:?}", entry.name);
        let device = device_number(entry)?;
        let make = || match entry.kind {
            Kind::Symlink => symlinkat(entry.link.as_os_str(), place, name).map(|()| None),
            Kind::Fifo => mknodat(place, name, SFlag::S_IFIFO, PRIVATE_FILE, 0).map(|()| None),
            Kind::CharDevice => {
                mknodat(place, name, SFlag::S_IFCHR, PRIVATE_FILE, device).map(|()| None)
            }
            Kind::BlockDevice => {
                mknodat(place, name, SFlag::S_IFBLK, PRIVATE_FILE, device).map(|()| None)
            }
            // O_EXCL: a new file, never one that has other names, or that a link leads to.
            Kind::File | Kind::Directory | Kind::Hardlink => {
                let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
                openat(place, name, flags, PRIVATE_FILE).map(|fd| Some(File::from(fd)))
            }
        };
        let mut has_replaced = false;
        let made = match make() {
            Err(Errno::EEXIST) => {
                has_replaced = true;
                prune::remove(place.as_fd(), name).explain(what())?;
                make()
            }
            result => result,
        };
        self.memory.put(place.inode(), name);
        match made {
            // Only the machine's root may make devices, and it's the engine that fills /dev.
            Err(Errno::EPERM) if matches!(entry.kind, Kind::CharDevice | Kind::BlockDevice) => {
                self.report.lost_devices += 1;
                return Ok(has_replaced);
            }
            made => {
                if let Some(mut file) = made.explain(what())? {
                    write(&mut file, entry, archive)?;
                }
            }
        }
        metadata::set(place.as_fd(), name, entry, self.owners, &mut self.report)?;
        Ok(has_replaced)
    }
}

/// Writes an entry's content: the pieces of a sparse file where they belong, others from the start.
fn write(file: &mut File, entry: &Entry, archive: &mut Archive<impl BufRead>) -> Result<(), Error> {
    let what = || format!("write {:?}", entry.name);
    let mut copy = |file: &mut File, mut left: u64| {
        while left > 0 {
            let bytes = archive.content()?;
            let count = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            if count == 0 {
                break;
            }
            file.write_all(&bytes[..count]).explain(what())?;
            archive.consume(count);
            left -= count as u64;
        }
        Ok::<(), Error>(())
    };
    let Some(map) = &entry.sparse else { return copy(file, u64::MAX) };
    ftruncate(&*file, map.size as i64).explain(what())?;
    for (offset, length) in &map.spans {
        file.seek(SeekFrom::Start(*offset)).explain(what())?;
        copy(file, *length)?;
    }
    Ok(())
}

/// A device's number as Linux has it: 12 bits and 20.
fn device_number(entry: &Entry) -> Result<u64, Error> {
    match entry.device {
        (major @ 0..0x1000, minor @ 0..0x10_0000) => Ok(libc::makedev(major as u32, minor as u32)),
        _ => Err(Error::new(format!("cannot make {:?}: there is no such device", entry.name))),
    }
}
