//! Whiteouts: entries that take away what earlier layers have put (OCI image specification, "Image
//! Layer Filesystem Changeset", "Whiteouts").

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// What an entry means by its name.
#[derive(Debug, PartialEq, Eq)]
pub enum Meaning<'a> {
    /// A file of its own.
    File,
    /// In the entry's directory this name is gone.
    Hide(&'a OsStr),
    /// All that the entry's directory has had is gone.
    HideAll,
    /// A note that the AUFS file system made for itself. Docker ignores these.
    Nothing,
}

/// The meaning of an entry by the parts of its name. The error says what is wrong with it.
pub fn meaning<'a>(parts: &[&'a OsStr]) -> Result<Meaning<'a>, &'static str> {
    let Some((last, above)) = parts.split_last() else { return Ok(Meaning::File) };
    if parts.iter().all(|part| !part.as_bytes().starts_with(b".wh.")) {
        return Ok(Meaning::File);
    }
    if above.iter().chain([last]).any(|part| is_note(part.as_bytes())) {
        return Ok(Meaning::Nothing);
    }
    match last.as_bytes() {
        b".wh..wh..opq" => Ok(Meaning::HideAll),
        b".wh." | b".wh.." | b".wh..." => Err("a whiteout of no name"),
        name => match name.strip_prefix(b".wh.") {
            Some(hidden) if above.iter().all(|part| !part.as_bytes().starts_with(b".wh.")) => {
                Ok(Meaning::Hide(OsStr::from_bytes(hidden)))
            }
            _ => Err("a whiteout is no directory"),
        },
    }
}

fn is_note(name: &[u8]) -> bool {
    name.starts_with(b".wh..wh.") && name != b".wh..wh..opq"
}

#[cfg(test)]
mod tests {
    use super::super::root;
    use super::*;

    #[test]
    fn names_have_meanings() {
        let hide = |name| Ok(Meaning::Hide(OsStr::new(name)));
        for (name, expected) in [
            ("a/wh.b", Ok(Meaning::File)),
            ("", Ok(Meaning::File)),
            ("a/.wh.b", hide("b")),
            (".wh...b", hide("..b")),
            (".wh..b", hide(".b")),
            ("a/.wh..wh..opq", Ok(Meaning::HideAll)),
            (".wh..wh.plnk/1.2", Ok(Meaning::Nothing)),
            (".wh..wh.aufs", Ok(Meaning::Nothing)),
            ("a/.wh.", Err("a whiteout of no name")),
            ("a/.wh..", Err("a whiteout of no name")),
            ("a/.wh...", Err("a whiteout of no name")),
            (".wh.a/b", Err("a whiteout is no directory")),
            (".wh.a/.wh.b", Err("a whiteout is no directory")),
            (".wh..wh..opq/b", Err("a whiteout is no directory")),
        ] {
            assert_eq!(meaning(&root::parts(OsStr::new(name))), expected, "{name}");
        }
    }
}
