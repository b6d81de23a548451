//! The registry client against registries that are odd, broken or hostile: small servers on
//! loopback, each with its script.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use step7::digest::{Digest, Hashing};
use step7::manifest::Descriptor;
use step7::reference::Reference;
use step7::registry::{Access, Patience, Registry};

const MANIFEST: &str = r#"{"schemaVersion":2}"#;

/// A request as a server sees it.
struct Request {
    method: String,
    /// With the query.
    path: String,
    /// By names in lower case.
    headers: HashMap<String, String>,
    body: String,
    /// Its number on this server, from 0.
    number: usize,
}

impl Request {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value)
    }

    /// Where the Range header wants to begin.
    fn start(&self) -> usize {
        let range = self.header("range").strip_prefix("bytes=").unwrap_or("0-");
        range.strip_suffix('-').unwrap().parse().unwrap()
    }
}

/// A server; what it was asked is kept.
struct Server {
    address: SocketAddr,
    /// What its clients have. Enough for a slow machine; tests about time have less.
    patience: Patience,
    log: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Answers each request by calling `play`; a connection is for one request.
    fn start(
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

    fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    fn registry(&self, login: Option<(&str, &str)>) -> Registry {
        self.registry_with(login, &[])
    }

    fn registry_with(&self, login: Option<(&str, &str)>, login_files: &[PathBuf]) -> Registry {
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
            Access { plain_http: false, login, login_files: login_files.to_vec(), patience },
            |_| (),
        )
        .unwrap()
    }

    /// What comes of asking for the manifest.
    fn manifest(&self) -> Result<String, String> {
        let document = self.registry(None).manifest("v1").map_err(|error| error.to_string())?;
        Ok(String::from_utf8(document.bytes).unwrap())
    }

