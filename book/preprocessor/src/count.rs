//! Counts what a reader reads of a page, without code, tables, headings and what directives bring.

use std::mem;

use mdbook_markdown::pulldown_cmark::{CodeBlockKind, Event, Tag, TagEnd};
use mdbook_markdown::{MarkdownOptions, new_cmark_parser};

use crate::directives::directive;
use crate::transcript;

/// Words that a paragraph should not have more of.
pub const PARAGRAPH: usize = 110;

/// What was counted in one text.
#[derive(Debug, Default, PartialEq)]
pub struct Count {
    pub words: usize,
    pub colons: usize,
    pub semicolons: usize,
    /// Opening ones. That of `open(2)` is a part of the name.
    pub parentheses: usize,
    /// Words and beginning of each paragraph that is too long.
    pub long: Vec<(usize, String)>,
    /// Beginning of each list that has no empty line before it. Its author mostly meant a sentence, one that ends with
    /// "says 1." and was wrapped before the number.
    pub glued: Vec<String>,
    /// Words up to the first command that the reader types. None if the page has no command.
    pub before_a_command: Option<usize>,
}

impl Count {
    /// Counts in a page.
    pub fn of(markdown: &str) -> Count {
        // The lines of directives: without them, what stands around them is the same.
        let prose = |line| if directive(line).is_some() { "" } else { line };
        let text: Vec<&str> = markdown.lines().map(prose).collect();
        let text = text.join("\n");
        let mut count = Count::default();
        let mut paragraph = String::new();
        let mut in_other = 0;
        let mut in_lists = 0;
        for (event, range) in
            new_cmark_parser(&text, &MarkdownOptions::default()).into_offset_iter()
        {
            match event {
                Event::Start(Tag::List(_)) => {
                    let before = &text[..range.start];
                    if in_lists == 0 && !before.is_empty() && !before.ends_with("\n\n") {
                        let words = text[range].split_whitespace().take(4);
                        count.glued.push(words.collect::<Vec<_>>().join(" "));
                    }
                    in_lists += 1;
                    count.add(&mem::take(&mut paragraph));
                }
                Event::End(TagEnd::List(_)) => in_lists -= 1,
                Event::Start(tag) if is_other(&tag.to_end()) => {
                    count.add(&mem::take(&mut paragraph));
                    in_other += 1;
                    if is_command(&tag) {
                        count.before_a_command.get_or_insert(count.words);
                    }
                }
                Event::End(tag) if is_other(&tag) => in_other -= 1,
                _ if in_other > 0 => {}
                Event::Start(tag) if !is_in_line(&tag.to_end()) => {
                    count.add(&mem::take(&mut paragraph));
                }
                Event::End(tag) if !is_in_line(&tag) => count.add(&mem::take(&mut paragraph)),
                Event::Text(text) => paragraph += &text,
                // Its words are read, and its marks are not the author's.
                Event::Code(code) => paragraph += &code.replace([':', ';', '('], "_"),
                Event::SoftBreak | Event::HardBreak => paragraph.push(' '),
                _ => {}
            }
        }
        count
    }

    fn add(&mut self, paragraph: &str) {
        let is_word = |word: &&str| word.contains(char::is_alphanumeric);
        let words: Vec<&str> = paragraph.split_whitespace().filter(is_word).collect();
        let mut before = ' ';
        let mut after = paragraph.chars().skip(1);
        for mark in paragraph.chars() {
            let next = after.next().unwrap_or(' ');
            match mark {
                // Not that of an address or of a time.
                ':' if !next.is_alphanumeric() && next != '/' => self.colons += 1,
                ';' => self.semicolons += 1,
                '(' if !before.is_alphanumeric() => self.parentheses += 1,
                _ => {}
            }
            before = mark;
        }
        if words.len() > PARAGRAPH {
            self.long.push((words.len(), words[..4].join(" ")));
        }
        self.words += words.len();
    }
}

