//! The writable layer: what a container changes lies on top of its image, and goes with it.

use std::ffi::{CStr, CString};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::mount::{MntFlags, MsFlags, umount2};
use nix::sched::{CloneFlags, setns};
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{Pid, chdir, mkdtemp};
use reference::Digest;
use shared::{Error, Explain, home};
use step4::rootfs::mount_new;

/// The attribute of a container's directory that holds the digest of its image's manifest.
const NOTE: &CStr = c"user.slipway";

/// What can be done about a file system that is not fit.
const CURE: &str = "set SLIPWAY_HOME to a directory on ext4, xfs or btrfs";

/// A container's own directory. Dropped, it is gone.
pub struct Layer {
    home: PathBuf,
    /// The image below, which stays as it is: one directory, or more that make one root filesystem
    /// together, the topmost first.
    image: Vec<PathBuf>,
    directory: PathBuf,
    /// Says that the container lives.
    _lock: Flock<File>,
    /// Where those are who own the files in it.
    userns: Option<File>,
}

impl Layer {
    /// Makes an empty one over an image's directories. It carries the digest of the image's manifest,
    /// for those who want to know whether a container still needs it.
    pub fn over(image: Vec<PathBuf>, manifest: &Digest) -> Result<Layer, Error> {
        let home = home::directory()?;
        let containers = home.join("containers");
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&containers);
        made.explain(format_args!("make the directory {containers:?}"))?;
        loop {
            let template = containers.join("XXXXXX");
            let directory =
                mkdtemp(&template).explain(format_args!("make a directory in {containers:?}"))?;
            // Before it was locked somebody may have taken it for left over.
            let locked = lock(&directory).inspect_err(|_| drop(fs::remove_dir(&directory)))?;
            let Some(lock) = locked.filter(|_| directory.exists()) else { continue };
            let layer = Layer { home, image, directory, _lock: lock, userns: None };
            for name in ["upper", "work"] {
                let path = layer.directory.join(name);
                fs::create_dir(&path).explain(format_args!("make the directory {path:?}"))?;
            }
            note_manifest(&layer.directory, manifest)?;
            return Ok(layer);
        }
    }

    /// The container's own directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Remembers the user namespace of the container that will write to it.
    pub fn belongs_to(&mut self, child: Pid) -> Result<(), Error> {
        let path = format!("/proc/{child}/ns/user");
        self.userns = Some(File::open(&path).explain(format_args!("open {path}"))?);
        Ok(())
    }

    /// Mounts both as one, on the container's own directory, and gives that. For the child to call.
    pub fn mount(&self) -> Result<PathBuf, Error> {
        // The mount's / is the upper directory: so it has to look like the image's.
        let upper = self.directory.join("upper");
        let top = &self.image[0];
        let root = fs::metadata(top).explain(format_args!("stat {top:?}"))?;
        chown(&upper, Some(root.uid()), Some(root.gid()))
            .and_then(|()| fs::set_permissions(&upper, root.permissions()))
            .explain(format_args!("give {upper:?} the image's owner and mode"))?;

        let work = self.directory.join("work");
        mount_writable(&self.image, [&upper, &work], &self.directory)
            .map_err(|error| self.name_full(error))?;
        Ok(self.directory.clone())
    }

    /// Adds to an error that there is no room where the layer is: a path in the container is not
    /// where it seems to be.
    pub fn name_full(&self, error: Error) -> Error {
        error.name_full(&self.directory)
    }

    /// Removes what killed engines have left. For the child to call.
    pub fn remove_stale(&self) {
        remove_stale(&self.home)
    }
}

/// Removes the layers whose engine was killed, unless their container lives on. For a process in the
/// containers' user namespace, as the files are all kinds of users', and with mounts of its own.
pub fn remove_stale(home: &Path) {
    let containers = fs::read_dir(home.join("containers"));
    for entry in containers.into_iter().flatten().flatten() {
        let directory = entry.path();
        let Ok(Some(_lock)) = lock(&directory) else { continue };
        if !is_mounted(home, &directory) {
            // What can't be removed now is for another start.
            let _ = step7::layer::remove(&directory);
        }
    }
}

/// Whether a container that has outlived its engine still writes to this directory.
///
/// Only the kernel knows. With `index=on` it refuses an upper directory that another overlay has, in
/// whatever mount namespace (EBUSY).
fn is_mounted(home: &Path, directory: &Path) -> bool {
    let [upper, work] = ["upper", "work"].map(|name| directory.join(name));
    // Any directory will do for the one below.
    let below = [home.join("partial")];
    match mount_overlay(&below, [&upper, &work], directory, "index=on,") {
        Err(error) => error.errno() == Some(Errno::EBUSY),
        // The engine was killed before its child had mounted it.
        Ok(()) => umount2(directory, MntFlags::MNT_DETACH).is_err(),
    }
}

