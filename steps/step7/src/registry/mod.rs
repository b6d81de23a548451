//! A registry's client: manifests as documents, blobs as streams (OCI distribution specification,
//! "Pull").
//!
//! A registry is not to be trusted: nothing it sends is kept in memory without bounds, none of its
//! silences is waited for without end, and no secret goes to a place that it names, except to its
//! token server.

mod token;

use std::io::Read;
use std::sync::OnceLock;

use documents::{DOCUMENTS, Descriptor, LARGEST_DOCUMENT};
use logins::Logins;
use reference::{Digest, Reference};
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use shared::{Error, shown};
use transport::challenge::{self, Challenge};
use transport::{
    BaseUrl, Document, Failure, Patience, Request, Response, Resumed, Transport, may_pass,
    media_type, refusal,
};

use self::token::Authority;

/// The header with which a registry names a manifest's digest.
const DIGEST: &str = "docker-content-digest";

/// One repository of a registry. Threads may share it.
pub struct Registry {
    /// As in the image's name, for messages.
    registry: String,
    repository: String,
    base: BaseUrl,
    transport: Transport,
    authority: Authority,
    /// What it wants to see at /v2/, once that was asked.
    at_base: OnceLock<Vec<Challenge>>,
}

impl Registry {
    /// Nothing is sent yet. Plain HTTP is for this machine, unless `plain_http` is set. `note` hears
    /// what takes longer than it should, and why.
    pub fn new(
        reference: &Reference,
        plain_http: bool,
        logins: Logins,
        patience: Patience,
        note: impl Fn(&str) + Send + Sync + 'static,
    ) -> Result<Registry, Error> {
        let Reference { registry, repository, .. } = reference;
        let base = BaseUrl::new(reference.api_host(), plain_http)?;
        let transport = Transport::new(&base.get(), plain_http, patience, Box::new(note))?;
        Ok(Registry {
            registry: registry.clone(),
            repository: repository.clone(),
            base,
            transport,
            authority: Authority::new(repository, logins),
            at_base: OnceLock::new(),
        })
    }

    /// Gets a manifest or an index, and what the registry calls it; "" if it does not say.
    pub fn manifest(&self, tag_or_digest: &str) -> Result<(Vec<u8>, String), Error> {
        self.document(tag_or_digest).map_err(|failure| self.cannot_get(tag_or_digest, failure))
    }

    /// Asks which digest a tag stands for. None: the registry does not say, get the manifest.
    pub fn head(&self, tag: &str) -> Result<Option<Digest>, Error> {
        let mut response = self
            .ask(Method::HEAD, &format!("manifests/{tag}"), &accept())
            .map_err(|failure| self.cannot_get(tag, failure))?;
        if may_pass(response.status) {
            // It has been asked as often as makes sense.
            return Err(self.cannot_get(tag, Failure::other(refusal(&mut response))));
        }
        let digest = response.headers.get(DIGEST).filter(|_| response.status == StatusCode::OK);
        let digest = digest.and_then(|value| value.to_str().ok());
        Ok(digest.and_then(|digest| Digest::try_from(digest.to_string()).ok()))
    }

    /// Gets a blob from the byte `start` on, as a stream. Broken connections are mended inside.
    pub fn blob(&self, descriptor: &Descriptor, start: u64) -> Result<impl Read, Error> {
        let digest = descriptor.digest.to_string();
        let path = format!("blobs/{digest}");
        let ask = move |headers: &HeaderMap| self.ask(Method::GET, &path, headers);
        Resumed::open(&self.transport, self.name(&digest), descriptor.size, start, ask)
            .map_err(|failure| self.cannot_get(&digest, failure))
    }

    fn cannot_get(&self, tag_or_digest: &str, failure: Failure) -> Error {
        let name = self.name(tag_or_digest);
        Error::new(format!("cannot get {name}: {failure}"))
    }

    fn name(&self, tag_or_digest: &str) -> String {
        let sign = if tag_or_digest.contains(':') { '@' } else { ':' };
        format!("{}/{}{sign}{tag_or_digest}", self.registry, self.repository)
    }

