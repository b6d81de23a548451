//! The body of a response, for which neither time nor memory is without bounds.

use std::io::Read;
use std::time::{Duration, Instant};

use reqwest::blocking::Response;

use crate::failure::Failure;
use crate::retry::Patience;

/// Why a body does not go on.
pub enum Break {
    /// The connection was lost. Asked again, the server may send the rest.
    Lost(String),
    /// This server is not worth another request.
    Hopeless(String),
}

impl Break {
    /// The cause, for a person.
    pub fn cause(self) -> String {
        match self {
            Break::Lost(cause) | Break::Hopeless(cause) => cause,
        }
    }
}

/// The bytes of a response as they come.
pub struct Body {
    response: Response,
    window: Duration,
    slowest: u64,
    /// How long the window has been open. What the reader does between two reads is not counted.
    waited: Duration,
    /// What has come through it.
    count: u64,
}

impl Body {
    /// The body of a response.
    pub fn new(response: Response, patience: &Patience) -> Body {
        let Patience { window, slowest, .. } = *patience;
        Body { response, window, slowest, waited: Duration::ZERO, count: 0 }
    }

    /// Reads some bytes; 0 is the end.
    ///
    /// # Errors
    ///
    /// The connection is lost, or so slow that it makes no sense to go on.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Break> {
        let began = Instant::now();
        let result = self.response.read(buffer);
        self.waited += began.elapsed();
        let count = result.map_err(|error| Break::Lost(Failure::of_body(&error)))?;
        self.count += count as u64;
        if self.waited >= self.window {
            if self.count < self.slowest {
                let (count, seconds) = (self.count, self.waited.as_secs_f32());
                let cause = format!("{count} bytes in {seconds:.0} s are too slow to go on");
                return Err(Break::Hopeless(cause));
            }
            (self.waited, self.count) = (Duration::ZERO, 0);
        }
        Ok(count)
    }

    /// Reads all that there is, at most `limit` bytes.
    ///
    /// # Errors
    ///
    /// There is more; or those of [`Body::read`].
    pub fn read_all(&mut self, limit: usize) -> Result<Vec<u8>, Break> {
        let mut bytes = Vec::new();
        let mut buffer = [0; 16 * 1024];
        loop {
            match self.read(&mut buffer)? {
                0 => return Ok(bytes),
                count if bytes.len() + count > limit => {
                    let cause = format!("it sends more than {limit} bytes");
                    return Err(Break::Hopeless(cause));
                }
                count => bytes.extend_from_slice(&buffer[..count]),
            }
        }
    }
}
