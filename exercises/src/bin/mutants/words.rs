//! Texts: how a piece of code is named in one line, and what is taken for another.

use syn::BinOp;

/// The most characters of a piece of code that are shown.
const MOST: usize = 72;

/// A piece of code in one line, without its comments; of a long one the beginning and the end.
pub fn short(code: &str) -> String {
    let lines = code.lines().map(|line| line.split(" // ").next().unwrap_or_default().trim());
    let words: Vec<&str> =
        lines.filter(|line| !line.starts_with("//")).flat_map(str::split_whitespace).collect();
    let line: Vec<char> = words.join(" ").chars().collect();
    let text: String = if line.len() > MOST {
        let (head, tail) = (&line[..MOST - 24], &line[line.len() - 20..]);
        head.iter().chain(" … ".chars().collect::<Vec<_>>().iter()).chain(tail).collect()
    } else {
        line.iter().collect()
    };
    format!("`{text}`")
}

/// Where a text has decimal numbers.
pub fn numbers(text: &str) -> Vec<(usize, usize)> {
    let is_digit = |at: usize| text.as_bytes().get(at).is_some_and(u8::is_ascii_digit);
    let starts = (0..text.len()).filter(|at| is_digit(*at) && (*at == 0 || !is_digit(at - 1)));
    starts.map(|start| (start, (start..).find(|at| !is_digit(*at)).unwrap_or(start))).collect()
}

/// What might stand in the place of an operator; and whether each of its sides might do alone. One that binds something
/// (`if let`) has no other.
pub fn other_operators(operator: &BinOp, has_let: bool) -> (&'static [&'static str], bool) {
    match operator {
        BinOp::BitOr(_) => (&[], true),
        BinOp::And(_) if has_let => (&[], true),
        BinOp::And(_) => (&["||"], true),
        BinOp::Or(_) => (&["&&"], true),
        BinOp::Add(_) => (&["-"], false),
        BinOp::Sub(_) => (&["+"], true),
        BinOp::Mul(_) => (&["/"], false),
        BinOp::Div(_) => (&["*"], false),
        BinOp::Rem(_) => (&["/"], false),
        BinOp::BitAnd(_) => (&["|"], false),
        BinOp::Shl(_) => (&[">>"], false),
        BinOp::Shr(_) => (&["<<"], false),
        BinOp::Eq(_) => (&["!="], false),
        BinOp::Ne(_) => (&["=="], false),
        BinOp::Lt(_) => (&["<=", ">="], false),
        BinOp::Le(_) => (&["<", ">"], false),
        BinOp::Gt(_) => (&[">=", "<="], false),
        BinOp::Ge(_) => (&[">", "<"], false),
        BinOp::AddAssign(_) => (&["-="], false),
        BinOp::SubAssign(_) => (&["+="], false),
        BinOp::MulAssign(_) => (&["/="], false),
        _ => (&[], false),
    }
}

/// A constant that might stand in the place of this one. The compiler says whether it may.
pub fn other_constant(path: &str) -> Option<String> {
    let (of, name) = path.rsplit_once("::").unwrap_or(("", path));
    let kind = of.rsplit("::").next().unwrap_or_default();
    if kind == "ErrorKind" {
        return Some(format!("{of}::Other"));
    }
    let is_constant = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    if name.len() < 2 || !name.chars().all(is_constant) {
        return None;
    }
    Some(match (kind, name) {
        ("Errno", _) => format!("{of}::EXFULL"),
        (_, "SIGTERM") => format!("{of}::SIGKILL"),
        _ if name.starts_with("SIG") => format!("{of}::SIGTERM"),
        ("libc", _) => "0".into(),
        ("", _) => format!("({name} & !{name})"),
        _ => format!("{of}::empty()"),
    })
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn a_piece_of_code_is_one_line() {
        assert_eq!(short("a(\n    b, // why\n    // what\n    c)"), "`a( b, c)`");
        assert_eq!(short(&"ab".repeat(60)).chars().count(), MOST + 1);
    }

    #[test]
    fn numbers_are_found() {
        let text = "mode=0755,size=64k";
        let found: Vec<&str> =
            numbers(text).iter().map(|(start, end)| &text[*start..*end]).collect();
        assert_eq!(found, ["0755", "64"]);
    }

    #[test]
    fn constants_have_others_of_their_kind() {
        for (path, other) in [
            ("Signal::SIGKILL", Some("Signal::SIGTERM")),
            ("MntFlags::MNT_DETACH", Some("MntFlags::empty()")),
            ("libc::WNOHANG", Some("0")),
            ("STRICT", Some("(STRICT & !STRICT)")),
            ("ErrorKind::NotFound", Some("ErrorKind::Other")),
            ("Some", None),
            ("nothing", None),
        ] {
            assert_eq!(other_constant(path).as_deref(), other, "{path}");
        }
    }
}
