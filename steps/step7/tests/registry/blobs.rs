//! Blobs: in pieces, cut off, of another length.

use std::io::Write;

use super::server::{Server, answer, bytes, error};

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
