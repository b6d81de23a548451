//! The tables of system calls, and the check that chapters and tables agree: what a chapter's table
//! lists is explained in its part "The system calls", and what has a signature there is in the table.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use calls::{Lesson, TABLE};

/// The table of one chapter, after a look whether the chapter keeps to it.
pub fn of_chapter(step: u8, chapter: &str) -> Result<String> {
    let wrong = disagreements(step, chapter);
    if !wrong.is_empty() {
        bail!("{}", wrong.join("\n"));
    }
    let rows = rows_of(step).map(|row| {
        let (name, link) = (name(row), anchor(&row.under));
        format!("| [{name}](#{link}){} | {} | `{}` |\n", function(row), row.what, row.man)
    });
    Ok(format!(
        "| in a trace | what for | manual page |\n|---|---|---|\n{}",
        rows.collect::<String>()
    ))
}

/// All chapters' tables in one, by the calls' names.
pub fn of_book() -> String {
    let mut rows: Vec<&Lesson> = TABLE.lesson.iter().collect();
    rows.sort_by_key(|row| row.call.as_str());
    let rows = rows.into_iter().map(|row| {
        let (name, step, link) = (name(row), row.step, anchor(&row.under));
        let link = format!("[{step}](step{step}.md#{link})");
        format!("| {name}{} | {} | {link} | `{}` |\n", function(row), row.what, row.man)
    });
    let head = "| in a trace | what for | chapter | manual page |\n|---|---|---|---|\n";
    head.to_string() + &rows.collect::<String>()
}

/// The calls that no chapter is about.
pub fn plumbing() -> String {
    let rows = TABLE.plumbing.iter().map(|row| {
        let names: Vec<String> = row.calls.iter().map(|call| format!("`{call}`")).collect();
        let with = if row.with.is_empty() { String::new() } else { format!(" `{}`", row.with) };
        format!("| {}{with} | {} | {} |\n", names.join(", "), row.why, row.since)
    });
    let head = "| in a trace | why | since step |\n|---|---|---|\n";
    head.to_string() + &rows.collect::<String>()
}

/// What does not agree, in all chapters of this directory.
pub fn check(chapters: &Path) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    let last = TABLE.lesson.iter().map(|row| row.step).max().unwrap_or_default();
    for step in 0..=last {
        let path = chapters.join(format!("step{step}.md"));
        let text = fs::read_to_string(&path).with_context(|| format!("read {path:?}"))?;
        wrong.extend(disagreements(step, &text));
    }
    Ok(wrong)
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

/// The id that mdBook gives a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || " _-".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

fn disagreements(step: u8, chapter: &str) -> Vec<String> {
    let part = part(chapter);
    let place = format!("chapter {step}, \"The system calls\"");
    let mut wrong = Vec::new();
    for row in rows_of(step) {
        let Some(text) = under(&part, &row.under) else {
            wrong.push(format!(
                "{place}: no heading \"{}\", under which {} is to be explained",
                row.under,
                row.name()
            ));
            continue;
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
    wrong.extend(signatures(&part).filter(|function| !listed(function)).map(|function| {
        format!("{place}: {function} has a signature, and no row in book/calls.toml")
    }));
    wrong
}

/// The part "The system calls" of a chapter.
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
        let wrong = disagreements(2, CHAPTER);
        assert_eq!(
            wrong,
            [
                "chapter 2, \"The system calls\": no heading \"clone3\", under which clone3 CLONE_NEWUTS is to be explained"
            ]
        );
        let chapter = CHAPTER.replace("sethostname", "gethostname").replace("3, a flag", "3");
        let wrong = disagreements(2, &chapter).join("\n");
        assert!(wrong.contains("`uts_namespaces(7)` is missing"), "{wrong}");
        assert!(wrong.contains("no heading \"sethostname\""), "{wrong}");
        assert!(wrong.contains("gethostname has a signature, and no row"), "{wrong}");
    }

    #[test]
    fn anchors_are_mdbooks() {
        assert_eq!(anchor("/proc/PID/uid_map, gid_map"), "procpiduid_map-gid_map");
        assert_eq!(anchor("mount, of an overlay"), "mount-of-an-overlay");
    }
}