    /// What comes of asking for a blob.
    fn blob(&self, content: &[u8]) -> Result<(), String> {
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

fn patience() -> Patience {
    Patience { pause: Duration::from_millis(10), ..Patience::default() }
}

/// Sends an answer. `headers` end in \r\n each.
fn answer(stream: &mut TcpStream, status: &str, headers: &str, body: &[u8]) -> io::Result<()> {
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n"
    )?;
    stream.write_all(body)
}

/// Some bytes that do not repeat soon.
fn bytes(count: usize) -> Vec<u8> {
    (0..count as u64).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

fn error(result: Result<impl std::fmt::Debug, String>, part: &str) {
    let text = result.unwrap_err();
    assert!(text.contains(part) && !text.contains('\n'), "{text}");
    assert!(text.starts_with("cannot get 127.0.0.1:") || text.len() < 200, "{text}");
}

#[test]
fn a_manifest_comes_with_its_digest_and_type() {
    let server = Server::start(|request, stream| {
        assert!(request.header("accept").contains("vnd.oci.image.index.v1+json"));
        assert!(request.header("accept").contains("vnd.docker.distribution.manifest.v2+json"));
        assert_eq!(request.header("authorization"), "");
        let digest = Digest::of(MANIFEST.as_bytes());
        let kind = "Content-Type: application/vnd.oci.image.manifest.v1+json; charset=utf-8";
        let headers = format!("{kind}\r\nDocker-Content-Digest: {digest}\r\n");
        let body = if request.method == "HEAD" { "" } else { MANIFEST };
        answer(stream, "200 OK", &headers, body.as_bytes())
    });
    let registry = server.registry(None);
    let document = registry.manifest("v1").unwrap();
    assert_eq!(document.media_type, "application/vnd.oci.image.manifest.v1+json");
    let digest = Digest::of(&document.bytes);
    assert_eq!(digest, Digest::of(MANIFEST.as_bytes()));
    assert_eq!(registry.head("v1").unwrap(), Some(digest.clone()));
    registry.manifest(&digest.to_string()).unwrap();
    let log = ["GET /v2/a/b/manifests/v1", "HEAD /v2/a/b/manifests/v1"].map(str::to_string);
    assert_eq!(server.log()[..2], log);
    assert_eq!(server.log()[2], format!("GET /v2/a/b/manifests/{digest}"));
}

#[test]
fn digests_that_differ_are_both_named() {
    let other = Digest::of(b"other");
    let lie = format!("Docker-Content-Digest: {other}\r\n");
    let server =
        Server::start(move |_, stream| answer(stream, "200 OK", &lie, MANIFEST.as_bytes()));
    let seen = Digest::of(MANIFEST.as_bytes()).to_string();
    error(server.manifest(), &other.to_string());
    error(server.manifest(), &seen);

    let server = Server::start(|_, stream| answer(stream, "200 OK", "", MANIFEST.as_bytes()));
    let by_digest = || {
        let result = server.registry(None).manifest(&other.to_string());
        result.map_err(|error| error.to_string())
    };
    error(by_digest(), &other.to_string());
    error(by_digest(), &seen);
}

/// A registry that wants a token, and its token server.
fn with_token(
    challenge: &'static str,
    give: impl Fn(&Request) -> (&'static str, String) + Send + Sync + 'static,
) -> Server {
    Server::start(move |request, stream| {
        if request.path.starts_with("/token") {
            let (status, body) = give(request);
            return answer(stream, status, "", body.as_bytes());
        }
        if request.header("authorization") == "Bearer T1" {
            return answer(stream, "200 OK", "", MANIFEST.as_bytes());
        }
        let host = request.header("host");
        let headers = format!("WWW-Authenticate: {}\r\n", challenge.replace("HOST", host));
        answer(stream, "401 Unauthorized", &headers, br#"{"errors":[]}"#)
    })
}

const BEARER: &str =
    r#"Bearer realm="http://HOST/token",service="a b",scope="repository:a/b:pull,push""#;

#[test]
fn a_token_is_fetched_once_and_kept() {
    for name in ["token", "access_token"] {
        let server = with_token(BEARER, move |_| ("200 OK", format!(r#"{{"{name}":"T1"}}"#)));
        let registry = server.registry(Some(("me", "secret")));
        registry.manifest("v1").unwrap();
        registry.manifest("v1").unwrap();
        assert_eq!(
            server.log(),
            [
                "GET /v2/a/b/manifests/v1",
                "GET /token?service=a+b&scope=repository%3Aa%2Fb%3Apull%2Cpush",
                "GET /v2/a/b/manifests/v1",
                "GET /v2/a/b/manifests/v1",
            ]
        );
    }
}

#[test]
fn a_token_that_is_no_longer_good_is_replaced() {
    let server = Server::start(|request, stream| {
        if request.path.starts_with("/token") {
            assert_eq!(request.header("authorization"), "Basic bWU6c2VjcmV0");
            let body = format!(r#"{{"token":"T{}"}}"#, request.number);
            return answer(stream, "200 OK", "", body.as_bytes());
        }
        // 0: 401, 1: the token, 2: good, 3: no longer, 4: the token, 5: good
        if matches!(request.number, 2 | 5) {
            let token = format!("Bearer T{}", request.number - 1);
            assert_eq!(request.header("authorization"), token);
            return answer(stream, "200 OK", "", MANIFEST.as_bytes());
        }
        let headers = BEARER.replace("HOST", request.header("host"));
        answer(stream, "401 Unauthorized", &format!("WWW-Authenticate: {headers}\r\n"), b"")
    });
    let registry = server.registry(Some(("me", "secret")));
    registry.manifest("v1").unwrap();
    registry.manifest("v1").unwrap();
    assert_eq!(server.log().len(), 6);
}

#[test]
fn a_login_that_is_refused_is_named_with_its_cure() {
    let server = with_token(BEARER, |_| ("401 Unauthorized", "{}".to_string()));
    let registry = server.registry(Some(("me", "wrong")));
    let text = registry.manifest("v1").unwrap_err().to_string();
    assert!(text.contains("\"me\"") && text.contains("docker login 127.0.0.1:"), "{text}");
    assert!(!text.contains("wrong"), "{text}");

    // A token that does not help, and Basic.
    let server = with_token(BEARER, |_| ("200 OK", r#"{"token":"T2"}"#.to_string()));
    error(server.manifest(), "docker login");
    let server = with_token("Basic realm=\"a, b\"", |_| unreachable!());
    error(server.manifest(), "wants a login");
    assert_eq!(server.log().len(), 1);
    let result = server.registry(Some(("me", "wrong"))).manifest("v1");
    error(result.map_err(|error| error.to_string()), "--username NAME");
    assert_eq!(server.log().len(), 3);
    let server = with_token("Negotiate", |_| unreachable!());
    error(server.manifest(), "of no kind that we know");
}

#[test]
fn a_hostile_token_server_ends_in_a_line() {
    let endless = || ("200 OK", format!(r#"{{"token":"{}"}}"#, "x".repeat(2 << 20)));
    error(with_token(BEARER, move |_| endless()).manifest(), "more than 1048576 bytes");
    let control = || ("200 OK", r#"{"token":"a\nb"}"#.to_string());
    error(with_token(BEARER, move |_| control()).manifest(), "characters");
    error(with_token(BEARER, |_| ("200 OK", "{}".to_string())).manifest(), "no token");
    error(with_token(BEARER, |_| ("200 OK", "<html>".to_string())).manifest(), "no token");
    // Passwords are not for strangers to overhear.
    let abroad = r#"Bearer realm="http://192.0.2.1/token""#;
    error(with_token(abroad, |_| unreachable!()).manifest(), "not https");
    error(with_token("Bearer realm=x", |_| unreachable!()).manifest(), "token server");
    error(
        with_token("Bearer realm=\"file:///etc/passwd\"", |_| unreachable!()).manifest(),
        "not https",
    );
}

#[test]
fn another_server_never_sees_the_authorization() {
    // From home within home, to the other server, and back home.
    let place: Arc<Mutex<Option<SocketAddr>>> = Arc::default();
    let home = place.clone();
    let other = Server::start(move |request, stream| {
        assert_eq!(request.header("authorization"), "");
        let home = home.lock().unwrap().unwrap();
        let header = format!("Location: http://{home}/end\r\n");
        answer(stream, "307 Temporary Redirect", &header, b"")
    });
    let address = other.address;
    let home = Server::start(move |request, stream| {
        let is_authorized = request.header("authorization") == "Basic bWU6c2VjcmV0";
        match (request.path.as_str(), is_authorized) {
            ("/end", false) => answer(stream, "200 OK", "", b"content"),
            ("/inside", true) => {
                let header = format!("Location: http://{address}/outside\r\n");
                answer(stream, "302 Found", &header, b"")
            }
            (_, true) => answer(stream, "302 Found", "Location: /inside\r\n", b""),
            (_, false) => {
                answer(stream, "401 Unauthorized", "WWW-Authenticate: Basic realm=x\r\n", b"")
            }
        }
    });
    *place.lock().unwrap() = Some(home.address);
    let registry = home.registry(Some(("me", "secret")));
    let digest = Digest::of(b"content");
    let descriptor = Descriptor { digest, size: 7, ..Descriptor::of(b"", "") };
    let mut text = String::new();
    registry.blob(&descriptor, 0).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "content");
    assert_eq!(other.log(), ["GET /outside"]);
    assert_eq!(home.log()[2..], ["GET /inside", "GET /end"]);
}

#[test]
fn redirects_end() {
    let server =
        Server::start(|_, stream| answer(stream, "302 Found", "Location: /again\r\n", b""));
    error(server.manifest(), "round and round");
    assert_eq!(server.log().len(), 11);
    for (to, part) in [
        ("http://192.0.2.1/x", "not https"),
        ("ftp://127.0.0.1/x", "not https"),
        ("file:///etc/passwd", "not https"),
        ("http://", "leads to"),
    ] {
        let header = format!("Location: {to}\r\n");
        let server = Server::start(move |_, stream| answer(stream, "302 Found", &header, b""));
        error(server.manifest(), part);
    }
}

#[test]
fn who_is_busy_is_asked_again() {
    let server = Server::start(|request, stream| match request.number {
        0 => answer(stream, "429 Too Many Requests", "Retry-After: 0\r\n", b""),
        1 => answer(stream, "503 Service Unavailable", "", b""),
        2 => Ok(()),
        _ => answer(stream, "200 OK", "", MANIFEST.as_bytes()),
    });
    assert_eq!(server.manifest().unwrap(), MANIFEST);
    assert!(server.log().len() >= 4);
}

#[test]
fn who_is_always_busy_is_given_up() {
    let began = Instant::now();
    let body = br#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow \u001b[2J down"}]}"#;
    let mut server = Server::start(|_, stream| answer(stream, "429 Too Many Requests", "", body));
    server.patience.total = Duration::from_millis(500);
    error(server.manifest(), r#""slow \u{1b}[2J down""#);
    assert!(server.log().len() > 2);
    let server = Server::start(|_, stream| {
        answer(stream, "429 Too Many Requests", "Retry-After: 86400\r\n", body)
    });
    error(server.manifest(), "429");
    assert_eq!(server.log().len(), 1);
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn other_answers_are_told_in_the_registrys_words() {
    let body = br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#;
    let server = Server::start(|_, stream| answer(stream, "404 Not Found", "", body));
    error(server.manifest(), "there is no such image");
    error(server.manifest(), "manifest unknown");
    error(server.blob(b"x"), "404");
    let server = Server::start(|_, stream| {
        answer(stream, "200 OK", "Content-Type: text/html\r\n", b"<!DOCTYPE html>")
    });
    error(server.manifest(), "web page");
    let server = Server::start(|_, stream| answer(stream, "403 Forbidden", "", b"<html>"));
    error(server.manifest(), "web page");
}

#[test]
fn a_blob_comes_in_whatever_pieces() {
    let content = bytes(300_000);
    for piece in [100_000, 65_536, 20_000] {
        let sent = content.clone();
        let server = Server::start(move |request, stream| {
            let start = request.start();
            let status = if start == 0 { "200 OK" } else { "206 Partial Content" };
            let length = sent.len() - start;
            let range = format!("bytes {start}-{}/{}", sent.len() - 1, sent.len());
            write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nContent-Range: {range}\r\n\r\n"
            )?;
            stream.write_all(&sent[start..(start + piece).min(sent.len())])
        });
        server.blob(&content).unwrap();
        assert_eq!(server.log().len(), content.len().div_ceil(piece));
    }
}

#[test]
fn a_connection_that_gets_nowhere_is_given_up() {
    let content = bytes(100_000);
    let server = Server::start(|request, stream| {
        let (start, length) = (request.start(), 100_000 - request.start());
        let status = if start == 0 { "200 OK" } else { "206 Partial Content" };
        let range = format!("bytes {start}-99999/100000");
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nContent-Range: {range}\r\n\r\n"
        )?;
        stream.write_all(&bytes(100_000)[start..start + 10])
    });
    error(server.blob(&content), "lost at byte 60 of 100000");
    assert_eq!(server.log().len(), 6);
}

#[test]
fn a_server_without_ranges_begins_again() {
    let content = bytes(300_000);
    let sent = content.clone();
    let server = Server::start(move |request, stream| {
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", sent.len())?;
        stream.write_all(&sent[..(request.number + 1) * 100_000])
    });
    server.blob(&content).unwrap();
    assert_eq!(server.log().len(), 3);
}

#[test]
fn another_part_than_asked_for_is_refused() {
    let server = Server::start(|request, stream| match request.number {
        0 => write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"),
        _ => answer(stream, "206 Partial Content", "Content-Range: bytes 2-8/9\r\n", b"cdefghi"),
    });
    error(server.blob(b"abcdefghi"), "another part");
}

#[test]
fn a_blob_of_another_length_is_refused() {
    let server = Server::start(|_, stream| answer(stream, "200 OK", "", b"abc"));
    error(server.blob(b"ab"), "sends 3 bytes instead of 2");
    error(server.blob(b"abcd"), "sends 3 bytes instead of 4");
    let server = Server::start(|_, stream| write!(stream, "HTTP/1.1 200 OK\r\n\r\nabc"));
    error(server.blob(b"ab"), "more than the 2 bytes");
    error(server.blob(b"abcd"), "lost at byte 3 of 4");
    server.blob(b"abc").unwrap();
}

/// Sends `piece` in chunks until the client has had enough.
fn endless(stream: &mut TcpStream, piece: &[u8], pause: Duration) -> io::Result<()> {
    write!(stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    loop {
        write!(stream, "{:x}\r\n", piece.len())?;
        stream.write_all(piece)?;
        stream.write_all(b"\r\n")?;
        thread::sleep(pause);
    }
}

#[test]
fn what_does_not_end_is_cut_off() {
    let server = Server::start(|_, stream| endless(stream, &[b' '; 65_536], Duration::ZERO));
    error(server.manifest(), "more than 4194304 bytes");
    error(server.blob(&[b' '; 100_000]), "more than the 100000 bytes");
    // A body of an error, too.
    let server = Server::start(|_, stream| {
        write!(stream, "HTTP/1.1 404 Not Found\r\n\r\n")?;
        loop {
            stream.write_all(&[b' '; 65_536])?;
        }
    });
    error(server.manifest(), "404");
    // Headers.
    let server = Server::start(|_, stream| {
        write!(stream, "HTTP/1.1 200 OK\r\n")?;
        loop {
            write!(stream, "X-More: {}\r\n", "x".repeat(1000))?;
        }
    });
    error(server.manifest(), "127.0.0.1");
    let mut server = Server::start(|_, stream| {
        let began = Instant::now();
        loop {
            write!(stream, "HTTP/1.1 100 Continue\r\n\r\n")?;
            // Not for ever: the other tests want the processor, too.
            if began.elapsed() > Duration::from_millis(500) {
                return Ok(());
            }
        }
    });
    server.patience.silence = Duration::from_millis(300);
    server.patience.total = Duration::ZERO;
    error(server.manifest(), "127.0.0.1");
}

#[test]
fn what_drips_is_too_slow() {
    let began = Instant::now();
    let drip = |stream: &mut TcpStream| endless(stream, b" ", Duration::from_millis(20));
    let mut server = Server::start(move |_, stream| drip(stream));
    server.patience.window = Duration::from_millis(400);
    server.patience.slowest = 400;
    error(server.manifest(), "too slow");
    error(server.blob(&[b' '; 10_000]), "too slow");
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn silence_is_a_broken_connection() {
    let began = Instant::now();
    let mut server = Server::start(|request, stream| match request.number {
        0 => {
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")?;
            thread::sleep(Duration::from_secs(20));
            Ok(())
        }
        _ => answer(stream, "206 Partial Content", "Content-Range: bytes 3-8/9\r\n", b"defghi"),
    });
    server.patience.silence = Duration::from_millis(500);
    server.blob(b"abcdefghi").unwrap();
    assert!(began.elapsed() < Duration::from_secs(10));
    let mut server = Server::start(|_, _| {
        thread::sleep(Duration::from_secs(20));
        Ok(())
    });
    server.patience.silence = Duration::from_millis(300);
    server.patience.total = Duration::from_millis(500);
    error(server.manifest(), "no answer in time");
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn nobody_there_is_told() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    error(
        Server { address, patience: patience(), log: Arc::default() }.manifest(),
        "Connection refused (nothing listens there; ./just registry does)",
    );
}

#[test]
fn what_is_not_http_is_told() {
    let server = Server::start(|_, stream| write!(stream, "SSH-2.0-OpenSSH_9.2\r\n"));
    error(server.manifest(), "127.0.0.1");
    let reference = Reference {
        registry: "exa mple".to_string(),
        repository: "x".to_string(),
        tag: None,
        digest: None,
    };
    assert!(Registry::new(&reference, Access::default(), |_| ()).is_err());
}

#[test]
fn an_identity_token_is_posted() {
    let server = with_token(BEARER, |request| {
        assert_eq!((request.method.as_str(), request.header("authorization")), ("POST", ""));
        assert!(request.body.contains("grant_type=refresh_token"), "{}", request.body);
        assert!(request.body.contains("refresh_token=I%26D"), "{}", request.body);
        assert!(
            request.body.contains("scope=repository%3Aa%2Fb%3Apull%2Cpush"),
            "{}",
            request.body
        );
        ("200 OK", r#"{"access_token":"T1"}"#.to_string())
    });
    let file = std::env::temp_dir().join(format!("slipway-identity-{}", std::process::id()));
    let address = server.address;
    let config = format!(r#"{{"auths":{{"{address}":{{"identitytoken":"I&D"}}}}}}"#);
    std::fs::write(&file, config).unwrap();
    let result = server.registry_with(None, std::slice::from_ref(&file)).manifest("v1");
    std::fs::remove_file(&file).unwrap();
    result.unwrap();
    assert_eq!(server.log()[1], "POST /token");
}
