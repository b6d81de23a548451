//! Programs that keep logins for others.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::process::{Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::memfd::{MFdFlags, memfd_create};
use serde::Deserialize;
use serde_json::Value;
use shared::shown;

use crate::{Login, as_go_reads, plain};

/// Bytes of a helper's output.
const LIMIT: u64 = 1 << 20;

/// What a helper prints: one JSON value, of which we need two members.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Output {
    username: String,
    secret: String,
}

/// Asks the program docker-credential-NAME, as Docker does: the server on its standard input, JSON
/// from its standard output.
pub fn ask(name: &str, server: &str, time: Duration) -> Result<Option<Login>, String> {
    let program = format!("docker-credential-{name}");
    if name.contains('/') {
        return Err(format!("{} is no name of a program", shown(&program)));
    }
    let (status, text) = run(&program, server, time)
        .map_err(|error| format!("cannot run {}: {error}", shown(&program)))?;
    let Some(status) = status else {
        return Err(format!("{program} does not end"));
    };
    if !status.success() {
        let text = String::from_utf8_lossy(&text);
        return match text.trim() {
            "credentials not found in native keychain" => Ok(None),
            text => Err(format!("{program} says {}", shown(text))),
        };
    }
    // What comes after the first value is nobody's, to Docker too.
    let mut values = serde_json::Deserializer::from_slice(&text).into_iter::<Value>();
    let value = values.next().ok_or_else(|| format!("{program} says nothing"))?;
    let value = value.map_err(|error| format!("{program}: {error}"))?;
    let output: Output =
        plain(as_go_reads(value)).map_err(|cause| format!("{program}: {cause}"))?;
    match output.username.as_str() {
        "<token>" => Ok(Some(Login::IdentityToken(output.secret))),
        user => Ok(Login::of(user, &output.secret)),
    }
}

