//! Stage 4: processes and mounts of its own.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount, umount};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::{Mode, SFlag, mknod};

use super::engine::{Engine, Outcome};
use super::failure::{Failure, Verdict, equal, require};
use super::fixture::{ROOTFS, inside, own};
use super::machine::Machine;
use super::refusals;
use super::running::{Running, eventually};
use super::stage0::early_moments;
use super::terminal::Terminal;

pub mod options;
mod rootfs;
mod signals;

use options::no_place_for_proc;

promises! { stage 4:
    is_process_1 "the command is process 1, and its parent is not to be seen"
    has_two_process_ids "the host knows the same process by another id"
    pid_namespace "the container has a PID namespace of its own"
    mount_namespace "the container has a mount namespace of its own"
    ipc_namespace "the container has an IPC namespace of its own"
    queues_stay_outside "a message queue of the host is not to be found inside"
    sees_only_its_processes "/proc shows the container's processes and no other"
    mount_table "the container's mounts are its own few"
    mount_options "the container's mounts have their flags, modes and sizes"
    mounts_stay_inside "what is mounted inside does not appear on the host"
    host_mounts_unharmed "the host's mounts stay while a container runs"
    hosts_later_mounts until 7 "what the host mounts later does not appear in the container"
    chroot_escape_fails "the way out of a chroot leads nowhere"
    old_root_is_gone "no process of the container has the host's files for its root"
    devices "/dev has the usual devices, and no disk"
    dev_null_swallows "/dev/null, zero, full and urandom do what they are for"
    dev_fd "/dev/fd, stdin, stdout and stderr lead to the open files"
    own_terminals "a new pseudo-terminal is the container's first, and everybody may make one"
    shared_memory "/dev/shm is writable for everybody, and the container's own"
    ends_with_its_engine "SIGKILL for the engine ends the container"
    ends_with_its_engine_at_any_moment "killed at any moment, the engine leaves nothing"
    engine_killed_first "killed before its container can ask to end with it, the engine leaves nothing"
    signal_before_exec "a SIGTERM that comes before the command is there ends it all the same"
    ends_with_process_1 "when the command ends, so do the processes that it left behind"
    ignored_and_held_back "a signal that the command ignores, holds back or catches does not end it"
    without_hosts_proc until 4 "without a /proc on the host signals reach a command that catches them"
    default_actions "a signal that it has no plans for does what it would do to any other process"
    ctrl_c_without_handler "Ctrl-C and Ctrl-\\ end a process 1 that has no handler for them"
    refused_calls for Root "a system call that fails is told, and the command does not start: status 125"
    twenty_at_once "twenty containers at once do not get in each other's way"
    no_place_for_proc until 7 "where a mount point can't be made: status 125, which, and the cure"
    makes_proc until 7 "a root filesystem without /proc gets one"
    refuses_proc_link until 7 "a root filesystem whose /proc is a symbolic link is refused"
    makes_dev until 7 "a root filesystem without /dev gets one"
    refuses_dev_link until 7 "a root filesystem whose /dev is a symbolic link is refused"
    device_files_are_names until 7 "a device file of the root filesystem is no device"
    keeps_mount_flags until 7 "what the root filesystem's mount forbids stays forbidden"
    forbids_no_more until 7 "what that mount allows stays allowed, but for device files"
    mounts_below until 7 "what is mounted below the root filesystem comes along"
    host_root_is_refused until 7 "the host's own / is refused: status 125"
    debian_packages until 7 "Debian: apt lists what is installed"
    debian_python until 7 "Debian: a Python program with processes, locks and pipes"
    debian_ps until 7 "Debian: ps shows the container's processes"
    debian_script until 7 "Debian: script(1), which needs a pseudo-terminal, works"
    debian_job_control until 7 "Debian: an interactive bash has job control"
}

fn is_process_1(engine: &Engine) -> Verdict {
    let (running, ids) = engine.start_catching(0)?;
    equal(&running.tried, "process id and parent's id inside", [1, 0], ids)
}

fn has_two_process_ids(engine: &Engine) -> Verdict {
    let (running, _) = engine.start_catching(0)?;
    let expected = format!("{}\t1", running.inner()?);
    equal(&running.tried, "NSpid on the host", expected, running.inner_status("NSpid")?)
}

fn pid_namespace(engine: &Engine) -> Verdict {
    engine.has_own_namespace("pid")
}

fn mount_namespace(engine: &Engine) -> Verdict {
    engine.has_own_namespace("mnt")
}

fn ipc_namespace(engine: &Engine) -> Verdict {
    engine.has_own_namespace("ipc")
}

