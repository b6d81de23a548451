//! The lines that strace(1) writes with -f and -o: each begins with a pid.

use super::FORKS;

/// What one process did.
#[derive(Debug, PartialEq)]
pub struct Line {
    /// In the tracer's PID namespace.
    pub pid: String,
    pub what: What,
}

#[derive(Debug, PartialEq)]
pub enum What {
    /// A system call. `result` is what stands behind "=": "0", "3</dev/null>", "-1 EPERM (…)".
    Call { name: String, arguments: String, result: String },
    /// The end of the process: "exited with 0", "killed by SIGKILL".
    End(String),
    /// A signal arrived, or something else that is no call.
    Other(String),
}

/// Splits what strace wrote into what happened.
///
/// A call that another process interrupted takes two lines: "NAME(… <unfinished ...>" and
/// "<... NAME resumed>…". It counts when it is finished, except that a fork stands where it began:
/// before what its child does.
pub fn parse(log: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    // Calls begun: their process, their first half, and for a fork the place that is kept for it.
    let mut begun: Vec<(&str, &str, Option<usize>)> = Vec::new();
    for (pid, text) in log.lines().filter_map(|line| line.split_once(' ')) {
        let text = text.trim_start();
        if let Some(start) = text.strip_suffix(" <unfinished ...>") {
            let is_fork = start.split('(').next().is_some_and(|name| FORKS.contains(&name));
            let place = is_fork.then_some(lines.len());
            if is_fork {
                lines.push(Line { pid: pid.to_owned(), what: what(start) });
            }
            begun.push((pid, start, place));
        } else if let Some((_, end)) = text.strip_prefix("<... ").and_then(resumed) {
            let Some(at) = begun.iter().position(|(other, ..)| *other == pid) else { continue };
            let (_, start, place) = begun.remove(at);
            let line = Line { pid: pid.to_owned(), what: what(&format!("{start}{end}")) };
            match place {
                Some(place) => lines[place] = line,
                None => lines.push(line),
            }
        } else {
            lines.push(Line { pid: pid.to_owned(), what: what(text) });
        }
    }
    lines
}

fn resumed(text: &str) -> Option<(&str, &str)> {
    text.split_once(" resumed>")
}

fn what(text: &str) -> What {
    if let Some(end) = text.strip_prefix("+++ ").and_then(|end| end.strip_suffix(" +++")) {
        return What::End(end.to_owned());
    }
    call(text).unwrap_or_else(|| What::Other(text.trim_end().to_owned()))
}

/// "NAME(ARGUMENTS)    = RESULT"
fn call(text: &str) -> Option<What> {
    let (call, result) = text.rsplit_once(" = ")?;
    let (name, arguments) = call.trim_end().strip_suffix(')')?.split_once('(')?;
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    name.chars().all(is_name).then(|| What::Call {
        name: name.to_owned(),
        arguments: arguments.to_owned(),
        result: result.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::{Line, What, parse};

    fn call(pid: &str, name: &str, arguments: &str, result: &str) -> Line {
        let [name, arguments, result] = [name, arguments, result].map(str::to_owned);
        Line { pid: pid.to_owned(), what: What::Call { name, arguments, result } }
    }

    #[test]
    fn calls_that_are_whole() {
        let log = r#"24030 brk(NULL)                         = 0x5555801d3000
24031 sethostname("slipway", 7)         = 0
24031 mount("tmpfs", "/a = (b)", "tmpfs", MS_NOSUID, "mode=0755,size=64k") = -1 EPERM (Operation not permitted)
24031 openat(AT_FDCWD</work/main>, "/dev/null", O_WRONLY) = 3</tmp/dev/null>
"#;
        let expected = [
            call("24030", "brk", "NULL", "0x5555801d3000"),
            call("24031", "sethostname", r#""slipway", 7"#, "0"),
            call(
                "24031",
                "mount",
                r#""tmpfs", "/a = (b)", "tmpfs", MS_NOSUID, "mode=0755,size=64k""#,
                "-1 EPERM (Operation not permitted)",
            ),
            call(
                "24031",
                "openat",
                r#"AT_FDCWD</work/main>, "/dev/null", O_WRONLY"#,
                "3</tmp/dev/null>",
            ),
        ];
        assert_eq!(parse(log), expected);
    }

    #[test]
    fn a_fork_stands_before_its_child_and_other_calls_where_they_end() {
        let log = r#"24030 clone3({flags=CLONE_NEWUTS, exit_signal=SIGCHLD, stack=NULL, stack_size=0}, 88 <unfinished ...>
24031 rt_sigprocmask(SIG_SETMASK, [],  <unfinished ...>
24030 <... clone3 resumed>)             = 24031
24031 <... rt_sigprocmask resumed>NULL, 8) = 0
24030 wait4(24031,  <unfinished ...>
24031 exit_group(0)                     = ?
24031 +++ exited with 0 +++
24030 <... wait4 resumed>[{WIFEXITED(s) && WEXITSTATUS(s) == 0}], 0, NULL) = 24031
"#;
        let flags = "{flags=CLONE_NEWUTS, exit_signal=SIGCHLD, stack=NULL, stack_size=0}, 88";
        let expected = [
            call("24030", "clone3", flags, "24031"),
            call("24031", "rt_sigprocmask", "SIG_SETMASK, [], NULL, 8", "0"),
            call("24031", "exit_group", "0", "?"),
            Line { pid: "24031".to_owned(), what: What::End("exited with 0".to_owned()) },
            call(
                "24030",
                "wait4",
                "24031, [{WIFEXITED(s) && WEXITSTATUS(s) == 0}], 0, NULL",
                "24031",
            ),
        ];
        assert_eq!(parse(log), expected);
    }

    #[test]
    fn what_is_no_call() {
        let log = "7  --- SIGCHLD {si_signo=SIGCHLD, si_pid=8} ---\n7  +++ killed by SIGKILL +++\n";
        let what: Vec<What> = parse(log).into_iter().map(|line| line.what).collect();
        let signal = "--- SIGCHLD {si_signo=SIGCHLD, si_pid=8} ---".to_owned();
        assert_eq!(what, [What::Other(signal), What::End("killed by SIGKILL".to_owned())]);
    }

    #[test]
    fn a_fork_that_never_returned_is_no_call() {
        let lines = parse(
            "7  clone3({flags=CLONE_NEWPID}, 88 <unfinished ...>\n7  +++ killed by SIGKILL +++",
        );
        assert!(matches!(&lines[0].what, What::Other(text) if text.starts_with("clone3(")));
    }
}
