//! Layers: whatever is in one, nothing outside the root filesystem changes, no more comes out than
//! the limit, and what was made can be removed.

mod outside;
mod script;

use std::fs;
use std::path::{Path, PathBuf};
use std::process;

use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_dumpable;
use nix::unistd::{Gid, Uid, getegid, geteuid, setgroups, setresgid, setresuid};
use reference::Digest;
use step7::layer::{self, Owners, Root};

use outside::Outside;

/// Bytes that a layer may inflate to here.
const MAX_INFLATED: u64 = 1 << 20;

/// The user and group `nobody`.
const NOBODY: u32 = 65534;

/// Makes this process an ordinary user's, for good: no input shall ever be applied by the machine's root.
/// Then, as the process that unpacks, it becomes the root of a user namespace with one id.
pub fn give_up_rights() {
    if geteuid().is_root() {
        let (uid, gid) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
        setgroups(&[]).expect("setgroups");
        setresgid(gid, gid, gid).expect("setresgid");
        setresuid(uid, uid, uid).expect("setresuid");
        // Else its files in /proc are still root's.
        set_dumpable(true).expect("prctl PR_SET_DUMPABLE");
    }
    let (uid, gid) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER).expect("unshare CLONE_NEWUSER");
    for (file, text) in [
        ("setgroups", "deny".to_string()),
        ("uid_map", format!("0 {uid} 1")),
        ("gid_map", format!("0 {gid} 1")),
    ] {
        fs::write(Path::new("/proc/self").join(file), text).expect(file);
    }
}

/// The input's first line says what the rest is: `script`, layers in words (see [`script`]); `tar`,
/// `gzip` or `zstd`, one layer as it is; `mend`, an archive whose checksums are put right first.
pub fn check(input: &[u8]) {
    let map = fs::read_to_string("/proc/self/uid_map").expect("read uid_map");
    assert!(map.ends_with(" 1\n"), "layers are never applied by the machine's root here");
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (first, rest) = (&input[..end], input.get(end + 1..).unwrap_or_default());
    match first {
        b"script" => apply(&script::layers(rest)),
        b"tar" | b"gzip" | b"zstd" => apply(&[rest.to_vec()]),
        b"mend" => apply(&[mended(rest)]),
        _ => {}
    }
}

fn apply(layers: &[Vec<u8>]) {
    let scratch = Scratch::new();
    let root = Root::open(&scratch.root()).expect("it was made");
    for layer in layers {
        // What a packed one inflates to nobody knows, so its digest is wrong.
        let digest = Digest::of(layer);
        let result = layer::apply(&layer[..], &root, &digest, Owners::Caller, MAX_INFLATED);
        scratch.outside.check(&scratch.path);
        match result {
            Ok(report) => {
                assert_eq!(report.inflated, layer.len() as u64);
                assert!(report.entries <= report.inflated / 512);
            }
            Err(error) => {
                crate::check_message(&error.to_string(), layer);
                break;
            }
        }
    }
    layer::remove(&scratch.root()).expect("what was made can be removed");
    assert!(!scratch.root().exists());
    scratch.outside.check(&scratch.path);
}

/// Puts the checksum of each block right that could be a header's: a fuzzer does not guess them.
fn mended(archive: &[u8]) -> Vec<u8> {
    let mut archive = archive.to_vec();
    for block in archive.as_chunks_mut::<512>().0 {
        if block[257..262] == *b"ustar" {
            let mut header = tar::Header::new_old();
            header.as_mut_bytes().copy_from_slice(block);
            header.set_cksum();
            block.copy_from_slice(header.as_bytes());
        }
    }
    archive
}

/// A directory with a root filesystem in it, and beside it what must stay as it is.
struct Scratch {
    path: PathBuf,
    outside: Outside,
}

impl Scratch {
    fn new() -> Scratch {
        let path = std::env::temp_dir().join(format!("slipway-fuzz-{}", process::id()));
        if path.exists() {
            // Of the input before this one, which failed.
            fs::remove_dir_all(&path).expect("remove the last scratch directory");
        }
        fs::create_dir_all(path.join("root")).expect("make a scratch directory");
        let outside = Outside::make(&path);
        Scratch { path, outside }
    }

    fn root(&self) -> PathBuf {
        self.path.join("root")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}
