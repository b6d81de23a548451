//! The book's pages in its order, and the step that each is about.
//!
//! The pages of step 4 are its chapter, *chapter 4*: `step4.md` is the first, and more have a word behind the number
//! (`step4-mounts.md`). Only what book/src/SUMMARY.md lists is a page.

use std::fs;
use std::io;
use std::path::Path;

/// All pages.
#[derive(Clone, Debug)]
pub struct Pages {
    all: Vec<Page>,
}

/// One page.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// Its file's name without the ending: `step4-mounts`, `introduction`.
    pub name: String,
    /// Its Markdown.
    pub text: String,
}

impl Pages {
    /// Reads the pages below a folder, book/src.
    ///
    /// # Errors
    ///
    /// SUMMARY.md or a page that it lists can't be read; the error names the file.
    pub fn read(folder: &Path) -> io::Result<Pages> {
        let summary = read(&folder.join("SUMMARY.md"))?;
        let page = |name: &str| {
            let text = read(&folder.join(name).with_extension("md"))?;
            Ok(Page { name: name.into(), text })
        };
        Ok(Pages { all: listed(&summary).map(page).collect::<io::Result<_>>()? })
    }

    /// These pages; for tests.
    pub fn of(all: &[(&str, &str)]) -> Pages {
        let page =
            |(name, text): &(&str, &str)| Page { name: (*name).into(), text: (*text).into() };
        Pages { all: all.iter().map(page).collect() }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Page> {
        self.all.iter()
    }

    /// The pages of a step, in the book's order.
    pub fn of_step(&self, step: u8) -> impl Iterator<Item = &Page> {
        self.all.iter().filter(move |page| page.step() == Some(step))
    }

    /// The pages of a step that have a heading of this id.
    pub fn with_heading(&self, step: u8, id: &str) -> impl Iterator<Item = &Page> {
        self.of_step(step).filter(move |page| page.headings().any(|heading| anchor(heading) == id))
    }
}

impl Page {
    /// The step that it is about.
    pub fn step(&self) -> Option<u8> {
        step_of(&self.name)
    }

    /// Its headings of all levels, without those that a code block has (`# ` is a prompt, too).
    pub fn headings(&self) -> impl Iterator<Item = &str> {
        let mut in_block = false;
        let lines = self.text.lines().filter(move |line| {
            let is_fence = line.starts_with("```");
            in_block ^= is_fence;
            !in_block && !is_fence
        });
        lines.filter_map(|line| {
            let text = line.trim_start_matches('#');
            (text.len() < line.len()).then(|| text.strip_prefix(' ').map(str::trim)).flatten()
        })
    }
}

/// The step that a page of this name is about: `step4`, `step4-mounts`.
pub fn step_of(name: &str) -> Option<u8> {
    let rest = name.strip_prefix("step")?;
    let (number, word) = rest.split_once('-').unwrap_or((rest, "first"));
    let is_word = !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    is_word.then(|| number.parse().ok()).flatten()
}

/// The id that mdBook gives a heading.
pub fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || " _-".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

/// The names of the pages that a summary lists.
fn listed(summary: &str) -> impl Iterator<Item = &str> {
    summary.split("](").skip(1).filter_map(|rest| Some(rest.split_once(".md)")?.0))
}

fn read(path: &Path) -> io::Result<String> {
    fs::read_to_string(path)
        .map_err(|error| io::Error::new(error.kind(), format!("read {}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_has_a_first_page_and_more_with_a_word() {
        for (name, expected) in [
            ("step4", Some(4)),
            ("step4-mounts", Some(4)),
            ("step4-small-dev", Some(4)),
            ("step4-", None),
            ("step-4", None),
            ("step4mounts", None),
            ("glossary", None),
        ] {
            assert_eq!(step_of(name), expected, "{name}");
        }
    }

    #[test]
    fn a_heading_is_found_on_any_page_of_its_step_alone() {
        let pages = Pages::of(&[
            ("step3", "## mount\n"),
            ("step4", "# Step 4\n```console\n# mount\n```\n#mount\n"),
            ("step4-mounts", "### mount, `MS_BIND`\n\n## mount\n"),
        ]);
        let found = |step, id| pages.with_heading(step, id).map(|page| page.name.as_str()).next();
        assert_eq!(found(4, "mount"), Some("step4-mounts"));
        assert_eq!(found(3, "mount"), Some("step3"));
        assert_eq!(found(4, "step-4"), Some("step4"));
        assert_eq!(found(4, "mount-ms_bind"), Some("step4-mounts"));
        assert_eq!(found(5, "mount"), None);
    }

    #[test]
    fn anchors_are_mdbooks() {
        assert_eq!(anchor("/proc/PID/uid_map, gid_map"), "procpiduid_map-gid_map");
        assert_eq!(anchor("mount, of an overlay"), "mount-of-an-overlay");
    }

    #[test]
    fn the_pages_are_those_of_the_summary() {
        let pages = Pages::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../src")).unwrap();
        assert!(pages.iter().any(|page| page.name == "introduction"));
        for step in 0..=8 {
            let first = pages.of_step(step).next().unwrap();
            assert_eq!(first.name, format!("step{step}"), "a step's first page has no word");
        }
        assert!(Pages::read(Path::new("/nowhere")).unwrap_err().to_string().contains("SUMMARY.md"));
    }
}
