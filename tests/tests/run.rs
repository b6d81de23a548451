//! `./just step N`: where the step gets its root filesystem from.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, process};

const TOP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// A checkout with the real steps/run, and a step 5 that prints its arguments. It need not be root.
fn checkout() -> PathBuf {
    let top = env::temp_dir().join(format!("slipway-run-{}", process::id()));
    let _ = fs::remove_dir_all(&top);
    for directory in ["steps/step5", "rootfs", "elsewhere"] {
        fs::create_dir_all(top.join(directory)).unwrap();
    }
    let step = top.join("step5");
    let build = format!("#!/bin/sh\necho '{{\"executable\":\"{}\"}}'\n", step.display());
    // The options as clap shows them.
    let help = "  -v, --version\n      --hostname <NAME>  its name\n      --rootfs <DIR>     its /";
    let print = format!("#!/bin/sh\n[ \"$1\" = --help ] && echo '{help}' && exit\necho \"$*\"\n");
    let run = fs::read_to_string(Path::new(TOP).join("steps/run")).unwrap();
    let table = fs::read_to_string(Path::new(TOP).join("steps/steps.toml")).unwrap();
    let files =
        [("step5", print), ("steps/build", build), ("steps/run", run), ("steps/steps.toml", table)];
    for (file, text) in files {
        fs::write(top.join(file), text).unwrap();
        fs::set_permissions(top.join(file), Permissions::from_mode(0o755)).unwrap();
    }
    top
}

#[test]
fn a_rootfs_of_the_commands_is_not_the_engines() {
    let top = checkout();
    let told = |args: &[&str]| {
        let mut command = Command::new(top.join("steps/run"));
        let output = command.arg("5").args(args).current_dir(top.join("elsewhere")).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    let own = format!("--rootfs {}/rootfs", top.display());
    for (args, expected) in [
        (&["--", "ls"][..], format!("{own} ls\n")),
        (&["--", "ls", "--rootfs", "x"], format!("{own} ls --rootfs x\n")),
        (
            &["--", "--hostname", "h", "ls", "--rootfs=x"],
            format!("{own} --hostname h ls --rootfs=x\n"),
        ),
        (&["--", "--version", "--", "--rootfs"], format!("{own} --version -- --rootfs\n")),
        (&["--", "--hostname", "--rootfs", "ls"], format!("{own} --hostname --rootfs ls\n")),
        (&["--rootfs", "x", "ls"], "--rootfs x ls\n".into()),
        (&["--", "--hostname", "h", "--rootfs=x", "ls"], "--hostname h --rootfs=x ls\n".into()),
    ] {
        assert_eq!(told(args), expected, "{args:?}");
    }
    fs::remove_dir_all(&top).unwrap();
}
