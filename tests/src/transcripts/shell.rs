//! A reader's shell in the VM: what is typed there, and what the terminal shows then.

use std::fs::File;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::{self, Stdio};
use std::time::{Duration, Instant};

use shared::{Error, Explain};
use vt100::Parser;

use super::fence::Fence;
use crate::vm::typist::{Piece, Typist};
use crate::vm::{Command, Outcome, Stream, Vm};

/// No command takes longer, even where the machine is slow.
const PATIENCE: Duration = Duration::from_secs(300);

/// The shell's prompt, which no command prints (ASCII's "record separator").
const PROMPT: u8 = 0x1e;

/// As wide as the book's lines. The height is what programs are told; the longest output has less than `MOST_LINES`.
pub const COLUMNS: NonZero<u16> = NonZero::new(120).unwrap();
pub const ROWS: u16 = 50;
const MOST_LINES: NonZero<u16> = NonZero::new(500).unwrap();

/// What the checkout's `./just` is to a reader, for the steps that are on PATH in the VM.
const JUST: &str = r#"#!/bin/sh
case $1 in
    step) exec "$@" ;;
    trace) n=$2; shift 2; [ "$1" != -- ] || shift; exec trace "step$n" "$@" ;;
    *) echo "just: the VM has no recipe '$1'" >&2; exit 125 ;;
esac
"#;

/// Of the VM a machine as the reader's: ada's home and root's images are on a disk, she may use sudo, and `./just registry` runs.
const MACHINE: &str = r#"set -e
cp -a /home/ada /scratch/ada
mkdir /scratch/root /var/lib/slipway
mount --bind /scratch/ada /home/ada
mount --bind /scratch/root /var/lib/slipway
install -m 4755 /bin/bash /run/sudo
cat > /usr/local/bin/sudo <<'END'
#!/run/sudo -p
exec setpriv --reuid 0 --regid 0 --clear-groups env -i PATH="$PATH" HOME=/root "$@"
END
chmod 755 /usr/local/bin/sudo
cat > /run/registry.yml <<END
version: 0.1
storage: {filesystem: {rootdirectory: /slipway/registry}}
http: {addr: "127.0.0.1:5000"}
END
docker-registry serve /run/registry.yml > /run/registry.log 2>&1 &
until (echo > /dev/tcp/127.0.0.1/5000) 2> /dev/null; do kill -0 $!; sleep 0.2; done
"#;

/// One user's shell, in a VM of its own.
pub struct Shell {
    typist: Typist,
    piped: bool,
}

/// What a command printed.
pub struct Printed {
    /// As the terminal shows it in the end, without what the shell says about its jobs.
    pub lines: Vec<String>,
    /// When the command was typed.
    pub typed: Instant,
    /// When each line was there, in seconds after that.
    pub times: Vec<f64>,
    /// The shell's prompt came again.
    pub ended: bool,
}

impl Shell {
    /// Boots a VM and starts the shell that the fence is typed in.
    pub fn start(fence: &Fence) -> Result<Shell, Error> {
        let images = fence.registry.then(images).transpose()?;
        let folders: Vec<PathBuf> = images.iter().map(|(folder, _)| folder.clone()).collect();
        let mut vm = Vm::start_with(&folders)?;
        let just = format!("cat > just <<'END'\n{JUST}END\nchmod 755 just");
        prepare(&mut vm, &just)?;
        if fence.registry {
            prepare(&mut vm, MACHINE)?;
        }
        let user = if fence.ada { "ada" } else { "root" };
        // The terminal as `./just vm` gives it, but for the echo and for the colours and keys of a line's editing.
        let mut typist = Typist::start(vm, user, &["bash", "--noediting"], (ROWS, COLUMNS.get()))?;
        typist.press("stty -echo; PS1=$'\\x1e' PS2=\n")?;
        let (_, ready) = typist.read_until(PROMPT, PATIENCE)?;
        ready.then_some(Shell { typist, piped: false }).ok_or(Error::new("the VM has no shell"))
    }

    /// As [`Vm::last_words`].
    pub fn last_words(&mut self) -> String {
        self.typist.last_words()
    }

    /// Types a command and waits until it is over.
    pub fn run(&mut self, typed: &[String], pipe: bool) -> Result<Printed, Error> {
        if self.piped != pipe {
            let redirection = if pipe { "> >(exec cat)" } else { "> \"$(tty)\"" };
            self.typist.press(&format!("exec {redirection} 2>&1\n"))?;
            self.typist.read_until(PROMPT, PATIENCE)?;
            self.piped = pipe;
        }
        let start = Instant::now();
        self.typist.press(&(typed.join("\n") + "\n"))?;
        let (pieces, ended) = self.typist.read_until(PROMPT, PATIENCE)?;
        Ok(Printed::of(&pieces, start, ended))
    }
}

