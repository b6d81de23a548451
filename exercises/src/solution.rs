//! What the reference has where a learner's file has something else, task by task.

use std::fmt::Write;
use std::fs;
use std::ops::Range;
use std::path::Path;

use anyhow::Result;
use similar::{Algorithm, TextDiff};
use sources::{Sources, items};

use crate::place;
use crate::starter::in_crate;
use crate::tasks::Exercise;

/// The differences between the learner's items of a task and the reference's, as `diff -u` shows them.
/// `only_new`: an item of an earlier task is not shown again.
///
/// # Errors
///
/// The step, the task or the learner's crate is not there.
pub fn diff(checkout: &Path, exercise: &Exercise, number: usize, only_new: bool) -> Result<String> {
    let step = Sources::read(checkout)?;
    let step = step.step(exercise.step)?;
    let mut all = String::new();
    for (module, name) in exercise.task(number)?.items()? {
        let mut earlier = exercise.numbered().take(number - 1);
        if only_new && let Some((other, _)) = earlier.find(|(_, task)| task.has(module, name)) {
            writeln!(all, "{name} stands at task {other}")?;
            continue;
        }
        let file = step.file(module)?;
        let path = place::directory(checkout, exercise.step).join(in_crate(&file.path));
        let learners = fs::read_to_string(&path).unwrap_or_default();
        let theirs = item_of(&learners, name).map(|lines| text(learners.lines(), lines));
        let item = file.items.find(name)?;
        let reference = file.lines.iter().map(|line| line.text.as_str());
        let ours = text(reference, item.lines.clone());
        let diff = TextDiff::configure()
            .algorithm(Algorithm::Patience)
            .diff_lines(theirs.as_deref().unwrap_or_default(), &ours)
            .unified_diff()
            .context_radius(3)
            .to_string();
        // Where in the item it is, the learner sees.
        let lines = diff.lines().filter(|line| !line.starts_with("@@"));
        let shown = in_crate(&file.path).display();
        if diff.is_empty() {
            writeln!(all, "{shown}: {name} is as in the reference")?
        } else {
            writeln!(all, "{shown}: {name}\n{}", lines.collect::<Vec<_>>().join("\n"))?
        }
    }
    Ok(all)
}

/// Where a learner's file has the item, if it has it and can be read.
fn item_of(text: &str, name: &str) -> Option<Range<usize>> {
    Some(items::parse(text).ok()?.find(name).ok()?.lines.clone())
}

fn text<'a>(lines: impl Iterator<Item = &'a str>, range: Range<usize>) -> String {
    let lines = lines.skip(range.start).take(range.len());
    lines.map(|line| format!("{line}\n")).collect()
}
