//! An exercise as it is written down, in exercises/stepN.toml: its tasks, in order, with their hints.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use pages::Pages;
use serde::Deserialize;
use tests::checks::Failure;

/// Step N to write, from step N−1.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exercise {
    /// The step to write.
    #[serde(skip)]
    pub step: u8,
    /// What the program can do that the one before could not, in Markdown.
    pub goal: String,
    #[serde(rename = "task")]
    pub tasks: Vec<Task>,
    /// The pages of its chapter: `step4`, `step4-mounts`.
    #[serde(skip)]
    pub pages: Vec<String>,
}

/// A part of a chapter, written as the id of its heading, which one page of the step has.
#[derive(Debug, Deserialize)]
#[serde(from = "String")]
pub struct Place {
    /// The page that has it: `step4-mounts`.
    pub page: String,
    pub id: String,
}

impl From<String> for Place {
    fn from(id: String) -> Place {
        Place { page: String::new(), id }
    }
}

/// One idea of the step.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    pub title: String,
    /// What it must achieve, in Markdown.
    pub what: String,
    /// Commands that show it, for the shell of `./just vm`.
    pub see: String,
    /// The items of the step that the learner writes: `MODULE NAME`, as in the book.
    pub code: Vec<String>,
    /// Those of `code` that begin empty, although the step before has them: what they were does not fit
    /// the code around them.
    #[serde(default)]
    pub anew: Vec<String>,
    /// What stands in the body of one of `code` until it is written, where the program has to run before
    /// that: what the step before does instead.
    #[serde(default)]
    pub begin: BTreeMap<String, String>,
    /// The stage's checks that it takes to pass, by their names.
    pub checks: Vec<String>,
    /// Those of `checks` that pass from the start, because what they are about is no code of the step.
    #[serde(default)]
    pub given: Vec<String>,
    /// Checks of earlier stages that it could break, and must not.
    #[serde(default)]
    pub keeps: Vec<String>,
    /// The parts of the chapter to read before: none of them lies in the part "The code" of its page.
    pub book: Vec<Place>,
    /// The part that goes through the solution, to read when it is done: in "The code" of its page.
    pub solved: Place,
    /// From a nudge to nearly there, in Markdown.
    pub hints: Vec<String>,
    /// What is often wrong here, and how it shows, be it in a check of an earlier task.
    #[serde(default, rename = "mistake")]
    pub mistakes: Vec<Mistake>,
}

/// A typical cause of a wrong result.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mistake {
    /// The cause, and what to do about it.
    pub cause: String,
    /// The check that it makes fail first.
    pub check: String,
    /// Checks before that one that it may make fail or not, as two processes happen to be run.
    #[serde(default)]
    pub also: Vec<String>,
    /// What then stands in what was seen: all of these.
    #[serde(default)]
    pub seen: Vec<String>,
    /// And this in what was expected, where the other does not tell it from everything else.
    #[serde(default)]
    pub expected: String,
    /// The file of the reference that has it right: `src/container.rs`.
    pub file: String,
    /// This text in it, which occurs once …
    pub right: String,
    /// … with this in its place makes the mistake.
    pub wrong: String,
}

impl Mistake {
    /// Whether a failed check looks like it.
    pub fn explains(&self, check: &str, failure: &Failure) -> bool {
        let is_shown_by = self.check == check || self.also.iter().any(|also| also == check);
        let was_seen = self.seen.iter().all(|part| failure.seen.contains(part));
        is_shown_by && was_seen && failure.expected.contains(&self.expected)
    }
}

impl Exercise {
    /// Reads the exercise of a step.
    ///
    /// # Errors
    ///
    /// There is none, or it is not written as it has to be, or the chapter has no such part as a task names.
    pub fn read(checkout: &Path, step: u8) -> Result<Exercise> {
        let path = checkout.join(format!("exercises/step{step}.toml"));
        let text = fs::read_to_string(&path).with_context(|| format!("read {path:?}"))?;
        let pages = Pages::read(&checkout.join("book/src"))?;
        Exercise::parse(&text, step, &pages).with_context(|| format!("read {path:?}"))
    }

