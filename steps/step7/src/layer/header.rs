//! The fields of a tar header. The `tar` crate knows where they lie; what they say is read here,
//! because a wrong one must be an error, and numbers may be negative.

use nix::sys::time::TimeSpec;
use tar::{GnuExtSparseHeader, GnuSparseHeader, Header};

/// Why a header is refused.
pub type Refusal = &'static str;

/// What the type byte says, for the types that image layers have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    File,
    Hardlink,
    Symlink,
    CharDevice,
    BlockDevice,
    Directory,
    Fifo,
}

/// The type byte, and for the types that describe an entry the kind.
pub fn kind(typeflag: u8) -> Option<Kind> {
    match typeflag {
        // '7' is a file that shall lie in one piece, 'S' GNU tar's sparse file.
        b'0' | 0 | b'7' | b'S' => Some(Kind::File),
        b'1' => Some(Kind::Hardlink),
        b'2' => Some(Kind::Symlink),
        b'3' => Some(Kind::CharDevice),
        b'4' => Some(Kind::BlockDevice),
        b'5' => Some(Kind::Directory),
        b'6' => Some(Kind::Fifo),
        _ => None,
    }
}

/// Whether the checksum is right. Some old programs added the bytes up as signed numbers.
pub fn is_intact(header: &Header) -> bool {
    let mut bytes = *header.as_bytes();
    let expected = number(&header.as_old().cksum);
    bytes[148..156].fill(b' '); // the checksum's own place
    let unsigned: i64 = bytes.iter().map(|byte| i64::from(*byte)).sum();
    let signed: i64 = bytes.iter().map(|byte| i64::from(*byte as i8)).sum();
    [Ok(unsigned), Ok(signed)].contains(&expected)
}

/// Bytes of content that follow the header.
pub fn size(header: &Header) -> Result<u64, Refusal> {
    natural(&header.as_old().size)
}

pub fn mode(header: &Header) -> Result<u32, Refusal> {
    let mode = number(&header.as_old().mode)?;
    Ok((mode & 0o7777) as u32)
}

/// User and group.
pub fn ids(header: &Header) -> Result<(u64, u64), Refusal> {
    Ok((natural(&header.as_old().uid)?, natural(&header.as_old().gid)?))
}

pub fn mtime(header: &Header) -> Result<TimeSpec, Refusal> {
    Ok(TimeSpec::new(number(&header.as_old().mtime)?, 0))
}

/// A device's major and minor number.
pub fn device(header: &Header) -> Result<(u64, u64), Refusal> {
    match (header.as_ustar(), header.as_gnu()) {
        (Some(ustar), _) => Ok((natural(&ustar.dev_major)?, natural(&ustar.dev_minor)?)),
        (_, Some(gnu)) => Ok((natural(&gnu.dev_major)?, natural(&gnu.dev_minor)?)),
        _ => Err("a device needs numbers, and its header is too old to have them"),
    }
}

/// The offset and length of each piece of a sparse file that lie in these headers.
pub fn spans(headers: &[GnuSparseHeader]) -> Result<Vec<(u64, u64)>, Refusal> {
    let used = headers.iter().filter(|header| header.offset[0] != 0 || header.numbytes[0] != 0);
    used.map(|header| Ok((natural(&header.offset)?, natural(&header.numbytes)?))).collect()
}

/// The size of a sparse file, holes included.
pub fn real_size(field: &[u8]) -> Result<u64, Refusal> {
    natural(field)
}

/// One block of a long list of sparse pieces.
pub fn more_spans(block: &[u8; 512]) -> Result<(Vec<(u64, u64)>, bool), Refusal> {
    let mut header = GnuExtSparseHeader::new();
    header.as_mut_bytes().copy_from_slice(block);
    Ok((spans(header.sparse())?, header.is_extended()))
}

fn natural(field: &[u8]) -> Result<u64, Refusal> {
    u64::try_from(number(field)?).map_err(|_| "a number is negative in its header")
}

/// Reads octal digits between spaces and NULs; or, if the first bit is set, a binary number.
fn number(field: &[u8]) -> Result<i64, Refusal> {
    const TOO_LARGE: Refusal = "a number is too large in its header";
    if field[0] & 0x80 != 0 {
        // "Base-256": big-endian, two's complement, the flag not counted.
        let mut value = if field[0] & 0x40 != 0 { -1 } else { 0i64 };
        for (i, byte) in field.iter().enumerate() {
            let byte = if i == 0 { byte << 1 >> 1 | (byte & 0x40) << 1 } else { *byte };
            let higher = value.checked_mul(256).ok_or(TOO_LARGE)?;
            value = higher | i64::from(byte);
        }
        return Ok(value);
    }
    let is_filler = |byte: &u8| matches!(byte, b' ' | 0);
    let start = field.iter().position(|byte| !is_filler(byte)).unwrap_or(field.len());
    let digits = field[start..].split(is_filler).next().unwrap_or_default();
    let mut value = 0i64;
    for digit in digits {
        if !matches!(digit, b'0'..=b'7') {
            return Err("a number is not octal in its header");
        }
        value = value.checked_mul(8).ok_or(TOO_LARGE)? + i64::from(digit - b'0');
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_binary() {
        let cases: [(&[u8], _); 9] = [
            (b"0000644\0", Ok(0o644)),
            (b"   644 \0", Ok(0o644)),
            (b"\0\0\0\0", Ok(0)),
            (b"77777777", Ok(0o77777777)),
            (b"\x80\0\0\x01\0", Ok(256)),
            (b"\xff\xff\xff\xff", Ok(-1)),
            (b"\xff\xff\xff\xfe\0", Ok(-512)),
            (b"\x80\x7f\xff\xff\xff\xff\xff\xff\xff", Ok(i64::MAX)),
            (b"\xbf\xff\xff\xff", Ok(0x3fffffff)),
        ];
        for (field, expected) in cases {
            assert_eq!(number(field), expected, "{}", field.escape_ascii());
        }
        for field in [&b"0000648\0"[..], b"-1\0", b"0x1", b"\x80\xff\xff\xff\xff\xff\xff\xff\xff"] {
            assert!(number(field).is_err(), "{}", field.escape_ascii());
        }
    }

    #[test]
    fn a_checksum_covers_every_byte() {
        let mut header = Header::new_gnu();
        header.set_cksum();
        assert!(is_intact(&header));
        header.as_mut_bytes()[511] = 1;
        assert!(!is_intact(&header));
    }
}
