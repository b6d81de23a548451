//! A command at a terminal: its keys, its foreground, and its end.

use super::*;

pub fn ctrl_c(engine: &Engine) -> Verdict {
    let mut terminal = catching_at_terminal(engine, "probe catch 4")?;
    for _ in 0..3 {
        terminal.press("\x03")?;
        terminal.wait_for("SIGINT")?;
        thread::sleep(Duration::from_millis(100));
    }
    terminal.press("\x04")?;
    let more = terminal.wait_for("ready:")?;
    let one = "one SIGINT for each Ctrl-C";
    require(!more.contains("SIGINT"), "three times Ctrl-C", one, "a second one")?;
    terminal.last_status_is(4)
}

pub fn terminals_signals(engine: &Engine) -> Verdict {
    let tried = "Ctrl-\\, Ctrl-Z and a new size of the window";
    let mut terminal = catching_at_terminal(engine, "probe catch-all 4")?;
    for (key, name) in [("\x1c", "SIGQUIT"), ("\x1a", "SIGTSTP"), ("", "SIGWINCH")] {
        match key {
            "" => terminal.resize(30, 100)?,
            key => terminal.press(key)?,
        }
        let before = terminal.wait_for(name)?;
        let once = !before.contains("SIG");
        require(once, tried, "each of the three signals once", format!("{before}{name}"))?;
        // A second one would come by now.
        thread::sleep(Duration::from_millis(300));
    }
    terminal.press("\x04")?;
    let more = terminal.wait_for("ready:")?;
    require(!more.contains("SIG"), tried, "each of the three signals once", more)?;
    terminal.last_status_is(4)
}

/// A terminal where the engine runs `probe` with these words, which has told that it is ready.
fn catching_at_terminal(engine: &Engine, words: &str) -> Result<Terminal, Failure> {
    let mut terminal = Terminal::open(engine)?;
    // Of two signals that come at almost the same time the kernel makes one: so the engine sends late, in microseconds.
    // -I4: Ctrl-Z stops no strace.
    let late =
        "strace -I4 -qq -o /dev/null --inject=kill,tgkill,pidfd_send_signal:delay_enter=50000";
    let line = engine.typed(words);
    terminal.enter(&format!("cd {ROOTFS}/..; late='{late}'"))?;
    terminal.wait_for("ready:")?;
    terminal.enter(&format!("$late {line}"))?;
    // When the command is ready, it tells two ids; under a tracer an ordinary user's engine has something to say before.
    let ids = |line: String| line.split_whitespace().flat_map(str::parse::<i32>).count();
    while ids(terminal.wait_for("\n")?) != 2 {}
    Ok(terminal)
}

pub fn ctrl_z(engine: &Engine) -> Verdict {
    let mut terminal = Terminal::open(engine)?;
    let line = engine.typed("sh -c 'echo be''gin; read x; exit 6'");
    terminal.enter(&format!("cd {ROOTFS}/..; {line}"))?;
    terminal.wait_for("begin")?;
    terminal.press("\x1a")?;
    terminal.wait_for("Stopped")?;
    terminal.wait_for("ready:")?;
    terminal.enter("fg")?;
    terminal.wait_for("exit 6'\r\n")?;
    // What is typed before the shell has handed the terminal over, the shell would read itself.
    thread::sleep(Duration::from_millis(300));
    terminal.enter("")?;
    terminal.wait_for("ready:")?;
    terminal.last_status_is(6)
}

pub fn background(engine: &Engine) -> Verdict {
    let mut terminal = Terminal::open(engine)?;
    stopped_in_background(engine, &mut terminal, "cat")?;
    terminal.enter("word")?;
    // The terminal's echo, and what the command has read.
    terminal.wait_for("word\r\nword\r\n")?;
    terminal.press("\x04")?;
    terminal.wait_for("ready:")?;
    terminal.last_status_is(0)
}

pub fn background_output(engine: &Engine) -> Verdict {
    let mut terminal = Terminal::open(engine)?;
    terminal.enter("stty tostop")?;
    stopped_in_background(engine, &mut terminal, "sh -c 'echo wri''tten; exit 5'")?;
    terminal.wait_for("written")?;
    terminal.wait_for("ready:")?;
    terminal.last_status_is(5)
}

