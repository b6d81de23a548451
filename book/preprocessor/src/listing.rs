//! A piece of a step's source as HTML: new lines marked, old ones dim, and folded where there are many.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::highlight::{escape, rust};
use sources::{File, Line};

/// Old lines in a row that stay open at both ends of a fold.
const KEPT: usize = 3;
/// Fewer lines are not worth a fold.
const LEAST_FOLD: usize = 6;

/// Something to show: lines of a file, and the lines that they stand between, `impl … {` and `}`.
pub struct Piece {
    pub lines: Range<usize>,
    pub around: Option<(Range<usize>, Range<usize>)>,
}

impl Piece {
    pub fn of(lines: Range<usize>) -> Piece {
        Piece { lines, around: None }
    }

    /// All that is shown.
    pub fn ranges(&self) -> Vec<Range<usize>> {
        match self.around.clone() {
            Some((above, below)) => vec![above, self.lines.clone(), below],
            None => vec![self.lines.clone()],
        }
    }
}

/// Pieces of a file, under a line that says where they stand.
pub fn listing(file: &File, pieces: &[Piece]) -> String {
    let starts = pieces.iter().map(|piece| piece.lines.start + 1);
    let ends = pieces.iter().map(|piece| piece.lines.end);
    let (first, last) = (starts.min().unwrap_or_default(), ends.max().unwrap_or_default());
    let lines =
        if first == last { format!("line {first}") } else { format!("lines {first} to {last}") };
    // Where all is new there is nothing to tell it from.
    let class = if file.is_new { "listing whole" } else { "listing" };
    let html = format!(
        "<figure class=\"{class}\">\n<figcaption><a href=\"{}#L{first}\">{}</a>, {lines}</figcaption>\n",
        page(&file.path),
        file.path.display(),
    );
    let mut blocks = Blocks { file, html, lines: String::new() };
    let mut end = None;
    for range in pieces.iter().flat_map(Piece::ranges) {
        if let Some(end) = end {
            blocks.add_gap(end, range.start);
        }
        end = Some(range.end);
        blocks.add_folded(range);
    }
    blocks.close();
    blocks.html + "</figure>\n"
}

/// Where the page of a source file is, from a chapter's. `path` is the file's, from the checkout on.
pub fn page(path: &Path) -> String {
    format!("source/{}", path.with_extension("html").display())
}

/// The lines of a step's file as HTML. Colouring takes a while, and the items of a file are shown one by one.
pub fn colours(file: &File) -> Rc<Vec<String>> {
    thread_local! {
        static DONE: RefCell<HashMap<PathBuf, Rc<Vec<String>>>> = RefCell::default();
    }
    let colour = || {
        let texts: Vec<&str> = file.lines.iter().map(|line| line.text.as_str()).collect();
        Rc::new(rust(&texts))
    };
    DONE.with_borrow_mut(|done| done.entry(file.path.clone()).or_insert_with(colour).clone())
}

/// Blocks of lines, with folds between them.
struct Blocks<'a> {
    file: &'a File,
    html: String,
    /// Those of the block that is not closed yet.
    lines: String,
}

