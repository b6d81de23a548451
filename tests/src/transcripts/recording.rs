//! When each line of a transcript came, for the page to play it: book/recordings, in asciinema's format (asciicast,
//! version 2). The book's build proves that what is recorded is what the chapter shows.

use std::fs;
use std::path::Path;

use serde_json::json;
use shared::{Error, Explain};

/// A line of the transcript, and when it was there, in seconds after the first.
pub type Line = (f64, String);

/// Writes a recording, unless there is one of these very lines.
pub fn write(path: &Path, title: &str, size: (u16, u16), lines: &[Line]) -> Result<(), Error> {
    let header = json!({ "version": 2, "width": size.1, "height": size.0, "title": title });
    let event = |(time, line): &Line| json!([thousandths(*time), "o", format!("{line}\r\n")]);
    let events = lines.iter().map(|line| format!("{}\n", event(line)));
    let text = format!("{header}\n") + &events.collect::<String>();
    if fs::read_to_string(path).is_ok_and(|old| without_times(&old) == without_times(&text)) {
        return Ok(());
    }
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).explain(format_args!("make {}", folder.display()))?;
    fs::write(path, text).explain(format_args!("write {}", path.display()))
}

fn thousandths(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

fn without_times(recording: &str) -> Vec<&str> {
    recording.lines().map(|line| line.split_once(',').map_or(line, |(_, rest)| rest)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_changes_with_its_lines_only() {
        let path = std::env::temp_dir().join(format!("slipway-recording-{}", std::process::id()));
        let written = |time, line: &str| {
            write(&path, "a", (24, 80), &[(time, line.into())]).unwrap();
            fs::read_to_string(&path).unwrap()
        };
        let first = written(0.12345, "$ \"a\"");
        assert!(first.ends_with("\n[0.123,\"o\",\"$ \\\"a\\\"\\r\\n\"]\n"), "{first}");
        assert_eq!(written(0.5, "$ \"a\""), first);
        assert_ne!(written(0.5, "$ b"), first);
        fs::remove_file(&path).unwrap();
    }
}
