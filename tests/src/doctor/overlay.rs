//! The overlay file system, by mounting one where nobody else sees it.

use std::fs;
use std::path::Path;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};

use super::child::{Call, Failure, enter_mount_namespace, enter_user_namespace, in_child};
use super::host::{User, is_root};
use super::{Finding, Verdict};

/// Mounts an overlay: as root, or as an ordinary user in a user namespace.
pub fn finding(user: &User, can: bool) -> Finding {
    if !can {
        return Finding::new(
            Verdict::NotTried,
            "overlay",
            "an ordinary user needs a user namespace for it",
        );
    }
    let tried = in_child(|| {
        if is_root() { enter_mount_namespace() } else { enter_user_namespace(user) }?;
        // Its directories lie on a tmpfs over /tmp, that only this child's mount namespace has.
        let on_top = Path::new("/tmp");
        mount(None::<&str>, on_top, Some("tmpfs"), MsFlags::empty(), None::<&str>)
            .call("mount tmpfs")?;
        overlay(on_top)
    });
    let how = if is_root() { "as root" } else { "in a user namespace (userxattr)" };
    match tried {
        Ok(()) => Finding::new(
            Verdict::Yes,
            "overlay",
            format!("mounted one and wrote through it, {how}"),
        ),
        Err(failure) => {
            let cure = match failure.errno {
                Errno::ENODEV => "sudo modprobe overlay",
                Errno::EPERM if !is_root() => {
                    "a kernel from 5.11 on lets ordinary users; else use the VM: ./just vm"
                }
                _ => "use the VM: ./just vm",
            };
            Finding::new(Verdict::No, "overlay", format!("{failure}, {how}")).cure(cure)
        }
    }
}

fn overlay(directory: &Path) -> Result<(), Failure> {
    for name in ["lower", "upper", "work", "merged"] {
        fs::create_dir(directory.join(name)).call(format_args!("mkdir {name}"))?;
    }
    let at = directory.display();
    let mut options = format!("lowerdir={at}/lower,upperdir={at}/upper,workdir={at}/work");
    if !is_root() {
        options += ",userxattr";
    }
    let merged = directory.join("merged");
    mount(None::<&str>, &merged, Some("overlay"), MsFlags::empty(), Some(options.as_str()))
        .call("mount overlay")?;
    fs::write(merged.join("file"), "x").call("write to the overlay")?;
    fs::metadata(directory.join("upper/file")).call("find the file in its upper layer").map(drop)
}
