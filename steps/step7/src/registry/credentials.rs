//! Where `docker login` and `podman login` leave what they were told.

use std::collections::HashMap;
use std::env;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;

use crate::manifest::shown;

/// Bytes of a file or of a helper's answer.
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
}

/// Docker's config.json and podman's auth.json, as far as they matter here.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    auths: HashMap<String, Entry>,
    /// For a registry: the helper that knows its credentials.
    cred_helpers: HashMap<String, String>,
    /// The helper for all others.
    creds_store: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    /// `user:password` in base64.
    auth: String,
    identitytoken: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// The files, in the order in which they are asked.
pub fn files() -> Vec<PathBuf> {
    let variable = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let docker = variable("DOCKER_CONFIG").or_else(|| Some(variable("HOME")?.join(".docker")));
    let podman = variable("XDG_RUNTIME_DIR").map(|place| place.join("containers/auth.json"));
    docker.map(|place| place.join("config.json")).into_iter().chain(podman).collect()
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
        match read(path).and_then(|config| config.find(registry, repository, time)) {
            Ok(None) => (),
            Ok(login) => return login,
            Err(error) => note(&format!("no login from {path:?}: {error}")),
        }
    }
    None
}

/// A file that is not there says nothing.
fn read(path: &Path) -> Result<Config, String> {
    let mut text = Vec::new();
    match File::open(path).and_then(|file| file.take(LIMIT).read_to_end(&mut text)) {
        Ok(_) => serde_json::from_slice(&text).map_err(|error| error.to_string()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Config::default()),
        Err(error) => Err(error.to_string()),
    }
}

impl Config {
    fn find(
        &self,
        registry: &str,
        repository: &str,
        time: Duration,
    ) -> Result<Option<Login>, String> {
        let server = if registry == "docker.io" { DOCKER_HUB } else { registry };
        let helper = self.cred_helpers.get(server).or_else(|| self.cred_helpers.get(registry));
        let helper = helper.unwrap_or(&self.creds_store);
        if !helper.is_empty()
            && let Some(login) = ask(helper, server, time)?
        {
            return Ok(Some(login));
        }
        // Podman's entries may be for a part of a registry: the longest that fits is the one.
        let mut name = format!("{registry}/{repository}");
        loop {
            let names = [name.as_str(), &format!("https://{name}"), &format!("http://{name}")];
            if let Some(login) = names.iter().find_map(|name| self.auths.get(*name)?.login()) {
                return Ok(Some(login));
            }
            let Some(slash) = name.rfind('/') else { break };
            name.truncate(slash);
        }
        // Docker's older entries are addresses of the registry's interface.
        let endings = ["/", "/v1", "/v1/", "/v2", "/v2/"];
        let old =
            endings.iter().map(|ending| self.auths.get(&format!("https://{registry}{ending}")));
        let hub = self.auths.get(DOCKER_HUB).filter(|_| registry == "docker.io");
        Ok(old.flatten().chain(hub).find_map(Entry::login))
    }
}

impl Entry {
    fn login(&self) -> Option<Login> {
        if !self.identitytoken.is_empty() {
            return Some(Login::IdentityToken(self.identitytoken.clone()));
        }
        let text = String::from_utf8(BASE64_STANDARD.decode(self.auth.trim()).ok()?).ok()?;
        let (user, password) = text.split_once(':')?;
        let password = password.trim_end_matches('\0');
        Some(Login::Password { user: user.to_string(), password: password.to_string() })
    }
}

/// Asks the program docker-credential-NAME, as Docker does: the server on its standard input, JSON
/// from its standard output.
fn ask(name: &str, server: &str, time: Duration) -> Result<Option<Login>, String> {
    let program = format!("docker-credential-{name}");
    if name.contains('/') {
        return Err(format!("{} is no name of a program", shown(&program)));
    }
    let mut child = Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("cannot run {program}: {error}"))?;
    // One that does not read its input has another way to say what is wrong.
    let _ = child.stdin.take().expect("a pipe").write_all(server.as_bytes());
    let output = child.stdout.take().expect("a pipe");
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut text = Vec::new();
        let _ = output.take(LIMIT).read_to_end(&mut text);
        let _ = sender.send(text);
    });
    let text = receiver.recv_timeout(time);
    // It has said all, or is too late, or does not end.
    let is_late = text.is_err();
    if is_late {
        let _ = child.kill();
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    let text = match text {
        Ok(text) => text,
        Err(_) => return Err(format!("{program} does not answer")),
    };
    if !status.success() {
        let text = String::from_utf8_lossy(&text);
        return match text.trim() {
            "credentials not found in native keychain" => Ok(None),
            text => Err(format!("{program} says {}", shown(text))),
        };
    }
    let answer: Answer =
        serde_json::from_slice(&text).map_err(|error| format!("{program}: {error}"))?;
    Ok(Some(match answer.username.as_str() {
        "<token>" => Login::IdentityToken(answer.secret),
        _ => Login::Password { user: answer.username, password: answer.secret },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn password(user: &str, password: &str) -> Option<Login> {
        Some(Login::Password { user: user.to_string(), password: password.to_string() })
    }

    fn look_up(json: &str, registry: &str, repository: &str) -> Option<Login> {
        let config: Config = serde_json::from_str(json).unwrap();
        config.find(registry, repository, SECOND).unwrap()
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
    fn a_file_may_be_missing_or_wrong() {
        let place = env::temp_dir().join(format!("slipway-credentials-{}", std::process::id()));
        std::fs::write(&place, "{").unwrap();
        let notes = std::cell::RefCell::new(Vec::new());
        let files = ["/no/such/file".into(), place.clone()];
        let login =
            find(&files, "a", "b", SECOND, &|note| notes.borrow_mut().push(note.to_string()));
        std::fs::remove_file(&place).unwrap();
        assert_eq!(login, None);
        let notes = notes.into_inner();
        assert_eq!(notes.len(), 1);
        assert!(notes[0].contains("EOF"), "{notes:?}");
    }
}
