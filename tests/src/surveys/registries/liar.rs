//! A server that does to each request what a case says: no registry would.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::checks::images::Image;
use crate::checks::images::image::MANIFEST;

/// What a client has asked for.
pub struct Request {
    pub method: String,
    /// From the first `/` on.
    pub path: String,
    /// The other lines.
    pub headers: Vec<String>,
}

impl Request {
    /// A header by its name in lower case; "" if there is none.
    pub fn header(&self, name: &str) -> &str {
        let pairs = self.headers.iter().filter_map(|line| line.split_once(": "));
        let mut values = pairs.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        values.next().map_or("", |(_, value)| value)
    }

    /// Whether it is for a layer: of the two blobs of an image, the one that is no config.
    pub fn is_for_layer(&self, image: &Image) -> bool {
        self.path.ends_with(image.layer(0))
    }

    /// The first byte that a client who resumes asks for.
    pub fn start(&self) -> usize {
        let range = self.header("range").trim_start_matches("bytes=").trim_end_matches('-');
        range.parse().unwrap_or(0)
    }
}

/// A server, as long as the process runs.
#[derive(Clone)]
pub struct Liar {
    /// Host and port.
    pub address: String,
    log: Arc<Mutex<Vec<String>>>,
}

impl Liar {
    /// Starts one. `lie` answers a request; with an error it ends the connection.
    pub fn start(
        lie: impl Fn(&Request, &mut TcpStream) -> io::Result<()> + Send + Sync + 'static,
    ) -> io::Result<Liar> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        let liar = Liar { address, log: Arc::default() };
        let (log, lie) = (liar.log.clone(), Arc::new(lie));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (log, lie) = (log.clone(), lie.clone());
                thread::spawn(move || serve(stream, &log, &*lie));
            }
        });
        Ok(liar)
    }

    /// The requests so far, with what they show of who they are.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn serve(
    mut stream: TcpStream,
    log: &Mutex<Vec<String>>,
    lie: &dyn Fn(&Request, &mut TcpStream) -> io::Result<()>,
) -> Option<()> {
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines().map_while(Result::ok);
    while let Some(first) = lines.next() {
        let headers = lines.by_ref().take_while(|line| !line.is_empty()).collect();
        let mut words = first.split(' ').map(str::to_string);
        let request = Request { method: words.next()?, path: words.next()?, headers };
        let shows = request.header("authorization");
        let line = format!("{} {} [{shows}]", request.method, request.path);
        log.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        lie(&request, &mut stream).ok()?;
    }
    None
}

/// A whole answer. `head` is the status, and more lines.
pub fn answer(
    request: &Request,
    stream: &mut TcpStream,
    head: &str,
    body: &[u8],
) -> io::Result<()> {
    write!(stream, "HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n", body.len())?;
    if request.method == "HEAD" { Ok(()) } else { stream.write_all(body) }
}

/// What an honest registry would say, who has this image.
pub fn honest(image: &Image, request: &Request, stream: &mut TcpStream) -> io::Result<()> {
    if request.path.contains("/manifests/") {
        let head = format!("200 OK\r\nContent-Type: {MANIFEST}");
        return answer(request, stream, &head, &image.document());
    }
    let blob = image.all_blobs().find(|(name, _)| request.path.ends_with(name.as_str()));
    let Some((_, bytes)) = blob else { return answer(request, stream, "404 Not Found", b"") };
    match request.start() {
        0 => answer(request, stream, "200 OK", &bytes),
        start => {
            let (last, all) = (bytes.len() - 1, bytes.len());
            let head = format!("206 Partial Content\r\nContent-Range: bytes {start}-{last}/{all}");
            answer(request, stream, &head, &bytes[start.min(all)..])
        }
    }
}

/// Sends pieces, with a pause after each, until the client has had enough.
pub fn endless(stream: &mut TcpStream, piece: &[u8], pause: Duration) -> io::Result<()> {
    loop {
        stream.write_all(piece)?;
        // Without any it would take the processor away from who is to be measured.
        thread::sleep(pause.max(Duration::from_millis(1)));
    }
}

/// The same as chunks of a body (RFC 9112, 7.1).
pub fn endless_chunks(stream: &mut TcpStream, piece: &[u8], pause: Duration) -> io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: {MANIFEST}\r\nTransfer-Encoding: chunked\r\n\r\n"
    )?;
    let chunk = [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
    endless(stream, &chunk, pause)
}
