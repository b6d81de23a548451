//! What a learner hands in: the results of the last checks, for a program and for a person.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde::Serialize;

use crate::progress::{Done, Progress};
use crate::tasks::Exercise;

/// All results, as work/report.json has them.
#[derive(Serialize)]
struct Report {
    /// Whose they are: the login name.
    name: String,
    made: Timestamp,
    steps: Vec<Step>,
}

#[derive(Serialize)]
struct Step {
    step: u8,
    /// When it was checked last.
    checked: Option<Timestamp>,
    tasks: Vec<Task>,
}

#[derive(Serialize)]
struct Task {
    number: usize,
    title: String,
    done: bool,
    #[serde(flatten)]
    result: Done,
}

/// Writes work/report.json and work/report.txt, and gives the text.
///
/// # Errors
///
/// An exercise can't be read, or a file can't be written.
pub fn write(checkout: &Path, progress: &Progress) -> Result<String> {
    let report = Report {
        name: env::var("LOGNAME").or(env::var("USER")).unwrap_or("unnamed".into()),
        made: Timestamp::now(),
        steps: progress
            .steps()
            .map(|(step, begun)| {
                let exercise = Exercise::read(checkout, step)?;
                let tasks =
                    exercise.numbered().zip(&begun.tasks).map(|((number, task), result)| Task {
                        number,
                        title: task.title.clone(),
                        done: result.is_whole(),
                        result: result.clone(),
                    });
                Ok(Step { step, checked: begun.checked, tasks: tasks.collect() })
            })
            .collect::<Result<_>>()?,
    };
    let mut text = format!("{}, {}\n\n{progress}", report.name, report.made.strftime("%F %R UTC"));
    for Step { step, tasks, .. } in &report.steps {
        for Task { number, title, result, .. } in tasks {
            let Done { passed, checks, hints, .. } = result;
            write!(
                text,
                "\nstep {step}, task {number}: {passed} of {checks} checks, {hints} hints: {title}"
            )?;
        }
    }
    text.push('\n');
    let json = serde_json::to_string_pretty(&report).context("it is plain data")?;
    let place = checkout.join("work");
    fs::create_dir_all(&place).context("make work")?;
    fs::write(place.join("report.json"), json).context("write work/report.json")?;
    fs::write(place.join("report.txt"), &text).context("write work/report.txt")?;
    Ok(text)
}
