//! Cgroups: which version, and which controllers hold a process to a limit.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::id;

use nix::errno::Errno;

use super::child::{Call, Failure, in_child};
use super::host::{User, is_root};
use super::{Finding, Verdict};

/// A controller, and a limit to try it with, as the kernel gives it back.
const LIMITS: [(&str, &str, &str); 3] = [
    ("memory", "memory.max", "67108864"),
    ("cpu", "cpu.max", "50000 100000"),
    ("pids", "pids.max", "64"),
];

#[derive(Debug, PartialEq)]
enum Version {
    /// Where it is mounted.
    V2(PathBuf),
    Hybrid,
    V1,
    None,
}

/// The version, and the controllers by setting a limit of each.
pub fn findings(user: &User) -> [Finding; 2] {
    let boot = "boot with systemd.unified_cgroup_hierarchy=1 on the kernel's command line; or use the VM: ./just vm";
    let (detail, cure) = match version(&fs::read_to_string("/proc/self/mounts").unwrap_or_default())
    {
        Version::V2(root) => {
            let detail = format!("version 2, mounted on {}", root.display());
            return [Finding::new(Verdict::Yes, "cgroups", detail), controllers(&root, user)];
        }
        Version::Hybrid => ("hybrid: the controllers are in version 1's hierarchies", boot),
        Version::V1 => ("version 1", boot),
        Version::None => {
            ("not mounted", "sudo mount -t cgroup2 none /sys/fs/cgroup; or use the VM: ./just vm")
        }
    };
    [
        Finding::new(Verdict::No, "cgroups", detail).cure(cure),
        Finding::new(Verdict::NotTried, "controllers", "they need version 2"),
    ]
}

/// Reads it off a mount table (/proc/self/mounts).
fn version(mounts: &str) -> Version {
    let mut v2 = None;
    let mut v1 = false;
    for line in mounts.lines() {
        let mut fields = line.split(' ').skip(1);
        match (fields.next(), fields.next()) {
            (Some(target), Some("cgroup2")) => v2 = v2.or(Some(PathBuf::from(target))),
            (_, Some("cgroup")) => v1 = true,
            _ => {}
        }
    }
    match v2 {
        Some(root) if !v1 => Version::V2(root),
        Some(_) => Version::Hybrid,
        None if v1 => Version::V1,
        None => Version::None,
    }
}

/// Tries the places where a cgroup may be made, and reports the best.
fn controllers(root: &Path, user: &User) -> Finding {
    let attempts: Vec<Attempt> = places(root, user).iter().map(|place| attempt(place)).collect();
    let best = attempts
        .into_iter()
        .reduce(|best, next| if next.worked.len() > best.worked.len() { next } else { best });
    let best = best.expect("there is at least the root");
    let detail = match (best.worked.is_empty(), best.failed.is_empty()) {
        (_, true) => {
            format!("{} hold, in a cgroup made in {}", best.worked.join(", "), best.place.display())
        }
        (true, _) => best.failed.join("; "),
        _ => format!("{} hold; not {}", best.worked.join(", "), best.failed.join("; ")),
    };
    if best.failed.is_empty() {
        return Finding::new(Verdict::Yes, "controllers", detail);
    }
    let has_systemd = Path::new("/run/systemd/system").exists();
    Finding::new(Verdict::No, "controllers", detail).cure(if is_root() {
        "use the VM: ./just vm"
    } else if has_systemd {
        "systemd-run --user --scope --property=Delegate=yes ./just …; or as root; or use the VM: ./just vm"
    } else {
        "as root; or use the VM: ./just vm"
    })
}

/// For root the root of the hierarchy; for a user what was delegated: from the own cgroup upwards, and
/// that of the user's systemd.
fn places(root: &Path, user: &User) -> Vec<PathBuf> {
    if is_root() {
        return vec![root.to_owned()];
    }
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    let systemd = format!("user.slice/user-{0}.slice/user@{0}.service", user.uid);
    let mut places: Vec<PathBuf> = Path::new(own).ancestors().map(|path| root.join(path)).collect();
    places.push(root.join(systemd));
    places
}

