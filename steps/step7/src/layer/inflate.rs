//! Inflating: what comes out is bounded, and an input that is not whole is an error.

use std::io::{self, BufRead, BufReader, ErrorKind, Read};

use flate2::bufread::GzDecoder;
use shared::size;

use super::Compression;

/// Bytes of compressed input that are read at once.
const INPUT: usize = 64 * 1024;

/// The inflated bytes of `blob`. Its end is not reported before `blob`'s.
///
/// zstd may use up to 128 MiB (its own limit) for a window, if the layer was compressed with one.
pub fn reader<'a>(
    blob: impl Read + 'a,
    compression: Compression,
) -> io::Result<Box<dyn Read + 'a>> {
    let blob = BufReader::with_capacity(INPUT, blob);
    Ok(match compression {
        Compression::None => Box::new(blob),
        Compression::Gzip => Box::new(Gzip::new(blob)),
        Compression::Zstd => Box::new(zstd::Decoder::with_buffer(blob)?),
    })
}

/// One gzip member after the other (RFC 1952, 2.2), then nothing or zeros.
///
/// Zeros are what a tape's or a disk's last block is filled with; gzip(1) accepts them, too. Other
/// bytes after the end are an error: it's how containerd and umoci have it, which read by Go's gzip.
struct Gzip<R> {
    /// None at the end.
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> Gzip<R> {
    fn new(input: R) -> Gzip<R> {
        Gzip { member: Some(GzDecoder::new(input)) }
    }
}

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let count = member.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            // The member has ended, and its checksum was right.
            let mut input = self.member.take().expect("it was there").into_inner();
            match input.fill_buf()?.first() {
                None => {}
                Some(0) => read_zeros(input)?,
                Some(_) => self.member = Some(GzDecoder::new(input)),
            }
        }
        Ok(0)
    }
}

fn read_zeros(mut input: impl BufRead) -> io::Result<()> {
    loop {
        let bytes = input.fill_buf()?;
        if bytes.iter().any(|byte| *byte != 0) {
            return Err(io::Error::new(ErrorKind::InvalidData, "garbage after the gzip data"));
        }
        match bytes.len() {
            0 => return Ok(()),
            count => input.consume(count),
        }
    }
}

/// Fails when there are more bytes than were allowed. Retries what a signal interrupted, and says
/// what is cut off: the compressed data, and not the archive in them.
pub struct Bounded<R> {
    inner: R,
    max: u64,
    left: u64,
}

impl<R: Read> Bounded<R> {
    pub fn new(inner: R, max: u64) -> Bounded<R> {
        Bounded { inner, max, left: max }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = loop {
            match self.inner.read(buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    return Err(io::Error::other("its compressed data are cut off"));
                }
                result => break result?,
            }
        };
        let Some(left) = self.left.checked_sub(count as u64) else {
            let max = size::text(self.max);
            return Err(io::Error::other(format!("it inflates to more than {max}, its limit")));
        };
        self.left = left;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Default::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    fn inflate(input: &[u8], compression: Compression) -> io::Result<String> {
        let mut text = String::new();
        reader(input, compression).unwrap().read_to_string(&mut text).map(|_| text)
    }

    #[test]
    fn gzip_members_follow_each_other_and_zeros_may_follow_them() {
        let members = [gzip("one"), gzip(""), gzip("two")].concat();
        assert_eq!(inflate(&members, Compression::Gzip).unwrap(), "onetwo");
        let padded = [members, vec![0; 100_000]].concat();
        assert_eq!(inflate(&padded, Compression::Gzip).unwrap(), "onetwo");
    }

    #[test]
    fn zstd_frames_follow_each_other_and_skippable_ones_are_skipped() {
        let frame = |text: &str| zstd::encode_all(text.as_bytes(), 1).unwrap();
        let skippable = b"\x50\x2a\x4d\x18\x03\0\0\0abc".to_vec();
        let frames = [frame("one"), skippable.clone(), frame("two"), skippable].concat();
        assert_eq!(inflate(&frames, Compression::Zstd).unwrap(), "onetwo");
    }

    #[test]
    fn what_is_not_whole_or_not_alone_is_refused() {
        let zip = gzip("one two three");
        let frame = zstd::encode_all(&b"one two three"[..], 1).unwrap();
        for end in 0..zip.len() {
            assert!(inflate(&zip[..end], Compression::Gzip).is_err(), "{end}");
        }
        for end in 1..frame.len() {
            assert!(inflate(&frame[..end], Compression::Zstd).is_err(), "{end}");
        }
        for garbage in [&b"garbage"[..], b"\0\0\0g", b"\x1f\x8b"] {
            assert!(inflate(&[&zip, garbage].concat(), Compression::Gzip).is_err());
            assert!(inflate(&[&frame, garbage].concat(), Compression::Zstd).is_err());
        }
    }

    #[test]
    fn more_bytes_than_allowed_are_an_error() {
        let read = |max| io::copy(&mut Bounded::new(&b"12345"[..], max), &mut io::sink());
        assert_eq!(read(5).unwrap(), 5);
        assert!(read(4).unwrap_err().to_string().contains("more than 4"));
    }
}
