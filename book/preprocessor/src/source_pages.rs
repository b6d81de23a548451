//! A page for each source file, for the links above the listings.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use pages::{Page, Pages};

use crate::directives::{code, directive};
use crate::highlight::rust;
use crate::listing::{colours, page};
use sources::{Sources, files};

/// Other sources that chapters point to.
const OTHERS: [&str; 2] = ["shared", "tests/src/bin"];

/// Writes the pages into the built book.
pub fn write(sources: &Sources, pages: &Pages, checkout: &Path, built: &Path) -> Result<()> {
    for (number, step) in sources.iter() {
        for (module, file) in &step.files {
            write_page(built, &file.path, &colours(file), back(pages, number, module))?;
        }
    }
    for path in OTHERS.map(|directory| files(&checkout.join(directory), "rs")) {
        for path in path? {
            let text = fs::read_to_string(&path).with_context(|| format!("read {path:?}"))?;
            let lines = rust(&text.lines().collect::<Vec<_>>());
            write_page(built, path.strip_prefix(checkout)?, &lines, "index")?;
        }
    }
    Ok(())
}

/// The page of a step that shows this module first; if none does, because the step has not changed it, the first page.
fn back<'a>(pages: &'a Pages, step: u8, module: &str) -> &'a str {
    let shows = |page: &&Page| {
        let mut codes = page.text.lines().filter_map(directive).filter_map(code);
        codes.any(|code| code.module() == module)
    };
    let page = pages.of_step(step).find(shows).or_else(|| pages.of_step(step).next());
    page.map_or("index", |page| &page.name)
}

fn write_page(built: &Path, path: &Path, lines: &[String], chapter: &str) -> Result<()> {
    let page = built.join(page(path));
    let directory = page.parent().context("a page lies in a directory")?;
    fs::create_dir_all(directory).with_context(|| format!("make {directory:?}"))?;
    // One level for `source` instead of the file.
    let root = "../".repeat(path.components().count());
    let lines: String = (1..)
        .zip(lines)
        .map(|(number, html)| {
            format!("<span class=\"line\" id=\"L{number}\"><a href=\"#L{number}\" tabindex=\"-1\">{number:4}</a> {html}</span>\n")
        })
        .collect();
    let html = PAGE
        .replace("ROOT/", &root)
        .replace("CHAPTER", chapter)
        .replace("PATH", &path.display().to_string())
        .replace("LINES", &lines);
    fs::write(&page, html).with_context(|| format!("write {page:?}"))
}

/// Themed as the reader has chosen in the book. Without the class `js`, mdBook's style sheet takes every theme for the
/// light one. The numbers of the lines are for the mouse: with the Tab key, some hundred of them would be in the way.
const PAGE: &str = r#"<!DOCTYPE html>
<html lang="en" class="light">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>PATH - Slipway: build a container engine</title>
<meta name="description" content="PATH, a source file of Slipway's container engine">
<link rel="icon" href="ROOT/favicon.svg">
<link rel="stylesheet" href="ROOT/css/variables.css">
<link rel="stylesheet" href="ROOT/css/general.css">
<link rel="stylesheet" href="ROOT/fonts/fonts.css">
<link rel="stylesheet" href="ROOT/highlight.css" id="light">
<link rel="stylesheet" href="ROOT/tomorrow-night.css" id="dark" disabled>
<link rel="stylesheet" href="ROOT/theme/listing.css">
<script>
const theme = (localStorage.getItem("mdbook-theme") || "").replaceAll('"', "")
    || (matchMedia("(prefers-color-scheme: dark)").matches ? "navy" : "light");
document.documentElement.className = `${theme} js`;
const isDark = ["navy", "coal", "ayu"].includes(theme);
document.getElementById("light").disabled = isDark;
document.getElementById("dark").disabled = !isDark;
</script>
</head>
<body class="source">
<p><a href="ROOT/CHAPTER.html">Back to the book</a></p>
<h1>PATH</h1>
<pre><code class="hljs">LINES</code></pre>
</body>
</html>
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_page_leads_back_to_the_page_that_shows_it() {
        let pages = Pages::of(&[
            ("step3", "{{#item rootfs a}}"),
            ("step4", "{{#item container a}}"),
            ("step4-mounts", "{{#item container b}}\n{{#module rootfs}}"),
        ]);
        for (module, expected) in
            [("container", "step4"), ("rootfs", "step4-mounts"), ("main", "step4")]
        {
            assert_eq!(back(&pages, 4, module), expected, "{module}");
        }
    }
}