/// What happened in one place.
struct Attempt {
    place: PathBuf,
    worked: Vec<&'static str>,
    failed: Vec<String>,
}

fn attempt(place: &Path) -> Attempt {
    let mut result = Attempt { place: place.to_owned(), worked: Vec::new(), failed: Vec::new() };
    let cgroup = match Cgroup::make(place) {
        Ok(cgroup) => cgroup,
        Err(failure) => {
            result.failed.push(failure.to_string());
            return result;
        }
    };
    if let Err(failure) = cgroup.enter() {
        result.failed.push(failure.to_string());
        return result;
    }
    for (controller, file, limit) in LIMITS {
        match cgroup.limit(file, limit) {
            Ok(()) => result.worked.push(controller),
            Err(failure) if failure.errno == Errno::ENOENT => {
                result.failed.push(format!("{controller} (the cgroup above does not offer it)"));
            }
            Err(failure) => result.failed.push(format!("{controller} ({failure})")),
        }
    }
    result
}

/// A cgroup that is removed again, with the controllers that were switched on for it.
struct Cgroup {
    path: PathBuf,
    switched_on: Vec<&'static str>,
}

impl Cgroup {
    fn make(place: &Path) -> Result<Cgroup, Failure> {
        let path = place.join(format!("slipway-doctor-{}", id()));
        fs::create_dir(&path).call(format_args!("mkdir {}", path.display()))?;
        let mut cgroup = Cgroup { path, switched_on: Vec::new() };
        let on = fs::read_to_string(place.join("cgroup.subtree_control")).unwrap_or_default();
        for (controller, ..) in LIMITS {
            let is_off = !on.split_whitespace().any(|name| name == controller);
            if is_off && switch(place, '+', controller).is_ok() {
                cgroup.switched_on.push(controller);
            }
        }
        Ok(cgroup)
    }

    /// Whether a process can be moved in: a child, which ends in there.
    fn enter(&self) -> Result<(), Failure> {
        let procs = self.path.join("cgroup.procs");
        in_child(|| write(&procs, "0").call(format_args!("write {}", procs.display())))
    }

    fn limit(&self, file: &str, limit: &str) -> Result<(), Failure> {
        let path = self.path.join(file);
        write(&path, limit).call(format_args!("write {file}"))?;
        let mut text = String::new();
        let read = OpenOptions::new()
            .read(true)
            .open(&path)
            .and_then(|mut file| file.read_to_string(&mut text));
        read.call(format_args!("read {file}"))?;
        let kept = if text.trim() == limit { Ok(()) } else { Err(Errno::EIO) };
        kept.call(format_args!("{file} reads {:?} after {limit:?} was written", text.trim()))
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir(&self.path) {
            eprintln!("doctor: cannot remove {}: {error}", self.path.display());
        }
        let place = self.path.parent().expect("it was made in one");
        for controller in &self.switched_on {
            if let Err(error) = switch(place, '-', controller) {
                eprintln!(
                    "doctor: cannot switch {controller} off again in {}: {error}",
                    place.display()
                );
            }
        }
    }
}

fn switch(place: &Path, sign: char, controller: &str) -> io::Result<()> {
    write(&place.join("cgroup.subtree_control"), &format!("{sign}{controller}"))
}

/// Writes without creating: on something that is no cgroup the file would be a plain one.
fn write(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).open(path)?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::{Version, version};

    #[test]
    fn versions() {
        let v2 = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n";
        let v1 = "tmpfs /sys/fs/cgroup tmpfs ro 0 0\ncgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n";
        let unified = "cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        assert_eq!(version(v2), Version::V2("/sys/fs/cgroup".into()));
        assert_eq!(version(v1), Version::V1);
        assert_eq!(version(&format!("{v1}{unified}")), Version::Hybrid);
        assert_eq!(version("proc /proc proc rw 0 0\n"), Version::None);
    }
}
