//! Symbolic links that a stranger has put where something is to be mounted.

use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::*;
use crate::checks::machine::Machine;

promises! { stage 12:
    link_at_the_end "a link in the image at the place of a mount leads to a place in the container, made there if it is missing (CVE-2017-1002101)"
    link_in_the_middle "the same for a link in the middle, with .., or in the place of a lower layer's directory (CVE-2022-23648)"
    link_swapped "a link that is swapped with a directory while mounts are made there leads none out (CVE-2021-30465)"
    magic_links "links through /proc/self/fd and /proc/1/root: 125"
    kernels_places "nothing is mounted on /, nor on or below /proc, /sys and /dev, by a link neither (CVE-2019-19921): 125"
}

/// An image with links to a directory of the host's, that is at home and empty.
fn image(home: &Home, tag: &str) -> Result<(String, PathBuf), Failure> {
    let outside = home.make_directory("outside")?;
    let path = outside.display().to_string();
    let climbing = format!("../../../../..{path}");
    let layer = Archive::begin()
        .symlink("link", &path)
        .symlink("below", &format!("{path}/new/deep"))
        .symlink("up", &climbing)
        .symlink("chain", "link")
        // A directory of the layer below.
        .symlink("tmp", &path);
    let tag = format!("{tag}-{}", home.path().file_name().unwrap_or_default().to_string_lossy());
    Ok((samples::offer(&tag, serde_json::Value::Null, Some(layer))?, outside))
}

/// Mounts a directory there. The container sees it, and nothing is made outside.
fn stays_inside(home: &Home, image: &str, outside: &Path, targets: &[&str]) -> Verdict {
    let machine = Machine::now();
    for target in targets {
        let outcome = image_sh(
            home,
            image,
            &[&format!("--volume=./src:{target}")],
            &format!("cat {target}/file"),
        )?;
        outcome.ends_with(0)?.prints("outside\n")?;
        let made = fs::read_dir(outside)?.count();
        equal(&outcome.tried, "what was made on the host", 0, made)?;
    }
    machine.is_unchanged()
}

fn link_at_the_end(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    source(&home)?;
    let (image, outside) = image(&home, "end")?;
    stays_inside(&home, &image, &outside, &["/link", "/below", "/up", "/chain", "/tmp"])
}

fn link_in_the_middle(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    source(&home)?;
    let (image, outside) = image(&home, "middle")?;
    let targets = ["/link/x", "/below/x/y", "/up/x", "/chain/x", "/tmp/x"];
    stays_inside(&home, &image, &outside, &targets)?;
    // What fills a volume is the image's, too.
    fs::write(outside.join("secret"), "secret\n")?;
    let script = "ls -A /link";
    image_sh(&home, &image, &["--volume=/link"], script)?.ends_with(0)?.prints("")?;
    // A file that is to be made.
    fs::remove_file(outside.join("secret"))?;
    let outcome = image_sh(&home, &image, &["--volume=./src/file:/link/x"], "cat /link/x")?;
    outcome.ends_with(0)?.prints("outside\n")?;
    equal(&outcome.tried, "what was made on the host", 0, fs::read_dir(&outside)?.count())
}

fn link_swapped(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    source(&home)?;
    let (_, outside) = image(&home, "swapped")?;
    let shared = home.make_directory("shared")?;
    let [there, link, aside] = ["there", "link", "aside"].map(|name| shared.join(name));
    home.make_directory("shared/there")?;
    symlink(&outside, &link)?;
    let machine = Machine::now();
    let done = AtomicBool::new(false);
    let runs = || -> Verdict {
        let options = ["--volume=./shared:/s", "--volume=./src:/s/there/x"];
        for _ in 0..20 {
            let outcome = sh(&home, &options, "true")?;
            let fits = outcome.stderr.is_empty() || outcome.stderr.contains("/s/there/x");
            require(fits, &outcome.tried, "a start, or an error of the place", &outcome.stderr)?;
            let made = fs::read_dir(&outside)?.count();
            equal(&outcome.tried, "what was made on the host", 0, made)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let _ = fs::rename(&there, &aside);
                let _ = fs::rename(&link, &there);
                let _ = fs::rename(&there, &link);
                let _ = fs::rename(&aside, &there);
            }
        });
        let verdict = runs();
        done.store(true, Ordering::Relaxed);
        verdict
    })?;
    machine.is_unchanged()
}

fn magic_links(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    source(&home)?;
    let image = samples::offer_once("magic", || {
        let layer = Archive::begin()
            .symlink("files", "/proc/self/fd")
            .symlink("one", "/proc/1/root/etc")
            .symlink("here", "/proc/self/cwd");
        (serde_json::Value::Null, Some(layer))
    })?;
    let targets = (3..12).map(|number| format!("/files/{number}"));
    for target in targets.chain(["/one".into(), "/one/x".into(), "/here/x".into()]) {
        let outcome = image_sh(&home, &image, &[&format!("--volume=./src:{target}")], "true")?;
        outcome.complains_of(&[&target])?;
    }
    Ok(())
}

fn kernels_places(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    source(&home)?;
    let image = samples::offer_once("kernels", || {
        let layer = Archive::begin()
            .symlink("sys-ctl", "/proc/sys")
            .symlink("devices", "dev")
            .symlink("root", ".");
        (serde_json::Value::Null, Some(layer))
    })?;
    for target in [
        "/proc",
        "/proc/sys",
        "/sys",
        "/sys/x",
        "/dev",
        "/sys-ctl",
        "/sys-ctl/kernel",
        "/devices",
        "/root",
        "/root/root",
    ] {
        for option in [format!("--volume=./src:{target}"), format!("--tmpfs={target}")] {
            let outcome = image_sh(&home, &image, &[&option], "true")?;
            outcome.complains_of(&["mount on"])?;
        }
    }
    Ok(())
}
