//! The files that a learner begins with: step N without what its tasks ask for.
//!
//! An item of a task that the step before has, too, is as it was there, under its new documentation,
//! unless it is one of `anew`. A new function keeps its documentation and its signature, and in its body
//! stands what `begin` says, or `todo!()`. Of anything else that is new a comment is left. What no task names is there already: it is plumbing, or an idea
//! of an earlier chapter.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use similar::{Algorithm, DiffTag, capture_diff_slices};
use sources::items::Found;
use sources::{File, Sources, Step};

use crate::imports::Imports;
use crate::tasks::Exercise;

/// The files of a starter by their paths in the crate, `src/main.rs`.
pub type Files = BTreeMap<PathBuf, String>;

/// Lines of a file to take out, and what comes in their place.
struct Edit {
    lines: Range<usize>,
    instead: Vec<String>,
    /// It brings back what the step before had.
    is_old: bool,
}

/// Makes the starter of an exercise.
///
/// # Errors
///
/// A task names an item that the step does not have, or two that overlap.
pub fn starter(exercise: &Exercise, sources: &Sources) -> Result<Files> {
    let step = sources.step(exercise.step)?;
    let before = sources.step(exercise.step - 1)?;
    let mut wanted: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
    for (number, task) in exercise.numbered() {
        for item in task.items()? {
            wanted.entry(item).or_default().push(number);
        }
    }
    let mut files = included(step);
    for (module, file) in &step.files {
        let old = before.files.get(module).filter(|_| !file.is_new);
        let mut edits = Vec::new();
        for ((_, name), tasks) in wanted.iter().filter(|((of, _), _)| of == module) {
            let todo: Vec<String> = tasks
                .iter()
                .map(|number| {
                    let label = exercise.label(*number);
                    Ok(format!("// TODO({label}): {}", exercise.task(*number)?.title))
                })
                .collect::<Result<_>>()?;
            let is_anew = exercise.tasks.iter().any(|task| task.is_anew(module, name));
            let begun = exercise.tasks.iter().find_map(|task| task.begun(module, name));
            let old = old.filter(|_| !is_anew && begun.is_none());
            let edit = edit(file, old, name, &todo, begun.unwrap_or("todo!()"));
            edits.push(edit.with_context(|| format!("{}: {name}", file.path.display()))?);
        }
        let text = apply(file, old, edits).with_context(|| file.path.display().to_string())?;
        files.insert(in_crate(&file.path).to_owned(), text);
    }
    for (module, name) in wanted.keys() {
        step.file(module).with_context(|| format!("{module} {name}"))?;
    }
    Ok(files)
}

/// The files of a step that are no code, and that its code includes.
pub fn included(step: &Step) -> Files {
    step.included.iter().map(|(path, text)| (in_crate(path).to_owned(), text.clone())).collect()
}

/// `steps/step4/src/main.rs` is the crate's `src/main.rs`.
pub fn in_crate(path: &Path) -> &Path {
    let mut components = path.components();
    components.by_ref().take(2).for_each(drop);
    components.as_path()
}

/// What becomes of an item.
fn edit(file: &File, old: Option<&File>, name: &str, todo: &[String], begun: &str) -> Result<Edit> {
    let item = file.items.find(name)?;
    if let Some((old, was)) = old.and_then(|old| Some((old, old.items.find(name).ok()?))) {
        let instead = as_before(file, item, old, was, todo)?;
        return Ok(Edit { lines: item.lines.clone(), instead, is_old: true });
    }
    let lines = item.body.clone().unwrap_or(item.lines.clone());
    let first = &file.lines[lines.start].text;
    let indent = &first[..first.len() - first.trim_start().len()];
    let mut instead: Vec<String> = todo.iter().map(|todo| format!("{indent}{todo}")).collect();
    match &item.body {
        Some(_) => instead.extend(begun.lines().map(|line| format!("{indent}{line}"))),
        None => instead.iter_mut().for_each(|todo| *todo += &format!(" (`{name}`)")),
    }
    Ok(Edit { lines, instead, is_old: false })
}

/// The item of the step before, under the documentation that it has now, with a comment where the
/// first difference is: in its body, if one is there.
fn as_before(
    file: &File,
    item: &Found,
    old: &File,
    was: &Found,
    todo: &[String],
) -> Result<Vec<String>> {
    let texts = |file: &File, lines: &Range<usize>| -> Vec<String> {
        file.lines[lines.clone()].iter().map(|line| line.text.clone()).collect()
    };
    let is_text = |line: &String| line.trim_start().starts_with("///");
    let split = |mut lines: Vec<String>| {
        let code = lines.split_off(lines.iter().take_while(|line| is_text(line)).count());
        (lines, code)
    };
    let (old_documentation, mut lines) = split(texts(old, &was.lines));
    let (documentation, new) = split(texts(file, &item.lines));
    let ops = capture_diff_slices(Algorithm::Patience, &lines, &new);
    let changes = || ops.iter().filter(|op| op.tag() != DiffTag::Equal);
    let above = was.lines.start + old_documentation.len();
    let body = was.body.as_ref().map_or(0, |body| body.start - above);
    let in_body = changes().find(|op| op.old_range().start >= body);
    let Some(first) = in_body.or(changes().next()) else {
        bail!("the step does not change it");
    };
    let at = first.old_range().start;
    let inserted = (first.tag() == DiffTag::Insert).then(|| &new[first.new_range().start]);
    let next = inserted.or(lines.get(at));
    let indent = next.map_or("", |next| &next[..next.len() - next.trim_start().len()]);
    let todo = todo.iter().map(|todo| format!("{indent}{todo}"));
    lines.splice(at..at, todo.collect::<Vec<_>>());
    Ok([documentation, lines].concat())
}

/// The file with all its edits.
fn apply(file: &File, old: Option<&File>, mut edits: Vec<Edit>) -> Result<String> {
    edits.sort_by_key(|edit| edit.lines.start);
    for pair in edits.windows(2) {
        ensure!(
            pair[0].lines.end <= pair[1].lines.start,
            "two items of tasks overlap in line {}",
            pair[1].lines.start + 1
        );
    }
    if let (Some(old), true) = (old, edits.iter().any(|edit| edit.is_old)) {
        let (olds, news) = (Imports::read(&old.text())?, Imports::read(&file.text())?);
        let instead = olds.beyond(&news);
        let at = edits.partition_point(|edit| edit.lines.start < news.end);
        edits.insert(at, Edit { lines: news.end..news.end, instead, is_old: true });
    }
    let mut text = String::new();
    let mut at = 0;
    for Edit { lines, instead, .. } in &edits {
        for line in &file.lines[at..lines.start] {
            text += &format!("{}\n", line.text);
        }
        for line in instead {
            text += &format!("{line}\n");
        }
        at = lines.end;
    }
    for line in &file.lines[at..] {
        text += &format!("{}\n", line.text);
    }
    Ok(text)
}
