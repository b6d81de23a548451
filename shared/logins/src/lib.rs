//! What `docker login` and `podman login` have left: in their files, which are read as Go reads them, or with a program
//! that keeps secrets, a *helper*. [`Logins`] finds it when it is needed.

mod helper;
mod kept;

use std::collections::BTreeMap;
use std::env;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::Value;
use shared::{Error, Explain, shown};

use helper::ask;
pub use kept::Logins;

/// Bytes of a file.
const LIMIT: u64 = 1 << 20;

/// Docker Hub's entry is older than its name.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

#[derive(Clone, Debug, PartialEq)]
pub enum Login {
    Password {
        user: String,
        password: String,
    },
    /// What the token server gave at a login with a browser (OAuth 2's refresh token).
    IdentityToken(String),
    /// A token for the registry itself.
    RegistryToken(String),
}

/// Docker's config.json and podman's auth.json, as far as they matter here. (Go, in which both are
/// written, reads names in any case: here they are in lower case.)
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Config {
    auths: BTreeMap<String, Entry>,
    /// For a registry: the helper that knows its credentials.
    credhelpers: BTreeMap<String, String>,
    /// The helper for all others.
    credsstore: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    /// `user:password` in base64.
    auth: String,
    /// The same in plain text, where there is no `auth`.
    username: String,
    password: String,
    identitytoken: String,
    registrytoken: String,
}

/// The files, in the order in which they are asked.
pub fn files() -> Vec<PathBuf> {
    let variable = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let docker = variable("DOCKER_CONFIG").or_else(|| Some(variable("HOME")?.join(".docker")));
    let podman = variable("XDG_RUNTIME_DIR").map(|runtime| runtime.join("containers/auth.json"));
    docker.map(|docker| docker.join("config.json")).into_iter().chain(podman).collect()
}

/// Reads a password, to the end of `input`. The end of its line is no part of it.
///
/// # Errors
///
/// It can't be read, or is no UTF-8.
pub fn read_password(mut input: impl Read) -> Result<String, Error> {
    let mut password = String::new();
    input.read_to_string(&mut password).explain("read the password")?;
    Ok(password.trim_end_matches(['\r', '\n']).to_string())
}

/// Looks up who to be for a repository. What goes wrong is only noted: the image may be public.
///
/// A helper has `time` to answer.
pub fn find(
    files: &[PathBuf],
    registry: &str,
    repository: &str,
    time: Duration,
    note: &dyn Fn(&str),
) -> Option<Login> {
    for path in files {
        let note = |cause: &str| note(&format!("no login from {path:?}: {cause}"));
        let found = read(path).map(|config| config.find(registry, repository, time, &note));
        match found {
            Ok(None) => (),
            Ok(login) => return login,
            Err(cause) => note(&cause),
        }
    }
    None
}

/// A file that is not there says nothing.
fn read(path: &Path) -> Result<Config, String> {
    let mut text = Vec::new();
    match File::open(path).and_then(|file| file.take(LIMIT).read_to_end(&mut text)) {
        Ok(_) => parse(&text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Config::default()),
        Err(error) => Err(error.to_string()),
    }
}

pub fn parse(text: &[u8]) -> Result<Config, String> {
    let file: Value = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let mut file = as_go_reads(file);
    for name in ["auths", "credhelpers"] {
        if let Some(entries) = file.get_mut(name).and_then(Value::as_object_mut) {
            entries.retain(|_, entry| !entry.is_null());
        }
    }
    if let Some(entries) = file.get_mut("auths").and_then(Value::as_object_mut) {
        for entry in entries.values_mut() {
            *entry = as_go_reads(entry.take());
        }
    }
    plain(file)
}

/// An object with its names in lower case, and without what is null: to Go that says nothing.
pub fn as_go_reads(value: Value) -> Value {
    match value {
        Value::Object(members) => members
            .into_iter()
            .filter(|(_, member)| !member.is_null())
            .map(|(name, member)| (name.to_ascii_lowercase(), member))
            .collect(),
        Value::Null => Value::Object(Default::default()),
        other => other,
    }
}

/// What serde would say of a wrong type has the value in it, and that may be a password.
pub fn plain<T: for<'a> Deserialize<'a>>(value: Value) -> Result<T, String> {
    serde_json::from_value(value).map_err(|_| "it has a number or a list in place of a text".into())
}

