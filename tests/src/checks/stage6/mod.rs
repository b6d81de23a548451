//! Stage 6: limits that hold.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};

use super::draw;
use super::engine::{Engine, Outcome, patience};
use super::failure::{Failure, Verdict, equal, require};
use super::fixture::{ROOTFS, own};
use super::machine::Machine;
use super::refusals;
use super::running::{Running, eventually, within};
use super::stage4::options;

mod left;
mod places;

use left::{
    killed_engine_leaves_none, leaves_no_cgroup, leaves_others_processes, nested_cgroups,
    of_its_own_number, others_stay, without_cgroup_kill,
};
use places::{
    beside_a_busy_cgroup, beside_a_threaded_cgroup, from_the_top, not_delegated, nowhere_to_divide,
    version_1,
};

promises! { stage 6:
    sizes_are_checked "--memory: 0, negative, too large or no size: status 125, and what a size is"
    cpus_are_checked "--cpus: 0, negative, no number or more than there are: status 125, and why"
    pids_are_checked "--pids: 0, negative, no number or too many: status 125, and the range"
    not_kept "a limit that the kernel does not keep: status 125, nothing run and nothing left"
    least_and_most "what is just allowed: 6M of memory, a hundredth of a processor, all of them, one process"
    limits_are_set "the limits stand in the cgroup's files, and so does that there is no swap"
    sees_its_limits "the container sees itself as /, with its limits, in a read-only /sys/fs/cgroup"
    strict_sys "in its /sys nothing else is, and the mounts there have their flags, mode and size"
    refused_calls_with_limits "a system call that fails is told, and the command does not start: status 125"
    cgroup_namespace "without limits: a cgroup namespace all the same, and no cgroup"
    no_inner_processes "the command, and nobody else, is in a cgroup of its own; none in an inner one"
    memory_limit "too much memory: killed, 137, and a line that says why"
    memory_events "the kernel counts the kill"
    dies_as_one "when memory runs out all processes of the container end"
    cpu_limit "a busy loop under --cpus 0.5 gets half of a processor"
    pids_limit "no more processes than --pids"
    fork_bomb "a fork bomb stays inside, and the machine answers meanwhile"
    together "all limits together"
    holds_against_root "root inside can't raise a limit, even on a cgroup file system of its own"
    other_deaths "a command killed by somebody else: 137, and nothing said about memory"
    leaves_no_cgroup "no cgroup is left when the container ends by itself or by a signal"
    nested_cgroups "nor when the container has made some, as deep and as many as it may"
    without_cgroup_kill "nor before Linux 5.14, which has no cgroup.kill"
    killed_engine_leaves_none "after a SIGKILL for the engine: none from the next start on"
    of_its_own_number "nor one that an engine with the same process id has left"
    others_stay "and never another container's cgroup"
    leaves_others_processes until 7 for Root "nor, before Linux 5.14, a process of another PID namespace"
    gone_at_once "a container that has ended keeps nobody waiting"
    twenty_with_limits "twenty containers with limits at once"
    beside_a_busy_cgroup for Root "where the caller's cgroup has processes in it, the next one above serves"
    beside_a_threaded_cgroup for Root "and where it is one for threads"
    from_the_top for Root "controllers that nobody has handed down so far come from the top"
    nowhere_to_divide for Root "where each cgroup has processes in it: status 125, and how to get another"
    not_delegated for Ada "a caller without a cgroup to give: status 125, and how to get one"
    version_1 "without cgroup v2: status 125, nothing run; without limits it runs"
    nested_limits until 7 "a limit inside a container: status 125, and why not"
    nested_without until 7 "without limits a container in a container works"
}

/// Requires of each value of an option that it is refused in one line with these words.
fn refuses(engine: &Engine, option: &str, values: &[&str], words: &[&str]) -> Verdict {
    values.iter().try_for_each(|value| {
        let outcome = engine.run([option, value, "/bin/echo", "started"])?;
        let quoted = format!("'{value}'");
        let words = [words, &[option, &quoted]].concat();
        outcome.ends_with(125)?.prints("")?.complains_of(&words)
    })
}

fn sizes_are_checked(engine: &Engine) -> Verdict {
    refuses(engine, "--memory", &["64X", "-1", "1.5G", "M", "64MB"], &["K, M or G"])?;
    refuses(engine, "--memory", &["0", "5M"], &["6 MiB at least"])?;
    refuses(engine, "--memory", &["99999999999G", "9999999999999999999999"], &["more than"])
}

