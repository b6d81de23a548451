//! Reads a tar archive, entry by entry, from a stream that someone else may have made to harm us.
//!
//! Where archives can be read in more than one way, this reads them as Go's `archive/tar` does, and
//! with it Docker, containerd, podman and umoci: an image must not be another one here.

pub mod ahead;
mod header;
pub mod inflate;
mod pax;
mod sparse;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufRead, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use nix::sys::stat::makedev;
use nix::sys::time::TimeSpec;
use shared::{Error, Explain};

pub use header::Kind;
use header::{Block, Header, OldSparse, up_to_nul};
use pax::{Pax, PaxSparse};
pub use sparse::Map;
use sparse::{MAX_SPANS, MapReader, Style};

/// Bytes that are inflated, hashed and written at once: as many as a processor's cache holds.
pub const AT_ONCE: usize = 256 * 1024;

/// Bytes of a [`Block`].
const BLOCK: u64 = 512;

/// Bytes that PAX records or a long name may have, as in Go.
const MAX_EXTENSION: u64 = 1 << 20;

/// Bytes that a name may have, as in Linux (PATH_MAX).
const MAX_NAME: usize = 4096;

/// A file, as the archive describes it.
#[derive(Debug)]
pub struct Entry {
    pub kind: Kind,
    pub name: OsString,
    /// Where a link leads; empty for other kinds.
    pub link: OsString,
    /// Permissions, with setuid, setgid and sticky.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub mtime: TimeSpec,
    /// A device's number, as mknod(2) takes it; 0 for other kinds.
    pub device: u64,
    pub xattrs: Vec<(OsString, Vec<u8>)>,
    /// For a file with holes, where its content goes.
    pub sparse: Option<Map>,
}

/// An archive that is read from its beginning to its end.
pub struct Archive<R> {
    reader: R,
    /// Bytes of the current entry's content that are still to be read.
    content: u64,
    /// Bytes after it, up to a whole block.
    padding: u64,
}

impl<R: BufRead> Archive<R> {
    /// Nothing is read yet.
    pub fn new(reader: R) -> Archive<R> {
        Archive { reader, content: 0, padding: 0 }
    }

