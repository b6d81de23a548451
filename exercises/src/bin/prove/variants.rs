//! The programs to put to the checks: starters, and steps with one mistake.
//!
//! A step and all mistakes of its exercise are built as one program. In it, a function with mistakes has several bodies,
//! the right one and one for each mistake, to the letter as a learner would have written them, and a number in the
//! program's file says which of them runs. So a mistake costs a copy of the file and no build.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use exercises::starter::{Files, in_crate, included, starter};
use exercises::tasks::{Exercise, Mistake};
use exercises::{build, numbered};
use sources::Sources;
use syn::spanned::Spanned;
use syn::{Block, ImplItem, Item};
use toml::Table;

/// Below the checkout; what is not built anew is there from the last time.
const PLACE: &str = "target/exercises/variants";

/// Crates by their names. They are one workspace, so that Cargo builds them side by side, and in the
/// steps' own target directory, so that what they depend on is built once for all.
#[derive(Default)]
pub struct Variants {
    crates: BTreeMap<String, Files>,
    /// The names of the programs that are copies, by their crates: the first one makes mistake 1.
    copies: BTreeMap<String, Vec<String>>,
}

impl Variants {
    /// Adds the starter of an exercise.
    pub fn add_starter(
        &mut self,
        checkout: &Path,
        sources: &Sources,
        exercise: &Exercise,
        name: &str,
    ) -> Result<()> {
        let files = starter(exercise, sources)?;
        self.add(checkout, exercise.step, files, Table::new(), name)
    }

    /// Adds the step of an exercise with each of these mistakes, a program by each of these names.
    pub fn add_mistakes(
        &mut self,
        checkout: &Path,
        sources: &Sources,
        exercise: &Exercise,
        mistakes: &[(String, &Mistake)],
    ) -> Result<()> {
        let name = format!("mistakes{}", exercise.step);
        let step = sources.step(exercise.step)?;
        let mut files = included(step);
        for file in step.files.values() {
            let path = in_crate(&file.path);
            let numbered = (1..).zip(mistakes.iter().map(|(_, mistake)| *mistake));
            let of_file: Vec<(usize, &Mistake)> =
                numbered.filter(|(_, mistake)| Path::new(&mistake.file) == path).collect();
            let text = with_mistakes(&file.text(), &of_file);
            files.insert(path.to_owned(), text.with_context(|| format!("{:?}", file.path))?);
        }
        for (program, Mistake { file, .. }) in mistakes {
            let is_there = files.contains_key(Path::new(file));
            ensure!(is_there, "step {} has no {file}", exercise.step);
            self.copies.entry(name.clone()).or_default().push(program.clone());
        }
        let (own, more) = numbered::mistake();
        self.crates.insert("mistake".into(), own);
        self.add(checkout, exercise.step, files, more, &name)
    }

    fn add(
        &mut self,
        checkout: &Path,
        step: u8,
        mut files: Files,
        more: Table,
        name: &str,
    ) -> Result<()> {
        let manifest = numbered::member(checkout, step, &files, more, name)?;
        files.insert("Cargo.toml".into(), manifest.to_string());
        self.crates.insert(name.into(), files);
        Ok(())
    }

    /// Builds them all and gives the programs by their names.
    pub fn build(mut self, checkout: &Path) -> Result<BTreeMap<String, PathBuf>> {
        let place = checkout.join(PLACE);
        numbered::write_workspace(checkout, &place, self.crates.keys())?;
        for (name, files) in std::mem::take(&mut self.crates) {
            numbered::write(&place.join(name), files)?;
        }
        let target = checkout.join("target").into_os_string();
        let programs = build::build_in(&place, &["--bins".into(), "--target-dir".into(), target])?;
        let name = |program: PathBuf| {
            let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (name, program)
        };
        let mut programs: BTreeMap<String, PathBuf> = programs.into_iter().map(name).collect();
        let folder = checkout.join("target/exercises/mistakes");
        fs::create_dir_all(&folder).with_context(|| format!("make {folder:?}"))?;
        for (all, names) in &self.copies {
            let program = programs.get(all).with_context(|| format!("{all} has no program"))?;
            let copies = numbered::write_copies(program, &folder, names);
            programs.extend(copies.with_context(|| format!("copy {program:?}"))?);
        }
        Ok(programs)
    }
}