/// Starts a command in the background, requires that it is stopped there, and brings it to the foreground.
fn stopped_in_background(engine: &Engine, terminal: &mut Terminal, command: &str) -> Verdict {
    let line = engine.typed(command) + " &";
    terminal.enter(&format!("cd {ROOTFS}/..; {line}"))?;
    terminal.wait_for("ready:")?;
    terminal.enter("while jobs | grep -q Running; do sleep 0.1; done; echo loo''ked")?;
    terminal.wait_for("looked\r\n")?;
    // What the shell knows is the engine. Its child, where it has one, could be trying without end.
    let job = first_child(terminal.leader());
    let inner = job.map(|job| first_child(job).unwrap_or(job));
    let state = || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", inner?)).ok()?;
        stat.rsplit_once(") ")?.1.chars().next()
    };
    let is_stopped = eventually(|| state() == Some('T'));
    let seen = state().map_or("no command".into(), |state| format!("state {state}"));
    require(is_stopped, &line, "a command that is stopped (state T)", seen)?;
    terminal.enter("fg")?;
    let end = command.rsplit(' ').next().unwrap_or_default();
    terminal.wait_for(&format!("{end}\r\n"))?;
    // What is typed before the shell has handed the terminal over, the shell would read itself.
    thread::sleep(Duration::from_millis(300));
    Ok(())
}

pub fn foreground_of_others(engine: &Engine) -> Verdict {
    let mut terminal = Terminal::open(engine)?;
    let line = engine.typed("sh -c 'echo be''gin; sleep 1; exit 6'");
    terminal.enter(&format!("cd {ROOTFS}/..; {line}"))?;
    terminal.wait_for("begin")?;
    terminal.press("\x1a")?;
    terminal.wait_for("Stopped")?;
    terminal.wait_for("ready:")?;
    // While cat has the foreground the job ends.
    terminal.enter("bg; cat")?;
    terminal.wait_for("exit 6' &")?;
    thread::sleep(Duration::from_secs(2));
    // The second one, as cat waits for the first already. The terminal's echo, and what cat has read.
    for word in ["typed", "again"] {
        terminal.enter(word)?;
        terminal.wait_for(&format!("{word}\r\n{word}\r\n"))?;
    }
    terminal.press("\x04")?;
    terminal.wait_for("ready:").map(drop)
}

pub fn hang_up(engine: &Engine) -> Verdict {
    // No shell in between, as `xterm -e` and `ssh -t` have none: the engine leads the session.
    let line = engine.typed("/bin/probe idle");
    let mut terminal = Terminal::start(engine, &line.split(' ').collect::<Vec<_>>())?;
    terminal.wait_for("pid=")?;
    let leader = terminal.close();
    let ended =
        eventually(|| waitpid(leader, Some(WaitPidFlag::WNOHANG)) != Ok(WaitStatus::StillAlive));
    let tried = format!("{line}, and closing the terminal");
    require(ended, &tried, "its end", "no end")
}

pub fn foreground_comes_back(engine: &Engine) -> Verdict {
    foreground_after(engine, "exit")
}

/// Lets a script call the engine with a shell, ends that in this way, and requires that the script has the
/// foreground afterwards: it reads a line.
pub fn foreground_after(engine: &Engine, end: &str) -> Verdict {
    let mut terminal = Terminal::open(engine)?;
    let line = engine.typed("sh -i");
    // Unlike a shell at its prompt, a script does not take the terminal back itself.
    terminal.enter(&format!("cd {ROOTFS}/..; sh -c '{line}; read x; echo \"<$x>\"'"))?;
    terminal.wait_for("# ")?;
    terminal.enter("PS1=in''side:")?;
    terminal.wait_for("inside:")?;
    terminal.enter(end)?;
    thread::sleep(Duration::from_millis(300));
    terminal.enter("word")?;
    terminal.wait_for("<word>").map(drop)
}
