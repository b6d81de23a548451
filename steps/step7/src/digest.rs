//! Digests: the names of blobs, and the proof that a blob is what its name says.

use std::fmt::Display;
use std::io::{self, Read};

use reference::Digest;
use sha2::{Digest as _, Sha256};
use shared::Error;

/// Lets bytes through and takes their digest and number on the way.
pub struct Hashing<R> {
    inner: R,
    hash: Sha256,
    count: u64,
}

impl<R: Read> Hashing<R> {
    pub fn new(inner: R) -> Hashing<R> {
        Hashing { inner, hash: Sha256::new(), count: 0 }
    }

    /// Bytes so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The digest of what was read.
    pub fn digest(self) -> Digest {
        Digest::from(<[u8; 32]>::from(self.hash.finalize()))
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hash.update(&buffer[..count]);
        self.count += count as u64;
        Ok(count)
    }
}

/// Fails, naming both, unless `seen` is what was `expected` of `what`.
pub fn require(what: impl Display, expected: &Digest, seen: &Digest) -> Result<(), Error> {
    if expected == seen {
        Ok(())
    } else {
        Err(Error::new(format!("{what} is not what it should be: {seen} instead of {expected}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_let_through_is_hashed_and_counted() {
        let mut reader = Hashing::new(&b"abc"[..]);
        io::copy(&mut reader, &mut io::sink()).unwrap();
        assert_eq!(reader.count(), 3);
        assert_eq!(reader.digest(), Digest::of(b"abc"));
    }
}
