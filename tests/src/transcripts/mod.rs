//! The command check: every command of the book's transcripts is typed in the VM, and prints what the book shows.
//!
//! A transcript is a code block of the kind `console`. `$ ` stands before what is typed (`> ` before the further lines of
//! a here-document), and the rest is what the terminal shows then: both outputs, and no exit status unless a command
//! prints it. What the shell says about its jobs (`[1] 4711`) is left out.
//!
//! The transcripts of a page are typed in order, at the prompt of one shell on a terminal, as `./just vm` gives it:
//! in a fresh VM, root's; the transcripts that say `ada` in another VM, whose shell is `./just vm --user ada`. So a
//! command sees what the commands before it on its page have left, and nothing of other pages: one can begin with any.
//! Words behind `console` say what else is special:
//!
//! ```text
//!     ada           typed by ada, and not by root
//!     pipe          the commands write to a pipe and not to the terminal
//!     registry      on the first of a VM: `./just registry` runs at localhost:5000; as on a reader's own machine
//!                   the home of ada is on a disk, and she has sudo. (`./just step` and `trace` are in every VM.)
//!     host          run in the checkout, where it must succeed; the transcript shows nothing of what it prints
//!     shows=TEXT    instead of that: it must print this
//!     varies=A,B    A and B differ from run to run, see below
//!     unordered     the lines of a command may come in another order: they are from processes or threads side by side
//!     play          the page can play it: book/recordings has when each line came; there is one for each step and one for
//!                   the introduction
//! ```
//!
//! Everything must be as it stands in the book, but for the words that `varies` names. Such a word may be another one
//! of its kind: a number for a number, as many letters and digits for a word with letters in it. It is the same one in
//! the whole page, and (unless it is short) none of the others that the transcript shows. `b129…` stands for every word that begins so,
//! a digest and its short form (each digest has to be named so, because the images are built from packages); `~2000` for a
//! number within a fifth of this one.
//!
//! With `INSTA_UPDATE=always` a transcript that differs takes what the VM has shown, and so does its recording.

mod fence;
mod names;
mod recording;
mod shell;

use std::fs;
use std::iter;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use pages::{Page, Pages};
use serde::{Deserialize, Serialize};
use shared::{Error, Explain};

use crate::as_typed;
use crate::remembered::Print;
use fence::{Command, Fence};
use names::Names;
use shell::{Printed, Shell};

/// What came of a page's transcripts.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// Commands that printed what the book shows.
    pub kept: usize,
    /// What is wrong, with its place.
    pub broken: Vec<String>,
    /// What was rewritten.
    pub accepted: usize,
    /// A command did not end.
    pub hung: bool,
}

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The pages with transcripts, in the book's order.
///
/// # Errors
///
/// The book can't be read.
pub fn pages() -> Result<Vec<Page>, Error> {
    let pages = Pages::read(&checkout().join("book/src")).map_err(|e| Error::new(e.to_string()))?;
    Ok(pages.iter().filter(|page| page.text.contains(fence::OPEN)).cloned().collect())
}

/// The pages that a name means: `chapter4` all that are about step 4, `chapter4-mounts` one of them; a page outside of
/// the steps' chapters has its own name.
pub fn named(all: &[Page], name: &str) -> Vec<Page> {
    let is_meant = |page: &&Page| title(page) == name || chapter(page) == name;
    all.iter().filter(is_meant).cloned().collect()
}

/// How one page is called: `chapter4-mounts`.
pub fn title(page: &Page) -> String {
    page.name.replace("step", "chapter")
}

/// How all pages of its step are called: `chapter4`.
fn chapter(page: &Page) -> String {
    page.step().map_or_else(|| title(page), |step| format!("chapter{step}"))
}

/// Where it is, from the checkout on.
fn path(page: &Page) -> PathBuf {
    Path::new("book/src").join(&page.name).with_extension("md")
}

/// Adds what a page's outcome depends on besides the programs in the VM: its transcripts, and the images of its registry.
/// False: some of them are run in the checkout, and depend on all of it.
///
/// # Errors
///
/// The page's transcripts make no sense, or the images can't be made.
pub fn add_to(page: &Page, print: &mut Print) -> Result<bool, Error> {
    let mut fences = fences_of(page)?;
    if fences.iter().any(|fence| fence.registry) {
        print.folder(&shell::images()?.0)?;
    }
    for fence in &mut fences {
        // Where they stand says nothing about what they print.
        fence.line = 0;
        for command in &mut fence.commands {
            command.line = 0;
        }
        print.text(&format!("{fence:?}"));
    }
    Ok(!fences.iter().any(|fence| fence.host))
}

fn fences_of(page: &Page) -> Result<Vec<Fence>, Error> {
    fence::fences(&page.text)
        .map_err(|error| Error::new(format!("{}:{error}", path(page).display())))
}

