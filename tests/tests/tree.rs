//! Holds the tree to its rules: one idea a step, and no lesson hidden in the plumbing.

use std::fs;
use std::path::{Path, PathBuf};

use pages::Pages;
use similar::{ChangeTag, TextDiff};
use tests::checks;
use tests::steps;

/// What stands in full in every step. Everything else is imported from the step that introduces it.
const SPINE: [&str; 3] = ["main.rs", "container.rs", "child.rs"];

/// The step that moves the child's part of container.rs to child.rs, as its chapter announces.
const DIVIDES: u8 = 9;

/// What a host of repositories shows to those who have not cloned.
const SHOWN: [&str; 5] = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "tests/bench/README.md",
    "tests/src/surveys/README.md",
];

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A file of a step, "" for child.rs where there is none yet.
fn source(step: u8, file: &str) -> String {
    if file == "child.rs" && step < DIVIDES {
        return String::new();
    }
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
            if file == "child.rs" && step < DIVIDES {
                continue;
            }
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
    for step in 0..=steps::last() {
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
    let rust = |path: &PathBuf| path.extension().is_some_and(|end| end == "rs");
    for path in sources_below(&top().join("shared")).into_iter().filter(rust) {
        let text = fs::read_to_string(&path).unwrap();
        for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
            // What it is called is no call: the error of a command that exec refused. And a copy of a
            // value is no process.
            let code: String = line.split('"').step_by(2).collect();
            let code = code.replace("clone()", "");
            let call = calls.iter().find(|call| {
                code.contains(&format!("{call}(")) || code.contains(&format!("::{call}"))
            });
            assert_eq!(call, None, "{}: {line}", path.display());
        }
    }
}

/// What `./just verify` remembers of a check depends on the one program that was put to it. So no check may call a step by its
/// name, nor look for one.
#[test]
fn a_check_calls_no_other_step() {
    let mut count = 0;
    for path in sources_below(&top().join("tests/src/checks")) {
        let text = fs::read_to_string(&path).unwrap();
        for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
            let strings = line.split('"').skip(1).step_by(2);
            let numbered = |text: &str| text.starts_with(|c: char| c.is_ascii_digit() || c == '{');
            let named = strings.flat_map(|text| text.split("step").skip(1)).any(numbered);
            assert!(!named, "{}: {line}", path.display());
            // The engine's own file is found by the program `checks`.
            let is_found = line.contains("find(&format!") || line.contains("setup::find");
            assert!(!is_found, "{}: {line}", path.display());
        }
        count += 1;
    }
    assert!(count > 20, "{count} files");
}

fn sources_below(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { all.extend(sources_below(&path)) } else { all.push(path) }
    }
    all
}

/// The table, the folders and the checks are about the same steps, and the README says the same of each.
#[test]
fn every_step_has_its_row_and_its_checks() {
    let readme = fs::read_to_string(top().join("README.md")).unwrap();
    let rows: Vec<&str> = readme.lines().filter(|line| line.contains("](steps/step")).collect();
    assert_eq!(rows.len(), usize::from(steps::last()) + 1, "rows of the README");
    for step in 0..=steps::last() {
        let idea = &steps::step(step).idea;
        let row = format!("| [{step}](steps/step{step}/src) | {idea} |");
        assert!(rows[usize::from(step)].starts_with(&row), "the README has no row {row}");
        assert!(top().join(format!("steps/step{step}/Cargo.toml")).exists(), "step{step}");
        assert!(checks::has_stage(step), "stage {step} has no checks");
    }
    let next = top().join(format!("steps/step{}", steps::last() + 1));
    assert!(!next.exists(), "{} is not in steps/steps.toml", next.display());
}

/// Who turns the page stays in the step until its last one. `./just new-step` adds a page, too.
#[test]
fn the_pages_of_a_step_stand_together() {
    let pages = Pages::read(&top().join("book/src")).unwrap();
    let names: Vec<&str> =
        pages.iter().filter(|page| page.step().is_some()).map(|page| &*page.name).collect();
    let by_step = (0..=steps::last()).flat_map(|step| pages.of_step(step));
    assert_eq!(names, by_step.map(|page| &*page.name).collect::<Vec<_>>(), "in SUMMARY.md");
    for step in 0..=steps::last() {
        let first = pages.of_step(step).next().map(|page| page.name.clone());
        assert_eq!(first, Some(format!("step{step}")), "the first page");
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

/// The recipes of the Justfile that are for people.
fn recipes() -> Vec<String> {
    let justfile = fs::read_to_string(top().join("Justfile")).unwrap();
    let lines =
        justfile.lines().filter_map(|line| line.strip_prefix('@')?.split([' ', ':']).next());
    lines
        .filter(|name| !["default", "exercises", "build"].contains(name))
        .map(String::from)
        .collect()
}

/// What a person reads: the chapters, and the files that a host of repositories shows.
fn texts() -> Vec<(PathBuf, String)> {
    let chapters = fs::read_dir(top().join("book/src")).unwrap();
    let mut paths: Vec<PathBuf> = chapters.map(|entry| entry.unwrap().path()).collect();
    paths.extend(SHOWN.map(|file| top().join(file)));
    paths.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

/// What is typed at the prompt of a transcript is tried in the VM; this is about what stands in the text.
#[test]
fn a_recipe_that_a_text_names_is_there() {
    let recipes = recipes();
    let mut named = 0;
    for (path, text) in texts() {
        for rest in text.split("./just ").skip(1) {
            let name =
                rest.split(|next: char| !next.is_ascii_lowercase() && next != '-').next().unwrap();
            let known = name.is_empty()
                || name.starts_with('-')
                || recipes.iter().any(|recipe| recipe == name);
            assert!(known, "{}: there is no ./just {name}", path.display());
            named += 1;
        }
    }
    assert!(named > 0);
}

#[test]
fn the_book_has_everything_that_one_can_type() {
    let page = fs::read_to_string(top().join("book/src/commands.md")).unwrap();
    let recipes = recipes();
    assert!(recipes.len() > 20, "{recipes:?}");
    for name in recipes {
        let typed = format!("`./just {name}");
        let is_there = page
            .match_indices(&typed)
            .any(|(start, _)| page[start + typed.len()..].starts_with([' ', '`']));
        assert!(is_there, "book/src/commands.md does not tell what ./just {name} does");
    }
}

/// The book's own links are checked when it is built.
#[test]
fn what_a_host_shows_leads_somewhere() {
    for file in SHOWN {
        let path = top().join(file);
        let text = fs::read_to_string(&path).unwrap();
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.contains("://")) {
            let (target, id) = link.split_once('#').unwrap_or((link, ""));
            let target =
                if target.is_empty() { path.clone() } else { path.parent().unwrap().join(target) };
            assert!(target.exists(), "{file}: {link} leads nowhere");
            let anchors =
                |text: &str| text.lines().any(|line| line.starts_with('#') && anchor(line) == id);
            let is_there = id.is_empty() || anchors(&fs::read_to_string(&target).unwrap());
            assert!(is_there, "{file}: {link}: there is no such heading");
        }
    }
}

/// What a heading is called in a link.
fn anchor(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = words.chars().filter(|next| next.is_alphanumeric() || " -_".contains(*next));
    kept.collect::<String>().replace(' ', "-")
}
