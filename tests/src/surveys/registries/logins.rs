//! Logins, tokens and certificates.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use super::answers::small;
use super::liar::{Liar, Request, answer, honest};
use super::{Case, Registry, Within, login};
use crate::checks::failure::{Failure, require};
use crate::checks::images::home::PLACE;
use crate::checks::images::tokens;

/// A registry that wants a token from `realm`, and is honest with who has one; with more parameters
/// of its challenge.
fn wants_token(realm: &str, more: &str) -> io::Result<Liar> {
    let challenge = format!("401 Unauthorized\r\nWWW-Authenticate: Bearer realm=\"{realm}\"{more}");
    Liar::start(move |request, stream| match request.header("authorization") {
        shown if shown.starts_with("Bearer ") => honest(&small(), request, stream),
        _ => answer(request, stream, &challenge, b""),
    })
}

/// The same with a token server that does this.
fn with_tokens(
    lie: fn(&Request, &mut std::net::TcpStream) -> io::Result<()>,
) -> Result<Registry, Failure> {
    let tokens = Liar::start(lie)?;
    Ok(Registry::of(&wants_token(&format!("http://{}/token", tokens.address), "")?))
}

/// A registry that refuses everybody like this.
fn refuses(head: &'static str) -> Result<Registry, Failure> {
    Ok(Registry::of(&Liar::start(move |request, stream| answer(request, stream, head, b""))?))
}

pub fn cases() -> Vec<Case> {
    [tokens(), hidden(), others(), certificates()].into_iter().flatten().collect()
}

fn case(
    what: &'static str,
    refused: Option<&'static str>,
    start: fn() -> Result<Registry, Failure>,
) -> Case {
    Case { what, within: Within::NoTime, refused, has_login: false, start }
}

