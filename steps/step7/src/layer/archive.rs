//! Reads a tar archive, entry by entry, from a stream that someone else may have made to harm us.
//!
//! Where archives can be read in more than one way, this reads them as Go's `archive/tar` does, and
//! with it Docker, containerd, podman and umoci: an image must not be another one here.

use std::ffi::OsString;
use std::io::{self, BufRead, Read};
use std::os::unix::ffi::OsStringExt;

use nix::sys::time::TimeSpec;
use shared::{Error, Explain};
use tar::Header;

use super::header::{self, Kind};
use super::pax::Pax;
use super::sparse::{self, MAX_SPANS, Map, MapReader, Style};

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
    /// A device's major and minor number.
    pub device: (u64, u64),
    pub xattrs: Vec<(OsString, Vec<u8>)>,
    /// For a file with holes, where its content goes.
    pub sparse: Option<Map>,
}

pub struct Archive<R> {
    reader: R,
    /// Bytes of the current entry's content that are still to be read.
    content: u64,
    /// Bytes after it, up to a whole block.
    padding: u64,
}

impl<R: BufRead> Archive<R> {
    pub fn new(reader: R) -> Archive<R> {
        Archive { reader, content: 0, padding: 0 }
    }

    /// The next entry; None at the archive's end. What is left of the last one's content is skipped.
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
            let typeflag = header.as_old().linkflag[0];
            let size = header::size(&header).map_err(|why| refuse(&header, why))?;
            self.set_content(size);
            match typeflag {
                b'L' => long_name = Some(up_to_nul(self.extension()?)),
                b'K' => long_link = Some(up_to_nul(self.extension()?)),
                b'x' => {
                    let records = self.extension()?;
                    pax = Some(Pax::parse(&records).map_err(|why| refuse(&header, &why))?);
                }
                // Records for all that follows. git writes its commit here; no engine heeds it.
                b'g' => {}
                _ => {
                    let pax = pax.unwrap_or_default();
                    return self.entry(&header, long_name, long_link, pax).map(Some);
                }
            }
        }
    }

    fn entry(
        &mut self,
        header: &Header,
        long_name: Option<Vec<u8>>,
        long_link: Option<Vec<u8>>,
        mut pax: Pax,
    ) -> Result<Entry, Error> {
        let name = pax.sparse.name.take().or(long_name).or(pax.path.take());
        let name = name.unwrap_or_else(|| header.path_bytes().into_owned());
        let link = long_link.or(pax.linkpath.take());
        let link = link.or_else(|| header.link_name_bytes().map(|link| link.into_owned()));
        let name = OsString::from_vec(name);
        let link = OsString::from_vec(link.unwrap_or_default());
        let refuse = |why: &str| Error::new(format!("cannot accept {name:?}: {why}"));
        if name.len().max(link.len()) > MAX_NAME {
            return Err(Error::new(format!(
                "cannot accept a name of {} bytes: more than {MAX_NAME}",
                name.len().max(link.len())
            )));
        }
        let typeflag = header.as_old().linkflag[0];
        let mut kind =
            header::kind(typeflag).ok_or_else(|| refuse("it is of a kind that we don't know"))?;
        if let Some(size) = pax.size {
            self.set_content(size);
        }
        if kind != Kind::File {
            // Whatever their header says: nothing follows.
            self.set_content(0);
        }
        // So it was before directories had a type.
        if typeflag == 0 && name.as_encoded_bytes().ends_with(b"/") {
            kind = Kind::Directory;
        }
        let (uid, gid) = header::ids(header).map_err(refuse)?;
        let is_device = matches!(kind, Kind::CharDevice | Kind::BlockDevice);
        let device = if is_device { header::device(header).map_err(refuse)? } else { (0, 0) };
        Ok(Entry {
            kind,
            link,
            mode: header::mode(header).map_err(refuse)?,
            uid: id(pax.uid.unwrap_or(uid)).map_err(refuse)?,
            gid: id(pax.gid.unwrap_or(gid)).map_err(refuse)?,
            mtime: pax.mtime.map_or_else(|| header::mtime(header), Ok).map_err(refuse)?,
            device,
            sparse: match kind {
                Kind::File => self.sparse(header, &pax, refuse)?,
                _ => None,
            },
            xattrs: pax.xattrs,
            name,
        })
    }

    fn sparse(
        &mut self,
        header: &Header,
        pax: &Pax,
        refuse: impl Fn(&str) -> Error,
    ) -> Result<Option<Map>, Error> {
        let (spans, size) = match (header.as_old().linkflag[0], header.as_gnu()) {
            (b'S', None) => return Err(refuse("only GNU tar's headers have sparse files")),
            (b'S', Some(gnu)) => {
                let mut spans = header::spans(&gnu.sparse).map_err(&refuse)?;
                let mut has_more = gnu.is_extended();
                while has_more {
                    // These blocks are no part of the content.
                    let block = self.block()?.ok_or_else(cut_off)?;
                    let (more, has_even_more) = header::more_spans(&block).map_err(&refuse)?;
                    spans.extend(more);
                    has_more = has_even_more;
                    if spans.len() > MAX_SPANS {
                        return Err(refuse("a sparse file has too many pieces"));
                    }
                }
                (spans, header::real_size(&gnu.realsize).map_err(&refuse)?)
            }
            _ => {
                let Some(style) = sparse::style(&pax.sparse).map_err(&refuse)? else {
                    return Ok(None);
                };
                let size = pax.sparse.size.ok_or_else(|| refuse("a sparse file has no size"))?;
                let spans = match style {
                    Style::Records(spans) => spans,
                    Style::Content => self.map_in_content(&refuse)?,
                };
                (spans, size)
            }
        };
        Map::new(spans, size, self.content).map(Some).map_err(refuse)
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

    /// Reads what lies behind the archive's end, which counts for the digest, and gives the reader.
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
        let is_zero = |block: &[u8; 512]| block.iter().all(|byte| *byte == 0);
        let Some(block) = self.block()? else { return Ok(None) };
        if is_zero(&block) {
            return match self.block()? {
                Some(second) if !is_zero(&second) => {
                    Err(Error::new("the layer is no tar archive: bytes after a block of zeros"))
                }
                _ => Ok(None),
            };
        }
        let header = Header::from_byte_slice(&block).clone();
        match header::is_intact(&header) {
            true => Ok(Some(header)),
            false => Err(Error::new("the layer is no tar archive: a header's checksum is wrong")),
        }
    }

    /// The next 512 bytes; None if there are no more.
    fn block(&mut self) -> Result<Option<[u8; 512]>, Error> {
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

fn up_to_nul(mut text: Vec<u8>) -> Vec<u8> {
    let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
    text.truncate(end);
    text
}

fn refuse(header: &Header, why: &str) -> Error {
    let name = OsString::from_vec(header.path_bytes().into_owned());
    Error::new(format!("cannot accept {name:?}: {why}"))
}

fn cut_off() -> Error {
    Error::new("the layer ends in the middle of an entry")
}
