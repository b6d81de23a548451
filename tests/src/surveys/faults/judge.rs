//! What a run must come to when a call in it has failed, or a process has died there.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use nix::errno::Errno;
use shared::ENGINE_FAILED;

use super::run::{Kind, Occurrence, Run};
use super::table::{Known, Survived};
use super::tracer::{Ending, Fault};

/// How it ended well.
pub enum Verdict<'a> {
    /// It said what has failed.
    Told,
    /// It went on, as it may.
    Survived(&'a Survived),
    /// It was killed.
    Killed,
}

/// Judges an ending; the error says what is wrong with it.
pub fn judge<'a>(
    known: &'a Known,
    run: &Run,
    at: &Occurrence,
    fault: Fault,
    ending: &Ending,
) -> Result<Verdict<'a>, String> {
    if !ending.happened {
        return Err("the run did not come to this call".into());
    }
    let Some(status) = ending.status else { return Err("it did not end within 5 s".into()) };
    let seen = || format!("it ended with {status}, and said {:?}", ending.stderr);
    match fault {
        Fault::Kill if is_killed(run, at, status, &ending.stderr) => Ok(Verdict::Killed),
        Fault::Kill => match known.unnoticed(run.step, run.name(), at) {
            Some(_) if status.success() && ending.stderr.is_empty() => Ok(Verdict::Killed),
            _ => Err(seen()),
        },
        Fault::Error(errno) => {
            let told = tells(known, run, at, errno, status, ending);
            if told.is_ok() {
                return Ok(Verdict::Told);
            }
            // Then it must be as if nothing had happened.
            match known.survived(run.step, run.name(), at, errno) {
                Some(survived) if status.code() == Some(0) && survived.allows(&ending.stderr) => {
                    Ok(Verdict::Survived(survived))
                }
                _ => Err(format!("{}; {}", told.err().unwrap_or_default(), seen())),
            }
        }
    }
}

/// The engine has died, or tells that its child has: by its status, or in one line.
fn is_killed(run: &Run, at: &Occurrence, status: ExitStatus, stderr: &str) -> bool {
    // A thread that fetches takes its process with it.
    let is_engine = at.place.process == 0 || run.kind == Kind::Pull;
    let by_signal = status.signal() == Some(libc::SIGKILL) && is_engine;
    let by_status = status.code() == Some(128 + libc::SIGKILL);
    let in_words = status.code() == Some(ENGINE_FAILED.into()) && stderr.lines().count() == 1;
    // The child of a killed engine may have time to say why it ends, or to begin with it.
    let childs_words = format!("step{}: the engine has ended\n", run.step).starts_with(stderr);
    (by_signal && childs_words) || (by_status && stderr.is_empty()) || in_words
}

/// The status of an engine that has failed, and one line with call, object and cause.
fn tells(
    known: &Known,
    run: &Run,
    at: &Occurrence,
    errno: Errno,
    status: ExitStatus,
    ending: &Ending,
) -> Result<(), String> {
    let expected = if at.call == "execve" { NOT_EXECUTABLE } else { ENGINE_FAILED.into() };
    let is = |holds: bool, what: String| if holds { Ok(()) } else { Err(what) };
    is(status.code() == Some(expected), format!("expected is status {expected}"))?;
    is(ending.stdout.is_empty(), format!("it printed {:?}", ending.stdout))?;
    let line = ending.stderr.trim_end();
    is(line.lines().count() == 1, "expected is one line".into())?;
    let start = format!("step{}: ", run.step);
    is(line.starts_with(&start), format!("expected is a line that begins with {start:?}"))?;
    is(line.contains(errno.desc()), format!("expected is the cause, {:?}", errno.desc()))?;
    let words = known.words(&at.call);
    let names_call = words.iter().any(|word| line.contains(word));
    is(names_call, format!("expected is the call, as {}", words.join(" or ")))?;
    let objects = objects(&at.arguments);
    let names_object = objects.is_empty() || objects.iter().any(|object| line.contains(object));
    is(names_object, format!("expected is the object, as {}", objects.join(" or ")))
}

/// The status of a command that cannot be executed.
const NOT_EXECUTABLE: i32 = 126;

/// What a call is about: the names of the files among its arguments, and other words there.
fn objects(arguments: &str) -> Vec<String> {
    let quoted = arguments.split('"').skip(1).step_by(2);
    let files = arguments.split('<').skip(1).filter_map(|rest| rest.split_once('>'));
    let files = files.map(|(file, _)| file).filter(|file| file.starts_with('/'));
    let objects = quoted.chain(files).map(object);
    objects.filter(|object| object.starts_with(|c: char| c.is_ascii_alphanumeric())).collect()
}

/// The part of a path that a message must have: its last, without a process's number, which is another
/// each time. A container's directory has a name by chance.
fn object(path: &str) -> String {
    if path.contains("/containers/") {
        return "containers".into();
    }
    // An image's root directory: its name means nothing to anybody, a message names the entry.
    if path.ends_with(".rootfs") {
        return String::new();
    }
    let last = path.rsplit('/').next().unwrap_or_default();
    match last.trim_end_matches(|c: char| c.is_ascii_digit()) {
        "" => last.into(),
        name => name.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::objects;

    #[test]
    fn objects_are_names() {
        for (arguments, expected) in [
            (
                r#""proc", "/slipway/rootfs/proc", "proc", MS_NOSUID, """#,
                &["proc", "proc", "proc"][..],
            ),
            (r#"".", ".""#, &[]),
            (r#"5</scratch/a/etc>, "note", 0755"#, &["note", "etc"]),
            (r#"3<socket:[77]>, "!", 1, MSG_NOSIGNAL"#, &[]),
            (r#"NULL, "/", NULL, MS_REC|MS_PRIVATE, NULL"#, &[]),
            (r#""/sys/fs/cgroup/slipway-7-122", 0777"#, &["slipway-7-"]),
            (r#""/home/containers/AbCdEf", "user.slipway""#, &["containers", "user.slipway"]),
            (r#"4</proc/7/uid_map>, "1", 1"#, &["1", "uid_map"]),
            (r#"5</home/partial/77.rootfs>, "etc", 0"#, &["etc"]),
            ("0, []", &[]),
        ] {
            assert_eq!(objects(arguments), expected, "{arguments}");
        }
    }
}
