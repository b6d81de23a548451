//! What came of it all: counted, told, and held to the snapshots.

use pages::Page;
use tests::checks::{self, Check};
use tests::report::{CalledBy, Plan, Report};
use tests::snapshots::Snapshots;
use tests::surveys::Survey;
use tests::transcripts::{self, Outcome};

use crate::job::{Found, Job};
use crate::options::Options;

/// What has come of the checks so far.
#[derive(Default)]
pub struct Tally {
    /// Each check is told when it is over; otherwise only those that fail.
    pub live: bool,
    pub passed: usize,
    pub failed: usize,
    /// How many of those that passed were not repeated.
    pub remembered: usize,
    snapshots: Snapshots,
    /// Of plans of which other parts are still to come.
    parts: Vec<(Plan, Vec<Report>)>,
}

impl Tally {
    /// Nothing yet.
    pub fn new(live: bool) -> Tally {
        Tally { live, ..Tally::default() }
    }

    /// Counts what has come of a job in so many seconds, or, without them, in an earlier run; and says what is wrong. Gives
    /// back whether all of it passed.
    pub fn take(
        &mut self,
        options: &Options,
        job: &Job,
        found: Found,
        seconds: Option<f64>,
    ) -> bool {
        let (passed, failed) = (self.passed, self.failed);
        let time = seconds.map_or("remembered".into(), |seconds| format!("{seconds:.0} s"));
        match (job, found) {
            (Job::Checks { plan, part, control }, Found::Checks(reports)) => {
                self.take_checks(options, plan, part.of, *control, reports, &time);
            }
            (Job::Survey { survey, sample, .. }, Found::Survey(text)) => {
                self.take_survey(survey, *sample, text.as_deref(), &time);
            }
            (Job::Page(page), Found::Page(outcome)) => self.take_page(page, &outcome, &time),
            (Job::Saved, Found::Saved(faults)) => self.take_saved(&faults),
            _ => unreachable!("each kind of job has findings of its own"),
        }
        if seconds.is_none() {
            self.remembered += self.passed - passed;
        }
        self.failed == failed
    }

    /// Keeps the reports of one of so many parts of a plan. With the last it counts them, says what is wrong, and
    /// compares the snapshots.
    fn take_checks(
        &mut self,
        options: &Options,
        plan: &Plan,
        parts: usize,
        control: bool,
        reports: Vec<Report>,
        time: &str,
    ) {
        self.parts.push((plan.clone(), reports));
        if self.parts.iter().filter(|(of, _)| of == plan).count() < parts {
            return;
        }
        let its_parts = self.parts.extract_if(.., |(of, _)| of == plan);
        let reports: Vec<Report> = its_parts.flat_map(|(_, reports)| reports).collect();
        let (wrong, right): (Vec<_>, Vec<_>) =
            reports.iter().partition(|report| report.failure.is_some() != control);
        for report in &wrong {
            match control {
                true => println!("FAIL  passes on {}, and must not: {}", plan.program, report.name),
                false if self.live => {}
                false => println!("{report}"),
            }
        }
        let seconds: f64 = reports.iter().map(|report| report.seconds).sum();
        let time = if parts > 1 { format!("{seconds:.0} s") } else { time.into() };
        let (count, good) = (reports.len(), right.len());
        let come = if control { "fail, as they must" } else { "pass" };
        println!("{}: {good} of {count} checks {come} ({time})", plan.title());
        self.passed += good;
        self.failed += wrong.len();
        if options.only.is_none() {
            let planned = checks::all().filter(|check| plan.has(check)).count();
            if planned != count {
                println!("FAIL  {} checks of {plan} did not report", planned - count);
                self.failed += planned - count;
            }
        }
        if options.only.is_none() && options.program.is_none() {
            self.compare(plan, control, &reports);
        }
    }

    fn compare(&mut self, plan: &Plan, control: bool, reports: &[Report]) {
        if control {
            self.snapshots.controls(plan.step, reports)
        } else {
            self.snapshots.shown(plan.step, reports, |report| {
                let to_all = |check: &Check| check.name == report.name && check.only_for.is_none();
                plan.called_by == CalledBy::Root || !checks::all().any(to_all)
            })
        }
        self.count_snapshots();
    }

    /// Counts a survey, and compares its text with the snapshot; a sample's is only told.
    fn take_survey(&mut self, survey: &Survey, sample: bool, text: Option<&str>, time: &str) {
        let name = survey.name;
        match text {
            Some(text) if sample => {
                print!("{text}");
                self.passed += 1;
            }
            Some(text) => self.snapshots.compare(name, text),
            None => self.failed += 1,
        }
        let come = match (text, self.snapshots.broken) {
            (None, _) => "fails, see above",
            (_, 0) if sample => "a sample of it holds",
            (_, 0) => "as its snapshot",
            _ => "not as its snapshot",
        };
        let mark = if text.is_some() && self.snapshots.broken == 0 { "" } else { "FAIL  " };
        println!("{mark}survey {name}: {come} ({time})");
        self.count_snapshots();
    }

    /// Counts a page's commands, and says where they print something else than it shows.
    fn take_page(&mut self, page: &Page, outcome: &Outcome, time: &str) {
        for broken in &outcome.broken {
            println!("FAIL  {broken}");
        }
        let Outcome { kept, accepted, .. } = outcome;
        let count = kept + outcome.broken.len();
        let accepted = match accepted {
            0 => String::new(),
            some => format!(", {some} of them from now on"),
        };
        let title = transcripts::title(page);
        println!("{title}: {kept} of {count} commands print what it shows{accepted} ({time})");
        self.passed += kept;
        self.failed += outcome.broken.len();
    }

    /// Counts a VM that goes on from a saved one.
    fn take_saved(&mut self, faults: &[String]) {
        for fault in faults {
            println!("FAIL  a saved VM: {fault}");
        }
        match faults {
            [] => {
                println!("a saved VM: it goes on, and knows what time it is");
                self.passed += 1;
            }
            _ => self.failed += 1,
        }
    }

    fn count_snapshots(&mut self) {
        let Snapshots { kept, broken } = std::mem::take(&mut self.snapshots);
        self.passed += kept;
        self.failed += broken;
    }
}
