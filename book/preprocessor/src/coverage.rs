//! The line check: every line that a step adds is shown in its chapter.

use std::collections::HashSet;
use std::fmt::{self, Display};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

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
    pub fn of(chapters: &Path, sources: &Sources) -> Result<Coverage> {
        let chapter = |(step, files): (u8, &sources::Step)| {
            let path = chapters.join(format!("step{step}.md"));
            let text = fs::read_to_string(&path).with_context(|| format!("read {path:?}"))?;
            let mut shown = HashSet::new();
            for code in text.lines().filter_map(directive).filter_map(code) {
                let file = files.file(code.module())?;
                let piece = code.piece(file).with_context(|| format!("{path:?}: {code:?}"))?;
                let lines = piece.ranges().into_iter().flatten();
                shown.extend(lines.map(|line| (code.module(), line)));
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

/// The new lines of a file, tests and empty lines apart.
fn added_lines(file: &File) -> impl Iterator<Item = usize> {
    (0..file.lines.len()).filter(|index| {
        let line = &file.lines[*index];
        let is_test = file.items.tests.iter().any(|tests| tests.contains(index));
        line.is_new && !is_test && !line.text.trim().is_empty()
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
