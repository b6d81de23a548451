//! A registry's client: manifests as documents, blobs as streams (OCI distribution specification,
//! "Pull").
//!
//! A registry is not to be trusted: nothing it sends is kept in memory without bounds, none of its
//! silences is waited for without end, and no secret goes to a place that it names, except to its
//! token server.

mod blob;
mod token;

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use documents::{DOCUMENTS, Descriptor, LARGEST_DOCUMENT};
use reference::{Digest, Reference};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_ENCODING, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use shared::{Error, shown};
pub use transport::Patience;
use transport::challenge::{self, Challenge};
use transport::{
    Answer, Break, Failure, Request, Transport, is_loopback, is_web_page, may_pass, media_type,
    refusal,
};

pub use self::blob::Blob;
use self::token::Authority;

/// Attempts at a document whose connection breaks.
const CONNECTIONS: u32 = 3;

/// The header with which a registry names a manifest's digest.
const DIGEST: &str = "docker-content-digest";

/// How to reach a registry.
#[derive(Clone, Debug)]
pub struct Access {
    /// Plain HTTP also to other machines. This one's own registries may speak either.
    pub plain_http: bool,
    /// User name and password.
    pub login: Option<(String, String)>,
    /// Without `login`: where to look for one (Docker's and podman's formats).
    pub login_files: Vec<PathBuf>,
    pub patience: Patience,
}

impl Default for Access {
    fn default() -> Access {
        let (login_files, patience) = (logins::files(), Patience::default());
        Access { plain_http: false, login: None, login_files, patience }
    }
}

/// One repository of a registry. Threads may share it.
pub struct Registry {
    /// As in the image's name, for messages.
    registry: String,
    repository: String,
    home: Mutex<Home>,
    transport: Transport,
    authority: Authority,
    /// What it wants to see at /v2/, once that was asked.
    at_base: OnceLock<Vec<Challenge>>,
}

#[derive(Clone)]
struct Home {
    url: Url,
    /// Whether we know that it speaks what the URL says.
    is_certain: bool,
}

/// A manifest or an index.
#[derive(Debug)]
pub struct Document {
    pub bytes: Vec<u8>,
    /// What the registry calls it; "" if it does not say.
    pub media_type: String,
}

impl Registry {
    /// Nothing is sent yet. `note` hears what takes longer than it should, and why.
    pub fn new(
        reference: &Reference,
        access: Access,
        note: impl Fn(&str) + Send + Sync + 'static,
    ) -> Result<Registry, Error> {
        let Reference { registry, repository, .. } = reference;
        let mut url = Url::parse(&format!("https://{}/", reference.api_host()))
            .map_err(|error| Error::new(format!("{registry:?} is no registry: {error}")))?;
        let is_certain = access.plain_http || !is_loopback(&url);
        if access.plain_http || is_loopback(&url) {
            url.set_scheme("http").expect("both are web addresses");
        }
        let note = Box::new(note);
        let transport = Transport::new(&url, access.plain_http, access.patience, note)?;
        Ok(Registry {
            registry: registry.clone(),
            repository: repository.clone(),
            home: Mutex::new(Home { url, is_certain }),
            transport,
            authority: Authority::new(registry, repository, access.login, access.login_files),
            at_base: OnceLock::new(),
        })
    }

    /// Gets a manifest or an index.
    pub fn manifest(&self, tag_or_digest: &str) -> Result<Document, Error> {
        self.document(tag_or_digest).map_err(|failure| self.cannot_get(tag_or_digest, failure))
    }

    /// Asks which digest a tag stands for. None: the registry does not say, get the manifest.
    pub fn head(&self, tag: &str) -> Result<Option<Digest>, Error> {
        let answer = self
            .ask(Method::HEAD, &format!("manifests/{tag}"), &accept())
            .map_err(|failure| self.cannot_get(tag, failure))?;
        if may_pass(answer.status) {
            // It has been asked as often as makes sense.
            return Err(self.cannot_get(tag, self.refused(answer)));
        }
        if answer.status != StatusCode::OK {
            return Ok(None);
        }
        let digest = answer.headers.get(DIGEST).and_then(|value| value.to_str().ok());
        Ok(digest.and_then(|digest| Digest::try_from(digest.to_string()).ok()))
    }

