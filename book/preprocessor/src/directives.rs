//! What a chapter asks for, on a line of its own:
//!
//!     {{#item container child}}        an item of this chapter's step, from the module `container`;
//!                                      several on lines in a row, of one module, are one block
//!     {{#head container}}              what stands before the first item: documentation, `use`
//!     {{#module layer::sparse}}        a whole new module, folded
//!     {{#diff}}                        what the step adds to the one before
//!     {{#output step4-mount_table}}    a snapshot that a check holds
//!     {{#table isolation WHAT IT SAYS}}  the same for a snapshot that is a table of answers
//!     {{#list images WHAT IT SAYS}}      the same for one whose columns have nothing in common
//!     {{#figures}}            how often the engine was attacked, from the surveys' snapshots
//!     {{#calls}}                       the system calls that this page explains; outside of the steps' chapters all of them
//!     {{#plumbing}}                    the calls that no chapter is about
//!     {{#bench start-8}}               figures of `./just bench`; without a name, what was to be reached
//!
//! and drawings: a code block of the kind `drawing`, with what it shows in words after that; and transcripts: a code
//! block of the kind `console`, whose commands a check types, with words for that (tests/src/transcripts has them).
//! Of each step's transcripts one says `play`, on whichever page of the step.

use std::fs;
use std::iter;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use mdbook_preprocessor::book::{Book, Chapter};
use mdbook_preprocessor::{Preprocessor, PreprocessorContext};
use pages::Pages;

use crate::bench::Bench;
use crate::drawing;
use crate::explained;
use crate::figures;
use crate::highlight::escape;
use crate::listing::{self, Piece};
use crate::table;
use crate::transcript;
use sources::{File, Sources};

pub struct Directives {
    sources: Sources,
    pages: Pages,
    checkout: PathBuf,
}

