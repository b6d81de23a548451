//! All mutants of a step in one program, which is built once.
//!
//! A function has a body for each of its mutants, and the number in the program's file says which of them runs. What the
//! compiler does not take is no mutant: it is left out, and the rest is built again.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use exercises::numbered;
use exercises::starter::{in_crate, included};
use serde_json::Value;
use sources::Step;
use tests::as_typed;

use crate::mutants::{Mutant, Place};

/// Below the checkout.
const PLACE: &str = "target/exercises/mutants";

/// A step with all its mutants.
pub struct Program {
    /// The program, and where its number is.
    pub bytes: Vec<u8>,
    pub digits: Range<usize>,
    /// The same with the step's unit tests, where it has some.
    pub unit_tests: Vec<(Vec<u8>, Range<usize>)>,
    /// The numbers of the mutants that it can be, from 1 on.
    pub compiled: BTreeSet<usize>,
}

/// Builds it.
pub fn build(checkout: &Path, number: u8, step: &Step, mutants: &[Mutant]) -> Result<Program> {
    let place = checkout.join(PLACE);
    let name = format!("mutants{number}");
    let (mistake, more) = numbered::mistake();
    numbered::write_workspace(checkout, &place, ["mistake".to_string(), name.clone()].iter())?;
    numbered::write(&place.join("mistake"), mistake)?;
    let mut left: BTreeSet<usize> = (1..=mutants.len()).collect();
    loop {
        let mut files = included(step);
        let mut written: BTreeMap<PathBuf, Vec<Lines>> = BTreeMap::new();
        for file in step.files.values() {
            let path = in_crate(&file.path);
            let of_file = left.iter().filter(|id| mutants[**id - 1].file == path);
            let of_file: Vec<(usize, &Mutant)> =
                of_file.map(|id| (*id, &mutants[*id - 1])).collect();
            let (text, lines) = with_mutants(&file.text(), &of_file)?;
            files.insert(path.to_owned(), text);
            written.insert(Path::new(&name).join(path), lines);
        }
        let manifest = numbered::member(checkout, number, &files, more.clone(), &name)?;
        files.insert("Cargo.toml".into(), manifest.to_string());
        numbered::write(&place.join(&name), files)?;
        let built = cargo(checkout, &place, &["build", "--release", "--package", &name])?;
        if built.errors.is_empty() {
            let program = built.programs.first().context("no program")?;
            let (bytes, digits) = numbered::read(program)?;
            let unit_tests = unit_tests(checkout, &place, &name, step)?;
            return Ok(Program { bytes, digits, unit_tests, compiled: left });
        }
        let before = left.len();
        for error in &built.errors {
            leave_out(error, &written, &mut left);
        }
        ensure!(left.len() < before, "it does not compile:\n{}", rendered(&built.errors[0]));
    }
}

/// The programs of the unit tests; none if the step has none.
fn unit_tests(
    checkout: &Path,
    place: &Path,
    name: &str,
    step: &Step,
) -> Result<Vec<(Vec<u8>, Range<usize>)>> {
    if step.files.values().all(|file| file.items.tests.is_empty()) {
        return Ok(Vec::new());
    }
    let built = cargo(checkout, place, &["test", "--no-run", "--lib", "--package", name])?;
    if let Some(error) = built.errors.first() {
        bail!("its unit tests do not compile:\n{}", rendered(error));
    }
    built.programs.iter().map(|program| numbered::read(program)).collect()
}

/// What cargo said.
struct Built {
    programs: Vec<PathBuf>,
    errors: Vec<Value>,
}

fn cargo(checkout: &Path, place: &Path, arguments: &[&str]) -> Result<Built> {
    let output = as_typed("cargo")
        .args(arguments)
        .args(["--quiet", "--message-format", "json", "--target-dir"])
        .arg(checkout.join("target"))
        .current_dir(place)
        .output()
        .context("run cargo")?;
    let mut built = Built { programs: Vec::new(), errors: Vec::new() };
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Ok(message) = serde_json::from_str::<Value>(line) else { continue };
        if let Some(program) = message["executable"].as_str() {
            built.programs.push(program.into());
        }
        let spans = message["message"]["spans"].as_array().is_some_and(|spans| !spans.is_empty());
        if message["message"]["level"] == "error" && spans {
            built.errors.push(message["message"].clone());
        }
    }
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() || !built.errors.is_empty(), "cargo {arguments:?}: {said}");
    Ok(built)
}

fn rendered(error: &Value) -> &str {
    error["rendered"].as_str().unwrap_or_default()
}

/// Lines of a file with mutants, and the numbers of those that an error there is about.
struct Lines {
    lines: Range<usize>,
    about: Vec<usize>,
    /// They are the right ones, for which a mutant is to blame.
    right: bool,
}

