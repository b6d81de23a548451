//! Bodies that are too long, too short, too slow, or another's.

use std::io::{self, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::answers::small;
use super::liar::{Liar, Request, answer, endless, endless_chunks, honest};
use super::{Case, Registry, Within};
use crate::checks::failure::{Failure, require};
use crate::checks::images::image::MANIFEST;
use crate::checks::images::{Archive, Image};

const SECOND: Duration = Duration::from_secs(1);

/// What is done to who asks for the layer: gets the request, the layer's bytes, and where to write.
trait Lie: Fn(&Request, &[u8], &mut TcpStream) -> io::Result<()> + Send + Sync + 'static {}

impl<T: Fn(&Request, &[u8], &mut TcpStream) -> io::Result<()> + Send + Sync + 'static> Lie for T {}

/// A registry with an image whose layer has 1 MiB, and the layer's name.
fn with_layer(lie: impl Lie) -> Result<(Liar, String), Failure> {
    let text: String = (0..150_000).map(|number| format!("{number:06}\n")).collect();
    let image = Image::of(&[Archive::begin().file("text", &text[..1 << 20]).end()]);
    let name = image.layer(0).to_string();
    let liar = Liar::start(move |request, stream| {
        if request.is_for_layer(&image) {
            lie(request, &image.blobs[0].1, stream)
        } else {
            honest(&image, request, stream)
        }
    })?;
    Ok((liar, name))
}

fn layer(lie: impl Lie) -> Result<Registry, Failure> {
    Ok(Registry::of(&with_layer(lie)?.0))
}

/// The same; the layer must be asked for so many times.
fn layer_in(times: usize, lie: impl Lie) -> Result<Registry, Failure> {
    let (liar, name) = with_layer(lie)?;
    let seen = liar.clone();
    Ok(Registry::of(&liar).then(move || {
        let log = seen.log().join("; ");
        require(log.matches(&name).count() == times, "pull", format!("{times} requests"), log)
    }))
}

/// A registry that does this to who asks for a manifest.
fn manifest(lie: fn(&Request, &mut TcpStream) -> io::Result<()>) -> Result<Registry, Failure> {
    Ok(Registry::of(&Liar::start(lie)?))
}

/// Sends so many bytes from where the client wants to go on, and breaks the connection.
fn cut(request: &Request, bytes: &[u8], stream: &mut TcpStream, most: usize) -> io::Result<()> {
    let start = request.start();
    let status = match start {
        0 => "200 OK".to_string(),
        _ => format!(
            "206 Partial Content\r\nContent-Range: bytes {start}-{}/{}",
            bytes.len() - 1,
            bytes.len()
        ),
    };
    let rest = &bytes[start..];
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", rest.len())?;
    stream.write_all(&rest[..most.min(rest.len())])?;
    Err(io::ErrorKind::ConnectionReset.into())
}

/// A registry that breaks the first connection in the middle of the layer, has all of it for who
/// begins anew, and these header lines for who goes on.
fn broken_once(to_range: &'static str) -> Result<Registry, Failure> {
    let is_first = AtomicBool::new(true);
    layer_in(3, move |request, bytes, stream| match request.start() {
        0 if is_first.swap(false, Ordering::Relaxed) => cut(request, bytes, stream, 65_536),
        0 => answer(request, stream, "200 OK", bytes),
        _ => answer(request, stream, to_range, b""),
    })
}

fn head() -> String {
    format!("200 OK\r\nContent-Type: {MANIFEST}")
}

pub fn cases() -> Vec<Case> {
    let case =
        |what, within, refused, start| Case { what, within, refused, has_login: false, start };
    let mut all = vec![
        case(
            "sends a byte of its manifest each second",
            Within::TwoMinutes,
            Some("too slow"),
            || {
                manifest(|_, stream| {
                    write!(stream, "HTTP/1.1 {}\r\nContent-Length: 600\r\n\r\n", head())?;
                    endless(stream, b" ", SECOND)
                })
            },
        ),
        case("sends a manifest of 100 MB", Within::NoTime, Some("more than 4194304 bytes"), || {
            manifest(|_, stream| {
                write!(stream, "HTTP/1.1 {}\r\nContent-Length: 100000000\r\n\r\n", head())?;
                endless(stream, &[b' '; 65_536], Duration::ZERO)
            })
        }),
        case(
            "sends a manifest in chunks without end",
            Within::NoTime,
            Some("more than 4194304 bytes"),
            || manifest(|_, stream| endless_chunks(stream, &[b' '; 65_536], Duration::ZERO)),
        ),
        case(
            "sends less of its manifest than its Content-Length says",
            Within::NoTime,
            Some("cannot get"),
            || {
                manifest(|_, stream| {
                    write!(stream, "HTTP/1.1 {}\r\nContent-Length: 600\r\n\r\n{{", head())?;
                    Err(io::ErrorKind::ConnectionReset.into())
                })
            },
        ),
        case(
            "sends more of its manifest than its Content-Length says",
            Within::NoTime,
            Some("is wrong: EOF"),
            || {
                manifest(|request, stream| {
                    answer(request, stream, &head(), &small().document()[..100])?;
                    stream.write_all(&small().document()[100..])
                })
            },
        ),
        case("has two Content-Lengths", Within::NoTime, Some("cannot get"), || {
            manifest(|request, stream| {
                answer(
                    request,
                    stream,
                    &format!("{}\r\nContent-Length: 5", head()),
                    &small().document(),
                )
            })
        }),
    ];
    all.extend(layers());
    all
}

fn layers() -> Vec<Case> {
    let case =
        |what, within, refused, start| Case { what, within, refused, has_login: false, start };
    vec![
        case("breaks the connection every 64 KiB of a layer", Within::NoTime, None, || {
            layer(|request, bytes, stream| cut(request, bytes, stream, 65_536))
        }),
        case("breaks it every 100 bytes", Within::NoTime, Some("lost at byte"), || {
            layer(|request, bytes, stream| cut(request, bytes, stream, 100))
        }),
        case(
            "breaks it every 64 KiB, and always begins anew",
            Within::NoTime,
            Some("lost at byte"),
            || {
                layer(|_, bytes, stream| {
                    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", bytes.len())?;
                    stream.write_all(&bytes[..65_536])?;
                    Err(io::ErrorKind::ConnectionReset.into())
                })
            },
        ),
        case(
            "breaks it once, and says to who goes on that there is no such part (416)",
            Within::NoTime,
            None,
            || broken_once("416 Range Not Satisfiable\r\nContent-Range: bytes */1048576"),
        ),
        case(
            "breaks it once, and does not understand who goes on (400)",
            Within::NoTime,
            None,
            || broken_once("400 Bad Request"),
        ),
        case("breaks it once, and forbids to go on (403)", Within::NoTime, None, || {
            broken_once("403 Forbidden")
        }),
        case(
            "goes on with another part than was asked for, and says so",
            Within::NoTime,
            None,
            || broken_once("206 Partial Content\r\nContent-Range: bytes 0-99/1048576"),
        ),
        case(
            "goes on with another part, and says that it is the right one",
            Within::NoTime,
            Some("bytes is not what it should be"),
            || {
                layer(|request, bytes, stream| match request.start() {
                    0 => cut(request, bytes, stream, 65_536),
                    start => {
                        let (last, all) = (bytes.len() - 1, bytes.len());
                        let head = format!(
                            "206 Partial Content\r\nContent-Range: bytes {start}-{last}/{all}"
                        );
                        answer(request, stream, &head, &bytes[..all - start])
                    }
                })
            },
        ),
        case(
            "says that a layer is longer than the manifest does",
            Within::NoTime,
            Some("bytes instead of"),
            || {
                layer(|_, bytes, stream| {
                    write!(
                        stream,
                        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
                        bytes.len() + 1
                    )?;
                    stream.write_all(bytes)
                })
            },
        ),
        case("says that it is shorter", Within::NoTime, Some("bytes instead of"), || {
            layer(|request, bytes, stream| answer(request, stream, "200 OK", &bytes[1..]))
        }),
        case(
            "sends a layer in chunks without end",
            Within::NoTime,
            Some("it sends more than"),
            || layer(|_, _, stream| endless_chunks(stream, &[b' '; 65_536], Duration::ZERO)),
        ),
        case("sends a byte of a layer each second", Within::TwoMinutes, Some("too slow"), || {
            layer(|_, _, stream| endless_chunks(stream, b" ", SECOND))
        }),
        case(
            "stops in the middle of a layer, and keeps the connection",
            Within::TwoMinutes,
            Some("lost at byte"),
            || {
                layer(|request, bytes, stream| {
                    let start = request.start();
                    let _ = cut(request, bytes, stream, if start == 0 { 65_536 } else { 0 });
                    endless(stream, b"", SECOND)
                })
            },
        ),
        case(
            "sends a layer that nobody has compressed as compressed (Content-Encoding)",
            Within::NoTime,
            None,
            || {
                layer(|request, bytes, stream| {
                    answer(request, stream, "200 OK\r\nContent-Encoding: gzip", bytes)
                })
            },
        ),
        case(
            "has a layer with one byte changed",
            Within::NoTime,
            Some("bytes is not what it should be"),
            || {
                layer(|request, bytes, stream| {
                    let mut bytes = bytes.to_vec();
                    bytes[1000] ^= 1;
                    answer(request, stream, "200 OK", &bytes)
                })
            },
        ),
        case(
            "has a layer for who asks first, and then says that it has none",
            Within::NoTime,
            Some("404"),
            || {
                let is_first = AtomicBool::new(true);
                layer(move |request, bytes, stream| {
                    if is_first.swap(false, Ordering::Relaxed) {
                        cut(request, bytes, stream, 65_536)
                    } else {
                        answer(request, stream, "404 Not Found", b"")
                    }
                })
            },
        ),
        case(
            "knows no ranges: after a break it begins anew, and then sends all",
            Within::NoTime,
            None,
            || {
                let is_first = AtomicBool::new(true);
                layer_in(2, move |request, bytes, stream| {
                    if is_first.swap(false, Ordering::Relaxed) {
                        cut(request, bytes, stream, 65_536)
                    } else {
                        answer(request, stream, "200 OK", bytes)
                    }
                })
            },
        ),
    ]
}