/// The digest of the image's manifest that a container's directory carries, if it has one.
pub fn manifest_of(directory: &Path) -> Option<Digest> {
    let path = CString::new(directory.as_os_str().as_bytes()).ok()?;
    let mut text = [0; 128];
    let (bytes, size) = (text.as_mut_ptr().cast(), text.len());
    // SAFETY: two strings that end with NUL, and room for `size` bytes; all outlive the call.
    let count = unsafe { libc::getxattr(path.as_ptr(), NOTE.as_ptr(), bytes, size) };
    let text = text.get(..usize::try_from(count).ok()?)?;
    Digest::try_from(String::from_utf8_lossy(text).into_owned()).ok()
}

/// Mounts directories as one: those below, the topmost first, and `upper`, which takes the changes.
/// `work` is the kernel's own, and empty.
pub fn mount_overlay(
    below: &[PathBuf],
    [upper, work]: [&Path; 2],
    target: &Path,
    option: &str,
) -> Result<(), Error> {
    let open = |path: &Path| {
        let mut how = OpenOptions::new();
        let opened = how.read(true).custom_flags(libc::O_PATH | libc::O_DIRECTORY).open(path);
        opened.explain(format_args!("open the directory {path:?}"))
    };
    let below = below.iter().map(|path| open(path)).collect::<Result<Vec<File>, Error>>()?;
    let (upper, work) = (open(upper)?, open(work)?);
    // In the options a path must have neither commas nor colons, and all of them must fit in a page.
    // Numbers do, and here they are the names of our open directories.
    chdir("/proc/self/fd").explain("chdir to /proc/self/fd")?;
    let numbers: Vec<String> = below.iter().map(|dir| dir.as_raw_fd().to_string()).collect();
    let lower = numbers.join(":");
    let (upper, work) = (upper.as_raw_fd(), work.as_raw_fd());
    // userxattr: the file system's notes are attributes that an ordinary user may write.
    // volatile: no change goes to the disk for its own sake, for it goes with the container.
    let options =
        format!("userxattr,volatile,{option}lowerdir={lower},upperdir={upper},workdir={work}");
    mount_new("overlay", target, MsFlags::empty(), &options).map_err(|error| {
        error
            .cure(Errno::EPERM, "an ordinary user may since Linux 5.11; or use ./just vm")
            .cure(Errno::ENODEV, "the kernel lacks it: sudo modprobe overlay")
            .cure(Errno::EINVAL, CURE)
    })
}

/// The same for an overlay that has to take changes. The kernel makes a directory of its own in `work`.
/// If there is no room for that, it mounts the overlay for reading alone, and says nothing.
pub fn mount_writable(below: &[PathBuf], layer: [&Path; 2], target: &Path) -> Result<(), Error> {
    mount_overlay(below, layer, target, "")?;
    let mounted = statvfs(target).explain(format_args!("statfs {target:?}"))?;
    if mounted.flags().contains(FsFlags::ST_RDONLY) {
        let _ = umount2(target, MntFlags::MNT_DETACH);
        return Err(Errno::ENOSPC).explain(format_args!("mount an overlay on {target:?}"));
    }
    Ok(())
}

/// Writes down whose container this is. The note is an attribute, which costs no file; and a file
/// system without attributes is found out here. On it an overlay can be mounted, and then some
/// changes in it fail.
fn note_manifest(directory: &Path, manifest: &Digest) -> Result<(), Error> {
    let path = CString::new(directory.as_os_str().as_bytes()).expect("a path has no NUL");
    let manifest = manifest.to_string();
    let (bytes, size) = (manifest.as_ptr().cast(), manifest.len());
    // SAFETY: two strings that end with NUL, and `size` bytes; all outlive the call.
    let result = unsafe { libc::setxattr(path.as_ptr(), NOTE.as_ptr(), bytes, size, 0) };
    Errno::result(result)
        .explain(format_args!("setxattr on {directory:?}, which an overlay needs"))
        .map_err(|error| error.cure(Errno::EOPNOTSUPP, CURE))
        .map(drop)
}

/// Locks a container's directory. None: it is locked, for its engine lives; or it has gone.
fn lock(directory: &Path) -> Result<Option<Flock<File>>, Error> {
    let file = match File::open(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened.explain(format_args!("open the directory {directory:?}"))?,
    };
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(locked) => Ok(Some(locked)),
        Err((_, Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, errno)) => Err(errno).explain(format_args!("lock {directory:?}")),
    }
}

impl Drop for Layer {
    fn drop(&mut self) {
        // There this process has the right to remove what is another id's; and it is about to end.
        if let Some(userns) = &self.userns {
            let _ = setns(userns, CloneFlags::CLONE_NEWUSER);
        }
        // If it fails, the next container's start tries again.
        let _ = step7::layer::remove(&self.directory);
    }
}
