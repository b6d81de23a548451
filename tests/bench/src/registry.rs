//! A registry on loopback: Debian's docker-registry, whose log counts the requests.

use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::prctl;
use nix::sys::signal::Signal;

/// How long it may take to start, and to write down what it has answered.
const PATIENCE: Duration = Duration::from_secs(20);

/// One that runs until this is dropped.
pub struct Registry {
    child: Child,
    log: PathBuf,
    /// `127.0.0.1:PORT`
    pub address: String,
}

impl Registry {
    /// Serves what lies in `storage`.
    pub fn start(program: &Path, storage: &Path, scratch: &Path) -> Result<Registry, String> {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = free.map_err(|error| format!("no free port: {error}"))?.to_string();
        let config = scratch.join("registry.yml");
        let text = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {storage:?}}}, \
             maintenance: {{readonly: {{enabled: true}}}}}}\nhttp: {{addr: {address:?}}}\n"
        );
        fs::write(&config, text).map_err(|error| format!("cannot write {config:?}: {error}"))?;
        let log = scratch.join("registry.log");
        let file =
            fs::File::create(&log).map_err(|error| format!("cannot write {log:?}: {error}"))?;
        let mut command = Command::new(program);
        command.arg("serve").arg(&config).env_clear().stdin(Stdio::null());
        command.stdout(file.try_clone().map_err(|error| error.to_string())?).stderr(file);
        // SAFETY: between fork and exec it makes one system call.
        unsafe { command.pre_exec(|| Ok(prctl::set_pdeathsig(Signal::SIGKILL)?)) };
        let child = command.spawn().map_err(|error| format!("cannot run {program:?}: {error}"))?;
        let registry = Registry { child, log, address };
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect(&registry.address).is_err() {
            if Instant::now() > end {
                return Err(format!("docker-registry does not start; see {:?}", registry.log));
            }
            sleep(Duration::from_millis(50));
        }
        Ok(registry)
    }

    /// What counts the requests.
    pub fn counter(&self) -> Counter {
        Counter { log: self.log.clone(), address: self.address.clone() }
    }
}

/// Counts the requests in a registry's log.
#[derive(Clone)]
pub struct Counter {
    log: PathBuf,
    address: String,
}

impl Counter {
    /// How many requests it has answered so far.
    pub fn answered(&self) -> u64 {
        // When a last one, of our own, is in the log, all that came before are there, too.
        let mark = format!("/v2/mark-{:016x}", fastrand::u64(..));
        let request = format!("GET {mark} HTTP/1.0\r\n\r\n");
        let asked = TcpStream::connect(&self.address);
        let asked = asked.and_then(|mut asked| asked.write_all(request.as_bytes()));
        asked.expect("the registry runs until the bench ends");
        let end = Instant::now() + PATIENCE;
        loop {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            if log.contains(&mark) {
                // The lines in Apache's form, one for each request.
                let is_answer = |line: &&str| line.contains("] \"") && line.contains(" /v2/");
                let answers = log.lines().filter(is_answer);
                return answers.filter(|line| !line.contains("/v2/mark-")).count() as u64;
            }
            assert!(Instant::now() < end, "the registry writes no log");
            sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
