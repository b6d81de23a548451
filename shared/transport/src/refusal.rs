//! Responses that are no good, in words.

use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde::Deserialize;
use shared::shown;

use crate::Response;

/// Bytes of a response that are read for what it says about an error.
const LIMIT: usize = 64 * 1024;

/// What a registry says about an error (OCI distribution specification, "Error Codes").
#[derive(Deserialize)]
struct Errors {
    errors: Vec<Reason>,
}

#[derive(Deserialize)]
struct Reason {
    #[serde(default)]
    code: String,
    message: Option<String>,
}

/// Who answered what: the status, and the reason that the registry gives.
pub fn refusal(response: &mut Response) -> String {
    let mut text = format!("{} answers {}", response.host, response.status);
    let bytes = response.body.read_all(LIMIT).unwrap_or_default();
    if let Ok(Errors { errors }) = serde_json::from_slice(&bytes)
        && let Some(Reason { code, message }) = errors.first()
    {
        text = format!("{text}: {}", shown(message.as_ref().unwrap_or(code)));
    } else if is_web_page(&response.headers, &bytes) {
        text += " and a web page: it may be no registry";
    }
    if response.status == StatusCode::TOO_MANY_REQUESTS {
        text += " (wait, or log in: many registries let their users pull more)";
    }
    text
}

/// Whether this is HTML where JSON was asked for, as from a proxy or a login page.
pub fn is_web_page(headers: &HeaderMap, bytes: &[u8]) -> bool {
    media_type(headers) == "text/html" || bytes.trim_ascii_start().starts_with(b"<")
}

/// The Content-Type without its parameters; "" if there is none.
pub fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}