/// What is no prose.
fn is_other(tag: &TagEnd) -> bool {
    matches!(
        tag,
        TagEnd::Heading(_) | TagEnd::CodeBlock | TagEnd::Table | TagEnd::HtmlBlock | TagEnd::Image
    )
}

/// What does not end a paragraph.
fn is_in_line(tag: &TagEnd) -> bool {
    matches!(tag, TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough | TagEnd::Link)
}

fn is_command(tag: &Tag) -> bool {
    let console = transcript::OPEN.trim_start_matches('`');
    matches!(tag, Tag::CodeBlock(CodeBlockKind::Fenced(words)) if words.starts_with(console))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_amid_a_paragraph_is_seen() {
        for (markdown, expected) in [
            ("The kernel says\n1. It asks\nfor more.\n", vec!["1. It asks for"]),
            ("Two rules.\n\n- One.\n  - Deeper.\n- Two.\n", vec![]),
            ("```\ntext\n- no list\n```\n", vec![]),
        ] {
            assert_eq!(Count::of(markdown).glued, expected, "{markdown}");
        }
    }

    /// Words, colons, semicolons, parentheses.
    fn counts(markdown: &str) -> [usize; 4] {
        let count = Count::of(markdown);
        [count.words, count.colons, count.semicolons, count.parentheses]
    }

    #[test]
    fn what_the_author_writes_is_counted_and_nothing_else() {
        for (markdown, expected) in [
            ("Two words: a third; (a fourth).", [6, 1, 1, 1]),
            ("- **An item:** one\n- more:\n  - deeper; still\n", [6, 2, 1, 0]),
            ("word\n: what it means: this\n", [5, 1, 0, 0]),
            ("A note.[^one]\n\n[^one]: It says: no.\n", [5, 1, 0, 0]),
            ("> It holds: in a quotation\n", [5, 1, 0, 0]),
            ("Type `a: b; (c)` and `-v`: it ends.", [8, 1, 0, 0]),
            ("See [open(2)](https://man7.org/a;b(2)) and open(2).", [4, 0, 0, 0]),
            ("It is at <https://man7.org:80>, at 10:30 – mostly.", [7, 0, 0, 0]),
            ("# Step 4: a title; (all)\n\nA word.\n", [2, 0, 0, 0]),
            ("<details><summary>Why: so</summary>\n\nFor this.\n\n</details>\n", [2, 0, 0, 0]),
            ("One<br>more<!-- not: this -->\n\n<!-- nor: this\n\nand that; -->\n", [1, 0, 0, 0]),
            (
                "Before\n\n```drawing Words: of a drawing\n \"it; (is)\"\n```\n\nafter\n",
                [2, 0, 0, 0],
            ),
            ("|a: b|\n|---|\n|c; (d)|\n\nText.\n", [1, 0, 0, 0]),
            ("One.\n{{#table images What: it; says (so)}}\nTwo.\n", [2, 0, 0, 0]),
            ("![A picture: of it](a.svg)\n\nText.\n", [1, 0, 0, 0]),
        ] {
            assert_eq!(counts(markdown), expected, "{markdown:?}");
        }
    }

    #[test]
    fn a_paragraph_is_what_blank_lines_and_items_part() {
        let line = "word ".repeat(60);
        let long = |markdown: &str| Count::of(markdown).long;
        assert_eq!(long(&format!("{line}\n{line}")), [(120, "word word word word".to_string())]);
        for apart in [
            format!("{line}\n\n{line}"),
            format!("{line}\n- {line}"),
            format!("- {line}\n- {line}"),
        ] {
            assert_eq!(long(&apart), []);
        }
    }

    #[test]
    fn the_words_before_the_first_command_are_counted() {
        let page = "# A title\n\nTwo words.\n\n```rust\nlet no = 1;\n```\n\nThree more words.\n\n\
                    ```console ada\n$ true\n```\n\nAnd the rest.\n\n```console\n$ false\n```\n";
        assert_eq!(Count::of(page).before_a_command, Some(5));
        assert_eq!(Count::of("No command\n").before_a_command, None);
    }
}
