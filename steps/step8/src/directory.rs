//! Directories that the image asks for: made if they are missing, where its links lead.

use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use shared::{Error, Explain};

/// Links to nothing on the way to one directory, as many as Linux follows (path_resolution(7)).
const MAX_LINKS: u32 = 40;

/// Makes a directory and those above it, where they are missing. For a symbolic link that leads to
/// nothing, what it leads to is made, as Docker and podman do it. A relative path begins at /.
///
/// To be called in the container, after pivot_root: its / is where every path of the image ends.
pub fn make(path: &Path) -> Result<(), Error> {
    make_way(path).explain(format_args!("make the directory {path:?}"))
}

fn make_way(path: &Path) -> io::Result<()> {
    let mut here = PathBuf::from("/");
    // What is still to go, the next part last.
    let mut rest: Vec<OsString> = path.iter().rev().map(OsString::from).collect();
    let mut links = 0;
    while let Some(part) = rest.pop() {
        let next = here.join(&part);
        // This follows links, and knows what `..` is after one.
        match fs::metadata(&next) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            found => {
                found?;
                here = next;
                continue;
            }
        }
        match fs::read_link(&next) {
            // A link to nothing: from here we go its way. An absolute one begins with the part "/".
            Ok(target) => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(Errno::ELOOP.into());
                }
                rest.extend(target.iter().rev().map(OsString::from));
            }
            Err(_) => {
                fs::create_dir(&next)?;
                here = next;
            }
        }
    }
    // Something else may be there.
    if !fs::metadata(&here)?.is_dir() {
        return Err(Errno::ENOTDIR.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A directory of this test's own.
    fn scratch(name: &str) -> PathBuf {
        let path = format!("slipway-directory-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(path);
        fs::create_dir(&path).unwrap();
        path
    }

    #[test]
    fn what_links_lead_to_is_made() {
        let root = scratch("links");
        let at = |path: &str| root.join(path);
        fs::create_dir(at("there")).unwrap();
        for (link, target) in [
            ("relative", "new/place"),
            ("absolute", at("elsewhere").to_str().unwrap()),
            ("chain", "chain-2"),
            ("chain-2", "there/../chain-3"),
            ("chain-3", "end/of/it"),
            ("to-there", "there"),
            ("there/up", "../beside"),
        ] {
            symlink(target, at(link)).unwrap();
        }
        for (path, made) in [
            ("plain/deep", "plain/deep"),
            ("relative", "new/place"),
            ("absolute/sub", "elsewhere/sub"),
            ("chain/sub", "end/of/it/sub"),
            ("to-there/sub", "there/sub"),
            ("to-there/../after", "after"),
            ("there/up/x", "beside/x"),
            ("missing/../other", "other"),
        ] {
            make(&at(path)).unwrap();
            let seen = at(made).symlink_metadata();
            assert!(seen.is_ok_and(|seen| seen.is_dir()), "{path}: no {made}");
            make(&at(path)).unwrap();
        }
        assert!(at("relative").is_symlink() && at("there/up").is_symlink());
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn what_cannot_be_made_is_an_error() {
        let root = scratch("errors");
        let at = |path: &str| root.join(path);
        fs::write(at("file"), "").unwrap();
        symlink("file", at("to-file")).unwrap();
        symlink("round", at("round")).unwrap();
        symlink("not-yet/../again", at("again")).unwrap();
        symlink("file/below", at("below-file")).unwrap();
        for (path, errno) in [
            ("file", "Not a directory"),
            ("file/x", "Not a directory"),
            ("to-file", "Not a directory"),
            ("below-file", "Not a directory"),
            ("round/x", "Too many symbolic links"),
            ("again", "Too many symbolic links"),
        ] {
            let error = make(&at(path)).unwrap_err().to_string();
            assert!(error.contains(path) && error.contains(errno), "{path}: {error}");
        }
        fs::remove_dir_all(root).unwrap();
    }
}
