//! A blob as a stream that survives broken connections.

use std::io::{self, Read};
use std::thread::sleep;

use documents::Descriptor;
use reference::Digest;
use reqwest::header::{CONTENT_RANGE, HeaderMap, HeaderValue, RANGE};
use reqwest::{Method, StatusCode};
use transport::{Answer, Body, Break, Failure, is_busy};

use super::Registry;

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
    /// Whether to ask for what is missing only: until the server refuses to.
    ranges_work: bool,
    body: Option<Body>,
}

impl Blob<'_> {
    pub(super) fn open<'a>(
        registry: &'a Registry,
        descriptor: &Descriptor,
        start: u64,
    ) -> Result<Blob<'a>, Failure> {
        let Descriptor { digest, size, .. } = descriptor.clone();
        let mut blob = Blob {
            registry,
            digest,
            size,
            at: start,
            mark: start,
            lost: 0,
            ranges_work: true,
            body: None,
        };
        blob.connect()?;
        Ok(blob)
    }

    /// Asks for what is missing (OCI distribution specification, "Pulling blobs"; RFC 9110, 14).
    fn connect(&mut self) -> Result<(), Failure> {
        let start = if self.ranges_work { self.at } else { 0 };
        let mut headers = HeaderMap::new();
        if start > 0 {
            let range = HeaderValue::try_from(format!("bytes={start}-"));
            headers.insert(RANGE, range.expect("digits"));
        }
        let path = format!("blobs/{}", self.digest);
        let answer = self.registry.ask(Method::GET, &path, &headers)?;
        let begins_at = match answer.status {
            StatusCode::OK => 0,
            StatusCode::PARTIAL_CONTENT if is_part(&answer, start, self.size) => start,
            // A server need not know ranges, and some say so with an error. (One that is busy would
            // be no less busy for the whole.)
            status if start > 0 && !is_busy(status) => {
                self.ranges_work = false;
                return self.connect();
            }
            _ => return Err(self.registry.refused(answer)),
        };
        if let Some(length) = answer.length()
            && begins_at == 0
            && length != self.size
        {
            let (host, due) = (answer.host, self.size);
            return Err(Failure::other(format!("{host} sends {length} bytes instead of {due}")));
        }
        let mut body = answer.body;
        // It began anew: what we have comes once more.
        if let Err(end) = skip(&mut body, self.at - begins_at) {
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
        self.advance(buffer).map_err(|failure| {
            let error = self.registry.cannot_get(&self.digest.to_string(), failure);
            io::Error::other(error.to_string())
        })
    }
}

/// Whether an answer with status 206 has the bytes from `start` on, or some of them: the rest can be
/// asked for (RFC 9110, 14.4: `Content-Range: bytes 100-199/1000`).
fn is_part(answer: &Answer, start: u64, size: u64) -> bool {
    let range = answer.headers.get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
    let ends = range.and_then(|range| range.strip_prefix("bytes ")?.split_once('-'));
    let Some((first, rest)) = ends else { return false };
    let last = rest.split('/').next().unwrap_or_default().parse::<u64>();
    first.parse() == Ok(start)
        && last.is_ok_and(|last| (start..size).contains(&last))
        && answer.length().is_none_or(|length| length <= size - start)
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
