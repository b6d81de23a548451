//! A token server (distribution's "Token Authentication Specification"), and the certificates that
//! it and TLS take.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::json;

use super::super::engine::Outcome;
use super::super::failure::Failure;
use super::home::PLACE;
use super::registry::{PASSWORD, USER};

/// As the registry's configuration has them.
pub const SERVICE: &str = "the checks' registry";
pub const ISSUER: &str = "the checks";

/// The repository that everybody gets a token for, and the one that only [`USER`] does.
pub const PUBLIC: &str = "tokens/public";
pub const SECRET: &str = "tokens/secret";

/// A server that gives tokens, as long as the process runs.
pub struct TokenServer {
    address: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
}

impl TokenServer {
    /// Signs a token for each repository, and starts to give them.
    pub fn start(certificate: &Path, key: &Path) -> Result<TokenServer, Failure> {
        let tokens = [token(certificate, key, PUBLIC)?, token(certificate, key, SECRET)?];
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let log: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = log.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let _ = serve(stream, &tokens, &kept);
            }
        });
        Ok(TokenServer { address, log })
    }

    /// Where the registry sends those who have no token.
    pub fn realm(&self) -> String {
        format!("http://{}/token", self.address)
    }

    /// The requests so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Answers one request.
fn serve(mut stream: TcpStream, tokens: &[String; 2], log: &Mutex<Vec<String>>) -> io::Result<()> {
    let lines = BufReader::new(stream.try_clone()?).lines().map_while(Result::ok);
    let lines: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let request = lines.first().cloned().unwrap_or_default();
    log.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
    let login = format!("Basic {}", BASE64_STANDARD.encode(format!("{USER}:{PASSWORD}")));
    let knows = lines
        .iter()
        .filter_map(|line| line.split_once(": "))
        .any(|(name, value)| name.eq_ignore_ascii_case("authorization") && value == login);
    // Clients need not escape these two.
    let scope = request.to_ascii_lowercase().replace("%3a", ":").replace("%2f", "/");
    let is_for = |name: &str| scope.contains(&format!("scope=repository:{name}:pull"));
    let token = match () {
        () if is_for(PUBLIC) => Some(&tokens[0]),
        () if is_for(SECRET) && knows => Some(&tokens[1]),
        () => None,
    };
    let (status, body) = match token {
        Some(token) => ("200 OK", json!({ "token": token }).to_string()),
        None => ("401 Unauthorized", json!({ "details": "no" }).to_string()),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A JSON web token that lets one pull from a repository (RFC 7515 and 7519).
fn token(certificate: &Path, key: &Path, repository: &str) -> Result<String, Failure> {
    let pem = fs::read_to_string(certificate)?;
    let der: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let header = json!({ "typ": "JWT", "alg": "ES256", "x5c": [der] });
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let claims = json!({
        "iss": ISSUER, "aud": SERVICE, "sub": "", "jti": repository,
        "nbf": now - 3600, "iat": now - 3600, "exp": now + 24 * 3600,
        "access": [{ "type": "repository", "name": repository, "actions": ["pull"] }],
    });
    let encode = |text: String| BASE64_URL_SAFE_NO_PAD.encode(text);
    let text = encode(header.to_string()) + "." + &encode(claims.to_string());
    let file = Path::new(PLACE).join("signature");
    let mut openssl = Command::new("/usr/bin/openssl");
    openssl.args(["dgst", "-sha256", "-sign"]).arg(key).arg("-out").arg(&file);
    Outcome::of(openssl, text.as_bytes())?.ends_with(0)?;
    let signature = BASE64_URL_SAFE_NO_PAD.encode(plain_signature(&fs::read(&file)?));
    Ok(text + "." + &signature)
}

/// The two numbers of a signature, 32 bytes each, from openssl's DER: a sequence of two integers,
/// which have a leading zero where they would be negative, and no other.
fn plain_signature(der: &[u8]) -> Vec<u8> {
    let mut numbers = Vec::new();
    let mut rest = &der[2..];
    while let [_, length, more @ ..] = rest {
        let (number, after) = more.split_at(*length as usize);
        let number = &number[number.len().saturating_sub(32)..];
        numbers.extend(vec![0; 32 - number.len()]);
        numbers.extend(number);
        rest = after;
    }
    numbers
}

/// What openssl is told about the two certificates.
const CONFIG: &str = "[req]\ndistinguished_name = name\nprompt = no\n[name]\nCN = checks\n\
    [authority]\nbasicConstraints = critical, CA:TRUE\n\
    [server]\nbasicConstraints = critical, CA:FALSE\nsubjectAltName = IP:127.0.0.1\n";

/// Makes an authority, and a certificate and a key that it vouches for.
pub fn certificates(place: &Path) -> Result<(PathBuf, PathBuf, PathBuf), Failure> {
    let config = place.join("openssl.conf");
    fs::write(&config, CONFIG)?;
    let file = |name: &str| place.join(name).display().to_string();
    let make = |name: &str, more: &[&str]| {
        let mut openssl = Command::new("/usr/bin/openssl");
        openssl.args(["req", "-x509", "-nodes", "-days", "2", "-newkey", "ec"]);
        openssl.args(["-pkeyopt", "ec_paramgen_curve:prime256v1", "-extensions", name]);
        openssl.args(["-config", &file("openssl.conf"), "-subj", &format!("/CN={name}")]);
        openssl.args(["-keyout", &file(&format!("{name}.key"))]);
        openssl.args(["-out", &file(&format!("{name}.crt"))]).args(more);
        Outcome::of(openssl, b"")?.ends_with(0).map(drop)
    };
    make("authority", &[])?;
    let authority = ["-CA", &file("authority.crt"), "-CAkey", &file("authority.key")];
    make("server", &authority)?;
    let [authority, certificate, key] =
        ["authority.crt", "server.crt", "server.key"].map(|name| place.join(name));
    Ok((authority, certificate, key))
}
