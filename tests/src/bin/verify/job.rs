//! What there is to do, and what its result depends on.

use std::path::PathBuf;

use pages::Page;
use serde::{Deserialize, Serialize};
use shared::{Error, Explain};
use tests::checks;
use tests::grading::How;
use tests::remembered::Print;
use tests::report::{Plan, Report};
use tests::snapshots;
use tests::steps;
use tests::surveys::{self, Survey};
use tests::transcripts;
use tests::vm::{self, payload};

use crate::options::{Options, Subject};

/// How long a negative control waits for what does not come, in seconds. Most of them wait for that.
const PATIENCE_OF_CONTROLS: u64 = 8;

/// They don't when the machine has been idle for so long, in milliseconds. (An engine that gives its container a moment to
/// end, or strace that holds one back, sleeps no longer.)
const IDLE_OF_CONTROLS: u64 = 1500;

/// What a worker does at a time.
#[derive(Clone)]
pub enum Job {
    /// A plan, which of its checks, and whether they must fail.
    Checks { plan: Plan, part: Part, control: bool },
    /// A survey, or a sample of it; of one by step no more columns than its snapshot has, if that is given.
    Survey { survey: &'static Survey, sample: bool, like: Option<String> },
    /// The transcripts of a page of the book.
    Page(Page),
    /// A VM that goes on from a saved one.
    Saved,
}

/// What has come of a job, as its program said it.
#[derive(Clone, Serialize, Deserialize)]
pub enum Found {
    Checks(Vec<Report>),
    /// The survey's text; None if it failed, and has said why.
    Survey(Option<String>),
    Page(transcripts::Outcome),
    /// What is wrong.
    Saved(Vec<String>),
}

/// Every so many of a plan's checks, from one on.
#[derive(Clone, Copy)]
pub struct Part {
    first: usize,
    pub of: usize,
}

impl Part {
    const ALL: Part = Part { first: 0, of: 1 };
    const HALVES: &'static [Part] = &[Part { first: 0, of: 2 }, Part { first: 1, of: 2 }];

    /// The names of its checks.
    fn names(self, plan: &Plan) -> Vec<String> {
        let planned = checks::all().filter(|check| plan.has(check));
        planned.skip(self.first).step_by(self.of).map(|check| check.name.into()).collect()
    }
}

/// The stages whose checks are asked for.
pub fn stages(options: &Options) -> Vec<u8> {
    match options.subject {
        Some(Subject::Stage(stage)) => vec![stage],
        None => (0..=steps::last()).collect(),
        Some(_) => Vec::new(),
    }
}

/// All that is asked for, in the order in which it is begun.
pub fn all(options: &Options) -> Result<Vec<Job>, Error> {
    let Some(subject) = options.subject.clone() else { return all_of_everything(options) };
    match subject {
        Subject::Stage(stage) if !checks::has_stage(stage) => Ok(Vec::new()),
        Subject::Stage(stage) => Ok(of_stage(options, stage)),
        Subject::Survey(survey) if options.only.is_some() || options.control => {
            let name = survey.name;
            let text =
                format!("{name} is a survey, and has no checks: leave --only and --control out");
            Err(Error::new(text))
        }
        // All of it only for those who ask for it.
        Subject::Survey(survey) => Ok(vec![Job::Survey { survey, sample: false, like: None }]),
        Subject::Pages(_)
            if options.only.is_some() || options.program.is_some() || options.control =>
        {
            let text =
                "a chapter's commands are not checks: leave --only, --program and --control out";
            Err(Error::new(text))
        }
        Subject::Pages(pages) => Ok(pages.into_iter().map(Job::Page).collect()),
    }
}

fn of_stage(options: &Options, stage: u8) -> Vec<Job> {
    if options.control {
        return vec![Job::Checks { plan: Plan::control(stage), part: Part::ALL, control: true }];
    }
    let mut plans = Plan::of_stage(stage);
    if let Some(file) = options.program.as_ref().and_then(|file| file.file_name()) {
        for plan in &mut plans {
            plan.program = file.to_string_lossy().into();
        }
    }
    // In halves, so that two VMs share the work.
    let parts = if options.only.is_none() { Part::HALVES } else { &[Part::ALL] };
    let mut jobs = Vec::new();
    for plan in plans {
        for part in parts {
            jobs.push(Job::Checks { plan: plan.clone(), part: *part, control: false });
        }
    }
    jobs
}

fn all_of_everything(options: &Options) -> Result<Vec<Job>, Error> {
    let whole = options.only.is_none();
    let mut jobs = Vec::new();
    if whole {
        // The book's pages first, while no worker has a VM that would be idle.
        jobs.extend(transcripts::pages()?.into_iter().rev().map(Job::Page));
        jobs.push(Job::Saved);
    }
    let plans = if options.all { Plan::all() } else { Plan::usual() };
    let of = |control| move |plan| Job::Checks { plan, part: Part::ALL, control };
    jobs.extend(plans.into_iter().map(of(false)));
    if whole {
        let survey = |survey: &'static Survey| {
            let shown = (survey.by_step && !options.all).then(|| snapshots::head(survey.name));
            let sample = survey.sample.is_some();
            Job::Survey { survey, sample, like: shown.flatten() }
        };
        jobs.extend(surveys::ALL.iter().map(survey));
    }
    jobs.extend((0..=steps::last()).rev().map(Plan::control).map(of(true)));
    jobs.retain(|job| match job {
        // Of a stage that has none, which has been told.
        Job::Checks { plan, .. } => checks::all().any(|check| plan.has(check)),
        _ => true,
    });
    Ok(jobs)
}

