//! Makes one entry after the other, in a directory that was resolved below the root: with calls that
//! take this directory, and a last part of the name that is never followed if it's a symbolic link.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufRead};
use std::mem;
use std::os::fd::AsFd;
use std::path::Path;

use archive::{Archive, Entry, Kind};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{Mode, SFlag, fstatat, mkdirat, mknodat};
use nix::unistd::{linkat, symlinkat};
use shared::{Error, Explain};

use super::directory::Directory;
use super::memory::Memory;
use super::metadata::is_not_ours;
use super::root::{self, Root};
use super::whiteout::{self, Meaning};
use super::{Owners, Report, metadata, prune};

/// What nobody else may use until it has its own mode.
const PRIVATE_FILE: Mode = Mode::S_IRUSR.union(Mode::S_IWUSR);

pub struct Applier<'a> {
    root: &'a Root,
    owners: Owners,
    /// Where the last entry was put. The next one is mostly put there, too.
    here: Option<Directory>,
    /// The last entry has removed something, which may be a symbolic link on the way here.
    has_removed: bool,
    memory: Memory,
    report: Report,
}

impl<'a> Applier<'a> {
    pub fn new(root: &'a Root, owners: Owners) -> Applier<'a> {
        let (memory, report) = (Memory::default(), Report::default());
        Applier { root, owners, here: None, has_removed: false, memory, report }
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
        let directory = self.go_to(&path, entry)?;
        match entry.kind {
            Kind::Directory => self.make_directory(&directory, name, entry)?,
            Kind::Hardlink => self.make_link(&directory, name, entry)?,
            _ => self.make_file(&directory, name, entry, archive)?,
        }
        self.here = Some(directory);
        if mem::take(&mut self.has_removed) { self.leave() } else { Ok(()) }
    }

    /// Leaves all as it shall be, and says what was lost.
    pub fn finish(mut self) -> Result<Report, Error> {
        self.leave()?;
        Ok(self.report)
    }

    /// The directory for an entry, where the last one was or elsewhere.
    fn go_to(&mut self, path: &OsStr, entry: &Entry) -> Result<Directory, Error> {
        if self.here.as_ref().is_some_and(|here| here.path() != path) {
            self.leave()?;
        }
        if let Some(here) = self.here.take() {
            return Ok(here);
        }
        let what = || format!("enter the directory of {:?}", entry.name);
        Directory::enter_or_make(self.root, path, &mut self.memory).explain(what())
    }

    fn leave(&mut self) -> Result<(), Error> {
        let Some(directory) = self.here.take() else { return Ok(()) };
        let path = Path::new("/").join(directory.path());
        directory.leave().explain(format_args!("set the time of the directory {path:?}"))
    }

    /// The entry for the root directory: `./`.
    fn change_root(&mut self, entry: &Entry) -> Result<(), Error> {
        let itself = OsStr::new(".");
        self.leave()?;
        tree::clear_attributes(self.root.as_fd(), itself, is_not_ours)
            .explain("change the root directory")?;
        metadata::set(self.root.as_fd(), itself, entry, self.owners, &mut self.report)
    }

    /// A whiteout: removes what was there before this layer, `name` or all. It may be nothing.
    fn hide(&mut self, path: &OsStr, name: Option<&OsStr>) -> io::Result<()> {
        let directory = match Directory::enter(self.root, path) {
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(()),
            result => result?,
        };
        match name {
            Some(name) => prune::hide(directory.as_fd(), directory.inode(), name, &self.memory)?,
            None => prune::hide_all(directory.as_fd(), directory.inode(), &self.memory)?,
        }
        Ok(directory.leave()?)
    }

    /// Removes what is there, for something else to come in its place.
    fn remove(&mut self, directory: &Directory, name: &OsStr) -> io::Result<()> {
        self.has_removed = true;
        prune::remove(directory.as_fd(), name)
    }

    /// Makes a directory, or takes over the one that is there, with all it holds.
    fn make_directory(
        &mut self,
        directory: &Directory,
        name: &OsStr,
        entry: &Entry,
    ) -> Result<(), Error> {
        let what = || format!("make the directory {:?}", entry.name);
        let look = || fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW);
        let make = || mkdirat(directory, name, Mode::S_IRWXU);
        let is_new = match make() {
            Err(Errno::EEXIST) if tree::is_directory(&look().explain(what())?) => false,
            Err(Errno::EEXIST) => {
                self.remove(directory, name).explain(what())?;
                make().map(|()| true).explain(what())?
            }
            result => result.map(|()| true).explain(what())?,
        };
        let stat = look().explain(what())?;
        if is_new {
            self.memory.made(stat.st_ino);
        } else {
            self.memory.shares(stat.st_ino);
            tree::clear_attributes(directory.as_fd(), name, is_not_ours).explain(what())?;
        }
        metadata::set(directory.as_fd(), name, entry, self.owners, &mut self.report)
    }

