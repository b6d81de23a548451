//! A small registry in the checks themselves, for what a real one would not do: it lies, stumbles
//! and leads elsewhere, and keeps a log.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::image::{INDEX, Image, MANIFEST, descriptor, digest};

/// It has one repository, `test`. It serves as long as the process runs.
pub struct Shelf {
    address: SocketAddr,
    contents: Arc<Mutex<Contents>>,
}

/// What it has, what it does, and who asked for what.
#[derive(Default)]
pub struct Contents {
    /// Documents and blobs by the end of their path: type and bytes.
    pub things: HashMap<String, (String, Vec<u8>)>,
    /// `METHOD PATH`, and ` from N` and ` with AUTHORIZATION` where the request says so.
    pub log: Vec<String>,
    /// When each of them asked.
    pub times: Vec<Instant>,
    /// How long it takes to begin with a blob.
    pub delay: Duration,
    /// Bytes of a blob after which it says no more for a while.
    pub stop_at: Option<usize>,
    /// Bytes of a blob after which the next connections break.
    pub break_at: Vec<usize>,
    /// Answers to the next requests, whatever they ask: the status line and more header lines.
    pub answers: Vec<&'static str>,
    /// Another server that has the blobs.
    pub blobs_at: Option<String>,
    /// What to say to those who show no Authorization.
    pub challenge: Option<String>,
}

impl Shelf {
    /// Opens one with an image.
    pub fn with(image: &Image) -> io::Result<Shelf> {
        let shelf = Shelf::at("127.0.0.1")?;
        shelf.offer("latest", image);
        Ok(shelf)
    }

    /// Opens an empty one at another address.
    pub fn at(host: &str) -> io::Result<Shelf> {
        let listener = TcpListener::bind((host, 0))?;
        let address = listener.local_addr()?;
        let contents: Arc<Mutex<Contents>> = Arc::default();
        let served = contents.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let contents = served.clone();
                thread::spawn(move || serve(stream, &contents));
            }
        });
        Ok(Shelf { address, contents })
    }

    /// Host and port.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// The name of its image.
    pub fn name(&self) -> String {
        format!("{}/test", self.address)
    }

    /// What it has and does, to be changed.
    pub fn contents(&self) -> MutexGuard<'_, Contents> {
        lock(&self.contents)
    }

    /// Offers an image by a tag.
    pub fn offer(&self, tag: &str, image: &Image) {
        self.put_image(image);
        self.put_document(tag, MANIFEST, image.document());
    }

    /// Offers images by a tag, each for a platform.
    pub fn offer_index(&self, tag: &str, images: &[(Value, &Image)]) {
        let entries: Vec<Value> = images
            .iter()
            .map(|(platform, image)| {
                self.put_image(image);
                let mut entry = descriptor(MANIFEST, &image.document());
                entry["platform"] = platform.clone();
                entry
            })
            .collect();
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries });
        self.put_document(tag, INDEX, index.to_string().into_bytes());
    }

    /// Offers an image, and keeps it: a large one need not be in memory twice.
    pub fn put(&self, image: Image) {
        let (name, document) = (image.digest(), image.document());
        let config = image.config.to_string().into_bytes();
        let kind = || "application/octet-stream".to_string();
        let mut contents = self.contents();
        for (name, bytes) in image.blobs.into_iter().chain([(digest(&config), config)]) {
            contents.things.insert(format!("blobs/{name}"), (kind(), bytes));
        }
        for name in ["latest", &name] {
            let thing = (MANIFEST.to_string(), document.clone());
            contents.things.insert(format!("manifests/{name}"), thing);
        }
    }

    /// Gives everything away that it has.
    pub fn close(&self) {
        *self.contents() = Contents::default();
    }

    /// Offers the parts of an image without a name for it.
    pub fn put_image(&self, image: &Image) {
        let mut contents = self.contents();
        for (name, bytes) in image.all_blobs() {
            let kind = "application/octet-stream".to_string();
            contents.things.insert(format!("blobs/{name}"), (kind, bytes));
        }
        let name = format!("manifests/{}", image.digest());
        contents.things.insert(name, (MANIFEST.into(), image.document()));
    }

    /// Offers a document by a tag, and by its digest.
    pub fn put_document(&self, tag: &str, kind: &str, bytes: Vec<u8>) {
        for name in [tag.to_string(), digest(&bytes)] {
            let thing = (kind.to_string(), bytes.clone());
            self.contents().things.insert(format!("manifests/{name}"), thing);
        }
    }

    /// How many requests begin with this.
    pub fn asked(&self, start: &str) -> usize {
        self.contents().log.iter().filter(|line| line.starts_with(start)).count()
    }
}

