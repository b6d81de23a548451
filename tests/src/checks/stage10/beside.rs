//! Podman's containers, asked the same with the same options.

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::*;
use crate::checks::podman::Podman;

promises! { stage 10:
    as_podman for Root "the same power as in podman's container, cell by cell: by options, by user, by what the file has"
}

/// Sets of options that both have. (ALL without SYS_ADMIN for a user is one that podman's crun 1.8.1 can't start.)
const OPTIONS: [&[&str]; 6] = [
    &[],
    &["--cap-add=NET_RAW"],
    &["--cap-add=cap_net_raw,SYS_ADMIN", "--cap-drop=CHOWN"],
    &["--cap-drop=ALL", "--cap-add=CHOWN"],
    &["--cap-add=ALL"],
    &["--security-opt=no-new-privileges", "--cap-add=NET_RAW"],
];

/// The programs of the image, by what their files have.
const PROGRAMS: [&str; 5] =
    ["/bin/probe", "/bin/setuid", "/bin/chown-cap", "/bin/raw-cap", "/bin/quiet-cap"];

fn as_podman(engine: &Engine) -> Verdict {
    let podman = Podman::new()?;
    fs::set_permissions(podman.add("bin/setuid")?, fs::Permissions::from_mode(0o4755))?;
    for (name, set) in
        [("chown", "cap_chown=ep"), ("raw", "cap_net_raw=ep"), ("quiet", "cap_chown,cap_net_raw=p")]
    {
        give(&podman.add(&format!("bin/{name}-cap"))?, set)?;
    }
    podman.add_shell()?;
    // None of them is process 1, and what the shell has is what a command has.
    let each = "do echo $program; $program power 2>/dev/null || echo is not executed; done";
    let script = format!("for program in {}; {each}", PROGRAMS.join(" "));
    let mut table = String::new();
    for options in OPTIONS {
        for user in ["0", "1000"] {
            let options = [options, &["-u", user][..]].concat();
            let ours = Outcome::of(
                engine.image(&options, &image(engine)?, &["/bin/sh", "-c", &script]),
                b"",
            )?;
            let theirs = podman.run(&options, &["/bin/sh", "-c", &script])?;
            let tried = options.join(" ");
            let [ours, theirs] = [said(ours)?, said(theirs)?];
            for (ours, theirs) in ours.lines().zip(theirs.lines()) {
                equal(&tried, "its power, beside podman's", theirs.trim(), ours.trim())?;
            }
            equal(&tried, "as many programs as podman's", theirs.len(), ours.len())?;
            let _ = write!(table, "{tried}\n{ours}");
        }
    }
    engine.show(table);
    Ok(())
}

/// What the programs said of themselves, a line each.
fn said(outcome: Outcome) -> Result<String, Failure> {
    let text = outcome.ends_with(0)?.stdout.replace("0000000", "");
    let lines = text.split("/bin/").skip(1).map(|program| program.trim().replace('\n', ", "));
    Ok(lines.map(|line| format!("    {line}\n")).collect())
}

/// Gives a file capabilities of its own.
fn give(file: &Path, set: &str) -> Verdict {
    let mut setcap = Command::new("setcap");
    setcap.arg(set).arg(file);
    Outcome::of(setcap, b"")?.ends_with(0).map(drop)
}
