//! A snapshot that is a Markdown table becomes one whose first column is a header, too.

use anyhow::{Result, ensure};

use crate::highlight::escape;

/// The table in HTML, in a box that scrolls; `about` says what it is to those who can't see it.
/// Where `has_answers`, those that are not as in the first column are coloured.
pub fn html(about: &str, markdown: &str, has_answers: bool) -> Result<String> {
    let mut lines = markdown.lines().map(cells);
    let (head, rule) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    ensure!(rule.len() > 1 && rule.iter().all(|cell| *cell == "---"), "it is no table");
    let mut html = format!(
        "<div class=\"survey\" role=\"region\" aria-label=\"{0}\" tabindex=\"0\">\n<table>\n\
         <thead><tr>{1}</tr></thead>\n<tbody>\n",
        escape(about),
        head.iter()
            .map(|cell| format!("<th scope=\"col\">{}</th>", escape(cell)))
            .collect::<String>()
    );
    for row in lines {
        ensure!(row.len() == head.len(), "the row {:?} has not as many cells as the head", row[0]);
        html += &format!("<tr><th scope=\"row\">{}</th>", escape(row[0]));
        let class = |cell: &str| if has_answers { class(cell, row[1]) } else { "" };
        let cell = |cell: &&str| format!("<td{}>{}</td>", class(cell), escape(cell));
        html.extend(row[1..].iter().map(cell));
        html += "</tr>\n";
    }
    Ok(html + "</tbody>\n</table>\n</div>\n")
}

/// The cells of a line.
fn cells(line: &str) -> Vec<&str> {
    line.trim_matches('|').split('|').map(str::trim).collect()
}

/// What is not as in the first column, and does not stand for a hole, is coloured. The words say the same.
fn class(cell: &str, first: &str) -> &'static str {
    match cell {
        "works" | "–" => "",
        cell if cell == first => "",
        _ => " class=\"closed\"",
    }
}

#[cfg(test)]
mod tests {
    use super::html;

    #[test]
    fn rows_and_columns_have_headers() {
        let html = html("all", "| a | 0 | 1 |\n|---|---|---|\n| b & c | works | stopped |\n", true)
            .unwrap();
        assert!(html.contains("<th scope=\"col\">0</th>"), "{html}");
        let row = "<tr><th scope=\"row\">b &amp; c</th><td>works</td><td class=\"closed\">stopped</td></tr>";
        assert!(html.contains(row), "{html}");
    }

    #[test]
    fn a_table_has_a_rule_and_whole_rows() {
        assert!(html("all", "no table\n", true).is_err());
        assert!(html("all", "| a | 0 |\n|---|---|\n| b |\n", true).is_err());
    }
}
