//! What to run, and how: the image's own words, and the caller's, which count more (OCI image
//! specification, "Image Configuration"; where it is silent, as Docker does).

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use clap::Args;
use documents::Defaults;
use shared::Error;

use crate::environment::{self, Environment, Variable};

/// The options that override an image's config.
#[derive(Args, Default)]
pub struct Overrides {
    /// Set a variable, or with NAME alone hand on the caller's
    #[arg(short, long, value_name = "NAME[=VALUE]", value_parser = environment::variable())]
    pub env: Vec<Variable>,

    /// The directory to start in, made if it is missing
    #[arg(short, long, value_name = "DIR")]
    pub workdir: Option<PathBuf>,

    /// Who the command is: UID, NAME, UID:GID or NAME:GROUP, as the image's /etc/passwd knows them
    #[arg(short, long, value_name = "USER[:GROUP]", allow_hyphen_values = true)]
    pub user: Option<String>,

    /// The program instead of the image's entrypoint; "" for none
    #[arg(long, value_name = "PROGRAM")]
    pub entrypoint: Option<OsString>,
}

/// A process that is to be.
#[derive(Debug, PartialEq)]
pub struct Process {
    /// The program and its arguments.
    pub command: Vec<OsString>,
    pub environment: Environment,
    /// Where it starts: absolute.
    pub working_dir: PathBuf,
    /// Directories that the image wants to be there.
    pub volumes: Vec<PathBuf>,
    /// As in an image's config: `uid`, `user`, `uid:gid`, `user:group`, or empty for root.
    pub user: String,
}

impl Process {
    /// Puts the image's words and the caller's together.
    pub fn new(
        image: &Defaults,
        overrides: &Overrides,
        hostname: &OsStr,
        args: &[OsString],
    ) -> Result<Process, Error> {
        let mut environment = Environment::new(hostname);
        environment.set_all_of_image(&image.env)?;
        for variable in &overrides.env {
            environment.set(variable);
        }

        let working_dir = overrides.workdir.as_deref().unwrap_or(Path::new(&image.working_dir));
        let working_dir = match working_dir {
            none if none.as_os_str().is_empty() => Path::new("/"),
            some => some,
        };
        if !working_dir.is_absolute() {
            return Err(Error::new(format!(
                "the working directory {working_dir:?} is not absolute (-w gives another)"
            )));
        }
        Ok(Process {
            command: command(image, overrides.entrypoint.as_deref(), args)?,
            environment,
            working_dir: require_no_nul("WorkingDir", working_dir.as_os_str())?.into(),
            volumes: volumes(image)?,
            user: overrides.user.clone().unwrap_or_else(|| image.user.clone()),
        })
    }
}

/// The entrypoint and then the arguments. Who gives arguments replaces Cmd; who gives an entrypoint
/// replaces Entrypoint, and Cmd with it: those were the arguments of another program.
fn command(
    image: &Defaults,
    entrypoint: Option<&OsStr>,
    args: &[OsString],
) -> Result<Vec<OsString>, Error> {
    // [""] is how Docker writes in an image that it has no entrypoint any more.
    let own = if image.entrypoint == [""] { &[] } else { &image.entrypoint[..] };
    let (mut command, cmd): (Vec<OsString>, &[String]) = match entrypoint {
        None => (own.iter().map(OsString::from).collect(), &image.cmd),
        Some(none) if none.is_empty() => (Vec::new(), &[]),
        Some(program) => (vec![program.into()], &[]),
    };
    if args.is_empty() {
        command.extend(cmd.iter().map(OsString::from))
    } else {
        command.extend_from_slice(args)
    }
    if command.is_empty() {
        return Err(Error::new("the image has no command of its own: give one after its name"));
    }
    command.into_iter().map(|arg| require_no_nul("command", &arg)).collect()
}

/// The image's volumes. In Docker other storage is mounted there; here they are directories.
fn volumes(image: &Defaults) -> Result<Vec<PathBuf>, Error> {
    let volumes = image.volumes.keys();
    volumes.map(|volume| Ok(require_no_nul("Volumes", OsStr::new(volume))?.into())).collect()
}

