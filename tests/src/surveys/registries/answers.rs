//! Answers that do not come, or are no answers.

use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use super::liar::{Liar, Request, answer, endless, honest};
use super::{Case, Registry, Within};
use crate::checks::failure::{Failure, require};
use crate::checks::images::image::{MANIFEST, digest};
use crate::checks::images::{Archive, Image};

/// Ways that lead to the registry that the image is at.
type Lie = fn(&Request, &mut TcpStream) -> std::io::Result<()>;

/// An image of one small layer.
pub fn small() -> Image {
    Image::of(&[Archive::begin().file("text", "x").end()])
}

/// A registry that does this to every request.
macro_rules! always {
    ($lie:expr) => {
        || {
            let lie: Lie = $lie;
            Ok(Registry::of(&Liar::start(lie)?))
        }
    };
}

/// A registry that answers every request with this status line, and header lines after it.
macro_rules! says {
    ($head:literal) => {
        always!(|request, stream| answer(request, stream, $head, b""))
    };
}

const SECOND: Duration = Duration::from_secs(1);

pub fn cases() -> Vec<Case> {
    let case = |what, within, refused, start| Case {
        what,
        within,
        refused: Some(refused),
        has_login: false,
        start,
    };
    [silence(&case), statuses(&case), redirects(&case), nonsense(&case)]
        .into_iter()
        .flatten()
        .collect()
}

type Make<'a> =
    &'a dyn Fn(&'static str, Within, &'static str, fn() -> Result<Registry, Failure>) -> Case;

fn silence(case: Make) -> Vec<Case> {
    vec![
        case(
            "takes the connection, and never answers",
            Within::TwoMinutes,
            "no answer in time",
            always!(|_, _| {
                thread::sleep(600 * SECOND);
                Ok(())
            }),
        ),
        case(
            "sends a byte of its header each second",
            Within::TwoMinutes,
            "no answer in time",
            always!(|_, stream| {
                write!(stream, "HTTP/1.1 200 OK\r\nX: ")?;
                endless(stream, b"x", SECOND)
            }),
        ),
        case(
            "sends header lines without end",
            Within::NoTime,
            "cannot get",
            always!(|_, stream| {
                write!(stream, "HTTP/1.1 200 OK\r\n")?;
                endless(stream, &b"X-More: xxxxxxxxxxxxxxxx\r\n".repeat(1000), Duration::ZERO)
            }),
        ),
        case(
            "sends one header line without end",
            Within::NoTime,
            "cannot get",
            always!(|_, stream| {
                write!(stream, "HTTP/1.1 200 OK\r\nX: ")?;
                endless(stream, &[b'x'; 65_536], Duration::ZERO)
            }),
        ),
        case(
            "says “100 Continue” without end",
            Within::TwoMinutes,
            "cannot get",
            always!(|_, stream| {
                endless(stream, b"HTTP/1.1 100 Continue\r\n\r\n", Duration::from_millis(10))
            }),
        ),
        case(
            "ends each connection without a word",
            Within::NoTime,
            "cannot get",
            always!(|_, _| { Err(std::io::ErrorKind::ConnectionReset.into()) }),
        ),
    ]
}

fn statuses(case: Make) -> Vec<Case> {
    vec![
        case("is busy for ever (429)", Within::AMinute, "429", says!("429 Too Many Requests")),
        case(
            "is busy until tomorrow (429, Retry-After)",
            Within::NoTime,
            "429",
            says!("429 Too Many Requests\r\nRetry-After: 86400"),
        ),
        case(
            "is broken for ever (500)",
            Within::AMinute,
            "500",
            says!("500 Internal Server Error"),
        ),
        case(
            "has no such image, and says so without end",
            Within::NoTime,
            "there is no such image",
            always!(|_, stream| {
                write!(stream, "HTTP/1.1 404 Not Found\r\n\r\n")?;
                endless(stream, &[b'x'; 65_536], Duration::ZERO)
            }),
        ),
        case(
            "says why with escape sequences for the terminal",
            Within::NoTime,
            "\\u{1b}[2J",
            always!(|request, stream| {
                let body = br#"{"errors":[{"code":"DENIED","message":"\u001b[2J\u001b]0;owned\u0007\n\nstep7: done"}]}"#;
                answer(request, stream, "403 Forbidden", body)
            }),
        ),
        case("answers with a status that nobody knows", Within::NoTime, "999", says!("999 What")),
        case("answers “304 Not Modified”", Within::NoTime, "304", says!("304 Not Modified")),
    ]
}

