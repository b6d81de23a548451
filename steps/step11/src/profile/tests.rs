use super::*;
use crate::verdict::{Branch, Verdict};

const HERE: Setting = Setting { machine: Machine::X86_64, bounding: Set::NONE, kernel: (6, 1) };

/// What a profile with these rules says to a call without arguments.
fn verdict(rules: &str, name: &str, setting: Setting) -> Verdict {
    let text = format!(r#"{{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{rules}]}}"#);
    let rules = Profile::parse(text.as_bytes()).unwrap().rules(setting).unwrap();
    let number = setting.machine.number(name).unwrap();
    let branches = rules.calls.get(number as usize).cloned();
    let fits = |branch: &Branch| branch.tests.iter().all(|test| test.holds(&[0; 6]));
    let fitting = branches.unwrap_or_default().into_iter().find(fits);
    fitting.map_or(rules.default, |branch| branch.verdict)
}

#[test]
fn ours_is_a_profile() {
    Profile::of_anything();
    let ours = Profile::of_engine();
    for machine in [Machine::X86_64, Machine::Aarch64] {
        let number = |name| machine.number(name).unwrap();
        for bounding in [Set::NONE, Set::default_of_engines(), Set::SYS_ADMIN, Set::all()] {
            let rules = ours.rules(Setting { machine, bounding, kernel: (6, 1) }).unwrap();
            let mounts = rules.may_let_through(number("mount"));
            assert_eq!(mounts, !(bounding & Set::SYS_ADMIN).is_empty());
            for name in ["execve", "capset", "newfstatat", "seccomp", "clone"] {
                assert!(rules.may_let_through(number(name)), "{name}");
            }
            for name in ["keyctl", "userfaultfd", "io_uring_setup"] {
                assert!(!rules.may_let_through(number(name)), "{name}");
            }
        }
    }
}

#[test]
fn conditions_on_where_a_rule_is_for() {
    let admin = Setting { bounding: Set::SYS_ADMIN, ..HERE };
    let arm = Setting { machine: Machine::Aarch64, ..HERE };
    let old = Setting { kernel: (4, 7), ..HERE };
    let errno = Verdict::errno(1);
    for (conditions, setting, expected) in [
        (r#""includes": {"caps": ["CAP_SYS_ADMIN"]}"#, HERE, errno),
        (r#""includes": {"caps": ["CAP_SYS_ADMIN"]}"#, admin, Verdict::ALLOW),
        (r#""includes": {"caps": ["CAP_SYS_ADMIN", "CAP_BPF"]}"#, admin, errno),
        (r#""excludes": {"caps": ["CAP_SYS_ADMIN", "CAP_BPF"]}"#, admin, errno),
        (r#""excludes": {"caps": ["CAP_SYS_ADMIN"]}"#, HERE, Verdict::ALLOW),
        (r#""includes": {"arches": ["amd64", "x32"]}"#, HERE, Verdict::ALLOW),
        (r#""includes": {"arches": ["amd64"]}"#, arm, errno),
        (r#""excludes": {"arches": ["arm64"]}"#, arm, errno),
        (r#""includes": {"minKernel": "4.8"}"#, HERE, Verdict::ALLOW),
        (r#""includes": {"minKernel": "4.8"}"#, old, errno),
        (r#""excludes": {"minKernel": "4.8"}"#, HERE, errno),
        (r#""includes": {}, "excludes": null"#, HERE, Verdict::ALLOW),
    ] {
        let rule = format!(r#"{{"names": ["mount"], "action": "SCMP_ACT_ALLOW", {conditions}}}"#);
        assert_eq!(verdict(&rule, "mount", setting), expected, "{conditions}");
    }
}

#[test]
fn rules_for_one_call() {
    let allow = r#"{"names": ["mount"], "action": "SCMP_ACT_ALLOW"}"#;
    let trap = r#"{"names": ["mount"], "action": "SCMP_ACT_TRAP"}"#;
    let if_7 = r#"{"name": "mount", "action": "SCMP_ACT_KILL",
        "args": [{"index": 5, "value": 7, "op": "SCMP_CMP_NE"}]}"#;
    let masked = r#"{"names": ["mount"], "action": "SCMP_ACT_KILL",
        "args": [{"index": 1, "value": 15, "valueTwo": 16, "op": "SCMP_CMP_MASKED_EQ"}]}"#;
    let as_default = r#"{"names": ["mount"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}"#;
    let kill = Verdict(libc::SECCOMP_RET_KILL_THREAD);
    for (rules, expected) in [
        (vec![allow, trap], Verdict::ALLOW),
        (vec![if_7], kill),
        // Without conditions one is for all that comes, wherever it stands.
        (vec![if_7, allow], Verdict::ALLOW),
        (vec![allow, if_7], Verdict::ALLOW),
        (vec![as_default, if_7], kill),
        // The mask leaves nothing of 16.
        (vec![masked], kill),
    ] {
        assert_eq!(verdict(&rules.join(","), "mount", HERE), expected, "{rules:?}");
    }
}

#[test]
fn errnos_by_number_and_by_name() {
    for (words, expected) in [
        (r#""errnoRet": 38"#, 38),
        (r#""errno": "ENOSYS""#, 38),
        (r#""errno": "ENOTSUP""#, 95),
        (r#""errnoRet": 38, "errno": "ENOSYS""#, 38),
        (r#""errnoRet": null"#, 1),
        (r#""errnoRet": 0"#, 0),
    ] {
        let rule = format!(r#"{{"names": ["mount"], "action": "SCMP_ACT_ERRNO", {words}}}"#);
        assert_eq!(verdict(&rule, "mount", HERE), Verdict::errno(expected), "{words}");
    }
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let rule = |words: &str| {
        format!(r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{{{words}}}]}}"#)
    };
    let argument = |words: &str| {
        let args = format!(r#""args": [{{"index": 0, "value": 0, "op": "SCMP_CMP_EQ"}}, {words}]"#);
        rule(&format!(r#""names": ["clone"], "action": "SCMP_ACT_TRAP", {args}"#))
    };
    for (text, words) in [
        (String::new(), "EOF while parsing"),
        ("{}".into(), "missing field `defaultAction`"),
        ("[]".into(), "invalid length 0"),
        (r#"{"defaultAction": "SCMP_ACT_PERHAPS"}"#.into(), "defaultAction: unknown variant"),
        (r#"{"defaultAction": "SCMP_ACT_NOTIFY"}"#.into(), "this engine has none"),
        (r#"{"defaultAction": "SCMP_ACT_ALLOW"} {}"#.into(), "trailing characters"),
        (r#"{"defaultAction": "SCMP_ACT_ALLOW", "flags": ["X"]}"#.into(), "no flag \"X\""),
        (rule(r#""names": ["mount"]"#), "syscalls[0]: missing field `action`"),
        (
            rule(r#""names": ["moutn"], "action": "SCMP_ACT_TRAP""#),
            "syscalls[0]: there is no call \"moutn\"",
        ),
        (
            rule(r#""names": ["mount"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5000"#),
            "errnoRet is at most 4095",
        ),
        (
            rule(r#""names": ["mount"], "action": "SCMP_ACT_ERRNO", "errno": "ENO""#),
            "there is no errno \"ENO\"",
        ),
        (
            rule(r#""names": ["mount"], "action": "SCMP_ACT_ERRNO", "errno": "UnknownErrno""#),
            "there is no errno",
        ),
        (
            rule(r#""names": ["mount"], "action": "SCMP_ACT_TRAP", "arg": []"#),
            "syscalls[0].arg: unknown field `arg`",
        ),
        (
            rule(r#""names": [], "action": "SCMP_ACT_TRAP", "includes": {"caps": ["CAP_X"]}"#),
            "no capability \"CAP_X\"",
        ),
        (
            rule(r#""names": [], "action": "SCMP_ACT_TRAP", "includes": {"minKernel": "new"}"#),
            "\"new\" is no version",
        ),
        (argument(r#"{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}"#), "0 to 5, and no 6"),
        (argument(r#"{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}"#), "argument 0 twice"),
        (argument(r#"{"index": 1, "value": -1, "op": "SCMP_CMP_EQ"}"#), "args[1].value"),
        (argument(r#"{"index": 1, "value": 1, "op": "SCMP_CMP_IS"}"#), "unknown variant"),
    ] {
        let read = Profile::parse(text.as_bytes());
        let error =
            read.and_then(|profile| profile.rules(HERE).and_then(|_| profile.flags())).unwrap_err();
        assert!(error.contains(words), "{text}: {error}");
    }
}

#[test]
fn a_recording_keeps_what_was_made_and_what_is_refused() {
    let made = ["read", "clone", "socket"].into();
    let narrow = Profile::of_engine().narrowed(&made);
    let text = serde_json::to_vec(&narrow).unwrap();
    let rules = Profile::parse(&text).unwrap().rules(HERE).unwrap();
    let number = |name| Machine::X86_64.number(name).unwrap();
    assert!(rules.may_let_through(number("read")) && rules.may_let_through(number("socket")));
    assert!(!rules.may_let_through(number("write")) && !rules.may_let_through(number("mount")));
    // Still only without namespaces of its own.
    assert!(rules.calls[number("clone") as usize].iter().all(|branch| !branch.tests.is_empty()));
    // Where all was allowed, by name.
    let narrow = Profile::of_anything().narrowed(&made);
    let rules = narrow.rules(HERE).unwrap();
    assert!(rules.may_let_through(number("read")) && !rules.may_let_through(number("write")));
}

#[test]
fn a_recording_keeps_what_the_default_says() {
    let text = br#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1, "syscalls": [
        {"names": ["getppid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1},
        {"names": ["getppid", "read"], "action": "SCMP_ACT_ALLOW"}]}"#;
    let narrow = Profile::parse(text).unwrap().narrowed(&["getppid"].into());
    let rules = narrow.rules(HERE).unwrap();
    let number = |name| Machine::X86_64.number(name).unwrap();
    assert!(rules.may_let_through(number("getppid")) && !rules.may_let_through(number("read")));
    assert_eq!(rules.default, Verdict::errno(1));
    // One that names what it refuses can't tell what a command needs.
    let text = br#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["getppid"], "action": "SCMP_ACT_ERRNO"}]}"#;
    assert!(!Profile::parse(text).unwrap().can_be_narrowed());
}

#[test]
fn a_recording_keeps_an_errno_by_its_name() {
    let text = br#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrno": "ENOSYS"}"#;
    let narrow = Profile::parse(text).unwrap().narrowed(&BTreeSet::new());
    let again = Profile::parse(&serde_json::to_vec(&narrow).unwrap()).unwrap();
    assert_eq!(again.rules(HERE).unwrap().default, Verdict::NOT_THERE);
}
