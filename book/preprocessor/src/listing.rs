//! A piece of a step's source as HTML: new lines marked, old ones dim, and folded where there are many.

use std::ops::Range;
use std::path::Path;

use crate::highlight::escape;
use crate::sources::{File, Line};

/// Old lines in a row that stay open at both ends of a fold.
const KEPT: usize = 3;
/// Fewer lines are not worth a fold.
const LEAST_FOLD: usize = 6;

/// These lines of a file, under a line that says where they stand.
pub fn listing(file: &File, ranges: &[Range<usize>]) -> String {
    let colours = file.colours();
    // A method stands between the lines of its `impl`.
    let shown = ranges[ranges.len() / 2].clone();
    let mut html = format!(
        "<figure class=\"listing\">\n<figcaption><a href=\"{}#L{first}\">{}</a>, lines {first} to {}</figcaption>\n",
        page(&file.path),
        file.path.display(),
        shown.end,
        first = shown.start + 1,
    );
    for (index, range) in ranges.iter().enumerate() {
        let is_apart = index > 0 && ranges[index - 1].end < range.start;
        if is_apart {
            html += "<p class=\"listing-gap\">⋮</p>\n";
        }
        html += &pieces(file, colours, range.clone());
    }
    html + "</figure>\n"
}

/// Where the page of a source file is, from a chapter's. `path` is the file's, from the checkout on.
pub fn page(path: &Path) -> String {
    format!("source/{}", path.with_extension("html").display())
}

/// Lines in a row, long runs of old ones folded.
fn pieces(file: &File, colours: &[String], range: Range<usize>) -> String {
    let is_old = |index: &usize| !file.lines[*index].is_new && file.lines[*index].gone.is_empty();
    let has_new = range.clone().any(|index| !is_old(&index));
    let (mut html, mut at) = (String::new(), range.start);
    let mut open = at; // where the block that is not closed yet begins
    while has_new && at < range.end {
        let run = (at..range.end).take_while(is_old).count();
        let (kept_before, kept_after) = (
            if at == range.start { 1 } else { KEPT },
            if at + run == range.end { 1 } else { KEPT },
        );
        if run >= kept_before + LEAST_FOLD + kept_after {
            let fold = at + kept_before..at + run - kept_after;
            html += &block(file, colours, open..fold.start);
            html += &format!("<details><summary>{} lines as before</summary>\n", fold.len());
            html += &block(file, colours, fold.clone());
            html += "</details>\n";
            open = fold.end;
        }
        at += run.max(1);
    }
    html + &block(file, colours, open..range.end)
}

fn block(file: &File, colours: &[String], range: Range<usize>) -> String {
    let lines: String = range.map(|index| line(&file.lines[index], &colours[index])).collect();
    match lines.is_empty() {
        true => String::new(),
        false => format!("<pre><code class=\"nohighlight\">{lines}</code></pre>\n"),
    }
}

fn line(line: &Line, colours: &str) -> String {
    let gone = |text: &String| format!("<del class=\"line gone\">{}</del>", shown(&escape(text)));
    let mut html: String = line.gone.iter().map(gone).collect();
    html += &match line.is_new {
        true => format!("<ins class=\"line new\">{}</ins>", shown(colours)),
        false => format!("<span class=\"line\">{}</span>", shown(colours)),
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
    format!("<pre><code class=\"nohighlight\">{lines}</code></pre>\n")
}
