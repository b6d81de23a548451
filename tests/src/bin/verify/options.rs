//! The command line.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Parser;
use pages::Page;
use tests::steps;
use tests::surveys::{self, Survey};
use tests::transcripts;

/// Runs the checks in a throw-away VM
///
/// With a stage, it puts the stage's checks to the stage's own step. With a survey, it puts all steps
/// to the same questions and compares the answers with a snapshot. With a chapter, it types the
/// chapter's commands, which must print what the book shows.
///
/// Without any of them it does all of this. It also puts the last step of each part of the workshop
/// to the checks of all stages before, and tries that a VM goes on from a saved one. Last come the
/// negative controls, in which each step meets the checks of the next stage and must not pass them.
///
/// It remembers what has passed, and doesn't repeat that until something changes that can affect it.
#[derive(Parser)]
#[command(version, after_help = after_help())]
pub struct Options {
    /// The stage to check, the survey to make, or the chapter whose commands to type
    #[arg(value_name = "STAGE|SURVEY|CHAPTER")]
    pub subject: Option<Subject>,

    /// Put this program to the stage's checks in place of the step. In a survey it takes the place of
    /// the step that has the same file name
    #[arg(long, value_name = "FILE", requires = "subject")]
    pub program: Option<PathBuf>,

    /// Make the stage's negative control, in which the step before must not pass the stage's checks
    #[arg(long, requires = "subject", conflicts_with_all = ["program", "only"])]
    pub control: bool,

    /// Make only the check of this name
    #[arg(long, value_name = "NAME")]
    pub only: Option<String>,

    /// Put every step to the checks of all earlier stages, and not just the last step of each part
    #[arg(long, conflicts_with = "subject")]
    pub all: bool,

    /// Forget what has passed before, and repeat it
    #[arg(long)]
    pub fresh: bool,
}

/// What to put to the test.
#[derive(Clone)]
pub enum Subject {
    Stage(u8),
    Survey(&'static Survey),
    /// The transcripts of these pages of the book.
    Pages(Vec<Page>),
}

impl FromStr for Subject {
    type Err = String;

    fn from_str(text: &str) -> Result<Subject, String> {
        let stage = text.parse().ok().filter(|stage| *stage <= steps::last()).map(Subject::Stage);
        if let Some(subject) = stage.or(surveys::named(text).map(Subject::Survey)) {
            return Ok(subject);
        }
        let pages = transcripts::pages().map_err(|error| error.to_string())?;
        match transcripts::named(&pages, text) {
            meant if !meant.is_empty() => Ok(Subject::Pages(meant)),
            _ => {
                let last = steps::last();
                let surveys: Vec<&str> = surveys::ALL.iter().map(|survey| survey.name).collect();
                let chapters: Vec<String> = pages.iter().map(transcripts::title).collect();
                let (surveys, chapters) = (surveys.join(", "), chapters.join(", "));
                Err(format!(
                    "the stages are 0 to {last}, the surveys: {surveys}, the chapters: {chapters}"
                ))
            }
        }
    }
}

fn after_help() -> String {
    let survey = |survey: &Survey| format!("  {:10}  {}\n", survey.name, survey.promise);
    let surveys: String = surveys::ALL.iter().map(survey).collect();
    let last = steps::last();
    format!(
        "Surveys:\n{surveys}  mutants     each line of each step changed in the usual ways, and which checks notice it\n\
        \x20             (./just verify mutants 4 --help; this takes hours)\n\nChapters:\n  chapter0 … chapter{last}, introduction, setup; \
        chapter4-mounts is one page of a chapter\n\n\
        INSTA_UPDATE=always accepts what is shown as snapshots, and as the book's transcripts."
    )
}
