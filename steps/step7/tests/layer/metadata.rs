//! Modes, owners, times, attributes, devices.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::process::Command;

use super::scratch::{Layer, Scratch, is_root};

/// Owner and mode: as root as they are written. With one id the owner is the caller.
#[test]
fn setuid_stays_when_the_owner_changes() {
    let scratch = Scratch::new();
    let report = scratch.apply(
        Layer::new()
            .entry(b'0', "su", "program", |header| {
                header.set_mode(0o6755);
                header.set_uid(1234);
                header.set_gid(5678);
            })
            .entry(b'5', "tmp/", "", |header| header.set_mode(0o1777))
            .entry(b'5', "mail/", "", |header| header.set_mode(0o2775))
            .file("mail/box", "")
            .entry(b'2', "link", "", |header| {
                header.set_uid(7);
                header.set_link_name("su").unwrap();
            }),
    );
    assert_eq!(scratch.mode("su"), 0o6755);
    assert_eq!((scratch.mode("tmp"), scratch.mode("mail")), (0o1777, 0o2775));
    let owner = |name| (scratch.meta(name).uid(), scratch.meta(name).gid());
    if is_root() {
        assert_eq!((owner("su"), owner("link"), owner("mail/box")), ((1234, 5678), (7, 0), (0, 0)));
        assert_eq!(report.lost_owners, 0);
    } else {
        assert_eq!((owner("su"), owner("link")), ((0, 0), (0, 0)));
        assert_eq!(report.lost_owners, 2);
    }
    assert_eq!(report.entries, 5);
}

#[test]
fn the_umask_has_no_say() {
    // The process's own umask is 022, mostly: 0666 shows it.
    let scratch = Scratch::new();
    let loose = |kind, name| Layer::new().entry(kind, name, "", |header| header.set_mode(0o777));
    for (kind, name) in [(b'0', "f"), (b'5', "d"), (b'6', "p")] {
        scratch.apply(loose(kind, name));
        assert_eq!(scratch.mode(name), 0o777, "{name}");
    }
}

#[test]
fn times_are_kept_to_the_nanosecond() {
    let scratch = Scratch::new();
    let time = |text: &'static str| [("mtime", text.as_bytes())];
    scratch.apply(
        Layer::new()
            .pax(&time("1234567890.123456789"))
            .dir("d/", 0o755)
            .pax(&time("-1.5"))
            .file("d/old", "")
            .pax(&time("2000000000.000000001"))
            .symlink("d/link", "nowhere")
            .entry(b'6', "d/fifo", "", |header| header.set_mtime(77))
            .dir("d/sub", 0o755)
            .hardlink("d/hard", "d/old")
            .pax(&time("5.5"))
            .dir("./", 0o755),
    );
    let time = |name| (scratch.meta(name).mtime(), scratch.meta(name).mtime_nsec());
    assert_eq!(time("d"), (1234567890, 123456789));
    assert_eq!(time("d/old"), (-2, 500_000_000));
    assert_eq!(time("d/link"), (2000000000, 1));
    assert_eq!(time("d/fifo"), (77, 0));
    assert_eq!(time(""), (5, 500_000_000));
    // A later layer changes what the directory holds, but does not speak of it.
    scratch.apply(Layer::new().file("d/new", "").file("d/.wh.old", ""));
    assert_eq!(time("d"), (1234567890, 123456789));
}

#[test]
fn directories_that_forbid_writing_are_filled_all_the_same() {
    let scratch = Scratch::new();
    scratch.apply(
        Layer::new()
            .dir("ro/", 0o555)
            .file("ro/a", "1")
            .dir("ro/none/", 0)
            .file("ro/none/b", "2")
            .dir("ro/none/deep/", 0o111)
            .file("ro/c", "3")
            .file("ro/none/deep/d", "4"),
    );
    scratch.apply(Layer::new().file("ro/none/deep/e", "5").file("ro/none/x/y/z", "6"));
    scratch.apply(Layer::new().hardlink("h", "ro/none/deep/d").file("ro/none/.wh.b", ""));
    assert_eq!(scratch.read("h"), "4");
    assert_eq!((scratch.mode("ro"), scratch.mode("ro/c")), (0o555, 0o644));
    let chmod = |name| Command::new("chmod").arg("u+rwx").arg(scratch.path(name)).status().unwrap();
    assert_eq!(scratch.mode("ro/none"), 0);
    chmod("ro/none");
    assert_eq!(scratch.names("ro/none"), ["deep", "x"]);
    assert_eq!(scratch.mode("ro/none/deep"), 0o111);
    chmod("ro/none/deep");
    assert_eq!(scratch.names("ro/none/deep"), ["d", "e"]);
    scratch.apply(Layer::new().file("ro", "gone"));
    assert_eq!(scratch.names(""), ["h", "ro"]);
}

