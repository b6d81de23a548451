//! The filter that holds if nobody says otherwise.

use super::*;

promises! { stage 11:
    filter_holds "a filter holds for the command, for what it starts and for set-user-ID programs; no_new_privs is as asked"
    nothing_kept_to_load_it "what loading the filter took is gone when the command starts, for root and for users"
    no_namespaces "a namespace of its own: EPERM by unshare and by each flag of clone, ENOSYS by clone3, as if it weren't there"
    capabilities_open_calls "--cap-add opens the calls that the capability is for"
    other_machines "a call by x32's number: ENOSYS; one as a 32-bit program makes it: the process is killed, and the status is 159"
    upper_halves "what stands in the upper half of an argument gets past no test"
    unknown_calls "what the filter does not know, and what no kernel has: ENOSYS"
    every_call "each call comes to what it did without a filter, or to what the table of this check says"
    unconfined "--security-opt seccomp=unconfined: no filter, and every call is made"
    go_and_glibc "a program in Go, with threads, linked with glibc, runs under it"
    filter_shown by one "filter shows the program, and the way of one call through it, which ends as the call does"
    wrong_calls by one "filter with a call that is none, or an argument that is no number: 125"
}

const UNSHARE: i64 = libc::SYS_unshare;
const CLONE: i64 = libc::SYS_clone;

/// What /proc says of the command's filter.
const FILTER: [&str; 3] = ["NoNewPrivs", "Seccomp", "Seccomp_filters"];

/// These lines of what /proc says of a command.
fn status(engine: &Engine, options: &[&str], words: &[&str]) -> Result<String, Failure> {
    let pattern = format!("^({}):", words.join("|"));
    let command = ["/bin/sh", "-c", &format!("grep -E '{pattern}' /proc/self/status")];
    Ok(run(engine, options, &command)?.ends_with(0)?.stdout.replace(":\t", " "))
}

fn filter_holds(engine: &Engine) -> Verdict {
    let with = |new: u8| format!("NoNewPrivs {new}\nSeccomp 2\nSeccomp_filters 1\n");
    let no_new = "--security-opt=no-new-privileges";
    for (options, expected) in [
        (&[][..], with(0)),
        (&["-u", "1000"], with(0)),
        (&[no_new], with(1)),
        (&["-u", "1000", no_new], with(1)),
        (&["--cap-drop", "ALL"], with(0)),
    ] {
        equal(&options.join(" "), "its filter", expected, status(engine, options, &FILTER)?)?;
    }
    // Root by a set-user-ID program has it as well.
    run(engine, &["-u", "1000"], &["/bin/setuid", "call32"])?.ends_with(159)?;
    Ok(())
}

fn nothing_kept_to_load_it(engine: &Engine) -> Verdict {
    let words = ["CapInh", "CapPrm", "CapEff", "CapBnd", "Seccomp"];
    let (none, usual) = ("0000000000000000", "00000000800405fb");
    for (options, expected) in [
        (&[][..], [none, usual, usual, usual, "2"]),
        (&["-u", "1000"], [none, none, none, usual, "2"]),
    ] {
        let lines = words.iter().zip(expected).map(|(word, value)| format!("{word} {value}\n"));
        equal(&options.join(" "), "its power", lines.collect(), status(engine, options, &words)?)?;
    }
    Ok(())
}

/// The flags of clone(2) that make namespaces, but for those of time, for which clone has no room.
const NEW: [&str; 7] =
    ["20000", "2000000", "4000000", "8000000", "10000000", "20000000", "40000000"];

fn no_namespaces(engine: &Engine) -> Verdict {
    for flag in NEW {
        comes_to(engine, &[], (UNSHARE, flag), "EPERM")?;
        comes_to(engine, &[], (CLONE, flag), "EPERM")?;
    }
    // With others beside them, or in a number that has more than 32 bits.
    comes_to(engine, &[], (CLONE, "30000011"), "EPERM")?;
    comes_to(engine, &[], (CLONE, "110000011"), "EPERM")?;
    comes_to(engine, &[], (libc::SYS_clone3, "0 58"), "ENOSYS")?;
    comes_to(engine, &["-u", "1000"], (UNSHARE, "10000000"), "EPERM")?;
    // Without a namespace it makes a process.
    comes_to(engine, &[], (CLONE, "11"), "ok")
}

