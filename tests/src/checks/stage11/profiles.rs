//! Profiles of the caller's own.

use super::*;
use crate::checks::podman::Podman;

promises! { stage 11:
    conditions_on_arguments "seccomp=FILE: a rule can compare an argument, all 64 bits of it, in seven ways, and several arguments"
    profile_of_docker "it is Docker's form, with conditions on capabilities, machine and kernel"
    profile_of_others "and the OCI's, with its flags; and podman's, with errnos by name"
    every_action "each action does what it says, and a command that a filter ends gives 128 and its signal"
    calls_as_podman by one "with podman's profile each call comes to what it comes to in podman's container"
    wrong_profiles by one "a profile that can't be read, or means nothing: 125, and the place in it"
    wrong_seccomp_options by one "seccomp without a file: 125, and what there is"
}

/// A profile that allows all but what these rules say.
fn but(rules: &str) -> String {
    format!(r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{rules}]}}"#)
}

const GETPPID: (i64, &str) = (libc::SYS_getppid, "");

fn conditions_on_arguments(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let compared = |index: u8, op: &str, value: u64, two: u64| {
        format!(
            r#"{{"index": {index}, "value": {value}, "valueTwo": {two}, "op": "SCMP_CMP_{op}"}}"#
        )
    };
    let rule = |name: &str, errno: i32, args: &[String]| {
        let args = args.join(", ");
        format!(
            r#"{{"names": ["{name}"], "action": "SCMP_ACT_ERRNO", "errnoRet": {errno}, "args": [{args}]}}"#
        )
    };
    let require = |rules: &str, arguments: &str, expected: &str| {
        let option = profile(&home, "arguments.json", &but(rules))?;
        comes_to(engine, &[&option], (libc::SYS_getpgid, arguments), expected)
    };
    let big = 1 << 32 | 7;
    for (op, value, two, refused, taken) in [
        ("EQ", big, 0, "100000007", "7 100000008"),
        ("NE", big, 0, "200000007 100000008", "100000007"),
        ("LT", big, 0, "ffffffff 100000006", "100000007 200000000"),
        ("LE", big, 0, "ffffffff 100000007", "100000008 200000000"),
        ("GT", big, 0, "200000000 100000008", "ffffffff 100000007"),
        ("GE", big, 0, "200000000 100000007", "ffffffff 100000006"),
        ("MASKED_EQ", 0xf0_0000_00f0, 0x10_0000_0020, "7f1f0000002f", "20 1000000030"),
    ] {
        let rule = rule("getpgid", libc::ESRCH, &[compared(5, op, value, two)]);
        for (arguments, expected) in [(refused, "ESRCH"), (taken, "ok")] {
            for argument in arguments.split(' ') {
                require(&rule, &format!("0 0 0 0 0 {argument}"), expected)?;
            }
        }
    }
    // All of a rule's arguments count, and the first rule that fits.
    let both = rule("getpgid", libc::ESRCH, &[compared(1, "EQ", 1, 0), compared(2, "EQ", 2, 0)]);
    let one = rule("getpgid", libc::ENOSPC, &[compared(1, "EQ", 1, 0)]);
    let rules = format!("{both}, {one}");
    for (arguments, expected) in [("0 1 2", "ESRCH"), ("0 1 0", "ENOSPC"), ("0 0 2", "ok")] {
        require(&rules, arguments, expected)?;
    }
    // So many that a jump over them does not fit into eight bits: getppid has a lower number.
    let all = [0, 1, 2, 3, 4, 5].map(|index| compared(index, "EQ", big, 0));
    let mut rules = vec![rule("getppid", libc::ENOSPC, &all); 20];
    rules.push(rule("getpgid", libc::ESRCH, &[]));
    require(&rules.join(", "), "", "ESRCH")
}

