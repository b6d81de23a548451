//! A tar header: a block of 512 bytes, in one of four layouts (tar(5)). Where they differ, and where
//! one is broken, it is read as Go's `archive/tar` reads it, or refused.

use std::ops::Range;

use nix::sys::time::TimeSpec;

pub type Block = [u8; 512];

/// Why a header is refused.
pub type Refusal = &'static str;

// The fields of 1979, which all layouts have.
const NAME: Range<usize> = 0..100;
const MODE: Range<usize> = 100..108;
const UID: Range<usize> = 108..116;
const GID: Range<usize> = 116..124;
const SIZE: Range<usize> = 124..136;
const MTIME: Range<usize> = 136..148;
const CHECKSUM: Range<usize> = 148..156;
const TYPE: usize = 156;
const LINK: Range<usize> = 157..257;
// A word, and in it the version. After it come names of user and group, which we have no use for.
const MAGIC: Range<usize> = 257..265;
const MAJOR: Range<usize> = 329..337;
const MINOR: Range<usize> = 337..345;
// POSIX: what of a long name did not fit.
const PREFIX: Range<usize> = 345..500;
// star: less of it, for it has two times more.
const STAR_PREFIX: Range<usize> = 345..476;
const STAR_TIMES: [Range<usize>; 2] = [476..488, 488..500];
const STAR_TRAILER: Range<usize> = 508..512;
// GNU tar: times in the prefix's place, and the pieces of a sparse file.
const GNU_TIMES: [Range<usize>; 2] = [345..357, 357..369];
const GNU_PIECES: Range<usize> = 386..483;
const GNU_REAL_SIZE: Range<usize> = 483..495;

/// What a header says.
#[derive(Debug)]
pub struct Header {
    pub typeflag: u8,
    pub name: Vec<u8>,
    /// Where a link leads.
    pub link: Vec<u8>,
    /// Bytes of content that follow the header.
    pub size: u64,
    /// Permissions, with setuid, setgid and sticky.
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    pub mtime: TimeSpec,
    /// A device's major and minor number, if the layout has them; for other kinds of no meaning.
    pub device: Option<(i64, i64)>,
    /// For a type of `S`, GNU tar's sparse file.
    pub sparse: Option<OldSparse>,
}

/// What GNU tar's own header says of a sparse file.
#[derive(Debug)]
pub struct OldSparse {
    /// Offset and length of each piece, in bytes.
    pub spans: Vec<(u64, u64)>,
    /// A block with more of them follows.
    pub has_more: bool,
    /// Bytes of the file, holes included.
    pub size: u64,
}

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

#[derive(PartialEq)]
enum Layout {
    Old,
    Posix,
    Star,
    Gnu,
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

impl Header {
    /// Reads a header whose checksum is right. A field that can't be read is an error, also where
    /// the entry has no use for it.
    pub fn parse(block: &Block) -> Result<Header, Refusal> {
        let layout = layout(block);
        let typeflag = block[TYPE];
        Ok(Header {
            typeflag,
            name: name(block)?,
            link: up_to_nul(&block[LINK]).to_vec(),
            size: natural(&block[SIZE])?,
            mode: (number(&block[MODE])? & 0o7777) as u32,
            uid: natural(&block[UID])?,
            gid: natural(&block[GID])?,
            mtime: TimeSpec::new(number(&block[MTIME])?, 0),
            device: match layout {
                Layout::Old => None,
                _ => Some((number(&block[MAJOR])?, number(&block[MINOR])?)),
            },
            sparse: match typeflag {
                b'S' if layout != Layout::Gnu => {
                    return Err("only GNU tar's headers have sparse files");
                }
                b'S' => {
                    let (spans, has_more) = spans(&block[GNU_PIECES])?;
                    Some(OldSparse { spans, has_more, size: natural(&block[GNU_REAL_SIZE])? })
                }
                _ => None,
            },
        })
    }
}

/// Which program's layout it is. For Go any version of POSIX' word is POSIX.
fn layout(block: &Block) -> Layout {
    match &block[MAGIC] {
        [b'u', b's', b't', b'a', b'r', 0, ..] if block[STAR_TRAILER] == *b"tar\0" => Layout::Star,
        [b'u', b's', b't', b'a', b'r', 0, ..] => Layout::Posix,
        b"ustar  \0" => Layout::Gnu,
        _ => Layout::Old,
    }
}

/// The name, with its prefix.
fn name(block: &Block) -> Result<Vec<u8>, Refusal> {
    let name = up_to_nul(&block[NAME]);
    let prefix = match layout(block) {
        Layout::Old => b"",
        Layout::Posix => up_to_nul(&block[PREFIX]),
        Layout::Star => {
            for time in STAR_TIMES {
                number(&block[time])?;
            }
            up_to_nul(&block[STAR_PREFIX])
        }
        Layout::Gnu => {
            // Go before 1.8 wrote a prefix here, as in POSIX' layout. Where the times can't be times
            // its readers still take it for one.
            let times = GNU_TIMES.map(|time| &block[time]);
            let is_wrong = |time: &&[u8]| time[0] != 0 && number(time).is_err();
            let prefix = up_to_nul(&block[PREFIX]);
            if times.iter().any(is_wrong) && prefix.is_ascii() { prefix } else { b"" }
        }
    };
    Ok(if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() })
}

