//! PAX records: what the next entry's header has no room for (pax(1), "pax Extended Header"). What
//! Go refuses is refused here, too: a record that only we could read would be a second image.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use nix::sys::time::TimeSpec;

use crate::sparse::MAX_SPANS;

/// What the records of one header say. None: what the header says.
#[derive(Debug, Default)]
pub struct Pax {
    pub path: Option<Vec<u8>>,
    pub linkpath: Option<Vec<u8>>,
    /// Bytes of content that the archive has.
    pub size: Option<u64>,
    pub uid: Option<u64>,
    pub gid: Option<u64>,
    pub mtime: Option<TimeSpec>,
    /// Names and values, in order.
    pub xattrs: Vec<(OsString, Vec<u8>)>,
    pub sparse: PaxSparse,
}

/// The records of GNU tar's three ways to write sparse files in PAX archives.
#[derive(Debug, Default)]
pub struct PaxSparse {
    /// The version as it stands there: `00` is not `0`. Empty: not given.
    pub major: Vec<u8>,
    pub minor: Vec<u8>,
    /// Bytes of the whole file, holes included, by the name of versions 0.0 and 0.1.
    pub size: Option<u64>,
    /// The same by the name of version 1.0.
    pub realsize: Option<u64>,
    pub name: Option<Vec<u8>>,
    /// How many pieces there are, in versions 0.0 and 0.1.
    pub numblocks: Option<u64>,
    /// An offset, a length, an offset …: in one record, as in version 0.1.
    pub map: Vec<u64>,
    /// The same in a record each, as in version 0.0.
    pub pieces: Vec<u64>,
}

impl Pax {
    /// Reads the body of an `x` header. The error says what is wrong.
    pub fn parse(mut body: &[u8]) -> Result<Pax, String> {
        let mut pax = Pax::default();
        while !body.is_empty() {
            let (record, rest) = split_record(body).ok_or("a PAX record has a wrong length")?;
            let equals = record.iter().position(|byte| *byte == b'=');
            let (key, value) = record.split_at(equals.ok_or("a PAX record has no =")?);
            if key.is_empty() || key.contains(&0) {
                return Err("a PAX record has a wrong key".into());
            }
            pax.set(key, &value[1..])?;
            body = rest;
        }
        Ok(pax)
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let wrong = || {
            let (key, value) = (key.escape_ascii(), value.escape_ascii());
            format!("the PAX record {key} has a wrong value, {value}")
        };
        let number = || decimal(value).ok_or_else(wrong);
        if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
            if name.is_empty() {
                return Err(wrong());
            }
            self.xattrs.push((OsString::from_vec(name.to_vec()), value.to_vec()));
            return Ok(());
        }
        // An empty value takes back what a record before it has said.
        let is_given = !value.is_empty();
        match key {
            b"path" => self.path = is_given.then(|| value.to_vec()),
            b"linkpath" => self.linkpath = is_given.then(|| value.to_vec()),
            b"size" => self.size = is_given.then(number).transpose()?,
            b"uid" => self.uid = is_given.then(number).transpose()?,
            b"gid" => self.gid = is_given.then(number).transpose()?,
            b"mtime" => self.mtime = is_given.then(|| time(value).ok_or_else(wrong)).transpose()?,
            b"GNU.sparse.major" => self.sparse.major = value.to_vec(),
            b"GNU.sparse.minor" => self.sparse.minor = value.to_vec(),
            b"GNU.sparse.name" => self.sparse.name = is_given.then(|| value.to_vec()),
            b"GNU.sparse.size" => self.sparse.size = is_given.then(number).transpose()?,
            b"GNU.sparse.realsize" => self.sparse.realsize = is_given.then(number).transpose()?,
            b"GNU.sparse.numblocks" => self.sparse.numblocks = is_given.then(number).transpose()?,
            b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => {
                let is_offset = key == b"GNU.sparse.offset";
                if is_offset != self.sparse.pieces.len().is_multiple_of(2) {
                    return Err("the PAX records of a sparse file's pieces are in no order".into());
                }
                self.sparse.pieces.push(number()?);
            }
            b"GNU.sparse.map" if is_given => {
                let numbers = value.split(|byte| *byte == b',');
                let map: Option<Vec<u64>> = numbers.map(decimal).collect();
                self.sparse.map = map.ok_or_else(wrong)?;
            }
            b"GNU.sparse.map" => self.sparse.map.clear(),
            b"uname" | b"gname" if value.contains(&0) => return Err(wrong()),
            // uname, gname, atime, comments: of no consequence here.
            _ => {}
        }
        let has_nul = |text: &Option<Vec<u8>>| text.iter().any(|text| text.contains(&0));
        let is_cut = [&self.path, &self.linkpath, &self.sparse.name].into_iter().any(has_nul);
        let numbers = self.sparse.map.len().max(self.sparse.pieces.len());
        if is_cut || numbers > 2 * MAX_SPANS { Err(wrong()) } else { Ok(()) }
    }
}