fn cpus_are_checked(engine: &Engine) -> Verdict {
    refuses(engine, "--cpus", &["-1", "two", "1e9", "inf", "nan", "."], &["0.5"])?;
    refuses(engine, "--cpus", &["0", "0.001"], &["the least is 0.01"])?;
    let most = thread::available_parallelism()?.get();
    let too_many = [&format!("{most}.1"), "1000000"];
    refuses(engine, "--cpus", &too_many, &[&format!("this machine has {most}")])
}

fn pids_are_checked(engine: &Engine) -> Verdict {
    refuses(engine, "--pids", &["0", "-1", "4194305", "many", "1.5"], &["from 1 to 4194304"])
}

fn not_kept(engine: &Engine) -> Verdict {
    // In pages this is the kernel's word for "no limit", and it says so: `max`.
    let most = i64::MAX.to_string();
    let outcome = engine.run(["--memory", &most, "/bin/echo", "started"])?;
    outcome.ends_with(125)?.prints("")?.complains_of(&["memory.max", "reads \"max\" after"])
}

fn least_and_most(engine: &Engine) -> Verdict {
    engine.run(["--memory", "6M", "/bin/true"])?.ends_with(0)?;
    // Of another option is complained alone. (With so little of a processor a container takes its time.)
    let cpus = thread::available_parallelism()?.get().to_string();
    let most = i64::MAX.to_string();
    for option in [["--cpus", "0.01"], ["--cpus", &cpus], ["--pids", "1"]] {
        let rest = ["--memory", &most, "/bin/echo", "started"];
        let outcome = engine.run(option.into_iter().chain(rest))?;
        outcome.ends_with(125)?.prints("")?.complains_of(&["memory.max"])?;
    }
    // A hundredth is no sum of halves, quarters and so on.
    let args = ["--cpus", "0.29", "/bin/cat", "/sys/fs/cgroup/cpu.max"];
    engine.run(args)?.ends_with(0)?.prints("29000 100000\n")?;
    Ok(())
}

/// Limits, as they are drawn: MiB, tenths of a processor, processes.
fn drawn() -> [u32; 3] {
    [draw::number("MiB", 40..=90), draw::number("tenths", 3..=7), draw::number("pids", 20..=60)]
}

/// All limits, as options.
fn all() -> [&'static str; 6] {
    static ALL: OnceLock<[String; 3]> = OnceLock::new();
    let [memory, cpus, pids] = ALL.get_or_init(|| {
        let [memory, tenths, pids] = drawn();
        [format!("{memory}M"), format!("0.{tenths}"), pids.to_string()]
    });
    ["--memory", memory, "--cpus", cpus, "--pids", pids]
}

/// What stands in the files of a cgroup when these limits are set.
fn set() -> [(&'static str, String); 5] {
    let [memory, tenths, pids] = drawn();
    [
        ("memory.max", (memory << 20).to_string()),
        ("memory.swap.max", "0".into()),
        ("memory.oom.group", "1".into()),
        ("cpu.max", format!("{} 100000", tenths * 10_000)),
        ("pids.max", pids.to_string()),
    ]
}

/// Starts `probe catch` with options before it, and finds the cgroup of the command.
fn start_in_cgroup(engine: &Engine, options: &[&str]) -> Result<(Running, PathBuf), Failure> {
    let args = [options, &["/bin/probe", "catch", "23"]].concat();
    let running = Running::start(engine.command(args))?;
    running.line("two process ids")?;
    let cgroup = cgroup_of(&running.inner()?.to_string())?;
    Ok((running, cgroup))
}

/// The folder of the cgroup that a process is in.
fn cgroup_of(pid: &str) -> Result<PathBuf, Failure> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    let path = text.trim().strip_prefix("0::/").unwrap_or_default();
    Ok(Path::new("/sys/fs/cgroup").join(path))
}

/// The cgroup, and those that it lies in, from below to the checks' own: what the engine made.
fn made_by_engine(cgroup: &Path) -> Result<Vec<PathBuf>, Failure> {
    let own = cgroup_of("self")?;
    let is_ours = |group: &&Path| !own.starts_with(group) && group.starts_with("/sys/fs/cgroup");
    Ok(cgroup.ancestors().filter(is_ours).map(Path::to_owned).collect())
}

