//! `pull` from end to end: the program itself against a small registry on loopback.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use documents::{OCI_INDEX, OCI_MANIFEST};
use reference::Digest;
use serde_json::{Value, json};

/// A registry of one image, `test`. What it has by name and by digest, and who asked for what.
#[derive(Default)]
struct Shelf {
    things: HashMap<String, (String, Vec<u8>)>,
    asked: Vec<String>,
    /// Bytes of a blob after which the connection waits for a while, to be interrupted.
    stop_at: Option<usize>,
    /// The answer to a request with a Range.
    to_range: Option<&'static str>,
}

struct Registry {
    shelf: Arc<Mutex<Shelf>>,
    port: u16,
    home: PathBuf,
}

impl Registry {
    /// Opens a registry with an image of one layer, which has the file /hello.
    fn open() -> Registry {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let name = format!(
            "slipway-pull-{}-{}",
            std::process::id(),
            NUMBER.fetch_add(1, Ordering::Relaxed)
        );
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shelf = Arc::new(Mutex::new(Shelf::default()));
        let served = shelf.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shelf = served.clone();
                thread::spawn(move || serve(stream, &shelf));
            }
        });
        let registry = Registry { shelf, port, home: std::env::temp_dir().join(name) };
        registry.offer(&layer(), &Digest::of(&layer()));
        registry
    }

    /// Offers an image with this layer, whose config says that it inflates to `diff_id`.
    fn offer(&self, layer: &[u8], diff_id: &Digest) {
        self.offer_changed(layer, diff_id, |_, _| ());
    }

    /// The same, after `change` has had its way with what points to a thing: `index`, `config`, `layer`.
    fn offer_changed(&self, layer: &[u8], diff_id: &Digest, change: impl Fn(&str, &mut Value)) {
        let config = json!({
            "architecture": "amd64", "os": "linux", "config": { "Cmd": ["/bin/sh"] },
            "rootfs": { "type": "layers", "diff_ids": [diff_id] },
        });
        let config = config.to_string().into_bytes();
        let point = |kind: &str, bytes: &[u8]| {
            let media_type = format!("application/vnd.oci.image.{kind}");
            let mut entry = json!({ "mediaType": media_type, "digest": Digest::of(bytes), "size": bytes.len() });
            change(kind.split_once('.').unwrap().0, &mut entry);
            entry
        };
        let manifest = json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST,
            "config": point("config.v1+json", &config),
            "layers": [point("layer.v1.tar", layer)],
        });
        let manifest = manifest.to_string().into_bytes();
        let mut entry = point("manifest.v1+json", &manifest);
        entry["platform"] = json!({ "architecture": "amd64", "os": "linux" });
        let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry] });
        let index = index.to_string().into_bytes();
        let mut shelf = self.shelf.lock().unwrap();
        let mut put = |name: String, kind: &str, bytes: &[u8]| {
            shelf.things.insert(name, (kind.into(), bytes.into()));
        };
        put("manifests/latest".into(), OCI_INDEX, &index);
        put(format!("manifests/{}", Digest::of(&index)), OCI_INDEX, &index);
        put(format!("manifests/{}", Digest::of(&manifest)), OCI_MANIFEST, &manifest);
        put(format!("blobs/{}", Digest::of(&config)), "application/octet-stream", &config);
        put(format!("blobs/{}", Digest::of(layer)), "application/octet-stream", layer);
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_step7"));
        command.env("SLIPWAY_HOME", &self.home);
        let image = format!("127.0.0.1:{}/test", self.port);
        command.args(["pull", "--quiet", "--platform", "linux/amd64", &image]);
        command
    }

    fn pull(&self) -> Output {
        self.command().output().unwrap()
    }

    /// Pulls, and gives the root filesystem.
    fn pulled(&self) -> PathBuf {
        let output = self.pull();
        assert!(output.status.success(), "{output:?}");
        PathBuf::from(String::from_utf8(output.stdout).unwrap().trim_end())
    }

    /// Pulls in vain, and gives the one line that says why.
    fn refused(&self) -> String {
        let output = self.pull();
        assert_eq!(output.status.code(), Some(125), "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "");
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert_eq!(complaint.lines().count(), 1, "{complaint}");
        let name = format!("127.0.0.1:{}/test", self.port);
        assert!(
            complaint.starts_with("step7: cannot ") && complaint.contains(&name),
            "{complaint}"
        );
        assert_eq!(self.entries("rootfs"), Vec::<String>::new());
        complaint
    }

    /// What lies in a directory of the store.
    fn entries(&self, directory: &str) -> Vec<String> {
        let entries = fs::read_dir(self.home.join(directory)).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.collect()
    }

    /// Where the layer's blob is.
    fn blob(&self) -> PathBuf {
        self.home.join("images/blobs/sha256").join(Digest::of(&layer()).hex())
    }

    /// How many requests there were that contain this.
    fn asked(&self, what: &str) -> usize {
        self.shelf.lock().unwrap().asked.iter().filter(|asked| asked.contains(what)).count()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.home);
    }
}