/// Runs a program, and gives its exit status and what it has printed. No status: it was killed, for
/// it did not end in time.
///
/// It reads and writes files in memory (memfd_create(2)) and no pipes. To write to a pipe that it has
/// closed would kill us, and a pipe ends when all have closed it: also what it has left running.
fn run(program: &str, input: &str, time: Duration) -> io::Result<(Option<ExitStatus>, Vec<u8>)> {
    let memory = || memfd_create("credentials", MFdFlags::MFD_CLOEXEC).map(File::from);
    let (mut question, mut output) = (memory()?, memory()?);
    question.write_all(input.as_bytes())?;
    question.rewind()?;
    let mut child = Command::new(program)
        .arg("get")
        .stdin(question)
        .stdout(output.try_clone()?)
        .stderr(Stdio::null())
        .spawn()?;
    let began = Instant::now();
    let mut status = child.try_wait()?;
    while status.is_none() && began.elapsed() < time {
        sleep(Duration::from_millis(10));
        status = child.try_wait()?;
    }
    if status.is_none() {
        child.kill()?;
        child.wait()?;
    }
    let mut text = Vec::new();
    output.rewind()?;
    output.take(LIMIT).read_to_end(&mut text)?;
    Ok((status, text))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::os::unix::fs::symlink;
    use std::path::Path;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::{env, fs};

    use super::*;
    use crate::parse;

    const SECOND: Duration = Duration::from_secs(1);
    const MINUTE: Duration = Duration::from_secs(60);

    fn password(user: &str, password: &str) -> Option<Login> {
        Login::of(user, password)
    }

    /// In one test: they share a PATH.
    #[test]
    fn a_helper_says_it_all_or_hides_nothing() {
        let place = env::temp_dir().join(format!("slipway-helpers-{}", std::process::id()));
        fs::create_dir(&place).unwrap();
        // Another process writes it: a program that this one writes may be open in a child that
        // another test starts at the moment, and then can't be executed.
        let script = r#"printf '#!/bin/sh\n. "$0.script"\n' > run && chmod 755 run"#;
        let shell = Command::new("sh").args(["-c", script]).current_dir(&place).status();
        assert!(shell.unwrap().success());
        let path = format!("{}:{}", place.display(), env::var("PATH").unwrap());
        // SAFETY: all who ask for a variable in this process ask std, which has a lock for it.
        unsafe { env::set_var("PATH", path) };
        those_that_answer(&place);
        those_that_fail(&place);
        fs::remove_dir_all(&place).unwrap();
    }

    /// What comes of asking a helper that does this, what is noted, and how long it takes.
    fn helper(
        place: &Path,
        script: &str,
        config: &str,
        time: Duration,
    ) -> (Option<Login>, Vec<String>, Duration) {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let name = format!("test{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let program = place.join(format!("docker-credential-{name}"));
        fs::write(program.with_extension("script"), script).unwrap();
        symlink("run", &program).unwrap();
        let notes = RefCell::new(Vec::new());
        let note = |text: &str| notes.borrow_mut().push(text.to_string());
        let config = parse(config.replace("NAME", &name).as_bytes()).unwrap();
        let began = Instant::now();
        let login = config.find("a.b", "x", time, &note);
        (login, notes.into_inner(), began.elapsed())
    }

    const STORE: &str = r#"{"credsStore":"NAME","auths":{"a.b":{"auth":"YTpw"}}}"#;

    fn those_that_answer(place: &Path) {
        let answer = r#"echo '{"ServerURL":"a.b","Username":"u","Secret":"s"}'"#;
        for script in [
            format!("read server; [ \"$server\" = a.b ] && [ \"$1\" = get ] && {answer}"),
            // It does not read.
            answer.to_string(),
            format!("exec <&-; sleep 0.2; {answer}"),
            // What it leaves running holds its output open.
            format!("sleep 20 & {answer}"),
            format!("{answer}; echo more"),
            r#"echo '{"username":"u","secret":"s","Other":null}'"#.to_string(),
        ] {
            let (login, notes, time) = helper(place, &script, STORE, MINUTE);
            assert_eq!((login, notes), (password("u", "s"), vec![]), "{script}");
            assert!(time < 15 * SECOND, "{script}");
        }
        let (login, notes, _) =
            helper(place, r#"echo '{"Username":"<token>","Secret":"T"}'"#, STORE, MINUTE);
        assert_eq!((login, notes), (Some(Login::IdentityToken("T".to_string())), vec![]));
    }

    fn those_that_fail(place: &Path) {
        for (script, told) in [
            ("exit 1", "says \"\""),
            ("echo broken; exit 1", "says \"broken\""),
            ("true", "says nothing"),
            ("echo '<html>'", "expected value"),
            ("echo '{\"Username\":5}'", "in place of a text"),
            ("kill -9 $$", "says"),
            ("exec sleep 30", "does not end"),
            // It closes its output, and lives on.
            ("exec >&-; exec sleep 30", "does not end"),
            (
                "echo '{\"Username\":\"u\",\"Secret\":\"s\"}'; exec >&-; exec sleep 30",
                "does not end",
            ),
        ] {
            let most = if told == "does not end" { SECOND } else { MINUTE };
            let (login, notes, time) = helper(place, script, STORE, most);
            assert_eq!(login, password("a", "p"), "{script}");
            assert!(notes.len() == 1 && notes[0].contains(told), "{script}: {notes:?}");
            assert!(time < 25 * SECOND, "{script}");
        }
        for silent in [
            "echo credentials not found in native keychain; exit 1",
            r#"echo '{"Username":"","Secret":""}'"#,
            r#"echo '{"Username":null,"Secret":null}'"#,
            "echo '{}'",
        ] {
            let (login, notes, _) = helper(place, silent, STORE, MINUTE);
            assert_eq!((login, notes), (password("a", "p"), vec![]), "{silent}");
        }
        // It is not there, or its name is none.
        for name in ["no-such", "a/b", "\\u0000"] {
            let notes = RefCell::new(0);
            let config = parse(STORE.replace("NAME", name).as_bytes()).unwrap();
            let login = config.find("a.b", "x", SECOND, &|_| *notes.borrow_mut() += 1);
            assert_eq!((login, notes.into_inner()), (password("a", "p"), 1), "{name}");
        }
        // No helper for this one, whatever there is for others.
        let (login, notes, _) = helper(
            place,
            "exit 1",
            r#"{"credsStore":"NAME","credHelpers":{"a.b":""},"auths":{"a.b":{"auth":"YTpw"}}}"#,
            MINUTE,
        );
        assert_eq!((login, notes), (password("a", "p"), vec![]));
    }
}
