//! The Authorization header: Basic, or Bearer with a token (distribution's "Token Authentication
//! Specification").

use std::sync::{Mutex, PoisonError};

use logins::{Login, Logins};
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{StatusCode, Url};
use serde::Deserialize;
use shared::shown;
use transport::challenge::Challenge;
use transport::{Failure, Request, Transport, refusal};

/// Bytes of a token server's response.
const LIMIT: usize = 1 << 20;

/// What proves who we are to one registry, for one repository.
pub struct Authority {
    repository: String,
    logins: Logins,
    header: Mutex<Option<HeaderValue>>,
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    /// The same by the name that OAuth 2 gave it.
    access_token: Option<String>,
}

impl Authority {
    pub fn new(repository: &str, logins: Logins) -> Authority {
        Authority { repository: repository.into(), logins, header: Mutex::default() }
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
        let text = match (find("bearer"), find("basic")) {
            (Some(challenge), _) => format!("Bearer {}", self.token(transport, challenge)?),
            (None, Some(_)) => match self.login(transport).and_then(Login::basic) {
                Some(basic) => basic,
                None => return Err(self.refused(None)),
            },
            (None, None) => {
                let cause = "the registry wants a login, but of no kind that we know";
                return Err(Failure::other(cause.to_string()));
            }
        };
        let new = HeaderValue::try_from(text)
            .map_err(|_| Failure::other("the token has characters it must not".into()))?;
        if used == Some(&new) {
            return Err(self.refused(None));
        }
        *header = Some(new);
        Ok(())
    }

    /// The error for a login that is missing or wrong.
    pub fn refused(&self, reason: Option<String>) -> Failure {
        Failure::other(self.logins.refusal(reason))
    }

    fn login(&self, transport: &Transport) -> Option<&Login> {
        self.logins.get(transport.patience.silence, &transport.note)
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
        let request = match self.login(transport) {
            Some(Login::IdentityToken(token)) => {
                query.push(("grant_type", "refresh_token"));
                query.push(("client_id", "slipway"));
                query.push(("refresh_token", token));
                Request::form(url, &query)
            }
            login => {
                url.query_pairs_mut().extend_pairs(&query);
                let mut request = Request::get(url);
                if let Some(basic) = login.and_then(Login::basic) {
                    let basic = HeaderValue::try_from(basic).expect("base64 is ASCII");
                    request.headers.insert(AUTHORIZATION, basic);
                }
                request
            }
        };
        let mut response = transport.send(&request)?;
        match response.status {
            StatusCode::OK => (),
            // 400 is what OAuth 2 says to a wrong refresh token.
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST => {
                return Err(self.refused(Some(refusal(&mut response))));
            }
            _ => return Err(Failure::other(refusal(&mut response))),
        }
        let host = response.host;
        let wrong = |cause| Failure::other(format!("{host} gives no token: {cause}"));
        let bytes = response.body.read_all(LIMIT).map_err(|end| wrong(end.cause()))?;
        let token: Token =
            serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
        let token = token.token.into_iter().chain(token.access_token).find(|one| !one.is_empty());
        token.ok_or_else(|| wrong("its answer has none".to_string()))
    }
}