/// A tar archive with the file /hello, of 100,000 bytes.
fn layer() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(100_000);
    header.set_mode(0o644);
    tar.append_data(&mut header, "hello", &[b'x'; 100_000][..]).unwrap();
    tar.into_inner().unwrap()
}

/// Answers requests until the connection ends.
fn serve(stream: TcpStream, shelf: &Mutex<Shelf>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let mut stream = stream;
    while let Some(request) = lines.next() {
        let headers: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
        let range = headers.iter().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            let start = value.strip_prefix("bytes=")?.strip_suffix('-')?;
            name.eq_ignore_ascii_case("range").then(|| start.parse::<usize>().ok())?
        });
        let mut words = request.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let name = path.trim_start_matches("/v2/test/").to_string();
        let (found, stop_at, to_range) = {
            let mut shelf = shelf.lock().unwrap();
            shelf.asked.push(format!("{method} {name} from {}", range.unwrap_or(0)));
            let stop_at = shelf.stop_at.filter(|_| name.starts_with("blobs/"));
            (shelf.things.get(&name).cloned(), stop_at, shelf.to_range.filter(|_| range.is_some()))
        };
        if let Some(status) = to_range {
            let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
            continue;
        }
        let Some((kind, bytes)) = found else {
            let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
            continue;
        };
        let start = range.unwrap_or(0);
        let status = match range {
            Some(_) => format!(
                "206 Partial Content\r\nContent-Range: bytes {start}-{}/{}",
                bytes.len() - 1,
                bytes.len()
            ),
            None => "200 OK".into(),
        };
        let digest = Digest::of(&bytes);
        let mut header = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n",
            bytes.len() - start
        );
        if name.starts_with("manifests/") {
            header += &format!("Docker-Content-Digest: {digest}\r\n");
        }
        let body = if method == "HEAD" { &[] } else { &bytes[start..] };
        let (now, later) = body.split_at(stop_at.unwrap_or(body.len()).min(body.len()));
        let sent = stream.write_all(header.as_bytes()).and_then(|()| stream.write_all(b"\r\n"));
        if sent.and_then(|()| stream.write_all(now)).is_err() {
            return;
        }
        if !later.is_empty() {
            thread::sleep(Duration::from_secs(5));
            let _ = stream.write_all(later);
        }
    }
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).unwrap().len()
}

#[test]
fn an_image_arrives_once() {
    let registry = Registry::open();
    let rootfs = registry.pulled();
    assert_eq!(size(&rootfs.join("hello")), 100_000);
    assert_eq!(fs::metadata(&rootfs).unwrap().mode() & 0o7777, 0o755);
    let layout = registry.home.join("images");
    assert!(layout.join("oci-layout").exists());
    let index = fs::read_to_string(layout.join("index.json")).unwrap();
    assert!(index.contains(&format!("127.0.0.1:{}/test:latest", registry.port)), "{index}");
    assert_eq!((registry.asked("GET blobs/"), registry.asked("GET")), (2, 4));
    // The second time one question is enough: does the tag still stand for this?
    assert_eq!(registry.pulled(), rootfs);
    assert_eq!((registry.asked("GET"), registry.asked("HEAD")), (4, 2));
    assert_eq!(registry.entries("partial"), Vec::<String>::new());
}

#[test]
fn a_moved_tag_is_followed() {
    let registry = Registry::open();
    let first = registry.pulled();
    let mut other = layer();
    other.extend([0; 512]);
    registry.offer(&other, &Digest::of(&other));
    let second = registry.pulled();
    assert_ne!(first, second);
    assert!(first.exists() && second.exists());
}

