//! HTTP to servers that are not to be trusted.
//!
//! [`Transport::send`] sends a request: it tries again what may pass, follows redirects without taking secrets along, and
//! waits for nothing without end. What comes is read as a [`Document`], in memory and bounded, or as a stream that
//! survives broken connections, [`Resumed`]. An error ([`Failure`]) is a line for a person. HTTPS_PROXY and its like
//! count, but not for a server on this machine.

mod base;
mod body;
pub mod challenge;
mod document;
mod failure;
mod refusal;
mod resumed;
mod retry;

use std::mem::ManuallyDrop;
use std::net::IpAddr;
use std::sync::Arc;
use std::thread::sleep;
use std::time::SystemTime;

use reqwest::blocking::{self, Client};
use reqwest::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION,
};
use reqwest::{Method, StatusCode, Url, redirect};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use shared::{Error, shown};

pub use base::BaseUrl;
pub use body::{Body, Break};
pub use document::Document;
pub use failure::Failure;
pub use refusal::{is_web_page, media_type, refusal};
pub use resumed::Resumed;
use retry::{Attempts, retry_after};
pub use retry::{Patience, is_busy, may_pass};

const REDIRECTS: usize = 10;
/// Attempts while the server cannot be reached. It may not be there at all.
const CONNECTIONS: u32 = 4;
/// Attempts while it answers that it is busy or broken.
const ANSWERS: u32 = 10;

/// What is told while a request takes longer than it should.
pub type Note = Box<dyn Fn(&str) + Send + Sync>;

/// Sends requests to one server, and to those that it leads to. Threads may share it.
pub struct Transport {
    /// Dropped, it would wait for its thread, which a hostile server may keep busy.
    client: ManuallyDrop<Client>,
    pub patience: Patience,
    pub note: Note,
    /// Whether plain HTTP may leave this machine.
    plain_http: bool,
    /// Whether the registry is on this machine.
    is_local: bool,
}

/// A request, to be sent once or several times.
pub struct Request {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Option<String>,
    /// It is to find out whether the server speaks HTTP: what does not work is not tried again.
    pub is_trial: bool,
}

/// A response, of which the body is still to be read.
pub struct Response {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Body,
    /// Who gave it.
    pub host: String,
    /// Whether a redirect has led to another server than the one that was asked.
    pub was_led_away: bool,
}

impl Request {
    /// A GET.
    pub fn get(url: Url) -> Request {
        Request { method: Method::GET, url, headers: HeaderMap::new(), body: None, is_trial: false }
    }

    /// A POST of a form with these fields.
    pub fn form(url: Url, fields: &[(&str, &str)]) -> Request {
        // A form is written as a query is.
        let mut form = url.clone();
        form.query_pairs_mut().clear().extend_pairs(fields);
        let mut request = Request::get(url);
        request.method = Method::POST;
        request.body = form.query().map(str::to_string);
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers.insert(CONTENT_TYPE, kind);
        request
    }
}

impl Response {
    /// How many bytes the body is said to have.
    pub fn length(&self) -> Option<u64> {
        self.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
    }
}

