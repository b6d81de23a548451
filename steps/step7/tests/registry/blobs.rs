//! Blobs: in pieces, cut off, of another length.

use std::io::{self, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::server::{Request, Server, answer, bytes, error};

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

/// A registry that breaks each connection after 100,000 bytes, and answers this to every Range.
fn without_ranges(
    content: &[u8],
    refuse: impl Fn(&Request, &mut TcpStream) -> io::Result<()> + Send + Sync + 'static,
) -> Server {
    let sent = content.to_vec();
    Server::start(move |request, stream| {
        if request.start() > 0 {
            return refuse(request, stream);
        }
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", sent.len())?;
        // The first time it breaks off, later it has more.
        let most = if request.number == 0 { 100_000 } else { sent.len() };
        stream.write_all(&sent[..most])
    })
}

/// How often it was asked for the blob.
fn asked(server: &Server) -> usize {
    server.log().iter().filter(|line| line.contains("/blobs/")).count()
}

#[test]
fn a_refused_range_is_asked_for_from_the_beginning() {
    let content = bytes(300_000);
    for status in [
        "416 Range Not Satisfiable",
        "416 Range Not Satisfiable\r\nContent-Range: bytes */300000",
        "400 Bad Request",
        "403 Forbidden",
        "404 Not Found",
        "405 Method Not Allowed",
        "501 Not Implemented",
        "206 Partial Content",
        "206 Partial Content\r\nContent-Range: bytes 0-99999/300000",
        "206 Partial Content\r\nContent-Range: bytes 1000000-1099999/300000",
        "206 Partial Content\r\nContent-Range: bytes 100000-/300000\r\nContent-Range: x",
        "206 Partial Content\r\nContent-Range: lines 100000-300000/300000",
        "204 No Content",
        "304 Not Modified",
    ] {
        let server = without_ranges(&content, move |_, stream| answer(stream, status, "", b""));
        server.blob(&content).expect(status);
        assert_eq!(asked(&server), 3, "{status}");
    }
}

#[test]
fn more_than_the_range_is_no_answer_to_it() {
    let content = bytes(300_000);
    let server = without_ranges(&content, |_, stream| {
        let range = "Content-Range: bytes 100000-299999/300000\r\n";
        answer(stream, "206 Partial Content", range, &bytes(200_001))
    });
    server.blob(&content).unwrap();
    assert_eq!(server.log().len(), 3);
}

#[test]
fn less_than_the_range_is_a_part_of_it() {
    let content = bytes(300_000);
    let sent = content.clone();
    let server = without_ranges(&content, move |request, stream| {
        let (start, end) = (request.start(), (request.start() + 70_000).min(300_000));
        let range = format!("Content-Range: bytes {start}-{}/300000\r\n", end - 1);
        answer(stream, "206 Partial Content", &range, &sent[start..end])
    });
    server.blob(&content).unwrap();
    assert_eq!(server.log().len(), 4);
}

#[test]
fn after_a_refused_range_none_is_sent() {
    let content = bytes(500_000);
    let sent = content.clone();
    let server = Server::start(move |request, stream| {
        if request.start() > 0 {
            return answer(stream, "416 Range Not Satisfiable", "", b"");
        }
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", sent.len())?;
        stream.write_all(&sent[..(request.number + 1) * 100_000])
    });
    server.blob(&content).unwrap();
    // 0: to 100,000; 1: refused; 2: to 300,000; 3: to 400,000; 4: all.
    assert_eq!(server.log().len(), 5);
}

#[test]
fn a_registry_that_refuses_all_is_told_with_the_image() {
    let content = bytes(300_000);
    for (status, part) in [("403 Forbidden", "answers 403"), ("404 Not Found", "answers 404")] {
        let server = Server::start(move |request, stream| match request.number {
            0 => write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\nabc"),
            _ => answer(stream, status, "", b""),
        });
        let text = server.blob(&content).unwrap_err();
        let name = format!("cannot get {}/a/b@sha256:", server.address);
        assert!(text.starts_with(&name) && text.contains(part), "{text}");
        // The whole is asked for once.
        assert_eq!(asked(&server), 3);
    }
    // Not to be found out by another request: it is busy.
    let mut server = Server::start(|request, stream| match request.number {
        0 => write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\nabc"),
        _ => answer(stream, "429 Too Many Requests", "Retry-After: 86400\r\n", b""),
    });
    server.patience.total = Duration::from_millis(200);
    error(server.blob(&content), "answers 429");
    assert_eq!(server.log().len(), 2);
}

#[test]
fn what_breaks_off_names_the_image() {
    let server = Server::start(|_, stream| write!(stream, "HTTP/1.1 200 OK\r\n\r\nabc"));
    let name = format!("cannot get {}/a/b@sha256:", server.address);
    error(server.blob(b"ab"), &name);
    error(server.blob(b"abcd"), &name);
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