fn lock(contents: &Mutex<Contents>) -> MutexGuard<'_, Contents> {
    contents.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers requests until the connection ends.
fn serve(mut stream: TcpStream, contents: &Mutex<Contents>) -> Option<()> {
    let mut first = [0];
    stream.peek(&mut first).ok()?;
    if !first[0].is_ascii_alphabetic() {
        // The beginning of TLS, say.
        return stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").ok();
    }
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines().map_while(Result::ok);
    while let Some(request) = lines.next() {
        let headers: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
        let header = |name: &str| {
            let pairs = headers.iter().filter_map(|line| line.split_once(": "));
            pairs.clone().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
        };
        let range = header("range").and_then(|range| {
            range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok()
        });
        let mut words = request.split(' ');
        let (method, path) = (words.next()?, words.next()?);
        let name = path.trim_start_matches("/v2/test/");
        let answer =
            Answer::find(&mut lock(contents), method, name, range, header("authorization"));
        answer.send(&mut stream).ok()?;
    }
    None
}

/// What is sent for a request.
struct Answer {
    /// The status line and the header, without the empty line at their end.
    head: String,
    body: Vec<u8>,
    delay: Duration,
    stop_at: Option<usize>,
    break_at: Option<usize>,
}

impl Answer {
    fn find(
        contents: &mut Contents,
        method: &str,
        name: &str,
        range: Option<usize>,
        authorization: Option<&str>,
    ) -> Answer {
        let from = range.map(|start| format!(" from {start}")).unwrap_or_default();
        let with = authorization.map(|value| format!(" with {value}")).unwrap_or_default();
        contents.log.push(format!("{method} {name}{from}{with}"));
        contents.times.push(Instant::now());
        let short = |head: &str| Answer {
            head: format!("{head}\r\nContent-Length: 0\r\n"),
            body: Vec::new(),
            delay: Duration::ZERO,
            stop_at: None,
            break_at: None,
        };
        if !contents.answers.is_empty() {
            return short(contents.answers.remove(0));
        }
        if let Some(challenge) = &contents.challenge
            && authorization.is_none()
        {
            return short(&format!("401 Unauthorized\r\nWWW-Authenticate: {challenge}"));
        }
        let is_blob = name.starts_with("blobs/");
        if let Some(other) = contents.blobs_at.as_ref().filter(|_| is_blob) {
            return short(&format!("307 Elsewhere\r\nLocation: http://{other}/v2/test/{name}"));
        }
        let Some((kind, bytes)) = contents.things.get(name) else { return short("404 Not Found") };
        let start = range.unwrap_or(0).min(bytes.len());
        let status = match range {
            Some(_) => format!(
                "206 Partial Content\r\nContent-Range: bytes {start}-{}/{}",
                bytes.len().saturating_sub(1),
                bytes.len()
            ),
            None => "200 OK".into(),
        };
        let mut head = format!(
            "{status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n",
            bytes.len() - start
        );
        if !is_blob {
            head += &format!("Docker-Content-Digest: {}\r\n", digest(bytes));
        }
        let body = if method == "HEAD" { Vec::new() } else { bytes[start..].to_vec() };
        let break_at =
            (is_blob && !contents.break_at.is_empty()).then(|| contents.break_at.remove(0));
        let delay = if is_blob { contents.delay } else { Duration::ZERO };
        Answer { head, body, delay, stop_at: contents.stop_at.filter(|_| is_blob), break_at }
    }

    fn send(&self, stream: &mut TcpStream) -> io::Result<()> {
        thread::sleep(self.delay);
        write!(stream, "HTTP/1.1 {}\r\n", self.head)?;
        let end = self.break_at.or(self.stop_at).unwrap_or(self.body.len());
        let (now, later) = self.body.split_at(end.min(self.body.len()));
        stream.write_all(now)?;
        if self.break_at.is_some() {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if !later.is_empty() {
            thread::sleep(Duration::from_secs(30));
        }
        stream.write_all(later)
    }
}