    /// The bytes must have the digest that they were asked by, and the one in the response's header.
    fn document(&self, tag_or_digest: &str) -> Result<(Vec<u8>, String), Failure> {
        let path = format!("manifests/{tag_or_digest}");
        let Document { headers, bytes, host } = Document::get(LARGEST_DOCUMENT as usize, || {
            let mut response = self.ask(Method::GET, &path, &accept())?;
            if response.status == StatusCode::NOT_FOUND {
                let reason = refusal(&mut response);
                return Err(Failure::other(format!("there is no such image: {reason}")));
            }
            Ok(response)
        })?;
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
        Ok((bytes, media_type(&headers)))
    }

    /// Asks for something of the repository.
    fn ask(&self, method: Method, path: &str, headers: &HeaderMap) -> Result<Response, Failure> {
        self.base.ask(|base, is_trial| self.ask_at(base, is_trial, &method, path, headers))
    }

    /// Asks, and once more with what the registry wants to see.
    fn ask_at(
        &self,
        base: &Url,
        is_trial: bool,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> Result<Response, Failure> {
        let mut url = base.clone();
        url.set_path(&format!("/v2/{}/{path}", self.repository));
        let (method, headers) = (method.clone(), headers.clone());
        let mut request = Request { method, headers, is_trial, ..Request::get(url) };
        let used = self.authority.header();
        request.headers.extend(used.clone().map(|header| (AUTHORIZATION, header)));
        let mut response = self.transport.send(&request)?;
        let Some(challenges) = self.challenges(base, &response, used.is_some()) else {
            return Ok(response);
        };
        // Read to its end, this answer leaves a connection for the next.
        let reason = refusal(&mut response);
        self.authority.meet(&self.transport, &challenges, used.as_ref())?;
        request.headers.remove(AUTHORIZATION);
        request.headers.extend(self.authority.header().map(|header| (AUTHORIZATION, header)));
        let response = self.transport.send(&request)?;
        if response.status == StatusCode::UNAUTHORIZED && !response.was_led_away {
            Err(self.authority.refused(Some(reason)))
        } else {
            Ok(response)
        }
    }

    /// What the registry wants to see before it answers otherwise. None: this is its answer.
    fn challenges(
        &self,
        base: &Url,
        response: &Response,
        is_known: bool,
    ) -> Option<Vec<Challenge>> {
        let is_challenge = response.status == StatusCode::UNAUTHORIZED;
        // To those it does not know a registry may say that there is nothing.
        let may_hide = matches!(response.status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND);
        if response.was_led_away || !(is_challenge || may_hide && !is_known) {
            return None;
        }
        let challenges = challenge::of(&response.headers);
        if challenges.iter().any(Challenge::is_known) {
            return Some(challenges);
        }
        let at_base = self.at_base.get_or_init(|| self.ask_base(base));
        (is_challenge || !at_base.is_empty()).then(|| at_base.clone())
    }

    /// The challenges at /v2/, where some registries have their only ones (OCI distribution
    /// specification, "Determining Support").
    fn ask_base(&self, base: &Url) -> Vec<Challenge> {
        let mut url = base.clone();
        url.set_path("/v2/");
        let request = Request { is_trial: true, ..Request::get(url) };
        // Whatever goes wrong here: the answer to tell of is the one that we have.
        let Ok(response) = self.transport.send(&request) else { return Vec::new() };
        if response.status != StatusCode::UNAUTHORIZED || response.was_led_away {
            return Vec::new();
        }
        let known = challenge::of(&response.headers).into_iter().filter(Challenge::is_known);
        // A scope that stands there is not this repository's.
        known.map(|challenge| challenge.without("scope")).collect()
    }
}

/// What an image's name may stand for.
fn accept() -> HeaderMap {
    let kinds = HeaderValue::try_from(DOCUMENTS.join(", ")).expect("they are plain text");
    HeaderMap::from_iter([(ACCEPT, kinds)])
}
