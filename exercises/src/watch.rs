//! Waits for a learner to save a file.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::{Context, Result};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};

/// An editor that saves writes, renames and touches: what comes so soon after is one change.
const ONE_CHANGE: Duration = Duration::from_millis(200);

/// Watches the sources of a crate.
pub struct Watch {
    changes: Receiver<()>,
    _watcher: RecommendedWatcher,
}

impl Watch {
    /// Begins to watch the sources and the manifest in `directory`, in which nothing is built.
    ///
    /// # Errors
    ///
    /// It is not there, or the limit on inotify watches is reached (inotify(7)).
    pub fn on(directory: &Path) -> Result<Watch> {
        let (sender, changes) = channel();
        let mut watcher =
            notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                // Reading a file is an event, too, and the build reads them all.
                let is_change = |kind| !matches!(kind, EventKind::Access(_));
                let is_source = |path: &PathBuf| {
                    path.extension().is_some_and(|it| it == "rs") || path.ends_with("Cargo.toml")
                };
                let matters = |event: notify::Event| {
                    is_change(event.kind) && event.paths.iter().any(is_source)
                };
                if event.is_ok_and(matters) {
                    let _ = sender.send(());
                }
            })
            .context("begin to watch")?;
        let watching = watcher.watch(directory, RecursiveMode::Recursive);
        watching.with_context(|| format!("watch {directory:?}"))?;
        Ok(Watch { changes, _watcher: watcher })
    }

    /// Returns when something has changed since the last call.
    ///
    /// # Errors
    ///
    /// The watcher is gone.
    pub fn wait(&self) -> Result<()> {
        self.changes.recv().context("the watcher has ended")?;
        while self.changes.recv_timeout(ONE_CHANGE).is_ok() {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{env, fs, process};

    use super::*;

    #[test]
    fn a_saved_file_is_noticed() {
        let directory = env::temp_dir().join(format!("slipway-watch-{}", process::id()));
        fs::create_dir_all(directory.join("src")).unwrap();
        fs::write(directory.join("Cargo.toml"), "").unwrap();
        let watch = Watch::on(&directory).unwrap();
        fs::write(directory.join("src/main.rs"), "fn main() {}").unwrap();
        watch.wait().unwrap();
        fs::read(directory.join("src/main.rs")).unwrap();
        fs::write(directory.join("Cargo.lock"), "").unwrap();
        assert!(watch.changes.recv_timeout(ONE_CHANGE).is_err(), "neither is a change");
        // As many editors save.
        fs::write(directory.join("new"), "").unwrap();
        fs::rename(directory.join("new"), directory.join("Cargo.toml")).unwrap();
        watch.wait().unwrap();
        fs::remove_dir_all(directory).unwrap();
    }
}
