//! The writable layer: what a container changes lies on top of its image, and goes with it.

use std::ffi::CString;
use std::fs::{self, DirBuilder, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::mount::{MntFlags, MsFlags, umount2};
use nix::sched::{CloneFlags, setns};
use nix::unistd::{Pid, chdir, mkdtemp};
use shared::{Error, Explain, home};
use step4::rootfs::mount_new;

/// What can be done about a file system that is not fit.
const CURE: &str = "set SLIPWAY_HOME to a directory on ext4, xfs or btrfs";

/// A container's own directory. Dropped, it is gone.
pub struct Layer {
    home: PathBuf,
    /// The root filesystem below, which stays as it is.
    image: PathBuf,
    directory: PathBuf,
    /// Says that the container lives.
    _lock: Flock<File>,
    /// Where those are who own the files in it.
    userns: Option<File>,
}

impl Layer {
    /// Makes an empty one over an image's root filesystem.
    pub fn over(image: &Path) -> Result<Layer, Error> {
        let home = home::directory()?;
        let containers = home.join("containers");
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&containers);
        made.explain(format_args!("make the directory {containers:?}"))?;
        loop {
            let template = containers.join("XXXXXX");
            let directory =
                mkdtemp(&template).explain(format_args!("make a directory in {containers:?}"))?;
            // Before it was locked somebody may have taken it for left over.
            let Some(lock) = lock(&directory).filter(|_| directory.exists()) else { continue };
            let layer = Layer { home, image: image.into(), directory, _lock: lock, userns: None };
            for name in ["upper", "work"] {
                let path = layer.directory.join(name);
                fs::create_dir(&path).explain(format_args!("make the directory {path:?}"))?;
            }
            require_attributes(&layer.directory)?;
            return Ok(layer);
        }
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
        let root = fs::metadata(&self.image).explain(format_args!("stat {:?}", self.image))?;
        chown(&upper, Some(root.uid()), Some(root.gid()))
            .and_then(|()| fs::set_permissions(&upper, root.permissions()))
            .explain(format_args!("give {upper:?} the image's owner and mode"))?;

        self.mount_over_image(&self.directory, "").map_err(|error| {
            error
                .cure(Errno::EPERM, "an ordinary user may since Linux 5.11; or use ./just vm")
                .cure(Errno::ENODEV, "the kernel lacks it: sudo modprobe overlay")
                .cure(Errno::EINVAL, CURE)
        })?;
        Ok(self.directory.clone())
    }

    /// Mounts a container's directory over the image, with one more option perhaps.
    fn mount_over_image(&self, directory: &Path, option: &str) -> Result<(), Error> {
        // Relative paths: in the options a path must have neither commas nor colons.
        chdir(&self.home).explain(format_args!("chdir to {:?}", self.home))?;
        let below = |path: &Path| path.strip_prefix(&self.home).unwrap_or(path).to_owned();
        let (image, own) = (below(&self.image), below(directory));
        let (image, own) = (image.display(), own.display());
        let layers = format!("lowerdir={image},upperdir={own}/upper,workdir={own}/work");
        // userxattr: the file system's notes are attributes that an ordinary user may write.
        // volatile: no change goes to the disk for its own sake, for it goes with the container.
        let options = format!("userxattr,volatile,{option}{layers}");
        mount_new("overlay", directory, MsFlags::empty(), &options)
    }

    /// Whether a container that has outlived its engine still writes to this directory.
    ///
    /// Only the kernel knows. With `index=on` it refuses an upper directory that another overlay has,
    /// in whatever mount namespace (EBUSY).
    fn is_mounted(&self, directory: &Path) -> bool {
        match self.mount_over_image(directory, "index=on,") {
            Err(error) => error.errno() == Some(Errno::EBUSY),
            // The engine was killed before its child had mounted it.
            Ok(()) => umount2(directory, MntFlags::MNT_DETACH).is_err(),
        }
    }

    /// Adds to an error that there is no room where the layer is: a path in the container is not
    /// where it seems to be.
    pub fn name_full(&self, error: Error) -> Error {
        error.name_full(&self.directory)
    }

    /// Removes the layers whose engine was killed, unless their container lives on. For the child to
    /// call: outside its user namespace nobody has the right to, for the files are all kinds of users'.
    pub fn remove_stale(&self) {
        let containers = fs::read_dir(self.home.join("containers"));
        for entry in containers.into_iter().flatten().flatten() {
            let directory = entry.path();
            let Some(_lock) = lock(&directory) else { continue };
            if !self.is_mounted(&directory) {
                // What can't be removed now is for another start.
                let _ = step7::layer::remove(&directory);
            }
        }
    }
}

/// Fails unless the directory's file system has attributes for everybody. Without them an overlay
/// can be mounted, and then some changes in it fail.
fn require_attributes(directory: &Path) -> Result<(), Error> {
    let path = CString::new(directory.as_os_str().as_bytes()).expect("a path has no NUL");
    // SAFETY: strings that end with NUL, and no bytes at all; all outlive the call.
    let result = unsafe {
        libc::setxattr(path.as_ptr(), c"user.slipway".as_ptr(), c"".as_ptr().cast(), 0, 0)
    };
    Errno::result(result)
        .explain(format_args!("setxattr on {directory:?}, which an overlay needs"))
        .map_err(|error| error.cure(Errno::EOPNOTSUPP, CURE))
        .map(drop)
}

/// Locks a container's directory, unless it is locked: then its engine lives.
fn lock(directory: &Path) -> Option<Flock<File>> {
    Flock::lock(File::open(directory).ok()?, FlockArg::LockExclusiveNonblock).ok()
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
