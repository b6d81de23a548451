//! Which chapter explains which system call: book/calls.toml, as data.
//!
//! The chapters' tables are made of it, `./just trace` tells the chapters by it, and the survey
//! `calls` holds what the steps do to it.

use std::sync::LazyLock;

use serde::Deserialize;

/// The table.
pub static TABLE: LazyLock<Table> = LazyLock::new(|| {
    toml::from_str(include_str!("../../calls.toml")).expect("a test has read book/calls.toml")
});

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// What the chapters are about, by chapter.
    pub lesson: Vec<Lesson>,
    /// What else the steps call.
    pub plumbing: Vec<Plumbing>,
}

/// One row of a chapter's table: a system call that the chapter explains.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lesson {
    /// The number of the step, and of its chapter.
    pub step: u8,
    /// The system call's name, as strace(1) prints it.
    pub call: String,
    /// Other calls that do the same: another C library's, or those of a solution of your own.
    #[serde(default)]
    pub also: Vec<String>,
    /// What has to stand in the arguments for this row to apply; empty: they do not matter.
    #[serde(default)]
    pub with: String,
    /// The same for a reader, where it is to look different.
    pub shown: Option<String>,
    /// The C library's function, where it has another name.
    pub function: Option<String>,
    /// What it is for, in a few words.
    pub what: String,
    /// The manual page.
    pub man: String,
    /// The heading in the chapter under which it is explained.
    pub under: String,
}

/// Calls that are no lesson, and why the steps make them all the same.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plumbing {
    /// The first step that makes them.
    pub since: u8,
    pub calls: Vec<String>,
    /// It depends on the machine whether they are made.
    #[serde(default)]
    pub sometimes: bool,
    /// As in [`Lesson::with`].
    #[serde(default)]
    pub with: String,
    pub why: String,
}

impl Lesson {
    /// Whether this row is about such a call; where that is all it says, about any of this name.
    fn is_about(&self, call: &str, arguments: &str) -> bool {
        (self.call == call || self.also.iter().any(|also| also == call))
            && arguments.contains(&self.with)
    }

    /// What of the arguments makes it this call, for a reader; empty: nothing.
    pub fn argument(&self) -> &str {
        self.shown.as_ref().unwrap_or(&self.with)
    }

    /// The call and that, as one line.
    pub fn name(&self) -> String {
        format!("{} {}", self.call, self.argument()).trim_end().to_string()
    }
}

impl Table {
    /// The rows that are about this call; none if it is no part of the lesson.
    ///
    /// A row that looks at the arguments says more than one that does not: a clone with CLONE_NEWUTS is
    /// chapter 2's, though it forks as in chapter 1.
    pub fn rows(&self, call: &str, arguments: &str) -> Vec<&Lesson> {
        // A thread is no new process. The HTTP client has some.
        if arguments.contains("CLONE_THREAD") {
            return Vec::new();
        }
        let rows = self.lesson.iter().filter(|lesson| lesson.is_about(call, arguments));
        let (any, special): (Vec<_>, Vec<_>) = rows.partition(|lesson| lesson.with.is_empty());
        if special.is_empty() { any } else { special }
    }

    /// The chapters that explain this call.
    pub fn chapters(&self, call: &str, arguments: &str) -> Vec<u8> {
        let mut steps: Vec<u8> =
            self.rows(call, arguments).into_iter().map(|lesson| lesson.step).collect();
        steps.dedup();
        steps
    }

    /// The names of all system calls of the lesson.
    pub fn names(&self) -> Vec<&str> {
        let names =
            self.lesson.iter().flat_map(|lesson| [&lesson.call].into_iter().chain(&lesson.also));
        let mut names: Vec<&str> = names.map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

#[cfg(test)]
mod tests {
    use super::TABLE;

    #[test]
    fn arguments_decide_the_chapter() {
        for (call, arguments, expected) in [
            ("clone", "child_stack=NULL, flags=SIGCHLD", &[1][..]),
            ("clone3", "{flags=CLONE_NEWNS|CLONE_NEWUTS|CLONE_NEWPID, …}", &[2, 4]),
            ("write", r#"4</proc/77/uid_map>, "0 1000 1", 8"#, &[5]),
            ("openat2", r#"5</x/rootfs>, "usr/lib", {resolve=RESOLVE_IN_ROOT}"#, &[7]),
            ("setgroups", "0, []", &[5]),
            ("setgroups", "2, [100, 10]", &[8]),
            ("write", r#"3</sys/fs/cgroup/a/memory.max>, "64M", 3"#, &[6]),
        ] {
            assert_eq!(TABLE.chapters(call, arguments), expected, "{call}({arguments})");
        }
    }

    #[test]
    fn the_rest_is_no_lesson() {
        for (call, arguments) in [
            ("write", r#"1</dev/pts/0>, "hello\n", 6"#),
            ("prctl", "PR_SET_NAME, \"x\""),
            ("rt_sigprocmask", "SIG_SETMASK, NULL, [], 8"),
            ("clone3", "{flags=CLONE_VM|CLONE_FS|CLONE_THREAD, …}"),
            ("brk", "NULL"),
        ] {
            assert!(TABLE.rows(call, arguments).is_empty(), "{call}({arguments})");
        }
    }

    #[test]
    fn the_rows_stand_by_chapter() {
        assert!(TABLE.lesson.is_sorted_by_key(|lesson| lesson.step));
        assert!(TABLE.plumbing.is_sorted_by_key(|plumbing| plumbing.since));
    }
}
