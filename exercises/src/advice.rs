//! What a learner is told when something is wrong: about the first check that failed all there is to say, and about the
//! others what is known to cause them.

use std::env;
use std::path::Path;

use tests::checks::Failure;
use tests::report::CalledBy;

use crate::grade::Failed;
use crate::tasks::{Exercise, Mistake, Place};

/// What is known about the learner's program beside what failed.
pub struct Advice<'a> {
    pub exercise: &'a Exercise,
    pub program: &'a Path,
    /// By task, whether it was right at an earlier check; nothing if that is not known.
    pub was_right: &'a [bool],
}

impl Advice<'_> {
    /// The text; nothing if nothing failed.
    pub fn text(&self, failed: &[Failed]) -> String {
        let Some((first, others)) = failed.split_first() else { return String::new() };
        let (mut text, mistake) = self.about_first(first);
        let mut explained: Vec<&str> = mistake.iter().map(|mistake| &*mistake.cause).collect();
        for Failed { report, failure, .. } in others {
            let Some((_, mistake)) = self.exercise.mistake(&report.name, failure) else { continue };
            if !explained.contains(&&*mistake.cause) {
                text += &format!("Then `{}`: {}\n", report.name, report.promise);
                text += &line("seen", &failure.seen);
                text += &line("probably", &mistake.cause);
                explained.push(&mistake.cause);
            }
        }
        text
    }

    fn about_first(&self, failed: &Failed) -> (String, Option<&Mistake>) {
        let Failed { report, failure, called_by } = failed;
        let step = self.exercise.step;
        let mut text = format!("The first to mend is `{}`: {}\n", report.name, report.promise);
        let said = said(failure);
        if let Some(said) = &said {
            text += &line("it said", said);
        }
        text += &line("tried", &failure.tried);
        text += &line("expected", &failure.expected);
        text += &line("seen", &failure.seen);
        let own = self.exercise.task_of(&report.name);
        let recognised = self.exercise.mistake(&report.name, failure);
        // What was right before is not where to look: what came after it has broken it.
        let was_right = |number: usize| self.was_right.get(number - 1).is_some_and(|right| *right);
        let broken = own.filter(|number| was_right(*number));
        let at = self.was_right.iter().position(|right| !right).map(|index| index + 1);
        let number = recognised.map(|(number, _)| number).or(broken.and(at)).or(own);
        text += &line("by hand", &self.by_hand(failure, *called_by, own));
        if let Some(broken) = broken {
            let note = format!("task {broken} was right before: look at what you changed last");
            text += &line("but", &note);
        }
        if let Some((_, mistake)) = recognised {
            text += &line("probably", &mistake.cause);
        }
        if said.is_none() && has_hung(failure) {
            text += &line("or", "this machine was too busy to answer in time: check once more");
        }
        if let Some(number) = number
            && let Ok(task) = self.exercise.task(number)
        {
            let part = |part: &Place| format!("{}.html#{}", part.page, part.id);
            let parts: Vec<String> = task.book.iter().map(part).collect();
            text += &line("the book", &format!("chapter {step}, {}", parts.join(" and ")));
            text += &line("a hint", &format!("./just hint {step} {number}"));
        }
        (text, recognised.map(|(_, mistake)| mistake))
    }

    /// How to try it by hand: what was typed, if that says all, or what the task has for it.
    fn by_hand(&self, failure: &Failure, called_by: CalledBy, task: Option<usize>) -> String {
        let step = self.exercise.step;
        let here = env::current_dir().unwrap_or_default();
        let name = self.program.file_name().unwrap_or_default().display().to_string();
        let mut vm = format!(
            "./just vm --program {}",
            self.program.strip_prefix(here).unwrap_or(self.program).display()
        );
        if name != format!("step{step}") {
            vm += &format!(" --step {step}");
        }
        if called_by == CalledBy::Ada {
            vm += " --user ada";
        }
        match task {
            _ if can_be_typed(&failure.tried, &name) => format!("{vm}\n{}", failure.tried),
            Some(task) => format!("{vm}\nand there \"See it\" of task {task} (TASKS.md)"),
            None => vm,
        }
    }
}

/// A line, or more of them below each other.
fn line(label: &str, text: &str) -> String {
    format!("  {label:10}{}\n", text.trim().replace('\n', "\n            "))
}

/// What the program itself has said, on standard error.
fn said(failure: &Failure) -> Option<String> {
    let (_, quoted) = failure.seen.split_once("standard error: ")?;
    // As Rust writes a text, and JSON, but for rare characters: these are shown as they are.
    let mut texts = serde_json::Deserializer::from_str(quoted).into_iter::<String>();
    let text = texts.next()?.unwrap_or_else(|_| quoted.trim_matches('"').into());
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_string())
}

/// Whether something was waited for in vain, by a program that runs.
fn has_hung(failure: &Failure) -> bool {
    let waited = ["no end", "no further line"].iter().any(|words| failure.seen.contains(words));
    let ended = ["exit status", "death by"].iter().any(|words| failure.seen.contains(words));
    waited && !ended
}