fn queues_stay_outside(engine: &Engine) -> Verdict {
    const KEY: i32 = 7007;
    // SAFETY: it only takes numbers.
    let queue = unsafe { libc::msgget(KEY, libc::IPC_CREAT | 0o666) };
    let outcome = engine.run(["/bin/probe", "queue", &KEY.to_string()]);
    // SAFETY: IPC_RMID uses no buffer.
    unsafe { libc::msgctl(queue, libc::IPC_RMID, std::ptr::null_mut()) };
    outcome?.ends_with(0)?.prints("none\n")?;
    Ok(())
}

fn sees_only_its_processes(engine: &Engine) -> Verdict {
    let outcome = engine.sh("cd /proc; (echo [0-9]*); true")?;
    outcome.ends_with(0)?.prints("1 2\n")?;
    Ok(())
}

fn mount_table(engine: &Engine) -> Verdict {
    let outcome = engine
        // What hides and protects files of /proc is step 10's affair.
        .sh("while read -r _ _ device _ place _; do echo $place; done < /proc/self/mountinfo | grep -v ^/proc/")?;
    let devices = ["null", "zero", "full", "random", "urandom", "tty"];
    let devices: String = devices.map(|name| format!("/dev/{name}\n")).concat();
    let of_etc = ["hostname", "hosts", "resolv.conf"].map(|name| format!("/etc/{name}\n")).concat();
    let of_etc = if engine.shares_layers() { of_etc } else { String::new() };
    let expected = format!("/\n/proc\n/dev\n{devices}/dev/pts\n/dev/shm\n{of_etc}");
    outcome.ends_with(0)?.prints(&expected)?;
    let outcome = engine.sh("cat /proc/mounts")?;
    // The first line is about the disk that the root filesystem lies on, and the sizes of devtmpfs
    // are those of this machine.
    let lines = outcome
        .stdout
        .lines()
        .skip(1)
        .filter(|line| !line.starts_with("dev ") && !line.contains(" /proc/"));
    let own: Vec<&str> = lines.filter(|line| !line.starts_with("devtmpfs")).collect();
    engine.show(own.join("\n"));
    Ok(())
}

fn mount_options(engine: &Engine) -> Verdict {
    options::are_strict(engine, &[], &options::OF_ALL)
}

fn mounts_stay_inside(engine: &Engine) -> Verdict {
    engine.asks_for("SYS_ADMIN");
    let machine = Machine::now();
    let script = "mount -t tmpfs inside /tmp && echo begin && read _";
    let mut running = Running::start(engine.command(["/bin/sh", "-c", script]))?;
    running.says("begin")?;
    let host = fs::read_to_string("/proc/self/mounts")?;
    let seen = host.lines().find(|line| line.starts_with("inside "));
    require(seen.is_none(), &running.tried, "no such mount on the host", seen.unwrap_or(""))?;
    running.close_stdin();
    running.ends_with(1)?;
    machine.is_unchanged()
}

fn host_mounts_unharmed(engine: &Engine) -> Verdict {
    let before = fs::read_to_string("/proc/self/mountinfo")?;
    let (running, [pid, _]) = engine.start_catching(0)?;
    let during = fs::read_to_string("/proc/self/mountinfo")?;
    equal(&running.tried, "process id inside", 1, pid)?;
    require(before == during, &running.tried, before, during)
}

fn hosts_later_mounts(engine: &Engine) -> Verdict {
    rootfs::hosts_later_mounts(engine)
}

fn chroot_escape_fails(engine: &Engine) -> Verdict {
    engine.run(["/bin/probe", "escape", "/fixture/where"])?.ends_with(0)?.prints(&inside())?;
    Ok(())
}

fn old_root_is_gone(engine: &Engine) -> Verdict {
    let outcome = engine.sh("cat /proc/1/root/fixture/where /proc/1/cwd/fixture/where")?;
    outcome.ends_with(0)?.prints(&inside().repeat(2))?;
    Ok(())
}

fn devices(engine: &Engine) -> Verdict {
    let outcome = engine.run(["/bin/probe", "devices"])?;
    outcome.ends_with(0)?;
    engine.show(&outcome.stdout);
    let names: Vec<&str> =
        outcome.stdout.lines().filter_map(|line| line.rsplit('/').next()).collect();
    let expected = [
        "fd", "full", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty",
        "urandom", "zero",
    ];
    equal(&outcome.tried, "the entries of /dev", &expected[..], &names)?;
    // By number, as a name says nothing (Linux's Documentation/admin-guide/devices.txt).
    let device = |line: &&str| line.starts_with("char ");
    let numbers = outcome.stdout.lines().filter(device).filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some(format!("{} {}", words.next()?, words.last()?.trim_start_matches("/dev/")))
    });
    let numbers: Vec<String> = numbers.collect();
    let usual = ["1:7 full", "1:3 null", "1:8 random", "5:0 tty", "1:9 urandom", "1:5 zero"];
    equal(&outcome.tried, "device numbers in /dev", &usual.map(String::from)[..], &numbers)
}

