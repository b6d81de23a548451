//! Where a step keeps what outlives it: images, and what belongs to containers.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

use crate::{Error, Explain};

/// The directory, an absolute path. It may not be there yet.
///
/// `$SLIPWAY_HOME`; or else /var/lib/slipway for root, and for others slipway in `$XDG_DATA_HOME` or
/// in ~/.local/share (XDG base directory specification). Ask before a user namespace makes the
/// caller its root.
pub fn directory() -> Result<PathBuf, Error> {
    choose(geteuid().is_root(), |variable| env::var_os(variable)).and_then(require_text)
}

/// Fails for a path that is no UTF-8: neither JSON nor what `pull` prints can have it.
fn require_text(home: PathBuf) -> Result<PathBuf, Error> {
    match home.to_str() {
        Some(_) => Ok(home),
        None => Err(Error::new(format!(
            "cannot keep images in {home:?}: the path is not UTF-8 (SLIPWAY_HOME gives another)"
        ))),
    }
}

fn choose(is_root: bool, value: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, Error> {
    if let Some(home) = value("SLIPWAY_HOME").filter(|home| !home.is_empty()) {
        return std::path::absolute(&home).explain(format_args!("find SLIPWAY_HOME={home:?}"));
    }
    if is_root {
        return Ok("/var/lib/slipway".into());
    }
    // The specification has relative paths ignored.
    let absolute = |variable| value(variable).filter(|path| Path::new(path).is_absolute());
    if let Some(data) = absolute("XDG_DATA_HOME") {
        return Ok(Path::new(&data).join("slipway"));
    }
    match absolute("HOME") {
        Some(home) => Ok(Path::new(&home).join(".local/share/slipway")),
        None => Err(Error::new("HOME is no absolute path (set it, or SLIPWAY_HOME)")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    fn home(is_root: bool, variables: &[(&str, &str)]) -> Result<PathBuf, String> {
        let value = |variable: &str| {
            variables.iter().find(|(name, _)| *name == variable).map(|(_, value)| value.into())
        };
        choose(is_root, value).map_err(|error| error.to_string())
    }

    #[test]
    fn slipway_home_is_for_all() {
        let variables = [("SLIPWAY_HOME", "/s"), ("XDG_DATA_HOME", "/x"), ("HOME", "/h")];
        assert_eq!(home(true, &variables), Ok("/s".into()));
        assert_eq!(home(false, &variables), Ok("/s".into()));
        let relative = env::current_dir().unwrap().join("s");
        assert_eq!(home(false, &[("SLIPWAY_HOME", "s")]), Ok(relative));
    }

    #[test]
    fn root_and_users_have_their_places() {
        let variables = [("SLIPWAY_HOME", ""), ("XDG_DATA_HOME", "/x"), ("HOME", "/h")];
        assert_eq!(home(true, &variables), Ok("/var/lib/slipway".into()));
        assert_eq!(home(true, &[]), Ok("/var/lib/slipway".into()));
        assert_eq!(home(false, &variables), Ok("/x/slipway".into()));
        assert_eq!(home(false, &variables[2..]), Ok("/h/.local/share/slipway".into()));
    }

    #[test]
    fn a_path_that_is_no_text_is_refused() {
        let latin_1 = PathBuf::from(OsStr::from_bytes(b"/home/\xe9"));
        let error = require_text(latin_1.join("slipway")).unwrap_err().to_string();
        assert!(error.contains("\\xE9/slipway") && error.contains("SLIPWAY_HOME"), "{error}");
        assert!(require_text("/home/é".into()).is_ok());
    }

    #[test]
    fn what_is_relative_does_not_count() {
        let variables = [("XDG_DATA_HOME", "x"), ("HOME", "/h")];
        assert_eq!(home(false, &variables), Ok("/h/.local/share/slipway".into()));
        for variables in [&[][..], &[("HOME", "")], &[("HOME", "h")]] {
            assert!(home(false, variables).unwrap_err().contains("HOME"), "{variables:?}");
        }
    }
}
