//! The header WWW-Authenticate: whatever a registry says, what is read is no more than was sent, and
//! reads the same when it is written as the RFC wants it.

use transport::challenge::{Challenge, parse};

/// The parameters that the engine asks for.
const PARAMETERS: [&str; 4] = ["realm", "service", "scope", "error"];

/// The input is the header's value.
pub fn check(input: &[u8]) {
    let Ok(header) = str::from_utf8(input) else { return };
    let challenges = parse(header);
    let size = challenges.iter().flat_map(|one| parts(one).map(str::len)).sum::<usize>();
    assert!(size <= header.len(), "{challenges:?} is more than {header:?}");
    for challenge in &challenges {
        let scheme = &challenge.scheme;
        let is_token = |c: char| c.is_ascii_graphic() && !r#""(),/:;<=>?@[\]{}"#.contains(c);
        assert!(!scheme.is_empty() && scheme.chars().all(is_token), "{scheme:?}");
        assert_eq!(*scheme, scheme.to_lowercase());
    }
    let written = challenges.iter().map(written).collect::<Vec<_>>().join(", ");
    let again = parse(&written);
    assert_eq!(again.len(), challenges.len(), "{written}");
    for (one, other) in again.iter().zip(&challenges) {
        assert!(parts(one).eq(parts(other)), "{one:?} ≠ {other:?}");
    }
}

fn parts(challenge: &Challenge) -> impl Iterator<Item = &str> {
    let values = PARAMETERS.into_iter().filter_map(|name| challenge.get(name));
    [challenge.scheme.as_str()].into_iter().chain(values)
}

/// RFC 9110, 11.6.1, with each value as a quoted string.
fn written(challenge: &Challenge) -> String {
    let parameters: Vec<String> = PARAMETERS
        .into_iter()
        .filter_map(|name| {
            let value = challenge.get(name)?.replace('\\', r"\\").replace('"', "\\\"");
            Some(format!("{name}=\"{value}\""))
        })
        .collect();
    format!("{} {}", challenge.scheme, parameters.join(", "))
}