/// JSON can write a NUL, which no argument and no path can have.
fn require_no_nul(what: &str, text: &OsStr) -> Result<OsString, Error> {
    if text.as_bytes().contains(&0) {
        Err(Error::new(format!("the image's {what} has a NUL in it: {text:?}")))
    } else {
        Ok(text.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(entrypoint: &[&str], cmd: &[&str]) -> Defaults {
        let owned = |words: &[&str]| words.iter().map(|word| word.to_string()).collect();
        Defaults { entrypoint: owned(entrypoint), cmd: owned(cmd), ..Defaults::default() }
    }

    #[test]
    fn entrypoint_and_cmd_by_dockers_rules() {
        let args = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        for (image, entrypoint, given, expected) in [
            (image(&[], &["sh"]), None, &[][..], Ok(&["sh"][..])),
            (image(&[], &["sh"]), None, &["ls", "-a"], Ok(&["ls", "-a"])),
            (image(&["e", "f"], &["c"]), None, &[], Ok(&["e", "f", "c"])),
            (image(&["e", "f"], &["c"]), None, &["x"], Ok(&["e", "f", "x"])),
            (image(&["e", "f"], &["c"]), Some("p"), &[], Ok(&["p"])),
            (image(&["e"], &["c"]), Some("p"), &["x"], Ok(&["p", "x"])),
            (image(&["e"], &["c"]), Some(""), &["x"], Ok(&["x"])),
            (image(&["e"], &["c"]), Some(""), &[], Err("give one after its name")),
            (image(&[""], &["c"]), None, &[], Ok(&["c"])),
            (image(&[""], &["c"]), None, &["x"], Ok(&["x"])),
            (image(&[""], &[]), None, &[], Err("give one after its name")),
            // Only that: what begins with an empty word is a command, if one that can't be found.
            (image(&["", "e"], &["c"]), None, &[], Ok(&["", "e", "c"])),
            (image(&[], &[""]), None, &[], Ok(&[""])),
            (image(&[], &[]), None, &[], Err("give one after its name")),
            (image(&[], &["a\0b"]), None, &[], Err("NUL")),
        ] {
            let seen = command(&image, entrypoint.map(OsStr::new), &args(given));
            match (seen, expected) {
                (Ok(seen), Ok(expected)) => assert_eq!(seen, args(expected)),
                (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{error}"),
                (seen, expected) => panic!("{seen:?} ≠ {expected:?}"),
            }
        }
    }

    #[test]
    fn volumes_are_paths() {
        let volumes = |name: &str| {
            let volumes = [(name.to_string(), Default::default())].into();
            super::volumes(&Defaults { volumes, ..Defaults::default() })
        };
        assert_eq!(volumes("/data").unwrap(), [PathBuf::from("/data")]);
        assert!(volumes("/da\0ta").unwrap_err().to_string().contains("NUL"));
    }

    #[test]
    fn the_working_directory_is_absolute() {
        let at = |image_dir: &str, option: Option<&str>| {
            let image = Defaults { working_dir: image_dir.into(), ..image(&[], &["sh"]) };
            let overrides =
                Overrides { workdir: option.map(PathBuf::from), ..Overrides::default() };
            let process = Process::new(&image, &overrides, OsStr::new("h"), &[]);
            process.map(|process| process.working_dir).map_err(|error| error.to_string())
        };
        assert_eq!(at("", None), Ok("/".into()));
        assert_eq!(at("/w", None), Ok("/w".into()));
        assert_eq!(at("/w", Some("/x")), Ok("/x".into()));
        assert_eq!(at("../../w", Some("/x")), Ok("/x".into()));
        assert!(at("../../w", None).unwrap_err().contains("\"../../w\" is not absolute"));
        assert!(at("/w", Some("x")).unwrap_err().contains("\"x\" is not absolute"));
        assert!(at("/w\0", None).unwrap_err().contains("NUL"));
    }
}
