//! What a table of Docker's looks like: its columns, times and sizes.

use std::time::Duration;

/// A table: each column as wide as its widest cell, and three spaces between columns.
pub fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..count).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line += &format!("{cell:width$}   ");
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// How long ago something was, as Docker says it: `3 days ago`.
pub fn ago(time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours) = (seconds / 60, (seconds + 1800) / 3600);
    let days = hours / 24;
    let text = match (seconds, minutes, hours, days) {
        (0, ..) => "Less than a second".to_string(),
        (1, ..) => "1 second".to_string(),
        (2..60, ..) => format!("{seconds} seconds"),
        (_, 1, ..) => "About a minute".to_string(),
        (_, 2..60, ..) => format!("{minutes} minutes"),
        (_, _, 1, _) => "About an hour".to_string(),
        (_, _, 2..48, _) => format!("{hours} hours"),
        (_, _, _, ..14) => format!("{days} days"),
        (_, _, _, ..60) => format!("{} weeks", days / 7),
        (_, _, _, ..730) => format!("{} months", days / 30),
        _ => format!("{} years", days / 365),
    };
    text + " ago"
}

/// A size as Docker's tables have it: three digits, and units of a thousand.
pub fn size(bytes: u64) -> String {
    let (mut value, mut unit) = (bytes as f64, "B");
    for larger in ["kB", "MB", "GB", "TB"] {
        if value < 999.5 {
            break;
        }
        (value, unit) = (value / 1000.0, larger);
    }
    let digits = match value {
        _ if unit == "B" => 0,
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    // As "%.3g" does it: no zeros after the last digit that counts.
    let text = format!("{value:.digits$}");
    let text = if digits > 0 { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_must() {
        let row = |cells: &[&str]| cells.iter().map(|cell| cell.to_string()).collect();
        let rows = [row(&["NAME", "SIZE"]), row(&["été", "1B"]), row(&["a-longer-one", ""])];
        assert_eq!(columns(&rows), "NAME           SIZE\nété            1B\na-longer-one\n");
        assert_eq!(columns(&[]), "");
    }

    #[test]
    fn ago_as_docker_says_it() {
        let hour = 3600;
        for (seconds, words) in [
            (0, "Less than a second ago"),
            (1, "1 second ago"),
            (59, "59 seconds ago"),
            (60, "About a minute ago"),
            (150, "2 minutes ago"),
            (hour, "About an hour ago"),
            (47 * hour, "47 hours ago"),
            (48 * hour, "2 days ago"),
            (13 * 24 * hour, "13 days ago"),
            (14 * 24 * hour, "2 weeks ago"),
            (60 * 24 * hour, "2 months ago"),
            (800 * 24 * hour, "2 years ago"),
        ] {
            assert_eq!(ago(Duration::from_secs(seconds)), words, "{seconds}");
        }
    }

    #[test]
    fn sizes_as_docker_says_them() {
        for (bytes, words) in [
            (0, "0B"),
            (999, "999B"),
            (1_000, "1kB"),
            (1_234, "1.23kB"),
            (4_260_000, "4.26MB"),
            (77_800_000, "77.8MB"),
            (117_000_000, "117MB"),
            (999_600_000, "1GB"),
            (12_300_000_000, "12.3GB"),
        ] {
            assert_eq!(size(bytes), words, "{bytes}");
        }
    }
}
