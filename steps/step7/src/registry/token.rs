//! The Authorization header: Basic, or Bearer with a token (distribution's "Token Authentication
//! Specification").

use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use logins::Login;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use shared::shown;
use transport::challenge::Challenge;
use transport::{Failure, Request, Transport, refusal};

/// Bytes of a token server's answer.
const LIMIT: usize = 1 << 20;

/// What proves who we are to one registry, for one repository.
pub struct Authority {
    /// As in the image's name.
    registry: String,
    repository: String,
    login: OnceLock<Option<Login>>,
    login_files: Vec<PathBuf>,
    header: Mutex<Option<HeaderValue>>,
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    /// The same by the name that OAuth 2 gave it.
    access_token: Option<String>,
}

impl Authority {
    /// Without a `login` it will look for one in the files.
    pub fn new(
        registry: &str,
        repository: &str,
        login: Option<(String, String)>,
        login_files: Vec<PathBuf>,
    ) -> Authority {
        let given = login.map(|(user, password)| Some(Login::Password { user, password }));
        Authority {
            registry: registry.to_string(),
            repository: repository.to_string(),
            login: given.map(OnceLock::from).unwrap_or_default(),
            login_files,
            header: Mutex::default(),
        }
    }

    /// The header to send, if there is one by now.
    pub fn header(&self) -> Option<HeaderValue> {
        self.header.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Meets the challenges that came of a request that had the header `used`.
    pub fn meet(
        &self,
        transport: &Transport,
        challenges: &[Challenge],
        used: Option<&HeaderValue>,
    ) -> Result<(), Failure> {
        // One thread asks for a token, the others wait for it here.
        let mut header = self.header.lock().unwrap_or_else(PoisonError::into_inner);
        if header.as_ref() != used {
            return Ok(());
        }
        let find = |scheme| challenges.iter().find(|challenge| challenge.scheme == scheme);
        let mut new = match (find("bearer"), find("basic")) {
            (Some(challenge), _) => {
                let token = self.token(transport, challenge)?;
                HeaderValue::try_from(format!("Bearer {token}"))
                    .map_err(|_| Failure::other("the token has characters it must not".into()))?
            }
            (None, Some(_)) => match self.login(transport) {
                Some(Login::Password { user, password }) => basic(user, password),
                _ => return Err(self.refused(None)),
            },
            (None, None) => {
                let cause = "the registry wants a login, but of no kind that we know";
                return Err(Failure::other(cause.to_string()));
            }
        };
        if used == Some(&new) {
            return Err(self.refused(None));
        }
        new.set_sensitive(true);
        *header = Some(new);
        Ok(())
    }

    /// The error for a login that is missing or wrong.
    pub fn refused(&self, reason: Option<String>) -> Failure {
        let registry = &self.registry;
        let cause = match self.login.get() {
            Some(Some(Login::Password { user, .. })) => {
                format!("{registry} refuses the user name or password of {}", shown(user))
            }
            Some(Some(Login::IdentityToken(_) | Login::RegistryToken(_))) => {
                format!("{registry} refuses the login that was kept for it")
            }
            _ => format!("{registry} wants a login, or has no such repository"),
        };
        let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        let hint = format!("docker login {registry}, or --username NAME --password-stdin");
        Failure::other(format!("{cause}{reason} ({hint})"))
    }

    fn login(&self, transport: &Transport) -> Option<&Login> {
        let find = || {
            let (files, time) = (&self.login_files, transport.patience.silence);
            logins::find(files, &self.registry, &self.repository, time, &transport.note)
        };
        self.login.get_or_init(find).as_ref()
    }

    /// Asks the token server that the challenge names.
    fn token(&self, transport: &Transport, challenge: &Challenge) -> Result<String, Failure> {
        if let Some(Login::RegistryToken(token)) = self.login(transport) {
            return Ok(token.clone());
        }
        let realm = challenge.get("realm").unwrap_or_default();
        let mut url = Url::parse(realm).map_err(|error| {
            Failure::other(format!("the registry names the token server {}: {error}", shown(realm)))
        })?;
        let mut query = Vec::new();
        query.extend(challenge.get("service").map(|service| ("service", service)));
        let own = format!("repository:{}:pull", self.repository);
        let scopes = challenge.get("scope").filter(|scopes| !scopes.trim().is_empty());
        let scopes = scopes.unwrap_or(&own).split_whitespace();
        query.extend(scopes.map(|scope| ("scope", scope)));
        let mut headers = HeaderMap::new();
        let mut body = None;
        let method = match self.login(transport) {
            Some(Login::IdentityToken(token)) => {
                query.push(("grant_type", "refresh_token"));
                query.push(("client_id", "slipway"));
                query.push(("refresh_token", token));
                let form = "application/x-www-form-urlencoded";
                headers.insert(CONTENT_TYPE, HeaderValue::from_static(form));
                // A form is written as a query is.
                let mut form = url.clone();
                form.query_pairs_mut().clear().extend_pairs(&query);
                body = form.query().map(str::to_string);
                Method::POST
            }
            login => {
                if let Some(Login::Password { user, password }) = login {
                    headers.insert(AUTHORIZATION, basic(user, password));
                }
                url.query_pairs_mut().extend_pairs(&query);
                Method::GET
            }
        };
        let request = Request { method, url, headers, body, is_first: false };
        let mut answer = transport.send(&request)?;
        match answer.status {
            StatusCode::OK => (),
            // 400 is what OAuth 2 says to a wrong refresh token.
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST => {
                return Err(self.refused(Some(refusal(&mut answer))));
            }
            _ => return Err(Failure::other(refusal(&mut answer))),
        }
        let wrong =
            |cause: String| Failure::other(format!("{} gives no token: {cause}", answer.host));
        let bytes = answer.body.read_all(LIMIT).map_err(|end| wrong(end.cause()))?;
        let token: Token =
            serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
        let token = token.token.into_iter().chain(token.access_token).find(|one| !one.is_empty());
        token.ok_or_else(|| wrong("its answer has none".to_string()))
    }
}

fn basic(user: &str, password: &str) -> HeaderValue {
    let text = BASE64_STANDARD.encode(format!("{user}:{password}"));
    let mut header = HeaderValue::try_from(format!("Basic {text}")).expect("base64 is ASCII");
    header.set_sensitive(true);
    header
}