impl Config {
    pub fn find(
        &self,
        registry: &str,
        repository: &str,
        time: Duration,
        note: &dyn Fn(&str),
    ) -> Option<Login> {
        let server = if registry == "docker.io" { DOCKER_HUB } else { registry };
        let helper = self.credhelpers.get(server).or_else(|| self.credhelpers.get(registry));
        let helper = helper.unwrap_or(&self.credsstore);
        if !helper.is_empty() {
            match ask(helper, server, time) {
                Ok(None) => (),
                Ok(login) => return login,
                Err(cause) => note(&cause),
            }
        }
        for (name, entry) in self.entries(registry, repository) {
            match entry.login() {
                Ok(None) => (),
                Ok(login) => return login,
                Err(cause) => note(&format!("{}: {cause}", shown(name))),
            }
        }
        None
    }

    /// The entries for a repository, the best first.
    fn entries(&self, registry: &str, repository: &str) -> Vec<(&String, &Entry)> {
        let mut found = Vec::new();
        // Podman's entries may be for a part of a registry: the longest that fits is the one.
        let mut name = format!("{registry}/{repository}");
        loop {
            found.extend(self.auths.get_key_value(&name));
            let Some(slash) = name.rfind('/') else { break };
            name.truncate(slash);
        }
        // Docker's older entries are addresses: they count for their host.
        for (name, entry) in &self.auths {
            let address = name.strip_prefix("https://").or_else(|| name.strip_prefix("http://"));
            let host = address.unwrap_or_default().split('/').next().unwrap_or_default();
            let is_hub = host == "index.docker.io" || name == "index.docker.io";
            if host == registry || registry == "docker.io" && is_hub {
                found.push((name, entry));
            }
        }
        found
    }
}

impl Entry {
    fn login(&self) -> Result<Option<Login>, String> {
        if !self.identitytoken.is_empty() {
            return Ok(Some(Login::IdentityToken(self.identitytoken.clone())));
        }
        if !self.registrytoken.is_empty() {
            return Ok(Some(Login::RegistryToken(self.registrytoken.clone())));
        }
        let auth = self.auth.trim();
        if auth.is_empty() {
            return Ok(Login::of(&self.username, &self.password));
        }
        let wrong = || "its auth is not USER:PASSWORD in base64".to_string();
        let text = BASE64_STANDARD.decode(auth).map_err(|_| wrong())?;
        let text = String::from_utf8(text).map_err(|_| wrong())?;
        let (user, password) = text.split_once(':').ok_or_else(wrong)?;
        Login::of(user, password.trim_end_matches('\0')).map(Some).ok_or_else(wrong)
    }
}

impl Login {
    /// The header that shows a user name and a password (RFC 7617). None: it is another kind of login.
    pub fn basic(&self) -> Option<String> {
        let Login::Password { user, password } = self else { return None };
        Some(format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}"))))
    }