fn limits_are_set(engine: &Engine) -> Verdict {
    let (mut running, cgroup) = start_in_cgroup(engine, &all())?;
    all_stand(&running, &cgroup)?;
    running.close_stdin();
    running.ends_with(23)
}

/// Requires of each limit that it stands in one of the groups that the container can't leave.
fn all_stand(running: &Running, cgroup: &Path) -> Verdict {
    let groups = made_by_engine(cgroup)?;
    require(!groups.is_empty(), &running.tried, "a cgroup of its own", cgroup.display())?;
    for (file, value) in set() {
        let read = |group: &PathBuf| fs::read_to_string(group.join(file)).unwrap_or_default();
        let seen: Vec<String> = groups.iter().map(read).collect();
        let is_set = seen.iter().any(|seen| seen.trim() == value);
        require(is_set, &running.tried, format!("{file}: {value}"), format!("{seen:?}"))?;
    }
    Ok(())
}

fn sees_its_limits(engine: &Engine) -> Verdict {
    let script = "cat /proc/self/cgroup; cd /sys/fs/cgroup
                  cat memory.max cpu.max pids.max; grep -c '^cgroup2 /sys/fs/cgroup cgroup2 ro,' /proc/mounts
                  (echo max > memory.max) 2>&1";
    let outcome = engine.run(all().into_iter().chain(["/bin/sh", "-c", script]))?;
    let [memory, _, _, cpu, pids] = set().map(|(_, value)| value);
    outcome.ends_with(1)?.prints(&format!(
        "0::/\n{memory}\n{cpu}\n{pids}\n1\n\
         /bin/sh: can't create memory.max: Read-only file system\n"
    ))?;
    Ok(())
}

fn strict_sys(engine: &Engine) -> Verdict {
    let strict = ["nosuid", "nodev", "noexec"];
    let of_sys = [&strict[..], &["mode=755", "size=4k"]].concat();
    let of_cgroup = [&strict[..], &["ro"]].concat();
    let all = [
        ("/sys", "tmpfs", &of_sys[..], &[][..]),
        ("/sys/fs/cgroup", "cgroup2", &of_cgroup[..], &[][..]),
    ];
    options::are_strict(engine, &["--pids", "9"], &all)?;
    let outcome = engine.run(["--pids", "9", "/bin/ls", "/sys", "/sys/fs"])?;
    outcome.ends_with(0)?.prints("/sys:\nfs\n\n/sys/fs:\ncgroup\n")?;
    Ok(())
}

fn refused_calls_with_limits(engine: &Engine) -> Verdict {
    let machine = Machine::now();
    refusals::are_told(
        engine,
        &["--pids", "9"],
        &[
            ("mount,move_mount,fsmount,mount_setattr", Errno::EPERM),
            ("unshare", Errno::EPERM),
            ("mkdir,mkdirat", Errno::EPERM),
            ("write", Errno::EIO),
        ],
    )?;
    engine.run(["--pids", "9", "/bin/true"])?.ends_with(0)?;
    machine.is_unchanged()
}

fn gone_at_once(engine: &Engine) -> Verdict {
    let mut least = Duration::MAX;
    let mut tried = String::new();
    for _ in 0..3 {
        let start = Instant::now();
        let outcome = engine.run(["--pids", "9", "/bin/true"])?;
        outcome.ends_with(0)?;
        (least, tried) = (least.min(start.elapsed()), outcome.tried);
    }
    let seen = format!("{least:?}");
    require(least < Duration::from_secs(4), &tried, "less than 4 s, once in three times", seen)
}

fn cgroup_namespace(engine: &Engine) -> Verdict {
    engine.has_own_namespace("cgroup")?;
    let machine = Machine::now();
    let (mut running, cgroup) = start_in_cgroup(engine, &[])?;
    equal(&running.tried, "its cgroup", cgroup_of("self")?, cgroup)?;
    let made = Machine::now().new_cgroups(&machine);
    require(made.is_empty(), &running.tried, "no new cgroup", made.join(", "))?;
    running.close_stdin();
    running.ends_with(23)
}

fn no_inner_processes(engine: &Engine) -> Verdict {
    let (mut running, cgroup) = start_in_cgroup(engine, &["--pids", "32"])?;
    let mut groups = made_by_engine(&cgroup)?.into_iter();
    let procs = |group: PathBuf| fs::read_to_string(group.join("cgroup.procs"));
    let expected = format!("{}\n", running.inner()?);
    let seen = groups.next().map(procs).transpose()?.unwrap_or_default();
    equal(&running.tried, "the processes of its cgroup", expected, seen)?;
    for group in groups {
        let name = format!("the processes of {}", group.display());
        equal(&running.tried, &name, String::new(), procs(group)?)?;
    }
    running.close_stdin();
    running.ends_with(23)
}

