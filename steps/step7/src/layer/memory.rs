//! What a layer itself has put into the root filesystem, which its whiteouts leave alone.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::hash::BuildHasher;

/// Whose a directory is that this layer has put something in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// This layer has made it, so all that it holds is this layer's.
    New,
    /// It was there, and holds both.
    Shared,
}

/// Directories by their inode numbers: one directory can have many paths, through symbolic links.
/// Other files by directory and name, because one file can have many names, of many layers.
///
/// An inode number that is free again is taken only by something that this layer makes, so what is
/// said here of the old one holds for the new one: it's this layer's.
#[derive(Debug, Default)]
pub struct Memory {
    directories: HashMap<u64, Whose>,
    /// Names in shared directories: hashes, so that a million fit into some megabytes. If two were
    /// the same, which is as good as impossible, a whiteout would have no effect.
    names: HashSet<u64>,
    hash: RandomState,
}

impl Memory {
    /// This layer has made the directory.
    pub fn made(&mut self, directory: u64) {
        self.directories.insert(directory, Whose::New);
    }

    /// This layer puts something into the directory. False if that is no news.
    pub fn shares(&mut self, directory: u64) -> bool {
        let is_known = self.directories.contains_key(&directory);
        self.directories.entry(directory).or_insert(Whose::Shared);
        !is_known
    }

    /// None if the layer has nothing in the directory.
    pub fn whose(&self, directory: u64) -> Option<Whose> {
        self.directories.get(&directory).copied()
    }

    /// This layer has put a file there that is no directory.
    pub fn put(&mut self, directory: u64, name: &OsStr) {
        if self.whose(directory) != Some(Whose::New) {
            self.names.insert(self.hash.hash_one((directory, name)));
        }
    }

    pub fn has(&self, directory: u64, name: &OsStr) -> bool {
        self.whose(directory) == Some(Whose::New)
            || self.names.contains(&self.hash.hash_one((directory, name)))
    }
}