    /// Makes another name for a file of this layer or an earlier one. Its metadata are that file's.
    fn make_link(
        &mut self,
        directory: &Directory,
        name: &OsStr,
        entry: &Entry,
    ) -> Result<(), Error> {
        let what = || format!("link {:?} to {:?}", entry.name, entry.link);
        let parts = root::parts(&entry.link);
        let (target, above) = parts.split_last().ok_or(Errno::EISDIR).explain(what())?;
        let other = Directory::enter(self.root, &root::join(above)).explain(what())?;
        // A symbolic link is not followed, but gets another name itself (linkat(2)).
        let link = || linkat(&other, *target, directory, name, AtFlags::empty());
        let inode = |directory: &Directory, name: &OsStr| {
            fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW).map(|stat| stat.st_ino)
        };
        match link() {
            Err(Errno::EEXIST) if inode(&other, target) == inode(directory, name) => {}
            Err(Errno::EEXIST) => {
                self.remove(directory, name).explain(what())?;
                link().explain(what())?;
            }
            result => result.explain(what())?,
        }
        self.memory.put(directory.inode(), name);
        other.leave().explain(what())
    }

    /// Makes a file, symbolic link, fifo or device, in place of whatever is there.
    fn make_file(
        &mut self,
        directory: &Directory,
        name: &OsStr,
        entry: &Entry,
        archive: &mut Archive<impl BufRead>,
    ) -> Result<(), Error> {
        let what = || format!("make {:?}", entry.name);
        let node = |kind| mknodat(directory, name, kind, PRIVATE_FILE, entry.device).map(|()| None);
        let make = || match entry.kind {
            Kind::Symlink => symlinkat(entry.link.as_os_str(), directory, name).map(|()| None),
            Kind::Fifo => node(SFlag::S_IFIFO),
            Kind::CharDevice => node(SFlag::S_IFCHR),
            Kind::BlockDevice => node(SFlag::S_IFBLK),
            // O_EXCL: a new file, never one that has other names, or that a link leads to.
            Kind::File | Kind::Directory | Kind::Hardlink => {
                let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
                openat(directory, name, flags, PRIVATE_FILE).map(|fd| Some(File::from(fd)))
            }
        };
        let made = match make() {
            Err(Errno::EEXIST) => {
                self.remove(directory, name).explain(what())?;
                make()
            }
            result => result,
        };
        self.memory.put(directory.inode(), name);
        match made {
            // Only the machine's root may make devices, and it's the engine that fills /dev.
            Err(Errno::EPERM) if matches!(entry.kind, Kind::CharDevice | Kind::BlockDevice) => {
                self.report.lost_devices += 1;
                return Ok(());
            }
            made => {
                if let Some(mut file) = made.explain(what())? {
                    archive.write_to(&mut file, entry)?;
                }
            }
        }
        metadata::set(directory.as_fd(), name, entry, self.owners, &mut self.report)
    }
}