/// Whether what was tried is a line for the shell in `./just vm --program`, which has the files of the checks: but not
/// those that one check makes for itself, nor its registry.
fn can_be_typed(tried: &str, name: &str) -> bool {
    let elsewhere = tried.strip_prefix("(cd ").and_then(|rest| rest.split_once(" && "));
    let line = elsewhere.map_or(tried, |(_, line)| line);
    let begins = line.starts_with(&format!("{name} ")) || line.starts_with("strace ");
    begins && !["/tmp/", "127.0.0.1", "localhost", "\n"].iter().any(|part| tried.contains(part))
}

#[cfg(test)]
mod test {
    use tests::report::Report;

    use super::*;

    fn failed(exercise: &Exercise, task: usize, check: usize, tried: &str, seen: &str) -> Failed {
        let name = exercise.tasks[task - 1].checks[check].clone();
        let failure = Failure::new(tried, "something else", seen);
        let promise = String::from("a promise");
        let report =
            Report { plan: 0, stage: 4, name, promise, failure: None, shown: None, seconds: 0.0 };
        Failed { report, failure, called_by: CalledBy::Root }
    }

    fn advice(failed: &[Failed], exercise: &Exercise, was_right: &[bool]) -> String {
        let program = Path::new("/somewhere/step4");
        Advice { exercise, program, was_right }.text(failed)
    }

    fn exercise() -> Exercise {
        Exercise::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."), 4).unwrap()
    }

    #[test]
    fn what_was_right_before_is_not_to_blame() {
        let exercise = exercise();
        let seen = r#"exit status 125; standard error: "step4: cannot do \"it\": no\n""#;
        let all = [failed(&exercise, 1, 0, "step4 /bin/probe catch 0", seen)];
        let fresh = advice(&all, &exercise, &[false; 6]);
        assert!(fresh.contains("a hint    ./just hint 4 1\n"), "{fresh}");
        assert!(!fresh.contains("was right before"), "{fresh}");
        let later = advice(&all, &exercise, &[true, true, false, false, false, false]);
        assert!(
            later.contains("task 1 was right before: look at what you changed last"),
            "{later}"
        );
        assert!(later.contains("a hint    ./just hint 4 3\n"), "{later}");
    }

    #[test]
    fn a_programs_own_error_comes_first_and_no_guess_beside_it() {
        let exercise = exercise();
        let seen = r#"no further line of output; standard error: "step4: cannot do \"it\": no\n""#;
        let text = advice(&[failed(&exercise, 1, 0, "all of this check", seen)], &exercise, &[]);
        let second = text.lines().nth(1).unwrap();
        assert_eq!(second, "  it said   step4: cannot do \"it\": no");
        assert!(!text.contains("too busy"), "{text}");
        for (seen, is_busy) in [
            (r#"no further line of output; standard error: """#, true),
            (
                r#"no further line of output, exit status 137 (killed by SIGKILL); standard error: """#,
                false,
            ),
            ("no end", true),
            ("2", false),
        ] {
            let all = [failed(&exercise, 1, 1, "all of this check", seen)];
            assert_eq!(advice(&all, &exercise, &[]).contains("too busy"), is_busy, "{seen}");
        }
    }

    #[test]
    fn what_can_be_typed_is_given_and_otherwise_what_shows_it() {
        let exercise = exercise();
        let by_hand = |tried| {
            let text = advice(&[failed(&exercise, 3, 0, tried, "2")], &exercise, &[]);
            let lines = text.lines().skip_while(|line| !line.starts_with("  by hand"));
            lines.take(2).collect::<Vec<_>>().join("\n")
        };
        let start = "  by hand   ./just vm --program /somewhere/step4\n            ";
        for tried in ["step4 ps", "(cd /tmp && step4 ps)"] {
            assert_eq!(by_hand(tried), format!("{start}{tried}"));
        }
        let see = format!("{start}and there \"See it\" of task 3 (TASKS.md)");
        for tried in ["all of this check", "typing \"step4 ps\\r\"", "step4 --rootfs /tmp/small x"]
        {
            assert_eq!(by_hand(tried), see);
        }
    }

    #[test]
    fn each_cause_that_is_known_is_told_once() {
        let exercise = exercise();
        let busy = r#"exit status 125; standard error: "step4: cannot pivot_root to \"/slipway/rootfs\": Device or resource busy\n""#;
        let all = [
            failed(&exercise, 1, 0, "step4 a", busy),
            failed(&exercise, 1, 0, "step4 b", busy),
            failed(&exercise, 4, 3, "step4 c", "EACCES"),
        ];
        let text = advice(&all, &exercise, &[]);
        assert_eq!(text.matches("probably").count(), 2, "{text}");
        assert!(text.contains("Then `own_terminals`: a promise\n  seen      EACCES\n"), "{text}");
    }
}