fn redirects(case: Make) -> Vec<Case> {
    vec![
        case(
            "leads round and round",
            Within::NoTime,
            "leads round and round",
            says!("302 Found\r\nLocation: /again"),
        ),
        case(
            "leads to another machine without TLS",
            Within::NoTime,
            "is not https",
            says!("302 Found\r\nLocation: http://192.0.2.1/v2/"),
        ),
        case(
            "leads to a file of the caller's",
            Within::NoTime,
            "is not https",
            says!("302 Found\r\nLocation: file:///etc/passwd"),
        ),
        case(
            "leads to a place that is none",
            Within::NoTime,
            "leads to",
            says!("302 Found\r\nLocation: http://"),
        ),
        Case {
            refused: None,
            has_login: true,
            ..case(
                "leads to another server for its layers: the login is not for that",
                Within::NoTime,
                "",
                || {
                    let image = small();
                    let stock = Liar::start({
                        let image = image.clone();
                        move |request, stream| honest(&image, request, stream)
                    })?;
                    let other = stock.address.clone();
                    let door = Liar::start(move |request, stream| {
                        match request.header("authorization") {
                            "" => answer(
                                request,
                                stream,
                                "401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"",
                                b"",
                            ),
                            _ if request.path.contains("/blobs/") => {
                                let head = format!(
                                    "307 Elsewhere\r\nLocation: http://{other}{}",
                                    request.path
                                );
                                answer(request, stream, &head, b"")
                            }
                            _ => honest(&image, request, stream),
                        }
                    })?;
                    Ok(Registry::of(&door).then(move || {
                        let log = stock.log();
                        let clean = log.len() >= 2 && log.iter().all(|line| line.ends_with("[]"));
                        require(clean, "pull", "requests without a login", log.join("; "))
                    }))
                },
            )
        },
    ]
}

fn nonsense(case: Make) -> Vec<Case> {
    vec![
        case(
            "speaks SSH",
            Within::NoTime,
            "cannot get",
            always!(|_, stream| {
                write!(stream, "SSH-2.0-OpenSSH_9.2\r\n")?;
                Err(std::io::ErrorKind::ConnectionReset.into())
            }),
        ),
        case(
            "shows a web page in place of a manifest",
            Within::NoTime,
            "a web page",
            always!(|request, stream| {
                answer(request, stream, "200 OK\r\nContent-Type: text/html", b"<!doctype html>")
            }),
        ),
        case(
            "has a manifest of no bytes",
            Within::NoTime,
            "the manifest is wrong",
            always!(|request, stream| {
                answer(request, stream, &format!("200 OK\r\nContent-Type: {MANIFEST}"), b"")
            }),
        ),
        case(
            "says a digest that its manifest does not have",
            Within::NoTime,
            "where its header says",
            always!(|request, stream| {
                let head = format!(
                    "200 OK\r\nContent-Type: {MANIFEST}\r\nDocker-Content-Digest: {}",
                    digest(b"lie")
                );
                answer(request, stream, &head, &small().document())
            }),
        ),
        case(
            "compresses its manifest, as nobody has asked for",
            Within::NoTime,
            "compressed",
            always!(|request, stream| {
                let body = crate::checks::images::archive::gzip(&small().document());
                answer(
                    request,
                    stream,
                    &format!("200 OK\r\nContent-Type: {MANIFEST}\r\nContent-Encoding: gzip"),
                    &body,
                )
            }),
        ),
    ]
}