    /// Without a user it is none.
    pub fn of(user: &str, password: &str) -> Option<Login> {
        let (user, password) = (user.to_string(), password.to_string());
        (!user.is_empty()).then_some(Login::Password { user, password })
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::fs;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn password(user: &str, password: &str) -> Option<Login> {
        Some(Login::Password { user: user.to_string(), password: password.to_string() })
    }

    fn look_up(json: &str, registry: &str, repository: &str) -> Option<Login> {
        parse(json.as_bytes()).unwrap().find(registry, repository, SECOND, &|_| ())
    }

    #[test]
    fn auths_of_docker_and_podman_are_found() {
        let json = r#"{"auths": {
            "localhost:5000": {"auth": "dTpwOnA="},
            "https://index.docker.io/v1/": {"auth": "aHViOnA="},
            "https://old.example/v2/": {"auth": "b2xkOnAAAA=="},
            "quay.io/a": {"auth": "YTpw"}, "quay.io": {"auth": "cTpw"},
            "token.example": {"auth": "YTpw", "identitytoken": "T"},
            "bad.example": {"auth": "%%"}, "empty.example": {}
        }, "HttpHeaders": {"a": "b"}}"#;
        assert_eq!(look_up(json, "localhost:5000", "x"), password("u", "p:p"));
        assert_eq!(look_up(json, "docker.io", "library/alpine"), password("hub", "p"));
        assert_eq!(look_up(json, "old.example", "x"), password("old", "p"));
        assert_eq!(look_up(json, "quay.io", "a/b"), password("a", "p"));
        assert_eq!(look_up(json, "quay.io", "ab/c"), password("q", "p"));
        let token = Some(Login::IdentityToken("T".to_string()));
        assert_eq!(look_up(json, "token.example", "x"), token);
        for none in ["bad.example", "empty.example", "localhost", "localhost:5001", "io"] {
            assert_eq!(look_up(json, none, "x"), None, "{none}");
        }
    }

    #[test]
    fn an_entry_is_read_as_docker_reads_it() {
        let entry = |json: &str| look_up(&format!(r#"{{"auths":{{"a.b":{json}}}}}"#), "a.b", "x");
        assert_eq!(entry(r#"{"username":"u","password":"p"}"#), password("u", "p"));
        assert_eq!(entry(r#"{"username":"u","password":"p","auth":""}"#), password("u", "p"));
        assert_eq!(entry(r#"{"username":"u","password":"p","auth":null}"#), password("u", "p"));
        assert_eq!(entry(r#"{"username":"u"}"#), password("u", ""));
        // `auth` counts more.
        assert_eq!(entry(r#"{"username":"u","password":"p","auth":"YTpw"}"#), password("a", "p"));
        assert_eq!(
            entry(r#"{"auth":"YTpw","email":null,"identitytoken":null}"#),
            password("a", "p")
        );
        assert_eq!(entry(r#"{"Auth":"YTpw"}"#), password("a", "p"));
        assert_eq!(entry(r#"{"auth":" YTpw\n"}"#), password("a", "p"));
        let identity = Some(Login::IdentityToken("T".to_string()));
        assert_eq!(entry(r#"{"username":"u","password":"","identitytoken":"T"}"#), identity);
        let token = Some(Login::RegistryToken("T".to_string()));
        assert_eq!(entry(r#"{"registrytoken":"T"}"#), token);
        for none in ["null", "{}", r#"{"auth":null}"#, r#"{"password":"p"}"#] {
            assert_eq!(entry(none), None, "{none}");
        }
    }

    #[test]
    fn null_is_as_if_nothing_was_said() {
        for name in ["auths", "credHelpers", "credsStore", "HttpHeaders", "x"] {
            let json = format!(r#"{{"auths":{{"a.b":{{"auth":"YTpw"}}}},"{name}":null}}"#);
            let expected = if name == "auths" { None } else { password("a", "p") };
            assert_eq!(look_up(&json, "a.b", "x"), expected, "{name}");
        }
        let json = r#"{"auths":{"c":null,"a.b":{"auth":"YTpw"}},"credHelpers":{"a.b":null}}"#;
        assert_eq!(look_up(json, "a.b", "x"), password("a", "p"));
        assert_eq!(look_up("null", "a.b", "x"), None);
    }

    #[test]
    fn an_address_stands_for_its_host() {
        for key in ["https://a.b", "http://a.b/", "https://a.b/v1/", "https://a.b/any/way?x"] {
            let json = format!(r#"{{"auths":{{"{key}":{{"auth":"YTpw"}}}}}}"#);
            assert_eq!(look_up(&json, "a.b", "x"), password("a", "p"), "{key}");
            assert_eq!(look_up(&json, "a.b.c", "x"), None, "{key}");
        }
        for key in ["docker.io", "index.docker.io", "https://index.docker.io/v1/"] {
            let json = format!(r#"{{"auths":{{"{key}":{{"auth":"YTpw"}}}}}}"#);
            assert_eq!(look_up(&json, "docker.io", "library/x"), password("a", "p"), "{key}");
        }
        // Docker Desktop's own are empty: another holds the login.
        let json =
            r#"{"auths":{"https://a.b/v1/access-token":{},"https://a.b/v1/":{"auth":"YTpw"}}}"#;
        assert_eq!(look_up(json, "a.b", "x"), password("a", "p"));
    }

    #[test]
    fn what_is_wrong_is_told_and_hides_nothing_else() {
        let wrong = ["%%", "YQ==", "OnA=", "/w=="];
        for auth in wrong {
            let json =
                format!(r#"{{"auths":{{"a.b":{{"auth":"{auth}"}},"c.d":{{"auth":"YTpw"}}}}}}"#);
            let notes = RefCell::new(Vec::new());
            let config = parse(json.as_bytes()).unwrap();
            let note = |text: &str| notes.borrow_mut().push(text.to_string());
            assert_eq!(config.find("a.b", "x", SECOND, &note), None, "{auth}");
            let told = notes.borrow().join(" ");
            assert!(told.contains("a.b") && !told.contains(auth), "{told}");
            assert_eq!(config.find("c.d", "x", SECOND, &note), password("a", "p"));
            assert_eq!(notes.borrow().len(), 1);
        }
    }

    #[test]
    fn a_file_may_be_missing_or_wrong() {
        let place = env::temp_dir().join(format!("slipway-credentials-{}", std::process::id()));
        fs::write(&place, "{").unwrap();
        let notes = RefCell::new(Vec::new());
        let files = ["/no/such/file".into(), place.clone()];
        let login =
            find(&files, "a", "b", SECOND, &|note| notes.borrow_mut().push(note.to_string()));
        fs::remove_file(&place).unwrap();
        assert_eq!(login, None);
        let notes = notes.into_inner();
        assert_eq!(notes.len(), 1);
        assert!(notes[0].contains("EOF"), "{notes:?}");
    }
}
