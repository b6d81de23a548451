//! What the tests are made with: a small server on loopback, with a script.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use documents::Descriptor;
use logins::Logins;
use reference::Reference;
use step7::digest::Hashing;
use step7::registry::Registry;
use transport::Patience;

pub const MANIFEST: &str = r#"{"schemaVersion":2}"#;

/// A request as a server sees it.
pub struct Request {
    pub method: String,
    /// With the query.
    pub path: String,
    /// By names in lower case.
    pub headers: HashMap<String, String>,
    pub body: String,
    /// Its number on this server, from 0.
    pub number: usize,
}

impl Request {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value)
    }

    /// Where the Range header wants to begin.
    pub fn start(&self) -> usize {
        let range = self.header("range").strip_prefix("bytes=").unwrap_or("0-");
        range.strip_suffix('-').unwrap().parse().unwrap()
    }
}

/// A server; what it was asked is kept.
pub struct Server {
    pub address: SocketAddr,
    /// What its clients have. Enough for a slow machine; tests about time have less.
    pub patience: Patience,
    pub log: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Answers each request by calling `play`; a connection is for one request.
    pub fn start(
        play: impl Fn(&Request, &mut TcpStream) -> io::Result<()> + Send + Sync + 'static,
    ) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let log: Arc<Mutex<Vec<String>>> = Arc::default();
        let (play, kept) = (Arc::new(play), log.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (play, kept) = (play.clone(), kept.clone());
                thread::spawn(move || serve(stream.unwrap(), &*play, &kept));
            }
        });
        Server { address, patience: patience(), log }
    }

    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    pub fn registry(&self, login: Option<(&str, &str)>) -> Registry {
        self.registry_with(login, &[])
    }

    pub fn registry_with(&self, login: Option<(&str, &str)>, login_files: &[PathBuf]) -> Registry {
        let reference = Reference {
            registry: self.address.to_string(),
            repository: "a/b".to_string(),
            tag: Some("v1".to_string()),
            digest: None,
        };
        let login = login.map(|(user, password)| (user.to_string(), password.to_string()));
        let patience = self.patience.clone();
        Registry::new(
            &reference,
            false,
            Logins::new(&reference.registry, &reference.repository, login, login_files.to_vec()),
            patience,
            |_| (),
        )
        .unwrap()
    }

    /// What comes of asking for the manifest.
    pub fn manifest(&self) -> Result<String, String> {
        let (bytes, _) = self.registry(None).manifest("v1").map_err(|error| error.to_string())?;
        Ok(String::from_utf8(bytes).unwrap())
    }

    /// What comes of asking for a blob.
    pub fn blob(&self, content: &[u8]) -> Result<(), String> {
        let descriptor = Descriptor::of(content, "application/octet-stream");
        let registry = self.registry(None);
        let blob = registry.blob(&descriptor, 0).map_err(|error| error.to_string())?;
        let mut hashing = Hashing::new(blob);
        io::copy(&mut hashing, &mut io::sink()).map_err(|error| error.to_string())?;
        assert_eq!(hashing.count(), descriptor.size);
        assert_eq!(hashing.digest(), descriptor.digest);
        Ok(())
    }
}

fn serve(
    mut stream: TcpStream,
    play: &dyn Fn(&Request, &mut TcpStream) -> io::Result<()>,
    log: &Mutex<Vec<String>>,
) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = Vec::new();
    // What is no text is TLS.
    reader.read_until(b'\n', &mut line).unwrap();
    let Ok(first) = String::from_utf8(line) else { return };
    let mut words = first.split_whitespace().map(str::to_string);
    let (Some(method), Some(path)) = (words.next(), words.next()) else { return };
    if !["GET", "HEAD", "POST"].contains(&method.as_str()) {
        return;
    }
    let mut headers = HashMap::new();
    for line in reader.by_ref().lines() {
        let line = line.unwrap();
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_string());
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let body = String::from_utf8(body).unwrap();
    let number = {
        let mut log = log.lock().unwrap();
        log.push(format!("{method} {path}"));
        log.len() - 1
    };
    let request = Request { method, path, headers, body, number };
    // The client may have gone.
    let _ = play(&request, &mut stream);
}

pub fn patience() -> Patience {
    Patience { pause: Duration::from_millis(10), ..Patience::default() }
}

/// Sends an answer. `headers` end in \r\n each.
pub fn answer(stream: &mut TcpStream, status: &str, headers: &str, body: &[u8]) -> io::Result<()> {
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n"
    )?;
    stream.write_all(body)
}

/// Some bytes that do not repeat soon.
pub fn bytes(count: usize) -> Vec<u8> {
    (0..count as u64).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

pub fn error(result: Result<impl std::fmt::Debug, String>, part: &str) {
    let text = result.unwrap_err();
    assert!(text.contains(part) && !text.contains('\n'), "{text}");
    assert!(text.starts_with("cannot get 127.0.0.1:") || text.len() < 200, "{text}");
}
