//! Names of images: what is accepted follows Docker's grammar, means one image only, and asks the
//! registry that it names for nothing else.

use reference::Reference;
use reqwest::Url;

/// The input is a name as a user types it.
pub fn check(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let reference: Reference = match text.parse() {
        Ok(reference) => reference,
        Err(error) => return crate::check_message(&error, input),
    };
    let name = reference.to_string();
    assert_eq!(name.parse(), Ok(reference.clone()), "{text:?} is written as {name:?}");
    assert!(reference.registry.len() + 1 + reference.repository.len() <= 255);
    assert!(is_repository(&reference.repository), "{reference:?}");
    assert!(reference.tag.as_deref().is_none_or(is_tag), "{reference:?}");
    assert!(reference.tag.is_some() || reference.digest.is_some());

    let wanted = reference.tag_or_digest();
    let path = format!("/v2/{}/manifests/{wanted}", reference.repository);
    // Some hosts are none, as 1.2.3.256: then nobody is asked.
    if let Ok(url) = Url::parse(&format!("https://{}{path}", reference.api_host())) {
        assert_eq!(url.path(), path);
        assert_eq!((url.username(), url.password()), ("", None));
        assert_eq!((url.query(), url.fragment()), (None, None));
    }
}

/// distribution/reference's grammar, read once more: `path-component ["/" path-component]*`.
fn is_repository(text: &str) -> bool {
    let is_separator =
        |text: &str| matches!(text, "." | "_" | "__") || text.bytes().all(|b| b == b'-');
    text.split('/').all(|part| {
        let separators = part.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        let is_inner = !part.starts_with(['.', '_', '-']) && !part.ends_with(['.', '_', '-']);
        !part.is_empty() && is_inner && separators.into_iter().all(is_separator)
    })
}

/// `[\w][\w.-]{0,127}`
fn is_tag(text: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (1..=128).contains(&text.len())
        && text.starts_with(is_word)
        && text.chars().all(|c| is_word(c) || c == '.' || c == '-')
}
