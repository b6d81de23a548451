//! Layers in words, one line an entry: so a fuzzer gets deep, and a person can read what it found.
//!
//! ```text
//! dir     NAME [MODE]        a directory; the mode is octal
//! file    NAME [CONTENT]
//! symlink NAME TARGET
//! hardlink NAME TARGET
//! fifo    NAME
//! device  NAME [MODE]
//! pax     KEY [VALUE]        a record for the next entry
//! long    NAME               GNU's long name for the next entry
//! holes   NAME SIZE OFFSET   a sparse file with one byte in it
//! --                         the next layer
//! ```
//!
//! `~` in a name is a hundred times `d/`. Other lines are passed over.

use tar::Header;

/// More would only be slow.
const MOST_LAYERS: usize = 4;
const MOST_ENTRIES: usize = 64;

/// The archives of a script.
pub fn layers(script: &[u8]) -> Vec<Vec<u8>> {
    let mut layers = vec![Vec::new()];
    for line in script.split(|byte| *byte == b'\n').take(MOST_ENTRIES) {
        if line == b"--" && layers.len() < MOST_LAYERS {
            layers.push(Vec::new());
        } else {
            add_line(layers.last_mut().expect("there is one"), line);
        }
    }
    for layer in &mut layers {
        layer.resize(layer.len() + 1024, 0);
    }
    layers
}

fn add_line(layer: &mut Vec<u8>, line: &[u8]) {
    let mut words = line.splitn(3, |byte| *byte == b' ');
    let mut word = || words.next().unwrap_or_default();
    let (command, name, rest) = (word(), expanded(word()), word());
    let target = expanded(rest);
    match command {
        b"dir" => entry(layer, b'5', &name, b"", b"", mode(rest, 0o755)),
        b"file" => entry(layer, b'0', &name, b"", rest, 0o644),
        b"symlink" => entry(layer, b'2', &name, &target, b"", 0o777),
        b"hardlink" => entry(layer, b'1', &name, &target, b"", 0o644),
        b"fifo" => entry(layer, b'6', &name, b"", b"", 0o600),
        b"device" => entry(layer, b'3', &name, b"", b"", mode(rest, 0o666)),
        b"pax" => entry(layer, b'x', b"pax", b"", &record(&name, rest), 0o644),
        b"long" => entry(layer, b'L', b"././@LongLink", b"", &name, 0o644),
        b"holes" => {
            let (size, offset) = text(rest).split_once(' ').unwrap_or((text(rest), "0"));
            let map = format!("{offset},1");
            let mut records = record(b"GNU.sparse.map", map.as_bytes());
            records.extend(record(b"GNU.sparse.size", size.as_bytes()));
            records.extend(record(b"GNU.sparse.name", &name));
            entry(layer, b'x', b"pax", b"", &records, 0o644);
            entry(layer, b'0', &name, b"", b"!", 0o644);
        }
        _ => {}
    }
}

/// Adds a header and its content; names that are too long for it in headers of their own before it.
fn entry(layer: &mut Vec<u8>, kind: u8, name: &[u8], link: &[u8], content: &[u8], mode: u32) {
    if name.len() > 100 {
        entry(layer, b'L', b"././@LongLink", b"", name, 0o644);
    }
    if link.len() > 100 {
        entry(layer, b'K', b"././@LongLink", b"", link, 0o644);
    }
    let mut header = Header::new_gnu();
    let (name, link) = (&name[..name.len().min(100)], &link[..link.len().min(100)]);
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.as_old_mut().linkname[..link.len()].copy_from_slice(link);
    header.as_old_mut().linkflag = [kind];
    header.set_size(content.len() as u64);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1000);
    // The null device, should it ever be made.
    header.set_device_major(1).expect("a GNU header has it");
    header.set_device_minor(3).expect("a GNU header has it");
    header.set_cksum();
    layer.extend_from_slice(header.as_bytes());
    layer.extend_from_slice(content);
    layer.resize(layer.len().next_multiple_of(512), 0);
}

/// A PAX record, which begins with its own length.
fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let digits = |length: usize| length.to_string().len();
    let length = rest + digits(rest + digits(rest));
    [format!("{length} ").as_bytes(), key, b"=", value, b"\n"].concat()
}

fn expanded(name: &[u8]) -> Vec<u8> {
    let mut long = Vec::new();
    for byte in name {
        match byte {
            // 4096 bytes are the most that a name may have, and some more must be possible.
            b'~' if long.len() < 5000 => long.extend(b"d/".repeat(100)),
            _ => long.push(*byte),
        }
    }
    long
}

fn mode(text_: &[u8], or: u32) -> u32 {
    u32::from_str_radix(text(text_), 8).map_or(or, |mode| mode & 0o7777)
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap_or_default()
}
