//! What a file imports, name by name: a starter has code of two steps, and what both import.

use anyhow::{Context, Result};
use syn::spanned::Spanned;
use syn::{Item, UseTree};

/// The private imports of a file.
pub struct Imports {
    /// `std::io::Read`, `nix::libc as c`, `super::*`
    names: Vec<String>,
    /// The line after the last of them, counted from 0.
    pub end: usize,
}

impl Imports {
    /// Reads a file's imports.
    ///
    /// # Errors
    ///
    /// It is no Rust.
    pub fn read(text: &str) -> Result<Imports> {
        let file = syn::parse_file(text).context("it is no Rust")?;
        let (mut names, mut end) = (Vec::new(), 0);
        for item in &file.items {
            if let Item::Use(item) = item {
                add(&item.tree, "", &mut names);
                end = item.span().end().line;
            }
        }
        Ok(Imports { names, end })
    }

    /// The lines that import what `self` does and `other` does not.
    pub fn beyond(&self, other: &Imports) -> Vec<String> {
        let new = self.names.iter().filter(|name| !other.names.contains(name));
        new.map(|name| format!("use {name};")).collect()
    }
}

fn add(tree: &UseTree, before: &str, names: &mut Vec<String>) {
    match tree {
        UseTree::Path(path) => add(&path.tree, &format!("{before}{}::", path.ident), names),
        UseTree::Name(name) if name.ident == "self" => {
            names.push(before.trim_end_matches(':').to_string());
        }
        UseTree::Name(name) => names.push(format!("{before}{}", name.ident)),
        UseTree::Rename(name) => names.push(format!("{before}{} as {}", name.ident, name.rename)),
        UseTree::Glob(_) => names.push(format!("{before}*")),
        UseTree::Group(group) => group.items.iter().for_each(|tree| add(tree, before, names)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_file_imports_and_the_other_does_not() {
        let old = "use std::io::{self, Read as _};\nuse a::{b, c::*};\nfn f() {}\n";
        let new = "//! New.\n\nuse a::b;\nuse std::fs;\n";
        let (old, new) = (Imports::read(old).unwrap(), Imports::read(new).unwrap());
        assert_eq!(old.beyond(&new), ["use std::io;", "use std::io::Read as _;", "use a::c::*;"]);
        assert_eq!(new.end, 4);
    }
}