    /// The next entry; None at the archive's end. What is left of the last one's content is skipped.
    ///
    /// # Errors
    ///
    /// The archive can't be read, is cut off, or has something that Go refuses, or that no layer has.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, Error> {
        let (mut long_name, mut long_link, mut pax) = (None, None, None);
        loop {
            self.skip()?;
            let Some(header) = self.header()? else {
                return match (long_name, long_link, pax) {
                    (None, None, None) => Ok(None),
                    _ => Err(Error::new("the layer ends after the PAX header of an entry")),
                };
            };
            self.set_content(header.size);
            match header.typeflag {
                b'L' => long_name = self.long_name()?,
                b'K' => long_link = self.long_name()?,
                b'x' => pax = Some(self.pax(&header)?),
                // Records for all that follows. git writes its commit here; no engine heeds it. But
                // for Go it is an entry, so what was said before it was said about it.
                b'g' => {
                    self.pax(&header)?;
                    (long_name, long_link, pax) = (None, None, None);
                }
                _ => {
                    let pax = pax.unwrap_or_default();
                    return self.entry(header, long_name, long_link, pax).map(Some);
                }
            }
        }
    }

    /// Puts together what was said about an entry: by its header, by the two ways to write a long
    /// name, and by PAX records.
    fn entry(
        &mut self,
        header: Header,
        long_name: Option<Vec<u8>>,
        long_link: Option<Vec<u8>>,
        pax: Pax,
    ) -> Result<Entry, Error> {
        let mut name = long_name.or(pax.path).unwrap_or(header.name);
        let link = long_link.or(pax.linkpath).unwrap_or(header.link);
        require_short(&name)?;
        require_short(&link)?;
        let refuse = |why: &str| refuse(&name, why);
        // So it was before directories had a type.
        let is_old_directory = header.typeflag == 0 && name.ends_with(b"/");
        let typeflag = if is_old_directory { b'5' } else { header.typeflag };
        let kind =
            header::kind(typeflag).ok_or_else(|| refuse("it is of a kind that we don't know"))?;
        match (kind, pax.size) {
            (Kind::File, Some(size)) => self.set_content(size),
            (Kind::File, None) => {}
            // Whatever their header says: nothing follows.
            _ => self.set_content(0),
        }
        let device = match kind {
            Kind::CharDevice | Kind::BlockDevice => device(header.device).map_err(refuse)?,
            _ => 0,
        };
        let uid = id(pax.uid.unwrap_or(header.uid)).map_err(refuse)?;
        let gid = id(pax.gid.unwrap_or(header.gid)).map_err(refuse)?;
        let mtime = pax.mtime.unwrap_or(header.mtime);
        let (mode, xattrs) = (header.mode, pax.xattrs);
        let sparse = match header.sparse {
            Some(map) => Some(self.old_sparse(map, refuse)?),
            None => match sparse::style(&pax.sparse).map_err(refuse)? {
                Some(_) if kind != Kind::File => return Err(refuse("only a file can be sparse")),
                Some(style) => {
                    let map = self.pax_sparse(style, &pax.sparse, refuse)?;
                    name = pax.sparse.name.unwrap_or(name);
                    require_short(&name)?;
                    Some(map)
                }
                None => None,
            },
        };
        let (name, link) = (OsString::from_vec(name), OsString::from_vec(link));
        Ok(Entry { kind, name, link, mode, uid, gid, mtime, device, xattrs, sparse })
    }

    /// GNU tar's own sparse file, whose map may go on in blocks after the header.
    fn old_sparse(
        &mut self,
        OldSparse { mut spans, mut has_more, size }: OldSparse,
        refuse: impl Fn(&str) -> Error,
    ) -> Result<Map, Error> {
        while has_more {
            // These blocks are no part of the content.
            let block = self.block()?.ok_or_else(cut_off)?;
            let (more, has_even_more) = header::spans(&block).map_err(&refuse)?;
            spans.extend(more);
            has_more = has_even_more;
            if spans.len() > MAX_SPANS {
                return Err(refuse("a sparse file has too many pieces"));
            }
        }
        Map::new(spans, size, self.content).map_err(&refuse)
    }

    fn pax_sparse(
        &mut self,
        style: Style,
        pax: &PaxSparse,
        refuse: impl Fn(&str) -> Error,
    ) -> Result<Map, Error> {
        let size = pax.size.or(pax.realsize).ok_or_else(|| refuse("a sparse file has no size"))?;
        let spans = match style {
            Style::Records(spans) => spans,
            Style::Content => self.map_in_content(&refuse)?,
        };
        Map::new(spans, size, self.content).map_err(&refuse)
    }

    fn map_in_content(&mut self, refuse: impl Fn(&str) -> Error) -> Result<Vec<(u64, u64)>, Error> {
        let mut map = MapReader::default();
        loop {
            let rest = self.content.checked_sub(BLOCK);
            self.content = rest.ok_or_else(|| refuse("the map of a sparse file has no end"))?;
            let block = self.block()?.ok_or_else(cut_off)?;
            if map.read(&block).map_err(&refuse)? {
                return Ok(map.spans());
            }
        }
    }

    /// The next bytes of the entry's content, as many as there are in memory; none at its end.
    ///
    /// # Errors
    ///
    /// The archive can't be read, or ends before the content does.
    pub fn content(&mut self) -> Result<&[u8], Error> {
        if self.content == 0 {
            return Ok(&[]);
        }
        let bytes = self.reader.fill_buf().explain("read the layer")?;
        if bytes.is_empty() {
            return Err(cut_off());
        }
        let count = bytes.len().min(usize::try_from(self.content).unwrap_or(usize::MAX));
        Ok(&bytes[..count])
    }

    /// Goes on behind `count` bytes that [`Archive::content`] has shown.
    pub fn consume(&mut self, count: usize) {
        self.reader.consume(count);
        self.content -= count as u64;
    }

    /// Writes the entry's content into a new file: the pieces of a sparse file where they belong, others
    /// from the start.
    ///
    /// # Errors
    ///
    /// The archive ends before the content does, or the file can't be written.
    pub fn write_to(&mut self, file: &mut File, entry: &Entry) -> Result<(), Error> {
        let what = || format!("write {:?}", entry.name);
        let Some(map) = &entry.sparse else { return self.copy_to(file, u64::MAX, what) };
        file.set_len(map.size).explain(what())?;
        for (offset, length) in &map.spans {
            file.seek(SeekFrom::Start(*offset)).explain(what())?;
            self.copy_to(file, *length, what)?;
        }
        Ok(())
    }

    /// The next `left` bytes of the content, or all that are left.
    fn copy_to(
        &mut self,
        file: &mut File,
        mut left: u64,
        what: impl Fn() -> String,
    ) -> Result<(), Error> {
        while left > 0 {
            let bytes = self.content()?;
            let count = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            if count == 0 {
                break;
            }
            file.write_all(&bytes[..count]).explain(what())?;
            self.consume(count);
            left -= count as u64;
        }
        Ok(())
    }

    /// Reads what lies behind the archive's end, which counts for the digest, and gives the reader.
    ///
    /// # Errors
    ///
    /// It can't be read.
    pub fn finish(mut self) -> Result<R, Error> {
        io::copy(&mut self.reader, &mut io::sink()).explain("read the layer")?;
        Ok(self.reader)
    }

    fn set_content(&mut self, size: u64) {
        self.content = size;
        self.padding = size.wrapping_neg() % BLOCK;
    }

    /// Skips the rest of the entry.
    fn skip(&mut self) -> Result<(), Error> {
        while let count @ 1.. = self.content()?.len() {
            self.consume(count);
        }
        // The last block may be cut off: some writers do so.
        io::copy(&mut (&mut self.reader).take(self.padding), &mut io::sink())
            .explain("read the layer")
            .map(drop)
    }

    /// The content of a header for one long name; None if that is empty.
    fn long_name(&mut self) -> Result<Option<Vec<u8>>, Error> {
        let name = up_to_nul(&self.extension()?).to_vec();
        Ok(Some(name).filter(|name| !name.is_empty()))
    }

    fn pax(&mut self, header: &Header) -> Result<Pax, Error> {
        Pax::parse(&self.extension()?).map_err(|why| refuse(&header.name, &why))
    }

    /// The content of an entry that describes the next one.
    fn extension(&mut self) -> Result<Vec<u8>, Error> {
        if self.content > MAX_EXTENSION {
            return Err(Error::new("cannot accept PAX records or a name of more than 1 MiB"));
        }
        let mut bytes = Vec::new();
        while let part @ [_, ..] = self.content()? {
            let count = part.len();
            bytes.extend_from_slice(part);
            self.consume(count);
        }
        Ok(bytes)
    }

    /// The next header; None at the archive's end: two blocks of zeros, or no more bytes.
    fn header(&mut self) -> Result<Option<Header>, Error> {
        let is_zero = |block: &Block| block.iter().all(|byte| *byte == 0);
        let Some(block) = self.block()? else { return Ok(None) };
        if is_zero(&block) {
            return match self.block()? {
                Some(second) if !is_zero(&second) => {
                    Err(Error::new("the layer is no tar archive: bytes after a block of zeros"))
                }
                _ => Ok(None),
            };
        }
        if !header::is_intact(&block) {
            return Err(Error::new("the layer is no tar archive: a header's checksum is wrong"));
        }
        let header = Header::parse(&block);
        header.map(Some).map_err(|why| refuse(header::short_name(&block), why))
    }

    /// The next 512 bytes; None if there are no more.
    fn block(&mut self) -> Result<Option<Block>, Error> {
        if self.reader.fill_buf().explain("read the layer")?.is_empty() {
            return Ok(None);
        }
        let mut block = [0; 512];
        match self.reader.read_exact(&mut block) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(cut_off()),
            result => result.explain("read the layer").map(|()| Some(block)),
        }
    }
}