impl Job {
    /// Its name, of which there is one.
    pub fn name(&self) -> String {
        match self {
            Job::Checks { plan, .. } => plan.to_string(),
            Job::Survey { survey, sample: false, .. } => survey.name.into(),
            Job::Survey { survey, sample: true, .. } => format!("{} sample", survey.name),
            Job::Page(page) => transcripts::title(page),
            Job::Saved => "saved".into(),
        }
    }

    /// How its checks are made.
    pub fn how(&self, options: &Options) -> How {
        let Job::Checks { plan, part, control } = self else { return How::default() };
        How {
            patience: control.then_some(PATIENCE_OF_CONTROLS),
            idle: control.then_some(IDLE_OF_CONTROLS),
            only: options.only.clone().map_or_else(|| part.names(plan), |name| vec![name]),
            ..How::default()
        }
    }
}

/// What the results of jobs depend on. Made once: it reads the VM's image.
pub struct Prints {
    vm: Print,
    checkers: PathBuf,
    steps: Vec<PathBuf>,
}

impl Prints {
    pub fn make() -> Result<Prints, Error> {
        let steps = payload::steps().explain("look for the steps' programs")?;
        let checkers = payload::checkers().explain("look for the checks' programs")?;
        let mut vm = Print::default();
        vm::add_to(&mut vm)?;
        // The runner's part of the VM, which is in this program as well, and the guest's.
        vm.program(&checkers.join("vm"))?;
        vm.program(&checkers.join("vm-guest"))?;
        Ok(Prints { vm, checkers, steps })
    }

    /// All that a job's result depends on. None: it is to be done in any case.
    pub fn of(&self, job: &Job, options: &Options) -> Result<Option<Print>, Error> {
        let mut print = self.vm.clone();
        match job {
            // It runs no program but the one that it is given (tests/tree.rs).
            Job::Checks { plan, .. } => {
                print.text(&format!("{plan} {:?}", job.how(options)));
                self.add_checkers(&mut print, &["checks", "probe"])?;
                let own = |step: &&PathBuf| step.ends_with(&plan.program);
                self.steps.iter().filter(own).try_for_each(|step| print.program(step))?;
            }
            Job::Survey { like, .. } => {
                print.text(&format!("{} {like:?}", job.name()));
                self.add_checkers(&mut print, &["survey", "probe"])?;
                self.steps.iter().try_for_each(|step| print.program(step))?;
            }
            Job::Page(page) => {
                print.text(&job.name());
                self.add_checkers(&mut print, &["verify", "checks", "probe", "survey", "trace"])?;
                self.steps.iter().try_for_each(|step| print.program(step))?;
                if !transcripts::add_to(page, &mut print)? {
                    return Ok(None);
                }
            }
            Job::Saved => return Ok(None),
        }
        Ok(Some(print))
    }

    fn add_checkers(&self, print: &mut Print, names: &[&str]) -> Result<(), Error> {
        names.iter().try_for_each(|name| print.program(&self.checkers.join(name)))
    }
}
