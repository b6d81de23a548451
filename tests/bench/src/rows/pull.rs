//! Pulling images, and unpacking them.

use std::fs;
use std::io::{self, Cursor, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use nix::mount::{MntFlags, umount2};
use nix::unistd::sync;
use tar::Header;

use super::{Contender, installed};
use crate::bench::Bench;
use crate::images::{Content, Images, Layer};
use crate::measure::run;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Downloads, inflates with what is fastest, and unpacks: nothing is checked, and nothing kept.
const FLOOR: &str = r#"set -eo pipefail; cd "$1"; shift
for url; do curl --silent --fail "$url" | igzip --decompress --stdout | tar --extract --preserve-permissions --numeric-owner; done"#;

/// Both work on an OCI image layout.
const COPY_AND_UNPACK: &str = r#"
skopeo --insecure-policy copy --quiet --src-tls-verify=false "docker://$2" "oci:$1/layout:image"
umoci unpack --image "$1/layout:image" "$1/bundle""#;

/// The image of the main row: a large layer, a middling one, and one of small files.
pub fn whole(bench: &Bench) -> Result<Vec<Contender>, String> {
    let part = if bench.is_short { 20 } else { 1 };
    let layers: [(usize, Range<usize>); 3] = [
        (640 * MIB / part, 16 * KIB..16 * MIB),
        (192 * MIB / part, 4 * KIB..4 * MIB),
        (32 * MIB / part, KIB..16 * KIB),
    ];
    let images = bench.images()?;
    let make = |(number, (total, sizes)): (usize, (usize, Range<usize>))| {
        let mut content = Content::new(number as u64);
        images.layer(|tar| content.files(tar, &format!("layer{number}/"), total, sizes))
    };
    let layers: Vec<_> = thread::scope(|scope| {
        let made = layers.into_iter().enumerate().map(|one| scope.spawn(move || make(one)));
        let made: Vec<_> = made.collect();
        made.into_iter().map(|made| made.join().expect("it does not panic")).collect()
    });
    let layers = offer(images, "whole", layers.into_iter())?;

    let server = &bench.server()?.address;
    let urls: Vec<String> = layers
        .iter()
        .map(|layer| format!("http://{server}/v2/whole/blobs/{}", layer.digest()))
        .collect();
    let name = bench.name("whole")?;
    let floor = move |out: &Path| {
        let mut command = Command::new("bash");
        command.args(["-c", FLOOR, "floor"]).arg(out).args(&urls);
        command
    };
    let copied = name.clone();
    let copy_and_unpack = move |out: &Path| {
        let mut command = Command::new("sh");
        command.args(["-ec", COPY_AND_UNPACK, "sh"]).arg(out).arg(&copied);
        command
    };
    Ok(installed(vec![
        (&["curl", "igzip", "tar"], afresh(bench, "floor", floor)),
        (&[], step7(bench, "step 7", "whole")?),
        (&["podman"], afresh(bench, "podman", move |out| podman(out, &name))),
        (&["skopeo", "umoci"], afresh(bench, "skopeo and umoci", copy_and_unpack)),
        (&["umoci"], umoci(bench, "umoci, which only unpacks", "whole")),
    ]))
}

/// One layer with one large file.
pub fn large(bench: &Bench) -> Result<Vec<Contender>, String> {
    const SIZE: u64 = 2 << 30;
    let piece = Content::new(0).bytes(32 * MIB);
    let layer = bench.images()?.layer(|tar| {
        let mut header = Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(SIZE);
        let again = io::repeat(0).take(SIZE / piece.len() as u64);
        tar.append_data(&mut header, "large", Again { piece: Cursor::new(&piece), left: again })
    });
    offer(bench.images()?, "large", [layer].into_iter())?;
    Ok(vec![step7(bench, "step 7", "large")?])
}

/// The same bytes, as often as `left` has a byte.
struct Again<'a, L> {
    piece: Cursor<&'a [u8]>,
    left: L,
}

impl<L: Read> Read for Again<'_, L> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.piece.position() == 0 && self.left.read(&mut [0])? == 0 {
            return Ok(0);
        }
        let count = self.piece.read(buffer)?;
        if self.piece.position() == self.piece.get_ref().len() as u64 {
            self.piece.set_position(0);
        }
        Ok(count)
    }
}

/// A tag that has not moved since.
pub fn again(bench: &Bench) -> Result<Vec<Contender>, String> {
    let server = bench.server()?;
    let name = bench.name("busybox")?;
    let (log, home) = (bench.path("log"), bench.path("home-again"));
    let mut step7 = bench.program("step7");
    step7.env("SLIPWAY_HOME", &home).args(["pull", "--quiet", &name]);
    // The first time, which does not count, both pull all of it.
    // It takes no longer path than 50 characters.
    let podman = podman(&bench.path("again"), &name);
    let counter = server.counter();
    let counted = |mut command: Command| {
        let (log, counter) = (log.clone(), counter.clone());
        move || {
            let before = counter.answered();
            let mut sample = run(&mut command, &log, false)?;
            sample.trips = counter.answered() - before;
            Ok(sample)
        }
    };
    Ok(installed(vec![
        (&[], Contender::new("step 7", counted(step7))),
        (&["podman"], Contender::new("podman", counted(podman))),
    ]))
}

