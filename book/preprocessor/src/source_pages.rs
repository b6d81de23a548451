//! A page for each source file, for the links above the listings.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::listing::page;
use crate::sources::{File, Sources};

/// Writes the pages into the built book.
pub fn write(sources: &Sources, built: &Path) -> Result<()> {
    for (number, step) in sources.iter() {
        for (module, file) in &step.files {
            let path = built.join(page(number, module));
            let directory = path.parent().context("a page lies in a directory")?;
            fs::create_dir_all(directory).with_context(|| format!("make {directory:?}"))?;
            fs::write(&path, html(number, file)).with_context(|| format!("write {path:?}"))?;
        }
    }
    Ok(())
}

fn html(step: u8, file: &File) -> String {
    let lines: String = (1..)
        .zip(file.colours())
        .map(|(number, html)| {
            format!("<span class=\"line\" id=\"L{number}\"><a href=\"#L{number}\">{number:4}</a> {html}</span>\n")
        })
        .collect();
    PAGE.replace("STEP", &step.to_string())
        .replace("PATH", &file.path.display().to_string())
        .replace("LINES", &lines)
}

/// Themed as the reader has chosen in the book.
const PAGE: &str = r#"<!DOCTYPE html>
<html lang="en" class="light">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>PATH</title>
<link rel="icon" href="../../favicon.svg">
<link rel="stylesheet" href="../../css/variables.css">
<link rel="stylesheet" href="../../css/general.css">
<link rel="stylesheet" href="../../highlight.css" id="light">
<link rel="stylesheet" href="../../tomorrow-night.css" id="dark" disabled>
<link rel="stylesheet" href="../../theme/listing.css">
<script>
const theme = (localStorage.getItem("mdbook-theme") || "").replaceAll('"', "")
    || (matchMedia("(prefers-color-scheme: dark)").matches ? "navy" : "light");
document.documentElement.className = theme;
const isDark = ["navy", "coal", "ayu"].includes(theme);
document.getElementById("light").disabled = isDark;
document.getElementById("dark").disabled = !isDark;
</script>
</head>
<body class="source">
<p><a href="../../stepSTEP.html">Chapter STEP</a></p>
<h1>PATH</h1>
<pre><code class="hljs">LINES</code></pre>
</body>
</html>
"#;
