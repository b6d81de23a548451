//! Volumes.

use serde_json::json;

use super::*;
use crate::checks::running::Running;

promises! { stage 12:
    volume_stays "-v NAME:DST: a volume is made when it is missing, and the next container finds what this one wrote"
    filled_once "a new volume has what the image has at the place, with owners, modes, links and times; once and never again"
    not_filled "nocopy: a new volume is empty, and as the image's directory is not"
    anonymous_volumes "-v DST, and the image's own VOLUMEs: filled, and gone with the container"
    volume_commands "volume create, ls, inspect, rm, prune --all, in Docker's words; wrong names: 125"
    volume_in_use "what a container uses is not removed, by rm nor by prune, and is afterwards"
    killed_while_filling "what an engine that was killed has left of a new volume is not taken for whole"
    two_at_once "of containers that start at once with one new volume all find it filled"
    filled_from_image "a new volume, or memory, has what the image has at its place, and never what another mount shows there"
    one_at_two_places "a new volume at two places of one container is filled once, and is one"
    any_order "containers that start at once with the same new volumes, named in any order, don't wait for each other"
    prune_at_once "prune, by several at once and while containers start, fails nobody"
}

/// An image with a directory of somebody's, and a volume of its own there.
fn image(home: &Home, own: bool) -> Result<String, Failure> {
    home.engine().knows_pull()?;
    let tag = if own { "own-volume" } else { "data" };
    samples::offer_once(tag, || {
        let of = |mode: u32| Item { mode, owner: (7, 8), ..Item::default() };
        let layer = Archive::begin()
            .add("data", Item { kind: tar::EntryType::Directory, ..of(0o2750) })
            .add("data/one", Item { content: b"one\n", ..of(0o4755) })
            .hardlink("data/two", "data/one")
            .symlink("data/link", "one")
            .add("data/sub", Item { kind: tar::EntryType::Directory, ..of(0o500) })
            .add("data/sub/deep", Item { content: b"deep\n", ..of(0o640) });
        let volumes = if own {
            json!({ "/data": {}, "/empty": {}, "/sys/fs/cgroup": {} })
        } else {
            json!({})
        };
        (json!({ "Volumes": volumes }), Some(layer))
    })
}

/// What the image has in /data, as `stat` shows it.
const SHOW: &str =
    "cd /data; stat -c '%n %a %u:%g %h' . one sub sub/deep; readlink link; cat two sub/deep";
const SHOWN: &str =
    ". 2750 7:8 3\none 4755 7:8 2\nsub 500 7:8 2\nsub/deep 640 7:8 1\none\none\ndeep\n";

/// A subcommand of `volume`.
fn volume(home: &Home, args: &[&str]) -> Result<Outcome, Failure> {
    let command = home.engine().subcommand([&["volume"], args].concat());
    Outcome::of(command, b"")
}

/// Removes volumes, there or not.
fn remove(home: &Home, names: &[&str]) -> Verdict {
    volume(home, &[&["rm", "-f"], names].concat())?.ends_with(0).map(drop)
}

fn store(home: &Home) -> PathBuf {
    samples::store(home.engine().caller)
}

fn volume_stays(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    remove(&home, &["stays"])?;
    sh(&home, &["--volume=stays:/new"], "ls -A /new; echo kept > /new/file")?
        .ends_with(0)?
        .prints("")?;
    sh(
        &home,
        &["--volume=stays:/elsewhere:ro"],
        "cat /elsewhere/file; stat -c '%a %u' /elsewhere",
    )?
    .ends_with(0)?
    .prints("kept\n755 0\n")?;
    sh(&home, &["--mount=source=stays,target=/x"], "cat /x/file")?
        .ends_with(0)?
        .prints("kept\n")?;
    remove(&home, &["stays"])
}

fn filled_once(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let image = image(&home, false)?;
    remove(&home, &["filled"])?;
    let option = "--volume=filled:/data";
    image_sh(&home, &image, &[option], SHOW)?.ends_with(0)?.prints(SHOWN)?;
    let script = "cd /data; rm one; echo new > three";
    image_sh(&home, &image, &[option], script)?.ends_with(0)?;
    image_sh(&home, &image, &[option], "ls /data; cat /data/two")?
        .ends_with(0)?
        .prints("link\nsub\nthree\ntwo\none\n")?;
    // Emptied, it stays empty.
    image_sh(&home, &image, &[option], "rm -r /data/*")?.ends_with(0)?;
    image_sh(&home, &image, &[option], "ls /data")?.ends_with(0)?.prints("")?;
    remove(&home, &["filled"])
}