    fn parse(text: &str, step: u8, pages: &Pages) -> Result<Exercise> {
        let mut exercise: Exercise = toml::from_str(text)?;
        for task in &mut exercise.tasks {
            for place in task.book.iter_mut().chain([&mut task.solved]) {
                let mut found = pages.with_heading(step, &place.id);
                let (first, second) = (found.next(), found.next());
                let (Some(page), None) = (first, second) else {
                    let count = if first.is_none() { "no page" } else { "more than one page" };
                    bail!("{:?}: {count} of chapter {step} has a heading #{}", task.title, place.id)
                };
                place.page = page.name.clone();
            }
        }
        let pages = pages.of_step(step).map(|page| page.name.clone()).collect();
        Ok(Exercise { step, pages, ..exercise })
    }

    /// The tasks with their numbers, which begin with 1.
    pub fn numbered(&self) -> impl Iterator<Item = (usize, &Task)> {
        (1..).zip(&self.tasks)
    }

    /// How a task is called in comments and on the command line: `step4.2`.
    pub fn label(&self, number: usize) -> String {
        format!("step{}.{number}", self.step)
    }

    /// The task of this number.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn task(&self, number: usize) -> Result<&Task> {
        match number.checked_sub(1).and_then(|index| self.tasks.get(index)) {
            Some(task) => Ok(task),
            None => bail!("step {} has the tasks 1 to {}", self.step, self.tasks.len()),
        }
    }

    /// The mistake that a failed check looks like, and the number of the task where it is made.
    pub fn mistake(&self, check: &str, failure: &Failure) -> Option<(usize, &Mistake)> {
        let mut all = self
            .numbered()
            .flat_map(|(number, task)| task.mistakes.iter().map(move |mistake| (number, mistake)));
        all.find(|(_, mistake)| mistake.explains(check, failure))
    }

    /// The number of the task that a check belongs to.
    pub fn task_of(&self, check: &str) -> Option<usize> {
        let found = self.numbered().find(|(_, task)| task.all_checks().any(|name| name == check));
        found.map(|(number, _)| number)
    }
}

impl Task {
    /// What the task takes to pass and what it must not break, in the order in which it is checked.
    pub fn all_checks(&self) -> impl Iterator<Item = &str> {
        self.checks.iter().chain(&self.keeps).map(String::as_str)
    }

    /// The items that the learner writes, as module and name.
    ///
    /// # Errors
    ///
    /// One is not written so.
    pub fn items(&self) -> Result<Vec<(&str, &str)>> {
        self.code
            .iter()
            .map(|item| item.split_once(' ').with_context(|| format!("{item:?} is no MODULE NAME")))
            .collect()
    }

    /// Whether it has this item.
    pub fn has(&self, module: &str, name: &str) -> bool {
        self.code.iter().any(|item| *item == format!("{module} {name}"))
    }

    /// What stands in an item's body in the beginning, if this task says it.
    pub fn begun(&self, module: &str, name: &str) -> Option<&str> {
        self.begin.get(&format!("{module} {name}")).map(|text| text.trim())
    }

    /// Whether an item begins empty, whatever it was in the step before.
    pub fn is_anew(&self, module: &str, name: &str) -> bool {
        self.anew.iter().any(|item| *item == format!("{module} {name}"))
    }
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn a_part_of_the_book_is_on_one_page_of_the_step_whichever() {
        let text = "goal = ''\n[[task]]\ntitle = 'A task'\nwhat = ''\nsee = ''\ncode = []\nchecks = []\n\
            hints = []\nbook = ['mount']\nsolved = 'new-root'\n";
        let parse = |pages: &[(&str, &str)]| Exercise::parse(text, 4, &Pages::of(pages));
        let (first, mounts) = (("step4", "## New root\n"), ("step4-mounts", "### mount\n"));
        let exercise = parse(&[first, mounts]).unwrap();
        let task = &exercise.tasks[0];
        assert_eq!((&*task.book[0].page, &*task.solved.page), ("step4-mounts", "step4"));
        assert_eq!(exercise.pages, ["step4", "step4-mounts"]);
        for (pages, expected) in [
            ([first, ("step5", "### mount\n")], "no page of chapter 4 has a heading #mount"),
            (
                [("step4", "## mount\n"), mounts],
                "more than one page of chapter 4 has a heading #mount",
            ),
        ] {
            let error = parse(&pages).unwrap_err().to_string();
            assert_eq!(error, format!("\"A task\": {expected}"));
        }
    }
}