impl Blocks<'_> {
    fn add(&mut self, range: Range<usize>) {
        let colours = colours(self.file);
        self.lines.extend(range.map(|index| line(&self.file.lines[index], &colours[index])));
    }

    /// Adds what stands for the lines that are left out: nothing but empty ones, or dots.
    fn add_gap(&mut self, from: usize, to: usize) {
        let between = self.file.lines.get(from..to);
        match between.filter(|lines| lines.iter().all(|line| line.text.is_empty())) {
            Some([]) => {}
            Some(_) => self.lines += "<span class=\"line\"> </span>",
            None => self.lines += "<span class=\"line\">    ⋮</span>",
        }
    }

    /// Adds lines, long runs of old ones folded.
    fn add_folded(&mut self, range: Range<usize>) {
        let lines = &self.file.lines;
        let is_old = |index: &usize| !lines[*index].is_new && lines[*index].gone.is_empty();
        let has_new = range.clone().any(|index| !is_old(&index));
        let mut at = range.start;
        while has_new && at < range.end {
            let run = (at..range.end).take_while(is_old).count();
            let before = if at == range.start { 1 } else { KEPT };
            let after = if at + run == range.end { 1 } else { KEPT };
            if run >= before + LEAST_FOLD + after {
                let fold = at + before..at + run - after;
                self.add(at..fold.start);
                self.close();
                self.html +=
                    &format!("<details><summary>{} lines as before</summary>\n", fold.len());
                self.add(fold.clone());
                self.close();
                self.html += "</details>\n";
                at = fold.end;
            }
            let open = (at..range.end).take_while(is_old).count().max(1);
            self.add(at..at + open);
            at += open;
        }
        self.add(at..range.end);
    }

    fn close(&mut self) {
        if !self.lines.is_empty() {
            self.html += &block(&self.lines);
            self.lines.clear();
        }
    }
}

fn block(lines: &str) -> String {
    format!("<pre><code class=\"hljs nohighlight\">{lines}</code></pre>\n")
}

fn line(line: &Line, colours: &str) -> String {
    let gone = |text: &String| format!("<del class=\"line gone\">{}</del>", shown(&escape(text)));
    let mut html: String = line.gone.iter().map(gone).collect();
    html += &if line.is_new {
        format!("<ins class=\"line new\">{}</ins>", shown(colours))
    } else {
        format!("<span class=\"line\">{}</span>", shown(colours))
    };
    html
}

/// In Markdown an empty line would end the HTML around it.
fn shown(html: &str) -> &str {
    if html.is_empty() { " " } else { html }
}

/// What `diff -u` says, as HTML.
pub fn diff(text: &str) -> String {
    let line = |line: &str| {
        let html = escape(line);
        match line.as_bytes().first() {
            Some(b'+') => format!("<ins class=\"line new\">{}</ins>", shown(&html[1..])),
            Some(b'-') => format!("<del class=\"line gone\">{}</del>", shown(&html[1..])),
            Some(b'@') => format!("<span class=\"line hunk\">{html}</span>"),
            _ => format!(
                "<span class=\"line\">{}</span>",
                shown(html.strip_prefix(' ').unwrap_or(&html))
            ),
        }
    };
    let lines: String = text.lines().map(line).collect();
    block(&lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows a file with 30 lines, of which the step changes line 5 and line 25 (counted from 1).
    fn shown(pieces: &[Piece]) -> String {
        let text = |new: &str| -> String {
            let line = |number| match number {
                5 | 25 => format!("const L{number}: u8 = {new};\n"),
                _ => format!("const L{number}: u8 = 0;\n"),
            };
            (1..=30).map(line).collect()
        };
        let file = |text: &str, old| File::new("main.rs".into(), text, old).unwrap();
        let old = file(&text("1"), None);
        listing(&file(&text("2"), Some(&old)), pieces)
    }

    #[test]
    fn every_line_is_there_once_and_old_ones_are_folded() {
        let html = shown(&[Piece::of(0..30)]);
        for number in 1..=30 {
            let count = html.matches(&format!(" L{number}:")).count();
            assert_eq!(count, if [5, 25].contains(&number) { 2 } else { 1 }, "line {number}");
        }
        assert_eq!(html.matches("<details>").count(), 1);
        assert!(html.contains("13 lines as before"), "{html}");
        assert_eq!(html.matches("<ins").count(), 2);
        assert_eq!(html.matches("<del").count(), 2);
    }

    #[test]
    fn what_is_left_out_is_a_line_of_dots() {
        let html = shown(&[0..1, 4..5, 5..6].map(Piece::of));
        assert_eq!(html.matches('⋮').count(), 1);
        assert_eq!(html.matches("<pre>").count(), 1);
        assert!(html.contains("lines 1 to 6<"), "{html}");
    }
}