fn not_filled(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let image = image(&home, false)?;
    remove(&home, &["bare"])?;
    for option in ["--volume=bare:/data:nocopy", "--volume=bare:/data"] {
        image_sh(&home, &image, &[option], "ls -A /data; stat -c %a /data")?
            .ends_with(0)?
            .prints("755\n")?;
    }
    remove(&home, &["bare"])
}

fn anonymous_volumes(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    for (options, own) in [(&["--volume=/data"][..], false), (&[], true)] {
        let image = image(&home, own)?;
        image_sh(&home, &image, options, SHOW)?.ends_with(0)?.prints(SHOWN)?;
        let script = "grep -c ' /data ' /proc/self/mounts; echo x > /data/x";
        image_sh(&home, &image, options, script)?.ends_with(0)?.prints("1\n")?;
        image_sh(&home, &image, options, "ls /data/x 2>/dev/null; true")?.prints("")?;
    }
    let left: Vec<_> = fs::read_dir(store(&home).join("containers"))?.flatten().collect();
    equal("after -v /data", "containers", 0, left.len())
}

fn volume_commands(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    volume(&home, &["prune", "--all"])?.ends_with(0)?;
    volume(&home, &["create", "b.1"])?.ends_with(0)?.prints("b.1\n")?;
    volume(&home, &["create", "a"])?.ends_with(0)?.prints("a\n")?;
    volume(&home, &["ls"])?
        .ends_with(0)?
        .prints("DRIVER   VOLUME NAME\nlocal    a\nlocal    b.1\n")?;
    volume(&home, &["ls", "-q"])?.ends_with(0)?.prints("a\nb.1\n")?;
    let outcome = volume(&home, &["inspect", "a"])?;
    let seen: serde_json::Value =
        serde_json::from_str(&outcome.ends_with(0)?.stdout).unwrap_or_default();
    let expected = store(&home).join("volumes/a/data").display().to_string();
    let place = seen[0]["Mountpoint"].as_str().unwrap_or_default().to_string();
    equal(&outcome.tried, "Mountpoint", expected, place)?;
    for args in [&["rm", "nowhere"][..], &["inspect", "nowhere"], &["rm", "../volumes/a"]] {
        volume(&home, args)?.complains_of(&["no volume"])?;
    }
    volume(&home, &["create", "../a"])?.complains_of(&["no name for a volume"])?;
    // As long as a file's name may be.
    let long = "v".repeat(255);
    volume(&home, &["create", &long])?.ends_with(0)?;
    sh(&home, &[&format!("--volume={long}:/v")], "echo x > /v/x")?.ends_with(0)?;
    volume(&home, &["rm", &long])?.ends_with(0)?;
    // After an error it goes on with the next.
    let outcome = volume(&home, &["rm", "nowhere", "a"])?;
    outcome.ends_with(125)?.prints("a\n")?;
    volume(&home, &["rm", "-f", "nowhere"])?.ends_with(0)?.prints("")?;
    volume(&home, &["prune"])?.complains_of(&["--all"])?;
    volume(&home, &["prune", "--all"])?.ends_with(0)?.prints("b.1\n")?;
    volume(&home, &["ls", "-q"])?.ends_with(0)?.prints("")?;
    Ok(())
}

fn volume_in_use(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    remove(&home, &["used"])?;
    let script = "echo ready; read line; ls /v/kept";
    let options = ["--volume=used:/v"];
    let mut running = Running::start(command(&home, &samples::rootfs()?, &options, script))?;
    running.says("ready")?;
    volume(&home, &["rm", "used"])?.complains_of(&["used", "a container uses it"])?;
    volume(&home, &["prune", "--all"])?.ends_with(0)?.prints("")?;
    sh(&home, &options, "touch /v/kept")?.ends_with(0)?;
    running.close_stdin();
    running.says("/v/kept")?;
    running.ends_with(0)?;
    volume(&home, &["rm", "used"])?.ends_with(0)?.prints("used\n")?;
    Ok(())
}

