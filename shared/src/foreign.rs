//! Text that a stranger wrote, for one line of a terminal.

/// Characters that are shown of it.
const MOST: usize = 200;

/// The text quoted, with what could move the cursor escaped, and cut off where it is too long.
pub fn shown(text: &str) -> String {
    format!("{:?}", short(text))
}

/// The first 200 characters, and `…` in place of the rest.
pub fn short(text: &str) -> String {
    let mut short: String = text.chars().take(MOST).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_stays_on_its_line() {
        assert_eq!(shown("a\nb\u{1b}[2J\u{202e}"), r#""a\nb\u{1b}[2J\u{202e}""#);
        assert_eq!(shown(&"é".repeat(201)), format!("{:?}", "é".repeat(200) + "…"));
    }
}