impl Transport {
    /// For the server at `base`. `plain_http` lets plain HTTP leave this machine; `note` hears why it takes long.
    ///
    /// # Errors
    ///
    /// What the environment says of proxies can't be understood.
    pub fn new(
        base: &Url,
        plain_http: bool,
        patience: Patience,
        note: Note,
    ) -> Result<Transport, Error> {
        let mut client = Client::builder()
            .user_agent(concat!("slipway/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .connect_timeout(patience.connect)
            .timeout(patience.silence)
            .tls_backend_preconfigured(tls(&note));
        let is_local = is_loopback(base);
        if is_local {
            // What HTTPS_PROXY says is not meant for this machine.
            client = client.no_proxy();
        }
        let client = client
            .build()
            .map_err(|error| Error::new(format!("cannot set up HTTP: {}", Failure::of(&error))))?;
        let client = ManuallyDrop::new(client);
        Ok(Transport { client, patience, note, plain_http, is_local })
    }

    /// Sends a request and follows redirects. Another server than the first never sees the
    /// Authorization header, and one with a body is not sent on at all.
    ///
    /// # Errors
    ///
    /// There is no response, or redirects lead where they must not. A status of 400 or more is none.
    pub fn send(&self, request: &Request) -> Result<Response, Failure> {
        self.require_safe(&request.url)?;
        let mut url = request.url.clone();
        let mut headers = request.headers.clone();
        if let Some(secret) = headers.get_mut(AUTHORIZATION) {
            secret.set_sensitive(true);
        }
        let mut was_led_away = false;
        for _ in 0..=REDIRECTS {
            let response = self.persist(request, &url, &headers)?;
            let location = response
                .headers()
                .get(LOCATION)
                .filter(|_| response.status().is_redirection() && request.body.is_none());
            let Some(location) = location else {
                return Ok(Response {
                    status: response.status(),
                    headers: response.headers().clone(),
                    body: Body::new(response, &self.patience),
                    host: host(&url),
                    was_led_away,
                });
            };
            let location = String::from_utf8_lossy(location.as_bytes());
            let next = url.join(&location).map_err(|error| {
                Failure::other(format!("{} leads to {}: {error}", host(&url), shown(&location)))
            })?;
            if url.scheme() == "https" && next.scheme() != "https" {
                let (from, to) = (host(&url), host(&next));
                return Err(Failure::other(format!(
                    "{from} leads to {to}, where others may listen"
                )));
            }
            self.require_safe(&next)?;
            // Who was led away once stays a stranger, even if the way leads back.
            was_led_away |= next.origin() != request.url.origin();
            if was_led_away {
                headers.remove(AUTHORIZATION);
            }
            url = next;
        }
        Err(Failure::other(format!("{} leads round and round", host(&request.url))))
    }

    /// Plain HTTP is for this machine, or for who asked for it. And this machine is for its own
    /// registries: what listens here may trust whoever can reach it.
    ///
    /// # Errors
    ///
    /// The URL is one that no request may go to.
    pub fn require_safe(&self, url: &Url) -> Result<(), Failure> {
        if is_loopback(url) && !self.is_local {
            let cause = "is this machine, where no registry elsewhere may lead us";
            return Err(Failure::other(format!("{} {cause}", host(url))));
        }
        match url.scheme() {
            "https" => Ok(()),
            "http" if self.plain_http || is_loopback(url) => Ok(()),
            _ => Err(Failure::other(format!("{} is not https (see --plain-http)", host(url)))),
        }
    }

    /// Sends a request until there is an answer that will not pass.
    fn persist(
        &self,
        request: &Request,
        url: &Url,
        headers: &HeaderMap,
    ) -> Result<blocking::Response, Failure> {
        let mut attempts = Attempts::new(&self.patience);
        loop {
            let mut builder = self.client.request(request.method.clone(), url.clone());
            builder = builder.headers(headers.clone());
            if let Some(body) = &request.body {
                builder = builder.body(body.clone());
            }
            let result = builder.send().map_err(|error| Failure::of(&error).at(url));
            let (trouble, pause) = match &result {
                Ok(response) if may_pass(response.status()) => {
                    let asked = retry_after(response.headers(), SystemTime::now());
                    let trouble = format!("{} answers {}", host(url), response.status());
                    (trouble, attempts.pause(ANSWERS, asked))
                }
                Err(failure) if failure.may_pass() && !request.is_trial => {
                    (failure.to_string(), attempts.pause(CONNECTIONS, None))
                }
                _ => return result,
            };
            let Some(pause) = pause else { return result };
            (self.note)(&format!("{trouble}; again in {} s", pause.as_secs_f32().ceil()));
            sleep(pause);
        }
    }
}

/// TLS with the certificate authorities of the system, or of SSL_CERT_FILE and SSL_CERT_DIR.
fn tls(note: &Note) -> ClientConfig {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        // Plain HTTP works all the same.
        let cause = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
        note(&format!("found no certificates of authorities{cause}"));
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring knows them")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// Whether a URL names this machine itself: what is sent there cannot be overheard.
pub fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    if let Ok(address) = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        let address = address.to_canonical();
        // Linux takes 0.0.0.0 for itself.
        return address.is_loopback() || address.is_unspecified();
    }
    // RFC 6761, 6.3.
    let host = host.trim_end_matches('.');
    host == "localhost" || host.ends_with(".localhost")
}

/// The part of a URL to show: what comes after it may hold secrets.
pub fn host(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_this_machine_alone() {
        let is_loopback = |host| is_loopback(&Url::parse(&format!("http://{host}/x")).unwrap());
        for host in ["localhost", "LocalHost:1", "127.0.0.1", "127.9.9.9:80", "[::1]", "[::1]:80"] {
            assert!(is_loopback(host), "{host}");
        }
        // As it can be written, too.
        for host in
            ["localhost.", "a.localhost", "0.0.0.0:5", "[::]", "[::ffff:127.0.0.1]", "127.1"]
        {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["docker.io", "128.0.0.1", "[::2]:80", "localhost.org", "127.0.0.1.org", "x"] {
            assert!(!is_loopback(host), "{host}");
        }
        for host in ["[::ffff:8.8.8.8]", "notlocalhost", "1.0.0.0"] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn this_machine_is_for_its_own_registries() {
        let is_safe = |base: &str, plain_http, url: &str| {
            let base = Url::parse(base).unwrap();
            let note = Box::new(|_: &str| ());
            let transport = Transport::new(&base, plain_http, Patience::default(), note).unwrap();
            transport.require_safe(&Url::parse(url).unwrap()).is_ok()
        };
        for base in ["https://registry.example/", "https://10.0.0.1:5000/"] {
            for url in ["http://127.0.0.1:8080/token", "https://localhost/", "http://[::1]:1/"] {
                assert!(!is_safe(base, false, url), "{base} {url}");
                assert!(!is_safe(base, true, url), "{base} {url}");
                assert!(is_safe("http://127.0.0.1:5000/", false, url), "{url}");
            }
            assert!(is_safe(base, false, "https://auth.example/token"));
            assert!(!is_safe(base, false, "http://auth.example/token"));
            assert!(is_safe(base, true, "http://auth.example/token"));
        }
    }
}
