//! A body as a stream that survives broken connections.

use std::io::{self, Read};
use std::thread::sleep;

use reqwest::StatusCode;
use reqwest::header::{CONTENT_RANGE, HeaderMap, HeaderValue, RANGE};

use crate::{Body, Break, Failure, Response, Transport, is_busy, refusal};

/// Connections in a row that bring less than [`PROGRESS`] bytes.
const CONNECTIONS: u32 = 5;
const PROGRESS: u64 = 16 * 1024;

/// The bytes of a body whose size is known: as many as it has, or an error. Whether they are the right ones,
/// others have to see.
///
/// When the connection breaks it asks for what is missing. Only after [`CONNECTIONS`] that brought next to
/// nothing it gives up.
pub struct Resumed<'a, Ask> {
    transport: &'a Transport,
    /// Asks the server, with these headers and those that it wants to see besides.
    ask: Ask,
    /// What this is, for an error: `cannot get NAME: …`.
    name: String,
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

impl<'a, Ask: Fn(&HeaderMap) -> Result<Response, Failure>> Resumed<'a, Ask> {
    /// Asks for `size` bytes from the byte `start` on, counted from 0.
    ///
    /// # Errors
    ///
    /// The server does not answer, refuses, or announces another size.
    pub fn open(
        transport: &'a Transport,
        name: String,
        size: u64,
        start: u64,
        ask: Ask,
    ) -> Result<Resumed<'a, Ask>, Failure> {
        let mut body = Resumed {
            transport,
            ask,
            name,
            size,
            at: start,
            mark: start,
            lost: 0,
            ranges_work: true,
            body: None,
        };
        body.connect()?;
        Ok(body)
    }

    /// Asks for what is missing (RFC 9110, 14).
    fn connect(&mut self) -> Result<(), Failure> {
        let start = if self.ranges_work { self.at } else { 0 };
        let mut headers = HeaderMap::new();
        if start > 0 {
            let range = HeaderValue::try_from(format!("bytes={start}-"));
            headers.insert(RANGE, range.expect("digits"));
        }
        let mut response = (self.ask)(&headers)?;
        let begins_at = match response.status {
            StatusCode::OK => 0,
            StatusCode::PARTIAL_CONTENT if is_part(&response, start, self.size) => start,
            // A server need not know ranges, and some say so with an error. (One that is busy would
            // be no less busy for the whole.)
            status if start > 0 && !is_busy(status) => {
                self.ranges_work = false;
                return self.connect();
            }
            _ => return Err(Failure::other(refusal(&mut response))),
        };
        if let Some(length) = response.length()
            && begins_at == 0
            && length != self.size
        {
            let (host, due) = (response.host, self.size);
            return Err(Failure::other(format!("{host} sends {length} bytes instead of {due}")));
        }
        let mut body = response.body;
        // It began anew: what we have comes once more.
        if let Err(end) = skip(&mut body, self.at - begins_at) {
            return self.recover(end);
        }
        self.body = Some(body);
        Ok(())
    }

    /// Decides what comes of a broken connection: an error, or without a body the next one.
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
        let cause = format!("lost at byte {} of {}: {cause}", self.at, self.size);
        if self.lost > CONNECTIONS {
            return Err(Failure::other(cause));
        }
        // As long as it goes forward there is no reason to wait, nor to complain.
        if self.lost > 1 {
            (self.transport.note)(&format!("{cause}; connecting again"));
            sleep(self.transport.patience.pause * 2u32.pow(self.lost - 2));
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

impl<Ask: Fn(&HeaderMap) -> Result<Response, Failure>> Read for Resumed<'_, Ask> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let read = self.advance(buffer);
        read.map_err(|failure| io::Error::other(format!("cannot get {}: {failure}", self.name)))
    }
}

/// Whether a response with status 206 has the bytes from `start` on, or some of them: the rest can be
/// asked for (RFC 9110, 14.4: `Content-Range: bytes 100-199/1000`).
fn is_part(response: &Response, start: u64, size: u64) -> bool {
    let range = response.headers.get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
    let ends = range.and_then(|range| range.strip_prefix("bytes ")?.split_once('-'));
    let Some((first, rest)) = ends else { return false };
    let last = rest.split('/').next().unwrap_or_default().parse::<u64>();
    first.parse() == Ok(start)
        && last.is_ok_and(|last| (start..size).contains(&last))
        && response.length().is_none_or(|length| length <= size - start)
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
