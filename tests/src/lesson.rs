//! Which chapter explains which system call: the lesson of each step as a table.

/// One row of the table: the calls that a chapter explains.
#[derive(Debug)]
pub struct Lesson {
    /// The number of the step, and of its chapter.
    pub step: u8,
    /// The system calls' names, as strace(1) prints them.
    pub calls: &'static [&'static str],
    /// What has to stand in the arguments for this row to apply; empty: they do not matter.
    pub with: &'static str,
}

/// fork and its younger relatives: which one it is depends on the C library.
pub const FORKS: &[&str] = &["fork", "vfork", "clone", "clone3"];

const EXEC: &[&str] = &["execve", "execveat"];
const CGROUP_FILES: &[&str] = &["mkdir", "mkdirat", "rmdir", "unlinkat", "write"];

/// The table, by step.
pub const LESSONS: &[Lesson] = &[
    lesson(0, EXEC, ""),
    lesson(1, FORKS, ""),
    lesson(1, &["wait4", "waitid"], ""),
    lesson(1, &["kill", "tkill", "tgkill", "pidfd_send_signal"], ""),
    // Asking for the mask is no lesson, and the C library holds back all signals ("~[]") now and then.
    lesson(1, &["rt_sigprocmask"], "SIG_BLOCK, ["),
    lesson(1, &["rt_sigprocmask"], "SIG_UNBLOCK, ["),
    lesson(1, &["rt_sigprocmask"], "SIG_SETMASK, ["),
    lesson(1, &["signalfd4"], ""),
    lesson(1, &["close_range"], ""),
    lesson(2, FORKS, "CLONE_NEWUTS"),
    lesson(2, &["sethostname"], ""),
    lesson(3, &["chroot", "chdir", "fchdir"], ""),
    lesson(4, FORKS, "CLONE_NEWPID"),
    lesson(4, FORKS, "CLONE_NEWNS"),
    lesson(4, FORKS, "CLONE_NEWIPC"),
    lesson(4, &["socketpair"], ""),
    lesson(4, &["prctl"], "PR_SET_PDEATHSIG"),
    lesson(4, &["mount", "umount2", "pivot_root"], ""),
    lesson(4, &["open_tree", "move_mount", "mount_setattr", "fsopen", "fsconfig", "fsmount"], ""),
    lesson(5, FORKS, "CLONE_NEWUSER"),
    lesson(5, &["unshare", "setns"], ""),
    lesson(5, &["write"], "/uid_map>"),
    lesson(5, &["write"], "/gid_map>"),
    lesson(5, &["write"], "/setgroups>"),
    lesson(5, &["sendto"], "\"!\""),
    lesson(5, &["setgroups"], "[]"),
    lesson(6, &["unshare"], "CLONE_NEWCGROUP"),
    lesson(6, &["mount"], "\"cgroup2\""),
    lesson(6, &["statfs"], "/sys/fs/cgroup"),
    lesson(6, FORKS, "CLONE_INTO_CGROUP"),
    lesson(6, CGROUP_FILES, "/sys/fs/cgroup/"),
    lesson(7, &["flock"], ""),
    lesson(7, &["openat2"], ""),
    lesson(7, &["fchownat", "utimensat", "setxattr", "lsetxattr"], ""),
    lesson(7, &["fsync", "fdatasync", "syncfs"], ""),
    lesson(7, &["rename", "renameat", "renameat2"], ""),
    lesson(8, &["setxattr"], "user.slipway"),
    lesson(8, &["mount"], "\"overlay\""),
    lesson(8, &["setuid", "setgid", "setresuid", "setresgid", "setgroups"], ""),
    lesson(8, &["setns"], "CLONE_NEWUSER"),
];

const fn lesson(step: u8, calls: &'static [&'static str], with: &'static str) -> Lesson {
    Lesson { step, calls, with }
}

/// The names of all system calls in the table.
pub fn calls() -> Vec<&'static str> {
    let mut names: Vec<_> = LESSONS.iter().flat_map(|lesson| lesson.calls).copied().collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The chapters that explain this call; none if it is no part of the lesson.
///
/// A row that looks at the arguments says more than one that does not: a clone with CLONE_NEWUTS is
/// chapter 2's, though it forks as in chapter 1.
pub fn chapters(call: &str, arguments: &str) -> Vec<u8> {
    // A thread is no new process. The HTTP client has some.
    if arguments.contains("CLONE_THREAD") {
        return Vec::new();
    }
    let rows = LESSONS.iter().filter(|lesson| lesson.calls.contains(&call));
    let (any, special): (Vec<_>, Vec<_>) = rows.partition(|lesson| lesson.with.is_empty());
    let mut steps: Vec<u8> = special
        .iter()
        .filter(|lesson| arguments.contains(lesson.with))
        .map(|lesson| lesson.step)
        .collect();
    if steps.is_empty() {
        steps = any.iter().map(|lesson| lesson.step).collect();
    }
    steps.dedup();
    steps
}

#[cfg(test)]
mod tests {
    use super::chapters;

    #[test]
    fn arguments_decide_the_chapter() {
        assert_eq!(chapters("clone", "child_stack=NULL, flags=SIGCHLD"), [1]);
        assert_eq!(chapters("clone3", "{flags=CLONE_NEWNS|CLONE_NEWUTS|CLONE_NEWPID, …}"), [2, 4]);
        assert_eq!(chapters("write", r#"4</proc/77/uid_map>, "0 1000 1", 8"#), [5]);
        assert_eq!(
            chapters("openat2", r#"5</x/rootfs>, "usr/lib", {resolve=RESOLVE_IN_ROOT}"#),
            [7]
        );
        assert_eq!(chapters("setgroups", "0, []"), [5]);
        assert_eq!(chapters("setgroups", "2, [100, 10]"), [8]);
        assert_eq!(chapters("write", r#"3</sys/fs/cgroup/a/memory.max>, "64M", 3"#), [6]);
    }

    #[test]
    fn the_rest_is_no_lesson() {
        assert!(chapters("write", r#"1</dev/pts/0>, "hello\n", 6"#).is_empty());
        assert!(chapters("prctl", "PR_SET_NAME, \"x\"").is_empty());
        assert!(chapters("rt_sigprocmask", "SIG_SETMASK, NULL, [], 8").is_empty());
        assert!(chapters("clone3", "{flags=CLONE_VM|CLONE_FS|CLONE_THREAD, …}").is_empty());
        assert!(chapters("brk", "NULL").is_empty());
    }
}