/// A file in which a function with mistakes has the body of the one whose number the program has, or the right one.
fn with_mistakes(text: &str, mistakes: &[(usize, &Mistake)]) -> Result<String> {
    let mut bodies: BTreeMap<usize, (Range<usize>, String)> = BTreeMap::new();
    let functions = functions(&syn::parse_file(text)?.items);
    for (number, Mistake { right, wrong, .. }) in mistakes {
        let places: Vec<usize> = text.match_indices(right).map(|(place, _)| place).collect();
        let [place] = places[..] else {
            bail!("{right:?} is there {} times", places.len());
        };
        let (right, after) = (place..place + right.len(), place + right.len());
        let body = functions.iter().find(|body| body.start < right.start && right.end < body.end);
        let body = body.with_context(|| format!("{:?} is in no function", &text[right.clone()]))?;
        let (before, after) = (&text[body.start..right.start], &text[after..body.end]);
        let (_, arms) = bodies.entry(body.start).or_insert((body.clone(), String::new()));
        *arms += &format!("{number} => {before}{wrong}{after}\n");
    }
    let (mut all, mut at) = (String::new(), 0);
    for (body, arms) in bodies.into_values() {
        let right = &text[body.clone()];
        all += &text[at..body.start];
        all += &format!("{{ match ::mistake::number() {{\n{arms}_ => {right}\n}} }}");
        at = body.end;
    }
    Ok(all + &text[at..])
}

/// Where the bodies of a file's functions are, with their braces.
fn functions(items: &[Item]) -> Vec<Range<usize>> {
    let range = |block: &Block| block.span().byte_range();
    let mut all = Vec::new();
    for item in items {
        match item {
            Item::Fn(function) => all.push(range(&function.block)),
            Item::Impl(block) => all.extend(block.items.iter().filter_map(|item| match item {
                ImplItem::Fn(function) => Some(range(&function.block)),
                _ => None,
            })),
            _ => {}
        }
    }
    all
}

#[cfg(test)]
mod test {
    use super::*;

    fn mistake(right: &str, wrong: &str) -> Mistake {
        let [cause, check, file] = ["", "", "src/a.rs"].map(String::from);
        let (right, wrong) = (right.into(), wrong.into());
        Mistake {
            cause,
            check,
            also: vec![],
            seen: vec![],
            expected: String::new(),
            file,
            right,
            wrong,
        }
    }

    #[test]
    fn a_function_has_the_body_of_its_number() {
        let text =
            "const A: u8 = 1;\nfn one() -> u8 { 1 }\nimpl B {\n    fn two() -> u8 { 2 }\n}\n";
        let [first, second] = [mistake("2", "3"), mistake(" 2 ", " { 4 } ")];
        let all = with_mistakes(text, &[(1, &first), (2, &second)]).unwrap();
        let two = "{ match ::mistake::number() {\n1 => { 3 }\n2 => { { 4 } }\n_ => { 2 }\n} }";
        assert_eq!(all, text.replace("{ 2 }", two));
    }

    #[test]
    fn a_mistake_is_in_a_function_and_there_once() {
        let wrong = |right| {
            let text = "const A: u8 = 1;\nfn one() -> (u8, u8) { (2, 2) }\n";
            with_mistakes(text, &[(1, &mistake(right, "3"))]).unwrap_err().to_string()
        };
        assert!(wrong("1").contains("in no function"));
        assert!(wrong("2").contains("2 times"));
    }
}
