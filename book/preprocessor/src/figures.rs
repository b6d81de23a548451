//! How often the engine has been attacked, added up from what the surveys have written to their snapshots.

use anyhow::{Context, Result};

/// The table in Markdown. `snapshot` gives the text of the snapshot of a name.
pub fn table(snapshot: impl Fn(&str) -> Result<String>) -> Result<String> {
    let survey = |name: &str| -> Result<Vec<Vec<String>>> {
        let text = snapshot(name)?;
        let rows = text.lines().skip(2).map(|line| {
            line.trim_matches('|').split('|').map(|cell| cell.trim().to_string()).collect()
        });
        Ok(rows.collect())
    };
    let sum = |rows: &[Vec<String>], column: usize, about: &dyn Fn(&str) -> bool| -> Result<u64> {
        let rows = rows.iter().filter(|row| about(&row[0]));
        rows.map(|row| first_number(&row[column]).with_context(|| format!("no number: {row:?}")))
            .sum()
    };
    let all = |_: &str| true;
    let [faults, images, registries] =
        [survey("faults")?, survey("images")?, survey("registries")?];
    let [deaths, load, fuzz] = [survey("deaths")?, survey("load")?, survey("fuzz")?];
    let errors = sum(&faults, 2, &all)?;
    let deaths_at_a_call = sum(&faults, 5, &all)?;
    let rows = [
        ("system calls made to fail", errors, "[faults](#every-system-call-made-to-fail)"),
        (
            "processes killed at a system call",
            deaths_at_a_call,
            "[faults](#every-system-call-made-to-fail)",
        ),
        (
            "hostile and odd images, each for root and for ada",
            images.len() as u64,
            "[images](#hostile-images)",
        ),
        ("hostile registries", registries.len() as u64, "[registries](#hostile-registries)"),
        ("minutes of fuzzing", sum(&fuzz, 2, &all)? / 60, "[fuzz](#fuzzing)"),
        (
            "kills at any moment",
            sum(&deaths, 2, &|row| row.contains("killed"))?,
            "[deaths](#sudden-death-and-a-full-disk)",
        ),
        (
            "power cuts",
            sum(&deaths, 2, &|row| row.contains("power"))?,
            "[deaths](#sudden-death-and-a-full-disk)",
        ),
        ("containers under load", sum(&load, 0, &all)?, "[load](#load)"),
    ];
    let rows = rows
        .map(|(what, count, link)| format!("| {what} | {} | none | {link} |\n", grouped(count)));
    Ok("| what | how often | failures | survey |\n|---|---|---|---|\n".to_string() + &rows.concat())
}

/// The number that a text begins with.
fn first_number(text: &str) -> Option<u64> {
    let digits = text.replace(',', "");
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().ok()
}

/// 12345 as 12,345.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let parts: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|part| str::from_utf8(part).ok()).collect();
    parts.join(",")
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn figures_are_added_up() {
        let snapshot = |name: &str| {
            let rows = match name {
                "faults" => {
                    "| step 0 | 5 | 1,500 | 15 | 0 | 5 |\n| step 1 | 13 | 21 | 20 | 1 | 13 |"
                }
                "images" | "registries" => "| a | refused |\n| b | applied |",
                "deaths" => {
                    "| `run` killed | ada | 100 | | |\n| `pull`, and a power cut | ada | 10 | | |"
                }
                "load" => "| 100 at once | ada |\n| 1000 in a row | ada |",
                _ => "| layer | 20,916 | 600 |",
            };
            Ok(format!("| head |\n|---|\n{rows}\n"))
        };
        let table = table(snapshot).unwrap();
        for row in [
            "made to fail | 1,521 |",
            "at a system call | 18 |",
            "for ada | 2 |",
            "registries | 2 |",
            "fuzzing | 10 |",
            "moment | 100 |",
            "cuts | 10 |",
            "load | 1,100 |",
        ] {
            assert!(table.contains(row), "{row} in {table}");
        }
    }
}
