//! Holds the tree to its rules: one idea a step, and no lesson hidden in the plumbing.

use std::fs;
use std::path::{Path, PathBuf};

use similar::{ChangeTag, TextDiff};
use tests::checks::{self, LAST_STAGE};

/// What stands in full in every step. Everything else is imported from the step that introduces it.
const SPINE: [&str; 2] = ["main.rs", "container.rs"];

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn source(step: u8, file: &str) -> String {
    let path = top().join(format!("steps/step{step}/src/{file}"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn count(old: &str, new: &str, tag: ChangeTag) -> usize {
    TextDiff::from_lines(old, new).iter_all_changes().filter(|change| change.tag() == tag).count()
}

/// A fix that was made in one step and forgotten in the next changes these numbers: then
/// `./just ripple N` carries it on. Lines that a step takes away need a reason in its chapter.
#[test]
fn the_diff_of_each_step_keeps_its_size() {
    let mut table = String::new();
    let is_there = |step: &u8| top().join(format!("steps/step{step}")).is_dir();
    for step in (1..).take_while(is_there) {
        for file in SPINE {
            let (old, new) = (source(step - 1, file), source(step, file));
            let added = count(&old, &new, ChangeTag::Insert);
            let removed = count(&old, &new, ChangeTag::Delete);
            assert!(added + removed <= 150, "step{step} changes too much of {file} for one idea");
            table += &format!("step{step} {file}: {added} lines added, {removed} removed\n");
        }
    }
    insta::with_settings!({ snapshot_path => "../snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("diff-sizes", table);
    });
}

/// `Plan::of_step` counts on it: what was checked on one step is not checked again on the same code.
#[test]
fn steps_7_and_8_take_over_what_was_checked_before() {
    assert!(
        source(7, "container.rs") == source(6, "container.rs"),
        "step7 runs commands in its own way"
    );
    let main = source(8, "main.rs");
    for line in ["use step7::pull;", "Command::Pull(options) => pull::run(options),"] {
        assert!(main.contains(line), "step8 pulls in its own way: there is no {line:?}");
    }
}

#[test]
fn step_4_can_be_read_in_one_sitting() {
    let files = fs::read_dir(top().join("steps/step4/src")).unwrap();
    let lines: usize =
        files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap().lines().count()).sum();
    assert!(lines <= 300, "step4 has {lines} lines");
}

#[test]
fn a_step_does_not_know_its_number() {
    for step in 0..=LAST_STAGE {
        for file in SPINE {
            let own = format!("step{step}");
            // Importing from its own library is how later steps will import from it.
            let import = format!("use {own}::");
            let text = source(step, file);
            let named = text.lines().find(|line| line.contains(&own) && !line.starts_with(&import));
            assert_eq!(named, None, "{own}/{file}: a name that would change in every step");
        }
    }
}

#[test]
fn the_plumbing_makes_no_call_of_the_lesson() {
    let calls = [
        "clone",
        "unshare",
        "setns",
        "mount",
        "pivot_root",
        "chroot",
        "sethostname",
        "setuid",
        "setgid",
        "setgroups",
        "cgroup.",
        "uid_map",
        "fork(",
        "waitpid",
        "exec",
    ];
    for file in fs::read_dir(top().join("shared/src")).unwrap() {
        let path = file.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
            // What it is called is no call: the error of a command that exec refused.
            let code: String = line.split('"').step_by(2).collect();
            let call = calls.iter().find(|call| {
                code.contains(&format!("{call}(")) || code.contains(&format!("::{call}"))
            });
            assert_eq!(call, None, "{}: {line}", path.display());
        }
    }
}

#[test]
fn every_check_has_a_name_of_its_own() {
    let mut names: Vec<&str> = checks::all().map(|check| check.name).collect();
    let all = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), all);
    assert!(all >= 60, "{all} checks");
}

/// What is typed at the prompt of a transcript is tried in the VM; this is about what stands in the text.
#[test]
fn a_recipe_that_the_book_names_is_there() {
    let justfile = fs::read_to_string(top().join("Justfile")).unwrap();
    let recipes: Vec<&str> = justfile
        .lines()
        .filter_map(|line| line.strip_prefix('@')?.split([' ', ':']).next())
        .collect();
    let mut named = 0;
    for entry in fs::read_dir(top().join("book/src")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        for rest in text.split("./just ").skip(1) {
            let name = rest.split(|next: char| !next.is_ascii_lowercase()).next().unwrap();
            let known = name.is_empty() || recipes.contains(&name);
            assert!(known, "{}: there is no ./just {name}", path.display());
            named += 1;
        }
    }
    assert!(named > 0);
}