/// A user's or group's number. The largest one means "unchanged" to chown(2), so nobody has it.
fn id(number: u64) -> Result<u32, &'static str> {
    match u32::try_from(number) {
        Ok(u32::MAX) | Err(_) => Err("its owner's number is too large"),
        Ok(id) => Ok(id),
    }
}

/// A device's number as Linux has it: 12 bits for its driver and 20 for the device.
fn device(numbers: Option<(i64, i64)>) -> Result<u64, &'static str> {
    match numbers.ok_or("a device needs numbers, and its header is too old to have them")? {
        (i64::MIN..0, _) | (_, i64::MIN..0) => Err("a device's number is negative"),
        (major @ 0..0x1000, minor @ 0..0x10_0000) => Ok(makedev(major as u64, minor as u64)),
        _ => Err("there is no such device"),
    }
}

fn require_short(name: &[u8]) -> Result<(), Error> {
    match name.len() {
        0..=MAX_NAME => Ok(()),
        length => {
            let cause = format!("more than {MAX_NAME}");
            Err(Error::new(format!("cannot accept a name of {length} bytes: {cause}")))
        }
    }
}

fn refuse(name: &[u8], why: &str) -> Error {
    Error::new(format!("cannot accept {:?}: {why}", OsStr::from_bytes(name)))
}

fn cut_off() -> Error {
    Error::new("the layer ends in the middle of an entry")
}