/// The name as it stands in the header, for an error's line.
pub fn short_name(block: &Block) -> &[u8] {
    up_to_nul(&block[NAME])
}

/// Whether the checksum is right. Some old programs added the bytes up as signed numbers.
pub fn is_intact(block: &Block) -> bool {
    let mut bytes = *block;
    let expected = octal(&block[CHECKSUM]);
    bytes[CHECKSUM].fill(b' ');
    let unsigned: i64 = bytes.iter().map(|byte| i64::from(*byte)).sum();
    let signed: i64 = bytes.iter().map(|byte| i64::from(*byte as i8)).sum();
    [Ok(unsigned), Ok(signed)].contains(&expected)
}

/// The offset and length of each piece of a sparse file, from a header or from a block of its own;
/// and whether a block with more of them follows.
pub fn spans(table: &[u8]) -> Result<(Vec<(u64, u64)>, bool), Refusal> {
    let (pieces, rest) = table.as_chunks::<24>();
    let mut spans = Vec::new();
    for piece in pieces {
        // The list ends here; behind it may be anything.
        if piece[0] == 0 {
            break;
        }
        spans.push((natural(&piece[..12])?, natural(&piece[12..])?));
    }
    Ok((spans, rest[0] != 0))
}

/// Text ends at a NUL, or with its field.
pub fn up_to_nul(text: &[u8]) -> &[u8] {
    text.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn natural(field: &[u8]) -> Result<u64, Refusal> {
    u64::try_from(number(field)?).map_err(|_| "a number is negative in its header")
}

/// Reads octal digits; or, if the first bit is set, a binary number.
fn number(field: &[u8]) -> Result<i64, Refusal> {
    if field[0] & 0x80 == 0 {
        return octal(field);
    }
    // "Base-256": big-endian, two's complement, the flag not counted.
    let mut value = if field[0] & 0x40 != 0 { -1 } else { 0i64 };
    for (i, byte) in field.iter().enumerate() {
        let byte = if i == 0 { byte << 1 >> 1 | (byte & 0x40) << 1 } else { *byte };
        let higher = value.checked_mul(256).ok_or("a number is too large in its header")?;
        value = higher | i64::from(byte);
    }
    Ok(value)
}

/// Reads octal digits between spaces and NULs. What comes after a NUL does not count.
fn octal(field: &[u8]) -> Result<i64, Refusal> {
    let is_digit_or_worse = |byte: &u8| !matches!(byte, b' ' | 0);
    let Some(start) = field.iter().position(is_digit_or_worse) else { return Ok(0) };
    let end = field.iter().rposition(is_digit_or_worse).unwrap_or(start);
    let mut value = 0;
    // At most 12 digits: they fit.
    for digit in up_to_nul(&field[start..=end]) {
        if !matches!(digit, b'0'..=b'7') {
            return Err("a number is not octal in its header");
        }
        value = value * 8 + i64::from(digit - b'0');
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_binary() {
        let cases: [(&[u8], _); 11] = [
            (b"0000644\0", Ok(0o644)),
            (b"   644 \0", Ok(0o644)),
            (b"\0 644\0 x", Ok(0o644)),
            (b"\0\0\0\0", Ok(0)),
            (b" \0 ", Ok(0)),
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
        for field in [
            &b"0000648\0"[..],
            b"-1\0",
            b"0x1",
            b"6 44",
            b"644 \0 x",
            b"\x80\xff\xff\xff\xff\xff\xff\xff\xff",
        ] {
            assert!(number(field).is_err(), "{}", field.escape_ascii());
        }
    }

    #[test]
    fn a_checksum_covers_every_byte() {
        let mut block = [0; 512];
        block[CHECKSUM].copy_from_slice(b"0000400\0"); // eight spaces
        assert!(is_intact(&block));
        block[511] = 1;
        assert!(!is_intact(&block));
        // Go does not know binary checksums.
        block[CHECKSUM].copy_from_slice(b"\x80\0\0\0\0\0\x01\x01");
        assert!(!is_intact(&block));
    }
}
