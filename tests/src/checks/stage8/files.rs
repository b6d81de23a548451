//! Files that say where the container is, and what it shares with the host: the network.

use std::fs;
use std::io::Read;
use std::net::TcpListener;

use serde_json::Value;

use super::{bare, with_host_open};
use crate::checks::engine::{Engine, Outcome};
use crate::checks::failure::{Failure, Verdict, equal};
use crate::checks::images::Archive;
use crate::checks::running::{Running, eventually};
use crate::checks::samples;

promises! { stage 8:
    own_hostname_and_hosts "/etc/hostname and /etc/hosts name the container"
    hosts_resolv_conf "/etc/resolv.conf is a copy of the host's"
    etc_files_are_links "links in the place of these files lead nowhere: they are replaced"
    mtab by one "/etc/mtab leads to what is mounted, unless the image has its own"
    etc_leads_to_nothing by one "an /etc that is a link to nothing: what it leads to is made, in the container"
    etc_is_a_link "an /etc that is a link out of the image: the host's files stay"
    mount_points_are_made "an image without /proc and /dev gets them"
    hosts_network "the network is the host's"
}

/// The host's own.
const FILES: [&str; 3] = ["/etc/hostname", "/etc/hosts", "/etc/resolv.conf"];

/// Requires that `check` leaves the host's as they are.
fn hosts_files_stay(check: impl FnOnce() -> Verdict) -> Verdict {
    let read = || FILES.map(|file| fs::read_to_string(file).unwrap_or_default());
    let before = read();
    check()?;
    equal("all of this check", "the host's files", before, read())
}

fn own_hostname_and_hosts(engine: &Engine) -> Verdict {
    hosts_files_stay(|| {
        let script = "cat /etc/hostname; grep -c '127.0.0.1.*localhost' /etc/hosts
                      grep -c 'box-8$' /etc/hosts; echo changed > /etc/hosts";
        let outcome = engine.sh_in_bare(&["--hostname", "box-8"], script)?;
        outcome.ends_with(0)?.prints("box-8\n1\n1\n")?;
        Ok(())
    })
}

fn hosts_resolv_conf(engine: &Engine) -> Verdict {
    hosts_files_stay(|| {
        let path = "/etc/resolv.conf";
        let before = fs::read(path).ok();
        fs::write(path, "# of the checks\nnameserver 192.0.2.7\n")?;
        let outcome = engine.sh_in_bare(&[], "cat /etc/resolv.conf; echo x > /etc/resolv.conf");
        let after = fs::read_to_string(path);
        match before {
            Some(bytes) => fs::write(path, bytes)?,
            None => fs::remove_file(path)?,
        }
        let outcome = outcome?;
        outcome.ends_with(0)?.prints("# of the checks\nnameserver 192.0.2.7\n")?;
        equal(&outcome.tried, "the host's resolv.conf", &outcome.stdout, &after?)
    })
}

fn etc_files_are_links(engine: &Engine) -> Verdict {
    let layer = Archive::begin()
        .symlink("etc/hostname", "/proc/sys/kernel/hostname")
        .symlink("etc/hosts", "../../../no/such/file")
        .symlink("etc/resolv.conf", "../target")
        .file("target", "as before\n");
    let image = samples::offer("links", Value::Null, Some(layer))?;
    hosts_files_stay(|| {
        let script = "cat /etc/hostname /proc/sys/kernel/hostname /target
                      stat -c %F /etc/hostname /etc/hosts; grep -c box /etc/hosts";
        let outcome =
            engine.run_image(&["--hostname", "box"], &image, &["/bin/sh", "-c", script])?;
        outcome.ends_with(0)?.prints("box\nbox\nas before\nregular file\nregular file\n1\n")?;
        Ok(())
    })
}

fn mtab(engine: &Engine) -> Verdict {
    let outcome = engine.sh_in_bare(&[], "readlink /etc/mtab; grep -c ' / overlay ' /etc/mtab")?;
    outcome.ends_with(0)?.prints("/proc/mounts\n1\n")?;
    let layer = Archive::begin().file("etc/mtab", "the image's\n");
    let image = engine.ready(samples::offer("mtab", Value::Null, Some(layer))?)?;
    let outcome = engine.run_image(&[], &image, &["/bin/cat", "/etc/mtab"])?;
    outcome.ends_with(0)?.prints("the image's\n")?;
    Ok(())
}

fn etc_leads_to_nothing(engine: &Engine) -> Verdict {
    for (tag, target, place) in [
        ("etc-absolute", "/usr/etc", "/usr/etc"),
        ("etc-relative", "conf/etc", "/conf/etc"),
        ("etc-chain", "tmp/../etc-2", "/etc-3"),
    ] {
        let layer = Archive::begin().symlink("etc", target).symlink("etc-2", "/etc-3");
        let image = engine.ready(samples::offer(tag, Value::Null, Some(layer))?)?;
        hosts_files_stay(|| {
            let script = format!("cd /etc && pwd -P && cat {place}/hostname");
            let args = ["/bin/sh", "-c", &script];
            let outcome = engine.run_image(&["--hostname", "box"], &image, &args)?;
            outcome.ends_with(0)?.prints(&format!("{place}\nbox\n"))?;
            Ok(())
        })?;
    }
    Ok(())
}

fn etc_is_a_link(engine: &Engine) -> Verdict {
    for (tag, target) in [("etc-fd", "/proc/self/fd/9/etc"), ("etc-up", "../../../../etc")] {
        let image =
            samples::offer(tag, Value::Null, Some(Archive::begin().symlink("etc", target)))?;
        engine.pulled(&image)?;
        hosts_files_stay(|| {
            engine.leaves_nothing(|| {
                let command = engine.image(&["--hostname", "taken"], &image, &["/bin/sh"]);
                let outcome = Outcome::of(with_host_open(command, &[9])?, b"")?;
                outcome.ends_with(125)?.complains_of(&["/etc"])
            })
        })?;
    }
    Ok(())
}

fn mount_points_are_made(engine: &Engine) -> Verdict {
    let script = "test -c /dev/null && readlink /proc/self > /dev/null && echo both";
    engine.sh_in_bare(&[], script)?.ends_with(0)?.prints("both\n")?;
    Ok(())
}

fn hosts_network(engine: &Engine) -> Verdict {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let image = bare(engine)?;
    engine.pulled(&image)?;
    listener.set_nonblocking(true)?;
    let script = format!("echo from inside | nc 127.0.0.1 {port}");
    let running = Running::start(engine.image(&[], &image, &["/bin/sh", "-c", &script]))?;
    let mut stream = None;
    eventually(|| {
        stream = listener.accept().ok();
        stream.is_some()
    });
    let Some((mut stream, _)) = stream else {
        let seen = running.complaints()?;
        return Err(Failure::new(&running.tried, "a connection to the host's port", seen));
    };
    stream.set_nonblocking(false)?;
    let mut said = [0; 12];
    stream.read_exact(&mut said)?;
    drop(stream);
    equal(&running.tried, "what the host's listener hears", b"from inside\n", &said)?;
    running.ends_with(0)
}
