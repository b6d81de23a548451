//! Tokens and logins: who sees them, and who must not.

use std::io::Read;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use documents::Descriptor;
use reference::Digest;

use super::server::{MANIFEST, Request, Server, answer, error};

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
