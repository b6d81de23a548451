//! Chromium, and the DevTools protocol with it: JSON with a zero byte behind it, over two pipes. The crates for this
//! protocol bring a type for each of its thousand messages, and some minutes of building; we use a dozen.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;
use std::{env, fs};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tempfile::TempDir;

/// What is not answered by then never is.
const PATIENCE: Duration = Duration::from_secs(60);

/// It shows our own pages alone, so it needs no sandbox, which root cannot have, nor users on some machines. It finds no
/// host but this one, so that a page that asks another one fails here as it does without a network.
const FLAGS: [&str; 8] = [
    "--headless",
    "--no-sandbox",
    "--remote-debugging-pipe",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--no-first-run",
];

/// A browser with one tab. It ends when this is dropped.
pub struct Chromium {
    process: Child,
    commands: ChildStdin,
    messages: Receiver<Value>,
    /// What has happened in the tab and was not asked for yet.
    events: VecDeque<Value>,
    session: Option<String>,
    last: u64,
    /// Its settings, cache and what it says of itself.
    profile: TempDir,
}

impl Chromium {
    pub fn start() -> Result<Chromium> {
        let program = program().context(
            "no chromium on PATH; on Debian: sudo apt-get install chromium (on Ubuntu: sudo snap install chromium)",
        )?;
        let profile = tempfile::tempdir()?;
        let log = fs::File::create(profile.path().join("log"))?;
        // It reads commands from descriptor 3 and answers on descriptor 4.
        let mut process = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >&2"])
            .arg(&program)
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .with_context(|| format!("start {program:?}"))?;
        let commands = process.stdin.take().context("its input is a pipe")?;
        let answers = process.stdout.take().context("its output is a pipe")?;
        let (sender, messages) = channel();
        thread::spawn(move || {
            for message in BufReader::new(answers).split(0) {
                let message = message.ok().and_then(|text| serde_json::from_slice(&text).ok());
                if message.is_none_or(|message| sender.send(message).is_err()) {
                    break;
                }
            }
        });
        let events = VecDeque::new();
        let mut chromium =
            Chromium { process, commands, messages, events, session: None, last: 0, profile };
        let tab = chromium.call("Target.createTarget", json!({"url": "about:blank"}))?;
        let target = json!({"targetId": tab["targetId"], "flatten": true});
        let session = chromium.call("Target.attachToTarget", target)?;
        chromium.session = session["sessionId"].as_str().map(String::from);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            chromium.call(&format!("{domain}.enable"), json!({}))?;
        }
        chromium.call("Page.setLifecycleEventsEnabled", json!({"enabled": true}))?;
        Ok(chromium)
    }

    /// Sends a command and returns its result.
    pub fn call(&mut self, method: &str, parameters: Value) -> Result<Value> {
        let id = self.send(method, parameters)?;
        loop {
            let mut message = self.receive().with_context(|| format!("wait for {method}"))?;
            if message["id"] != id {
                self.events.push_back(message);
            } else if message["error"].is_null() {
                return Ok(message["result"].take());
            } else {
                bail!("{method}: {}", message["error"]);
            }
        }
    }

    /// Sends a command, and leaves its answer among the events.
    pub fn send(&mut self, method: &str, parameters: Value) -> Result<u64> {
        self.last += 1;
        let mut message = json!({"id": self.last, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        // If it has ended, the answer that does not come tells why.
        let _ = self.commands.write_all(format!("{message}\0").as_bytes());
        Ok(self.last)
    }

    /// The next event, which may have happened already.
    pub fn event(&mut self) -> Result<Value> {
        self.events.pop_front().map_or_else(|| self.receive(), Ok)
    }

    /// All that has happened until now.
    pub fn events(&mut self) -> Vec<Value> {
        self.events.extend(self.messages.try_iter());
        self.events.drain(..).collect()
    }

    fn receive(&mut self) -> Result<Value> {
        self.messages.recv_timeout(PATIENCE).or_else(|_| {
            let log = fs::read_to_string(self.profile.path().join("log")).unwrap_or_default();
            let word = log.lines().rfind(|line| line.contains("ERROR") || line.contains("FATAL"));
            bail!("Chromium does not answer: {}", word.unwrap_or("it does not say why"))
        })
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        self.session = None;
        let _ = self.call("Browser.close", json!({}));
        let _ = self.process.wait();
    }
}

fn program() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join("chromium")).find(|file| file.is_file())
}
