//! Directories in memory, and an image that can't be changed.

use serde_json::json;

use super::*;

promises! { stage 12:
    memory "--tmpfs: empty, of the size and mode that were asked for, without programs unless exec; --mount type=tmpfs, too"
    read_only_root "--read-only: nothing of the image can be changed; /run, /tmp and /var/tmp can, and have what the image has there"
    read_only_but_volumes "with --read-only volumes, the image's own and the working directory still work"
}

fn memory(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    for option in [
        "--tmpfs=/etc:size=1M,mode=750",
        "--mount=type=tmpfs,dst=/etc,tmpfs-size=1M,tmpfs-mode=750",
    ] {
        let script = "ls -A /etc; stat -c %a /etc; busybox head -c 2000000 /dev/zero > /etc/f 2>/dev/null; stat -c %s /etc/f
                      cp /bin/busybox /etc/busybox 2>/dev/null; grep ' /etc ' /proc/self/mounts | cut -d' ' -f3,4 | cut -d, -f1-4";
        sh(&home, &[option], script)?
            .ends_with(0)?
            .prints("750\n1048576\ntmpfs rw,nosuid,nodev,noexec\n")?;
    }
    let script = "cp /bin/busybox /t/busybox; /t/busybox echo runs 2>/dev/null; stat -c %a /t";
    sh(&home, &["--tmpfs=/t"], script)?.ends_with(0)?.prints("1777\n")?;
    let shared = "grep -c ' /dev/shm ' /proc/self/mounts";
    sh(&home, &["--tmpfs=/dev/shm:size=1M"], shared)?.ends_with(0)?.prints("2\n")?;
    sh(&home, &["--tmpfs=/t:exec"], script)?.ends_with(0)?.prints("runs\n1777\n")?;
    let script = "touch /t/x 2>&1 | grep -c Read-only";
    sh(&home, &["--tmpfs=/t:ro"], script)?.ends_with(0)?.prints("1\n")?;
    Ok(())
}

fn image() -> Result<String, Failure> {
    samples::offer_once("read-only", || {
        let layer = Archive::begin()
            .directory("run", 0o755)
            .directory("run/lock", 0o1777)
            .file("run/note", "of the image\n")
            .directory("data", 0o755);
        (json!({ "Volumes": { "/data": {} }, "WorkingDir": "/new/work" }), Some(layer))
    })
}

fn read_only_root(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let script = "for f in /x /bin/x /etc/x; do touch $f 2>&1 | grep -c Read-only; done
                  touch /run/x /tmp/x /var/tmp/x && echo made; cat /run/note; stat -c %a /run /run/lock /tmp /var/tmp";
    image_sh(&home, &image()?, &["--read-only"], script)?
        .ends_with(0)?
        .prints("1\n1\n1\nmade\nof the image\n755\n1777\n1777\n1777\n")?;
    // What the caller wants there counts more.
    source(&home)?;
    let options = ["--read-only", "--volume=./src:/tmp"];
    image_sh(&home, &image()?, &options, "cat /tmp/file")?.ends_with(0)?.prints("outside\n")?;
    Ok(())
}

fn read_only_but_volumes(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    source(&home)?;
    let script = "pwd; touch x 2>&1 | grep -c Read-only; touch /data/x /s/x && echo made";
    image_sh(&home, &image()?, &["--read-only", "--volume=./src:/s"], script)?
        .ends_with(0)?
        .prints("/new/work\n1\nmade\n")?;
    Ok(())
}
