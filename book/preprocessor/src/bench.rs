//! The figures of `./just bench`, which keeps them in book/bench.json: a picture and a table of each row, and
//! what was to be reached.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::highlight::escape;

/// Pixels: a line of the picture, the room for names on its left and for figures on its right.
const LINE: f64 = 26.0;
const NAMES: f64 = 210.0;
const FIGURES: f64 = 170.0;
const WIDTH: f64 = 720.0;

/// What `./just bench` has kept.
pub struct Bench {
    rows: Vec<Value>,
}

impl Bench {
    pub fn read(checkout: &Path) -> Result<Bench> {
        let path = checkout.join("book/bench.json");
        let text = fs::read(&path).with_context(|| format!("read {path:?}"))?;
        let record: Value = serde_json::from_slice(&text)?;
        Ok(Bench { rows: record["rows"].as_array().context("it has no rows")?.clone() })
    }

    /// A row: its picture, the same in figures, and where they are from.
    pub fn row(&self, name: &str) -> Result<String> {
        let row = self.rows.iter().find(|row| row["name"] == name);
        let row = row.with_context(|| format!("book/bench.json has no row {name:?}"))?;
        let work = text(&row["work"]);
        let mut html = picture(row)?;
        let who = list(&row["contenders"]);
        let (has_peak, has_trips) = (
            who.iter().any(|one| number(&one["peak"]) > 0.0),
            who.iter().any(|one| number(&one["trips"]) > 0.0),
        );
        let mut head = vec!["", "milliseconds", "half of all runs", "processor time"];
        head.extend(has_peak.then_some("memory"));
        head.extend(has_trips.then_some("requests"));
        let lines = who.iter().map(|one| {
            let wall = &one["wall"];
            let between = format!("{} to {}", short(&wall["low"]), short(&wall["high"]));
            let mut cells = vec![
                text(&one["name"]),
                short(&wall["median"]),
                between,
                short(&one["cpu"]["median"]),
            ];
            cells.extend(has_peak.then(|| format!("{} MiB", short(&one["peak"]))));
            cells.extend(has_trips.then(|| text(&one["trips"])));
            cells
        });
        html += &table(&work, &head, lines);
        let machine = &row["machine"];
        let peers: Vec<String> = list(&machine["peers"]).iter().map(text).collect();
        let _ = writeln!(
            html,
            "<p><small>{} runs each, {}: {}, {} cores, {} MiB, Linux {}; {}. Installed: {}.{}</small></p>",
            row["rounds"],
            escape(&text(&machine["date"])),
            escape(&text(&machine["processor"])),
            machine["cores"],
            machine["memory_mib"],
            escape(&text(&machine["kernel"])),
            escape(&text(&machine["filesystem"])),
            escape(&peers.join(", ")),
            list(&row["failed"])
                .iter()
                .map(|why| format!(" Does not run there: {}.", escape(&text(why))))
                .collect::<String>()
        );
        Ok(html)
    }

    /// What was to be reached, and what was.
    pub fn bars(&self) -> String {
        let bars = self.rows.iter().flat_map(|row| {
            list(&row["bars"]).iter().map(move |bar| {
                let (found, at_most) = (&bar["found"], number(&bar["at_most"]));
                let said = match found.is_null() {
                    true => "not measured".to_string(),
                    false if number(&found["median"]) <= at_most => "reached".to_string(),
                    false => {
                        format!(
                            "missed by {:.0} %",
                            (number(&found["median"]) / at_most - 1.0) * 1e2
                        )
                    }
                };
                let spread = if found.is_null() {
                    "–".to_string()
                } else {
                    format!("{} to {}", short(&found["low"]), short(&found["high"]))
                };
                let wanted = text(&bar["wanted"]);
                vec![
                    format!("{}: {wanted}", text(&row["name"])),
                    short(&found["median"]),
                    spread,
                    said,
                ]
            })
        });
        let head = ["wanted", "found", "half of all rounds", "so it is"];
        table("What was to be reached", &head, bars)
    }
}