/// A directive that shows code.
#[derive(Debug, PartialEq)]
pub enum Code<'a> {
    Item { module: &'a str, name: &'a str },
    Head { module: &'a str },
    Module { module: &'a str },
}

impl Directives {
    pub fn new(sources: Sources, pages: Pages, checkout: PathBuf) -> Directives {
        Directives { sources, pages, checkout }
    }

    fn expand(&self, chapter: &Chapter) -> Result<String> {
        let step = chapter.path.as_deref().and_then(step_of);
        let mut out = String::new();
        let mut lines = chapter.content.lines().peekable();
        while let Some(line) = lines.next() {
            if let Some(words) = line.strip_prefix("```drawing") {
                let drawing: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
                out += &drawing::svg(&drawing.join("\n"), words.trim())?;
            } else if let Some(words) = line.strip_prefix(transcript::OPEN) {
                let shown: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
                out += &if transcript::is_played(words) {
                    transcript::played(words, &shown, &self.recording(step))?
                } else {
                    transcript::block(words, &shown)
                };
            } else if let Some(directive) = directive(line) {
                let more: Vec<&str> = iter::from_fn(|| {
                    lines.next_if(|next| joins(line, next)).and_then(self::directive)
                })
                .collect();
                let html = match (directive, step) {
                    ("calls", Some(step)) => Ok(explained::of_page(step, &chapter.content)),
                    ("calls", None) => Ok(explained::of_book(&self.pages)),
                    ("plumbing", _) => Ok(explained::plumbing()),
                    ("bench", _) => Bench::read(&self.checkout).map(|bench| bench.bars()),
                    _ => self.html(step, directive, &more),
                };
                out += &html.with_context(|| format!("in {{{{#{directive}}}}}"))?;
            } else {
                out += &to_source_pages(line, &self.checkout);
            }
            out.push('\n');
        }
        Ok(out)
    }

    /// Where the recording of a step is; without a step that of the introduction.
    fn recording(&self, step: Option<u8>) -> PathBuf {
        let name = step.map_or(transcript::INTRODUCTION.into(), |step| format!("step{step}"));
        self.checkout.join("book/recordings").join(name).with_extension("cast")
    }

    /// `more` items stand in the same block.
    fn html(&self, step: Option<u8>, directive: &str, more: &[&str]) -> Result<String> {
        if let Some(name) = directive.strip_prefix("output ") {
            return Ok(format!("```text\n{}\n```\n", self.snapshot(name.trim())?.trim_end()));
        }
        if let Some(words) = directive.strip_prefix("table ") {
            let (name, about) = words.trim().split_once(' ').context("it needs words")?;
            return table::html(about, &self.snapshot(name)?, true);
        }
        if let Some(words) = directive.strip_prefix("list ") {
            let (name, about) = words.trim().split_once(' ').context("it needs words")?;
            return table::html(about, &self.snapshot(name)?, false);
        }
        if directive == "figures" {
            return figures::table(|name| self.snapshot(name));
        }
        if let Some(name) = directive.strip_prefix("bench ") {
            return Bench::read(&self.checkout)?.row(name.trim());
        }
        let number =
            step.context("only a page of a step, stepN.md or stepN-WORD.md, can show code")?;
        let step = self.sources.step(number)?;
        if directive == "diff" {
            return self.diff(number);
        }
        let code = code(directive).context("there is no such directive")?;
        let (module, file) = (code.module(), step.file(code.module())?);
        let mut pieces = vec![code.piece(file)?];
        for more in more.iter().filter_map(|more| self::code(more)) {
            pieces.push(more.piece(file)?);
        }
        let html = listing::listing(file, &pieces);
        Ok(match code {
            Code::Module { .. } => {
                let about = about(file);
                format!(
                    "<details><summary><code>{module}</code>: {about}</summary>\n{html}</details>\n"
                )
            }
            _ => html,
        })
    }

    fn diff(&self, number: u8) -> Result<String> {
        let mut html = String::new();
        for file in self.sources.step(number)?.files.values() {
            let (path, page) = (file.path.display(), listing::page(&file.path));
            let count =
                |sign: char| file.diff.lines().filter(|line| line.starts_with(sign)).count();
            if file.is_new {
                html += &format!(
                    "<p class=\"listing-new\"><a href=\"{page}\">{path}</a> is new: {} lines</p>\n",
                    file.lines.len()
                );
            } else if !file.diff.is_empty() {
                let (plus, minus) = (count('+'), count('-'));
                html += &format!(
                    "<details><summary><code>{path}</code>: +{plus} −{minus} lines</summary>\n<figure class=\"listing\">\n{}</figure>\n</details>\n",
                    listing::diff(&file.diff)
                );
            }
        }
        Ok(html)
    }

    /// The text that a snapshot holds.
    fn snapshot(&self, name: &str) -> Result<String> {
        let path = self.checkout.join("tests/snapshots").join(name).with_extension("snap");
        let text = fs::read_to_string(&path).with_context(|| format!("read {path:?}"))?;
        // The snapshot's own head ends with the second line of dashes.
        text.splitn(3, "---\n").nth(2).map(str::to_string).context("it is no snapshot")
    }
}

impl Preprocessor for Directives {
    fn name(&self) -> &str {
        "slipway"
    }

    fn run(&self, _: &PreprocessorContext, mut book: Book) -> Result<Book> {
        let mut result = transcript::one_a_step_is_played(&self.pages);
        book.for_each_chapter_mut(|chapter| {
            let place = chapter.path.clone().unwrap_or_default();
            match self.expand(chapter).with_context(|| place.display().to_string()) {
                Ok(content) => chapter.content = content,
                Err(error) => result = Err(error),
            }
        });
        result.map(|()| book)
    }
}

impl<'a> Code<'a> {
    pub fn module(&self) -> &'a str {
        match self {
            Code::Item { module, .. } | Code::Head { module } | Code::Module { module } => module,
        }
    }

    /// What it shows.
    pub fn piece(&self, file: &File) -> Result<Piece> {
        match self {
            Code::Head { .. } => Ok(Piece::of(trimmed(file, file.items.head.clone()))),
            Code::Module { .. } if !file.is_new => {
                bail!("the step before has this module: show its new items")
            }
            Code::Module { .. } => {
                let end = file.items.tests.first().map_or(file.lines.len(), |tests| tests.start);
                Ok(Piece::of(trimmed(file, 0..end)))
            }
            Code::Item { name, .. } => {
                let item = file.items.find(name)?;
                Ok(Piece { lines: item.lines.clone(), around: item.around.clone() })
            }
        }
    }
}