fn tokens() -> Vec<Case> {
    vec![
        case(
            "its token server sends a token of 100 MB",
            Some("it sends more than 1048576 bytes"),
            || {
                with_tokens(|_, stream| {
                    use std::io::Write;
                    write!(
                        stream,
                        "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n{{\"token\":\""
                    )?;
                    super::liar::endless(stream, &[b'x'; 65_536], std::time::Duration::ZERO)
                })
            },
        ),
        case(
            "its token has a new line and a header in it",
            Some("the token has characters it must not"),
            || {
                with_tokens(|request, stream| {
                    answer(request, stream, "200 OK", br#"{"token":"a\r\nX-Evil: 1"}"#)
                })
            },
        ),
        case("its token server has no token", Some("its answer has none"), || {
            with_tokens(|request, stream| answer(request, stream, "200 OK", b"{}"))
        }),
        case("its token server shows a web page", Some("gives no token"), || {
            with_tokens(|request, stream| answer(request, stream, "200 OK", b"<!doctype html>"))
        }),
        case("it refuses each token that its token server gives", Some("wants a login"), || {
            let tokens = Liar::start(|request, stream| {
                answer(request, stream, "200 OK", br#"{"token":"x"}"#)
            })?;
            let realm = format!("http://{}/token", tokens.address);
            let challenge =
                format!("401 Unauthorized\r\nWWW-Authenticate: Bearer realm=\"{realm}\"");
            let liar =
                Liar::start(move |request, stream| answer(request, stream, &challenge, b""))?;
            let seen = liar.clone();
            Ok(Registry::of(&liar).then(move || {
                let count = seen.log().len();
                require(count <= 6, "pull", "at most six requests", count)
            }))
        }),
        Case {
            has_login: true,
            ..case("its token server leads to another, which gets no login", None, || {
                let stranger = Liar::start(|request, stream| {
                    answer(request, stream, "200 OK", br#"{"token":"x"}"#)
                })?;
                let other = format!("302 Found\r\nLocation: http://{}/token", stranger.address);
                let tokens =
                    Liar::start(move |request, stream| answer(request, stream, &other, b""))?;
                let liar = wants_token(&format!("http://{}/token", tokens.address), "")?;
                Ok(Registry::of(&liar).then(move || {
                    let (first, second) = (tokens.log().join("; "), stranger.log().join("; "));
                    require(
                        first.contains(&login()),
                        "pull",
                        "the login for the token server",
                        first,
                    )?;
                    let clean = second.contains("GET /token") && !second.contains("Basic");
                    require(clean, "pull", "no login for the other", second)
                }))
            })
        },
        case("it wants a token from another machine without TLS", Some("is not https"), || {
            Ok(Registry::of(&wants_token("http://192.0.2.1/token", "")?))
        }),
        case("it wants a token from a file of the caller's", Some("is not https"), || {
            Ok(Registry::of(&wants_token("file:///etc/passwd", "")?))
        }),
        case("it wants a token from a place that is none", Some("names the token server"), || {
            Ok(Registry::of(&wants_token("no place", "")?))
        }),
        case("its challenge has parameters and header lines in its parameters", None, || {
            let tokens = Liar::start(|request, stream| {
                answer(request, stream, "200 OK", br#"{"token":"x"}"#)
            })?;
            let realm = format!("http://{}/token", tokens.address);
            let more = ",service=\"a&scope=repository:secret:push HTTP/1.1\\r\\nX-Evil: 1\",scope=\"b#c%0d%0aX-Evil: 2\"";
            let liar = wants_token(&realm, more)?;
            Ok(Registry::of(&liar).then(move || {
                let log = tokens.log();
                let line = log.first().cloned().unwrap_or_default();
                let evil = ["&scope=repository:secret", "X-Evil: ", "#", "%0d%0aX"]
                    .iter()
                    .any(|part| line.contains(part));
                require(
                    log.len() == 1 && !evil,
                    "pull",
                    "one request, with all of it escaped",
                    log.join("; "),
                )
            }))
        }),
        case("it challenges 1,000 times in one header", Some("wants a login"), || {
            let challenges = "Negotiate a=b, ".repeat(1000);
            let head = format!("401 Unauthorized\r\nWWW-Authenticate: {challenges}");
            Ok(Registry::of(&Liar::start(move |request, stream| {
                answer(request, stream, &head, b"")
            })?))
        }),
    ]
}

/// A registry that answers `hidden` to strangers, and says only at /v2/ what it wants. It must be
/// shown this in the end.
fn hides(
    hidden: &'static str,
    challenge: impl Fn() -> io::Result<String>,
    shown: &'static str,
) -> Result<Registry, Failure> {
    let base = format!("401 Unauthorized\r\nWWW-Authenticate: {}", challenge()?);
    let liar = Liar::start(move |request, stream| match request.header("authorization") {
        seen if seen.starts_with(shown) => honest(&small(), request, stream),
        _ if request.path == "/v2/" => answer(request, stream, &base, b""),
        _ => answer(request, stream, hidden, b""),
    })?;
    let seen = liar.clone();
    Ok(Registry::of(&liar).then(move || {
        let log = seen.log();
        let asked = log.iter().filter(|line| line.starts_with("GET /v2/ ")).count();
        require(asked == 1, "pull", "/v2/ is asked once, by a stranger", log.join("; "))
    }))
}

/// A challenge with a token server that must be asked for this repository.
fn for_a_token() -> io::Result<String> {
    let tokens = Liar::start(|request, stream| {
        if request.path.contains("scope=repository%3Atest%3Apull") {
            answer(request, stream, "200 OK", br#"{"token":"x"}"#)
        } else {
            answer(request, stream, "403 Forbidden", b"")
        }
    })?;
    Ok(format!("Bearer realm=\"http://{}/token\",service=\"für alle\"", tokens.address))
}

fn hidden() -> Vec<Case> {
    let with_login = |case: Case| Case { has_login: true, ..case };
    vec![
        with_login(case(
            "it says 404 to strangers, and at `/v2/` that it wants a login",
            None,
            || hides("404 Not Found", || Ok("Basic realm=x".into()), "Basic "),
        )),
        case("it says 403 to strangers, and at `/v2/` where a token is", None, || {
            hides("403 Forbidden", for_a_token, "Bearer x")
        }),
        case("it says 401 and no more, and at `/v2/` where a token is", None, || {
            hides("401 Unauthorized", for_a_token, "Bearer x")
        }),
        case("its challenge names no scope, and has a letter outside ASCII", None, || {
            let challenge = for_a_token()?;
            let head = format!("401 Unauthorized\r\nWWW-Authenticate: {challenge}");
            let liar = Liar::start(move |request, stream| match request.header("authorization") {
                "Bearer x" => honest(&small(), request, stream),
                _ => answer(request, stream, &head, b""),
            })?;
            Ok(Registry::of(&liar))
        }),
    ]
}

fn others() -> Vec<Case> {
    vec![
        Case {
            has_login: true,
            ..case(
                "it refuses the login that it gets",
                Some("refuses the user name or password"),
                || refuses("401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\""),
            )
        },
        case("it wants a login, and does not say how", Some("of no kind that we know"), || {
            refuses("401 Unauthorized")
        }),
    ]
}

/// `openssl s_server`, killed when the pull is over, with a certificate.
fn tls(certificate: &Path, key: &Path) -> Result<(Mutex<Child>, String), Failure> {
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let mut command = Command::new("/usr/bin/openssl");
    command
        .args(["s_server", "-www", "-accept", &address, "-cert"])
        .arg(certificate)
        .arg("-key")
        .arg(key);
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let output = child.stdout.take().expect("it is a pipe");
    let mut lines = BufReader::new(output).lines().map_while(Result::ok);
    let accepts = lines.any(|line| line.starts_with("ACCEPT"));
    require(accepts, "openssl s_server", "ACCEPT", "no such line")?;
    Ok((Mutex::new(child), address))
}

/// A registry with TLS: who vouches for it is trusted or not, and its certificate is for 127.0.0.1.
fn with_tls(name: &str, host: &str, is_trusted: bool) -> Result<Registry, Failure> {
    let place = Path::new(PLACE).join(name);
    fs::create_dir_all(&place)?;
    let (authority, certificate, key) = tokens::certificates(&place)?;
    let (server, address) = tls(&certificate, &key)?;
    let port = address.rsplit(':').next().unwrap_or_default();
    Ok(Registry {
        name: format!("{host}:{port}/test"),
        trusted: is_trusted.then(|| authority.display().to_string()),
        then: Box::new(move || {
            let mut server = server.lock().expect("nobody panics");
            server.kill()?;
            server.wait()?;
            Ok(fs::remove_dir_all(&place)?)
        }),
    })
}

fn certificates() -> Vec<Case> {
    vec![
        case("its certificate is of an authority that nobody knows", Some("UnknownIssuer"), || {
            with_tls("tls-unknown", "127.0.0.1", false)
        }),
        case("its certificate is another host's", Some("certificate"), || {
            with_tls("tls-other", "localhost", true)
        }),
        Case {
            within: Within::AMinute,
            ..case(
                "its certificate is right, and it never answers a HEAD",
                Some("connection closed"),
                || with_tls("tls-right", "127.0.0.1", true),
            )
        },
    ]
}