/// The value of an extended attribute, if there is one of this name.
fn attribute(file: &Path, name: &str) -> Option<Vec<u8>> {
    let file = CString::new(file.as_os_str().as_bytes()).unwrap();
    let name = CString::new(name).unwrap();
    let mut value = vec![0; 4096];
    let (place, size) = (value.as_mut_ptr().cast(), value.len());
    // SAFETY: both names end with a NUL, and the place has that size.
    let length = unsafe { libc::lgetxattr(file.as_ptr(), name.as_ptr(), place, size) };
    value.truncate(usize::try_from(length).ok()?);
    Some(value)
}

#[test]
fn attributes_are_set_and_taken_away() {
    let scratch = Scratch::new();
    // cap_net_raw=ep, with a newline's byte in it for good measure: version 2, 20 bytes.
    let capability = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\x0a\0\0\0\0\0\0\0";
    let report = scratch.apply(
        Layer::new()
            .pax(&[("SCHILY.xattr.security.capability", capability)])
            .entry(b'0', "ping", "program", |header| {
                header.set_mode(0o755);
                header.set_uid(1);
            })
            .pax(&[("SCHILY.xattr.user.note", b"a=\n\0b"), ("SCHILY.xattr.user.empty", b"")])
            .entry(b'0', "read-only", "", |header| header.set_mode(0o444))
            .pax(&[("SCHILY.xattr.user.dir", b"1"), ("SCHILY.xattr.user.overlay.opaque", b"y")])
            .dir("d/", 0o555)
            .pax(&[("SCHILY.xattr.trusted.overlay.redirect", b"/x")])
            .file("redirect", ""),
    );
    let get = |name: &str, key: &str| attribute(&scratch.path(name), key);
    assert_eq!(get("read-only", "user.note").unwrap(), b"a=\n\0b");
    assert_eq!(get("read-only", "user.empty").unwrap(), b"");
    assert_eq!(scratch.mode("read-only"), 0o444);
    assert_eq!(get("d", "user.dir").unwrap(), b"1");
    assert_eq!(get("d", "user.overlay.opaque"), None);
    assert_eq!(get("redirect", "trusted.overlay.redirect"), None);
    assert_eq!(get("ping", "security.capability").unwrap(), capability);
    assert_eq!(report.lost_xattrs, 0);
    scratch.apply(Layer::new().pax(&[("SCHILY.xattr.user.new", b"2")]).dir("d/", 0o500));
    assert_eq!((get("d", "user.dir"), get("d", "user.new")), (None, Some(b"2".to_vec())));
    assert_eq!(scratch.mode("d"), 0o500);
}

#[test]
fn devices_need_the_machines_root() {
    let scratch = Scratch::new();
    let device = |header: &mut tar::Header| {
        header.set_device_major(1).unwrap();
        header.set_device_minor(3).unwrap();
        header.set_mode(0o666);
    };
    let layer = Layer::new().file("null", "").entry(b'3', "null", "", device);
    let report = scratch.apply(layer.entry(b'4', "disk", "", device));
    if is_root() {
        let meta = scratch.meta("null");
        assert!(meta.file_type().is_char_device() && meta.rdev() == libc::makedev(1, 3));
        assert!(scratch.meta("disk").file_type().is_block_device());
        assert_eq!((scratch.mode("null"), report.lost_devices), (0o666, 0));
        assert_eq!(File::open(scratch.path("null")).unwrap().read(&mut [0]).unwrap(), 0);
    } else {
        assert!(scratch.names("").is_empty());
        assert_eq!(report.lost_devices, 2);
    }
    let line = scratch.refuse(Layer::new().entry(b'3', "big", "", |header| {
        header.set_device_major(0o10000).unwrap();
    }));
    assert!(line.contains("no such device"), "{line}");
}

#[test]
fn the_root_directory_has_metadata_of_its_own() {
    let scratch = Scratch::new();
    scratch.apply(Layer::new().dir("./", 0o555).file("f", "").dir("d", 0o755));
    assert_eq!(scratch.mode(""), 0o555);
    assert_eq!(scratch.meta("").mtime(), 1000);
    scratch.apply(Layer::new().file("g", ""));
    assert_eq!((scratch.mode(""), scratch.meta("").mtime()), (0o555, 1000));
    assert_eq!(fs::read_dir(scratch.path("")).unwrap().count(), 3);
}