const TOO_MUCH: [&str; 3] = ["/bin/probe", "allocate", "100"];

fn memory_limit(engine: &Engine) -> Verdict {
    let outcome = engine.run(["--memory", "64M"].into_iter().chain(TOO_MUCH))?;
    outcome.ends_with(137)?.complains_of(&["killed: memory limit of 64 MiB reached"])?;
    engine
        .run(["--memory", "200M"].into_iter().chain(TOO_MUCH))?
        .ends_with(0)?
        .prints("100 MiB\n")?;
    Ok(())
}

fn memory_events(engine: &Engine) -> Verdict {
    let script = "echo begin; read _; exec probe allocate 100";
    let args = ["--memory", "64M", "/bin/sh", "-c", script];
    let mut running = Running::start(engine.command(args))?;
    running.says("begin")?;
    let groups = made_by_engine(&cgroup_of(&running.inner()?.to_string())?)?;
    // While the engine is stopped it can't remove the cgroup.
    running.signal(Signal::SIGSTOP)?;
    running.close_stdin();
    let kills = |group: &PathBuf| number(group, "memory.events", "oom_kill ").unwrap_or(0.0);
    let counted = eventually(|| groups.iter().any(|group| kills(group) >= 1.0));
    running.signal(Signal::SIGCONT)?;
    require(counted, &running.tried, "memory.events: oom_kill 1", "oom_kill 0")?;
    running.ends_with(137)
}

fn dies_as_one(engine: &Engine) -> Verdict {
    let script = "sleep 307 & probe allocate 100; echo survived";
    let outcome = engine.run(["--memory", "64M", "/bin/sh", "-c", script])?;
    outcome.ends_with(137)?.prints("")?.complains_of(&["memory limit of 64 MiB"])
}

/// The number after a name in a file of a cgroup.
fn number(group: &Path, file: &str, name: &str) -> Result<f64, Failure> {
    let text = fs::read_to_string(group.join(file))?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    value.ok_or_else(|| Failure::new(format!("cat {file}"), format!("a line {name:?}"), text))
}

fn cpu_limit(engine: &Engine) -> Verdict {
    let mut running = Running::start(engine.command(["--cpus", "0.5", "/bin/probe", "spin"]))?;
    running.says("begin")?;
    let group = cgroup_of(&running.inner()?.to_string())?;
    let used = || number(&group, "cpu.stat", "usage_usec");
    let (start, before) = (Instant::now(), used()?);
    thread::sleep(Duration::from_secs(3));
    let share = (used()? - before) / start.elapsed().as_micros() as f64;
    let seen = format!("{share:.2} processors");
    require((0.4..=0.6).contains(&share), &running.tried, "0.4 to 0.6 processors", seen)?;
    let throttled = number(&group, "cpu.stat", "nr_throttled")?;
    require(throttled > 0.0, &running.tried, "nr_throttled above 0", throttled)?;
    running.signal(Signal::SIGTERM)?;
    running.status().map(drop)
}

fn pids_limit(engine: &Engine) -> Verdict {
    let script = "for n in 1 2 3 4 5 6 7 8; do sleep 308 & done; echo all of them";
    let outcome = engine.run(["--pids", "5", "/bin/sh", "-c", script])?;
    let refused = outcome.stderr.contains("can't fork") && outcome.stdout.is_empty();
    require(refused, &outcome.tried, "that a fork fails", &outcome.stderr)?;
    engine.run(["--pids", "20", "/bin/sh", "-c", script])?.ends_with(0)?.prints("all of them\n")?;
    Ok(())
}

fn fork_bomb(engine: &Engine) -> Verdict {
    let script = "echo begin; bomb() { bomb | bomb & }; bomb 2>/dev/null; sleep 60";
    let options = ["--pids", "64", "/bin/sh", "-c", script];
    let mut running = Running::start(engine.command(options))?;
    running.says("begin")?;
    let group = cgroup_of(&running.inner()?.to_string())?;
    let hits = || number(&group, "pids.events", "max").is_ok_and(|hits| hits > 10.0);
    let hit = within(patience(), hits);
    require(hit, &running.tried, "pids.events: more than 10 refused forks", "fewer")?;
    let most = number(&group, "pids.current", "")?;
    require(most <= 64.0, &running.tried, "64 processes at most", most)?;
    let start = Instant::now();
    Command::new("/bin/true").status()?;
    let took = start.elapsed();
    require(took < Duration::from_secs(2), "true, on the host", "an answer", format!("{took:?}"))?;
    running.signal(Signal::SIGTERM)?;
    running.status().map(drop)
}

