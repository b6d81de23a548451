//! A program, run to its end with one system call of one of its processes made to fail, or that
//! process killed just before the call.
//!
//! This is strace's `-e inject=CALL:error=E:when=K` for one process alone. With `--seccomp-bpf` strace
//! cannot kill at a call, and without it every call of the run stops, which takes seven times as long.

use std::collections::BTreeMap;
use std::ffi::{CString, OsString, c_char, c_int, c_void};
use std::fs::File;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::ptr::{null, null_mut};
use std::thread;
use std::time::{Duration, Instant};
use std::{env, io};

use nix::errno::Errno;
use nix::sys::ptrace::{self, Event, Options};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{ForkResult, Pid, fork};

use crate::checks::Caller;
use crate::checks::engine::{memory_file, text};

/// A command line, and who types it.
pub struct Program {
    /// The first is the program's file.
    pub words: Vec<OsString>,
    pub caller: Caller,
    /// Variables that differ from ours.
    pub variables: BTreeMap<String, OsString>,
}

/// Where in a run something happens.
#[derive(Clone, Copy)]
pub struct Place {
    /// The process or thread, by birth: 0 is the program itself.
    pub process: usize,
    /// The system call's number.
    pub call: i64,
    /// Which of that process's calls of this number, counted from 1.
    pub nth: usize,
}

/// What happens there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// The call is not made; this is its result.
    Error(Errno),
    /// The process dies of SIGKILL before the call.
    Kill,
}

/// What came of it.
pub struct Ending {
    /// None: it had not ended in time, and was killed.
    pub status: Option<ExitStatus>,
    /// Whether it came to the place at all.
    pub happened: bool,
    pub stdout: String,
    pub stderr: String,
}

/// Runs the program; when it has ended, so have all processes that it has made.
pub fn run(
    program: &Program,
    place: Place,
    fault: Fault,
    patience: Duration,
) -> io::Result<Ending> {
    let [stdout, stderr] = [memory_file()?, memory_file()?];
    let mut tracer = Tracer::start(program, &place, &stdout, &stderr)?;
    let deadline = Instant::now() + patience;
    let mut in_time = true;
    while let Some(stopped) = tracer.wait(&mut in_time, deadline)? {
        tracer.go_on(stopped, &place, fault);
    }
    let status = tracer.status.filter(|_| in_time);
    let happened = tracer.happened;
    Ok(Ending { status, happened, stdout: text(&stdout)?, stderr: text(&stderr)? })
}

struct Tracer {
    /// Processes and threads, by birth.
    tracees: Vec<Tracee>,
    /// It has become the program.
    has_begun: bool,
    happened: bool,
    /// The program's own status.
    status: Option<ExitStatus>,
}

struct Tracee {
    pid: Pid,
    /// Its first stop, which comes with being traced, is over.
    is_known: bool,
    /// Calls of the one number.
    calls: usize,
}

/// A tracee that waits for us, and its wait status.
struct Stopped {
    index: usize,
    status: c_int,
}

impl Tracer {
    fn start(program: &Program, place: &Place, stdout: &File, stderr: &File) -> io::Result<Tracer> {
        let start = Start::of(program, place.call, stdout, stderr)?;
        // SAFETY: the child makes system calls only, on what was made before.
        let pid = match unsafe { fork() }? {
            ForkResult::Child => start.become_program(),
            ForkResult::Parent { child } => child,
        };
        let mut status = 0;
        // SAFETY: `status` outlives the call.
        Errno::result(unsafe { libc::waitpid(pid.as_raw(), &mut status, libc::__WALL) })?;
        let options = Options::PTRACE_O_TRACESECCOMP
            | Options::PTRACE_O_TRACEEXEC
            | Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACEVFORK
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_EXITKILL;
        ptrace::setoptions(pid, options)?;
        ptrace::cont(pid, None)?;
        let first = Tracee { pid, is_known: true, calls: 0 };
        Ok(Tracer { tracees: vec![first], has_begun: false, happened: false, status: None })
    }

    /// The next tracee that has stopped; None when all have ended.
    fn wait(&mut self, in_time: &mut bool, deadline: Instant) -> io::Result<Option<Stopped>> {
        loop {
            let mut status = 0;
            let flags = libc::__WALL | libc::__WNOTHREAD | libc::WNOHANG;
            // SAFETY: `status` outlives the call.
            match Errno::result(unsafe { libc::waitpid(-1, &mut status, flags) }) {
                Err(Errno::ECHILD) => return Ok(None),
                Err(errno) => return Err(errno.into()),
                Ok(0) => {
                    if *in_time && Instant::now() > deadline {
                        *in_time = false;
                        for one in &self.tracees {
                            _ = kill(one.pid, Signal::SIGKILL);
                        }
                    }
                    thread::sleep(Duration::from_micros(300));
                }
                Ok(pid) if libc::WIFSTOPPED(status) => {
                    let index = self.index(Pid::from_raw(pid));
                    return Ok(Some(Stopped { index, status }));
                }
                Ok(pid) if pid == self.tracees[0].pid.as_raw() => {
                    self.status = Some(ExitStatus::from_raw(status));
                }
                Ok(_) => {}
            }
        }
    }

