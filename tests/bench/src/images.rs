//! Images to pull, made here: the same bytes on every machine. They are put where docker-registry
//! looks for them, and into an OCI image layout, which umoci reads.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// A layer that is being written.
pub type Tar<'a> = Builder<&'a mut dyn Write>;

/// Where the images are.
pub struct Images {
    directory: PathBuf,
}

/// A layer: its descriptor, and the digest of its inflated bytes.
#[derive(Clone)]
pub struct Layer {
    descriptor: Value,
    diff_id: String,
}

impl Layer {
    /// The blob's digest.
    pub fn digest(&self) -> &str {
        self.descriptor["digest"].as_str().expect("it has one")
    }
}

impl Images {
    pub fn new(directory: PathBuf) -> io::Result<Images> {
        fs::create_dir_all(directory.join("layout/blobs/sha256"))?;
        fs::write(directory.join("layout/oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
        let images = Images { directory };
        fs::create_dir_all(images.repositories())?;
        Ok(images)
    }

    /// The image layout.
    pub fn layout(&self) -> PathBuf {
        self.directory.join("layout")
    }

    /// The registry's storage.
    pub fn storage(&self) -> PathBuf {
        self.directory.join("registry")
    }

    fn repositories(&self) -> PathBuf {
        self.storage().join("docker/registry/v2/repositories")
    }

    /// Makes a gzip layer out of what `fill` writes.
    pub fn layer(&self, fill: impl FnOnce(&mut Tar) -> io::Result<()>) -> io::Result<Layer> {
        let path = self.directory.join(format!("new.{:016x}", fastrand::u64(..)));
        let file = BufWriter::with_capacity(MIB, Hashing::new(File::create(&path)?));
        let mut inflated = Hashing::new(GzEncoder::new(file, Compression::new(6)));
        let mut tar = Builder::new(&mut inflated as &mut dyn Write);
        fill(&mut tar)?;
        tar.finish()?;
        drop(tar);
        let diff_id = inflated.digest();
        let deflated = inflated.inner.finish()?.into_inner().map_err(|error| error.into_error())?;
        let size = deflated.count;
        let digest = deflated.digest();
        fs::rename(&path, self.layout().join("blobs/sha256").join(&digest[7..]))?;
        let kind = "application/vnd.oci.image.layer.v1.tar+gzip";
        let descriptor = json!({ "mediaType": kind, "digest": digest, "size": size });
        Ok(Layer { descriptor, diff_id })
    }

    /// Makes an image of layers.
    pub fn image(&self, name: &str, layers: &[Layer]) -> io::Result<()> {
        let platform = match std::env::consts::ARCH {
            "aarch64" => "arm64",
            _ => "amd64",
        };
        let diff_ids: Vec<&str> = layers.iter().map(|layer| layer.diff_id.as_str()).collect();
        let config = json!({ "architecture": platform, "os": "linux", "config": {},
            "rootfs": { "type": "layers", "diff_ids": diff_ids } });
        let config = self.document("application/vnd.oci.image.config.v1+json", &config)?;
        let layers: Vec<&Value> = layers.iter().map(|layer| &layer.descriptor).collect();
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let manifest =
            json!({ "schemaVersion": 2, "mediaType": kind, "config": config, "layers": layers });
        let mut manifest = self.document(kind, &manifest)?;
        let digest_of = |value: &Value| value["digest"].as_str().unwrap_or_default().to_string();

        // As the registry itself would store them, had they been pushed.
        let blobs = layers.into_iter().chain([&config]).map(digest_of);
        let repository = self.repositories().join(name);
        for digest in blobs {
            self.store(&digest)?;
            link(&repository.join("_layers/sha256").join(&digest[7..]), &digest)?;
        }
        let digest = digest_of(&manifest);
        self.store(&digest)?;
        link(&repository.join("_manifests/revisions/sha256").join(&digest[7..]), &digest)?;
        let tag = repository.join("_manifests/tags/latest");
        link(&tag.join("index/sha256").join(&digest[7..]), &digest)?;
        link(&tag.join("current"), &digest)?;

        manifest["annotations"] = json!({ "org.opencontainers.image.ref.name": name });
        let path = self.layout().join("index.json");
        let index = fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok());
        let mut index = index.unwrap_or_else(|| json!({ "schemaVersion": 2, "manifests": [] }));
        index["manifests"].as_array_mut().expect("a list").push(manifest);
        fs::write(path, index.to_string())
    }

    fn document(&self, kind: &str, document: &Value) -> io::Result<Value> {
        let bytes = document.to_string();
        let mut hashing = Hashing::new(io::sink());
        hashing.write_all(bytes.as_bytes())?;
        let digest = hashing.digest();
        fs::write(self.layout().join("blobs/sha256").join(&digest[7..]), &bytes)?;
        Ok(json!({ "mediaType": kind, "digest": digest, "size": bytes.len() }))
    }

    fn store(&self, digest: &str) -> io::Result<()> {
        let blobs = self.storage().join("docker/registry/v2/blobs/sha256");
        let place = blobs.join(&digest[7..9]).join(&digest[7..]);
        fs::create_dir_all(&place)?;
        let blob = self.layout().join("blobs/sha256").join(&digest[7..]);
        match fs::hard_link(blob, place.join("data")) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            result => result,
        }
    }
}

