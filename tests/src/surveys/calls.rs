//! The system calls that each step adds. They are held to book/calls.toml, of which the chapters'
//! tables are made: a step makes what its chapter explains and no chapter before; and what else it
//! calls is plumbing, with a reason.

mod runs;

use std::collections::{BTreeMap, BTreeSet};

use calls::{Lesson, Plumbing, TABLE, Table};

use crate::checks::engine::set_patience;
use crate::checks::failure::Failure;
use crate::steps;
use crate::trace::Call;

/// What each step adds, as a text.
pub fn run() -> Result<String, Failure> {
    // A traced step takes its time.
    set_patience(60);
    let (mut text, mut wrong) = (String::new(), Vec::new());
    let mut before = Seen::default();
    for step in 0..=steps::last() {
        let seen = Seen::of(&TABLE, &runs::of_step(step)?);
        wrong.extend(seen.complaints(&TABLE, step));
        text += &seen.tell(&TABLE, step, &before);
        before = seen;
    }
    if wrong.is_empty() {
        Ok(text)
    } else {
        let expected = "the calls that book/calls.toml has, each from its step on";
        Err(Failure::new("strace of all steps", expected, format!("\n{}", wrong.join("\n"))))
    }
}

/// What a step has done, by what book/calls.toml says of it.
#[derive(Default)]
struct Seen {
    /// Places in the list of lessons.
    lessons: BTreeSet<usize>,
    /// Places in the list of plumbing, with a call.
    plumbing: BTreeSet<(usize, String)>,
    /// The rest: a name, and the arguments of the first such call.
    unknown: BTreeMap<String, String>,
}

impl Seen {
    fn of(table: &Table, calls: &[Call]) -> Seen {
        let mut seen = Seen::default();
        for Call { name, arguments, .. } in calls {
            let rows = table.rows(name, arguments);
            let is_row = |lesson: &Lesson| rows.iter().any(|row| std::ptr::eq(*row, lesson));
            let places = (0..table.lesson.len()).filter(|place| is_row(&table.lesson[*place]));
            seen.lessons.extend(places);
            if let Some(flag) = unlisted_namespace(table, arguments) {
                seen.unknown.insert(format!("{name} {flag}"), arguments.clone());
            }
            if rows.is_empty() {
                match plumbing(table, name, arguments) {
                    Some(place) => _ = seen.plumbing.insert((place, name.clone())),
                    None => _ = seen.unknown.entry(name.clone()).or_insert(arguments.clone()),
                }
            }
        }
        seen
    }

    /// What does not agree with the table, a line for each.
    fn complaints(&self, table: &Table, step: u8) -> Vec<String> {
        let mut wrong = Vec::new();
        for (place, lesson) in table.lesson.iter().enumerate() {
            let (name, chapter) = (lesson.name(), lesson.step);
            match self.lessons.contains(&place) {
                true if chapter > step => {
                    wrong.push(format!("step {step} makes {name}, which is chapter {chapter}'s"));
                }
                false if chapter == step => {
                    wrong.push(format!(
                        "chapter {step} explains {name}, which step {step} does not make"
                    ));
                }
                _ => {}
            }
        }
        for (place, plumbing) in table.plumbing.iter().enumerate() {
            let since = plumbing.since;
            for call in &plumbing.calls {
                match self.plumbing.contains(&(place, call.clone())) {
                    true if since > step => {
                        wrong.push(format!(
                            "step {step} makes {call}, which is plumbing of step {since}"
                        ));
                    }
                    false if since == step && !plumbing.sometimes => wrong
                        .push(format!("{call} is plumbing of step {step}, which does not make it")),
                    _ => {}
                }
            }
        }
        wrong.extend(self.unknown.iter().map(|(name, arguments)| {
            let arguments: String = arguments.chars().take(80).collect();
            format!("step {step} makes {name}, which is in no chapter, nor plumbing: ({arguments})")
        }));
        wrong
    }

    /// What is new since the step before, for a reader.
    fn tell(&self, table: &Table, step: u8, before: &Seen) -> String {
        let mut text = format!("step {step}\n");
        for place in self.lessons.difference(&before.lessons) {
            let lesson = &table.lesson[*place];
            // A call of an earlier chapter's that the step before could do without.
            if lesson.step == step {
                text += &format!("  {:32} {}\n", lesson.name(), lesson.what);
            }
        }
        let is_new = |row: &Plumbing| row.since == step && !row.sometimes;
        let new = self.plumbing.iter().filter(|(place, _)| is_new(&table.plumbing[*place]));
        let new: Vec<&str> = new.map(|(_, call)| call.as_str()).collect();
        if !new.is_empty() {
            text += &format!("  plumbing: {}\n", new.join(" "));
        }
        text
    }
}

