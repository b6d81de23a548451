//! Recordings.

use std::fs;

use super::*;

promises! { stage 11:
    recording "--record FILE: the calls that a command makes, as a profile; with it the command runs, and another one does not"
    recording_narrows "a recording keeps what the profile before it refused, and its conditions on arguments"
    recording_keeps_the_ending "a command that is recorded ends as it would: its status, its output, a signal"
    recording_of_many "processes that fork and end at once are all recorded, and none waits for ever"
    recording_replaces "a file that is there is replaced as a whole, and stays if nothing was recorded"
    wrong_recordings by one "a place where no file can be written: 125, before anything runs"
}

/// The option, and the file's path.
fn to_file(home: &Home, name: &str) -> (String, String) {
    let path = home.path().join(name).display().to_string();
    (format!("--record={path}"), path)
}

fn recording(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    for more in [&[][..], &["-u", "1000"], &["--security-opt=no-new-privileges"]] {
        let (record, path) = to_file(&home, "made.json");
        let command = ["/bin/probe", "call", "39"];
        run(engine, &[more, &[&record]].concat(), &command)?.ends_with(0)?.prints("ok\n")?;
        let text = fs::read_to_string(&path)?;
        require(
            text.contains("\"execve\"") && !text.contains("\"listen\""),
            &path,
            "calls",
            &text,
        )?;
        let option = format!("--security-opt=seccomp={path}");
        let with = [more, &[&option]].concat();
        run(engine, &with, &command)?.ends_with(0)?.prints("ok\n")?;
        comes_to(engine, &with, (libc::SYS_socket, "1 1"), "ENOSYS")?;
    }
    Ok(())
}

fn recording_narrows(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let (record, path) = to_file(&home, "narrow.json");
    // It makes a process, and is refused a namespace.
    let script = format!("/bin/probe call {} 10000000; /bin/probe call 56 11", libc::SYS_unshare);
    run(engine, &[&record], &["/bin/sh", "-c", &script])?.ends_with(0)?.prints("EPERM\nok\n")?;
    let option = format!("--security-opt=seccomp={path}");
    comes_to(engine, &[&option], (libc::SYS_unshare, "10000000"), "EPERM")?;
    comes_to(engine, &[&option], (libc::SYS_clone, "10000011"), "EPERM")?;
    // Where nothing was refused, what was made is allowed, and nothing else.
    let (record, path) = to_file(&home, "free.json");
    let free = ["--security-opt=seccomp=unconfined", &record];
    run(engine, &free, &["/bin/sh", "-c", &script])?.ends_with(0)?.prints("ok\nok\n")?;
    let option = format!("--security-opt=seccomp={path}");
    comes_to(engine, &[&option], (libc::SYS_unshare, "10000000"), "ok")?;
    comes_to(engine, &[&option], (libc::SYS_socket, "1 1"), "ENOSYS")
}

fn recording_keeps_the_ending(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let (record, path) = to_file(&home, "ending.json");
    // Process 1 does not die of a signal of its own, so a child of its does.
    let killed = "/bin/sh -c 'echo out; kill -TERM $$'; exit $?";
    for (script, status) in [("echo out; exit 7", 7), (killed, 128 + libc::SIGTERM)] {
        let _ = fs::remove_file(&path);
        let outcome = run(engine, &[&record], &["/bin/sh", "-c", script])?;
        outcome.ends_with(status)?;
        require(outcome.stdout == "out\n", &outcome.tried, "out", &outcome.stdout)?;
        require(fs::exists(&path)?, &outcome.tried, "a recording", "none")?;
    }
    Ok(())
}

fn recording_of_many(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let (record, path) = to_file(&home, "many.json");
    let script = "for i in 1 2 3 4 5; do (for j in 1 2 3 4 5 6 7 8; do /bin/sh -c : & done; wait) & done; wait; \
                  sleep 100 & sleep 100 & echo done";
    run(engine, &[&record], &["/bin/sh", "-c", script])?.ends_with(0)?.prints("done\n")?;
    require(fs::read_to_string(&path)?.contains("\"wait4\""), script, "wait4 in it", "none")
}

fn recording_replaces(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let (record, path) = to_file(&home, "kept.json");
    home.make_file("kept.json", 0o644, "precious\n")?;
    // A profile that is wrong ends it before.
    let wrong = profile(&home, "wrong.json", "{}")?;
    run(engine, &[&record, &wrong], &["/bin/sh", "-c", ":"])?.ends_with(125)?;
    equal(&path, "the file", "precious\n".to_string(), fs::read_to_string(&path)?)?;
    // Nothing has run.
    let outcome = run(engine, &[&record], &["/bin/nothing"])?;
    outcome.ends_with(127)?;
    require(
        outcome.stderr.contains("nothing is recorded"),
        &outcome.tried,
        "a line about it",
        &outcome.stderr,
    )?;
    equal(&path, "the file", "precious\n".to_string(), fs::read_to_string(&path)?)?;
    run(engine, &[&record], &["/bin/sh", "-c", ":"])?.ends_with(0)?;
    let entries = fs::read_dir(home.path())?.flatten();
    let names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    let is_recorded = fs::read_to_string(&path)?.contains("SCMP_ACT_ALLOW");
    let whole = is_recorded && names.iter().filter(|name| name.contains("kept")).count() == 1;
    require(whole, &path, "a recording in its place, and nothing else", names.join(" "))
}

fn wrong_recordings(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let inside = home.path().display().to_string();
    let link = home.path().join("link");
    std::os::unix::fs::symlink("/etc/passwd", &link)?;
    let (link, below) = (link.display().to_string(), format!("{inside}/x/"));
    for (path, reason) in [
        ("/nowhere/made.json", "No such file"),
        (&inside, "is a directory"),
        (&below, "is a directory"),
        (&link, "no regular file"),
        ("/dev/full", "no regular file"),
    ] {
        let command = engine.image(&["--record", path], &image(engine)?, &["/bin/true"]);
        home.is_refused(command, b"", &[path, reason])?;
    }
    let refuses = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["getppid"], "action": "SCMP_ACT_ERRNO"}]}"#;
    let (record, path) = to_file(&home, "made.json");
    let options = [&profile(&home, "refuses.json", refuses)?[..], &record];
    let command = engine.image(&options, &image(engine)?, &["/bin/true"]);
    home.is_refused(command, b"", &[&path, "names what it refuses"])?;
    Ok(())
}
