//! Debian's docker-registry on loopback, with umoci's and skopeo's help: started when first needed,
//! and there until the checks end.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

use nix::sys::prctl;
use nix::sys::signal::Signal;
use serde_json::json;

use super::super::engine::{Outcome, patience};
use super::super::failure::{Failure, require};
use super::super::machine;
use super::super::running::within;
use super::home::PLACE;
use super::image::Image;
use super::tokens::{self, TokenServer};

/// Who may use the registries that ask, and how: `PASSWORD` is what the hash below is of.
pub const USER: &str = "alice";
pub const PASSWORD: &str = "correct horse";
const HTPASSWD: &str = "alice:$2b$04$HsDHUC1b44n0kZvrZoORNeSqIBJcqKryrF4MEQXjq9/P.qMU4Aq6C\n";

/// Three doors to one storage.
pub struct Registry {
    /// HTTP for everybody.
    pub open: String,
    /// HTTP for those who know the password.
    pub guarded: String,
    /// TLS, with tokens.
    pub tls: String,
    /// The certificate authority that `tls` has its certificate from.
    pub authority: PathBuf,
    pub tokens: TokenServer,
}

impl Registry {
    /// The registries, which are started the first time.
    pub fn get() -> Result<&'static Registry, Failure> {
        static REGISTRY: OnceLock<Result<Registry, Failure>> = OnceLock::new();
        REGISTRY.get_or_init(Registry::start).as_ref().map_err(Failure::clone)
    }

    /// The open one, when it answers.
    pub fn open() -> Result<&'static str, Failure> {
        let registry = Registry::get()?;
        answers(&registry.open)?;
        Ok(&registry.open)
    }

    /// The one with a password, when it answers.
    pub fn guarded() -> Result<&'static str, Failure> {
        let registry = Registry::get()?;
        answers(&registry.guarded)?;
        Ok(&registry.guarded)
    }

    /// The one with TLS and tokens, when it answers.
    pub fn tls() -> Result<&'static Registry, Failure> {
        let registry = Registry::get()?;
        answers(&registry.tls)?;
        Ok(registry)
    }

    /// All at once: each takes seconds to start.
    fn start() -> Result<Registry, Failure> {
        let place = Path::new(PLACE);
        fs::create_dir_all(place)?;
        // From an earlier run in this VM.
        let _ = fs::remove_dir_all(storage());
        let open = start("open", &json!(null), &json!(null))?;
        fs::write(place.join("htpasswd"), HTPASSWD)?;
        let password = json!({ "htpasswd": { "realm": "checks", "path": place.join("htpasswd") } });
        let guarded = start("guarded", &password, &json!(null))?;
        let (authority, certificate, key) = tokens::certificates(place)?;
        let tokens = TokenServer::start(&certificate, &key)?;
        let token = json!({ "token": {
            "realm": tokens.realm(), "service": tokens::SERVICE, "issuer": tokens::ISSUER,
            "rootcertbundle": authority,
        } });
        let tls = start("tls", &token, &json!({ "certificate": certificate, "key": key }))?;
        Ok(Registry { open, guarded, tls, authority, tokens })
    }
}

fn storage() -> PathBuf {
    Path::new(PLACE).join("registry")
}

/// Starts one and gives its address, where it will answer.
fn start(name: &str, auth: &serde_json::Value, tls: &serde_json::Value) -> Result<String, Failure> {
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    // JSON is YAML, too.
    let mut config = json!({
        "version": "0.1", "storage": { "filesystem": { "rootdirectory": storage() } },
        "http": { "addr": address, "secret": "checks" },
    });
    if !auth.is_null() {
        config["auth"] = auth.clone();
    }
    if !tls.is_null() {
        config["http"]["tls"] = tls.clone();
    }
    let place = Path::new(PLACE);
    let file = place.join(format!("{name}.yml"));
    fs::write(&file, config.to_string())?;
    let log = File::create(place.join(format!("{name}.log")))?;
    let mut command = Command::new("/usr/bin/docker-registry");
    command.arg("serve").arg(&file).stdin(Stdio::null());
    command.stdout(log.try_clone()?).stderr(log);
    // SAFETY: it is one system call.
    unsafe { command.pre_exec(|| Ok(prctl::set_pdeathsig(Signal::SIGKILL)?)) };
    machine::keep(command.spawn()?.id());
    Ok(address)
}

/// Waits until somebody listens.
fn answers(address: &str) -> Result<(), Failure> {
    let listens = within(patience(), || TcpStream::connect(address).is_ok());
    require(listens, "docker-registry serve", "an answer", "none")
}

/// Pushes an image as `name` into the registries' storage, with more of skopeo's options. It stays
/// there for all checks, so a name is for one image.
pub fn push(image: &Image, name: &str, options: &[&str]) -> Result<(), Failure> {
    static PUSHED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let mut pushed = PUSHED.lock().unwrap_or_else(PoisonError::into_inner);
    if pushed.contains(name) {
        return Ok(());
    }
    let layout = Path::new(PLACE).join(format!("layout-{}", name.replace(['/', ':'], "-")));
    image.write(&layout)?;
    push_layout(&layout, name, options)?;
    pushed.insert(name.into());
    Ok(fs::remove_dir_all(&layout)?)
}

/// The same for the image `image` of a layout.
pub fn push_layout(layout: &Path, name: &str, options: &[&str]) -> Result<(), Failure> {
    let mut skopeo = Command::new("/usr/bin/skopeo");
    skopeo.args(["copy", "--quiet", "--dest-tls-verify=false"]).args(options);
    skopeo.arg(format!("oci:{}:image", layout.display()));
    skopeo.arg(format!("docker://{}/{name}", Registry::open()?));
    Outcome::of(skopeo, b"")?.ends_with(0).map(drop)
}

/// The file in which the registries keep a blob.
pub fn stored_blob(digest: &str) -> PathBuf {
    let hex = digest.trim_start_matches("sha256:");
    storage().join(format!("docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]))
}