fn dev_null_swallows(engine: &Engine) -> Verdict {
    let script = "echo x > /dev/null; wc -c < /dev/null; \
                  head -c 5 /dev/zero | tr '\\0' z; echo; head -c 9 /dev/urandom | wc -c; \
                  echo x 2>&1 > /dev/full || echo full; test -c /dev/null && echo device";
    let outcome = engine.sh(script)?;
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    let expected =
        ["0", "zzzzz", "9", "sh: write error: No space left on device", "full", "device"];
    equal(&outcome.tried, "standard output", &expected[..], &lines)
}

fn dev_fd(engine: &Engine) -> Verdict {
    let script = "{ echo one > /dev/stdout; cat /dev/fd/0; echo three > /dev/stderr; } 2>&1 | cat";
    let outcome = Outcome::of(engine.command(["/bin/sh", "-c", script]), b"two\n")?;
    outcome.ends_with(0)?.prints("one\ntwo\nthree\n")?;
    let outcome = engine.sh("for name in fd stdin stdout stderr; do readlink /dev/$name; done")?;
    let links = "/proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n/proc/self/fd/2\n";
    outcome.ends_with(0)?.prints(links)?;
    Ok(())
}

fn own_terminals(engine: &Engine) -> Verdict {
    // One of the host's own, so that a shared /dev/pts would give the next number.
    let _hosts = nix::pty::openpty(None, None)?;
    engine.run(["/bin/probe", "pty"])?.ends_with(0)?.prints("/dev/pts/0\n")?;
    engine.run(["/bin/stat", "-L", "-c", "%a", "/dev/ptmx"])?.ends_with(0)?.prints("666\n")?;
    Ok(())
}

fn shared_memory(engine: &Engine) -> Verdict {
    let outcome = engine.sh("stat -c %a /dev/shm; echo x > /dev/shm/file && ls /dev/shm")?;
    outcome.ends_with(0)?.prints("1777\nfile\n")?;
    let outside = Path::new("/dev/shm/file").exists();
    require(!outside, &outcome.tried, "no such file on the host", "/dev/shm/file")
}

fn ends_with_its_engine(engine: &Engine) -> Verdict {
    let (running, _) = engine.start_catching(0)?;
    let inner = running.inner()?;
    running.signal(Signal::SIGKILL)?;
    let gone = eventually(|| kill(inner, None).is_err());
    require(gone, &running.tried, "that the command ends too", format!("process {inner} lives on"))
}

fn ends_with_its_engine_at_any_moment(engine: &Engine) -> Verdict {
    let machine = Machine::now();
    for delay in early_moments(40) {
        let mut running = Running::start(engine.command(["/bin/sleep", "301"]))?;
        thread::sleep(delay);
        running.signal(Signal::SIGKILL)?;
        running.status()?;
    }
    machine.is_unchanged()
}

fn engine_killed_first(engine: &Engine) -> Verdict {
    let machine = Machine::now();
    let mut running = signals::held_back(engine)?;
    kill(running.inner()?, Signal::SIGKILL)?;
    thread::sleep(signals::STILL_HELD);
    running.status()?;
    machine.is_unchanged()
}

fn signal_before_exec(engine: &Engine) -> Verdict {
    let running = signals::held_back(engine)?;
    kill(running.inner()?, Signal::SIGTERM)?;
    thread::sleep(signals::STILL_HELD);
    running.ends_with(137)
}

fn ends_with_process_1(engine: &Engine) -> Verdict {
    let machine = Machine::now();
    // Not a shell: it wants a /dev/null for what it starts in the background, which not every step has.
    engine.run(["/bin/probe", "fork", "2"])?.ends_with(0)?.prints("there\n")?;
    machine.is_unchanged()
}

fn ignored_and_held_back(engine: &Engine) -> Verdict {
    signals::has_plans(engine)
}

fn without_hosts_proc(engine: &Engine) -> Verdict {
    signals::take_their_chance(engine)
}

fn default_actions(engine: &Engine) -> Verdict {
    signals::acts_by_default(engine)
}

