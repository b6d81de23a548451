//! One run of a program: how long it took, what it cost the processors, how much memory it had.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::iter;
use std::mem::zeroed;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How often the processes of a long run are looked at.
const LOOK: Duration = Duration::from_millis(10);

/// What one run took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    /// Milliseconds by the clock on the wall.
    pub wall: f64,
    /// Milliseconds of processor time, of all its processes, in the kernel and outside.
    pub cpu: f64,
    /// KiB, or 0 if nobody looked: the peaks of all its processes, added up. So they never had more
    /// at a time.
    pub peak: u64,
    /// Requests to the registry.
    pub trips: u64,
}

/// Runs a command to its end. One that fails is an error, with its last line.
///
/// `log` is a file for what it says. With `look` its processes' memory is looked at all the time.
/// (What wait4 tells of it would be our own, if that is more: a child begins as a copy of us.)
pub fn run(command: &mut Command, log: &Path, look: bool) -> Result<Sample, String> {
    run_all(vec![command], log, look)
}

/// Starts all commands, one after the other, and waits until all have ended.
pub fn run_all(commands: Vec<&mut Command>, log: &Path, look: bool) -> Result<Sample, String> {
    let file = File::create(log).map_err(|error| format!("cannot create {log:?}: {error}"))?;
    let name = commands[0].get_program().to_string_lossy().into_owned();
    let began = Instant::now();
    let mut children = Vec::new();
    for command in commands {
        let err = file.try_clone().map_err(|error| error.to_string())?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(err);
        let child = command.spawn().map_err(|error| format!("cannot start {name}: {error}"))?;
        children.push(child.id());
    }
    let ended = AtomicBool::new(false);
    let (ends, wall, peak) = thread::scope(|scope| {
        let watching = look.then(|| scope.spawn(|| watch(&children, &ended)));
        let ends: Vec<(bool, f64)> = children.iter().map(|child| wait(*child)).collect();
        let wall = began.elapsed();
        ended.store(true, Ordering::Relaxed);
        let peak = watching.and_then(|watching| watching.join().ok()).unwrap_or_default();
        (ends, wall, peak)
    });
    if ends.iter().any(|(succeeded, _)| !succeeded) {
        let said = fs::read_to_string(log).unwrap_or_default();
        let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it says nothing");
        return Err(last.trim().to_string());
    }
    let cpu = ends.iter().map(|(_, cpu)| cpu).sum::<f64>() + reap_orphans(look);
    Ok(Sample { wall: wall.as_secs_f64() * 1e3, cpu, peak, trips: 0 })
}

/// Waits for a child: whether it succeeded, and milliseconds of processor time, its own and that of
/// the processes that it has waited for (getrusage(2)).
fn wait(child: u32) -> (bool, f64) {
    loop {
        if let Some(end) = reap(child as i32, 0) {
            return end;
        }
        let error = io::Error::last_os_error();
        assert_eq!(error.raw_os_error(), Some(libc::EINTR), "wait4 for our own child: {error}");
    }
}

/// Lets us get the processes that the measured ones leave to themselves.
pub fn adopt_orphans() {
    nix::sys::prctl::set_child_subreaper(true).expect("Linux can since 3.4");
}

/// Their processor time, in milliseconds. They get some time to end: bubblewrap, for instance, does
/// not wait for its container's first process.
fn reap_orphans(patiently: bool) -> f64 {
    thread::sleep(if patiently { 5 * LOOK } else { LOOK });
    iter::from_fn(|| reap(-1, libc::WNOHANG)).map(|(_, cpu)| cpu).sum()
}

/// The end of a child, or of any if it is -1; None if there is none.
fn reap(child: i32, options: i32) -> Option<(bool, f64)> {
    let mut status = 0;
    // SAFETY: a structure of numbers.
    let mut usage: libc::rusage = unsafe { zeroed() };
    // SAFETY: both are ours, and the call writes no more than they hold.
    let ended = unsafe { libc::wait4(child, &mut status, options, &mut usage) };
    let ms = |time: libc::timeval| time.tv_sec as f64 * 1e3 + time.tv_usec as f64 / 1e3;
    let succeeded = libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0;
    (ended > 0).then(|| (succeeded, ms(usage.ru_utime) + ms(usage.ru_stime)))
}

/// Looks at processes and all below them until told that they have ended: the sum of their peaks, in
/// KiB.
fn watch(roots: &[u32], ended: &AtomicBool) -> u64 {
    let mut peaks: HashMap<u32, u64> = HashMap::new();
    while !ended.load(Ordering::Relaxed) {
        for root in roots {
            look_at(*root, &mut peaks);
        }
        thread::sleep(LOOK);
    }
    peaks.values().sum()
}

fn look_at(process: u32, peaks: &mut HashMap<u32, u64>) {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    if let Some(peak) = peak.and_then(|peak| peak.split_whitespace().next()?.parse().ok()) {
        peaks.insert(process, peak);
    }
    for task in fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten() {
        let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|child| child.parse().ok()) {
            look_at(child, peaks);
        }
    }
}
