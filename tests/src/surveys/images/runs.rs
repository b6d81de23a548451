//! What concerns running: images that step 8 pulls, and then runs or refuses to.

use serde_json::{Value, json};
use tar::EntryType;

use super::case::Case;
use super::case::Fate::{self, Fails, Prints, Refused};
use crate::checks::images::{Archive, Image, Item};
use crate::checks::samples;

/// An image with a shell, this config, and over it a layer; its own command is run.
fn sample(what: &'static str, fate: Fate, config: fn() -> Value, layer: fn() -> Archive) -> Case {
    let make = move || {
        let image = samples::sample(config(), Some(layer()));
        image.unwrap_or_else(|failure| panic!("cannot make {what}: {failure}"))
    };
    Case { runs: Some(&[]), ..Case::image(what, fate, make) }
}

/// The same without a layer of its own.
fn config(what: &'static str, fate: Fate, config: fn() -> Value) -> Case {
    sample(what, fate, config, Archive::begin)
}

/// The same that says `hello`, if it comes so far.
fn layer(what: &'static str, fate: Fate, layer: fn() -> Archive) -> Case {
    sample(what, fate, || hello(Value::Null), layer)
}

/// A config with this, and a command.
fn hello(more: Value) -> Value {
    let mut config = json!({ "Cmd": ["/bin/sh", "-c", "echo hello"] });
    if let (Some(config), Value::Object(more)) = (config.as_object_mut(), more) {
        config.extend(more);
    }
    config
}

const HELLO: Fate = Prints("hello\n");

pub fn cases() -> Vec<Case> {
    [configs(), commands(), files()].into_iter().flatten().collect()
}

fn configs() -> Vec<Case> {
    vec![
        config("WorkingDir `../../x`", Refused("is not absolute"), || {
            hello(json!({ "WorkingDir": "../../x" }))
        }),
        config("WorkingDir `/../../tmp/victim/x`: it is made inside", HELLO, || {
            hello(json!({ "WorkingDir": "/../../tmp/victim/x" }))
        }),
        config("WorkingDir below a file", Refused("/etc/passwd/x"), || {
            hello(json!({ "WorkingDir": "/etc/passwd/x" }))
        }),
        config("WorkingDir with a NUL", Refused("\\0"), || {
            hello(json!({ "WorkingDir": "/tmp\0/x" }))
        }),
        config("WorkingDir `/proc/self/fd/3`", Refused("/proc/self/fd/3"), || {
            hello(json!({ "WorkingDir": "/proc/self/fd/3" }))
        }),
        config("User `-1`", Refused("-1"), || hello(json!({ "User": "-1" }))),
        config("User `4294967295`", Refused("4294967295"), || {
            hello(json!({ "User": "4294967295" }))
        }),
        config("User that is in no /etc/passwd", Refused("nobody-knows"), || {
            hello(json!({ "User": "nobody-knows" }))
        }),
        config("User `0:0:0`", Refused("0:0"), || hello(json!({ "User": "0:0:0" }))),
        config("Env without `=`", Refused("which is no NAME=VALUE"), || {
            hello(json!({ "Env": ["JUST_A_NAME"] }))
        }),
        config("Env without a name", Refused("which is no NAME=VALUE"), || {
            hello(json!({ "Env": ["=value"] }))
        }),
        config("Env with a NUL", Refused("which is no NAME=VALUE"), || {
            hello(json!({ "Env": ["A=1\0B=2"] }))
        }),
        config("Env with LD_PRELOAD, which is for the container alone", HELLO, || {
            hello(json!({ "Env": ["LD_PRELOAD=/tmp/victim/secret"] }))
        }),
        config("StopSignal that is no signal", HELLO, || {
            hello(json!({ "StopSignal": "SIGNOTHING" }))
        }),
    ]
}

