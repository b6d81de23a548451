//! Documents: what is small enough to be read into memory.

use reqwest::StatusCode;
use reqwest::header::{CONTENT_ENCODING, HeaderMap};
use shared::shown;

use crate::{Break, Failure, Response, is_web_page, refusal};

/// Attempts at a document whose connection breaks.
const CONNECTIONS: u32 = 3;

/// A response with status 200, and all of its body.
pub struct Document {
    pub headers: HeaderMap,
    pub bytes: Vec<u8>,
    /// Who sent it, as in `https://registry.example`.
    pub host: String,
}

impl Document {
    /// Asks with `ask` for a document of at most `limit` bytes, and once more if the connection breaks.
    ///
    /// # Errors
    ///
    /// Those of `ask`; a status other than 200; a body that is larger, or that is compressed although
    /// nobody asked for that; a web page, as a proxy or a hotel's network sends it in place of anything.
    pub fn get(
        limit: usize,
        ask: impl Fn() -> Result<Response, Failure>,
    ) -> Result<Document, Failure> {
        let mut attempt = 1;
        let (headers, host, bytes) = loop {
            let mut response = ask()?;
            if response.status != StatusCode::OK {
                return Err(Failure::other(refusal(&mut response)));
            }
            match response.body.read_all(limit) {
                Ok(bytes) => break (response.headers, response.host, bytes),
                Err(Break::Lost(_)) if attempt < CONNECTIONS => attempt += 1,
                Err(end) => {
                    return Err(Failure::other(format!("{}: {}", response.host, end.cause())));
                }
            }
        };
        if let Some(encoding) = headers.get(CONTENT_ENCODING).filter(|how| *how != "identity") {
            let encoding = shown(&String::from_utf8_lossy(encoding.as_bytes()));
            let cause = format!("{host} sends it compressed ({encoding}), and was not asked to");
            return Err(Failure::other(cause));
        }
        if is_web_page(&headers, &bytes) {
            let cause = "answers a web page, not a manifest: it may be no registry";
            return Err(Failure::other(format!("{host} {cause}")));
        }
        Ok(Document { headers, bytes, host })
    }
}
