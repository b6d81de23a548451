//! Servers that never come to an end.

use std::io::{self, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use super::server::{Server, answer, error};

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
