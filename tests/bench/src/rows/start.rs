//! Starting containers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::{Contender, installed};
use crate::bench::Bench;
use crate::measure::{Sample, run, run_all};

/// Step 4 beside the least program, and beside others that start a root filesystem.
pub fn step4(bench: &Bench) -> Result<Vec<Contender>, String> {
    let rootfs = bench.rootfs();
    let bundle = bundle(bench)?;
    let floor = |option: Option<&str>| {
        let mut command = bench.program("floor");
        command.args(option).arg(&rootfs).arg("/bin/true");
        command
    };
    let mut step4 = bench.program("step4");
    step4.arg("--rootfs").arg(&rootfs).arg("/bin/true");
    let mut unshare = Command::new("unshare");
    unshare.args(["--uts", "--ipc", "--pid", "--mount", "--fork", "--root"]);
    unshare.arg(&rootfs).arg("/bin/true");
    let log = bench.path("log");
    Ok(installed(vec![
        (&[], once("floor", floor(None), &log)),
        (&[], once("floor, with step 4's mounts", floor(Some("--mounts")), &log)),
        (&[], once("step 4", step4, &log)),
        (&["unshare"], once("unshare", unshare, &log)),
        (
            &["bwrap"],
            once(
                "bubblewrap",
                bubblewrap(&rootfs, &["--unshare-pid", "--unshare-uts", "--unshare-ipc"]),
                &log,
            ),
        ),
        (&["crun"], oci("crun", bundle.clone(), &log)),
        (&["runc"], oci("runc", bundle, &log)),
    ]))
}

/// Step 8 from a stored image, with the same namespaces for all.
pub fn step8(bench: &Bench) -> Result<Vec<Contender>, String> {
    let rootfs = bench.rootfs();
    let bundle = bundle(bench)?;
    let home = bench.path("home");
    let image = pull(bench, "step8", &home, |command| command)?;
    let log = bench.path("log");
    let mut floor = bench.program("floor");
    floor.arg("--user").arg(&rootfs).arg("/bin/true");
    let mut podman = Command::new("podman");
    podman.arg("--root").arg(bench.path("podman")).arg("--runroot").arg(bench.path("podman-run"));
    podman.args(["run", "--rm", "--network=host", "--ulimit=host", "--rootfs"]).arg(&rootfs);
    podman.arg("/bin/true");
    Ok(installed(vec![
        (&[], once("floor", floor, &log)),
        (&[], once("step 8", stored(bench, &home, &image), &log)),
        (
            &["bwrap"],
            once("bubblewrap", bubblewrap(&rootfs, &["--unshare-all", "--share-net"]), &log),
        ),
        (&["crun"], oci("crun", bundle.clone(), &log)),
        (&["runc"], oci("runc", bundle, &log)),
        (&["podman"], once("podman", podman, &log)),
    ]))
}

/// The same for somebody with one user id. That is what bubblewrap maps, and what step 8 does for
/// who has no range in /etc/subuid; with a range, two more programs (newuidmap, newgidmap) run.
pub fn ordinary(bench: &Bench) -> Result<Vec<Contender>, String> {
    let rootfs = bench.rootfs();
    let home = bench.folder_of_ordinary("home-ordinary")?;
    let image = pull(bench, "step8", &home, |command| bench.as_ordinary(command))?;
    let log = bench.path("log");
    let mut floor = bench.program("floor");
    floor.arg("--user").arg(&rootfs).arg("/bin/true");
    let mut step8 = bench.program("step8");
    step8.env("SLIPWAY_HOME", &home).args(["run", "--userns=single", &image, "/bin/true"]);
    let mut bubblewrap = bubblewrap(&rootfs, &["--unshare-all", "--share-net"]);
    for command in [&mut floor, &mut step8, &mut bubblewrap] {
        bench.as_ordinary(command);
    }
    Ok(installed(vec![
        (&[], once("floor", floor, &log)),
        (&[], once("step 8", step8, &log)),
        (&["bwrap"], once("bubblewrap", bubblewrap, &log)),
    ]))
}

