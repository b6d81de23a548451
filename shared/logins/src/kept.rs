//! The login for one repository.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use shared::shown;

use crate::{Login, find};

/// Who to be for one repository. It is looked up when somebody asks for it, and only once. Threads may share it.
pub struct Logins {
    registry: String,
    repository: String,
    files: Vec<PathBuf>,
    found: OnceLock<Option<Login>>,
}

impl Logins {
    /// `given` is a user name and a password; without it the files are asked.
    pub fn new(
        registry: &str,
        repository: &str,
        given: Option<(String, String)>,
        files: Vec<PathBuf>,
    ) -> Logins {
        let given = given.map(|(user, password)| Some(Login::Password { user, password }));
        let found = given.map(OnceLock::from).unwrap_or_default();
        Logins { registry: registry.into(), repository: repository.into(), files, found }
    }

    /// The login, if there is one. A helper has `time` to answer; `note` hears what goes wrong.
    pub fn get(&self, time: Duration, note: &dyn Fn(&str)) -> Option<&Login> {
        let look = || find(&self.files, &self.registry, &self.repository, time, note);
        self.found.get_or_init(look).as_ref()
    }

    /// What to tell a person when the registry refuses, and what to do about it.
    pub fn refusal(&self, reason: Option<String>) -> String {
        let registry = &self.registry;
        let cause = match self.found.get() {
            Some(Some(Login::Password { user, .. })) => {
                format!("{registry} refuses the user name or password of {}", shown(user))
            }
            Some(Some(Login::IdentityToken(_) | Login::RegistryToken(_))) => {
                format!("{registry} refuses the login that was kept for it")
            }
            _ => format!("{registry} wants a login, or has no such repository"),
        };
        let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        format!("{cause}{reason} (docker login {registry}, or --username NAME --password-stdin)")
    }
}
