//! The place in a container where something is to be mounted. A stranger has chosen what lies there.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::{Mode, fstat};
use shared::{Error, Explain};

/// What the engine mounts itself, so that the container has a kernel of its own to look at.
const OF_THE_KERNEL: [&str; 3] = ["/proc", "/sys", "/dev"];

/// But for this one, which is for programs to write in.
const SHARED_MEMORY: &str = "/dev/shm";

/// How often a path may be resolved anew because somebody renames or mounts something meanwhile.
const ATTEMPTS: u32 = 1000;

/// An open file or directory of the container. Whatever happens to its path from now on, a mount goes
/// here.
pub struct Place {
    fd: OwnedFd,
    /// Where it was found, when all links were followed.
    path: PathBuf,
}

impl Place {
    /// Opens what is at a path of the container, made if it is missing: a directory, or an empty file.
    ///
    /// To be called in the container, after pivot_root. Then no path leads to the host, but for the
    /// "magic" links in /proc: those lead to open files, wherever these are (proc_pid_fd(5)). So they
    /// are not followed.
    pub fn open(path: &Path, directory: bool) -> Result<Place, Error> {
        let root = File::open("/").explain("open /")?;
        let fd = match resolve(&root, path, OFlag::O_PATH) {
            Err(Errno::ENOENT) => make(&root, path, directory)
                .and_then(|()| resolve(&root, path, OFlag::O_PATH))
                .explain(format_args!("make {path:?} in the container")),
            found => found.explain(format_args!("open {path:?} in the container")),
        };
        let fd = fd.map_err(|error| error.cure(Errno::ELOOP, "a link there leads into /proc"))?;
        let place = Place::at(fd)?;
        place.require_free()?;
        place.require_kind(directory)?;
        Ok(place)
    }

    /// The directory that the image has at a path, if it has one.
    pub fn find(path: &Path) -> Result<Option<Place>, Error> {
        let root = File::open("/").explain("open /")?;
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
        let fd = match resolve(&root, path, flags) {
            // What is wrong with a file or a link there, `open` will tell.
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => return Ok(None),
            found => found.explain(format_args!("open {path:?} in the container"))?,
        };
        Place::at(fd).map(|place| Some(place).filter(|place| !is_taken(&place.path)))
    }

    fn at(fd: OwnedFd) -> Result<Place, Error> {
        let path = fs::read_link(tree::path_of(fd.as_fd())).explain("readlink")?;
        Ok(Place { fd, path })
    }

    fn require_free(&self) -> Result<(), Error> {
        let path = &self.path;
        if is_taken(path) {
            return Err(Error::new(format!(
                "cannot mount on {path:?}: that is the container's own"
            )));
        }
        Ok(())
    }

    fn require_kind(&self, directory: bool) -> Result<(), Error> {
        let there = fstat(&self.fd).explain(format_args!("stat {:?}", self.path))?;
        match (directory, tree::is_directory(&there)) {
            (true, false) => {
                Err(Error::new(format!("cannot mount a directory on the file {:?}", self.path)))
            }
            (false, true) => {
                Err(Error::new(format!("cannot mount a file on the directory {:?}", self.path)))
            }
            _ => Ok(()),
        }
    }
}

/// Whether a place is not to be mounted on. A mount there would make the container see something else
/// than its own kernel: the masks of step 10 lie on /proc, for example (CVE-2019-19921).
pub fn is_taken(path: &Path) -> bool {
    let is_kernels = OF_THE_KERNEL.iter().any(|kernel| path.starts_with(kernel));
    path == Path::new("/") || is_kernels && !path.starts_with(SHARED_MEMORY)
}

impl AsFd for Place {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Opens what a path leads to below the root, as a process would whose root directory this is
/// (openat2(2)).
fn resolve(root: &File, path: &Path, flags: OFlag) -> nix::Result<OwnedFd> {
    let scope = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(scope);
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    for _ in 1..ATTEMPTS {
        match openat2(root, path, how) {
            Err(Errno::EAGAIN) => {}
            result => return result,
        }
    }
    Err(Errno::EAGAIN)
}

/// Makes what is missing on the way, and at its end.
fn make(root: &File, path: &Path, directory: bool) -> nix::Result<()> {
    let enter = |path: &Path| resolve(root, path, OFlag::O_RDONLY | OFlag::O_DIRECTORY);
    let mode = Mode::from_bits_truncate(0o755);
    let make_way = |path: &Path| tree::make_way(&enter, path, mode, &mut |_, _| Ok(()));
    if directory {
        return make_way(path);
    }
    let parent = path.parent().unwrap_or(Path::new("/"));
    make_way(parent)?;
    // It is new: where a link to nothing stands, this fails.
    let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
    let name = path.file_name().unwrap_or(OsStr::new("."));
    openat(enter(parent)?, name, flags, Mode::from_bits_truncate(0o644)).map(drop)
}
