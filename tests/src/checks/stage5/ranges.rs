//! Whose ranges of ids are whose, and the programs that may map them.

use std::process::Command;

use super::super::engine::{Engine, Outcome, called_by};
use super::super::failure::{Verdict, equal, require};
use super::super::terminal::Terminal;
use super::{SHOW_MAPS, has_maps, on_changed_machine};

/// The maps of ada with her range, and with one id.
const RANGE: [&str; 4] = ["0 1000 1", "1 100000 65536", "0 1000 1", "1 100000 65536"];
const SINGLE: [&str; 2] = ["0 1000 1"; 2];

/// What root changes so that a script is newuidmap or newgidmap.
fn script_for(program: &str, script: &str) -> String {
    format!(
        "mount -t tmpfs none /mnt; echo '#!/bin/sh\n{script}' > /mnt/other; chmod 755 /mnt/other
         mount --bind /mnt/other /usr/bin/{program}"
    )
}

pub fn ranges_of_groups(engine: &Engine) -> Verdict {
    // One that ends where the one before it begins, and one that is empty.
    let script = "mount -t tmpfs none /mnt
                  printf 'ada:400000:5\\nada:399000:1000\\nada:500000:0\\n' > /mnt/subgid
                  mount --bind /mnt/subgid /etc/subgid";
    let line = format!("engine /bin/sh -c '{SHOW_MAPS}'");
    let maps = ["0 1000 1", "1 100000 65536", "0 1000 1", "1 400000 5", "6 399000 1000"];
    has_maps(&on_changed_machine(engine, script, &line)?, &maps)
}

pub fn single_without_range(engine: &Engine) -> Verdict {
    let line = format!("engine /bin/sh -c '{SHOW_MAPS}'");
    let outcome = on_changed_machine(engine, "mount --bind /dev/null /etc/subuid", &line)?;
    has_maps(&outcome, &SINGLE)?;
    // A script's standard error belongs to the command.
    equal(&outcome.tried, "standard error", "", outcome.stderr.as_str())
}

pub fn no_range(engine: &Engine) -> Verdict {
    let line = "engine --userns range /bin/echo started";
    for kind in ["gid", "uid"] {
        let script = format!("mount --bind /dev/null /etc/sub{kind}");
        let outcome = on_changed_machine(engine, &script, line)?;
        let [file, cure] =
            [format!("/etc/sub{kind}"), format!("sudo usermod --add-sub{kind}s 100000-165535 ada")];
        outcome.ends_with(125)?.prints("")?.complains_of(&[&file, "ada", &cure])?;
    }
    Ok(())
}

pub fn unlisted_caller(engine: &Engine) -> Verdict {
    let script = "mount --bind /dev/null /etc/passwd; mount --bind /dev/null /usr/bin/newgidmap";
    // Her ranges are found, so something else is missing.
    let line = "env USER=ada engine --userns range /bin/echo started";
    let outcome = on_changed_machine(engine, script, line)?;
    outcome.ends_with(125)?.prints("")?.complains_of(&["newgidmap", "apt install uidmap"])?;
    let line = "env --unset=USER engine --userns range /bin/echo started";
    let outcome = on_changed_machine(engine, script, line)?;
    let cure = ["/etc/subuid has no range for 1000", "sudo usermod --add-subuids"];
    outcome.ends_with(125)?.prints("")?.complains_of(&cure)
}

pub fn no_newuidmap(engine: &Engine) -> Verdict {
    let line = "engine --userns range /bin/echo started";
    let outcome = on_changed_machine(engine, "mount --bind /dev/null /usr/bin/newgidmap", line)?;
    outcome.ends_with(125)?.prints("")?.complains_of(&["newgidmap", "apt install uidmap"])
}

pub fn newuidmap_elsewhere(engine: &Engine) -> Verdict {
    // On the way lies a directory of that name.
    let script = "mount -t tmpfs none /mnt; mkdir -p /mnt/first/newuidmap /mnt/second
                  cp -a /usr/bin/newuidmap /usr/bin/newgidmap /mnt/second
                  mount --bind /dev/null /usr/bin/newuidmap
                  mount --bind /dev/null /usr/bin/newgidmap";
    let show = format!("engine --userns range /bin/sh -c '{SHOW_MAPS}'");
    let line = format!("env PATH=/mnt/first:/mnt/second:/usr/bin {show}");
    has_maps(&on_changed_machine(engine, script, &line)?, &RANGE)?;
    // One that is meant for the container, and none.
    for path in ["PATH=/no/such", "--unset=PATH"] {
        has_maps(&on_changed_machine(engine, ":", &format!("env {path} {show}"))?, &RANGE)?;
    }
    Ok(())
}

