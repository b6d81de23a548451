//! Transcripts. The words behind `console` are for the command check (tests/src/transcripts has them) and leave the page
//! here, but for who types it, which the theme writes into a corner; one transcript a step can be played, for which its
//! page gets the times of its recording.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use pages::Pages;
use serde_json::Value;

/// How a transcript begins.
pub const OPEN: &str = "```console";

/// Whether the page can play the transcript that has these words.
pub fn is_played(words: &str) -> bool {
    words.split_whitespace().any(|word| word == "play")
}

/// The page that shows what the last step can do.
pub const INTRODUCTION: &str = "introduction";

/// There is one transcript that can be played for each step and in the introduction, as there is one recording, and none
/// elsewhere.
pub fn one_a_step_is_played(pages: &Pages) -> Result<()> {
    let mut played = BTreeMap::new();
    for page in pages.iter() {
        let words = page.text.lines().filter_map(|line| line.strip_prefix(OPEN));
        let (place, wanted) = match page.step() {
            Some(step) => (format!("of chapter {step}"), 1),
            None if page.name == INTRODUCTION => ("of the introduction".into(), 1),
            None => ("outside of the steps' chapters".into(), 0),
        };
        let count = words.filter(|words| is_played(words)).count();
        *played.entry((place, wanted)).or_insert(0) += count;
    }
    for ((place, wanted), count) in played {
        ensure!(count == wanted, "{count} transcripts {place} say `play`, and {wanted} should");
    }
    Ok(())
}

/// A transcript for the page. Its class says who types it: root or ada in the VM, or the reader in the checkout.
pub fn block(words: &str, lines: &[&str]) -> String {
    let who =
        words.split_whitespace().find(|word| ["ada", "host"].contains(word)).unwrap_or("root");
    format!("{OPEN},{who}\n{}\n```\n", lines.join("\n"))
}

/// The same with the times of its recording.
pub fn played(words: &str, lines: &[&str], recording: &Path) -> Result<String> {
    let name = recording.file_stem().unwrap_or_default().display();
    let cure = format!(
        "record it anew: rm -f book/recordings/{name}.cast; INSTA_UPDATE=always ./just verify {}",
        name.to_string().replace("step", "chapter")
    );
    let text = fs::read_to_string(recording).with_context(|| cure.clone())?;
    let (times, recorded) = parse(&text).with_context(|| cure.clone())?;
    let differs = (0..lines.len().max(recorded.len()))
        .find(|line| lines.get(*line).copied() != recorded.get(*line).map(String::as_str));
    if let Some(line) = differs {
        let (shown, recorded) = (lines.get(line).unwrap_or(&""), recorded.get(line));
        let recorded = recorded.map_or("", String::as_str);
        return Err(anyhow::anyhow!("{recorded:?} is recorded where the chapter shows {shown:?}"))
            .context(cure);
    }
    let times: Vec<String> = times.iter().map(f64::to_string).collect();
    let block = block(words, lines);
    Ok(format!(
        "<figure class=\"recording\" data-times=\"{}\">\n\n{block}\n</figure>\n",
        times.join(" ")
    ))
}

/// The times and the lines of a recording: asciicast, version 2, with an event a line.
pub fn parse(recording: &str) -> Result<(Vec<f64>, Vec<String>)> {
    let mut lines = recording.lines();
    let header: Value = serde_json::from_str(lines.next().unwrap_or_default())?;
    ensure!(header["version"] == 2, "it is no recording");
    let event = |line| {
        let (time, kind, text): (f64, String, String) = serde_json::from_str(line)?;
        ensure!(kind == "o", "it has an event of the kind {kind:?}");
        Ok((time, text.trim_end_matches("\r\n").to_string()))
    };
    Ok(lines.map(event).collect::<Result<Vec<_>>>()?.into_iter().unzip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_page_of_a_step_has_a_transcript_to_play() {
        let fault = |pages: &[(&str, &str)]| {
            one_a_step_is_played(&Pages::of(pages)).err().map(|error| error.to_string())
        };
        let play = "```console ada play\n$ a\n```\n";
        assert_eq!(fault(&[("step4", ""), ("step4-mounts", play), ("glossary", "")]), None);
        for (pages, expected) in [
            (&[("step4", play), ("step4-mounts", play)], "2 transcripts of chapter 4"),
            (&[("step4", "```console\n"), ("step4-mounts", "")], "0 transcripts of chapter 4"),
            (&[("step4", play), ("glossary", play)], "1 transcripts outside"),
            (&[("step4", play), ("introduction", "")], "0 transcripts of the introduction"),
        ] {
            let fault = fault(pages).unwrap();
            assert!(fault.starts_with(expected), "{fault}");
        }
    }

    #[test]
    fn a_block_says_who_types_it() {
        for (words, who) in
            [("", "root"), (" varies=ada,1", "root"), (" play ada", "ada"), (" host", "host")]
        {
            assert_eq!(block(words, &["$ a"]), format!("```console,{who}\n$ a\n```\n"));
        }
    }

    #[test]
    fn what_is_played_is_what_is_recorded() {
        let file = std::env::temp_dir().join(format!("slipway-played-{}.cast", std::process::id()));
        let text = "{\"version\": 2}\n[0.5, \"o\", \"$ a\\r\\n\"]\n[1, \"o\", \"<b>\\r\\n\"]\n";
        fs::write(&file, text).unwrap();
        let played = |lines: &[&str]| {
            played(" ada play", lines, &file).map_err(|error| format!("{error:#}"))
        };
        let html = played(&["$ a", "<b>"]).unwrap();
        assert!(
            html.contains("data-times=\"0.5 1\">\n\n```console,ada\n$ a\n<b>\n```\n"),
            "{html}"
        );
        for lines in [&["$ a"][..], &["$ a", "b"], &["$ a", "<b>", "c"]] {
            assert!(played(lines).unwrap_err().contains("is recorded where the chapter shows"));
        }
        fs::write(&file, "{\"version\": 1}\n").unwrap();
        assert!(played(&[]).unwrap_err().contains("record it anew"));
        fs::remove_file(&file).unwrap();
        assert!(played(&[]).unwrap_err().contains("record it anew"));
    }
}
