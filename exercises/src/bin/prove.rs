//! Proves in the VM that the exercises are sound: an untouched starter keeps the promises of the
//! stages before and none of its own, each typical mistake is recognised, and a program in another
//! language can pass.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, process};

use anyhow::{Context, Result, anyhow, ensure};
use clap::Parser;
use exercises::starter::{Files, in_crate, starter};
use exercises::tasks::{Exercise, Mistake};
use exercises::{build, place};
use shared::Error;
use sources::Sources;
use tests::checks::{self, LAST_STAGE};
use tests::grading::{How, run_checks};
use tests::report::{CalledBy, Plan, Report};
use tests::vm::Vm;

/// Proves in the VM that the exercises are sound
#[derive(Parser)]
#[command(version)]
struct Options {
    /// Put the starters to all stages before, not only to the last one, and the mistakes to all tasks
    /// before
    #[arg(long)]
    all: bool,

    /// Only these exercises
    steps: Vec<u8>,
}

/// A program to put to checks.
struct Case<'a> {
    program: PathBuf,
    kind: Kind<'a>,
}

/// What has to come of it.
enum Kind<'a> {
    /// It keeps the promises of the stages before, and none of its own.
    Starter(&'a Exercise),
    /// A check fails, and the cause is recognised.
    Mistake(&'a Exercise, &'a Mistake),
    /// It keeps all promises of these stages.
    InC(RangeInclusive<u8>),
}

/// What the program in C can do.
const IN_C: RangeInclusive<u8> = 1..=4;

fn main() -> ExitCode {
    shared::main("prove", |options| run(options).map_err(|error| Error::new(format!("{error:#}"))))
}

fn run(options: &Options) -> Result<u8> {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let sources = Sources::read(&checkout)?;
    let wanted = |step: &u8| options.steps.is_empty() || options.steps.contains(step);
    let exercises: Vec<Exercise> = (1..=LAST_STAGE)
        .filter(wanted)
        .map(|step| Exercise::read(&checkout, step))
        .collect::<Result<_>>()?;
    let mut cases = Vec::new();
    for exercise in &exercises {
        let name = format!("starter{}", exercise.step);
        let program = built(&checkout, exercise, starter(exercise, &sources)?, &name)?;
        cases.push(Case { program, kind: Kind::Starter(exercise) });
        let mistakes = exercise.numbered().flat_map(|(number, task)| {
            let label = move |count: usize| format!("mistake{}-{number}-{count}", exercise.step);
            (1..).zip(&task.mistakes).map(move |(count, mistake)| (label(count), mistake))
        });
        for (name, mistake) in mistakes {
            let files = with_mistake(&sources, exercise, mistake)?;
            let program = built(&checkout, exercise, files, &name)?;
            cases.push(Case { program, kind: Kind::Mistake(exercise, mistake) });
        }
    }
    if options.steps.is_empty() || options.steps.contains(IN_C.end()) {
        cases.push(Case { program: in_c(&checkout)?, kind: Kind::InC(IN_C) });
    }
    let programs: Vec<PathBuf> = cases.iter().map(|case| case.program.clone()).collect();
    let mut vm = Vm::start_with(&programs).map_err(|error| anyhow!("{error}"))?;
    let (mut passed, mut failed) = (0, 0);
    for case in &cases {
        let wrong = case.wrong(&mut vm, options.all)?;
        match wrong.is_empty() {
            true => passed += 1,
            false => failed += 1,
        }
        println!("{:>4}  {}", if wrong.is_empty() { "ok" } else { "FAIL" }, case.title());
        wrong.iter().for_each(|wrong| println!("        {wrong}"));
    }
    println!("exercises: {passed} passed, {failed} failed, 0 skipped");
    Ok((failed > 0).into())
}

/// Builds a crate of the step with these files; the program gets a name of its own.
fn built(checkout: &Path, exercise: &Exercise, mut files: Files, name: &str) -> Result<PathBuf> {
    let directory = checkout.join("target/exercises");
    fs::create_dir_all(&directory).context("make target/exercises")?;
    let place = directory.join(name).with_extension("crate");
    place::complete(checkout, exercise.step, &mut files, &place, name)?;
    // Cargo builds again what has a new time. It writes its own Cargo.lock.
    let is_there = |(path, text): (&PathBuf, &String)| {
        let is = fs::read_to_string(place.join(path));
        path == Path::new("Cargo.lock") || is.is_ok_and(|is| is == *text)
    };
    if !files.iter().all(is_there) {
        if place.exists() {
            fs::remove_dir_all(&place).with_context(|| format!("remove {place:?}"))?;
        }
        place::write(files, &place)?;
    }
    let file = build::build_in(&place, "dev").with_context(|| name.to_string())?;
    let program = directory.join(name);
    fs::copy(file, &program).with_context(|| format!("write {program:?}"))?;
    Ok(program)
}