    fn index(&mut self, pid: Pid) -> usize {
        let known = self.tracees.iter().position(|tracee| tracee.pid == pid);
        known.unwrap_or_else(|| {
            self.tracees.push(Tracee { pid, is_known: false, calls: 0 });
            self.tracees.len() - 1
        })
    }

    /// Lets it go on. What fails here fails because it has been killed meanwhile.
    fn go_on(&mut self, Stopped { index, status }: Stopped, place: &Place, fault: Fault) {
        let pid = self.tracees[index].pid;
        let mut signal = None;
        match status >> 16 {
            0 if !self.tracees[index].is_known => self.tracees[index].is_known = true,
            0 => signal = Signal::try_from(libc::WSTOPSIG(status)).ok(),
            event if event == Event::PTRACE_EVENT_EXEC as c_int => self.has_begun = true,
            event if event == Event::PTRACE_EVENT_SECCOMP as c_int => {
                self.tracees[index].calls += usize::from(self.has_begun);
                let is_here = index == place.process && self.tracees[index].calls == place.nth;
                if is_here && self.has_begun && !self.happened {
                    self.happened = true;
                    let _ = inject(pid, fault);
                }
            }
            // A fork. Its child is born now, whenever its own first stop comes.
            _ => _ = ptrace::getevent(pid).map(|child| self.index(Pid::from_raw(child as i32))),
        }
        let _ = ptrace::cont(pid, signal);
    }
}

/// At the stop before a call.
fn inject(pid: Pid, fault: Fault) -> nix::Result<()> {
    match fault {
        Fault::Kill => kill(pid, Signal::SIGKILL),
        Fault::Error(errno) => {
            // Without a number the kernel makes no call, and the result stays what it is here (seccomp(2),
            // SECCOMP_RET_TRACE).
            let mut registers = ptrace::getregs(pid)?;
            registers.orig_rax = -1i64 as u64;
            registers.rax = -(errno as i64) as u64;
            ptrace::setregs(pid, registers)
        }
    }
}

/// All that the new process needs: it may not allocate memory.
struct Start {
    words: Vec<*const c_char>,
    variables: Vec<*const c_char>,
    files: [RawFd; 3],
    /// What these point to.
    _kept: (Vec<CString>, Vec<CString>, File),
    id: u32,
    filter: [libc::sock_filter; 4],
}

impl Start {
    fn of(program: &Program, call: i64, stdout: &File, stderr: &File) -> io::Result<Start> {
        let stdin = File::open("/dev/null")?;
        let kept = env::vars_os().filter(|(name, _)| {
            name.to_str().is_none_or(|name| !program.variables.contains_key(name))
        });
        let own = program.variables.iter().map(|(name, value)| (name.into(), value.clone()));
        let variables =
            kept.chain(own).map(|(name, value)| to_c([&name, &OsString::from("="), &value]));
        let words: Vec<CString> = program.words.iter().map(|word| to_c([word])).collect();
        let variables: Vec<CString> = variables.collect();
        let statement = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
        Ok(Start {
            words: pointers(&words),
            variables: pointers(&variables),
            files: [stdin.as_raw_fd(), stdout.as_raw_fd(), stderr.as_raw_fd()],
            _kept: (words, variables, stdin),
            id: program.caller.id(),
            // The call's number comes first in what the kernel shows a filter (seccomp(2)).
            filter: [
                statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
                statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, call as u32),
                statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_TRACE),
                statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
            ],
        })
    }

    /// In the new process, for which there is no way back.
    fn become_program(mut self) -> ! {
        let filter = libc::sock_fprog { len: 4, filter: self.filter.as_mut_ptr() };
        // SAFETY: system calls, on memory that is there until the process becomes the program.
        unsafe {
            for (number, file) in self.files.iter().enumerate() {
                libc::dup2(*file, number as c_int);
            }
            libc::ptrace(libc::PTRACE_TRACEME, 0, null_mut::<c_void>(), null_mut::<c_void>());
            libc::raise(libc::SIGSTOP);
            // Before the process gives up its rights: so a filter needs no no_new_privs, which engines notice.
            libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter);
            if self.id != 0 {
                libc::setgroups(0, null());
                libc::setresgid(self.id, self.id, self.id);
                libc::setresuid(self.id, self.id, self.id);
            }
            libc::execve(self.words[0], self.words.as_ptr(), self.variables.as_ptr());
            libc::_exit(99)
        }
    }
}

fn to_c<'a>(parts: impl IntoIterator<Item = &'a OsString>) -> CString {
    let bytes: Vec<u8> = parts.into_iter().flat_map(|part| part.as_bytes().to_vec()).collect();
    CString::new(bytes).expect("words and variables have no NUL")
}

fn pointers(texts: &[CString]) -> Vec<*const c_char> {
    texts.iter().map(|text| text.as_ptr()).chain([null()]).collect()
}
