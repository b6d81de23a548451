//! TASKS.md, what a learner has beside the code: the goal, and the tasks in order.

use std::fmt::Write;

use anyhow::{Context, Result};
use tests::checks;

use crate::tasks::{Exercise, Place, Task};

/// Writes the sheet.
///
/// # Errors
///
/// A task names a check that there is not.
pub fn sheet(exercise: &Exercise) -> Result<String> {
    let Exercise { step, goal, .. } = exercise;
    let link = |name: &str, target: String| format!("[{name}](../../book/src/{target})");
    let pages: Vec<String> =
        exercise.pages.iter().map(|page| link(page, format!("{page}.md"))).collect();
    let chapter = match &pages[..] {
        [] | [_] => link(&format!("chapter {step}"), format!("step{step}.md")),
        several => format!("chapter {step}, each of its pages ({})", several.join(", ")),
    };
    let mut text = format!(
        "# Step {step}\n\n{goal}\n
Read {chapter} as far as the heading \"The code\", and stop there: what follows is the solution.\n
The code here is step {}'s, with a comment `TODO(step{step}.K)` where task K begins. `./just check {step}` tells how \
         far you are, `./just hint {step}` helps, `./just watch {step}` checks again whenever you save a file. A VM with your \
         program in the reference's place, and with the checks' files, to try things by hand:\n
```sh\n(cd work/step{step} && cargo build --release) && ./just vm --program target/work/*/release/step{step}\n```\n",
        step - 1,
        goal = goal.trim(),
    );
    for (number, task) in exercise.numbered() {
        write!(text, "\n## {number}. {}\n\n{}\n\n", task.title, task.what.trim())?;
        if !task.see.trim().is_empty() {
            let see = task.see.trim();
            write!(text, "See it, in the VM with your program:\n\n```sh\n{see}\n```\n\n")?;
        }
        writeln!(text, "The code: {}.\n", places(task)?)?;
        for (heading, names) in
            [("It is done when:", &task.checks), ("And as before:", &task.keeps)]
        {
            if names.is_empty() {
                continue;
            }
            write!(text, "{heading}\n\n")?;
            for name in names {
                let check = checks::all().find(|check| check.name == name);
                let check = check.with_context(|| format!("there is no check {name}"))?;
                writeln!(text, "- {} (`{name}`)", check.promise)?;
            }
            text += "\n";
        }
        let part = |Place { page, id }: &Place| link(id, format!("{page}.md#{id}"));
        let parts: Vec<String> = task.book.iter().map(part).collect();
        let (parts, solved) = (parts.join(" and "), part(&task.solved));
        writeln!(text, "The book: chapter {step}, {parts}; when it is done, to compare: {solved}")?;
    }
    Ok(text)
}

/// `run` and `child` in `container`, `reap` in `signals`
fn places(task: &Task) -> Result<String> {
    let mut modules: Vec<(&str, Vec<String>)> = Vec::new();
    for (module, name) in task.items()? {
        match modules.iter_mut().find(|(known, _)| *known == module) {
            Some((_, names)) => names.push(format!("`{name}`")),
            None => modules.push((module, vec![format!("`{name}`")])),
        }
    }
    let places =
        modules.iter().map(|(module, names)| format!("{} in `{module}`", names.join(", ")));
    Ok(places.collect::<Vec<_>>().join("; "))
}
