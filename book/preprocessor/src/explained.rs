//! The tables of system calls, and the check that chapters and tables agree: what a chapter's table
//! lists is explained in the part "The system calls" of one of its pages, and what has a signature there is in the table.

use std::collections::BTreeSet;

use calls::{Lesson, TABLE};
use pages::{Page, Pages, anchor};

/// The table of one page: what is explained there.
pub fn of_page(step: u8, text: &str) -> String {
    let part = part(text);
    let rows = rows_of(step).filter(|row| under(&part, &row.under).is_some()).map(|row| {
        let (name, link) = (name(row), anchor(&row.under));
        format!("| [{name}](#{link}){} | {} | `{}` |\n", function(row), row.what, row.man)
    });
    table("| in a trace | what for | manual page |\n|---|---|---|\n", rows)
}

/// All chapters' tables in one, by the calls' names.
pub fn of_book(pages: &Pages) -> String {
    let mut rows: Vec<&Lesson> = TABLE.lesson.iter().collect();
    rows.sort_by_key(|row| row.call.as_str());
    let rows = rows.into_iter().map(|row| {
        let (name, step, link) = (name(row), row.step, anchor(&row.under));
        let is_there = |page: &&Page| under(&part(&page.text), &row.under).is_some();
        let page = pages.of_step(step).find(is_there);
        let page = page.map_or_else(|| format!("step{step}"), |page| page.name.clone());
        let link = format!("[{step}]({page}.md#{link})");
        format!("| {name}{} | {} | {link} | `{}` |\n", function(row), row.what, row.man)
    });
    table("| in a trace | what for | chapter | manual page |\n|---|---|---|---|\n", rows)
}

/// The calls that no chapter is about.
pub fn plumbing() -> String {
    let rows = TABLE.plumbing.iter().map(|row| {
        let names: Vec<String> = row.calls.iter().map(|call| format!("`{call}`")).collect();
        let with = if row.with.is_empty() { String::new() } else { format!(" `{}`", row.with) };
        format!("| {}{with} | {} | {} |\n", names.join(", "), row.why, row.since)
    });
    table("| in a trace | why | since step |\n|---|---|---|\n", rows)
}

/// A table in Markdown, whose second column the theme keeps readable on a phone.
fn table(head: &str, rows: impl Iterator<Item = String>) -> String {
    format!("<div class=\"calls\">\n\n{head}{}\n</div>\n", rows.collect::<String>())
}

/// What does not agree, in all chapters.
pub fn check(pages: &Pages) -> Vec<String> {
    let last = TABLE.lesson.iter().map(|row| row.step).max().unwrap_or_default();
    (0..=last).flat_map(|step| disagreements(step, pages)).collect()
}

fn rows_of(step: u8) -> impl Iterator<Item = &'static Lesson> {
    TABLE.lesson.iter().filter(move |row| row.step == step)
}

fn name(row: &Lesson) -> String {
    let argument = row.argument();
    if argument.is_empty() {
        format!("`{}`", row.call)
    } else {
        format!("`{}` `{argument}`", row.call)
    }
}

/// The C library's name for it, where that is another one.
fn function(row: &Lesson) -> String {
    row.function.as_ref().map(|function| format!(" (`{function}`)")).unwrap_or_default()
}

fn disagreements(step: u8, pages: &Pages) -> Vec<String> {
    let parts: Vec<String> = pages.of_step(step).map(|page| part(&page.text)).collect();
    let place = format!("chapter {step}, \"The system calls\"");
    let mut wrong = Vec::new();
    for row in rows_of(step) {
        let found = parts.iter().filter_map(|part| Some((part, under(part, &row.under)?)));
        let (part, text) = match found.collect::<Vec<_>>()[..] {
            [one] => one,
            [] => {
                wrong.push(format!(
                    "{place}: no heading \"{}\", under which {} is to be explained",
                    row.under,
                    row.name()
                ));
                continue;
            }
            _ => {
                wrong.push(format!("{place}: two pages have a heading \"{}\"", row.under));
                continue;
            }
        };
        let named = named(text);
        let flags = row.argument().split(|c| !is_word(c)).filter(|word| is_constant(word));
        let wanted = [row.call.as_str()].into_iter().chain(row.function.as_deref()).chain(flags);
        wrong.extend(wanted.filter(|word| !named.contains(word)).map(|word| {
            format!("{place}: \"{}\" does not explain `{word}`, of {}", row.under, row.name())
        }));
        if !part.contains(&format!("`{}`", row.man)) {
            wrong.push(format!(
                "{place}: `{}` is missing, the manual page of {}",
                row.man,
                row.name()
            ));
        }
    }
    let listed = |function: &&str| {
        rows_of(step).any(|row| row.call == *function || row.function.as_deref() == Some(function))
    };
    let unlisted = parts.iter().flat_map(|part| signatures(part)).filter(|name| !listed(name));
    wrong.extend(unlisted.map(|function| {
        format!("{place}: {function} has a signature, and no row in book/calls.toml")
    }));
    // A table only where the calls are explained, and there it must not be missing.
    for (page, part) in pages.of_step(step).zip(&parts) {
        let has_table = page.text.lines().any(|line| line == "{{#calls}}");
        if has_table == part.is_empty() {
            let fault =
                if has_table { "has {{#calls}} and no" } else { "has no {{#calls}} for its" };
            wrong.push(format!("{}.md {fault} part \"The system calls\"", page.name));
        }
    }
    wrong
}

/// The part "The system calls" of a page.
fn part(chapter: &str) -> String {
    let lines = chapter.lines().skip_while(|line| !line.starts_with("## The system call")).skip(1);
    lines.take_while(|line| !line.starts_with("## ")).map(|line| format!("{line}\n")).collect()
}