fn link(directory: &Path, digest: &str) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    fs::write(directory.join("link"), digest)
}

/// A directory of an archive.
pub fn add_directory(tar: &mut Tar, name: &str) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Directory);
    header.set_mode(0o755);
    header.set_mtime(1_700_000_000);
    header.set_size(0);
    tar.append_data(&mut header, name, io::empty())
}

/// A file of an archive.
pub fn add_file(tar: &mut Tar, name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_mode(0o755);
    header.set_mtime(1_700_000_000);
    header.set_size(bytes.len() as u64);
    tar.append_data(&mut header, name, bytes)
}

/// The files of a directory, with their links: `name` by `name`.
pub fn add_tree(tar: &mut Tar, from: &Path) -> io::Result<()> {
    tar.follow_symlinks(false);
    tar.append_dir_all(".", from)
}

/// Bytes that look like an image's to gzip: words, some of them frequent, and parts that do not
/// get smaller. They end up at a bit less than half their size, as Debian's do.
pub struct Content {
    random: fastrand::Rng,
    words: Vec<Vec<u8>>,
}

impl Content {
    pub fn new(seed: u64) -> Content {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut word = || {
            let letters = random.usize(2..12);
            (0..letters).map(|_| random.alphanumeric() as u8).chain([b' ']).collect()
        };
        let words = (0..4096).map(|_| word()).collect();
        Content { random, words }
    }

    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count + 4 * KIB);
        while bytes.len() < count {
            if self.random.u8(..) < 72 {
                let start = bytes.len();
                bytes.resize(start + self.random.usize(16..512), 0);
                self.random.fill(&mut bytes[start..]);
            } else {
                for _ in 0..self.random.usize(4..64) {
                    // Squared: the first words come more often.
                    let place = self.random.f32();
                    let word = (place * place * self.words.len() as f32) as usize;
                    bytes.extend_from_slice(&self.words[word]);
                }
            }
        }
        bytes.truncate(count);
        bytes
    }

    /// Files that are `total` bytes together, each of a size between these.
    pub fn files(
        &mut self,
        tar: &mut Tar,
        directory: &str,
        total: usize,
        sizes: std::ops::Range<usize>,
    ) -> io::Result<()> {
        let (mut left, mut number) = (total, 0);
        while left > 0 {
            if number % 100 == 0 {
                add_directory(tar, &format!("{directory}{}/", number / 100))?;
            }
            // As many small as large ones: the sizes' logarithms are even.
            let (low, high) = ((sizes.start as f64).ln(), (sizes.end as f64).ln());
            let size = (low + (high - low) * self.random.f64()).exp() as usize;
            let bytes = self.bytes(size.min(left));
            add_file(tar, &format!("{directory}{}/{number}", number / 100), &bytes)?;
            left -= bytes.len();
            number += 1;
        }
        Ok(())
    }
}

/// Lets bytes through and takes their digest.
struct Hashing<W> {
    inner: W,
    hash: Sha256,
    count: u64,
}

impl<W> Hashing<W> {
    fn new(inner: W) -> Hashing<W> {
        Hashing { inner, hash: Sha256::new(), count: 0 }
    }

    fn digest(&self) -> String {
        let digest = self.hash.clone().finalize();
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("sha256:{hex}")
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hash.update(&bytes[..count]);
        self.count += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