fn refused_calls(engine: &Engine) -> Verdict {
    refusals::are_told(
        engine,
        &[],
        &[
            ("mount,move_mount,fsmount,mount_setattr", Errno::EPERM),
            ("pivot_root", Errno::EPERM),
            ("umount2", Errno::EPERM),
            ("chdir,fchdir", Errno::EPERM),
            ("symlink,symlinkat", Errno::EPERM),
            ("prctl", Errno::EPERM),
        ],
    )
}

fn ctrl_c_without_handler(engine: &Engine) -> Verdict {
    let mut terminal = Terminal::open(engine)?;
    terminal.enter(&format!("cd /slipway; {}", engine.typed("probe idle")))?;
    terminal.wait_for("pid=1\r\n")?;
    terminal.press("\x03")?;
    terminal.wait_for("ready:")?;
    terminal.last_status_is(137)?;
    // So does the other key that ends a program.
    terminal.enter(&engine.typed("probe idle"))?;
    terminal.wait_for("pid=1\r\n")?;
    terminal.press("\x1c")?;
    terminal.wait_for("ready:")?;
    terminal.last_status_is(137)
}

fn twenty_at_once(engine: &Engine) -> Verdict {
    let started: Vec<_> = (0..20).map(|_| engine.start_catching(17)).collect();
    let mut all = Vec::new();
    for container in started {
        let (running, ids) = container?;
        equal(&running.tried, "process id and parent's id inside", [1, 0], ids)?;
        all.push(running);
    }
    all.into_iter().try_for_each(|mut running| {
        running.close_stdin();
        running.ends_with(17)
    })
}

/// A root filesystem of one program, for as long as `check` runs.
fn with_small_rootfs(engine: &Engine, check: impl FnOnce(&Path) -> Verdict) -> Verdict {
    let rootfs = Path::new("/tmp/small");
    fs::create_dir(rootfs)?;
    fs::copy("/slipway/bin/probe", rootfs.join("probe"))?;
    own(rootfs, engine.caller)?;
    let verdict = check(rootfs);
    fs::remove_dir_all(rootfs)?;
    verdict
}

fn makes_proc(engine: &Engine) -> Verdict {
    with_small_rootfs(engine, |rootfs| {
        let rootfs = rootfs.to_string_lossy();
        let running = Running::start(engine.command(["--rootfs", &rootfs, "/probe", "idle"]))?;
        running.says("pid=1")?;
        let table = fs::read_to_string(format!("/proc/{}/mountinfo", running.inner()?))?;
        running.signal(Signal::SIGKILL)?;
        let is_there = table.lines().any(|line| line.split(' ').nth(4) == Some("/proc"));
        require(is_there, &running.tried, "a mount on /proc", table)
    })
}

fn makes_dev(engine: &Engine) -> Verdict {
    with_small_rootfs(engine, |rootfs| {
        let rootfs = rootfs.to_string_lossy();
        let outcome = engine.run(["--rootfs", &rootfs, "/probe", "devices"])?;
        outcome.ends_with(0)?;
        if outcome.stdout.contains("/dev/null") {
            Ok(())
        } else {
            Err(outcome.failure("/dev/null among the devices"))
        }
    })
}

fn refuses_proc_link(engine: &Engine) -> Verdict {
    rootfs::refuses_link(engine, "proc")
}

fn refuses_dev_link(engine: &Engine) -> Verdict {
    rootfs::refuses_link(engine, "dev")
}

fn device_files_are_names(engine: &Engine) -> Verdict {
    let file = Path::new(ROOTFS).join("fixture/zero");
    // As root in the place of an image's author; anybody may read it.
    mknod(&file, SFlag::S_IFCHR, Mode::empty(), libc::makedev(1, 5))?;
    fs::set_permissions(&file, Permissions::from_mode(0o666))?;
    let outcome = engine.sh("head -c 3 /dev/zero | wc -c; head -c 3 /fixture/zero | wc -c");
    fs::remove_file(&file)?;
    let outcome = outcome?;
    outcome.ends_with(0)?.prints("3\n0\n")?;
    outcome.complains_of(&["/fixture/zero", "Permission denied"])
}

fn keeps_mount_flags(engine: &Engine) -> Verdict {
    rootfs::keeps_flags(engine)
}

fn forbids_no_more(engine: &Engine) -> Verdict {
    rootfs::forbids_no_more(engine)
}

