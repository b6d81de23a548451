//! A recording as a moving picture: an SVG that any reader of a README plays, without a script and without a network.
//! Each line is text that appears at its time. What was typed is typed again, behind a cover that moves aside.

use std::fmt::Write;

use anyhow::{Result, ensure};

use crate::highlight::escape;

/// In pixels.
const LINE: f64 = 20.0;
const LETTER: f64 = 8.4;
const MARGIN: f64 = 16.0;
/// More than that is wrapped, as a terminal does it.
const COLUMNS: usize = 92;

/// In seconds: a key, before a command is typed, the shortest and the longest wait for a line, and the last frame.
const KEY: f64 = 0.03;
const THINKING: f64 = 0.8;
const SHORTEST_WAIT: f64 = 0.2;
const LONGEST_WAIT: f64 = 1.0;
const LAST: f64 = 4.0;

/// A line of the picture.
struct Row {
    text: String,
    /// When it is there, or begins to be typed.
    start: f64,
    /// How long it is typed.
    typing: f64,
}

/// The picture of a transcript whose lines came at these times, in seconds.
pub fn svg(about: &str, times: &[f64], lines: &[String]) -> Result<String> {
    ensure!(times.len() == lines.len(), "not every line has a time");
    let (rows, end) = rows(times, lines);
    let width = COLUMNS as f64 * LETTER + 2.0 * MARGIN;
    let height = rows.len() as f64 * LINE + 2.0 * MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" role=\"img\">\n\
         <title>{}</title>\n<style>\n\
         text {{ font: 14px ui-monospace, Menlo, Consolas, monospace; white-space: pre; fill: #d8dee9; }}\n\
         .typed {{ fill: #8fd18f; }}\n\
         rect, text {{ animation-duration: {end:.1}s; animation-iteration-count: infinite; }}\n\
         text {{ animation-timing-function: step-end; }}\n",
        escape(about)
    );
    let percent = |time: f64| time / end * 100.0;
    for (number, row) in rows.iter().enumerate() {
        let from = percent(row.start);
        let _ = writeln!(
            svg,
            "#t{number} {{ animation-name: t{number} }} @keyframes t{number} {{ 0% {{ opacity: 0 }} {from:.2}% {{ opacity: 1 }} }}"
        );
        if row.typing > 0.0 {
            let (to, letters) = (percent(row.start + row.typing), row.text.chars().count());
            let _ = writeln!(
                svg,
                "#c{number} {{ animation-name: c{number}; animation-timing-function: steps({letters}, end) }} @keyframes c{number} {{ 0%, {from:.2}% {{ transform: none }} {to:.2}%, 100% {{ transform: translateX({:.1}px) }} }}",
                letters as f64 * LETTER
            );
        }
    }
    // Whoever wants no motion sees the end.
    svg += "@media (prefers-reduced-motion: reduce) { text { animation: none } rect { animation: none } .cover { display: none } }\n</style>\n";
    let _ = writeln!(svg, "<rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"#1d2430\"/>");
    for (number, row) in rows.iter().enumerate() {
        let (top, typed) = (MARGIN + number as f64 * LINE, row.typing > 0.0);
        let letters = row.text.chars().count() as f64;
        let _ = writeln!(
            svg,
            "<text id=\"t{number}\"{} x=\"{MARGIN}\" y=\"{:.0}\" textLength=\"{:.1}\">{}</text>",
            if typed { " class=\"typed\"" } else { "" },
            top + 15.0,
            letters * LETTER,
            escape(&row.text).replace(' ', "\u{a0}")
        );
        if typed {
            let _ = writeln!(
                svg,
                "<rect id=\"c{number}\" class=\"cover\" x=\"{MARGIN}\" y=\"{top:.0}\" width=\"{width:.0}\" height=\"{LINE:.0}\" fill=\"#1d2430\"/>"
            );
        }
    }
    Ok(svg + "</svg>\n")
}

/// The lines as a terminal of `COLUMNS` shows them, and when the picture begins anew.
fn rows(times: &[f64], lines: &[String]) -> (Vec<Row>, f64) {
    let (mut rows, mut now, mut last, mut typed) = (Vec::new(), 0.0, 0.0, false);
    for (time, line) in times.iter().zip(lines) {
        let begins = line.starts_with("$ ");
        let goes_on = typed && line.starts_with("> ");
        if begins {
            now += THINKING;
        } else if !goes_on {
            now += (time - last).clamp(SHORTEST_WAIT, LONGEST_WAIT);
        }
        typed = begins || goes_on;
        let letters: Vec<char> = line.chars().collect();
        for piece in letters.chunks(COLUMNS) {
            let typing = if typed { piece.len() as f64 * KEY } else { 0.0 };
            rows.push(Row { text: piece.iter().collect(), start: now, typing });
            now += typing;
        }
        last = *time;
    }
    (rows, now + LAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_takes_its_time() {
        let lines = ["$ a \"", "> b\"", "> c"].map(String::from);
        let (rows, end) = rows(&[0.0, 0.0, 30.0], &lines);
        assert_eq!((rows[0].start, rows[0].typing), (THINKING, 5.0 * KEY));
        assert_eq!((rows[1].start, rows[1].typing), (THINKING + 5.0 * KEY, 4.0 * KEY));
        assert_eq!(rows[2].typing, 3.0 * KEY);
        assert_eq!(end, rows[2].start + 3.0 * KEY + LAST);
    }

    #[test]
    fn nobody_waits_long_for_an_answer() {
        let lines = ["$ a", "b", "> c"].map(String::from);
        let (rows, end) = rows(&[0.0, 30.0, 30.0], &lines);
        assert_eq!(rows[1].start, THINKING + 3.0 * KEY + LONGEST_WAIT);
        assert_eq!((rows[2].start, rows[2].typing), (rows[1].start + SHORTEST_WAIT, 0.0));
        assert_eq!(end, rows[2].start + LAST);
    }

    #[test]
    fn a_long_line_is_wrapped_and_a_sign_stays_one() {
        let svg = svg("a & b", &[0.0], &["$ ".to_string() + &"<".repeat(COLUMNS)]).unwrap();
        assert!(svg.contains("<title>a &amp; b</title>"), "{svg}");
        assert!(svg.contains("id=\"t1\"") && !svg.contains("id=\"t2\""), "{svg}");
        assert_eq!(svg.matches("&lt;").count(), COLUMNS);
    }
}
