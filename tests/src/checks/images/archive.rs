//! Layers: tar archives with every oddity that there is.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use super::image::name;

/// A tar archive in the making.
pub struct Archive(Builder<Vec<u8>>);

/// One entry. [`Item::default`] is an empty file of root's.
pub struct Item<'a> {
    pub kind: EntryType,
    pub mode: u32,
    pub owner: (u64, u64),
    pub mtime: u64,
    pub content: &'a [u8],
    /// What a link leads to.
    pub link: &'a str,
    pub device: (u32, u32),
    /// PAX records.
    pub pax: &'a [(&'a str, &'a [u8])],
}

impl Default for Item<'_> {
    fn default() -> Self {
        Item {
            kind: EntryType::Regular,
            mode: 0o644,
            owner: (0, 0),
            mtime: 1_600_000_000,
            content: b"",
            link: "",
            device: (0, 0),
            pax: &[],
        }
    }
}

impl Archive {
    /// An empty one, to be added to until its [`Archive::end`].
    pub fn begin() -> Archive {
        Archive(Builder::new(Vec::new()))
    }

    /// Adds an entry. The name is taken as it is, however hostile.
    pub fn add(mut self, name: &str, item: Item) -> Archive {
        if !item.pax.is_empty() {
            let records = item.pax.iter().copied();
            self.0.append_pax_extensions(records).expect("memory takes it");
        }
        let header = header(name, &item);
        self.0.append(&header, item.content).expect("memory takes it");
        self
    }

    /// Adds a file with this text.
    pub fn file(self, name: &str, text: &str) -> Archive {
        self.add(name, Item { content: text.as_bytes(), ..Item::default() })
    }

    /// Adds a directory.
    pub fn directory(self, name: &str, mode: u32) -> Archive {
        self.add(name, Item { kind: EntryType::Directory, mode, ..Item::default() })
    }

    /// Adds a symbolic link.
    pub fn symlink(self, name: &str, link: &str) -> Archive {
        self.add(name, Item { kind: EntryType::Symlink, mode: 0o777, link, ..Item::default() })
    }

    /// Adds another name for a file.
    pub fn hardlink(self, name: &str, link: &str) -> Archive {
        self.add(name, Item { kind: EntryType::Link, link, ..Item::default() })
    }

    /// Its bytes.
    pub fn end(self) -> Vec<u8> {
        self.0.into_inner().expect("memory takes it")
    }

    /// Its bytes, while it goes on.
    pub fn bytes(&self) -> Vec<u8> {
        [self.0.get_ref().as_slice(), &[0; 1024]].concat()
    }

    /// Gives the archive to fill by the tar crate's own means, from files say.
    pub fn builder(&mut self) -> &mut Builder<Vec<u8>> {
        &mut self.0
    }
}

/// An entry's header. What does not fit into a field is cut off.
pub fn header(name: &str, item: &Item) -> Header {
    let mut header = Header::new_ustar();
    let fill = |field: &mut [u8], text: &str| {
        let count = text.len().min(field.len());
        field[..count].copy_from_slice(&text.as_bytes()[..count]);
    };
    fill(&mut header.as_old_mut().name, name);
    fill(&mut header.as_old_mut().linkname, item.link);
    header.set_entry_type(item.kind);
    header.set_mode(item.mode);
    header.set_uid(item.owner.0);
    header.set_gid(item.owner.1);
    header.set_mtime(item.mtime);
    header.set_size(item.content.len() as u64);
    header.set_device_major(item.device.0).expect("it is a ustar header");
    header.set_device_minor(item.device.1).expect("it is a ustar header");
    header.set_cksum();
    header
}

/// A layer that is compressed while it is made, for one that is too large for memory.
pub struct Packing {
    hash: Sha256,
    gzip: GzEncoder<Vec<u8>>,
}

impl Packing {
    /// Nothing yet.
    pub fn begin() -> Packing {
        let gzip = GzEncoder::new(Vec::new(), Compression::fast());
        Packing { hash: Sha256::new(), gzip }
    }

    /// The compressed bytes, and the digest of the others.
    pub fn end(self) -> (Vec<u8>, String) {
        (self.gzip.finish().expect("memory takes it"), name(&self.hash.finalize()))
    }
}

impl Write for Packing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.gzip.write(bytes)?;
        self.hash.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.gzip.flush()
    }
}

/// Compresses as gzip does it.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory takes it")
}
