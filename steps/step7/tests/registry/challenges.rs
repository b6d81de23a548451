//! Where a registry says what it wants to see, and how.

use std::io::Write;

use documents::Descriptor;

use super::server::{MANIFEST, Server, answer, error};

const BEARER: &str = r#"Bearer realm="http://HOST/token",service=s"#;
const BASIC: &str = r#"Basic realm="x""#;

/// A registry that answers `hidden` to those it does not know, and says at /v2/ what it wants.
fn with_base(hidden: &'static str, base: &'static str) -> Server {
    Server::start(move |request, stream| {
        if request.path.starts_with("/token") {
            assert_eq!(request.header("authorization"), "Basic bWU6c2VjcmV0");
            return answer(stream, "200 OK", "", br#"{"token":"T1"}"#);
        }
        if request.path == "/v2/" {
            assert_eq!(request.header("authorization"), "");
            let base = base.replace("HOST", request.header("host"));
            return answer(stream, "401 Unauthorized", &format!("{base}\r\n"), b"");
        }
        match request.header("authorization") {
            "Bearer T1" | "Basic bWU6c2VjcmV0" => {
                answer(stream, "200 OK", "", if request.method == "HEAD" { b"" } else { b"{}" })
            }
            _ => answer(stream, hidden, "", b""),
        }
    })
}

const ME: Option<(&str, &str)> = Some(("me", "secret"));

#[test]
fn a_challenge_may_stand_at_the_base_only() {
    for hidden in ["404 Not Found", "403 Forbidden", "401 Unauthorized"] {
        let bearer = r#"WWW-Authenticate: Bearer realm="http://HOST/token",service=s"#;
        let server = with_base(hidden, bearer);
        let registry = server.registry(ME);
        registry.manifest("v1").expect(hidden);
        registry.manifest("v2").expect(hidden);
        let log = [
            "GET /v2/a/b/manifests/v1",
            "GET /v2/",
            "GET /token?service=s&scope=repository%3Aa%2Fb%3Apull",
            "GET /v2/a/b/manifests/v1",
            "GET /v2/a/b/manifests/v2",
        ];
        assert_eq!(server.log(), log, "{hidden}");
        // A login that was given is sent, a question for the digest is one, too, and so is a blob.
        let server = with_base(hidden, "WWW-Authenticate: Basic realm=x");
        server.registry(ME).manifest("v1").expect(hidden);
        assert_eq!(server.log()[1..], ["GET /v2/", "GET /v2/a/b/manifests/v1"]);
        server.registry(ME).head("v1").expect(hidden);
        assert_eq!(server.log()[4..], ["GET /v2/", "HEAD /v2/a/b/manifests/v1"]);
        server.registry(ME).blob(&Descriptor::of(b"{}", ""), 0).expect(hidden);
        assert_eq!(server.log().len(), 9);
    }
}

#[test]
fn a_challenge_of_a_kind_that_we_know_may_stand_at_the_base() {
    let server = with_base(
        "401 Unauthorized\r\nWWW-Authenticate: Negotiate",
        "WWW-Authenticate: Basic realm=x",
    );
    server.registry(ME).manifest("v1").unwrap();
    assert_eq!(server.log().len(), 3);
}

#[test]
fn an_error_may_be_a_challenge() {
    for hidden in ["404 Not Found", "403 Forbidden"] {
        let server = Server::start(move |request, stream| match request.header("authorization") {
            "" => answer(stream, hidden, &format!("WWW-Authenticate: {BASIC}\r\n"), b""),
            _ => answer(stream, "200 OK", "", MANIFEST.as_bytes()),
        });
        server.registry(ME).manifest("v1").unwrap();
        assert_eq!(server.log().len(), 2);
    }
}

#[test]
fn the_base_is_asked_once() {
    for base in ["200 OK", "404 Not Found", "500 Internal Server Error", ""] {
        for (hidden, part) in [
            ("404 Not Found", "there is no such image"),
            ("403 Forbidden", "answers 403"),
            ("401 Unauthorized", "of no kind that we know"),
            ("401 Unauthorized\r\nWWW-Authenticate: Negotiate", "of no kind that we know"),
        ] {
            let mut server = Server::start(move |request, stream| match request.path.as_str() {
                "/v2/" if base.is_empty() => Ok(()),
                "/v2/" => answer(stream, base, "", b""),
                _ => answer(stream, hidden, "", b""),
            });
            server.patience.total = std::time::Duration::ZERO;
            let registry = server.registry(ME);
            for _ in 0..2 {
                error(registry.manifest("v1").map_err(|error| error.to_string()), part);
            }
            let log = server.log();
            assert_eq!(log.iter().filter(|line| line.ends_with(" /v2/")).count(), 1, "{log:?}");
        }
    }
}

#[test]
fn who_is_known_does_not_ask_the_base() {
    let server = Server::start(|request, stream| match request.header("authorization") {
        "" => answer(stream, "401 No", &format!("WWW-Authenticate: {BASIC}\r\n"), b""),
        _ => answer(stream, "404 Not Found", "", b""),
    });
    let result = server.registry(ME).manifest("v1");
    error(result.map_err(|error| error.to_string()), "there is no such image");
    assert_eq!(server.log().len(), 2);
}

#[test]
fn without_a_login_the_base_says_what_is_missing() {
    let server = with_base("404 Not Found", "WWW-Authenticate: Basic realm=x");
    error(server.manifest(), "wants a login, or has no such repository (docker login");
}

#[test]
fn another_servers_challenge_at_the_base_is_none() {
    let other = Server::start(|_, stream| {
        answer(stream, "401 Unauthorized", &format!("WWW-Authenticate: {BASIC}\r\n"), b"")
    });
    let away = format!("Location: http://{}/v2/\r\n", other.address);
    let server = Server::start(move |request, stream| match request.path.as_str() {
        "/v2/" => answer(stream, "302 Found", &away, b""),
        _ => answer(stream, "404 Not Found", "", b""),
    });
    let result = server.registry(ME).manifest("v1");
    error(result.map_err(|error| error.to_string()), "there is no such image");
    assert_eq!(other.log(), ["GET /v2/"]);
}

/// The token server is asked for what, if this is the challenge?
fn asked(challenge: &'static [u8]) -> String {
    let server = Server::start(move |request, stream| {
        if request.path.starts_with('/') && !request.path.starts_with("/v2/") {
            return answer(stream, "200 OK", "", br#"{"token":"T1"}"#);
        }
        if request.header("authorization") == "Bearer T1" {
            return answer(stream, "200 OK", "", MANIFEST.as_bytes());
        }
        let host = request.header("host");
        write!(stream, "HTTP/1.1 401 No\r\nContent-Length: 0\r\nWWW-Authenticate: ")?;
        let realm = BEARER.replace("HOST", host).replace("/token\",service=s", "");
        stream.write_all(realm.as_bytes())?;
        stream.write_all(challenge)?;
        stream.write_all(b"\r\n\r\n")
    });
    server.registry(ME).manifest("v1").unwrap();
    server.log()[1].clone()
}

#[test]
fn a_scope_that_is_not_said_is_the_repositorys() {
    let own = "GET /token?scope=repository%3Aa%2Fb%3Apull";
    for none in
        [&b"/token\""[..], b"/token\",scope=\"\"", b"/token\",scope=\" \"", b"/token\" scope"]
    {
        assert_eq!(asked(none), own);
    }
    let said = asked(b"/token\",scope=\" repository:x:pull  registry:y:* \"");
    assert_eq!(said, "GET /token?scope=repository%3Ax%3Apull&scope=registry%3Ay%3A*");
    // What stands at the base is not said of this repository.
    let server = with_base(
        "404 Not Found",
        r#"WWW-Authenticate: Bearer realm="http://HOST/token",scope="registry:catalog:*""#,
    );
    server.registry(ME).manifest("v1").unwrap();
    assert_eq!(server.log()[2], own);
}

#[test]
fn a_challenge_may_have_letters_outside_ascii() {
    // In UTF-8, and in what was there before it.
    for realm in ["Zugang für alle".as_bytes(), b"Zugang f\xfcr alle"] {
        let server = Server::start(move |request, stream| match request.header("authorization") {
            "" => {
                write!(stream, "HTTP/1.1 401 No\r\nContent-Length: 0\r\n")?;
                stream.write_all(
                    &[b"WWW-Authenticate: Basic realm=\"", realm, b"\"\r\n\r\n"].concat(),
                )
            }
            _ => answer(stream, "200 OK", "", MANIFEST.as_bytes()),
        });
        server.registry(ME).manifest("v1").unwrap();
    }
    let scope = "scope=repository%3Aa%2Fb%3Apull";
    assert_eq!(asked("/tökén\"".as_bytes()), format!("GET /t%C3%B6k%C3%A9n?{scope}"));
    assert_eq!(
        asked("/token\",service=\"für alle\"".as_bytes()),
        format!("GET /token?service=f%C3%BCr+alle&{scope}")
    );
    asked(b"/token\",service=\"f\xfcr alle\"");
}