/// Lets links to sources, which work where one reads the chapters in the checkout, lead to the book's
/// pages of them. A directory has none; its first file has.
fn to_source_pages(line: &str, checkout: &Path) -> String {
    let mut parts = line.split("](../../");
    let mut out = parts.next().unwrap_or_default().to_string();
    for part in parts {
        let (path, rest) = part.split_once(')').unwrap_or((part, ""));
        let firsts = ["main.rs", "lib.rs", "mod.rs"].map(|name| Path::new(path).join(name));
        let file = firsts.into_iter().find(|file| checkout.join(file).is_file());
        out += &format!("]({}){rest}", listing::page(&file.unwrap_or_else(|| path.into())));
    }
    out
}

/// The first paragraph of a module's documentation, as HTML.
fn about(file: &File) -> String {
    let texts = file.lines.iter().map_while(|line| line.text.strip_prefix("//! "));
    let text = escape(&texts.collect::<Vec<_>>().join(" "));
    let pieces = text.split('`').enumerate();
    let mark = |(number, piece): (usize, &str)| match number % 2 {
        0 => piece.to_string(),
        _ => format!("<code>{piece}</code>"),
    };
    pieces.map(mark).collect()
}

/// Without the empty lines at the end.
fn trimmed(file: &File, range: Range<usize>) -> Range<usize> {
    let empty = range.clone().rev().take_while(|line| file.lines[*line].text.is_empty()).count();
    range.start..range.end - empty
}

/// The step that a page is about: `step4.md`, `step4-mounts.md`.
fn step_of(path: &Path) -> Option<u8> {
    pages::step_of(path.file_stem()?.to_str()?)
}

/// Whether the item of the second line belongs into the block of the first: both are of one module.
fn joins(line: &str, next: &str) -> bool {
    let module = |line| match directive(line).and_then(code) {
        Some(Code::Item { module, .. }) => Some(module),
        _ => None,
    };
    module(next).is_some() && module(line) == module(next)
}

/// What stands between {{# and }}, on a line of its own.
pub fn directive(line: &str) -> Option<&str> {
    line.strip_prefix("{{#")?.strip_suffix("}}")
}

/// Reads a directive that shows code.
pub fn code(directive: &str) -> Option<Code<'_>> {
    let (kind, rest) = directive.split_once(' ')?;
    match (kind, rest.trim().split_once(' ')) {
        ("item", Some((module, name))) => Some(Code::Item { module, name: name.trim() }),
        ("head", None) => Some(Code::Head { module: rest.trim() }),
        ("module", None) => Some(Code::Module { module: rest.trim() }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_sources_stay_in_the_book() {
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for (line, expected) in [
            ("a [b](c.md) d", "a [b](c.md) d"),
            ("[b](../../shared/src/size.rs), e", "[b](source/shared/src/size.html), e"),
            (
                "[b](../../steps/step7/src/layer) [c](../../steps/step0/src)",
                "[b](source/steps/step7/src/layer/mod.html) [c](source/steps/step0/src/main.html)",
            ),
        ] {
            assert_eq!(to_source_pages(line, &checkout), expected);
        }
    }

    #[test]
    fn a_directive_is_a_whole_line() {
        assert_eq!(
            directive("{{#item a b}}").and_then(code),
            Some(Code::Item { module: "a", name: "b" })
        );
        let name = "impl Drop for A";
        assert_eq!(code("item a impl Drop for A"), Some(Code::Item { module: "a", name }));
        assert_eq!(code("module a::b"), Some(Code::Module { module: "a::b" }));
        assert_eq!(directive("see {{#item a b}}"), None);
        assert_eq!(code("item a"), None);
        assert_eq!(code("include a"), None);
    }

    #[test]
    fn items_in_a_row_are_one_block_if_they_are_of_one_module() {
        assert!(joins("{{#item limits PERIOD}}", "{{#item limits impl Drop for A}}"));
        assert!(!joins("{{#item limits PERIOD}}", "{{#item cgroup ROOT}}"));
        assert!(!joins("{{#head limits}}", "{{#item limits PERIOD}}"));
        assert!(!joins("{{#item limits PERIOD}}", ""));
    }
}
