//! Files of the host's in a container.

use std::os::unix::fs::MetadataExt;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::*;
use crate::checks::machine::Machine;

promises! { stage 12:
    bind_directory "-v ./SRC:DST: what one side writes the other reads, and it is the caller's on the host; --mount type=bind does the same"
    bind_file "a single file can be mounted, over one of the image's, too"
    missing_places "a place that the image lacks is made, root's and with mode 0755, and goes with the container"
    read_only_binds "with ro nothing below can be written, and no device works and no set-user-ID bit, with or without"
    sub_mounts "what the host has mounted below the source comes along, and is read-only as well"
    inside_each_other "a mount inside another one, whatever the order of the options"
    over_etc_hosts "the caller's own /etc/hosts counts more than the engine's, and the other files stay the engine's"
    kinds_must_fit "a file on a directory, or a directory on a file: 125"
    refused_options by one "a wrong spelling, a source that is missing, U and Z, two mounts for one place: 125 and why"
    host_mount_table "nothing stays in the host's mount table, and nothing in the source's directory"
}

fn bind_directory(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let source = source(&home)?;
    let long = format!("--mount=type=bind,source={},target=/new/place", source.display());
    for option in ["--volume=./src:/new/place", &long] {
        let outcome = sh(&home, &[option], "cat /new/place/file; echo inside > /new/place/made")?;
        outcome.ends_with(0)?.prints("outside\n")?;
        let made = source.join("made");
        equal(&outcome.tried, "the new file", "inside\n".into(), fs::read_to_string(&made)?)?;
        let owner = fs::metadata(&made)?.uid();
        equal(&outcome.tried, "whose it is", engine.caller.id(), owner)?;
        fs::remove_file(made)?;
    }
    Ok(())
}

fn bind_file(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    source(&home)?;
    let options = ["--volume=./src/file:/etc/passwd", "--volume=./src/file:/new/file:ro"];
    let script = "cat /etc/passwd /new/file; echo more >> /etc/passwd; (echo x > /new/file) 2>&1 | grep -c Read-only; cat /new/file";
    sh(&home, &options, script)?.ends_with(0)?.prints("outside\noutside\n1\noutside\nmore\n")?;
    Ok(())
}

fn missing_places(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    source(&home)?;
    let options = ["--volume=./src:/a/b/c", "--volume=./src/file:/d/e/file"];
    sh(&home, &options, "stat -c '%a %u %g' /a /a/b /d /d/e")?
        .ends_with(0)?
        .prints(&"755 0 0\n".repeat(4))?;
    sh(&home, &[], "ls -d /a /d 2>/dev/null; true")?.ends_with(0)?.prints("")?;
    Ok(())
}

fn read_only_binds(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let source = source(&home)?;
    let long = format!("--mount=type=bind,src={},dst=/s,readonly", source.display());
    for (option, flag) in
        [("--volume=./src:/s:ro", "ro"), (long.as_str(), "ro"), ("--volume=./src:/s", "rw")]
    {
        let script = "(echo x > /s/file) 2>&1 | grep -c Read-only; grep ' /s ' /proc/self/mounts | cut -d' ' -f4 | cut -d, -f1-3";
        let writes = if flag == "ro" { 1 } else { 0 };
        let outcome = sh(&home, &[option], script)?;
        outcome.ends_with(0)?.prints(&format!("{writes}\n{flag},nosuid,nodev\n"))?;
    }
    Ok(())
}

fn sub_mounts(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let below = source(&home)?.join("sub");
    fs::create_dir(&below)?;
    mount(Some("tmpfs"), &below, Some("tmpfs"), MsFlags::empty(), Some("mode=0777"))?;
    fs::write(below.join("deep"), "deep\n")?;
    let run = || {
        sh(&home, &["--volume=./src:/s"], "cat /s/sub/deep; touch /s/sub/new && echo made")?
            .ends_with(0)?
            .prints("deep\nmade\n")?;
        let script = "cat /s/sub/deep; touch /s/sub/newer 2>&1 | grep -c Read-only";
        sh(&home, &["--volume=./src:/s:ro"], script)?.ends_with(0)?.prints("deep\n1\n")?;
        // What is read-only outside is so inside, without a word.
        mount(
            None::<&str>,
            &below,
            None::<&str>,
            MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY,
            None::<&str>,
        )?;
        sh(&home, &["--volume=./src:/s"], script)?.ends_with(0)?.prints("deep\n1\n")?;
        Ok(())
    };
    let verdict = run();
    umount2(&below, MntFlags::MNT_DETACH)?;
    verdict
}

fn inside_each_other(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    source(&home)?;
    home.make_directory("outer")?;
    home.make_file("outer/own", 0o644, "outer\n")?;
    for options in [
        ["--volume=./outer:/o", "--volume=./src:/o/in/ner"],
        ["--volume=./src:/o/in/ner", "--volume=./outer:/o"],
    ] {
        sh(&home, &options, "cat /o/own /o/in/ner/file")?
            .ends_with(0)?
            .prints("outer\noutside\n")?;
    }
    Ok(())
}

fn over_etc_hosts(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    source(&home)?;
    let script = "cat /etc/hosts /etc/hostname";
    sh(&home, &["--volume=./src/file:/etc/hosts"], script)?
        .ends_with(0)?
        .prints("outside\nslipway\n")?;
    Ok(())
}

fn kinds_must_fit(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    source(&home)?;
    for (option, words) in [
        ("--volume=./src:/etc/passwd", ["a directory on the file", "/etc/passwd"]),
        ("--volume=./src:/etc/hosts", ["a directory on the file", "/etc/hosts"]),
        ("--volume=./src/file:/etc", ["a file on the directory", "/etc"]),
        ("--volume=name:/etc/passwd", ["a directory on the file", "/etc/passwd"]),
    ] {
        sh(&home, &[option], "true")?.complains_of(&words)?;
    }
    let removed = engine.subcommand(["volume", "rm", "-f", "name"]);
    Outcome::of(removed, b"")?.ends_with(0).map(drop)
}

fn refused_options(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    source(&home)?;
    for (options, words) in [
        (&["--volume=./nowhere:/s"][..], ["nowhere", "make it first"]),
        (&["--volume=src/file:/s"], ["src/file", "./src/file"]),
        (&["--volume=./src:s"], ["absolute", "\"s\""]),
        (&["--volume=./src:/"], ["/", "the image"]),
        (&["--volume=./src:/s:U"], ["U", "keep-id"]),
        (&["--volume=./src:/s:Z"], ["Z", "SELinux"]),
        (&["--volume=./src:/s:shared"], ["shared", "nocopy"]),
        (&["--volume=./src:/a", "--volume=./src:/b/../a"], ["two mounts", "/a"]),
        (&["--mount=type=bind,target=/s"], ["source", "missing"]),
        (&["--mount=type=npipe,target=/s"], ["npipe", "tmpfs"]),
        (&["--tmpfs=/t:size=lots"], ["size", "64M"]),
    ] {
        sh(&home, options, "true")?.complains_of(&words)?;
    }
    Ok(())
}

fn host_mount_table(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let source = source(&home)?;
    let machine = Machine::now();
    let options = ["--volume=./src:/s", "--volume=/anonymous", "--tmpfs=/t", "--read-only"];
    sh(&home, &options, "touch /s/new /anonymous/x /t/y")?.ends_with(0)?;
    fs::remove_file(source.join("new"))?;
    machine.is_unchanged()?;
    let names: Vec<_> = fs::read_dir(&source)?.flatten().map(|entry| entry.file_name()).collect();
    equal("-v ./src:/s", "what is in ./src", 1, names.len())
}
