//! Which lines of a file are new. An item is compared with the one of its name in the step before,
//! not the file as a whole: else the end of one function would be paired with the end of another.

use similar::{Algorithm, ChangeTag, DiffTag, TextDiff, capture_diff_slices};

use crate::Line;
use crate::items::Items;

/// A file's lines, and where its items are.
pub struct Text<'a> {
    pub lines: Vec<&'a str>,
    pub items: &'a Items,
}

/// The lines of `new`, each with its part.
pub fn pair(old: &Text, new: &Text) -> Vec<Line> {
    let (olds, news) = (old.items.parts(old.lines.len()), new.items.parts(new.lines.len()));
    let names = |parts: &[(&str, _)]| parts.iter().map(|(name, _)| name.to_string()).collect();
    let (old_names, new_names): (Vec<String>, Vec<String>) = (names(&olds), names(&news));
    let (mut lines, mut gone) = (Vec::new(), Vec::new());
    for op in capture_diff_slices(Algorithm::Patience, &old_names, &new_names) {
        let (tag, from, to) = op.as_tag_tuple();
        if tag == DiffTag::Equal {
            for ((_, from), (_, to)) in olds[from].iter().zip(&news[to]) {
                add(&mut lines, &mut gone, &old.lines[from.clone()], &new.lines[to.clone()]);
            }
        } else {
            for (_, from) in &olds[from] {
                add(&mut lines, &mut gone, &old.lines[from.clone()], &[]);
            }
            for (_, to) in &news[to] {
                add(&mut lines, &mut gone, &[], &new.lines[to.clone()]);
            }
        }
    }
    lines
}

/// Adds what becomes of `old`. Lines that are gone wait for the next one, before which they stood.
fn add(lines: &mut Vec<Line>, gone: &mut Vec<String>, old: &[&str], new: &[&str]) {
    let diff = TextDiff::configure().algorithm(Algorithm::Patience).diff_slices(old, new);
    for change in diff.iter_all_changes() {
        let text = change.value().to_string();
        match change.tag() {
            ChangeTag::Delete => gone.push(text),
            tag => {
                let gone = std::mem::take(gone);
                lines.push(Line { text, is_new: tag == ChangeTag::Insert, gone });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::items::parse;

    fn marks(old: &str, new: &str) -> String {
        let (old_items, new_items) = (parse(old).unwrap(), parse(new).unwrap());
        let old = Text { lines: old.lines().collect(), items: &old_items };
        let new = Text { lines: new.lines().collect(), items: &new_items };
        let mark = |line: &Line| {
            if line.is_new {
                format!("{}+{}\n", "-".repeat(line.gone.len()), line.text)
            } else {
                format!("{} {}\n", "-".repeat(line.gone.len()), line.text)
            }
        };
        pair(&old, &new).iter().map(mark).collect()
    }

    #[test]
    fn the_end_of_a_function_stays_its_own() {
        let old = "use a;\n\nfn run() {\n    exec();\n}\n";
        let new = "use a;\nuse b;\n\nfn run() {\n    fork();\n    child();\n}\n\nfn child() {\n    exec();\n}\n";
        assert_eq!(
            marks(old, new),
            " use a;\n+use b;\n \n fn run() {\n-+    fork();\n+    child();\n }\n+\n+fn child() {\n+    exec();\n+}\n"
        );
    }

    #[test]
    fn an_item_that_is_gone_waits_for_the_next_line() {
        let old = "fn a() {}\n\nfn b() {}\n\nfn c() {}\n";
        assert_eq!(marks(old, "fn a() {}\n\nfn c() {}\n"), " fn a() {}\n-- \n fn c() {}\n");
    }

    #[test]
    fn the_last_lines_are_there() {
        let old = "fn a() {}\n";
        let new = "fn a() {}\n\n#[cfg(test)]\nmod tests {}\n";
        assert_eq!(marks(old, new), " fn a() {}\n+\n+#[cfg(test)]\n+mod tests {}\n");
    }
}