    /// Gets a blob from a byte on, as a stream. Broken connections are mended inside.
    pub fn blob(&self, descriptor: &Descriptor, start: u64) -> Result<Blob<'_>, Error> {
        let open = Blob::open(self, descriptor, start);
        open.map_err(|failure| self.cannot_get(&descriptor.digest.to_string(), failure))
    }

    fn cannot_get(&self, tag_or_digest: &str, failure: Failure) -> Error {
        let name = self.name(tag_or_digest);
        Error::new(format!("cannot get {name}: {failure}"))
    }

    fn name(&self, tag_or_digest: &str) -> String {
        let sign = if tag_or_digest.contains(':') { '@' } else { ':' };
        format!("{}/{}{sign}{tag_or_digest}", self.registry, self.repository)
    }

    fn document(&self, tag_or_digest: &str) -> Result<Document, Failure> {
        let mut attempt = 1;
        let (headers, host, bytes) = loop {
            let path = format!("manifests/{tag_or_digest}");
            let mut answer = self.ask(Method::GET, &path, &accept())?;
            if answer.status == StatusCode::NOT_FOUND {
                let reason = refusal(&mut answer);
                return Err(Failure::other(format!("there is no such image: {reason}")));
            }
            if answer.status != StatusCode::OK {
                return Err(self.refused(answer));
            }
            match answer.body.read_all(LARGEST_DOCUMENT as usize) {
                Ok(bytes) => break (answer.headers, answer.host, bytes),
                Err(Break::Lost(_)) if attempt < CONNECTIONS => attempt += 1,
                Err(end) => {
                    return Err(Failure::other(format!("{}: {}", answer.host, end.cause())));
                }
            }
        };
        if let Some(encoding) = headers.get(CONTENT_ENCODING).filter(|how| *how != "identity") {
            let encoding = shown(&String::from_utf8_lossy(encoding.as_bytes()));
            let cause = format!("{host} sends it compressed ({encoding}), and was not asked to");
            return Err(Failure::other(cause));
        }
        if is_web_page(&headers, &bytes) {
            let cause = "answers a web page, not a manifest: it may be no registry";
            return Err(Failure::other(format!("{host} {cause}")));
        }
        let digest = Digest::of(&bytes);
        let due = [
            ("the name", Some(tag_or_digest).filter(|text| text.contains(':'))),
            ("its header", headers.get(DIGEST).and_then(|value| value.to_str().ok())),
        ];
        for (source, due) in due {
            // Other kinds of digests are for others to check.
            let due = due.filter(|due| due.starts_with("sha256:"));
            if let Some(due) = due.filter(|due| *due != digest.to_string()) {
                let due = shown(due);
                let cause = format!("{host} sends {digest}, where {source} says {due}");
                return Err(Failure::other(cause));
            }
        }
        Ok(Document { bytes, media_type: media_type(&headers) })
    }

    /// Asks for something of the repository.
    fn ask(&self, method: Method, path: &str, headers: &HeaderMap) -> Result<Answer, Failure> {
        let Home { url, is_certain } = self.home().clone();
        let first = self.ask_at(&url, !is_certain, &method, path, headers);
        if is_certain {
            return first;
        }
        // A registry on this machine, asked for the first time. Most speak plain HTTP there; one
        // that wants TLS answers 400, or what is no HTTP. (Docker tries TLS first.)
        let may_want_tls = match &first {
            Ok(answer) => answer.status == StatusCode::BAD_REQUEST,
            Err(failure) => failure.is_breach(),
        };
        if may_want_tls {
            let mut safe = url.clone();
            safe.set_scheme("https").expect("both are web addresses");
            match self.ask_at(&safe, true, &method, path, headers) {
                Ok(answer) => {
                    *self.home() = Home { url: safe, is_certain: true };
                    return Ok(answer);
                }
                Err(failure) if failure.is_not_tls() => (),
                Err(failure) => return Err(failure),
            }
        }
        match first {
            Err(failure) if failure.may_pass() => self.ask_at(&url, false, &method, path, headers),
            first => {
                let is_certain = first.is_ok();
                *self.home() = Home { url, is_certain };
                first
            }
        }
    }

    fn home(&self) -> MutexGuard<'_, Home> {
        self.home.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks, and once more with what the registry wants to see.
    fn ask_at(
        &self,
        home: &Url,
        is_first: bool,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> Result<Answer, Failure> {
        let mut url = home.clone();
        url.set_path(&format!("/v2/{}/{path}", self.repository));
        let (method, headers) = (method.clone(), headers.clone());
        let mut request = Request { method, url, headers, body: None, is_first };
        let used = self.authority.header();
        request.headers.extend(used.clone().map(|header| (AUTHORIZATION, header)));
        let mut answer = self.transport.send(&request)?;
        let Some(challenges) = self.challenges(home, &answer, used.is_some()) else {
            return Ok(answer);
        };
        // Read to its end, this answer leaves a connection for the next.
        let reason = refusal(&mut answer);
        self.authority.meet(&self.transport, &challenges, used.as_ref())?;
        request.headers.remove(AUTHORIZATION);
        request.headers.extend(self.authority.header().map(|header| (AUTHORIZATION, header)));
        let answer = self.transport.send(&request)?;
        if answer.status == StatusCode::UNAUTHORIZED && answer.is_from_home {
            Err(self.authority.refused(Some(reason)))
        } else {
            Ok(answer)
        }
    }

    /// What the registry wants to see before it answers otherwise. None: this is its answer.
    fn challenges(&self, home: &Url, answer: &Answer, is_known: bool) -> Option<Vec<Challenge>> {
        let is_challenge = answer.status == StatusCode::UNAUTHORIZED;
        // To those it does not know a registry may say that there is nothing.
        let may_hide = matches!(answer.status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND);
        if !answer.is_from_home || !(is_challenge || may_hide && !is_known) {
            return None;
        }
        let challenges = challenge::of(&answer.headers);
        if challenges.iter().any(Challenge::is_known) {
            return Some(challenges);
        }
        let at_base = self.at_base.get_or_init(|| self.ask_base(home));
        (is_challenge || !at_base.is_empty()).then(|| at_base.clone())
    }

    /// The challenges at /v2/, where some registries have their only ones (OCI distribution
    /// specification, "Determining Support").
    fn ask_base(&self, home: &Url) -> Vec<Challenge> {
        let mut url = home.clone();
        url.set_path("/v2/");
        let headers = HeaderMap::new();
        let request = Request { method: Method::GET, url, headers, body: None, is_first: true };
        // Whatever goes wrong here: the answer to tell of is the one that we have.
        let Ok(answer) = self.transport.send(&request) else { return Vec::new() };
        if answer.status != StatusCode::UNAUTHORIZED || !answer.is_from_home {
            return Vec::new();
        }
        let known = challenge::of(&answer.headers).into_iter().filter(Challenge::is_known);
        // A scope that stands there is not this repository's.
        known.map(|challenge| challenge.without("scope")).collect()
    }

    /// The error for a status that is not the one hoped for.
    fn refused(&self, mut answer: Answer) -> Failure {
        Failure::other(refusal(&mut answer))
    }
}

/// What an image's name may stand for.
fn accept() -> HeaderMap {
    let kinds = HeaderValue::try_from(DOCUMENTS.join(", ")).expect("they are plain text");
    HeaderMap::from_iter([(ACCEPT, kinds)])
}
