//! What has passed, so that a second run repeats only what a change can affect.
//!
//! A job of `./just verify` (a plan, a survey, a chapter) that has passed is kept below `.cache/passed`, a file a job, with
//! its [`Print`]: a digest of all that its result can depend on. The next run takes the result from there if the digest is the
//! same. What failed is never kept, and CI begins with nothing.
//!
//! The digests are of the programs' bytes as they go into the VM, not of sources: whoever edits one check repeats all of
//! them, for they are one program. (A finer digest would need to know which function calls which.) What is kept is what the
//! programs reported. A snapshot is compared with that again in each run, so it is no part of the digest.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use shared::{Error, Explain};

use crate::vm::payload;

/// A digest of what the result of a job depends on.
#[derive(Clone, Default)]
pub struct Print(Sha256);

impl Print {
    /// Adds a text.
    pub fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// Adds a program, as it is in the VM.
    pub fn program(&mut self, file: &Path) -> Result<(), Error> {
        let mut bytes = fs::read(file).explain(format_args!("read {}", file.display()))?;
        payload::strip(&mut bytes);
        self.bytes(&bytes);
        Ok(())
    }

    /// Adds a file's bytes.
    pub fn file(&mut self, file: &Path) -> Result<(), Error> {
        let mut open = File::open(file).explain(format_args!("open {}", file.display()))?;
        let size = open.metadata().explain(format_args!("look at {}", file.display()))?.len();
        self.0.update(size.to_be_bytes());
        io::copy(&mut open, self).explain(format_args!("read {}", file.display()))?;
        Ok(())
    }

    /// Adds a folder with all that is in it: names, modes, contents.
    pub fn folder(&mut self, folder: &Path) -> Result<(), Error> {
        let mut tar = tar::Builder::new(self);
        tar.follow_symlinks(false);
        payload::add_tree(&mut tar, folder, Path::new("folder"), 0)
            .and_then(|()| tar.finish())
            .explain(format_args!("read {}", folder.display()))
    }

    // Its length comes first, so that no two sequences of pieces are one.
    fn bytes(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
    }

    /// The digest, in hexadecimal digits.
    fn end(&self) -> String {
        self.0.clone().finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl Write for Print {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where results are kept.
pub struct Memory {
    folder: PathBuf,
}

/// A file of it.
#[derive(Serialize, Deserialize)]
struct Note<Result> {
    print: String,
    result: Result,
}

impl Memory {
    /// That of this checkout.
    pub fn open() -> Memory {
        Memory { folder: Path::new(env!("CARGO_MANIFEST_DIR")).join("../.cache/passed") }
    }

    /// Forgets everything.
    pub fn forget(&self) -> Result<(), Error> {
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).explain(format_args!("remove {}", self.folder.display()))
            }
            _ => Ok(()),
        }
    }

    /// What came of a job of this name, if it passed and nothing has changed since.
    pub fn recall<Result: DeserializeOwned>(&self, job: &str, print: &Print) -> Option<Result> {
        let text = fs::read_to_string(self.file(job)).ok()?;
        let note: Note<Result> = serde_json::from_str(&text).ok()?;
        (note.print == print.end()).then_some(note.result)
    }

    /// Keeps what came of a job that has passed. One that can't be kept is repeated, no more.
    pub fn keep<Result: Serialize>(&self, job: &str, print: &Print, result: Result) {
        let file = self.file(job);
        let partial = file.with_added_extension(std::process::id().to_string());
        let text = serde_json::to_string(&Note { print: print.end(), result });
        let text = text.expect("it is plain data");
        let kept = fs::create_dir_all(&self.folder)
            .and_then(|()| fs::write(&partial, text))
            .and_then(|()| fs::rename(&partial, &file));
        if kept.is_err() {
            let _ = fs::remove_file(&partial);
        }
    }

    fn file(&self, job: &str) -> PathBuf {
        self.folder.join(job.replace(['/', ' '], "-"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(texts: &[&str]) -> Print {
        let mut print = Print::default();
        for text in texts {
            print.text(text);
        }
        print
    }

    #[test]
    fn what_passed_is_known_until_something_changes() {
        let folder = std::env::temp_dir().join(format!("slipway-passed-{}", std::process::id()));
        let memory = Memory { folder };
        let (before, after) = (print(&["a", "bc"]), print(&["ab", "c"]));
        assert_eq!(memory.recall::<u8>("job", &before), None);
        memory.keep("job", &before, 7u8);
        assert_eq!(memory.recall("job", &before), Some(7u8));
        assert_eq!(memory.recall::<u8>("job", &after), None);
        assert_eq!(memory.recall::<u8>("another job", &before), None);
        memory.forget().unwrap();
        memory.forget().unwrap();
        assert_eq!(memory.recall::<u8>("job", &before), None);
    }

    #[test]
    fn a_file_and_its_mode_count() {
        use std::os::unix::fs::PermissionsExt;
        let folder = std::env::temp_dir().join(format!("slipway-print-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("file");
        let of = || {
            let mut print = Print::default();
            print.folder(&folder).unwrap();
            print.end()
        };
        fs::write(&file, "one").unwrap();
        let one = of();
        assert_eq!(of(), one);
        fs::write(&file, "two").unwrap();
        let two = of();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o700)).unwrap();
        let closed = of();
        fs::remove_dir_all(&folder).unwrap();
        assert!(one != two && two != closed && closed != one);
    }
}
