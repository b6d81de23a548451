//! Images that want to do harm: each is refused in one line, and nothing of it is left.

use serde_json::{Value, json};
use tar::EntryType;

use crate::checks::engine::{Engine, Outcome};
use crate::checks::failure::Verdict;
use crate::checks::images::{Archive, Item};
use crate::checks::samples;

promises! { stage 8:
    proc_or_dev_is_a_link "a /proc or /dev that is a link is refused"
    passwd_is_no_file "an /etc/passwd that is a pipe, a directory or a device is refused"
    passwd_is_huge by one "an /etc/passwd of 1 GiB is refused, and not read"
    bad_env by one "an Env without a name or a value is refused"
    nul_in_config by one "a NUL in Entrypoint, Env or WorkingDir is refused"
    bad_user by one "a User of -1 is refused"
    bad_working_dir by one "a WorkingDir that is relative, or below a file, is refused"
    bad_volume by one "a VOLUME below a file, or with a NUL in its name, is refused"
    config_of_other_types by one "a config whose fields have other types is refused"
}

/// Requires that the image is refused: when it runs, or before.
fn is_refused(engine: &Engine, image: &str, words: &[&str]) -> Verdict {
    // What it takes to be here, it may leave.
    Outcome::of(engine.subcommand(["pull", "-q", image]), b"")?;
    engine.leaves_nothing(|| {
        let outcome = engine.run_image(&[], image, &["/bin/probe", "args", "started"])?;
        outcome.ends_with(125)?.prints("")?.complains_of(words)
    })
}

fn proc_or_dev_is_a_link(engine: &Engine) -> Verdict {
    for (name, target) in [("proc", "/tmp"), ("dev", "../../../../dev")] {
        let layer = Archive::begin().symlink(name, target);
        let image = samples::offer_tiny(&format!("{name}-link"), Value::Null, Some(layer))?;
        is_refused(engine, &image, &[&format!("/{name}"), "symbolic link"])?;
    }
    Ok(())
}

fn passwd_is_no_file(engine: &Engine) -> Verdict {
    let layer = Archive::begin;
    for (tag, layer) in [
        ("passwd-pipe", layer().add("etc/passwd", samples::pipe())),
        ("passwd-directory", layer().file("etc/.wh.passwd", "").directory("etc/passwd", 0o755)),
        ("passwd-zero", layer().symlink("etc/passwd", "/dev/zero")),
        ("group-pipe", layer().add("etc/group", samples::pipe())),
    ] {
        let image = samples::offer_tiny(tag, json!({ "User": "ada" }), Some(layer))?;
        let file = if tag.starts_with("group") { "/etc/group" } else { "/etc/passwd" };
        is_refused(engine, &image, &[file])?;
    }
    Ok(())
}

fn passwd_is_huge(engine: &Engine) -> Verdict {
    let layer = samples::huge_passwd();
    let image = samples::offer_tiny("passwd-huge", json!({ "User": "ada" }), Some(layer))?;
    is_refused(engine, &image, &["/etc/passwd", "4 MiB"])
}

fn bad_env(engine: &Engine) -> Verdict {
    for (tag, env) in [("env-name", "JUST_A_NAME"), ("env-value", "=value")] {
        let image = samples::offer_tiny(tag, json!({ "Env": ["A=1", env] }), None)?;
        is_refused(engine, &image, &["Env", &format!("{env:?}")])?;
    }
    Ok(())
}

fn nul_in_config(engine: &Engine) -> Verdict {
    for (tag, config) in [
        ("nul-entrypoint", json!({ "Entrypoint": ["/bin/probe\0x"] })),
        ("nul-env", json!({ "Env": ["A=1\0B=2"] })),
        ("nul-workdir", json!({ "WorkingDir": "/tmp\0/x" })),
    ] {
        let image = samples::offer_tiny(tag, config, None)?;
        is_refused(engine, &image, &["image", "\\0"])?;
    }
    Ok(())
}

fn bad_user(engine: &Engine) -> Verdict {
    for (tag, user) in [("user-1", "-1"), ("user-2", "ada:4294967295")] {
        let image = samples::offer_tiny(tag, json!({ "User": user }), None)?;
        is_refused(engine, &image, &["image", user.trim_start_matches("ada:")])?;
    }
    Ok(())
}

fn bad_working_dir(engine: &Engine) -> Verdict {
    for (tag, directory) in [("workdir-up", "../../x"), ("workdir-file", "/etc/passwd/x")] {
        let image = samples::offer_tiny(tag, json!({ "WorkingDir": directory }), None)?;
        is_refused(engine, &image, &[directory])?;
    }
    // A link of the image's that leads to a file.
    let item =
        Item { kind: EntryType::Symlink, mode: 0o777, link: "/etc/passwd", ..Item::default() };
    let layer = Archive::begin().add("srv", item);
    let image = samples::offer_tiny("workdir-link", json!({ "WorkingDir": "/srv" }), Some(layer))?;
    is_refused(engine, &image, &["/srv"])
}

fn bad_volume(engine: &Engine) -> Verdict {
    for (tag, path, word) in [
        ("volume-file", "/etc/passwd", "/etc/passwd"),
        ("volume-below", "/etc/passwd/x", "/etc/passwd/x"),
        ("volume-nul", "/a\0b", "Volumes"),
    ] {
        let image = samples::offer_tiny(tag, json!({ "Volumes": { path: {} } }), None)?;
        is_refused(engine, &image, &[word])?;
    }
    Ok(())
}

fn config_of_other_types(engine: &Engine) -> Verdict {
    for (tag, config) in
        [("type-env", json!({ "Env": "A=1" })), ("type-cmd", json!({ "Cmd": [1, 2] }))]
    {
        let image = samples::offer_tiny(tag, config, None)?;
        is_refused(engine, &image, &["config"])?;
    }
    Ok(())
}