fn commands() -> Vec<Case> {
    vec![
        config("no command at all", Refused("has no command of its own"), || json!({})),
        config(
            "an Entrypoint of one empty word",
            Fails(127, "cannot execute \"\""),
            || json!({ "Entrypoint": [""] }),
        ),
        config("a command with a NUL", Refused("\\0"), || json!({ "Cmd": ["/bin/sh\0x"] })),
        config(
            "a command that is a directory",
            Fails(126, "it is a directory"),
            || json!({ "Cmd": ["/etc"] }),
        ),
        config(
            "a command that is no program",
            Fails(126, "Permission denied"),
            || json!({ "Cmd": ["/etc/passwd"] }),
        ),
        config(
            "a command with an argument of 1 MiB",
            Fails(126, "Argument list too long"),
            || json!({ "Cmd": ["/bin/sh", "x".repeat(1 << 20)] }),
        ),
        sample(
            "a command that is a link to itself",
            Fails(126, "symbolic links"),
            || json!({ "Cmd": ["/loop"] }),
            || Archive::begin().symlink("loop", "loop"),
        ),
        sample(
            "a command whose interpreter is itself",
            Fails(126, "symbolic links"),
            || json!({ "Cmd": ["/loop"] }),
            || {
                Archive::begin()
                    .add("loop", Item { mode: 0o755, content: b"#!/loop\n", ..Item::default() })
            },
        ),
        Case {
            runs: Some(&["/bin/sh"]),
            ..Case::image("an image of nothing", Fails(127, "cannot execute"), || {
                Image::of(&[Archive::begin().end()])
            })
        },
    ]
}

fn files() -> Vec<Case> {
    vec![
        layer("/proc is a link to a directory outside", Refused("it is a symbolic link"), || {
            Archive::begin().symlink("proc", "/tmp/victim")
        }),
        layer("/dev is a link that climbs by `..`", Refused("it is a symbolic link"), || {
            Archive::begin().symlink("dev", "../../../../tmp/victim")
        }),
        layer("/proc is a file", Refused("cannot mount proc"), || {
            Archive::begin().file("proc", "")
        }),
        layer("/dev is a fifo", Refused("cannot mount tmpfs"), || {
            Archive::begin().add("dev", samples::pipe())
        }),
        layer("/etc is a link to a directory outside, that is made inside", HELLO, || {
            Archive::begin()
                .file(".wh.etc", "")
                .directory("tmp/victim", 0o755)
                .symlink("etc", "/tmp/victim")
        }),
        layer("/etc is a file", Refused("/etc"), || Archive::begin().file("etc", "")),
        layer("/etc/hosts is a fifo, /etc/resolv.conf a link to a file outside", HELLO, || {
            Archive::begin()
                .add("etc/hosts", samples::pipe())
                .symlink("etc/resolv.conf", "/tmp/victim/secret")
        }),
        layer("/etc/hosts is a directory", Refused("/etc/hosts"), || {
            Archive::begin().file("etc/hosts/x", "")
        }),
        sample(
            "/etc/passwd is a fifo",
            Refused("/etc/passwd"),
            || hello(json!({ "User": "ada" })),
            || Archive::begin().add("etc/passwd", samples::pipe()),
        ),
        sample(
            "/etc/passwd is a link to /dev/zero",
            Refused("/etc/passwd"),
            || hello(json!({ "User": "ada" })),
            || Archive::begin().symlink("etc/passwd", "/dev/zero"),
        ),
        sample(
            "/etc/passwd has 1 GiB",
            Refused("4 MiB"),
            || hello(json!({ "User": "ada" })),
            samples::huge_passwd,
        ),
        sample(
            "/etc/group is garbage of 1 MiB",
            HELLO,
            || hello(json!({ "User": "ada" })),
            || Archive::begin().file("etc/group", &"\u{fffd}:,\n".repeat(1 << 17)),
        ),
        layer("the root forbids everything to all", HELLO, || {
            Archive::begin()
                .add("./", Item { kind: EntryType::Directory, mode: 0, ..Item::default() })
        }),
    ]
}