pub fn traced(engine: &Engine) -> Verdict {
    let strace = |args: &[&str]| {
        let mut command = Command::new("/usr/bin/strace");
        command.args(["-f", "-o", "/dev/null"]).args(engine.line(args));
        Outcome::of(called_by(engine.caller, command), b"")
    };
    has_maps(&strace(&["/bin/sh", "-c", SHOW_MAPS])?, &SINGLE)?;
    let outcome = strace(&["--userns", "range", "/bin/echo", "started"])?;
    outcome.ends_with(125)?.prints("")?.complains_of(&["newuidmap", "tracer"])?;
    // Whoever sits at a terminal is told.
    let line = format!("/usr/bin/strace -f -o /dev/null {}", engine.typed("/bin/echo started"));
    let words: Vec<&str> = line.split(' ').collect();
    let shown = Terminal::start(engine, &words)?.wait_for("started")?;
    let note = "note: no id but 0";
    require(shown.contains(note), &line, format!("{note:?} on a terminal"), shown)
}

pub fn no_new_privs(engine: &Engine) -> Verdict {
    let line = format!("setpriv --no-new-privs engine /bin/sh -c '{SHOW_MAPS}'");
    has_maps(&on_changed_machine(engine, ":", &line)?, &SINGLE)?;
    let line = "setpriv --no-new-privs engine --userns range /bin/echo started";
    let outcome = on_changed_machine(engine, ":", line)?;
    outcome.ends_with(125)?.prints("")?.complains_of(&["newuidmap", "no_new_privs"])
}

pub fn range_taken_twice(engine: &Engine) -> Verdict {
    let script = "mount -t tmpfs none /mnt; cp /etc/subuid /mnt; echo bob:120000:10 >> /mnt/subuid
                  mount --bind /mnt/subuid /etc/subuid";
    let outcome = on_changed_machine(engine, script, "engine /bin/echo started")?;
    outcome.ends_with(125)?.prints("")?.complains_of(&["/etc/subuid", "120000:10", "bob", "ada"])
}

pub fn mapping_fails(engine: &Engine) -> Verdict {
    // What one of the programs says; what is said of it, and what may help.
    let cases = [
        ("newuidmap", "echo newuidmap: no >&2", "newuidmap: no", "works without it"),
        ("newgidmap", "echo newgidmap: no >&2", "newgidmap: no", "works without it"),
        ("newgidmap", "true", "exit status: 1", "works without it"),
        (
            "newgidmap",
            "echo Operation not permitted >&2",
            "Operation not permitted",
            "--reinstall uidmap",
        ),
    ];
    for (program, says, said, cure) in cases {
        let script = script_for(program, &format!("{says}; exit 1"));
        let outcome = on_changed_machine(engine, &script, "engine /bin/echo started")?;
        outcome.ends_with(125)?.prints("")?.complains_of(&["cannot map", said, cure])?;
    }
    Ok(())
}

pub fn newuidmap_apart(engine: &Engine) -> Verdict {
    // The fifth word is its process group (proc_pid_stat(5)).
    let script = script_for(
        "newgidmap",
        "read -r _ _ _ _ group _ < /proc/$$/stat; test $group = $$ && group=own
         test /dev/stdin -ef /dev/null && input=none
         echo group: $group, input: $input >&2; exit 1",
    );
    let outcome = on_changed_machine(engine, &script, "engine /bin/echo started")?;
    outcome.ends_with(125)?.prints("")?.complains_of(&["group: own, input: none"])
}

pub fn killed_before_its_ids(engine: &Engine) -> Verdict {
    // newgidmap kills the container that it is called for, and ends when that is dead.
    let script = script_for(
        "newgidmap",
        "kill -KILL $1; while grep -q State:.[^Z] /proc/$1/status; do sleep 0.01; done",
    );
    let outcome = on_changed_machine(engine, &script, "engine /bin/echo started")?;
    outcome.ends_with(137)?.prints("")?;
    equal(&outcome.tried, "standard error", "", outcome.stderr.as_str())
}