/// Splits "17 key=value\n" off; 17 is the length of all that, in bytes.
fn split_record(body: &[u8]) -> Option<(&[u8], &[u8])> {
    // More than seven digits would be more than a body can have.
    let space = body.iter().take(8).position(|byte| *byte == b' ')?;
    let length = usize::try_from(decimal(&body[..space])?).ok()?;
    let (record, rest) = body.split_at_checked(length)?;
    let record = record.get(space + 1..)?.strip_suffix(b"\n")?;
    Some((record, rest))
}

/// Reads digits, and nothing but digits.
pub fn decimal(text: &[u8]) -> Option<u64> {
    let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    is_number.then(|| str::from_utf8(text).ok()?.parse().ok())?
}

/// Reads seconds, with a sign and a fraction if need be. Digits beyond the ninth are cut off.
fn time(text: &[u8]) -> Option<TimeSpec> {
    let (is_negative, text) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let point = text.iter().position(|byte| *byte == b'.').unwrap_or(text.len());
    let seconds = i64::try_from(decimal(&text[..point])?).ok()?;
    let mut digits = text.get(point + 1..).unwrap_or_default().to_vec();
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    digits.resize(9, b'0');
    let nanoseconds = i64::try_from(decimal(&digits)?).ok()?;
    Some(match (is_negative, nanoseconds) {
        (false, _) => TimeSpec::new(seconds, nanoseconds),
        (true, 0) => TimeSpec::new(-seconds, 0),
        // Nanoseconds count forwards also before 1970.
        (true, _) => TimeSpec::new(-seconds - 1, 1_000_000_000 - nanoseconds),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_end_where_their_length_says() {
        let pax = Pax::parse(b"14 path=a\nb=c\n26 SCHILY.xattr.user.x=\n\0\n").unwrap();
        assert_eq!(pax.path.unwrap(), b"a\nb=c");
        assert_eq!(pax.xattrs, [("user.x".into(), b"\n\0".to_vec())]);
    }

    #[test]
    fn the_last_record_counts_and_an_empty_one_takes_back() {
        let pax = Pax::parse(b"9 path=a\n9 path=b\n9 size=7\n8 size=\n").unwrap();
        assert_eq!((pax.path.as_deref(), pax.size), (Some(&b"b"[..]), None));
    }

    #[test]
    fn records_that_lie_are_refused() {
        let bodies: [&[u8]; 19] = [
            b"path=a\n",
            b"8 path=a\n",
            b"11 path=a\n",
            b"9 path=a",
            b"2 ",
            b"1 a=b\n",
            b"0 a=b\n",
            b"99999999999999999999 a=b\n",
            b"-9 path=a\n",
            b"9 path:a\n",
            b"10 size=-1\n",
            b"28 size=18446744073709551616\n",
            b"11 path=a\0b\n",
            b"26 GNU.sparse.map=1,,2,3,\n",
            b"24 GNU.sparse.numbytes=1\n",
            b"5 =a\n",
            b"8 a\0b=c\n",
            b"12 uname=a\0b\n",
            b"9 path=a\n\0\0\0",
        ];
        for body in bodies {
            assert!(Pax::parse(body).is_err(), "{}", body.escape_ascii());
        }
    }

    #[test]
    fn times_have_fractions_and_may_lie_before_1970() {
        let cases: [(&[u8], _); 7] = [
            (b"1", Some((1, 0))),
            (b"1.5", Some((1, 500_000_000))),
            (b"-1.25", Some((-2, 750_000_000))),
            (b"-3", Some((-3, 0))),
            (b"1.0000000019", Some((1, 1))),
            (b"1.x", None),
            (b"1.000000000x", None),
        ];
        for (text, expected) in cases {
            assert_eq!(time(text), expected.map(|(s, ns)| TimeSpec::new(s, ns)));
        }
    }
}
