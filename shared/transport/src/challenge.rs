//! What a registry wants to see before it answers: the WWW-Authenticate header (RFC 9110, 11.6.1).

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// One way to show who one is.
#[derive(Clone, Debug, PartialEq)]
pub struct Challenge {
    /// In lower case: `bearer`, `basic`.
    pub scheme: String,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    /// A parameter by its name: `realm`, `service`, `scope`.
    pub fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.parameters.iter().find(|(other, _)| other == name)?;
        Some(value)
    }

    /// Whether we can do what it asks for.
    pub fn is_known(&self) -> bool {
        matches!(self.scheme.as_str(), "bearer" | "basic")
    }

    /// The same without a parameter.
    pub fn without(mut self, name: &str) -> Challenge {
        self.parameters.retain(|(other, _)| other != name);
        self
    }
}

/// All challenges of a response.
pub fn of(headers: &HeaderMap) -> Vec<Challenge> {
    let values = headers.get_all(WWW_AUTHENTICATE).iter();
    let text = |bytes: &[u8]| match str::from_utf8(bytes) {
        Ok(text) => text.to_string(),
        // What HTTP had before UTF-8 was Latin-1: each byte is a letter.
        Err(_) => bytes.iter().map(|&byte| char::from(byte)).collect(),
    };
    values.flat_map(|value| parse(&text(value.as_bytes()))).collect()
}

/// Reads a header that holds one challenge or several, with commas between them and between their
/// parameters. What cannot be understood is passed over: a challenge may come of it, or none.
pub fn parse(header: &str) -> Vec<Challenge> {
    let mut challenges: Vec<Challenge> = Vec::new();
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return challenges;
        }
        let (name, after) = rest.split_at(rest.find(|c| !is_of_token(c)).unwrap_or(rest.len()));
        let name = name.to_ascii_lowercase();
        match (after.trim_start().strip_prefix('='), challenges.last_mut()) {
            // `name=value` belongs to the scheme before it.
            (Some(after), Some(challenge)) if !name.is_empty() => {
                let (value, after) = value(after.trim_start());
                challenge.parameters.push((name, value));
                rest = after;
            }
            // A word alone is a scheme.
            (None, _) if !name.is_empty() && !after.starts_with(|c| !is_between(c)) => {
                challenges.push(Challenge { scheme: name, parameters: Vec::new() });
                rest = after;
            }
            // Neither: up to the next comma.
            _ => rest = after.find(',').map_or("", |comma| &after[comma..]),
        }
    }
}

/// A parameter's value, and what comes after it.
fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        // More than a token may have: some registries forget the quotes.
        let (value, after) = text.split_at(text.find(is_between).unwrap_or(text.len()));
        return (value.to_string(), after);
    };
    let mut value = String::new();
    let mut letters = quoted.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(letters.next().map(|(_, escaped)| escaped)),
            _ => value.push(letter),
        }
    }
    (value, "")
}

fn is_between(c: char) -> bool {
    matches!(c, ' ' | '\t' | ',')
}

/// RFC 9110, 5.6.2.
fn is_of_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(header: &str) -> Challenge {
        let mut challenges = parse(header);
        assert_eq!(challenges.len(), 1, "{challenges:?}");
        challenges.remove(0)
    }

    #[test]
    fn a_scope_may_have_commas() {
        let challenge = one(concat!(
            r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io","#,
            r#"scope="repository:a/b:pull,push""#
        ));
        assert_eq!(challenge.scheme, "bearer");
        assert_eq!(challenge.get("realm"), Some("https://auth.docker.io/token"));
        assert_eq!(challenge.get("service"), Some("registry.docker.io"));
        assert_eq!(challenge.get("scope"), Some("repository:a/b:pull,push"));
        assert_eq!(challenge.get("error"), None);
    }

    #[test]
    fn one_header_may_hold_several() {
        let challenges = parse(
            r#"Negotiate YWJj/+==, Basic realm="a \"b\", c", BEARER Realm = x , scope=a:b:c"#,
        );
        let schemes: Vec<_> = challenges.iter().map(|one| one.scheme.as_str()).collect();
        assert_eq!(schemes, ["negotiate", "basic", "bearer"]);
        assert_eq!(challenges[1].get("realm"), Some(r#"a "b", c"#));
        assert_eq!(challenges[2].get("realm"), Some("x"));
        assert_eq!(challenges[2].get("scope"), Some("a:b:c"));
    }

    #[test]
    fn rubbish_is_passed_over() {
        for header in
            ["", ",,, ,", "=", "\"", "a=b", "=a b=c", "Bearer =x, realm=a", "(x), {y}", "é=1", "\\"]
        {
            assert_eq!(parse(header), [], "{header}");
        }
        assert_eq!(one(r#"Bearer realm="open"#).get("realm"), Some("open"));
        assert_eq!(one(r#"Bearer realm="open\"#).get("realm"), Some("open"));
        assert_eq!(one("Basic").scheme, "basic");
    }

    #[test]
    fn whatever_comes_it_ends() {
        let pieces = ["a", "=", "\"", "\\", ",", " ", "é", "/", "Bearer ", "realm="];
        for number in 0..100_000usize {
            let mut number = number;
            let mut header = String::new();
            for _ in 0..5 {
                header.push_str(pieces[number % 10]);
                number /= 10;
            }
            parse(&header);
        }
    }
}
