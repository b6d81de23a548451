//! The line check: every line that a step adds is shown in its chapter, on whichever page.

use std::collections::HashSet;
use std::fmt::{self, Display};

use anyhow::{Context, Result};
use pages::Pages;

use crate::directives::{code, directive};
use sources::{File, Sources};

/// What of each step its chapter shows.
pub struct Coverage {
    chapters: Vec<Chapter>,
}

struct Chapter {
    step: u8,
    /// Lines that the step adds.
    added: usize,
    /// `path:line: text` of those that the chapter does not show.
    missing: Vec<String>,
}

impl Coverage {
    pub fn of(pages: &Pages, sources: &Sources) -> Result<Coverage> {
        let chapter = |(step, files): (u8, &sources::Step)| {
            let mut shown = HashSet::new();
            for page in pages.of_step(step) {
                for code in page.text.lines().filter_map(directive).filter_map(code) {
                    let place = || format!("{}.md: {code:?}", page.name);
                    let file = files.file(code.module()).with_context(place)?;
                    let piece = code.piece(file).with_context(place)?;
                    let lines = piece.ranges().into_iter().flatten();
                    shown.extend(lines.map(|line| (code.module(), line)));
                }
            }
            let (mut added, mut missing) = (0, Vec::new());
            for (module, file) in &files.files {
                for line in added_lines(file) {
                    added += 1;
                    if !shown.contains(&(module.as_str(), line)) {
                        let text = &file.lines[line].text;
                        missing.push(format!("{}:{}: {text}", file.path.display(), line + 1));
                    }
                }
            }
            Ok(Chapter { step, added, missing })
        };
        Ok(Coverage { chapters: sources.iter().map(chapter).collect::<Result<_>>()? })
    }

    pub fn is_whole(&self) -> bool {
        self.chapters.iter().all(|chapter| chapter.missing.is_empty())
    }
}

/// The new lines of a file, tests and empty lines apart. Tests may have a file of their own.
fn added_lines(file: &File) -> impl Iterator<Item = usize> {
    let is_tests = file.path.ends_with("tests.rs");
    (0..file.lines.len()).filter(move |index| {
        let line = &file.lines[*index];
        let is_test = file.items.tests.iter().any(|tests| tests.contains(index));
        line.is_new && !is_tests && !is_test && !line.text.trim().is_empty()
    })
}

impl Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        for Chapter { step, added, missing } in &self.chapters {
            missing.iter().try_for_each(|line| writeln!(f, "{line}"))?;
            let shown = added - missing.len();
            writeln!(f, "chapter {step} shows {shown} of the {added} lines that step {step} adds")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn what_one_page_does_not_show_another_page_of_the_step_may() {
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let sources = Sources::read(&checkout).unwrap();
        let missing = |pages: &[(&str, &str)]| {
            let coverage = Coverage::of(&Pages::of(pages), &sources).unwrap();
            let missing = coverage.chapters.into_iter().nth(4).unwrap().missing;
            ["pid1.rs", "lib.rs"].map(|file| missing.iter().any(|line| line.contains(file)))
        };
        let [first, more] = ["{{#module pid1}}", "{{#module lib}}"];
        assert_eq!(missing(&[("step4", first)]), [false, true]);
        assert_eq!(missing(&[("step4", first), ("step4-mounts", more)]), [false, false]);
        assert_eq!(missing(&[("step4", first), ("glossary", more)]), [false, true]);
    }
}