/// A hundred at once, each for itself.
pub fn hundred(bench: &Bench) -> Result<Vec<Contender>, String> {
    let home = bench.path("home");
    let image = pull(bench, "step8", &home, |command| command)?;
    let rootfs = bench.rootfs();
    let bundle = bundle(bench)?;
    let log = bench.path("log");
    let step8 = |count| {
        let commands = (0..count).map(|_| stored(bench, &home, &image)).collect();
        many(commands, &log)
    };
    let bubblewraps =
        (0..100).map(|_| bubblewrap(&rootfs, &["--unshare-all", "--share-net"])).collect();
    let oci = |program: &'static str| {
        let (bundle, log) = (bundle.clone(), log.clone());
        move || {
            let mut commands: Vec<_> = (0..100).map(|_| container(program, &bundle)).collect();
            run_all(commands.iter_mut().collect(), &log, false)
        }
    };
    Ok(installed(vec![
        (&[], Contender::new("step 8", step8(100))),
        (&[], Contender::new("step 8, 50 of them", step8(50))),
        (&["bwrap"], Contender::new("bubblewrap", many(bubblewraps, &log))),
        (&["crun"], Contender::new("crun", oci("crun"))),
        (&["runc"], Contender::new("runc", oci("runc"))),
    ]))
}

pub fn once(name: &'static str, mut command: Command, log: &Path) -> Contender {
    let log = log.to_owned();
    Contender::new(name, move || run(&mut command, &log, false))
}

fn many(
    mut commands: Vec<Command>,
    log: &Path,
) -> impl FnMut() -> Result<Sample, String> + 'static {
    let log = log.to_owned();
    move || run_all(commands.iter_mut().collect(), &log, false)
}

/// A container of an OCI runtime. Each needs a name.
fn oci(program: &'static str, bundle: PathBuf, log: &Path) -> Contender {
    let log = log.to_owned();
    Contender::new(program, move || run(&mut container(program, &bundle), &log, false))
}

fn container(program: &str, bundle: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(["run", "--bundle"]).arg(bundle);
    command.arg(format!("slipway-bench-{:016x}", fastrand::u64(..)));
    command
}

/// Namespaces as asked for, and what every container has: /proc and a small /dev.
pub fn bubblewrap(rootfs: &Path, namespaces: &[&str]) -> Command {
    let mut command = Command::new("bwrap");
    command.args(namespaces).arg("--bind").arg(rootfs);
    command.args(["/", "--proc", "/proc", "--dev", "/dev", "/bin/true"]);
    command
}

/// Step 8 with an image that is in its store.
fn stored(bench: &Bench, home: &Path, image: &str) -> Command {
    let mut command = bench.program("step8");
    command.env("SLIPWAY_HOME", home).args(["run", "--pull=never", image, "/bin/true"]);
    command
}

/// Pulls the image of the root filesystem, unless it is in that store.
pub fn pull(
    bench: &Bench,
    step: &str,
    home: &Path,
    caller: impl Fn(&mut Command) -> &mut Command,
) -> Result<String, String> {
    let image = bench.name("busybox")?;
    let mut command = bench.program(step);
    command.env("SLIPWAY_HOME", home).args(["pull", "--quiet", &image]);
    run(caller(&mut command), &bench.path("log"), false)?;
    Ok(image)
}

/// An OCI bundle, as `runc spec` writes it, but with the host's network, as for all others.
fn bundle(bench: &Bench) -> Result<PathBuf, String> {
    let bundle = bench.path("bundle");
    let _ = fs::remove_dir_all(&bundle);
    fs::create_dir_all(&bundle).map_err(|error| format!("cannot make {bundle:?}: {error}"))?;
    let program = if crate::bench::is_installed("runc") { "runc" } else { "crun" };
    // Without either there is nobody who would want it.
    if !Command::new(program).arg("spec").current_dir(&bundle).status().is_ok_and(|s| s.success()) {
        return Ok(bundle);
    }
    let path = bundle.join("config.json");
    let read = fs::read(&path).map_err(|error| format!("cannot read {path:?}: {error}"))?;
    let mut spec: Value = serde_json::from_slice(&read).map_err(|error| error.to_string())?;
    spec["process"]["terminal"] = json!(false);
    spec["process"]["args"] = json!(["/bin/true"]);
    spec["root"] = json!({ "path": bench.rootfs(), "readonly": false });
    if let Some(namespaces) = spec["linux"]["namespaces"].as_array_mut() {
        namespaces.retain(|namespace| namespace["type"] != "network");
    }
    fs::write(&path, spec.to_string())
        .map_err(|error| format!("cannot write {path:?}: {error}"))?;
    Ok(bundle)
}
