//! What is to be mounted, as Docker's command line spells it: `-v`, `--mount` and `--tmpfs`.

use std::path::{Component, Path, PathBuf};

use shared::size;

/// Something to mount in the container.
#[derive(Clone, Debug, PartialEq)]
pub struct Mount {
    pub source: Source,
    /// Where: absolute, and without `.` and `..`.
    pub target: PathBuf,
    pub read_only: bool,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// A directory or a file of the host's: its absolute path.
    Host(PathBuf),
    Volume {
        /// None: it goes with the container.
        name: Option<String>,
        /// Whether a new one gets what the image has at that place.
        filled: bool,
    },
    Memory(Tmpfs),
}

/// A file system in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Tmpfs {
    /// Bytes. None: half of the machine's memory, as the kernel has it.
    pub size: Option<u64>,
    pub mode: u32,
    pub executable: bool,
    /// Whether it gets what the image has at that place.
    pub filled: bool,
}

impl Default for Tmpfs {
    fn default() -> Tmpfs {
        Tmpfs { size: None, mode: 0o1777, executable: false, filled: false }
    }
}

/// Reads `[SRC:]DST[:OPTIONS]`. A source with a slash in it is a path of the host's.
pub fn volume(text: &str) -> Result<Mount, String> {
    let fields: Vec<&str> = text.split(':').collect();
    let (source, target, options) = match fields[..] {
        [target] => (None, target, ""),
        [source, target] => (Some(source), target, ""),
        [source, target, options] => (Some(source), target, options),
        _ => return Err("it is [SRC:]DST[:ro] (--mount takes paths with a colon)".into()),
    };
    let target = destination(target)?;
    let (mut read_only, mut filled) = (false, true);
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" => read_only = true,
            "rw" => read_only = false,
            "nocopy" => filled = false,
            "U" => {
                return Err("U changes whose the files are on the host, for good: do it with \
                            `unshare chown -R`, or use --userns keep-id"
                    .into());
            }
            "z" | "Z" => return Err(format!("{option} is for SELinux: leave it out")),
            _ => return Err(format!("there is no option {option} (there are ro, rw, nocopy)")),
        }
    }
    let source = match source {
        None => Source::Volume { name: None, filled },
        Some("") => return Err("the source is empty".into()),
        Some(path) if path.starts_with(['/', '.']) => host(path)?,
        Some(path) if path.contains('/') => {
            return Err(format!("{path} is neither a path from / nor a name: say ./{path}"));
        }
        Some(name) => Source::Volume { name: Some(self::name(name)?), filled },
    };
    Ok(Mount { source, target, read_only })
}

/// Reads `type=TYPE,source=SRC,target=DST,…`, which are the fields of a line of CSV.
pub fn mount(text: &str) -> Result<Mount, String> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    let line = reader.records().next().ok_or("it is empty")?.map_err(|error| error.to_string())?;
    let (mut kind, mut source, mut target) = ("volume".to_string(), None, None);
    let (mut read_only, mut filled, mut tmpfs) = (false, true, Tmpfs::default());
    let mut of_tmpfs = false;
    for field in &line {
        let (key, value) = field.split_once('=').unwrap_or((field, ""));
        match key.to_ascii_lowercase().as_str() {
            "type" => kind = value.to_string(),
            "source" | "src" => source = Some(value.to_string()),
            "target" | "destination" | "dst" => target = Some(destination(value)?),
            "readonly" | "ro" => read_only = flag(key, value)?,
            "volume-nocopy" => filled = !flag(key, value)?,
            "tmpfs-size" => (tmpfs.size, of_tmpfs) = (Some(size::parse(value)?), true),
            "tmpfs-mode" => (tmpfs.mode, of_tmpfs) = (mode(value)?, true),
            // As it is.
            "bind-propagation" if matches!(value, "rprivate" | "private") => {}
            _ => {
                return Err(format!(
                    "there is no {field} (there are type, source, target, readonly, volume-nocopy, \
                     tmpfs-size, tmpfs-mode)"
                ));
            }
        }
    }
    let target = target.ok_or("target is missing")?;
    let source = source.filter(|source| !source.is_empty());
    let source = match (kind.as_str(), source) {
        ("tmpfs", Some(_)) => return Err("a tmpfs has no source".into()),
        ("tmpfs", None) => Source::Memory(tmpfs),
        _ if of_tmpfs => return Err(format!("tmpfs-size and tmpfs-mode are not for {kind}")),
        ("bind", Some(path)) => host(&path)?,
        ("bind", None) => return Err("source is missing".into()),
        ("volume", source) => {
            let name = source.as_deref().map(name).transpose()?;
            Source::Volume { name, filled }
        }
        _ => return Err(format!("there is no type {kind} (there are bind, volume, tmpfs)")),
    };
    Ok(Mount { source, target, read_only })
}

/// Reads `DST[:OPTIONS]`.
pub fn tmpfs(text: &str) -> Result<Mount, String> {
    let (target, options) = text.split_once(':').unwrap_or((text, ""));
    let (mut tmpfs, mut read_only) = (Tmpfs::default(), false);
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option.split_once('=').unwrap_or((option, "")) {
            ("size", value) => tmpfs.size = Some(size::parse(value)?),
            ("mode", value) => tmpfs.mode = mode(value)?,
            ("ro", "") => read_only = true,
            ("rw", "") => read_only = false,
            ("exec", "") => tmpfs.executable = true,
            ("noexec", "") => tmpfs.executable = false,
            ("nosuid" | "nodev", "") => {}
            _ => {
                return Err(format!(
                    "there is no option {option} (there are size, mode, ro, rw, exec, noexec)"
                ));
            }
        }
    }
    Ok(Mount { source: Source::Memory(tmpfs), target: destination(target)?, read_only })
}

/// A name for a volume, as Docker allows it.
pub fn name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(fits)
        && text.len() <= 255
    {
        Ok(text.into())
    } else {
        Err(format!("{text:?} is no name for a volume (letters, digits, and then also _ . -)"))
    }
}

/// A path in the container. Here `..` takes away the part before it, as in Docker.
fn destination(text: &str) -> Result<PathBuf, String> {
    if !text.starts_with('/') {
        return Err(format!("the place in the container is not absolute: {text:?}"));
    }
    match clean(Path::new(text)) {
        root if root == Path::new("/") => Err("the place can't be /: that is the image".into()),
        path => Ok(path),
    }
}

/// The same for any path: one that is relative begins at /.
pub fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => _ = clean.pop(),
            _ => {}
        }
    }
    clean
}

fn host(path: &str) -> Result<Source, String> {
    let absolute = std::path::absolute(path).map_err(|error| format!("{path:?}: {error}"))?;
    Ok(Source::Host(absolute))
}

fn flag(key: &str, value: &str) -> Result<bool, String> {
    match value {
        "" | "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(format!("{key} is true or false, not {value:?}")),
    }
}

fn mode(text: &str) -> Result<u32, String> {
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777);
    mode.ok_or(format!("a mode is a number in base 8, as 1777, not {text:?}"))
}

#[cfg(test)]
mod tests;
