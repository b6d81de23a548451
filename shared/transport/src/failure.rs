//! Why there is no answer, in words for a person, and whether another attempt may do.

use std::error::Error as _;
use std::fmt::{self, Display};
use std::io;

use nix::errno::Errno;
use reqwest::Url;

use crate::{host, is_loopback};

/// Why there is no answer.
#[derive(Debug)]
pub struct Failure {
    cause: String,
    kind: Kind,
}

#[derive(Debug, PartialEq)]
enum Kind {
    /// The next attempt may do.
    Passing,
    /// The same, but after a long time.
    Late,
    /// Nobody listens there.
    Refused,
    NotTls,
    Other,
}

impl Failure {
    /// One that comes again, whatever is done.
    pub fn other(cause: String) -> Failure {
        Failure { cause, kind: Kind::Other }
    }

    /// Why reading a body failed.
    pub fn of_body(error: &io::Error) -> String {
        let inner = error.get_ref().and_then(|error| error.downcast_ref());
        inner.map_or_else(|| error.to_string(), |error| Failure::of(error).cause)
    }

    /// The cause that a person can use is the innermost one.
    pub fn of(error: &reqwest::Error) -> Failure {
        let mut innermost = error.to_string();
        let mut next = error.source();
        while let Some(error) = next {
            innermost = error.to_string();
            if innermost == "dns error" {
                return Failure::other("no such name, or no name server that knows it".to_string());
            }
            // These wrap others without naming them as their source.
            let mut wrapped = error.downcast_ref::<io::Error>();
            while let Some(error) = wrapped {
                if let Some(code) = error.raw_os_error() {
                    return Failure::of_call(Errno::from_raw(code));
                }
                let inner = error.get_ref();
                if let Some(error) = inner.and_then(|inner| inner.downcast_ref()) {
                    return Failure::of_tls(error);
                }
                wrapped = inner.and_then(|inner| inner.downcast_ref());
            }
            next = error.source();
        }
        let (cause, kind) = match (error.is_timeout(), error.is_connect()) {
            (true, true) => ("no connection in time".to_string(), Kind::Late),
            (true, false) => ("no answer in time".to_string(), Kind::Late),
            _ => (innermost, Kind::Passing),
        };
        Failure { cause, kind }
    }

    fn of_call(errno: Errno) -> Failure {
        let kind = match errno {
            Errno::ECONNREFUSED => Kind::Refused,
            _ => Kind::Passing,
        };
        Failure { cause: errno.desc().to_string(), kind }
    }

    fn of_tls(error: &rustls::Error) -> Failure {
        let (cause, kind) = match error {
            rustls::Error::InvalidCertificate(_) => {
                let cure = "SSL_CERT_FILE may name a file of certificates to trust";
                (format!("{error} ({cure})"), Kind::Other)
            }
            rustls::Error::InvalidMessage(_) => {
                ("it does not speak TLS (--plain-http does without)".to_string(), Kind::NotTls)
            }
            _ => (error.to_string(), Kind::Other),
        };
        Failure { cause, kind }
    }

    /// The same with the name of the server.
    pub fn at(self, url: &Url) -> Failure {
        let cure = match self.kind {
            Kind::Refused if is_loopback(url) => " (nothing listens there; ./just registry does)",
            _ => "",
        };
        Failure { cause: format!("{}: {}{cure}", host(url), self.cause), ..self }
    }

    /// Whether another attempt may do.
    pub fn may_pass(&self) -> bool {
        matches!(self.kind, Kind::Passing | Kind::Late)
    }

    /// Whether the server broke the connection, or what it said is no HTTP.
    pub fn is_breach(&self) -> bool {
        self.kind == Kind::Passing
    }

    /// Whether the server did not even try to speak TLS.
    pub fn is_not_tls(&self) -> bool {
        matches!(self.kind, Kind::NotTls | Kind::Passing | Kind::Late)
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.cause)
    }
}