#[test]
fn a_layer_that_was_tampered_with_is_refused_and_not_kept() {
    let registry = Registry::open();
    let (right, mut wrong) = (layer(), layer());
    wrong[600] = b'y';
    let name = format!("blobs/{}", Digest::of(&right));
    let offer = |bytes: &[u8]| {
        registry.shelf.lock().unwrap().things.get_mut(&name).unwrap().1 = bytes.to_vec();
    };
    offer(&wrong);
    let complaint = registry.refused();
    for digest in [Digest::of(&right), Digest::of(&wrong)] {
        assert!(complaint.contains(&digest.to_string()), "{complaint}");
    }
    assert!(!registry.home.join("images/blobs/sha256").join(Digest::of(&right).hex()).exists());
    assert!(!registry.home.join("partial").join(Digest::of(&right).hex()).exists());
    offer(&right);
    registry.pulled();
}

#[test]
fn a_layer_that_inflates_to_something_else_is_refused() {
    let registry = Registry::open();
    let other = Digest::of(b"something else");
    registry.offer(&layer(), &other);
    let complaint = registry.refused();
    for digest in [Digest::of(&layer()), other] {
        assert!(complaint.contains(&digest.to_string()), "{complaint}");
    }
    registry.offer(&layer(), &Digest::of(&layer()));
    registry.pulled();
}

#[test]
fn a_size_that_lies_is_refused_whether_the_blob_is_here_or_not() {
    for place in ["manifest", "config", "layer"] {
        for lie in [-1, 1] {
            let registry = Registry::open();
            let whole = layer();
            let lying = |kind: &str, entry: &mut Value| {
                if kind == place {
                    entry["size"] = (entry["size"].as_i64().unwrap() + lie).into();
                }
            };
            registry.offer_changed(&whole, &Digest::of(&whole), lying);
            registry.refused();
            // Now the layer and the config are in the store, and the manifest is, unless it is new.
            registry.offer(&whole, &Digest::of(&whole));
            registry.pulled();
            registry.offer_changed(&whole, &Digest::of(&whole), lying);
            let output = registry.pull();
            let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(125), "{place} {lie}: {output:?}");
            assert!(complaint.contains("bytes, and it has"), "{complaint}");
            // What is right is still there.
            registry.offer(&whole, &Digest::of(&whole));
            registry.pulled();
        }
    }
}

#[test]
fn a_blob_that_an_earlier_pull_left_is_measured_too() {
    let registry = Registry::open();
    let whole = layer();
    fs::create_dir_all(registry.home.join("partial")).unwrap();
    let left = registry.home.join("partial").join(Digest::of(&whole).hex());
    fs::write(&left, &whole).unwrap();
    registry.offer_changed(&whole, &Digest::of(&whole), |kind, entry| {
        if kind == "layer" {
            entry["size"] = 1.into();
        }
    });
    assert!(registry.refused().contains("has 1 bytes, and it has"));
    assert_eq!(fs::read(&left).unwrap(), whole);
}

