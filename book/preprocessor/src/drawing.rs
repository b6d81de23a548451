//! Drawings: ASCII art in the text becomes a picture, in the colours of the page.

use aasvg::RenderOptions;
use anyhow::{Result, ensure};

use crate::highlight::escape;

/// Width and height of a character, in pixels. The style sheet has a font that fits.
const CELL: (usize, usize) = (8, 16);

/// The picture; `words` say what it shows, for those who can't see it.
pub fn svg(drawing: &str, words: &str) -> Result<String> {
    ensure!(!words.is_empty(), "a drawing needs words: ```drawing WHAT IT SHOWS");
    let (mut lines, mut texts) = (String::new(), String::new());
    for (row, line) in drawing.lines().enumerate() {
        let (rest, words) = split(line);
        // What all lines begin with would be taken off; this letter is not, and like all letters not drawn.
        lines += &format!("x{rest}\n");
        for (column, word) in words {
            let (x, y) = ((column + 1) * CELL.0 + CELL.0 / 2, (row + 1) * CELL.1 + 4);
            texts += &format!("<text x=\"{x}\" y=\"{y}\">{}</text>\n", escape(&word));
        }
    }
    let svg = aasvg::render_with_options(&lines, &RenderOptions::new().with_disable_text(true));
    let svg = svg.replace("</svg>", &format!("{texts}</svg>"));
    // An empty line would end the HTML in the Markdown.
    let svg: Vec<&str> = svg.lines().filter(|line| !line.trim().is_empty()).collect();
    let svg = svg.join("\n");
    Ok(format!(
        "<figure class=\"drawing\" role=\"img\" aria-label=\"{}\">\n{svg}\n</figure>\n",
        escape(words)
    ))
}

/// A line of a drawing without its words, and the words with their columns. To aasvg the hyphen of
/// "Ctrl-C" would be a line, and a bracket an arc. What stands in quotes is one word, and begins
/// where they do.
fn split(line: &str) -> (String, Vec<(usize, String)>) {
    let characters: Vec<char> = line.chars().collect();
    let (mut rest, mut words) = (characters.clone(), Vec::new());
    let (mut at, mut word_end) = (0, None);
    while at < characters.len() {
        let to = |end: &[char]| {
            let length =
                characters[at + 1..].iter().take_while(|other| !end.contains(other)).count();
            at + 1 + length
        };
        let (end, word) = match characters[at] {
            '"' => (to(&['"']) + 1, Some(at + 1..to(&['"']))),
            ' ' | '|' => (at + 1, None),
            _ => {
                let end = to(&[' ', '|', '"']);
                // A slash after a word is a path; alone, it is a line.
                let is_path = characters[at..end] == ['/'] && word_end == at.checked_sub(1);
                (end, (is_path || is_word(&characters[at..end])).then_some(at..end))
            }
        };
        if let Some(word) = word {
            words.push((at, characters[word].iter().collect()));
            let end = end.min(characters.len());
            rest[at..end].fill(' ');
            word_end = Some(end);
        }
        at = end;
    }
    (rest.into_iter().collect(), words)
}

/// Letters alone may be the tips of arrows.
fn is_word(text: &[char]) -> bool {
    !matches!(text, ['v' | 'V' | 'o' | 'O']) && text.iter().any(|one| one.is_alphanumeric())
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

    #[test]
    fn words_are_not_drawn() {
        let word = |column, word: &str| (column, word.to_string());
        let (rest, words) = split("| ls -l | --> \"a - b\" v");
        assert_eq!(rest, "|       | -->         v");
        assert_eq!(words, [word(2, "ls"), word(5, "-l"), word(14, "a - b")]);
        assert_eq!(split("cwd, /").1, [word(0, "cwd,"), word(5, "/")]);
        assert_eq!(split("  /"), ("  /".to_string(), vec![]));
    }
}
