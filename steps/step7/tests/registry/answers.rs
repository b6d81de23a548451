//! Answers, and what becomes of them.

use std::io::Write;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use logins::Logins;
use reference::Digest;
use reference::Reference;
use step7::registry::Registry;
use transport::Patience;

use super::server::{MANIFEST, Server, answer, error, patience};

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
    let (bytes, media_type) = registry.manifest("v1").unwrap();
    assert_eq!(media_type, "application/vnd.oci.image.manifest.v1+json");
    let digest = Digest::of(&bytes);
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
    let logins = Logins::new("", "", None, Vec::new());
    assert!(Registry::new(&reference, false, logins, Patience::default(), |_| ()).is_err());
}
