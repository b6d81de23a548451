//! Images that share their layers, and what is run in them: step 9 and later.

use std::process::Command;

use super::pull::{afresh, empty, offer};
use super::start::{bubblewrap, once, pull};
use super::{Contender, installed};
use crate::bench::Bench;
use crate::images::Content;
use crate::measure::run;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Images on one base, or mounts in one container.
const TEN: usize = 10;

/// Starting a stored image, beside the step before.
pub fn start(bench: &Bench) -> Result<Vec<Contender>, String> {
    let rootfs = bench.rootfs();
    let log = bench.path("log");
    let (eight, nine) =
        (stored(bench, "step8", "home", &[])?, stored(bench, "step9", "home-9", &[])?);
    Ok(installed(vec![
        (&[], once("step 8", eight, &log)),
        (&[], once("step 9", nine, &log)),
        (
            &["bwrap"],
            once("bubblewrap", bubblewrap(&rootfs, &["--unshare-all", "--share-net"]), &log),
        ),
    ]))
}

/// Starting it under a filter, beside the step before and none.
pub fn filtered(bench: &Bench) -> Result<Vec<Contender>, String> {
    let log = bench.path("log");
    let unconfined = ["--security-opt=seccomp=unconfined"];
    let [before, with, without] = [("step10", &[][..]), ("step11", &[]), ("step11", &unconfined)]
        .map(|(step, options)| stored(bench, step, "home-9", options));
    Ok(vec![
        once("step 10", before?, &log),
        once("step 11", with?, &log),
        once("step 11, unconfined", without?, &log),
    ])
}

/// Starting it with ten of the host's directories, beside none and the step before.
pub fn mounted(bench: &Bench) -> Result<Vec<Contender>, String> {
    let log = bench.path("log");
    let source = bench.path("source");
    std::fs::create_dir_all(&source).map_err(|error| format!("cannot make {source:?}: {error}"))?;
    let ten: Vec<String> =
        (0..TEN).map(|number| format!("--volume={}:/mnt/{number}", source.display())).collect();
    let ten: Vec<&str> = ten.iter().map(String::as_str).collect();
    Ok(vec![
        once("step 11", stored(bench, "step11", "home-9", &[])?, &log),
        once("step 12", stored(bench, "step12", "home-9", &[])?, &log),
        once("step 12, ten mounts", stored(bench, "step12", "home-9", &ten)?, &log),
    ])
}

/// The command that starts `true` in a stored image, which is pulled before.
fn stored(bench: &Bench, step: &str, home: &str, options: &[&str]) -> Result<Command, String> {
    let home = bench.path(home);
    let image = pull(bench, step, &home, |command| command)?;
    let mut command = bench.program(step);
    command.env("SLIPWAY_HOME", home).args(["run", "--pull=never"]).args(options);
    command.args([&image, "/bin/true"]);
    Ok(command)
}

/// Ten images, each a small layer on the same base.
pub fn ten(bench: &Bench) -> Result<Vec<Contender>, String> {
    let images = bench.images()?;
    let mut base = Content::new(100);
    let base = images
        .layer(|tar| base.files(tar, "base/", 300 * MIB, KIB..MIB))
        .map_err(|error| format!("cannot make the base: {error}"))?;
    let mut names = Vec::new();
    for number in 0..TEN {
        let mut own = Content::new(101 + number as u64);
        let own = images.layer(|tar| own.files(tar, &format!("own{number}/"), MIB, KIB..64 * KIB));
        let name = format!("on-base-{number}");
        offer(images, &name, [Ok(base.clone()), own].into_iter())?;
        names.push(bench.name(&name)?);
    }
    Ok(installed(vec![
        (&[], in_turn(bench, "step 9", own_pull(bench, "step9"), &names)),
        (&[], in_turn(bench, "step 7", own_pull(bench, "step7"), &names)),
        (&["podman"], in_turn(bench, "podman", PODMAN.into(), &names)),
    ]))
}

/// A layer of half the files over a base, and one more, as the main row of step 7 has them.
pub fn three_layers(bench: &Bench) -> Result<Vec<Contender>, String> {
    let images = bench.images()?;
    let layers = (0..3).map(|number| {
        let mut content = Content::new(200 + number);
        images
            .layer(|tar| content.files(tar, &format!("layer{number}/"), 17_000 * KIB, KIB..KIB + 1))
    });
    offer(images, "three-layers", layers)?;
    let name = [bench.name("three-layers")?];
    Ok(vec![
        in_turn(bench, "step 9", own_pull(bench, "step9"), &name),
        in_turn(bench, "step 7", own_pull(bench, "step7"), &name),
    ])
}

/// Removing an image of 50,000 files.
pub fn remove(bench: &Bench) -> Result<Vec<Contender>, String> {
    let mut content = Content::new(300);
    let layer = bench.images()?.layer(|tar| content.files(tar, "files/", 50_000_000, 1000..1001));
    offer(bench.images()?, "fifty-thousand", [layer].into_iter())?;
    let name = bench.name("fifty-thousand")?;
    let removed = |who: &'static str, pull: String, rmi: String| {
        let (out, log, name) = (bench.path("out"), bench.path("log"), name.clone());
        Contender::new(who, move || {
            empty(&out)?;
            let shell = |script: &str| {
                let mut command = Command::new("sh");
                command.args(["-ec", script, "sh"]).arg(&name).env("OUT", &out);
                command
            };
            run(&mut shell(&pull), &log, false)?;
            nix::unistd::sync();
            let sample = run(&mut shell(&rmi), &log, false);
            empty(&out)?;
            sample
        })
    };
    let step9 = bench.path("bin/step9").display().to_string();
    let podman = PODMAN.trim_end_matches("\"$1\"");
    let podman = podman.trim_end_matches("pull --quiet --tls-verify=false ");
    Ok(installed(vec![
        (
            &[],
            removed(
                "step 9",
                own_pull(bench, "step9"),
                format!("SLIPWAY_HOME=$OUT {step9} rmi \"$1\""),
            ),
        ),
        (&["podman"], removed("podman", PODMAN.into(), format!("{podman} rmi \"$1\""))),
    ]))
}

/// A pull by podman, of the image `$1` into `$OUT`.
const PODMAN: &str = r#"podman --root "$OUT" --runroot "$OUT/run" --storage-driver=overlay pull --quiet --tls-verify=false "$1""#;

/// The same by a step.
fn own_pull(bench: &Bench, step: &str) -> String {
    let program = bench.path("bin").join(step);
    format!("SLIPWAY_HOME=$OUT {} pull --quiet \"$1\"", program.display())
}

/// Somebody who pulls images in turn, into a store that is empty at first.
fn in_turn(bench: &Bench, who: &'static str, pull: String, names: &[String]) -> Contender {
    let names = names.to_vec();
    afresh(bench, who, move |out| {
        let mut command = Command::new("sh");
        command.arg("-ec").arg(format!("for image; do set -- \"$image\"; {pull}; done"));
        command.arg("sh").args(&names).env("OUT", out);
        command
    })
}
