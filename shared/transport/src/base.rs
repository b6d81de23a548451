//! Where a server is, and whether it speaks TLS there.

use std::sync::{Mutex, PoisonError};

use reqwest::{StatusCode, Url};
use shared::Error;

use crate::{Failure, Response, is_loopback};

/// A server's address, `https://registry.example/`. Threads may share it.
///
/// A server on this machine may speak either HTTP or TLS: which one the first request finds out.
pub struct BaseUrl(Mutex<Known>);

#[derive(Clone)]
struct Known {
    url: Url,
    /// Whether the server is known to speak what the URL says.
    is_certain: bool,
}

impl BaseUrl {
    /// The address of a host, with its port if it has one. `plain_http` says that it speaks HTTP, wherever it is.
    ///
    /// # Errors
    ///
    /// The host is no host name.
    pub fn new(host: &str, plain_http: bool) -> Result<BaseUrl, Error> {
        let mut url = Url::parse(&format!("https://{host}/"))
            .map_err(|error| Error::new(format!("{host:?} is no registry: {error}")))?;
        let is_certain = plain_http || !is_loopback(&url);
        if plain_http || is_loopback(&url) {
            url.set_scheme("http").expect("both are web addresses");
        }
        Ok(BaseUrl(Mutex::new(Known { url, is_certain })))
    }

    /// The address, as far as it is known.
    pub fn get(&self) -> Url {
        self.known().url
    }

    /// Asks by calling `ask` with the address, and with whether it is a trial: then `ask` must not
    /// try again what does not work.
    ///
    /// # Errors
    ///
    /// Those of `ask`.
    pub fn ask(
        &self,
        ask: impl Fn(&Url, bool) -> Result<Response, Failure>,
    ) -> Result<Response, Failure> {
        let Known { url, is_certain } = self.known();
        let first = ask(&url, !is_certain);
        if is_certain {
            return first;
        }
        // A server on this machine, asked for the first time. Most speak plain HTTP there. One that
        // wants TLS answers 400, or what is no HTTP. (Docker tries TLS first.)
        let may_want_tls = match &first {
            Ok(response) => response.status == StatusCode::BAD_REQUEST,
            Err(failure) => failure.is_breach(),
        };
        if may_want_tls {
            let mut safe = url.clone();
            safe.set_scheme("https").expect("both are web addresses");
            match ask(&safe, true) {
                Ok(response) => {
                    self.set(Known { url: safe, is_certain: true });
                    return Ok(response);
                }
                Err(failure) if failure.is_not_tls() => (),
                Err(failure) => return Err(failure),
            }
        }
        match first {
            Err(failure) if failure.may_pass() => ask(&url, false),
            first => {
                let is_certain = first.is_ok();
                self.set(Known { url, is_certain });
                first
            }
        }
    }

    fn known(&self) -> Known {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, known: Known) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = known;
    }
}
