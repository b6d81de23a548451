//! What strace(1) saw of a step, told as the story of an engine and its container.

mod line;

use std::collections::HashSet;

use calls::TABLE;
use line::{Line, What};

/// fork and its younger relatives: which one it is depends on the C library.
const FORKS: &[&str] = &["fork", "vfork", "clone", "clone3"];

/// Calls with pids among their arguments.
const WITH_PIDS: [&str; 7] = ["wait4", "waitid", "kill", "tkill", "tgkill", "pidfd_open", "write"];

/// How the story is told.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// Everything, also what the command itself does.
    pub all: bool,
    /// With colours, for a terminal.
    pub colour: bool,
}

/// Tells what `strace -f -y -o` wrote: one line a system call, with the chapter that explains it.
pub fn tell(log: &str, style: Style) -> String {
    let lines = line::parse(log);
    let mut story = Story::of(&lines, style);
    let mut text = "chapter  process      system call\n".to_owned();
    for line in &lines {
        if let Some(told) = story.tell(line) {
            text.push_str(told.trim_end());
            text.push('\n');
        }
    }
    text
}

/// A system call that a step has made.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Which of the step's processes and threads, in the order of their births: 0 is the engine.
    pub process: usize,
    pub name: String,
    pub arguments: String,
}

/// What the step itself did, in order: neither its caller before it, nor the command after it.
pub fn own_calls(log: &str) -> Vec<Call> {
    let lines = line::parse(log);
    let mut story = Story::of(&lines, Style::default());
    let mut calls = Vec::new();
    for line in &lines {
        let index = story.process(&line.pid);
        let What::Call { name, arguments, result } = &line.what else { continue };
        if story.processes[index].life == Life::Step {
            calls.push(Call { process: index, name: name.clone(), arguments: arguments.clone() });
        }
        story.follow(index, name, result);
    }
    calls
}

struct Story<'a> {
    style: Style,
    /// All pids of the log: a fork's result is none of them when it counts in another PID namespace.
    pids: HashSet<&'a str>,
    processes: Vec<Process>,
    /// The parents of children that have not been seen yet, and whose pid the fork did not tell.
    forks: Vec<usize>,
}

struct Process {
    pid: String,
    /// "engine", "container", "container+1" …
    name: String,
    life: Life,
}

/// How far a process has come. Only what stands between two execs is the step's own doing.
#[derive(Clone, Copy, PartialEq)]
enum Life {
    /// It is still strace's child, about to become the step.
    Starting,
    Step,
    /// It has become the command.
    Command,
    /// The command made it.
    CommandsChild,
}