/// The folder with the sample images' registry, made if need be, and what keeps it from being removed.
pub fn images() -> Result<(PathBuf, File), Error> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rootfs-scripts/sample-images");
    let made = process::Command::new(&script).stderr(Stdio::inherit()).output();
    let made = made.explain(format_args!("run {}", script.display()))?;
    let folder = PathBuf::from(String::from_utf8_lossy(&made.stdout).trim_end());
    if !made.status.success() {
        return Err(Error::new("there are no sample images (see the line above)"));
    }
    let held = File::open(&folder).and_then(|folder| folder.lock_shared().and(Ok(folder)));
    Ok((folder.join("registry"), held.explain(format_args!("lock {}", folder.display()))?))
}

fn prepare(vm: &mut Vm, script: &str) -> Result<(), Error> {
    let mut said = String::new();
    let mut keep = |_: Stream, line: &str| said = line.into();
    match vm.run_lines(&Command::new(["bash", "-c", script]), &mut keep)? {
        Outcome::Ended(0) => Ok(()),
        _ => Err(Error::new(format!("the VM could not be made ready for the chapter: {said}"))),
    }
}

impl Printed {
    fn of(pieces: &[Piece], start: Instant, ended: bool) -> Printed {
        let mut terminal = Parser::new(MOST_LINES, COLUMNS, 0);
        let mut changes: Vec<(f64, String)> = Vec::new();
        for (when, bytes) in pieces {
            terminal.process(bytes);
            changes.push(((*when - start).as_secs_f64(), terminal.screen().contents()));
        }
        let end = changes.last().map(|(_, text)| text.clone()).unwrap_or_default();
        let (mut lines, mut times) = (Vec::new(), Vec::new());
        let shown: Vec<&str> = end.lines().collect();
        for (number, line) in shown.iter().copied().enumerate() {
            // Before it says that a job has stopped, bash begins a new line; and it says so when it
            // learns of it, which may be a command later.
            let stopped = |next: &&str| is_about_a_job(next) && next.contains("]+  Stopped ");
            let begins = line.is_empty() && shown.get(number + 1).is_some_and(stopped);
            if begins || is_about_a_job(line) {
                continue;
            }
            let there = |text: &str| text.lines().nth(number) == Some(line);
            let since =
                changes.iter().rposition(|(_, text)| !there(text)).map_or(0, |last| last + 1);
            lines.push(line.trim_end().to_string());
            times.push(changes.get(since).map_or(0.0, |(time, _)| *time));
        }
        Printed { lines, typed: start, times, ended }
    }
}

/// Whether a line is the shell's own: `[1] 4711` when a job starts, `[1]+  Done …` when it is over.
fn is_about_a_job(line: &str) -> bool {
    let rest = line.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let Some((number, rest)) = rest else { return false };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let starts = || rest.strip_prefix(' ').is_some_and(is_number);
    let ends = || {
        let state = rest.strip_prefix(['+', '-', ' ']).and_then(|rest| rest.strip_prefix("  "));
        let states = ["Running ", "Done ", "Exit ", "Killed ", "Terminated ", "Stopped "];
        state.is_some_and(|state| states.iter().any(|word| state.starts_with(word)))
    };
    is_number(number) && (starts() || ends())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_shell_says_about_jobs_is_told_from_the_rest() {
        for line in ["[1] 4711", "[12]+  Done                    sleep 1", "[1]   Killed      a"] {
            assert!(is_about_a_job(line), "{line}");
        }
        for line in ["[1]", "[1] 4711 a", "[x] 1", "uts:[402]", "[1]+  Whatever", "[] 1"] {
            assert!(!is_about_a_job(line), "{line}");
        }
    }

    #[test]
    fn a_line_has_the_time_when_it_was_there() {
        let start = Instant::now();
        let after =
            |seconds, text: &str| (start + Duration::from_secs(seconds), text.as_bytes().to_vec());
        let pieces = [after(1, "[1] 7\r\na\r\nb"), after(2, "b\r\n"), after(3, "\x1b[1mc\x1b[m")];
        let printed = Printed::of(&pieces, start, true);
        assert_eq!(printed.lines, ["a", "bb", "c"]);
        assert_eq!(printed.times, [1.0, 2.0, 3.0]);
        let late = [after(1, "\r\n[1]+  Stopped   a\r\n\r\nb")];
        assert_eq!(Printed::of(&late, start, true).lines, ["", "b"]);
    }
}