/// What stands under a heading, with the heading.
fn under<'a>(part: &'a str, heading: &str) -> Option<&'a str> {
    let sections = part.split_inclusive('\n').scan(0, |at, line| {
        let start = *at;
        *at += line.len();
        Some((start, line))
    });
    let starts: Vec<(usize, &str)> =
        sections.filter(|(_, line)| line.starts_with("### ")).collect();
    let index =
        starts.iter().position(|(_, line)| line.trim_start_matches("### ").trim() == heading)?;
    let end = starts.get(index + 1).map_or(part.len(), |(start, _)| *start);
    Some(&part[starts[index].0..end])
}

/// The words that stand in backticks, in code blocks and in headings.
fn named(text: &str) -> BTreeSet<&str> {
    let mut words = BTreeSet::new();
    let mut in_block = false;
    for line in text.lines() {
        if line.starts_with("```") {
            in_block = !in_block;
        } else if in_block || line.starts_with('#') {
            words.extend(line.split(|c| !is_word(c)));
        } else {
            let spans = line.split('`').skip(1).step_by(2);
            words.extend(spans.flat_map(|span| span.split(|c| !is_word(c))));
        }
    }
    words
}

/// The functions that C signatures declare; of `syscall(SYS_name, …)` the name.
fn signatures(part: &str) -> impl Iterator<Item = &str> {
    let mut in_c = false;
    let lines = part.lines().filter(move |line| {
        in_c = if line.starts_with("```") { *line == "```c" } else { in_c };
        in_c && line.starts_with(|c: char| c.is_ascii_alphabetic())
    });
    lines.filter_map(|line| {
        let (front, rest) = line.split_once('(')?;
        let function = front.rsplit(|c| !is_word(c)).next()?;
        let system_call = rest.strip_prefix("SYS_").and_then(|rest| rest.split(',').next());
        Some(system_call.unwrap_or(function))
    })
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Whether it is the name of a flag or a command, such as CLONE_NEWPID and TCGETS.
fn is_constant(word: &str) -> bool {
    word.len() > 3 && word.chars().all(|c| c == '_' || c.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAPTER: &str = "# Step\n\n## The system calls\n\n### clone3, a flag\n\n```c\n\
        long syscall(SYS_clone3, int a);\n```\n\nWith `CLONE_NEWUTS`.\n\n### sethostname\n\n\
        ```c\nint sethostname(const char *name,\n    size_t len);\n```\n\nSee `sethostname(2)`.\n\n\
        ## The code\n\n### other\n";

    #[test]
    fn a_part_ends_where_the_next_begins() {
        let part = part(CHAPTER);
        assert!(under(&part, "other").is_none());
        let text = under(&part, "clone3, a flag").unwrap();
        assert!(text.ends_with("With `CLONE_NEWUTS`.\n\n"), "{text:?}");
        let words = named(text);
        assert!(words.contains("CLONE_NEWUTS") && words.contains("clone3"));
        assert!(!words.contains("With"));
        assert_eq!(signatures(&part).collect::<Vec<_>>(), ["clone3", "sethostname"]);
    }

    #[test]
    fn what_is_missing_is_told_with_its_chapter() {
        let wrong = |chapter: &str| disagreements(2, &Pages::of(&[("step2", chapter)]));
        let table = "no {{#calls}} for its part";
        let [heading, no_table] = &wrong(CHAPTER)[..] else { panic!("{:?}", wrong(CHAPTER)) };
        assert_eq!(
            heading,
            "chapter 2, \"The system calls\": no heading \"clone3\", under which clone3 CLONE_NEWUTS is to be explained"
        );
        assert!(no_table.contains(table), "{no_table}");
        let chapter = CHAPTER.replace("sethostname", "gethostname").replace("3, a flag", "3");
        let wrong = wrong(&chapter).join("\n");
        assert!(wrong.contains("`uts_namespaces(7)` is missing"), "{wrong}");
        assert!(wrong.contains("no heading \"sethostname\""), "{wrong}");
        assert!(wrong.contains("gethostname has a signature, and no row"), "{wrong}");
    }

    #[test]
    fn any_page_of_a_step_may_explain_a_call_and_only_one_does() {
        let part = |heading: &str, more: &str| {
            format!("## The system calls\n\n{{{{#calls}}}}\n\n### {heading}\n\n{more}\n")
        };
        let one = part("clone3", "`clone3`, `CLONE_NEWUTS`, `uts_namespaces(7)`");
        let other = part("sethostname", "`sethostname`, `sethostname(2)`");
        let pages = Pages::of(&[("step2", &one), ("step2-names", &other), ("step3", &other)]);
        assert_eq!(disagreements(2, &pages), Vec::<String>::new());
        assert!(of_book(&pages).contains("[2](step2-names.md#sethostname)"));
        assert!(of_page(2, &other).contains("](#sethostname)"));
        assert!(!of_page(2, &other).contains("CLONE_NEWUTS"));

        let pages = Pages::of(&[("step2", &one), ("step2-names", &(other.clone() + &one[19..]))]);
        let wrong = disagreements(2, &pages).join("\n");
        assert_eq!(wrong, "chapter 2, \"The system calls\": two pages have a heading \"clone3\"");

        let pages = Pages::of(&[("step2", &(one + &other[32..])), ("step2-names", "{{#calls}}\n")]);
        let wrong = disagreements(2, &pages).join("\n");
        assert_eq!(wrong, "step2-names.md has {{#calls}} and no part \"The system calls\"");
    }
}
