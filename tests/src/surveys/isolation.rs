//! What a container of each step sees: its own, or the host's.

use super::{columns, engine, table};
use crate::checks::Engine;
use crate::checks::failure::Failure;

/// The kinds of namespaces, as /proc/PID/ns names them.
const NAMESPACES: [(&str, &str); 7] = [
    ("uts", "UTS namespace"),
    ("pid", "PID namespace"),
    ("mnt", "mount namespace"),
    ("ipc", "IPC namespace"),
    ("user", "user namespace"),
    ("cgroup", "cgroup namespace"),
    ("net", "network namespace"),
];

/// What was asked, and the answer.
type Answers = Vec<(&'static str, String)>;

/// The table.
pub fn run() -> Result<String, Failure> {
    let mut rows: Vec<Vec<String>> = Vec::new();
    for (step, caller) in columns() {
        for (at, (question, answer)) in ask(&engine(step, caller)?)?.into_iter().enumerate() {
            if rows.len() <= at {
                rows.push(vec![question.to_string()]);
            }
            rows[at].push(answer);
        }
    }
    Ok(table("asked inside", &rows))
}

fn ask(engine: &Engine) -> Result<Answers, Failure> {
    let (running, [pid, _]) = engine.start_catching(0)?;
    let seen_outside = running.inner()?.as_raw();
    let number = if pid == seen_outside { "the host's".into() } else { pid.to_string() };
    let mut answers = vec![("process id", number)];
    for (kind, question) in NAMESPACES {
        let [inside, outside] = running.namespaces(kind)?;
        let whose = if inside == outside { "the host's" } else { "own" };
        answers.push((question, whose.into()));
    }
    Ok(answers)
}
