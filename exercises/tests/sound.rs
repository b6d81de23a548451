//! The exercises fit the steps and the checks: nothing is left over, and nothing points to nowhere.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use exercises::imports::Imports;
use exercises::starter::{in_crate, starter};
use exercises::tasks::{Exercise, Place};
use pages::{Page, Pages, anchor};
use sources::{File, Sources, items};
use tests::checks;
use tests::steps;

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn all() -> impl Iterator<Item = Exercise> {
    (1..=steps::last()).map(|step| Exercise::read(&checkout(), step).unwrap())
}

#[test]
fn each_check_of_a_stage_belongs_to_one_task() {
    for exercise in all() {
        let of_stage = checks::all().filter(|check| check.stage == exercise.step);
        let mut promised: Vec<&str> = of_stage.map(|check| check.name).collect();
        let mut named: Vec<&str> =
            exercise.tasks.iter().flat_map(|task| &task.checks).map(String::as_str).collect();
        promised.sort_unstable();
        named.sort_unstable();
        assert_eq!(promised, named, "step {}", exercise.step);
    }
}

#[test]
fn what_a_task_must_not_break_is_of_an_earlier_stage() {
    for exercise in all() {
        let mut kept: Vec<&String> = exercise.tasks.iter().flat_map(|task| &task.keeps).collect();
        for name in &kept {
            let check = checks::all().find(|check| check.name == **name);
            let check = check.unwrap_or_else(|| panic!("step {}: no {name}", exercise.step));
            let binds = check.stage < exercise.step && check.binds(exercise.step);
            assert!(binds, "step {}: {name}", exercise.step);
        }
        let count = kept.len();
        kept.sort_unstable();
        kept.dedup();
        assert_eq!(kept.len(), count, "step {}: one task has it", exercise.step);
    }
}

#[test]
fn each_task_can_be_seen_failing_helped_with_and_read_about() {
    for exercise in all() {
        let pages = Pages::read(&checkout().join("book/src")).unwrap();
        let is_in_code = |place: &Place| {
            let page = pages.iter().find(|page| page.name == place.page).unwrap();
            in_code(&page.text).contains(&place.id)
        };
        for (number, task) in exercise.numbered() {
            let label = exercise.label(number);
            assert!(!task.checks.is_empty(), "{label} has no check");
            assert!(!task.code.is_empty(), "{label} has no code");
            let is_code = |item| task.code.contains(item);
            let is_check = |name| task.checks[1..].contains(name);
            assert!(task.given.iter().all(is_check), "{label}: {:?} is no later check", task.given);
            assert!(task.anew.iter().all(is_code), "{label}: {:?} is not all code", task.anew);
            assert!(task.begin.keys().all(is_code), "{label}: {:?} is not all code", task.begin);
            assert!(task.hints.len() >= 3, "{label} has {} hints", task.hints.len());
            // A learner stops at "The code", and reads on when it is written.
            assert!(!task.book.is_empty(), "{label} has nothing to read");
            for part in &task.book {
                assert!(!is_in_code(part), "{label}: #{} is in the part \"The code\"", part.id);
            }
            let solved = &task.solved;
            assert!(is_in_code(solved), "{label}: #{} is not in \"The code\"", solved.id);
        }
    }
}

/// The ids of the headings in a page's part "The code", and its own.
fn in_code(page: &str) -> Vec<String> {
    // A page may do all by hand.
    let Some((_, rest)) = page.split_once("\n## The code\n") else { return Vec::new() };
    let part = rest.split_once("\n## ").map_or(rest, |(part, _)| part);
    let part = Page { name: String::new(), text: format!("## The code\n{part}") };
    part.headings().map(anchor).collect()
}

#[test]
fn a_mistake_is_made_in_one_place() {
    let sources = Sources::read(&checkout()).unwrap();
    for exercise in all() {
        let step = sources.step(exercise.step).unwrap();
        for (number, task) in exercise.numbered() {
            for mistake in &task.mistakes {
                let label = format!("{}: {}", exercise.label(number), mistake.cause);
                for check in mistake.also.iter().chain([&mistake.check]) {
                    let in_time = exercise.task_of(check).is_some_and(|of| of <= number);
                    assert!(
                        in_time,
                        "{label}: {check} is no check of the task or of one before it"
                    );
                }
                let is_meant = |file: &&File| in_crate(&file.path) == Path::new(&mistake.file);
                let file = step.files.values().find(is_meant).expect(&label);
                assert_eq!(file.text().matches(&mistake.right).count(), 1, "{label}");
            }
        }
    }
}

/// As a learner would who looks everything up: each item of a task put in the place of its beginning.
#[test]
fn the_starter_and_what_the_tasks_ask_for_are_the_step() {
    let sources = Sources::read(&checkout()).unwrap();
    for exercise in all() {
        let mut wanted: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (_, task) in exercise.numbered() {
            for (module, name) in task.items().unwrap() {
                wanted.entry(module).or_default().push(name);
            }
        }
        let files = starter(&exercise, &sources).unwrap();
        for (module, file) in &sources.step(exercise.step).unwrap().files {
            let begun = &files[in_crate(&file.path)];
            let names = wanted.remove(module.as_str()).unwrap_or_default();
            if names.is_empty() {
                assert_eq!(*begun, file.text(), "{}", file.path.display());
            } else {
                assert!(begun.contains("// TODO(step"), "{}", file.path.display());
                assert_eq!(completed(begun, file, names), file.text(), "{}", file.path.display());
            }
        }
        assert!(wanted.is_empty(), "step {} has no {wanted:?}", exercise.step);
    }
}

#[test]
fn a_begun_item_has_its_new_documentation_and_a_comment_where_it_changes() {
    let sources = Sources::read(&checkout()).unwrap();
    for (step, expected) in [
        (
            1,
            "only with an error.\npub fn run(options: &Options) -> Result<u8, Error> {\n    // TODO(step1.1)",
        ),
        (2, "\n// TODO(step2.1): A child in a new UTS namespace (`NAMESPACES`)\n"),
        (4, "CLONE_NEWUTS, // hostname\n    // TODO(step4.1): Three more namespaces\n];"),
    ] {
        let files = starter(&Exercise::read(&checkout(), step).unwrap(), &sources).unwrap();
        let begun = &files[Path::new("src/container.rs")];
        assert!(begun.contains(expected), "{begun}");
    }
}

fn completed(begun: &str, reference: &File, mut names: Vec<&str>) -> String {
    names.sort_by_key(|name| reference.items.find(name).unwrap().lines.start);
    names.dedup();
    let mut text = begun.to_string();
    for name in names {
        let lines: Vec<&str> = text.lines().collect();
        let found = items::parse(&text).unwrap().find(name).map(|item| item.lines.clone());
        let place = found.unwrap_or_else(|_| {
            let is_todo = |line: &&str| line.trim_start().starts_with("// TODO(step");
            let first = lines.iter().position(is_todo).expect(name);
            let count = lines[first..].iter().take_while(|line| is_todo(line)).count();
            first..first + count
        });
        let item = reference.items.find(name).unwrap().lines.clone();
        let item = reference.lines[item].iter().map(|line| line.text.as_str());
        let (above, below) = (lines[..place.start].iter(), lines[place.end..].iter());
        text = above.copied().chain(item).chain(below.copied()).map(|l| format!("{l}\n")).collect();
    }
    let imports = Imports::read(&text).unwrap();
    let extra = imports.beyond(&Imports::read(&reference.text()).unwrap());
    let lines = text.lines().filter(|line| !extra.iter().any(|extra| extra == line));
    lines.map(|line| format!("{line}\n")).collect()
}
