//! The columns of a survey that puts all steps to the same probes: every step with everybody who can call it.
//!
//! Steps that do not differ share a column. So a run need not make them all: those that a table begins its columns with,
//! and the newest, tell whether the table still holds. The full matrix makes them all.

use std::sync::OnceLock;

use crate::checks::Caller;
use crate::steps;

/// A step, and who calls it.
pub type Column = (u8, Caller);

/// What stands behind the steps of a column that ada calls.
const ADA: &str = ", ada";

/// Those that are made; all if nothing is said.
static MADE: OnceLock<Vec<Column>> = OnceLock::new();

/// Has only those columns made that a table with this head begins with, and the newest.
pub fn make_like(head: &str) {
    let cells = head.trim_matches('|').split('|').skip(1);
    let mut made: Vec<Column> = cells.filter_map(|name| first_of(name.trim())).collect();
    made.extend([(steps::last(), Caller::Root), (steps::last(), Caller::Ada)]);
    let _ = MADE.set(made);
}

/// The columns that are made: root's steps, then those that ada can call.
pub fn columns() -> Vec<Column> {
    let mut columns = all();
    if let Some(made) = MADE.get() {
        columns.retain(|column| made.contains(column));
    }
    columns
}

fn all() -> Vec<Column> {
    let root = (0..=steps::last()).map(|step| (step, Caller::Root));
    root.chain((steps::first_for_ordinary()..=steps::last()).map(|step| (step, Caller::Ada)))
        .collect()
}

/// A Markdown table: a line for each row, whose first cell is the row's name, and above them the
/// names of the columns.
pub fn table(corner: &str, rows: &[Vec<String>]) -> String {
    written(corner, rows, &all(), &columns())
}

fn written(corner: &str, rows: &[Vec<String>], all: &[Column], made: &[Column]) -> String {
    let mut head = vec![corner.to_string()];
    let mut lines: Vec<Vec<&str>> = rows.iter().map(|row| vec![row[0].as_str()]).collect();
    let mut at = 0;
    let mut shared: Vec<Column> = Vec::new();
    for column in all {
        // One that was not made is as the one before.
        if at < made.len() && made[at] == *column {
            at += 1;
            let is_same = |row: &Vec<String>| at > 1 && row[at] == row[at - 1];
            let is_next = shared.last().is_some_and(|(_, caller)| *caller == column.1);
            if !(is_next && rows.iter().all(is_same)) {
                head.extend(name(&shared));
                shared.clear();
                for (line, row) in lines.iter_mut().zip(rows) {
                    line.push(&row[at]);
                }
            }
        }
        shared.push(*column);
    }
    head.extend(name(&shared));
    let line = |cells: String| format!("| {cells} |\n");
    let rule = format!("|{}\n", "---|".repeat(head.len()));
    let lines: String = lines.iter().map(|cells| line(cells.join(" | "))).collect();
    line(head.join(" | ")) + &rule + &lines
}

/// The name of a column that these share: `4`, `6, 7`, `5 to 8, ada`.
fn name(shared: &[Column]) -> Option<String> {
    let ((first, caller), (last, _)) = (shared.first()?, shared.last()?);
    let steps = match last - first {
        0 => format!("{first}"),
        1 => format!("{first}, {last}"),
        _ => format!("{first} to {last}"),
    };
    Some(if *caller == Caller::Ada { steps + ADA } else { steps })
}

/// The first of those that share a column of this name.
fn first_of(name: &str) -> Option<Column> {
    let (steps, caller) = match name.strip_suffix(ADA) {
        Some(steps) => (steps, Caller::Ada),
        None => (name, Caller::Root),
    };
    let first = steps.split([',', ' ']).next()?;
    Some((first.parse().ok()?, caller))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Column; 6] = [
        (0, Caller::Root),
        (1, Caller::Root),
        (2, Caller::Root),
        (3, Caller::Root),
        (2, Caller::Ada),
        (3, Caller::Ada),
    ];

    fn rows(cells: &[&str]) -> Vec<Vec<String>> {
        cells.iter().map(|row| row.split(' ').map(String::from).collect()).collect()
    }

    #[test]
    fn steps_that_do_not_differ_share_a_column() {
        let table = written("q", &rows(&["a x x y y y y", "b 1 1 1 1 1 2"]), &ALL, &ALL);
        let expected = "| q | 0, 1 | 2, 3 | 2, ada | 3, ada |\n|---|---|---|---|---|\n\
            | a | x | y | y | y |\n| b | 1 | 1 | 1 | 2 |\n";
        assert_eq!(table, expected);
        let table = written("q", &rows(&["a x x x y z z"]), &ALL, &ALL);
        assert!(table.starts_with("| q | 0 to 2 | 3 | 2, 3, ada |\n"), "{table}");
    }

    #[test]
    fn one_that_is_not_made_is_as_the_one_before() {
        let made = [ALL[0], ALL[2], ALL[3], ALL[4], ALL[5]];
        let table = written("q", &rows(&["a x y y y y"]), &ALL, &made);
        assert!(table.starts_with("| q | 0, 1 | 2, 3 | 2, 3, ada |\n"), "{table}");
    }

    #[test]
    fn a_column_is_found_by_its_name() {
        let names = ["4", "6, 7", "5 to 8, ada", "6, 7, ada", "10, 11, ada", "asked"];
        let root = |step| Some((step, Caller::Root));
        let ada = |step| Some((step, Caller::Ada));
        assert_eq!(names.map(first_of), [root(4), root(6), ada(5), ada(6), ada(10), None]);
    }
}
