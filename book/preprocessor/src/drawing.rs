//! Drawings: ASCII art in the text becomes a picture, in the colours of the page.

use anyhow::{Result, ensure};
use svgbob::Settings;

use crate::highlight::escape;

/// Width and height of a character, in pixels. The style sheet has a font that fits.
const CELL: (usize, usize) = (8, 16);

/// The picture; `words` say what it shows, for those who can't see it.
pub fn svg(drawing: &str, words: &str) -> Result<String> {
    ensure!(!words.is_empty(), "a drawing needs words: ```svgbob WHAT IT SHOWS");
    let settings = Settings {
        background: "none".into(),
        fill_color: "currentColor".into(),
        stroke_color: "currentColor".into(),
        ..Settings::default()
    };
    // Left alone, svgbob measures the lines alone: words in quotes would be cut off.
    let columns = drawing.lines().map(|line| line.chars().count()).max().unwrap_or_default();
    let size = (CELL.0 * (columns + 2), CELL.1 * (drawing.lines().count() + 1));
    let svg = svgbob::to_svg_with_override_size(drawing, &settings, size.0 as f32, size.1 as f32);
    // An empty line would end the HTML in the Markdown.
    let svg: Vec<&str> = svg.lines().filter(|line| !line.trim().is_empty()).collect();
    let svg = svg.join("\n");
    Ok(format!(
        "<figure class=\"drawing\" role=\"img\" aria-label=\"{}\">\n{svg}\n</figure>\n",
        escape(words)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_is_as_wide_as_its_longest_line() {
        let picture = svg("  +--  \"a long remark\"", "a line").unwrap();
        assert!(picture.contains("width=\"192\" height=\"32\""), "{picture}");
    }

    #[test]
    fn a_drawing_has_words() {
        assert!(svg("--", "").is_err());
    }
}