/// The place in the list of plumbing that says why this is called; one that looks at the arguments
/// says more.
fn plumbing(table: &Table, name: &str, arguments: &str) -> Option<usize> {
    let fits = |place: &usize| {
        let plumbing = &table.plumbing[*place];
        plumbing.calls.iter().any(|call| call == name) && arguments.contains(&plumbing.with)
    };
    let places = (0..table.plumbing.len()).filter(fits);
    places.max_by_key(|place| table.plumbing[*place].with.len())
}

/// A kind of namespace, or of clone, that no row is about: a row about another flag of the same call
/// does not excuse it.
fn unlisted_namespace<'a>(table: &Table, arguments: &'a str) -> Option<&'a str> {
    let mut words = arguments.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.find(|word| {
        let is_kind = word.starts_with("CLONE_NEW") || word.starts_with("CLONE_INTO");
        is_kind && table.lesson.iter().all(|lesson| lesson.with != *word)
    })
}

#[cfg(test)]
mod tests {
    use calls::{Lesson, Plumbing, Table};

    use super::{Call, Seen};

    fn table() -> Table {
        let lesson = |step, call: &str, with: &str| Lesson {
            step,
            call: call.into(),
            also: Vec::new(),
            with: with.into(),
            shown: None,
            function: None,
            what: "it is for this".into(),
            man: String::new(),
            under: String::new(),
        };
        let plumbing = |since, call: &str, with: &str| Plumbing {
            sometimes: false,
            since,
            calls: vec![call.into()],
            with: with.into(),
            why: String::new(),
        };
        Table {
            lesson: vec![lesson(1, "clone3", "CLONE_NEWUTS"), lesson(2, "chroot", "")],
            plumbing: vec![plumbing(0, "brk", ""), plumbing(1, "ioctl", "FIONBIO")],
        }
    }

    fn seen(calls: &[(&str, &str)]) -> Seen {
        let call = |(name, arguments): &(&str, &str)| Call {
            process: 0,
            name: name.to_string(),
            arguments: arguments.to_string(),
        };
        Seen::of(&table(), &calls.iter().map(call).collect::<Vec<_>>())
    }

    const STEP_1: [(&str, &str); 3] =
        [("brk", "NULL"), ("clone3", "{flags=CLONE_NEWUTS}"), ("ioctl", "3, FIONBIO, [1]")];

    #[test]
    fn a_step_does_what_its_chapter_says() {
        let step_1 = seen(&STEP_1);
        assert_eq!(step_1.complaints(&table(), 1), [""; 0]);
        let told = step_1.tell(&table(), 1, &seen(&STEP_1[..1]));
        let row = format!("  {:32} it is for this", "clone3 CLONE_NEWUTS");
        assert_eq!(told, format!("step 1\n{row}\n  plumbing: ioctl\n"));
    }

    #[test]
    fn what_is_not_done_is_told() {
        let expected = [
            "chapter 1 explains clone3 CLONE_NEWUTS, which step 1 does not make",
            "ioctl is plumbing of step 1, which does not make it",
        ];
        assert_eq!(seen(&STEP_1[..1]).complaints(&table(), 1), expected);
    }

    #[test]
    fn what_is_done_too_early_or_without_a_reason_is_told() {
        let more = [
            ("chroot", "\"/\""),
            ("ioctl", "0, TCGETS"),
            ("clone3", "{flags=CLONE_NEWUTS|CLONE_NEWNET}"),
        ];
        let expected = [
            "step 1 makes chroot, which is chapter 2's",
            "step 1 makes clone3 CLONE_NEWNET, which is in no chapter, nor plumbing: ({flags=CLONE_NEWUTS|CLONE_NEWNET})",
            "step 1 makes ioctl, which is in no chapter, nor plumbing: (0, TCGETS)",
        ];
        assert_eq!(seen(&[&STEP_1[..], &more].concat()).complaints(&table(), 1), expected);
        let early = seen(&STEP_1).complaints(&table(), 0);
        assert!(early.contains(&"step 0 makes ioctl, which is plumbing of step 1".to_string()));
    }
}