impl<'a> Story<'a> {
    fn of(lines: &'a [Line], style: Style) -> Story<'a> {
        let pids = lines.iter().map(|line| line.pid.as_str()).collect();
        Story { style, pids, processes: Vec::new(), forks: Vec::new() }
    }

    fn tell(&mut self, line: &Line) -> Option<String> {
        let index = self.process(&line.pid);
        let life = self.processes[index].life;
        match &line.what {
            What::Call { name, arguments, result } => {
                self.follow(index, name, result);
                let chapters = TABLE.chapters(name, arguments);
                let told = self.style.all || (life == Life::Step && !chapters.is_empty());
                told.then(|| self.call(index, &chapters, name, arguments, result))
            }
            What::End(how) => {
                let told = self.style.all || life != Life::CommandsChild;
                told.then(|| self.line(index, &[], how))
            }
            What::Other(text) => self.style.all.then(|| self.line(index, &[], text)),
        }
    }

    /// The process with this pid, which may be seen for the first time.
    fn process(&mut self, pid: &str) -> usize {
        let known = self.processes.iter().position(|process| process.pid == pid);
        known.unwrap_or_else(|| {
            let parent = self.forks.pop();
            self.welcome(pid, parent)
        })
    }

    fn welcome(&mut self, pid: &str, parent: Option<usize>) -> usize {
        let parent = parent.map(|parent| self.processes[parent].life);
        let born = |life| self.processes.iter().filter(|process| process.life == life).count();
        let (name, life) = match (self.processes.len(), parent) {
            (0, _) => ("engine".to_owned(), Life::Starting),
            (1, Some(Life::Step)) => ("container".to_owned(), Life::Step),
            (n, Some(Life::Step)) => (format!("container+{}", n - 1), Life::Step),
            _ => (format!("command+{}", born(Life::CommandsChild) + 1), Life::CommandsChild),
        };
        self.processes.push(Process { pid: pid.to_owned(), name, life });
        self.processes.len() - 1
    }

    /// Takes note of a call that changes who is who.
    fn follow(&mut self, index: usize, name: &str, result: &str) {
        let life = &mut self.processes[index].life;
        if name.starts_with("execve") && result == "0" {
            *life = match life {
                Life::Starting => Life::Step,
                Life::Step => Life::Command,
                _ => *life,
            };
        } else if FORKS.contains(&name) && !result.starts_with('-') {
            let known = self.processes.iter().any(|process| process.pid == result);
            if !self.pids.contains(result) {
                self.forks.push(index);
            } else if !known {
                self.welcome(result, Some(index));
            }
        }
    }

    fn call(
        &self,
        index: usize,
        chapters: &[u8],
        name: &str,
        arguments: &str,
        result: &str,
    ) -> String {
        let arguments = shortened(&without_environment(arguments));
        let arguments =
            if WITH_PIDS.contains(&name) { self.with_names(&arguments) } else { arguments };
        let has_pid = FORKS.contains(&name) || name == "wait4";
        let result = if has_pid { self.with_names(result) } else { result.to_owned() };
        let result = if result.starts_with('-') { self.paint("31", &result) } else { result };
        self.line(index, chapters, &format!("{name}({}) = {result}", arguments.trim_end()))
    }

    fn line(&self, index: usize, chapters: &[u8], text: &str) -> String {
        let process = &self.processes[index];
        let chapters: Vec<String> = chapters.iter().map(u8::to_string).collect();
        let (indent, colour) = if index == 0 { ("", "36") } else { ("  ", "33") };
        let name = self.paint(colour, &format!("{:12}", process.name));
        format!("{:>7}  {name} {indent}{text}", chapters.join(", "))
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.style.colour { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// The text with the processes' names for their pids, which are different ones each time.
    fn with_names(&self, text: &str) -> String {
        let mut named = String::new();
        for part in text.split_inclusive(|c: char| !c.is_ascii_digit()) {
            let digits = part.trim_end_matches(|c: char| !c.is_ascii_digit());
            let process = self.processes.iter().find(|process| process.pid == digits);
            named.push_str(process.map_or(digits, |process| &process.name));
            named.push_str(&part[digits.len()..]);
        }
        named
    }
}

/// execve's arguments without the address of the environment.
fn without_environment(arguments: &str) -> String {
    match arguments.rsplit_once(", 0x") {
        Some((front, environment)) if environment.ends_with(" vars */") => format!("{front}, …"),
        _ => arguments.to_owned(),
    }
}

/// Without what says nothing: a terminal's settings, and where a signal handler returns to.
fn shortened(arguments: &str) -> String {
    let arguments = arguments.replace("SNDCTL_TMR_STOP or TCSETSW", "TCSETSW");
    let arguments = replaced(&arguments, "{c_iflag=", "}", "{…}");
    replaced(&arguments, ", sa_restorer=", "}", "}")
}

/// The text with `with` for all from `start` to the next `end`.
fn replaced(text: &str, start: &str, end: &str, with: &str) -> String {
    let mut parts = text.split(start);
    let mut result = parts.next().unwrap_or_default().to_string();
    for part in parts {
        result += with;
        result += part.split_once(end).map_or("", |(_, rest)| rest);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::{Style, shortened, tell};

    /// Step 2, cut short; then a command that forks.
    const LOG: &str = r#"240 execve("/t/step2", ["/t/step2", "sh"], 0x7ffd2b097f10 /* 35 vars */) = 0
240 rt_sigprocmask(SIG_SETMASK, NULL, [], 8) = 0
240 clone3({flags=CLONE_NEWUTS, exit_signal=SIGCHLD, stack=NULL, stack_size=0}, 88 <unfinished ...>
241 sethostname("slipway", 7) = 0
240 <... clone3 resumed>)             = 241
241 execve("/usr/bin/sh", ["sh"], 0x7ffd6a825d88 /* 35 vars */) = -1 ENOENT (No such file or directory)
241 execve("/bin/sh", ["sh"], 0x7ffd6a825d88 /* 35 vars */) = 0
241 clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD, child_tidptr=0x7f) = 242
242 +++ exited with 0 +++
241 wait4(-1, [{WIFEXITED(s) && WEXITSTATUS(s) == 0}], 0, NULL) = 242
241 +++ exited with 7 +++
240 wait4(241, [{WIFEXITED(s) && WEXITSTATUS(s) == 7}], WNOHANG|WSTOPPED, NULL) = 241
240 +++ exited with 7 +++
"#;

    #[test]
    fn what_says_nothing_is_left_out() {
        for (call, short) in [
            ("0, TCGETS, {c_iflag=ICRNL, c_oflag=NL0, ...}", "0, TCGETS, {…}"),
            (
                "SIGCHLD, {sa_handler=SIG_DFL, sa_flags=SA_RESTORER, sa_restorer=0x7f}, {sa_flags=0}, 8",
                "SIGCHLD, {sa_handler=SIG_DFL, sa_flags=SA_RESTORER}, {sa_flags=0}, 8",
            ),
            ("0, SNDCTL_TMR_STOP or TCSETSW, {c_iflag=0}", "0, TCSETSW, {…}"),
            ("3, {a=1}", "3, {a=1}"),
        ] {
            assert_eq!(shortened(call), short);
        }
    }

    #[test]
    fn the_lesson_alone() {
        let expected = r#"chapter  process      system call
      2  engine       clone3({flags=CLONE_NEWUTS, exit_signal=SIGCHLD, stack=NULL, stack_size=0}, 88) = container
      2  container      sethostname("slipway", 7) = 0
      0  container      execve("/usr/bin/sh", ["sh"], …) = -1 ENOENT (No such file or directory)
      0  container      execve("/bin/sh", ["sh"], …) = 0
         container      exited with 7
      1  engine       wait4(container, [{WIFEXITED(s) && WEXITSTATUS(s) == 7}], WNOHANG|WSTOPPED, NULL) = container
         engine       exited with 7
"#;
        assert_eq!(tell(LOG, Style::default()), expected);
    }

    #[test]
    fn everything() {
        let told = tell(LOG, Style { all: true, colour: false });
        assert_eq!(told.lines().count(), 13, "{told}");
        assert!(told.contains("command+1      exited with 0"), "{told}");
    }

    #[test]
    fn step_0_is_one_process() {
        let log = "9 execve(\"/t/step0\", [\"/t/step0\"], 0x1 /* 2 vars */) = 0\n\
                   9 execve(\"/bin/x\", [\"/bin/x\"], 0x1 /* 2 vars */) = 0\n\
                   9 chdir(\"/\") = 0\n9 +++ killed by SIGTERM +++\n";
        let expected = "chapter  process      system call\n      \
                        0  engine       execve(\"/bin/x\", [\"/bin/x\"], …) = 0\n         \
                        engine       killed by SIGTERM\n";
        assert_eq!(tell(log, Style::default()), expected);
    }
}
