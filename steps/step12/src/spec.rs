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
    let (mut said, mut read_only, mut filled) = (Said::default(), false, true);
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" | "rw" => {
                said.once("ro or rw")?;
                read_only = option == "ro";
            }
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
    let mut lines = reader.records();
    let line = lines.next().ok_or("it is empty")?.map_err(|error| error.to_string())?;
    if lines.next().is_some() {
        return Err("it is more than one line".into());
    }
    let (mut kind, mut source, mut target) = ("volume".to_string(), None, None);
    let (mut said, mut read_only, mut filled) = (Said::default(), false, true);
    let mut tmpfs = Tmpfs::default();
    for field in &line {
        let (key, value) = field.split_once('=').unwrap_or((field, ""));
        let key = match key.to_ascii_lowercase().as_str() {
            "type" => "type",
            "source" | "src" => "source",
            "target" | "destination" | "dst" => "target",
            "readonly" | "ro" => "readonly",
            "volume-nocopy" => "volume-nocopy",
            "tmpfs-size" => "tmpfs-size",
            "tmpfs-mode" => "tmpfs-mode",
            // As it is.
            "bind-propagation" if matches!(value, "rprivate" | "private") => "bind-propagation",
            _ => {
                return Err(format!(
                    "there is no {field} (there are type, source, target, readonly, volume-nocopy, \
                     tmpfs-size, tmpfs-mode)"
                ));
            }
        };
        said.once(key)?;
        match key {
            "type" => kind = value.to_string(),
            "source" => source = Some(value.to_string()),
            "target" => target = Some(destination(value)?),
            "readonly" => read_only = flag(key, value)?,
            "volume-nocopy" => filled = !flag(key, value)?,
            "tmpfs-size" => tmpfs.size = Some(memory_size(value)?),
            "tmpfs-mode" => tmpfs.mode = mode(value)?,
            _ => {}
        }
    }
    // A key that begins with a type is that type's.
    let is_others = |key: &&&str| key.split_once('-').is_some_and(|(of, _)| of != kind);
    if let Some(key) = said.0.iter().find(is_others) {
        return Err(format!("{key} is not for {kind}"));
    }
    let target = target.ok_or("target is missing")?;
    let source = source.filter(|source| !source.is_empty());
    let source = match (kind.as_str(), source) {
        ("tmpfs", Some(_)) => return Err("a tmpfs has no source".into()),
        ("tmpfs", None) => Source::Memory(tmpfs),
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
    let (mut said, mut tmpfs, mut read_only) = (Said::default(), Tmpfs::default(), false);
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option.split_once('=').unwrap_or((option, "")) {
            ("size", value) => tmpfs.size = Some(memory_size(value)?),
            ("mode", value) => tmpfs.mode = mode(value)?,
            ("ro" | "rw", "") => {
                said.once("ro or rw")?;
                read_only = option == "ro";
            }
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

/// What an option has said already. The same said twice may be a contradiction.
#[derive(Default)]
struct Said(Vec<&'static str>);

impl Said {
    fn once(&mut self, what: &'static str) -> Result<(), String> {
        if self.0.contains(&what) {
            return Err(format!("{what} is said twice"));
        }
        self.0.push(what);
        Ok(())
    }
}

/// Bytes. To a tmpfs a size of 0 is no limit (tmpfs(5)), which nobody means.
fn memory_size(text: &str) -> Result<u64, String> {
    match size::parse(text)? {
        0 => Err("a size of 0 is no limit: leave it out, or name one".into()),
        size => Ok(size),
    }
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
