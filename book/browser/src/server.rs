//! A file server for the book, on loopback alone.

use std::fs;
use std::io::{BufRead, BufReader, Result, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;

/// What all pages load is loaded once.
const KEEP: &str = "Cache-Control: max-age=600\r\n";

/// Serves a directory until the program ends; returns its address.
pub fn start(root: PathBuf) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = format!("http://{}", listener.local_addr()?);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let root = root.clone();
            // The browser hangs up on what it does not need any more.
            thread::spawn(move || drop(answer(&stream, &root)));
        }
    });
    Ok(address)
}

/// Answers requests as long as the browser has any. What is not there gets the book's own page for that, as on a server
/// that knows the book.
fn answer(mut stream: &TcpStream, root: &Path) -> Result<()> {
    let mut lines = BufReader::new(stream).lines();
    while let Some(request) = lines.next().transpose()? {
        while lines.next().transpose()?.is_some_and(|header| !header.is_empty()) {}
        let target = request.split(' ').nth(1).unwrap_or_default();
        let path = target.split(['?', '#']).next().unwrap_or_default().trim_start_matches('/');
        let path = if path.is_empty() { "index.html" } else { path };
        let (status, path) = match root.join(path) {
            path if path.is_file() => ("200 OK", path),
            _ => ("404 Not Found", root.join("404.html")),
        };
        let body = fs::read(&path)?;
        let (kind, length) = (kind(&path), body.len());
        let mut answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{KEEP}\r\n"
        )
        .into_bytes();
        answer.extend(body);
        stream.write_all(&answer)?;
    }
    Ok(())
}

fn kind(path: &Path) -> &'static str {
    match path.extension().and_then(|it| it.to_str()).unwrap_or_default() {
        "html" => "text/html",
        "css" => "text/css",
        "js" => "text/javascript",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "woff2" => "font/woff2",
        _ => "application/octet-stream",
    }
}