/// Pulls until 60,000 bytes of the layer are there, and is killed.
fn cut_off(registry: &Registry) {
    registry.shelf.lock().unwrap().stop_at = Some(60_000);
    let mut pull = registry.command().spawn().unwrap();
    let partial = registry.home.join("partial").join(Digest::of(&layer()).hex());
    for _ in 0..1000 {
        if fs::metadata(&partial).is_ok_and(|metadata| metadata.len() == 60_000) {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    pull.kill().unwrap();
    pull.wait().unwrap();
    assert_eq!(size(&partial), 60_000);
    registry.shelf.lock().unwrap().stop_at = None;
}

#[test]
fn a_killed_pull_is_completed_by_the_next() {
    let registry = Registry::open();
    cut_off(&registry);
    let rootfs = registry.pulled();
    assert_eq!(size(&rootfs.join("hello")), 100_000);
    assert_eq!(registry.asked("from 60000"), 1);
}

#[test]
fn a_refused_resume_is_not_final() {
    for status in ["416 Range Not Satisfiable", "400 Bad Request", "403 Forbidden"] {
        let registry = Registry::open();
        cut_off(&registry);
        registry.shelf.lock().unwrap().to_range = Some(status);
        let rootfs = registry.pulled();
        assert_eq!(size(&rootfs.join("hello")), 100_000);
        assert_eq!(registry.asked("from 60000"), 1);
        assert_eq!(registry.asked(&format!("GET blobs/{} from 0", Digest::of(&layer()))), 2);
    }
}

#[test]
fn an_error_of_any_kind_names_the_image() {
    let registry = Registry::open();
    let put = |name: &str, bytes: &[u8]| {
        let mut shelf = registry.shelf.lock().unwrap();
        shelf.things.insert(name.into(), (OCI_MANIFEST.into(), bytes.into()));
    };
    put("manifests/latest", b"{}");
    assert!(registry.refused().contains("manifest"));
    put("manifests/latest", b"<html>");
    assert!(registry.refused().contains("web page"));
    registry.shelf.lock().unwrap().things.clear();
    assert!(registry.refused().contains("no such image"));
    registry.offer(&layer(), &Digest::of(b"another"));
    assert!(registry.refused().contains("instead of"));
    // It is no archive.
    registry.offer(&[b'x'; 1024], &Digest::of(&[b'x'; 1024]));
    registry.refused();
}

/// The file to which nothing can be written: no space.
fn full() -> Stdio {
    fs::OpenOptions::new().write(true).open("/dev/full").unwrap().into()
}

#[test]
fn output_that_nobody_takes_is_no_reason_to_panic() {
    let registry = Registry::open();
    let child = registry.command().stdout(full()).stderr(Stdio::piped()).spawn().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(125), "{output:?}");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(complaint.contains("standard output: No space left"), "{complaint}");
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    // What it says on the way is not what it is asked for.
    for image in ["test", "none"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_step7"));
        let image = format!("127.0.0.1:{}/{image}", registry.port);
        command.env("SLIPWAY_HOME", registry.home.join(&image)).stderr(full());
        let status = command.args(["pull", &image]).stdout(Stdio::null()).status().unwrap();
        assert_eq!(status.code(), Some(if image.ends_with("test") { 0 } else { 125 }));
    }
    // Closed, as by a daemon.
    for ends in [">&-", "2>&-", ">&- 2>&- <&-"] {
        let mut command = Command::new("sh");
        let script = format!("exec \"$0\" pull 127.0.0.1:{}/test {ends}", registry.port);
        command.args(["-c", &script, env!("CARGO_BIN_EXE_step7")]);
        let home = registry.home.join(ends);
        let output = command.env("SLIPWAY_HOME", home).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{ends}: {output:?}");
    }
}

#[test]
fn a_wrong_beginning_of_the_right_length_is_fetched_anew() {
    let registry = Registry::open();
    let partial = registry.home.join("partial");
    fs::create_dir_all(&partial).unwrap();
    // What a power cut can leave of a blob that was being fetched: its length.
    fs::write(partial.join(Digest::of(&layer()).hex()), vec![0; layer().len()]).unwrap();
    let rootfs = registry.pulled();
    assert_eq!(size(&rootfs.join("hello")), 100_000);
    assert_eq!(size(&registry.blob()), layer().len() as u64);
    assert_eq!(registry.asked(&format!("GET blobs/{}", Digest::of(&layer()))), 1);
}

#[test]
fn two_pulls_share_the_work() {
    let registry = Registry::open();
    let all: Vec<_> =
        (0..4).map(|_| registry.command().stdout(Stdio::null()).spawn().unwrap()).collect();
    for mut pull in all {
        assert!(pull.wait().unwrap().success());
    }
    assert_eq!(registry.asked(&format!("GET blobs/{}", Digest::of(&layer()))), 1);
    assert_eq!(registry.entries("rootfs").len(), 1);
}

#[test]
fn no_such_platform_lists_those_there_are() {
    let registry = Registry::open();
    let image = format!("127.0.0.1:{}/test", registry.port);
    let mut command = Command::new(env!("CARGO_BIN_EXE_step7"));
    command.env("SLIPWAY_HOME", &registry.home);
    let output = command.args(["pull", "--platform", "linux/s390x", &image]).output().unwrap();
    assert_eq!(output.status.code(), Some(125));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(complaint.contains("linux/amd64") && complaint.contains("s390x"), "{complaint}");
}
