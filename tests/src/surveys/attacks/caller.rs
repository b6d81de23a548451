//! Attacks on the caller's terminal, on services of the host, and on the kernel itself.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use std::fs;

use super::attempt::{Attempt, Ending, group};
use crate::checks::Caller;
use crate::checks::failure::{Failure, require};
use crate::checks::terminal::Terminal;

/// The caller's terminal reads the secret, though nobody has typed it.
pub fn terminal(attempt: &Attempt) -> Result<Ending, Failure> {
    let command = attempt.command(&[], &[attempt.secret]);
    let engine = [command.get_program()].into_iter().chain(command.get_args());
    let script = r#""$@"; read -r -t 1 line; echo "got=$line""#;
    let argv = ["/bin/bash", "-c", script, "bash"].map(String::from).into_iter();
    let argv: Vec<String> =
        argv.chain(engine.map(|word| word.to_string_lossy().into_owned())).collect();
    let mut terminal = Terminal::start(attempt.engine, &argv)?;
    let complaints = terminal.wait_for("got=")?;
    let works = terminal.wait_for("\r\n")?.contains(attempt.secret);
    Ok(Ending::of(works, &complaints, "nothing arrives"))
}

/// A service on the host's own address, and one with a name instead of an address.
pub fn network(attempt: &Attempt) -> Result<Ending, Failure> {
    let tcp = TcpListener::bind("127.0.0.1:0")?;
    let unix = UnixListener::bind_addr(&SocketAddr::from_abstract_name(attempt.secret)?)?;
    tcp.set_nonblocking(true)?;
    unix.set_nonblocking(true)?;
    let outcome = attempt.run(&[&tcp.local_addr()?.port().to_string(), attempt.secret])?;
    let came = [tcp.accept().map(drop), unix.accept().map(drop)].map(|result| match result {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    });
    let [tcp, unix] = came;
    let (tcp, unix) = (tcp?, unix?);
    // Both belong to the network namespace: a table with one row for them says so.
    let seen = format!("TCP: {tcp}, abstract: {unix}");
    require(tcp == unix, &outcome.tried, "both services reached, or none", seen)?;
    Ok(Ending::of(tcp, &outcome.stderr, "not reached"))
}

/// An ordinary user of the container gets all capabilities, in a user namespace more.
pub fn user_namespace(attempt: &Attempt) -> Result<Ending, Failure> {
    let last: u32 =
        fs::read_to_string("/proc/sys/kernel/cap_last_cap")?.trim().parse().unwrap_or_default();
    let all = format!("CapEff:\t{:016x}", (1u64 << (last + 1)) - 1);
    // The container's user 1000, as the host sees it.
    let id = match attempt.engine.caller {
        Caller::Root => 1000,
        Caller::Ada => 100_000 + 1000 - 1,
    };
    let owner = format!("Uid:\t{id}\t");
    let watched = attempt.watch(&[], |leader| {
        let has_all = |pid: &_| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            status.contains(&all) && status.contains(&owner)
        };
        Ok(group(leader).iter().any(has_all))
    })?;
    Ok(Ending::of(watched.seen, &watched.complaints, "no capabilities"))
}