fn mounts_below(engine: &Engine) -> Verdict {
    const NOTHING: Option<&str> = None;
    let place = Path::new(ROOTFS).join("home");
    mount(NOTHING, &place, Some("tmpfs"), MsFlags::empty(), NOTHING)?;
    let looked = engine.start_catching(0).and_then(|(running, _)| {
        let table = fs::read_to_string(format!("/proc/{}/mountinfo", running.inner()?))?;
        let points = table.lines().filter_map(|line| line.split(' ').nth(4));
        let both: Vec<&str> = points.filter(|point| ["/", "/home"].contains(point)).collect();
        equal(&running.tried, "the mounts on / and on /home", &["/", "/home"][..], &both)
    });
    umount(&place)?;
    looked
}

fn host_root_is_refused(engine: &Engine) -> Verdict {
    rootfs::refuses_hosts(engine)
}

/// Runs a script in the Debian root filesystem.
fn debian(engine: &Engine, script: &str) -> Result<Outcome, Failure> {
    let script = format!("test \"$$\" = 1 || echo 'not process 1' >&2; {script}");
    engine.run(["--rootfs", "/debian", "/bin/bash", "-c", &script])
}

fn debian_packages(engine: &Engine) -> Verdict {
    let outcome = debian(
        engine,
        "apt list --installed 2>/dev/null > /tmp/list; grep -c / /tmp/list; grep -o ^apt/ /tmp/list; rm /tmp/list",
    )?;
    outcome.ends_with(0)?;
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    let count: usize = lines.first().and_then(|line| line.parse().ok()).unwrap_or(0);
    let real = count > 50 && lines.get(1) == Some(&"apt/") && outcome.stderr.is_empty();
    if real { Ok(()) } else { Err(outcome.failure("more than 50 packages, apt one of them")) }
}

fn debian_python(engine: &Engine) -> Verdict {
    let program = "
import multiprocessing, os, socket, subprocess, tempfile
def square(n): return n * n
lock = multiprocessing.Lock()  # a semaphore in /dev/shm
with lock, multiprocessing.Pool(2) as pool:
    print(os.getpid(), socket.gethostname(), sum(pool.map(square, range(10))))
print(subprocess.run(['cat'], input=b'piped', capture_output=True, check=True).stdout.decode())
with tempfile.TemporaryFile() as file: print(file.write(os.urandom(16)))
";
    let outcome =
        engine.run(["--rootfs", "/debian", "--hostname", "snake", "python3", "-c", program])?;
    outcome.ends_with(0)?.prints("1 snake 285\npiped\n16\n")?;
    Ok(())
}

fn debian_ps(engine: &Engine) -> Verdict {
    let outcome = debian(engine, "ps -eo pid,ppid,comm --no-headers; true")?;
    let rows: Vec<String> = outcome
        .stdout
        .lines()
        .map(|row| row.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    equal(&outcome.tried, "the rows", &["1 0 bash".to_string(), "2 1 ps".to_string()][..], &rows)
}

fn debian_script(engine: &Engine) -> Verdict {
    // Where it is missing, script's own words depend on which names the kernel happens to have cached.
    let outcome = debian(engine, "ls /dev/pts/ptmx > /dev/null && script -qec tty /dev/null")?;
    outcome.ends_with(0)?.prints("/dev/pts/0\r\n")?;
    Ok(())
}

fn debian_job_control(engine: &Engine) -> Verdict {
    let mut terminal = Terminal::open(engine)?;
    let name = engine.typed_start();
    terminal.enter(&format!("{name} --rootfs /debian bash --norc --noprofile -i"))?;
    // What is typed before bash reads is echoed twice.
    terminal.wait_for("# ")?;
    terminal.enter("PS1=in''side: ; echo pid=$$")?;
    terminal.wait_for("pid=1\r\n")?;
    terminal.wait_for("inside:")?;
    terminal.enter("sh -c 'echo be\"\"gin; exec cat'")?;
    terminal.wait_for("begin\r\n")?;
    terminal.press("\x1a")?;
    terminal.wait_for("Stopped")?;
    terminal.wait_for("inside:")?;
    terminal.enter("fg")?;
    terminal.wait_for("exec cat'\r\n")?;
    thread::sleep(Duration::from_millis(300));
    // Once on the way in, and once from cat: so it is in the foreground again.
    terminal.press("word\n")?;
    terminal.wait_for("word\r\n")?;
    terminal.wait_for("word\r\n")?;
    terminal.press("\x03")?;
    terminal.wait_for("inside:")?;
    terminal.enter("echo \"<$?>\"; exit 8")?;
    terminal.wait_for("<130>")?;
    terminal.wait_for("ready:")?;
    terminal.last_status_is(8)
}