/// Takes out the mutants that an error is about.
fn leave_out(error: &Value, written: &BTreeMap<PathBuf, Vec<Lines>>, left: &mut BTreeSet<usize>) {
    let spans = error["spans"].as_array().map(Vec::as_slice).unwrap_or_default();
    let found = |span: &&Value, right: bool| -> Vec<usize> {
        let file = |span: &Value| PathBuf::from(span["file_name"].as_str().unwrap_or_default());
        // In a macro of the standard library: who has called it.
        let mut span = *span;
        while !written.contains_key(&file(span)) && span["expansion"].is_object() {
            span = &span["expansion"]["span"];
        }
        let line = span["line_start"].as_u64().unwrap_or_default() as usize;
        let of_file = written.get(&file(span)).into_iter().flatten();
        let here = of_file.filter(|it| it.lines.contains(&line) && it.right == right);
        here.flat_map(|it| it.about.clone()).collect()
    };
    let is_primary = |span: &&Value| span["is_primary"] == true;
    for right in [false, true] {
        let primary: Vec<usize> =
            spans.iter().filter(is_primary).flat_map(|span| found(&span, right)).collect();
        let all: Vec<usize> = spans.iter().flat_map(|span| found(&span, right)).collect();
        let guilty = if primary.is_empty() { all } else { primary };
        if !guilty.is_empty() {
            left.retain(|id| !guilty.contains(id));
            return;
        }
    }
}

/// A text that is written piece by piece.
struct Writer {
    text: String,
    lines: Vec<Lines>,
}

impl Writer {
    fn line(&self) -> usize {
        self.text.matches('\n').count() + 1
    }

    /// Writes something on lines of its own.
    fn write(&mut self, text: &str, about: Vec<usize>, right: bool) {
        let start = self.line();
        self.text += text;
        self.text.push('\n');
        self.lines.push(Lines { lines: start..self.line(), about, right });
    }
}

/// A file with some mutants, each with its number; and which of its lines are whose.
fn with_mutants(text: &str, mutants: &[(usize, &Mutant)]) -> Result<(String, Vec<Lines>)> {
    let mut places: BTreeMap<usize, Choices> = BTreeMap::new();
    let bodies = bodies(text)?;
    for (id, mutant) in mutants {
        match &mutant.place {
            Place::Body(body) => {
                let choice = edited(text, body, &mutant.edits);
                Choices::at(&mut places, body, true).push((*id, choice));
            }
            Place::Constant(name, item) => {
                let constant = edited(text, item, &mutant.edits);
                for body in bodies.iter().filter(|body| has_word(&text[(*body).clone()], name)) {
                    let choice = format!("{{ {constant} {} }}", &text[body.clone()]);
                    Choices::at(&mut places, body, true).push((*id, choice));
                }
            }
            Place::Value => {
                let (range, new) = &mutant.edits[0];
                Choices::at(&mut places, range, false).push((*id, new.clone()));
            }
        }
    }
    let mut writer = Writer { text: String::new(), lines: Vec::new() };
    let mut at = 0;
    for Choices { range, choices, is_body } in places.into_values() {
        writer.text += &text[at..range.start];
        let [open, close] = if is_body { ["{ match", "}\n}"] } else { ["match", "}"] };
        writer.text += &format!("{open} ::mistake::number() {{\n");
        for (id, choice) in &choices {
            writer.write(&format!("{id} => {choice},"), vec![*id], false);
        }
        let ids = choices.iter().map(|(id, _)| *id).collect();
        writer.write(&format!("_ => {}", &text[range.clone()]), ids, true);
        writer.text += close;
        at = range.end;
    }
    writer.text += &text[at..];
    Ok((writer.text, writer.lines))
}

/// A part of a file, and what may stand in its place: each with a mutant's number.
struct Choices {
    range: Range<usize>,
    choices: Vec<(usize, String)>,
    /// A function's body, and not a value.
    is_body: bool,
}

impl Choices {
    /// Those of a part, by where it begins.
    fn at<'a>(
        places: &'a mut BTreeMap<usize, Choices>,
        range: &Range<usize>,
        is_body: bool,
    ) -> &'a mut Vec<(usize, String)> {
        let new = || Choices { range: range.clone(), choices: Vec::new(), is_body };
        &mut places.entry(range.start).or_insert_with(new).choices
    }
}

/// A part of a text with these edits.
fn edited(text: &str, part: &Range<usize>, edits: &[(Range<usize>, String)]) -> String {
    let mut edits: Vec<_> = edits.iter().collect();
    edits.sort_by_key(|(range, _)| range.start);
    let (mut new, mut at) = (String::new(), part.start);
    for (range, instead) in edits {
        new += &text[at..range.start];
        new += instead;
        at = range.end;
    }
    new + &text[at..part.end]
}

/// The bodies of a file's functions, without its tests'.
fn bodies(text: &str) -> Result<Vec<Range<usize>>> {
    let parsed = syn::parse_file(text)?;
    let mut bodies = Vec::new();
    for item in &parsed.items {
        match item {
            syn::Item::Fn(function) => bodies.push(range(&function.block)),
            syn::Item::Impl(block) => {
                bodies.extend(block.items.iter().filter_map(|item| match item {
                    syn::ImplItem::Fn(function) => Some(range(&function.block)),
                    _ => None,
                }))
            }
            _ => {}
        }
    }
    Ok(bodies)
}

fn range(block: &syn::Block) -> Range<usize> {
    syn::spanned::Spanned::span(block).byte_range()
}

fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        !is_part(text[..at].chars().next_back()) && !is_part(text[at + word.len()..].chars().next())
    })
}
