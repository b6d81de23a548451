//! Holds what checks show, and how the negative controls fail, to the files in tests/snapshots.

use std::fs;
use std::panic::{self, AssertUnwindSafe};

use crate::report::Report;

/// Compares texts with their snapshots, and counts.
#[derive(Default)]
pub struct Snapshots {
    pub kept: usize,
    pub broken: usize,
}

impl Snapshots {
    /// What the `wanted` checks of a step show, each in a snapshot of its own.
    pub fn shown(&mut self, step: u8, reports: &[Report], wanted: impl Fn(&Report) -> bool) {
        for report in reports.iter().filter(|report| wanted(report)) {
            if let Some(text) = &report.shown {
                self.compare(&format!("step{step}-{}", report.name), text);
            }
        }
    }

    /// How the checks of a stage fail on the step before: it is what a learner reads most.
    pub fn controls(&mut self, stage: u8, reports: &[Report]) {
        let texts = reports.iter().filter_map(|report| {
            let failure = report.failure.as_ref()?;
            let (expected, seen) = (normalize(&failure.expected), normalize(&failure.seen));
            Some(format!("{}\n  expected  {expected}\n  seen      {seen}\n", report.name))
        });
        self.compare(&format!("control-{stage}"), &texts.collect::<String>());
    }

    /// Compares a text with the snapshot of this name.
    pub fn compare(&mut self, name: &str, text: &str) {
        let mut settings = insta::Settings::new();
        settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"));
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        let hook = panic::take_hook();
        panic::set_hook(Box::new(|_| {}));
        let compared = panic::catch_unwind(AssertUnwindSafe(|| {
            settings.bind(|| insta::assert_snapshot!(name, text));
        }));
        panic::set_hook(hook);
        match compared {
            Ok(()) => self.kept += 1,
            Err(_) => {
                println!(
                    "FAIL  {name}: the checks show something else than tests/snapshots has, see above"
                );
                println!("      If you changed neither a step nor a check, please report it.");
                println!(
                    "      If you meant to: INSTA_UPDATE=always ./just test records what is new."
                );
                self.broken += 1;
            }
        }
    }
}

/// The head of the table that is the snapshot of this name.
pub fn head(name: &str) -> Option<String> {
    let file = format!("{}/snapshots/{name}.snap", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(file).ok()?;
    text.lines().find(|line| line.starts_with('|')).map(String::from)
}

/// Numbers of two digits and more differ from run to run: process ids, inodes, sizes. Exit statuses
/// do not.
fn normalize(text: &str) -> String {
    let text = without_names_by_chance(text);
    let mut result = String::new();
    let mut rest = &text[..];
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, number) = rest.split_at(start);
        let end = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
        result += before;
        let stays = end == 1 || before.ends_with("status ") || before.ends_with("signal ");
        result += if stays { &number[..end] } else { "N" };
        rest = &number[end..];
    }
    result + rest
}

/// Nor do digests of what the checks' own programs are in, and the names of containers' directories.
fn without_names_by_chance(text: &str) -> String {
    let mut result = String::new();
    let is_word = |c: char| c.is_ascii_alphanumeric();
    for part in text.split_inclusive(|c: char| !is_word(c)) {
        let word = part.trim_end_matches(|c: char| !is_word(c));
        let is_digest = word.len() >= 64 && word.chars().all(|c| c.is_ascii_hexdigit());
        let is_container =
            ["containers/", "the container … "].iter().any(|start| result.ends_with(start));
        result += match word {
            _ if is_digest => "DIGEST",
            _ if is_container && word.len() == 6 => "NAME",
            other => other,
        };
        result += &part[word.len()..];
    }
    result
}

#[cfg(test)]
mod tests {
    use super::normalize;

    #[test]
    fn only_what_differs_from_run_to_run_is_replaced() {
        assert_eq!(normalize("exit status 125, pid 4711"), "exit status 125, pid N");
        assert_eq!(normalize("pid:[4026532180] 1 0"), "pid:[N] 1 0");
        assert_eq!(normalize("none"), "none");
        let digest = "7".repeat(64);
        assert_eq!(normalize(&format!("[\"sha256:{digest}\"]")), "[\"shaN:DIGEST\"]");
        assert_eq!(normalize("/containers/3pF0tQ/upper"), "/containers/NAME/upper");
    }
}
