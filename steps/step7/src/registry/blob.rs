//! A blob as a stream that survives broken connections.

use std::io::{self, Read};
use std::thread::sleep;

use reqwest::header::{CONTENT_RANGE, HeaderMap, HeaderValue, RANGE};
use reqwest::{Method, StatusCode};

use super::Registry;
use super::body::{Body, Break};
use super::failure::Failure;
use crate::digest::Digest;
use crate::manifest::Descriptor;
use crate::manifest::shown;

/// Connections in a row that bring less than [`PROGRESS`] bytes.
const CONNECTIONS: u32 = 5;
const PROGRESS: u64 = 16 * 1024;

/// The bytes of a blob: as many as its descriptor says, or an error. Whether they are the right
/// ones, their digest tells.
pub struct Blob<'a> {
    registry: &'a Registry,
    digest: Digest,
    size: u64,
    /// Where we are.
    at: u64,
    /// Where we were when there was last enough progress.
    mark: u64,
    /// Connections lost since then.
    lost: u32,
    body: Option<Body>,
}

impl Blob<'_> {
    pub(super) fn open<'a>(
        registry: &'a Registry,
        descriptor: &Descriptor,
        start: u64,
    ) -> Result<Blob<'a>, Failure> {
        let Descriptor { digest, size, .. } = descriptor.clone();
        let mut blob = Blob { registry, digest, size, at: start, mark: start, lost: 0, body: None };
        blob.connect()?;
        Ok(blob)
    }

    /// Asks for what is missing (OCI distribution specification, "Pulling blobs"; RFC 9110, 14).
    fn connect(&mut self) -> Result<(), Failure> {
        let mut headers = HeaderMap::new();
        if self.at > 0 {
            headers.insert(
                RANGE,
                HeaderValue::try_from(format!("bytes={}-", self.at)).expect("digits"),
            );
        }
        let path = format!("blobs/{}", self.digest);
        let answer = self.registry.ask(Method::GET, &path, &headers)?;
        let (start, answer) = match answer.status {
            StatusCode::OK => (0, answer),
            StatusCode::PARTIAL_CONTENT if self.at > 0 => {
                let range = answer.headers.get(CONTENT_RANGE);
                let range = range.and_then(|range| range.to_str().ok()).unwrap_or_default();
                if !range.starts_with(&format!("bytes {}-", self.at)) {
                    let (host, range) = (answer.host, shown(range));
                    return Err(Failure::other(format!("{host} sends another part: {range}")));
                }
                (self.at, answer)
            }
            _ => return Err(self.registry.refused(answer)),
        };
        if let Some(length) = answer.length()
            && length != self.size - start
        {
            let (host, due) = (answer.host, self.size - start);
            return Err(Failure::other(format!("{host} sends {length} bytes instead of {due}")));
        }
        let mut body = answer.body;
        // A server that knows no ranges begins again.
        if let Err(end) = skip(&mut body, self.at - start) {
            return self.recover(end);
        }
        self.body = Some(body);
        Ok(())
    }

    /// Makes up one's mind about a broken connection: None is to be tried again.
    fn recover(&mut self, end: Break) -> Result<(), Failure> {
        self.body = None;
        let cause = match end {
            Break::Lost(cause) => cause,
            Break::Hopeless(cause) => return Err(Failure::other(cause)),
        };
        if self.at >= self.mark + PROGRESS {
            (self.mark, self.lost) = (self.at, 0);
        }
        self.lost += 1;
        let place = format!("lost at byte {} of {}: {cause}", self.at, self.size);
        if self.lost > CONNECTIONS {
            return Err(Failure::other(place));
        }
        // As long as it goes forward there is no reason to wait, nor to complain.
        if self.lost > 1 {
            (self.registry.transport.note)(&format!("{place}; connecting again"));
            sleep(self.registry.transport.patience.pause * 2u32.pow(self.lost - 2));
        }
        Ok(())
    }

    fn advance(&mut self, buffer: &mut [u8]) -> Result<usize, Failure> {
        let left = self.size - self.at;
        loop {
            let Some(body) = &mut self.body else {
                self.connect()?;
                continue;
            };
            // After the last byte: is there one more?
            let most = left.min(buffer.len() as u64).max(1) as usize;
            match body.read(&mut buffer[..most]) {
                Ok(0) if left > 0 => self.recover(Break::Lost("it ended".to_string()))?,
                Ok(0) => return Ok(0),
                Ok(_) if left == 0 => {
                    let cause = format!("it sends more than the {} bytes it should", self.size);
                    return Err(Failure::other(cause));
                }
                Ok(count) => {
                    self.at += count as u64;
                    return Ok(count);
                }
                // All that matters is there.
                Err(_) if left == 0 => return Ok(0),
                Err(end) => self.recover(end)?,
            }
        }
    }
}

impl Read for Blob<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        self.advance(buffer).map_err(|failure| io::Error::other(failure.to_string()))
    }
}

/// Reads and forgets.
fn skip(body: &mut Body, mut count: u64) -> Result<(), Break> {
    let mut buffer = [0; 16 * 1024];
    while count > 0 {
        let most = count.min(buffer.len() as u64) as usize;
        match body.read(&mut buffer[..most])? {
            0 => return Err(Break::Lost("it ended".to_string())),
            read => count -= read as u64,
        }
    }
    Ok(())
}