fn capabilities_open_calls(engine: &Engine) -> Verdict {
    let admin = ["--cap-add", "SYS_ADMIN"];
    comes_to(engine, &admin, (UNSHARE, "4000000"), "ok")?;
    comes_to(engine, &admin, (CLONE, "4000011"), "ok")?;
    comes_to(engine, &admin, (libc::SYS_clone3, "0 0"), "EINVAL")?;
    comes_to(engine, &[], (libc::SYS_kcmp, "1 1 9"), "EPERM")?;
    comes_to(engine, &["--cap-add", "SYS_PTRACE"], (libc::SYS_kcmp, "1 1 9"), "EINVAL")
}

fn other_machines(engine: &Engine) -> Verdict {
    for number in [libc::SYS_getpid, UNSHARE, 512] {
        comes_to(engine, &[], (number | 0x4000_0000, "10000000"), "ENOSYS")?;
    }
    let outcome = run(engine, &[], &["/bin/probe", "call32"])?;
    outcome.ends_with(159)?.prints("")?;
    // That may have been the kernel, or the filter's default. What would a filter say that allows all?
    let home = Home::new(engine)?;
    let option = profile(&home, "all.json", r#"{"defaultAction": "SCMP_ACT_ALLOW"}"#)?;
    for (number, ending) in
        [("0x3fffffff", "allow"), ("0x40000000", "ENOSYS"), ("0x40000110", "ENOSYS")]
    {
        shows(engine, &[&option, number], &format!("{number}: {ending}"))?;
    }
    Ok(())
}

fn upper_halves(engine: &Engine) -> Verdict {
    let socket = libc::SYS_socket;
    comes_to(engine, &[], (socket, "1 1"), "ok")?;
    comes_to(engine, &[], (socket, "28 1"), "EAFNOSUPPORT")?;
    comes_to(engine, &[], (socket, "26 5"), "EAFNOSUPPORT")?;
    // The kernel takes the lower half, which is AF_VSOCK, and AF_ALG.
    comes_to(engine, &[], (socket, "100000028 1"), "EAFNOSUPPORT")?;
    comes_to(engine, &[], (socket, "100000026 5"), "EAFNOSUPPORT")?;
    // And here AF_UNIX, but this is no such number.
    comes_to(engine, &[], (socket, "100000001 1"), "EAFNOSUPPORT")?;
    comes_to(engine, &[], (UNSHARE, "110000000"), "EPERM")?;
    comes_to(engine, &[], (libc::SYS_personality, "ffffffff"), "ok")?;
    comes_to(engine, &[], (libc::SYS_personality, "1ffffffff"), "EPERM")?;
    comes_to(engine, &[], (libc::SYS_personality, "40000"), "EPERM")?;
    comes_to(engine, &[], (libc::SYS_personality, "100040000"), "EPERM")
}

fn unknown_calls(engine: &Engine) -> Verdict {
    for number in [libc::SYS_io_uring_setup, libc::SYS_uselib, 9999, 0x3fff_ffff] {
        comes_to(engine, &[], (number, ""), "ENOSYS")?;
    }
    // Here the kernel says so in any case. What about the filter?
    shows(engine, &["9999"], "9999: ENOSYS")
}

fn every_call(engine: &Engine) -> Verdict {
    let make = |options: &[&str]| {
        let outcome = run(engine, options, &["/bin/probe", "calls"])?;
        Ok::<_, Failure>(all_calls(&outcome.ends_with(0)?.stdout))
    };
    let (free, filtered) = (make(&["--security-opt=seccomp=unconfined"])?, make(&[])?);
    let mut refused: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (number, answer) in &filtered {
        if free.get(number) != Some(answer) {
            refused.entry(answer).or_default().push(number.to_string());
        }
    }
    require(!refused.is_empty(), "a run with a filter", "calls that it refuses", "none")?;
    let lines =
        refused.iter().map(|(answer, numbers)| format!("{answer}: {}\n", numbers.join(" ")));
    engine.show(format!(
        "{} calls, refused by the filter alone:\n{}",
        filtered.len(),
        lines.collect::<String>()
    ));
    Ok(())
}

fn unconfined(engine: &Engine) -> Verdict {
    let options = ["--security-opt", "seccomp=unconfined"];
    let none = "NoNewPrivs 0\nSeccomp 0\nSeccomp_filters 0\n".to_string();
    equal("unconfined", "its filter", none, status(engine, &options, &FILTER)?)?;
    comes_to(engine, &options, (UNSHARE, "10000000"), "ok")?;
    let outcome = run(engine, &options, &["/bin/probe", "call32"])?;
    outcome.ends_with(0)?.prints("ok\n")?;
    // The last word counts, as with Docker.
    let again = ["--security-opt=seccomp=/nowhere", "--security-opt=seccomp=unconfined"];
    comes_to(engine, &again, (UNSHARE, "10000000"), "ok")
}

fn go_and_glibc(engine: &Engine) -> Verdict {
    equal("a command", "its filter", "Seccomp 2\n".into(), status(engine, &[], &["Seccomp"])?)?;
    let image = samples::offer_once("go", || {
        let mut archive = Archive::begin();
        let program = "/usr/bin/umoci";
        let needed = std::process::Command::new("ldd").arg(program).output();
        let needed = needed.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        for path in needed.unwrap_or_default().split_whitespace().chain([program]) {
            if path.starts_with('/') {
                let content = std::fs::read(path).unwrap_or_default();
                let item = Item { mode: 0o755, content: &content, ..Item::default() };
                archive = archive.add(path.trim_start_matches('/'), item);
            }
        }
        (serde_json::Value::Null, Some(archive))
    })?;
    let image = engine.ready(image)?;
    let outcome = Outcome::of(engine.image(&[], &image, &["/usr/bin/umoci", "--version"]), b"")?;
    let said = &outcome.ends_with(0)?.stdout;
    require(said.starts_with("umoci version"), &outcome.tried, "umoci's version", said)
}

/// Requires that `filter` with these words ends with such a line.
fn shows(engine: &Engine, words: &[&str], ending: &str) -> Verdict {
    let outcome = Outcome::of(engine.subcommand([&["filter"], words].concat()), b"")?;
    let last = outcome.ends_with(0)?.stdout.lines().last().unwrap_or_default();
    require(last.starts_with(ending), &outcome.tried, ending, last)
}

fn filter_shown(engine: &Engine) -> Verdict {
    let show = |words: &[&str]| Outcome::of(engine.subcommand([&["filter"], words].concat()), b"");
    let outcome = show(&[])?;
    let lines = outcome.ends_with(0)?.stdout.lines().count();
    require((100..4096).contains(&lines), &outcome.tried, "some hundred lines", lines)?;
    for (words, ending) in [
        (&["read"][..], "read: allow"),
        (&["unshare"], "unshare: EPERM"),
        (&["--cap-add", "SYS_ADMIN", "unshare"], "unshare: allow"),
        // One is as good as the other.
        (&["--cap-add", "SYS_ADMIN", "syslog"], "syslog: allow"),
        (&["--cap-add", "SYSLOG", "syslog"], "syslog: allow"),
        (&["syslog"], "syslog: EPERM"),
        (&["clone", "0x11"], "clone: allow"),
        (&["clone", "0x10000011"], "clone: EPERM"),
        (&["9999"], "9999: ENOSYS"),
    ] {
        shows(engine, words, ending)?;
    }
    let outcome = show(&["--security-opt=seccomp=unconfined"])?;
    outcome.ends_with(125)?.complains_of(&["no filter"])
}

fn wrong_calls(engine: &Engine) -> Verdict {
    for (words, reason) in [
        (&["filter", "reed"][..], "knows no call \"reed\""),
        (&["filter", "read", "one"], "number"),
        (&["filter", "-1"], "-1"),
    ] {
        let outcome = Outcome::of(engine.subcommand(words), b"")?;
        outcome.ends_with(125)?.prints("")?.complains_of(&[reason])?;
    }
    Ok(())
}