fn profile_of_docker(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    // What is wrong about a condition shows in the errno.
    let [of_caps, of_machine, of_kernel] =
        [(libc::ESRCH, "ESRCH"), (libc::ENOEXEC, "ENOEXEC"), (libc::ETIME, "ETIME")];
    for (conditions, options, (errno, name), is_for) in [
        ("", &[][..], of_caps, true),
        (r#", "includes": {"caps": ["CAP_SYS_TIME"]}"#, &[], of_caps, false),
        (r#", "includes": {"caps": ["CAP_SYS_TIME"]}"#, &["--cap-add=SYS_TIME"], of_caps, true),
        (r#", "excludes": {"caps": ["CAP_CHOWN"]}"#, &[], of_caps, false),
        (r#", "excludes": {"caps": ["CAP_CHOWN"]}"#, &["--cap-drop=CHOWN"], of_caps, true),
        // All that it includes has to be there, and nothing that it excludes.
        (r#", "includes": {"caps": ["CAP_CHOWN", "CAP_SYS_TIME"]}"#, &[], of_caps, false),
        (r#", "excludes": {"caps": ["CAP_CHOWN", "CAP_SYS_TIME"]}"#, &[], of_caps, false),
        (r#", "includes": {"arches": ["amd64", "arm64"]}"#, &[], of_machine, true),
        (r#", "includes": {"arches": ["s390x"]}"#, &[], of_machine, false),
        (r#", "excludes": {"arches": ["amd64", "arm64"]}"#, &[], of_machine, false),
        (r#", "includes": {"minKernel": "4.8"}"#, &[], of_kernel, true),
        (r#", "includes": {"minKernel": "99.0"}"#, &[], of_kernel, false),
        (r#", "excludes": {"minKernel": "4.8"}"#, &[], of_kernel, false),
    ] {
        let rule = format!(
            r#"{{"names": ["getppid"], "action": "SCMP_ACT_ERRNO", "errnoRet": {errno}, "comment": "x"{conditions}}}"#
        );
        let option = profile(&home, "docker.json", &but(&rule))?;
        let expected = if is_for { name } else { "ok" };
        comes_to(engine, &[options, &[&option]].concat(), GETPPID, expected)?;
    }
    // What says the same as the default is no rule.
    let rules = but(r#"{"names": ["getppid"], "action": "SCMP_ACT_ALLOW"},
        {"names": ["getppid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5}"#);
    comes_to(engine, &[&profile(&home, "docker.json", &rules)?], GETPPID, "EIO")
}

fn profile_of_others(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let oci = r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
        "flags": ["SECCOMP_FILTER_FLAG_LOG"],
        "syscalls": [{"names": ["getppid"], "action": "SCMP_ACT_ERRNO"}]}"#;
    comes_to(engine, &[&profile(&home, "oci.json", oci)?], GETPPID, "EPERM")?;
    let podman = but(
        r#"{"names": ["getppid"], "action": "SCMP_ACT_ERRNO", "args": null, "errno": "ENOMEDIUM"}"#,
    );
    comes_to(engine, &[&profile(&home, "podman.json", &podman)?], GETPPID, "ENOMEDIUM")
}

fn every_action(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    for (action, status, printed) in [
        ("SCMP_ACT_ALLOW", 0, "ok\n"),
        ("SCMP_ACT_LOG", 0, "ok\n"),
        ("SCMP_ACT_ERRNO", 0, "EPERM\n"),
        // Nobody traces it.
        ("SCMP_ACT_TRACE", 0, "ENOSYS\n"),
        ("SCMP_ACT_TRAP", 128 + libc::SIGSYS, ""),
        ("SCMP_ACT_KILL", 128 + libc::SIGSYS, ""),
        ("SCMP_ACT_KILL_THREAD", 128 + libc::SIGSYS, ""),
        ("SCMP_ACT_KILL_PROCESS", 128 + libc::SIGSYS, ""),
    ] {
        let rule = format!(r#"{{"names": ["getppid"], "action": "{action}"}}"#);
        let option = profile(&home, "action.json", &but(&rule))?;
        let number = libc::SYS_getppid.to_string();
        let outcome = run(engine, &[&option], &["/bin/probe", "call", &number])?;
        outcome.ends_with(status)?.prints(printed)?;
    }
    Ok(())
}

/// Where Debian has podman's profile.
const PODMANS: &str = "/usr/share/containers/seccomp.json";

fn calls_as_podman(engine: &Engine) -> Verdict {
    let option = format!("--security-opt=seccomp={PODMANS}");
    let ours = run(engine, &[&option], &["/bin/probe", "calls"])?;
    let ours = all_calls(&ours.ends_with(0)?.stdout);
    let theirs = Podman::new()?.run(&[&option], &["/bin/probe", "calls"])?;
    let theirs = all_calls(&theirs.ends_with(0)?.stdout);
    let differ = |number: &&u32| ours.get(*number) != theirs.get(*number);
    let line =
        |number: &u32| format!("{number}: {:?} and {:?}", ours.get(number), theirs.get(number));
    let different: Vec<String> = ours.keys().filter(differ).map(line).collect();
    let tried = format!("the calls 0 to {} under {PODMANS}", ours.len());
    require(different.is_empty(), &tried, "what podman's container says", different.join(", "))
}

fn wrong_profiles(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let rule = |words: &str| but(&format!("{{{words}}}"));
    let argument = |index: u8| {
        let args = format!(r#"[{{"index": {index}, "value": 0, "op": "SCMP_CMP_EQ"}}]"#);
        format!(r#""names": ["getppid"], "action": "SCMP_ACT_TRAP", "args": {args}"#)
    };
    for (text, words) in [
        ("".to_string(), &["EOF"][..]),
        ("{".into(), &["EOF"]),
        ("[]".into(), &["is wrong"]),
        ("{}".into(), &["defaultAction"]),
        (r#"{"defaultAction": "ALLOW"}"#.into(), &["defaultAction", "ALLOW"]),
        (r#"{"defaultAction": "SCMP_ACT_NOTIFY"}"#.into(), &["listener"]),
        (rule(r#""names": ["reed"], "action": "SCMP_ACT_TRAP""#), &["syscalls[0]", "reed"]),
        (rule(r#""names": ["read"], "action": "SCMP_ACT_TRAP", "arg": []"#), &["arg"]),
        (rule(&argument(6)), &["syscalls[0]", "args[0]", "0 to 5"]),
        (rule(r#""names": ["execve"], "action": "SCMP_ACT_ERRNO""#), &["refuses execve"]),
        (r#"{"defaultAction": "SCMP_ACT_ERRNO"}"#.into(), &["refuses"]),
        ("\u{1b}[2J".into(), &["is wrong"]),
    ] {
        let option = profile(&home, "wrong.json", &text)?;
        // Where it isn't refused, one sees by the command which it was.
        let command = format!("/{}", words.last().unwrap_or(&""));
        let words = [&["wrong.json"], words].concat();
        home.is_refused(engine.image(&[&option], &image(engine)?, &[&command]), b"", &words)?;
    }
    let pipe = home.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::from_bits_truncate(0o666))?;
    for (path, reason) in [
        ("/nowhere/profile.json".to_string(), "No such file"),
        (home.path().display().to_string(), "no regular file"),
        (pipe.display().to_string(), "no regular file"),
        ("/dev/zero".into(), "no regular file"),
    ] {
        let option = format!("--security-opt=seccomp={path}");
        let command = engine.image(&[&option], &image(engine)?, &["/bin/true"]);
        home.is_refused(command, b"", &[&path, reason])?;
    }
    Ok(())
}

fn wrong_seccomp_options(engine: &Engine) -> Verdict {
    for word in ["seccomp", "seccomp=", "seccomp:"] {
        let outcome = run(engine, &["--security-opt", word], &["/bin/true"])?;
        outcome
            .ends_with(125)?
            .prints("")?
            .complains_of(&["--security-opt", "FILE or unconfined"])?;
    }
    Ok(())
}