/// Builds the engine in C.
fn in_c(checkout: &Path) -> Result<PathBuf> {
    let program = checkout.join("target/exercises/engine-in-c");
    let source = checkout.join("exercises/in-c/engine.c");
    let status = process::Command::new("cc")
        .args(["-O2", "-Wall", "-Wextra", "-Werror", "-static", "-o"])
        .args([&program, &source])
        .status()
        .context("run cc")?;
    ensure!(status.success(), "{source:?} does not compile, see above");
    Ok(program)
}

/// The step with one mistake.
fn with_mistake(sources: &Sources, exercise: &Exercise, mistake: &Mistake) -> Result<Files> {
    let files = sources.step(exercise.step)?.files.values();
    let mut files: Files =
        files.map(|file| (in_crate(&file.path).to_owned(), file.text())).collect();
    let file = files.get_mut(Path::new(&mistake.file));
    let file = file.with_context(|| format!("there is no {}", mistake.file))?;
    let count = file.matches(&mistake.right).count();
    ensure!(count == 1, "{}: {:?} is there {count} times", mistake.file, mistake.right);
    *file = file.replace(&mistake.right, &mistake.wrong);
    Ok(files)
}

impl Case<'_> {
    fn title(&self) -> String {
        match &self.kind {
            Kind::Starter(exercise) => {
                format!("the starter of step {} is step {} still", exercise.step, exercise.step - 1)
            }
            Kind::Mistake(exercise, mistake) => {
                format!("step {}: {}", exercise.step, mistake.cause.trim())
            }
            Kind::InC(stages) => format!(
                "a program in C keeps all promises of stages {} to {}",
                stages.start(),
                stages.end()
            ),
        }
    }

    /// What is not as it has to be.
    fn wrong(&self, vm: &mut Vm, all: bool) -> Result<Vec<String>> {
        match &self.kind {
            Kind::Starter(exercise) => {
                let first = if all { 0 } else { exercise.step - 1 };
                let mut wrong = self.failures(vm, exercise.step, first..=exercise.step - 1)?;
                let own = self.reports(vm, Plan::control(exercise.step), &[])?;
                let kept = own.iter().filter(|report| report.failure.is_none());
                wrong.extend(kept.map(|report| format!("passes {}", report.name)));
                Ok(wrong)
            }
            Kind::Mistake(exercise, mistake) => self.wrong_in_mistake(vm, exercise, mistake, all),
            Kind::InC(stages) => self.failures(vm, *stages.end(), stages.clone()),
        }
    }

    /// The promises of these stages that are not kept to root, who may call every step.
    fn failures(&self, vm: &mut Vm, step: u8, stages: RangeInclusive<u8>) -> Result<Vec<String>> {
        let mut failures = Vec::new();
        let plans = Plan::of_stages(step, stages).into_iter();
        for plan in plans.filter(|plan| plan.called_by == CalledBy::Root) {
            for report in self.reports(vm, plan, &[])? {
                if let Some(failure) = report.failure {
                    failures.push(format!("fails {}: {}", report.name, failure.seen));
                }
            }
        }
        Ok(failures)
    }

    /// A learner is told about the first check that fails: it has to be the mistake's. Without `all` the
    /// tasks before the one of this check are taken for granted.
    fn wrong_in_mistake(
        &self,
        vm: &mut Vm,
        exercise: &Exercise,
        mistake: &Mistake,
        all: bool,
    ) -> Result<Vec<String>> {
        let check = checks::all().find(|check| check.name == mistake.check);
        let check = check.with_context(|| format!("there is no check {}", mistake.check))?;
        let step = exercise.step;
        let mut plans = Plan::of_stages(step, 0..=step).into_iter();
        let plan = plans.find(|plan| plan.has(check)).context("nobody is promised it")?;
        let task = exercise.task_of(check.name).context("no task has the check")?;
        let granted = if all { 0 } else { task - 1 };
        let tasks = exercise.tasks.iter().skip(granted);
        let in_order = tasks.flat_map(|task| task.all_checks());
        let before = in_order.take_while(|name| *name != check.name);
        let until: Vec<&str> = before.chain([check.name]).collect();
        let reports = self.reports(vm, plan, &until)?;
        let failed =
            reports.iter().find_map(|report| Some((&report.name, report.failure.as_ref()?)));
        let Some((name, failure)) = failed else {
            return Ok(vec![format!("passes {}", check.name)]);
        };
        Ok(match exercise.mistake(name, &failure.seen) {
            Some((_, found)) if found.cause == mistake.cause => vec![],
            Some((_, found)) => vec![format!("is taken for: {}", found.cause.trim())],
            None => vec![format!("is not recognised; {name} has seen: {}", failure.seen)],
        })
    }

    fn reports(&self, vm: &mut Vm, plan: Plan, only: &[&str]) -> Result<Vec<Report>> {
        let name = self.program.file_name().context("a program has a name")?.to_string_lossy();
        let plan = Plan { program: name.into(), ..plan };
        let only = only.iter().map(|name| name.to_string()).collect();
        let how = How { patience: Some(8), only, ..How::default() };
        let mut reports = Vec::new();
        run_checks(vm, &plan, &how, &mut |report| reports.push(report))
            .map_err(|error| anyhow!("{error}"))?;
        Ok(reports)
    }
}