/// Types a page's transcripts; with `accept`, the page takes what differs.
///
/// # Errors
///
/// The page's transcripts make no sense, a VM does not start, or a file can't be written.
pub fn check(page: &Page, accept: bool) -> Result<Outcome, Error> {
    let fences = fences_of(page)?;
    let mut run = Run { page, accept, outcome: Outcome::default(), edits: Vec::new() };
    for ada in [false, true] {
        run.user(
            &fences.iter().filter(|fence| !fence.host && fence.ada == ada).collect::<Vec<_>>(),
        )?;
    }
    for fence in fences.iter().filter(|fence| fence.host) {
        run.on_host(fence)?;
    }
    if !run.edits.is_empty() {
        let path = checkout().join(path(page));
        let text = rewritten(&page.text, &mut run.edits);
        fs::write(&path, text).explain(format_args!("write {}", path.display()))?;
    }
    Ok(run.outcome)
}

/// Lines of a page (the first, how many) and what takes their place.
type Edit = (usize, usize, Vec<String>);

struct Run<'a> {
    page: &'a Page,
    accept: bool,
    outcome: Outcome,
    edits: Vec<Edit>,
}

impl Run<'_> {
    /// The transcripts of one user, in a VM.
    fn user(&mut self, fences: &[&Fence]) -> Result<(), Error> {
        let [first, rest @ ..] = fences else { return Ok(()) };
        if let Some(late) = rest.iter().find(|fence| fence.registry) {
            self.broken(late.line, "`registry` is for the first transcript of a VM");
        }
        let mut shell = Shell::start(first)?;
        let mut names = Names::default();
        for fence in fences {
            let mut all = Vec::new();
            for command in &fence.commands {
                let printed = shell.run(&command.typed, fence.pipe)?;
                self.compare(fence, command, &printed, &mut names);
                if !printed.ended {
                    let vm = shell.last_words();
                    let what = format!("it does not end: what follows was not typed ({vm})");
                    self.broken(command.line, &what);
                    self.outcome.hung = true;
                    return Ok(());
                }
                all.push(printed);
            }
            if fence.play && self.accept {
                self.record(fence, &all)?;
            }
        }
        Ok(())
    }

    fn compare(&mut self, fence: &Fence, command: &Command, printed: &Printed, names: &mut Names) {
        let shown: Vec<&str> = fence.printed().collect();
        let lines = if fence.unordered {
            in_order(fence, command, &printed.lines, names, &shown)
        } else {
            printed.lines.clone()
        };
        let longest = command.printed.len().max(lines.len());
        let differs = (0..longest).find(|line| {
            let (expected, seen) = (command.printed.get(*line), lines.get(*line));
            let mut agree = |expected: &String, seen: &String| {
                names.agree(&tabs_expanded(expected), seen, &fence.varies, &shown)
            };
            !expected.zip(seen).is_some_and(|(expected, seen)| agree(expected, seen))
        });
        let Some(line) = differs else { return self.outcome.kept += 1 };
        if self.accept && printed.ended {
            self.outcome.accepted += 1;
            self.outcome.kept += 1;
            return self.edits.push((
                command.printed_at(),
                command.printed.len(),
                printed.lines.clone(),
            ));
        }
        let or_nothing =
            |line: Option<&String>| line.map_or("nothing more".into(), |line| format!("|{line}"));
        let (expected, seen) = (command.printed.get(line), lines.get(line));
        let line = command.printed_at() + line;
        self.differs(line, &command.typed[0], &or_nothing(expected), &or_nothing(seen));
    }

    fn differs(&mut self, line: usize, typed: &str, expected: &str, seen: &str) {
        self.broken(
            line,
            &format!("$ {typed}\n        expected  {expected}\n        seen      {seen}"),
        );
    }

    fn broken(&mut self, line: usize, what: &str) {
        self.outcome.broken.push(format!("{}:{line}: {what}", path(self.page).display()));
    }

    /// The commands for the checkout.
    fn on_host(&mut self, fence: &Fence) -> Result<(), Error> {
        for command in &fence.commands {
            let typed = command.typed.join("\n");
            let output = as_typed("bash")
                .args(["-c", &typed])
                .current_dir(checkout())
                .stdin(Stdio::null())
                .output()
                .explain("run bash")?;
            let printed = String::from_utf8_lossy(&output.stdout);
            let wanted = fence.shows.as_ref();
            if wanted.map_or(output.status.success(), |text| printed.contains(text)) {
                self.outcome.kept += 1
            } else {
                let expected =
                    wanted.map_or("success".into(), |text| format!("{text:?} in what it prints"));
                let said = String::from_utf8_lossy(&output.stderr);
                let seen =
                    format!("{}: {}", output.status, said.lines().last().unwrap_or_default());
                self.differs(command.line, &typed, &expected, &seen);
            }
        }
        Ok(())
    }

    /// Records a transcript that has just been played, if that is wanted.
    fn record(&self, fence: &Fence, all: &[Printed]) -> Result<(), Error> {
        let mut lines = Vec::new();
        for (command, printed) in fence.commands.iter().zip(all) {
            let typed = (printed.typed - all[0].typed).as_secs_f64();
            let marks = iter::once("$ ").chain(iter::repeat("> "));
            lines.extend(
                marks.zip(&command.typed).map(|(mark, line)| (typed, format!("{mark}{line}"))),
            );
            // As the page has it: what varies is not this run's.
            let edit = self.edits.iter().find(|(first, ..)| *first == command.printed_at());
            let shown = edit.map_or(&command.printed, |(.., lines)| lines);
            let times = printed.times.iter().map(|time| typed + time);
            lines.extend(times.zip(shown.iter().cloned()));
        }
        let name = recorded_as(self.page);
        let path = checkout().join("book/recordings").join(&name).with_extension("cast");
        recording::write(&path, &name, (shell::ROWS, shell::COLUMNS.get()), &lines)
    }
}

