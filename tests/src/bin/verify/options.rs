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
/// With a stage: its checks on its own step. With a survey: that, which puts all steps to the same
/// probes and is held to its snapshot. With a chapter: its transcripts, whose commands must print
/// what the book shows. Without any: all chapters; that a VM goes on from a saved one as it should;
/// each stage's checks on its own step, and on the last step of each part of the workshop those of
/// all stages before it; all surveys; then the negative controls, each stage's checks on the step
/// before, which must not pass them. What has passed before is remembered, and not repeated until
/// something changes that can affect it.
#[derive(Parser)]
#[command(version, after_help = after_help())]
pub struct Options {
    /// The stage to check, the survey to make, or the chapter whose commands to type
    #[arg(value_name = "STAGE|SURVEY|CHAPTER")]
    pub subject: Option<Subject>,

    /// Put another program to the stage's checks than the step itself; in a survey it takes the
    /// place of the step that has its file's name
    #[arg(long, value_name = "FILE", requires = "subject")]
    pub program: Option<PathBuf>,

    /// The stage's negative control: its checks on the step before, which must not pass them
    #[arg(long, requires = "subject", conflicts_with_all = ["program", "only"])]
    pub control: bool,

    /// Only the check of this name
    #[arg(long, value_name = "NAME")]
    pub only: Option<String>,

    /// The checks of all earlier stages on every step, not just on the last of each part
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
        "Surveys:\n{surveys}\nChapters:\n  chapter0 … chapter{last}, introduction, setup; \
        chapter4-mounts is one page of a chapter\n\n\
        INSTA_UPDATE=always accepts what is shown as snapshots, and as the book's transcripts."
    )
}
