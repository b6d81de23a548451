//! umoci, which unpacks images too: what it makes of one is what a pull is compared with.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::super::engine::Outcome;
use super::super::failure::{Failure, Verdict};
use super::home::PLACE;
use super::{Image, Tree};

/// Runs umoci to its end.
pub fn umoci(args: &[&str]) -> Verdict {
    let mut umoci = Command::new("/usr/bin/umoci");
    umoci.args(args);
    Outcome::of(umoci, b"")?.ends_with(0).map(drop)
}

/// What umoci makes of an image.
pub fn by_umoci(image: &Image, name: &str) -> Result<Tree, Failure> {
    let layout = Path::new(PLACE).join(format!("{name}-layout"));
    let rootfs = Path::new(PLACE).join(format!("{name}-rootfs"));
    // From an earlier run in this VM.
    for directory in [&layout, &rootfs] {
        let _ = fs::remove_dir_all(directory);
    }
    image.write(&layout)?;
    let source = format!("{}:image", layout.display());
    umoci(&["raw", "unpack", "--image", &source, &rootfs.display().to_string()])?;
    let tree = Tree::of(&rootfs)?;
    for directory in [&layout, &rootfs] {
        fs::remove_dir_all(directory)?;
    }
    Ok(tree)
}