/// The name of a recording: a step has one, whichever of its pages plays it.
fn recorded_as(page: &Page) -> String {
    page.step().map_or_else(|| page.name.clone(), |step| format!("step{step}"))
}

/// The lines that were seen in the order of the book's; at the end those that the book does not have.
fn in_order(
    fence: &Fence,
    command: &Command,
    seen: &[String],
    names: &Names,
    shown: &[&str],
) -> Vec<String> {
    let (mut names, mut rest) = (names.clone(), seen.to_vec());
    let mut lines = Vec::new();
    for expected in &command.printed {
        let expected = tabs_expanded(expected);
        let is_it = |seen: &String| names.agree(&expected, seen, &fence.varies, shown);
        if let Some(at) = rest.iter().position(is_it) {
            lines.push(rest.remove(at));
        }
    }
    lines.extend(rest);
    lines
}

/// As a terminal shows them.
fn tabs_expanded(line: &str) -> String {
    let mut expanded = String::new();
    for character in line.chars() {
        match character {
            '\t' => expanded += &" ".repeat(8 - expanded.chars().count() % 8),
            other => expanded.push(other),
        }
    }
    expanded
}

/// The text with the edits, of which no two concern the same lines.
fn rewritten(text: &str, edits: &mut [Edit]) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    edits.sort();
    for (first, count, new) in edits.iter().rev() {
        lines.splice(first - 1..first - 1 + count, new.iter().map(String::as_str));
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_all_transcripts_make_sense() {
        let pages = pages().unwrap();
        assert!(pages.len() > 9, "{pages:?}");
        for page in pages {
            let fences = fence::fences(&page.text);
            fences.unwrap_or_else(|error| panic!("{}:{error}", path(&page).display()));
        }
    }

    #[test]
    fn a_chapter_is_all_pages_of_its_step_with_one_recording() {
        let names = ["introduction", "step4", "step4-mounts", "step4-dev", "step5"];
        let all = names.map(|name| Page { name: name.into(), text: String::new() });
        for (name, expected) in [
            ("chapter4", &["step4", "step4-mounts", "step4-dev"][..]),
            ("chapter4-mounts", &["step4-mounts"]),
            ("chapter5", &["step5"]),
            ("introduction", &["introduction"]),
            ("chapter6", &[]),
            ("4", &[]),
        ] {
            let found = named(&all, name);
            assert_eq!(found.iter().map(|page| &page.name).collect::<Vec<_>>(), expected);
        }
        assert_eq!(title(&all[2]), "chapter4-mounts");
        assert_eq!(recorded_as(&all[2]), "step4");
        assert_eq!(path(&all[2]), Path::new("book/src/step4-mounts.md"));
    }

    #[test]
    fn lines_that_come_side_by_side_are_put_in_the_books_order() {
        let text = "```console unordered varies=b1…,~179,~9000\n$ pull\nlayer b129 of 179\nlayer c5a0 of 9000\n```\n";
        let fences = fence::fences(text).unwrap();
        let shown: Vec<&str> = fences[0].printed().collect();
        let seen = ["layer c5a0 of 8990", "more", "layer d0a5 of 180"].map(String::from);
        let lines = in_order(&fences[0], &fences[0].commands[0], &seen, &Names::default(), &shown);
        assert_eq!(lines, ["layer d0a5 of 180", "layer c5a0 of 8990", "more"]);
    }

    #[test]
    fn an_edit_takes_the_place_of_what_was_printed() {
        let mut edits = vec![(4, 1, vec!["3".into(), "4".into()]), (2, 0, vec!["new".into()])];
        assert_eq!(rewritten("a\nb\nc\nd\ne\n", &mut edits), "a\nnew\nb\nc\n3\n4\ne\n");
    }

    #[test]
    fn tabs_are_as_wide_as_on_a_terminal() {
        assert_eq!(tabs_expanded("CapEff:\t0"), "CapEff: 0");
        assert_eq!(tabs_expanded("12345678\t0"), "12345678        0");
    }
}