fn killed_while_filling(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let image = image(&home, false)?;
    remove(&home, &["half"])?;
    volume(&home, &["create", "half"])?.ends_with(0)?;
    // As it is when the engine is killed after the first file.
    let new = store(&home).join("volumes/half/new");
    fs::create_dir(&new)?;
    fs::write(new.join("junk"), "")?;
    crate::checks::fixture::own(&new, engine.caller)?;
    crate::checks::fixture::own(&new.join("junk"), engine.caller)?;
    image_sh(
        &home,
        &image,
        &["--volume=half:/data"],
        &format!("{SHOW}; ls junk 2>/dev/null; true"),
    )?
    .ends_with(0)?
    .prints(SHOWN)?;
    equal("-v half:/data", "a directory that is half full", false, new.exists())?;
    remove(&home, &["half"])
}

/// Starts containers, all at once, and waits until they have printed and ended.
fn all_end(home: &Home, image: &str, starts: &[Vec<&str>], script: &str, prints: &str) -> Verdict {
    let runs = starts.iter().map(|options| Running::start(command(home, image, options, script)));
    for running in runs.collect::<Result<Vec<_>, Failure>>()? {
        running.says(prints)?;
        running.ends_with(0)?;
    }
    Ok(())
}

fn two_at_once(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let image = image(&home, false)?;
    image_sh(&home, &image, &[], "true")?.ends_with(0)?;
    for _ in 0..3 {
        remove(&home, &["shared"])?;
        let starts = vec![vec!["--volume=shared:/data"]; 5];
        all_end(&home, &image, &starts, "cat /data/sub/deep", "deep")?;
    }
    remove(&home, &["shared"])
}

fn filled_from_image(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let image = image(&home, false)?;
    remove(&home, &["other", "fresh"])?;
    // Whoever is in the other container may change it at any moment.
    for path in ["sub", "tmp"] {
        home.make_directory(&format!("theirs/{path}"))?;
        home.make_file(&format!("theirs/{path}/planted"), 0o644, "")?;
    }
    let script = "ls /data/sub; ls /var/tmp | grep planted";
    let options = [
        "--volume=./theirs:/data",
        "--volume=fresh:/data/sub",
        "--volume=./theirs:/var",
        "--read-only",
    ];
    image_sh(&home, &image, &options, script)?.ends_with(1)?.prints("deep\n")?;
    remove(&home, &["fresh"])
}

fn one_at_two_places(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let image = image(&home, false)?;
    remove(&home, &["twice"])?;
    let options = ["--volume=twice:/data", "--volume=twice:/other"];
    image_sh(&home, &image, &[], "true")?.ends_with(0)?;
    let starts = [options.to_vec()];
    let script = "cd /data; echo new > new; echo $(cat /other/sub/deep /other/new)";
    all_end(&home, &image, &starts, script, "deep new")?;
    remove(&home, &["twice"])
}

fn any_order(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let image = image(&home, false)?;
    image_sh(&home, &image, &[], "true")?.ends_with(0)?;
    for _ in 0..5 {
        remove(&home, &["x", "y"])?;
        let one = vec!["--volume=x:/data", "--volume=y:/data/sub"];
        let other = vec!["--volume=y:/data", "--volume=x:/data/sub"];
        let starts = [one.clone(), other.clone(), one, other];
        all_end(&home, &image, &starts, "echo ran", "ran")?;
    }
    remove(&home, &["x", "y"])
}

fn prune_at_once(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let image = image(&home, false)?;
    image_sh(&home, &image, &[], "true")?.ends_with(0)?;
    for _ in 0..5 {
        let prune = || home.engine().subcommand(vec!["volume", "prune", "--all"]);
        let run = || command(&home, &image, &["--volume=pruned:/data"], "cat /data/sub/deep");
        let all = [run(), prune(), run(), prune(), prune(), run()];
        let all = all.into_iter().map(Running::start).collect::<Result<Vec<_>, Failure>>()?;
        for running in all {
            running.ends_with(0)?;
        }
    }
    remove(&home, &["pruned"])
}