fn together(engine: &Engine) -> Verdict {
    let script = "sleep 0.1 & wait; exit 9";
    engine.run(all().into_iter().chain(["/bin/sh", "-c", script]))?.ends_with(9)?;
    let outcome = engine.run(all().into_iter().chain(TOO_MUCH))?;
    outcome.ends_with(137)?.complains_of(&[&format!("memory limit of {} MiB", drawn()[0])])
}

fn holds_against_root(engine: &Engine) -> Verdict {
    let script = "mount -t cgroup2 none /tmp; for group in /tmp /sys/fs/cgroup; do
                  mount -o remount,bind,rw $group; echo max > $group/memory.max; done
                  probe allocate 100; echo no limit";
    let outcome = engine.run(["--memory", "64M", "/bin/sh", "-c", script])?;
    outcome.ends_with(137)?.prints("")?;
    // The same with all files that hold one.
    let script = "mount -t cgroup2 none /tmp; for group in /tmp /sys/fs/cgroup; do
                  mount -o remount,bind,rw $group; for file in $group/*.max; do
                  echo max > $file; done; done 2>/dev/null; echo tried; read _; exit 24";
    let mut running =
        Running::start(engine.command(all().into_iter().chain(["/bin/sh", "-c", script])))?;
    running.says("tried")?;
    all_stand(&running, &cgroup_of(&running.inner()?.to_string())?)?;
    running.close_stdin();
    running.ends_with(24)
}

fn other_deaths(engine: &Engine) -> Verdict {
    let (mut running, _) = start_in_cgroup(engine, &["--memory", "64M"])?;
    kill(running.inner()?, Signal::SIGKILL)?;
    let status = running.status()?.and_then(|status| status.code());
    equal(&running.tried, "exit status", Some(137), status)?;
    equal(&running.tried, "standard error", String::new(), running.complaints()?)
}

fn twenty_with_limits(engine: &Engine) -> Verdict {
    let start = |_| start_in_cgroup(engine, &["--memory", "32M", "--pids", "9"]);
    let all: Vec<(Running, PathBuf)> = (0..20).map(start).collect::<Result<_, _>>()?;
    let mut groups: Vec<&PathBuf> = all.iter().map(|(_, group)| group).collect();
    groups.sort();
    groups.dedup();
    equal("twenty at once", "their cgroups", 20, groups.len())?;
    all.into_iter().try_for_each(|(mut running, _)| {
        running.close_stdin();
        running.ends_with(23)
    })
}

/// Runs the engine, inside a container that it has made with `options`, with options and a command.
fn inside_itself(engine: &Engine, options: &[&str], inner: &[&str]) -> Result<Outcome, Failure> {
    let root = Path::new(ROOTFS);
    let small = root.join("fixture/inner");
    fs::create_dir_all(&small)?;
    fs::copy(root.join("bin/probe"), small.join("probe"))?;
    fs::copy(&engine.binary, root.join("fixture/engine"))?;
    own(&small, engine.caller)?;
    let nested = engine.start_of_line(Path::new("/fixture/engine"));
    let nested: Vec<&str> = nested.iter().map(String::as_str).collect();
    let outcome = engine.run([options, &nested, &["--rootfs", "/fixture/inner"], inner].concat());
    fs::remove_dir_all(&small)?;
    fs::remove_file(root.join("fixture/engine"))?;
    outcome
}

fn nested_limits(engine: &Engine) -> Verdict {
    let inner = ["--memory", "32M", "/probe", "exit", "7"];
    let outcome = inside_itself(engine, &["--memory", "64M"], &inner)?;
    outcome.ends_with(125)?.complains_of(&["writable", "limit the outermost"])?;
    let outcome = inside_itself(engine, &[], &inner)?;
    outcome.ends_with(125)?.complains_of(&["cgroup v2"])
}

fn nested_without(engine: &Engine) -> Verdict {
    inside_itself(engine, &["--memory", "64M"], &["/probe", "exit", "7"])?.ends_with(7)?;
    Ok(())
}
