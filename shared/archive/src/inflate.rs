//! Inflating: what comes out is bounded, and an input that is not whole is an error.

use std::io::{self, BufRead, BufReader, Cursor, ErrorKind, Read};

use flate2::bufread::GzDecoder;
use shared::size;

/// Bytes of compressed input that are read at once.
const INPUT: usize = 64 * 1024;

/// How a blob begins that is packed: with a gzip member (RFC 1952, 2.3.1), or with a zstd frame (RFC
/// 8878, 3.1). One that is to be skipped is marked by any of sixteen words.
const GZIP: [u8; 3] = [0x1f, 0x8b, 8];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const ZSTD_SKIPPED: [u8; 3] = [0x2a, 0x4d, 0x18];

/// The inflated bytes of `blob`. Its end is not reported before `blob`'s.
///
/// How it is packed its first bytes say, and not its media type, which many a tool gets wrong: Docker,
/// podman and containerd look at the bytes, too. It can't become another image by that, since the
/// inflated bytes must have the digest that the config gives.
///
/// zstd may use up to 128 MiB (its own limit) for a window, if the layer was compressed with one.
///
/// # Errors
///
/// The first bytes can't be read, or there is no memory for zstd.
pub fn reader<'a>(mut blob: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut start = Vec::new();
    blob.by_ref().take(4).read_to_end(&mut start)?;
    let is_gzip = start.starts_with(&GZIP);
    let is_zstd = start == ZSTD || start.get(1..) == Some(&ZSTD_SKIPPED) && start[0] >> 4 == 5;
    let blob = BufReader::with_capacity(INPUT, Cursor::new(start).chain(blob));
    Ok(if is_gzip {
        Box::new(Gzip::new(blob))
    } else if is_zstd {
        Box::new(zstd::Decoder::with_buffer(blob)?)
    } else {
        Box::new(blob)
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
    /// At most `max` bytes.
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

    fn inflate(input: &[u8]) -> io::Result<String> {
        let mut text = String::new();
        reader(input).unwrap().read_to_string(&mut text).map(|_| text)
    }

    #[test]
    fn gzip_members_follow_each_other_and_zeros_may_follow_them() {
        let members = [gzip("one"), gzip(""), gzip("two")].concat();
        assert_eq!(inflate(&members).unwrap(), "onetwo");
        let padded = [members, vec![0; 100_000]].concat();
        assert_eq!(inflate(&padded).unwrap(), "onetwo");
    }

    #[test]
    fn zstd_frames_follow_each_other_and_skippable_ones_are_skipped() {
        let frame = |text: &str| zstd::encode_all(text.as_bytes(), 1).unwrap();
        let skippable = b"\x50\x2a\x4d\x18\x03\0\0\0abc".to_vec();
        let frames = [frame("one"), skippable.clone(), frame("two"), skippable].concat();
        assert_eq!(inflate(&frames).unwrap(), "onetwo");
    }

    #[test]
    fn what_is_not_packed_is_as_it_is() {
        for text in ["", "x", "Px", "\x1f", "a tar archive", "P is no frame"] {
            assert_eq!(inflate(text.as_bytes()).unwrap(), text);
        }
        assert_eq!(inflate(b"\x5f\x2a\x4d\x18\x01\0\0\0x").unwrap(), "");
    }

    #[test]
    fn what_is_not_whole_or_not_alone_is_refused() {
        let zip = gzip("one two three");
        let frame = zstd::encode_all(&b"one two three"[..], 1).unwrap();
        for end in GZIP.len()..zip.len() {
            assert!(inflate(&zip[..end]).is_err(), "{end}");
        }
        for end in ZSTD.len()..frame.len() {
            assert!(inflate(&frame[..end]).is_err(), "{end}");
        }
        for garbage in [&b"garbage"[..], b"\0\0\0g", b"\x1f\x8b"] {
            assert!(inflate(&[&zip, garbage].concat()).is_err());
            assert!(inflate(&[&frame, garbage].concat()).is_err());
        }
    }

    #[test]
    fn more_bytes_than_allowed_are_an_error() {
        let read = |max| io::copy(&mut Bounded::new(&b"12345"[..], max), &mut io::sink());
        assert_eq!(read(5).unwrap(), 5);
        assert!(read(4).unwrap_err().to_string().contains("more than 4"));
    }
}