/// Dots on a logarithmic scale, each with a line that half of its runs lie on. Ours are filled.
fn picture(row: &Value) -> Result<String> {
    let who = list(&row["contenders"]);
    ensure!(!who.is_empty(), "nobody was measured");
    let all =
        who.iter().flat_map(|one| [number(&one["wall"]["low"]), number(&one["wall"]["high"])]);
    let (least, most) =
        all.fold((f64::MAX, 0f64), |(least, most), ms| (least.min(ms), most.max(ms)));
    let (from, to) = ((least / 1.5).log10(), (most * 1.5).log10());
    let place = |ms: f64| NAMES + (ms.log10() - from) / (to - from) * (WIDTH - NAMES - FIGURES);
    let height = LINE * (who.len() as f64 + 1.0);
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         font-size=\"14\" fill=\"currentColor\" stroke=\"none\">\n"
    );
    for power in from.ceil() as i32..=to.floor() as i32 {
        let (x, ms) = (place(10f64.powi(power)), 10f64.powi(power));
        let label = if ms >= 1000.0 { format!("{} s", ms / 1000.0) } else { format!("{ms} ms") };
        let _ = writeln!(
            svg,
            "<path d=\"M{x:.1} 0V{:.0}\" stroke=\"currentColor\" stroke-dasharray=\"1 5\"/>\
             <text x=\"{x:.1}\" y=\"{:.0}\" text-anchor=\"middle\" font-size=\"12\">{label}</text>",
            height - LINE + 4.0,
            height - 8.0
        );
    }
    let mut words = Vec::new();
    for (line, one) in who.iter().enumerate() {
        let (name, wall) = (text(&one["name"]), &one["wall"]);
        let y = LINE * (line as f64 + 0.5);
        let (low, middle, high) = (
            place(number(&wall["low"])),
            place(number(&wall["median"])),
            place(number(&wall["high"])),
        );
        let is_ours = name.contains("step ");
        let fill = if is_ours { "currentColor" } else { "none" };
        let _ = writeln!(
            svg,
            "<path d=\"M{low:.1} {y}H{high:.1}\" stroke=\"currentColor\"/>\
             <circle cx=\"{middle:.1}\" cy=\"{y}\" r=\"5\" fill=\"{fill}\" stroke=\"currentColor\" stroke-width=\"2\"/>\
             <text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{}</text><text x=\"{:.0}\" y=\"{:.0}\">{} ms</text>",
            NAMES - 12.0,
            y + 5.0,
            escape(&name),
            WIDTH - FIGURES + 12.0,
            y + 5.0,
            short(&wall["median"])
        );
        words.push(format!("{name} {} milliseconds", short(&wall["median"])));
    }
    Ok(format!(
        "<figure class=\"drawing\" role=\"img\" aria-label=\"{}: {}\">\n{svg}</svg>\n</figure>\n",
        escape(&text(&row["work"])),
        escape(&words.join(", "))
    ))
}

fn table(about: &str, head: &[&str], lines: impl Iterator<Item = Vec<String>>) -> String {
    let cells = |cells: &[&str]| -> String {
        cells.iter().map(|cell| format!("<th scope=\"col\">{}</th>", escape(cell))).collect()
    };
    let mut html = format!(
        "<div class=\"survey\" role=\"region\" aria-label=\"{}\" tabindex=\"0\">\n<table>\n\
         <thead><tr>{}</tr></thead>\n<tbody>\n",
        escape(about),
        cells(head)
    );
    for line in lines {
        let rest: String =
            line[1..].iter().map(|cell| format!("<td>{}</td>", escape(cell))).collect();
        html += &format!("<tr><th scope=\"row\">{}</th>{rest}</tr>\n", escape(&line[0]));
    }
    html + "</tbody>\n</table>\n</div>\n"
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_string)
}

/// Three digits; a dash where there is nothing.
fn short(value: &Value) -> String {
    match value.as_f64() {
        None => "–".to_string(),
        Some(0.0) => "0".to_string(),
        Some(..9.995) => format!("{:.2}", number(value)),
        Some(..99.95) => format!("{:.1}", number(value)),
        Some(_) => format!("{:.0}", number(value)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn bench() -> Bench {
        let spread = |median: f64| json!({ "median": median, "low": median, "high": 2.0 * median });
        let one = |name: &str, median: f64| json!({ "name": name, "wall": spread(median), "cpu": spread(1.0), "peak": 0.0, "trips": 0 });
        let bar = |found: Value| json!({ "wanted": "step 4 ≤ 1.50 × floor", "found": found, "at_most": 1.5 });
        Bench {
            rows: vec![json!({
                "name": "start", "work": "start <it>", "rounds": 3,
                "contenders": [one("floor", 2.0), one("step 4", 3.0), one("a & b", 250.0)],
                "bars": [bar(spread(1.2)), bar(spread(3.0)), bar(Value::Null)],
                "failed": ["c: it says nothing"], "machine": {},
            })],
        }
    }

    #[test]
    fn a_row_says_in_words_what_its_picture_shows() {
        let html = bench().row("start").unwrap();
        let words = "aria-label=\"start &lt;it&gt;: floor 2.00 milliseconds, step 4 3.00 milliseconds, a &amp; b 250 milliseconds\"";
        assert!(html.contains(words), "{html}");
        assert!(html.contains("<th scope=\"row\">a &amp; b</th><td>250</td>"), "{html}");
        assert!(html.contains("Does not run there: c: it says nothing."), "{html}");
        assert!(!html.contains("\n\n"), "an empty line would end the HTML in the Markdown: {html}");
        assert!(bench().row("stop").is_err());
    }

    #[test]
    fn a_bar_is_reached_missed_or_not_measured() {
        let html = bench().bars();
        for said in ["<td>reached</td>", "<td>missed by 100 %</td>", "<td>not measured</td>"] {
            assert_eq!(html.matches(said).count(), 1, "{said} in {html}");
        }
    }
}
