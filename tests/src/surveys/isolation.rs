//! What a container of each step sees: its own, or the host's.

use std::collections::BTreeMap;
use std::fs;

use nix::unistd::{Pid, gethostname};

use super::columns::{columns, table};
use super::{engine, limits};
use crate::checks::Engine;
use crate::checks::failure::Failure;
use crate::checks::fixture::{inside, outside};
use crate::checks::running::Running;

/// What the container is asked: a line each, KEY=VALUE. The shell answers all of it itself, so that no other process is
/// there to be counted.
const PROBE: &str = include_str!("isolation.sh");

/// The namespaces, as /proc/PID/ns has them and as one says.
const NAMESPACES: [(&str, &str); 7] = [
    ("uts", "UTS namespace"),
    ("pid", "PID namespace"),
    ("mnt", "mount namespace"),
    ("ipc", "IPC namespace"),
    ("user", "user namespace"),
    ("cgroup", "cgroup namespace"),
    ("net", "network namespace"),
];

/// A question, and the answer.
type Row = (&'static str, String);

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
    Ok(table("asked", &rows))
}

/// Starts a container, lets it answer, and looks at it from the host meanwhile.
fn ask(engine: &Engine) -> Result<Vec<Row>, Failure> {
    let line = [limits(engine), vec!["/bin/sh", "-c", PROBE]].concat();
    let running = Running::start(engine.command(line))?;
    let mut said = BTreeMap::new();
    loop {
        let line = running.line("KEY=VALUE, or the end")?;
        let Some((key, value)) = line.split_once('=') else { break };
        said.insert(key.to_string(), value.to_string());
    }
    let said = |key: &str| said.get(key).cloned().unwrap_or_default();
    // Step 0 becomes the command; all others start it.
    let pid = if engine.step == 0 { running.pid() } else { running.inner()? };
    let own = |kind: &str| -> Result<bool, Failure> {
        let name = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/{kind}"));
        Ok(name(&pid.to_string())? != name("self")?)
    };

    let mut rows = vec![
        ("process id", own_or_hosts(said("pid"), own("pid")?)),
        ("hostname", own_or_hosts(said("hostname"), said("hostname") != hostname())),
        ("processes it sees", own_or_hosts(said("processes"), own("pid")?)),
        ("mounts it sees", mounts(pid, own("mnt")?)?),
        ("files in /", files(&said("where")).into()),
        ("user id inside", said("uid")),
        ("user id outside", status(pid, "Uid")?),
        ("user ids it has", ids(pid)?),
        ("capabilities", capabilities(pid, own("user")?)?),
        ("seccomp filter", if status(pid, "Seccomp")? == "0" { "none" } else { "yes" }.into()),
        ("memory limit", limit(pid, "memory.max")?),
        ("processor limit", limit(pid, "cpu.max")?),
        ("limit on processes", limit(pid, "pids.max")?),
        ("its cgroup as it sees it", own_or_hosts(said("cgroup"), own("cgroup")?)),
    ];
    for (kind, question) in NAMESPACES {
        rows.push((question, if own(kind)? { "own" } else { HOSTS }.into()));
    }
    rows.push(("network interfaces", interfaces(pid, own("net")?)?));
    Ok(rows)
}

const HOSTS: &str = "the host's";

/// What is its own stays the same from run to run; what is the host's need not.
fn own_or_hosts(answer: String, own: bool) -> String {
    match (answer.as_str(), own) {
        ("", _) => "no /proc".into(),
        (_, true) => answer,
        (_, false) => HOSTS.into(),
    }
}

fn hostname() -> String {
    gethostname().unwrap_or_default().to_string_lossy().into_owned()
}

/// What the fixture's file says that tells one root directory from the other.
fn files(place: &str) -> &'static str {
    match place {
        place if place == outside() => HOSTS,
        place if place == inside() => "own",
        _ => "neither",
    }
}

/// A line of /proc/PID/status, up to the first blank of its value.
fn status(pid: Pid, key: &str) -> Result<String, Failure> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let value = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(":\t"));
    Ok(value.and_then(|value| value.split_whitespace().next()).unwrap_or_default().to_string())
}

/// How many ids its user namespace has.
fn ids(pid: Pid) -> Result<String, Failure> {
    let map = fs::read_to_string(format!("/proc/{pid}/uid_map"))?;
    let count = map.lines().filter_map(|line| line.split_whitespace().nth(2)?.parse::<u32>().ok());
    // The last number is no id.
    Ok(match count.sum() {
        u32::MAX => "all".into(),
        count => count.to_string(),
    })
}

fn mounts(pid: Pid, own: bool) -> Result<String, Failure> {
    let seen = fs::read_to_string(format!("/proc/{pid}/mountinfo"))?.lines().count();
    Ok(match own {
        true => seen.to_string(),
        // Below another root directory, those of the host's that are in it.
        false if seen == 0 => "none of the host's".into(),
        false => HOSTS.into(),
    })
}

fn capabilities(pid: Pid, own: bool) -> Result<String, Failure> {
    let text = status(pid, "CapEff")?;
    let set = u64::from_str_radix(&text, 16)
        .map_err(|error| Failure::new("CapEff", "a number in hexadecimal", error))?;
    let over = if own { "inside" } else { "over the host" };
    Ok(format!("{} {over}", set.count_ones()))
}

/// What a file of its cgroup says; where there is none, the cgroup has no limit.
fn limit(pid: Pid, file: &str) -> Result<String, Failure> {
    let cgroup = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    let path = cgroup.trim().strip_prefix("0::").unwrap_or_default().to_string();
    let text = fs::read_to_string(format!("/sys/fs/cgroup{path}/{file}")).unwrap_or_default();
    let number = |text: &str| text.parse::<u64>().ok();
    let words: Vec<&str> = text.split_whitespace().collect();
    Ok(match words[..] {
        [value, period] if let (Some(value), Some(period)) = (number(value), number(period)) => {
            format!("{} %", value * 100 / period)
        }
        [bytes] if file == "memory.max" && number(bytes).is_some() => {
            format!("{} MiB", number(bytes).unwrap_or_default() >> 20)
        }
        [value] if number(value).is_some() => value.to_string(),
        _ => "none".into(),
    })
}

fn interfaces(pid: Pid, own: bool) -> Result<String, Failure> {
    let text = fs::read_to_string(format!("/proc/{pid}/net/dev"))?;
    let names = text.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim());
    let names = names.collect::<Vec<_>>().join(", ");
    Ok(if own { names } else { format!("{HOSTS}: {names}") })
}
