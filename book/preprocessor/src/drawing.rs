//! Drawings: ASCII art in the text becomes a picture, in the colours of the page.

use anyhow::{Result, ensure};
use svgbob::Settings;

use crate::highlight::escape;

/// The picture; `words` say what it shows, for those who can't see it.
pub fn svg(drawing: &str, words: &str) -> Result<String> {
    ensure!(!words.is_empty(), "a drawing needs words: ```svgbob WHAT IT SHOWS");
    let settings = Settings {
        background: "none".into(),
        fill_color: "currentColor".into(),
        stroke_color: "currentColor".into(),
        ..Settings::default()
    };
    let svg = svgbob::to_svg_with_settings(drawing, &settings);
    // An empty line would end the HTML in the Markdown.
    let svg: Vec<&str> = svg.lines().filter(|line| !line.trim().is_empty()).collect();
    let svg = svg.join("\n");
    Ok(format!(
        "<figure class=\"drawing\" role=\"img\" aria-label=\"{}\">\n{svg}\n</figure>\n",
        escape(words)
    ))
}