/// Many files of a few bytes, in one layer.
pub fn small_files(bench: &Bench) -> Result<Vec<Contender>, String> {
    for (name, count) in [("files", 100_000), ("half-the-files", 50_000)] {
        let mut content = Content::new(1);
        let layer = bench.images()?.layer(|tar| {
            // About as many bytes each as a file of Debian's /usr/share/doc has.
            content.files(tar, "files/", count * 1000, 1000..1001)
        });
        offer(bench.images()?, name, [layer].into_iter())?;
    }
    Ok(installed(vec![
        (&[], step7_unpacks(bench, "step 7", "files")?),
        (&[], step7_unpacks(bench, "step 7, half of it", "half-the-files")?),
        (&[], step7(bench, "step 7, which pulls them, too", "files")?),
        (&["umoci"], umoci(bench, "umoci", "files")),
    ]))
}

/// As many layers as an image can have for Docker's overlay2 driver, and half as many.
pub fn layers(bench: &Bench) -> Result<Vec<Contender>, String> {
    let images = bench.images()?;
    for (name, count) in [("layers", 127), ("half-the-layers", 64)] {
        let layers = (0..count).map(|number| {
            let mut content = Content::new(number);
            images.layer(|tar| {
                content.files(tar, &format!("layer{number}/"), 64 * KIB, KIB..16 * KIB)
            })
        });
        offer(images, name, layers)?;
    }
    Ok(installed(vec![
        (&[], step7_unpacks(bench, "step 7", "layers")?),
        (&[], step7_unpacks(bench, "step 7, half of it", "half-the-layers")?),
        (&[], step7(bench, "step 7, which pulls them, too", "layers")?),
        (&["umoci"], umoci(bench, "umoci", "layers")),
    ]))
}

/// Makes an image of the layers.
pub fn offer(
    images: &Images,
    name: &str,
    layers: impl Iterator<Item = io::Result<Layer>>,
) -> Result<Vec<Layer>, String> {
    let make = || {
        let layers: Vec<Layer> = layers.collect::<io::Result<_>>()?;
        images.image(name, &layers)?;
        Ok(layers)
    };
    make().map_err(|error: io::Error| format!("cannot make the image {name}: {error}"))
}

/// Somebody who works in a folder that is empty each time.
pub fn afresh(
    bench: &Bench,
    name: &'static str,
    command: impl Fn(&Path) -> Command + 'static,
) -> Contender {
    let (out, log) = (bench.path("out"), bench.path("log"));
    Contender::new(name, move || {
        empty(&out)?;
        // What somebody else has written goes to the disk now, and not in our time.
        sync();
        let sample = run(&mut command(&out), &log, true);
        empty(&out)?;
        sample
    })
}

pub fn empty(out: &PathBuf) -> Result<(), String> {
    // podman leaves a mount.
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mounts = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    for mount in mounts.filter(|mount| Path::new(mount).starts_with(out)) {
        let _ = umount2(mount, MntFlags::MNT_DETACH);
    }
    remove(out)?;
    fs::create_dir(out).map_err(|error| format!("cannot create {out:?}: {error}"))
}

/// Removes a directory, if it is there.
fn remove(directory: &Path) -> Result<(), String> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(|error| format!("cannot remove {directory:?}: {error}")),
    }
}

fn step7(bench: &Bench, name: &'static str, image: &str) -> Result<Contender, String> {
    let image = bench.name(image)?;
    let program = bench.path("bin/step7");
    Ok(afresh(bench, name, move |out| {
        let mut command = Command::new(&program);
        command.env("SLIPWAY_HOME", out).args(["pull", "--quiet", &image]);
        command
    }))
}

/// Step 7 when its store has all layers: it asks for the tag's digest, and only unpacks. The first time, which does
/// not count, it fetches them.
fn step7_unpacks(bench: &Bench, name: &'static str, image: &str) -> Result<Contender, String> {
    let (log, home) = (bench.path("log"), bench.path("store"));
    let mut command = bench.program("step7");
    command.env("SLIPWAY_HOME", &home).args(["pull", "--quiet", &bench.name(image)?]);
    Ok(Contender::new(name, move || {
        remove(&home.join("rootfs"))?;
        sync();
        run(&mut command, &log, true)
    }))
}

fn podman(home: &Path, image: &str) -> Command {
    let mut command = Command::new("podman");
    command.arg("--root").arg(home).arg("--runroot").arg(home.join("run"));
    command.args(["--storage-driver=overlay", "pull", "--quiet", "--tls-verify=false", image]);
    command
}

/// From the image layout: so it has no download to do.
fn umoci(bench: &Bench, name: &'static str, image: &str) -> Contender {
    let image = format!("{}:{image}", bench.path("images/layout").display());
    afresh(bench, name, move |out| {
        let mut command = Command::new("umoci");
        command.args(["unpack", "--image", &image]).arg(out.join("bundle"));
        command
    })
}
