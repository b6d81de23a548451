//! The prose check: what is counted in the text of all pages, and the limits that hold it readable.

use std::fmt::{self, Display};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use pages::{Pages, step_of};

use crate::count::{Count, PARAGRAPH};

/// What may stand in 1,000 words of all pages together.
const COLONS: f64 = 10.0;
const SEMICOLONS: f64 = 2.0;
const PARENTHESES: f64 = 4.0;

/// Words of a page, which is read in one sitting.
const PAGE: usize = 2500;

/// How many paragraphs of the book may be long, of more than `PARAGRAPH` words.
const LONG_PARAGRAPHS: usize = 5;

/// Words before the first command, on the middle one of the steps' first pages.
const BEFORE_A_COMMAND: usize = 350;

/// What was counted on all pages.
pub struct Prose {
    pages: Vec<(String, Count)>,
}

impl Prose {
    /// Counts in the book's pages, and in what a checkout tells its readers.
    pub fn of(pages: &Pages, checkout: &Path) -> Result<Prose> {
        let mut all: Vec<(String, Count)> =
            pages.iter().map(|page| (page.name.clone(), Count::of(&page.text))).collect();
        for name in ["README.md", "CONTRIBUTING.md"] {
            let text = fs::read_to_string(checkout.join(name));
            all.push((name.into(), Count::of(&text.with_context(|| format!("read {name}"))?)));
        }
        Ok(Prose { pages: all })
    }

    /// A line for each limit that is broken.
    pub fn wrong(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for (name, limit, of) in MARKS {
            let all = per_thousand(self.sum(of), self.sum(|count| count.words));
            if all > limit {
                let most = self.most(|count| per_thousand(of(count), count.words));
                wrong.push(format!(
                    "prose: {all:.1} {name} in 1,000 words, and at most {limit} may be; most have {most}"
                ));
            }
        }
        for (name, count) in &self.pages {
            if count.words > PAGE {
                let words = count.words;
                wrong.push(format!("prose: {name} has {words} words, and a page at most {PAGE}"));
            }
            for begin in &count.glued {
                wrong.push(format!(
                    "prose: {name} has a list amid a paragraph, \"{begin} …\"; put an empty line before it, or wrap \
                     the sentence elsewhere"
                ));
            }
        }
        let long = self.pages.iter().flat_map(|(name, count)| {
            count.long.iter().map(move |(words, begin)| format!("{name} ({words}, \"{begin} …\")"))
        });
        let long: Vec<String> = long.collect();
        if long.len() > LONG_PARAGRAPHS {
            wrong.push(format!(
                "prose: {} paragraphs have more than {PARAGRAPH} words, and {LONG_PARAGRAPHS} may: {}",
                long.len(),
                long.join(", ")
            ));
        }
        let median = self.median_before_a_command();
        if median > BEFORE_A_COMMAND {
            let firsts = self.first_pages();
            let late = firsts.iter().filter(|(_, words)| *words > BEFORE_A_COMMAND);
            let late: Vec<String> = late.map(|(name, words)| format!("{name} ({words})")).collect();
            wrong.push(format!(
                "prose: the median of the words before a step's first command is {median}, and at most \
                 {BEFORE_A_COMMAND} may be; more have {}",
                late.join(", ")
            ));
        }
        wrong
    }

    /// The steps' first pages, and the words before the first command of each.
    fn first_pages(&self) -> Vec<(&str, usize)> {
        let firsts = self.pages.iter().filter(|(name, _)| is_first_page(name));
        let before = |count: &Count| count.before_a_command.unwrap_or(count.words);
        firsts.map(|(name, count)| (name.as_str(), before(count))).collect()
    }

    fn median_before_a_command(&self) -> usize {
        let mut words: Vec<usize> = self.first_pages().iter().map(|(_, words)| *words).collect();
        words.sort_unstable();
        words.get(words.len() / 2).copied().unwrap_or_default()
    }

    fn sum(&self, of: fn(&Count) -> usize) -> usize {
        self.pages.iter().map(|(_, count)| of(count)).sum()
    }

    /// The three pages that have the most of something.
    fn most(&self, of: impl Fn(&Count) -> f64) -> String {
        let mut pages: Vec<(&str, f64)> =
            self.pages.iter().map(|(name, count)| (name.as_str(), of(count))).collect();
        pages.sort_by(|(_, one), (_, other)| other.total_cmp(one));
        let first = pages.iter().take(3).map(|(name, value)| format!("{name} ({value:.1})"));
        first.collect::<Vec<_>>().join(", ")
    }
}

/// What has a limit in 1,000 words.
type Mark = (&'static str, f64, fn(&Count) -> usize);
const MARKS: [Mark; 3] = [
    ("colons", COLONS, |count| count.colons),
    ("semicolons", SEMICOLONS, |count| count.semicolons),
    ("parentheses", PARENTHESES, |count| count.parentheses),
];

fn is_first_page(name: &str) -> bool {
    step_of(name).is_some_and(|step| name == format!("step{step}"))
}

fn per_thousand(number: usize, words: usize) -> f64 {
    number as f64 * 1000.0 / words.max(1) as f64
}

impl Display for Prose {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let names = MARKS.map(|(name, ..)| name).join("  ");
        writeln!(f, "{:16}  words  {names}  long  before a command", "in 1,000 words")?;
        let mut row = |name: &str, words: usize, marks: [f64; 3], long: usize, before: &str| {
            let [colons, semicolons, parentheses] = marks;
            let text = format!(
                "{name:16} {words:6} {colons:7.1} {semicolons:11.1} {parentheses:12.1} {long:5}  {before}"
            );
            writeln!(f, "{}", text.trim_end())
        };
        for (name, count) in &self.pages {
            let marks = MARKS.map(|(.., of)| per_thousand(of(count), count.words));
            let before = if is_first_page(name) { count.before_a_command } else { None };
            let before = before.map(|words| words.to_string()).unwrap_or_default();
            row(name, count.words, marks, count.long.len(), &before)?;
        }
        let words = self.sum(|count| count.words);
        let marks = MARKS.map(|(.., of)| per_thousand(self.sum(of), words));
        let before = format!("{}, the median", self.median_before_a_command());
        row("all", words, marks, self.sum(|count| count.long.len()), &before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_broken_limit_is_told_in_a_line() {
        let page = |name: &str, words: usize, marks: usize| {
            (name.to_string(), Count { words, colons: marks, ..Count::default() })
        };
        let wrong = |pages: Vec<(String, Count)>| Prose { pages }.wrong();
        assert_eq!(wrong(vec![page("calls", 2500, 25), page("step0", 300, 3)]), [""; 0]);
        assert_eq!(
            wrong(vec![page("calls", 2501, 30), page("step0", 400, 0), page("step0-more", 100, 1)]),
            [
                "prose: 10.3 colons in 1,000 words, and at most 10 may be; most have calls (12.0), \
                 step0-more (10.0), step0 (0.0)",
                "prose: calls has 2501 words, and a page at most 2500",
                "prose: the median of the words before a step's first command is 400, and at most 350 \
                 may be; more have step0 (400)",
            ]
        );
        let long = |number: usize| {
            let long = vec![(111, "The engine waits".to_string()); number];
            vec![("calls".to_string(), Count { words: 1000, long, ..Count::default() })]
        };
        assert_eq!(wrong(long(5)), [""; 0]);
        let told = wrong(long(6)).join("\n");
        let begin = "prose: 6 paragraphs have more than 110 words, and 5 may: calls (111, \"The";
        assert!(told.starts_with(begin), "{told}");
    }
}
