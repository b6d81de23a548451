//! A VM in a file, as it was when all had booted but the payload: to go on from there takes a second, to boot five.
//!
//! It is made by QEMU's live migration, to a file in place of another machine, and is good for the one QEMU and the one
//! virtual machine that made it.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use shared::{Error, Explain};

/// How the file's name begins; the rest stands for what it is good for. A kit leaves it out (rootfs-scripts/kit/make).
const PREFIX: &str = "saved-";

/// QEMU's monitor answers at once.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// The file of this virtual machine, whether it is there yet or not.
pub fn file(image: &Path, machine: &str) -> Result<PathBuf, Error> {
    let mut hasher = DefaultHasher::new();
    (qemu_version()?, machine).hash(&mut hasher);
    Ok(image.join(format!("{PREFIX}{:016x}", hasher.finish())))
}

/// What QEMU says about itself.
pub fn qemu_version() -> Result<Vec<u8>, Error> {
    let version = Command::new("qemu-system-x86_64").arg("--version").output();
    Ok(version.explain("run qemu-system-x86_64")?.stdout)
}

/// Makes the file by `save`, which is given a name to write to. Of two who do so at a time the later one's stays.
pub fn make(file: &Path, save: impl FnOnce(&str) -> Result<(), Error>) -> Result<(), Error> {
    let runner = std::process::id();
    let partial = file.with_extension(runner.to_string());
    let target = File::create(&partial).explain(format_args!("write {}", partial.display()))?;
    let made = save(&format!("/proc/{runner}/fd/{}", target.as_raw_fd())).and_then(|()| {
        fs::rename(&partial, file).explain(format_args!("rename {}", partial.display()))
    });
    match made {
        Ok(()) => remove_others(file),
        Err(_) => drop(fs::remove_file(&partial)),
    }
    made
}

/// Of another QEMU or another machine, or of one who was killed.
fn remove_others(file: &Path) {
    let entries = file.parent().and_then(|image| image.read_dir().ok());
    for other in entries.into_iter().flatten().flatten().map(|entry| entry.path()) {
        let name = other.file_name().unwrap_or_default();
        if name.as_encoded_bytes().starts_with(PREFIX.as_bytes()) && other != file {
            let _ = fs::remove_file(&other);
        }
    }
}

/// Has QEMU write its machine's state to the file of that name, and go on.
pub fn save(monitor: &UnixStream, name: &str) -> Result<(), Error> {
    monitor.set_read_timeout(Some(ANSWER_LIMIT)).explain("set a time limit for QEMU's monitor")?;
    let mut monitor = BufReader::new(monitor);
    ask(&mut monitor, &json!({"execute": "qmp_capabilities"}))?;
    let uri = format!("exec:cat > {name}");
    ask(&mut monitor, &json!({"execute": "migrate", "arguments": {"uri": uri}}))?;
    loop {
        let state = ask(&mut monitor, &json!({"execute": "query-migrate"}))?;
        match state["status"].as_str() {
            Some("completed") => break,
            Some("failed" | "cancelled") | None => {
                return Err(Error::new(format!("the VM cannot be saved: {state}")));
            }
            Some(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
    ask(&mut monitor, &json!({"execute": "cont"}))?;
    Ok(())
}

/// Asks QEMU's monitor (the QEMU Machine Protocol: a line of JSON each way, and events in between).
fn ask(monitor: &mut BufReader<&UnixStream>, request: &Value) -> Result<Value, Error> {
    writeln!(monitor.get_mut(), "{request}").explain("write to QEMU's monitor")?;
    loop {
        let mut line = String::new();
        monitor.read_line(&mut line).explain("read from QEMU's monitor")?;
        let mut answer: Value = serde_json::from_str(&line)
            .map_err(|_| Error::new(format!("QEMU's monitor says {line:?}")))?;
        if answer["error"].is_object() {
            return Err(Error::new(format!(
                "QEMU's monitor does not {request}: {}",
                answer["error"]
            )));
        }
        if !answer["return"].is_null() {
            return Ok(answer["return"].take());
        }
    }
}

/// What a guest that goes on is told, in one line: the time, in seconds since 1970; something random, for what it had was
/// saved, too; and of how many blocks its payload is.
pub fn news(blocks: u64) -> Result<String, Error> {
    let mut random = [0; 32];
    let read = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut random));
    read.explain("read /dev/urandom")?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let random: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{} {random} {blocks}\n", now.as_secs()))
}
