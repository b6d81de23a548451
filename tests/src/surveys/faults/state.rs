//! What a run could leave behind: on the machine, and in the store of images.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::checks::images::image::digest;
use crate::checks::machine::Machine;
use crate::checks::running::within;

/// How long the kernel may take to tidy up what has just died.
const MOMENT: Duration = Duration::from_millis(300);

/// Whether a file is a blob that is what its name says.
fn is_whole_blob(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    fs::read(path).is_ok_and(|bytes| digest(&bytes) == format!("sha256:{name}"))
}

/// The machine, and names in a store. Whole blobs and root filesystems may come: they go by their
/// digests, and are no image before the index says so.
#[derive(PartialEq)]
pub struct State {
    machine: Machine,
    store: BTreeSet<String>,
}

impl State {
    /// Looks at both.
    pub fn now(store: &Path) -> State {
        let folders = ["partial", "containers"].into_iter().flat_map(|folder| {
            let entries = fs::read_dir(store.join(folder)).into_iter().flatten().flatten();
            let entries = entries.filter(|entry| !is_whole_blob(&entry.path()));
            entries.map(move |entry| format!("{folder}/{}", entry.file_name().to_string_lossy()))
        });
        let index = fs::read_to_string(store.join("images/index.json"));
        let index = index.map(|text| format!("images/index.json: {text}"));
        State { machine: Machine::now(), store: folders.chain(index).collect() }
    }

    /// What is different, after a moment; None: nothing.
    pub fn changes(&self, store: &Path) -> Option<String> {
        let mut now = State::now(store);
        if now == *self || within(MOMENT, || self.is_again(&mut now, store)) {
            return None;
        }
        let mut changes = self.machine.changes();
        changes.extend(now.store.difference(&self.store).map(|name| format!("new: {name}")));
        changes.extend(self.store.difference(&now.store).map(|name| format!("gone: {name}")));
        Some(changes.join("; "))
    }

    fn is_again(&self, now: &mut State, store: &Path) -> bool {
        *now = State::now(store);
        now == self
    }

    /// Makes the machine what it was.
    pub fn restore(&self) {
        self.machine.restore();
    }
}
