//! The steps' sources, each line with its part in the step: new, or as in the step before.

pub mod items;
pub mod pairing;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use similar::{Algorithm, TextDiff};

use items::Items;
use pairing::Text;

/// All steps, by number.
#[derive(Clone)]
pub struct Sources {
    steps: BTreeMap<u8, Step>,
}

/// A step's files by module: `container`, `layer::apply`, `main`.
#[derive(Clone, Default)]
pub struct Step {
    pub files: BTreeMap<String, File>,
    /// Texts beside them that the code includes, by their paths from the checkout on.
    pub included: BTreeMap<PathBuf, String>,
}

#[derive(Clone)]
pub struct File {
    /// From the checkout on: `steps/step4/src/rootfs.rs`.
    pub path: PathBuf,
    pub lines: Vec<Line>,
    pub items: Items,
    /// The step before does not have it.
    pub is_new: bool,
    /// What is different from the step before, as `diff -u` writes it, without its first two lines.
    pub diff: String,
}

#[derive(Clone)]
pub struct Line {
    pub text: String,
    pub is_new: bool,
    /// Lines of the step before that stood before this one.
    pub gone: Vec<String>,
}

impl Sources {
    /// Reads steps/step0, step1, …
    pub fn read(checkout: &Path) -> Result<Sources> {
        let mut steps: BTreeMap<u8, Step> = BTreeMap::new();
        for number in 0u8.. {
            let directory = checkout.join(format!("steps/step{number}/src"));
            if !directory.is_dir() {
                break;
            }
            let before = number.checked_sub(1).and_then(|before| steps.get(&before));
            let mut step = Step::default();
            for path in files(&directory, "rs")? {
                let below = path.strip_prefix(&directory)?;
                let module = module(below);
                let text = fs::read_to_string(&path).with_context(|| format!("read {path:?}"))?;
                // layer.rs is another file than layer/mod.rs, though both are the module `layer`.
                let is_same = |old: &&File| old.path.ends_with(Path::new("src").join(below));
                let old = before.and_then(|before| before.files.get(&module)).filter(is_same);
                let path = path.strip_prefix(checkout)?.to_owned();
                let file = File::new(path, &text, old)?;
                step.files.insert(module, file);
            }
            for path in files(&directory, "json")? {
                let text = fs::read_to_string(&path).with_context(|| format!("read {path:?}"))?;
                step.included.insert(path.strip_prefix(checkout)?.to_owned(), text);
            }
            steps.insert(number, step);
        }
        Ok(Sources { steps })
    }

    pub fn iter(&self) -> impl Iterator<Item = (u8, &Step)> {
        self.steps.iter().map(|(number, step)| (*number, step))
    }

    pub fn step(&self, number: u8) -> Result<&Step> {
        self.steps.get(&number).with_context(|| format!("there is no step {number}"))
    }
}

impl Step {
    pub fn file(&self, module: &str) -> Result<&File> {
        self.files.get(module).ok_or_else(|| {
            let names: Vec<&str> = self.files.keys().map(String::as_str).collect();
            anyhow!("the step has no module {module:?}; it has {}", names.join(", "))
        })
    }
}

impl File {
    /// `old` is the file in the step before.
    pub fn new(path: PathBuf, text: &str, old: Option<&File>) -> Result<File> {
        let items = items::parse(text).with_context(|| format!("parse {path:?}"))?;
        let new = Text { lines: text.lines().collect(), items: &items };
        let lines = match old {
            Some(old) => pairing::pair(&old.as_text(), &new),
            None => {
                let line =
                    |text: &&str| Line { text: text.to_string(), is_new: true, gone: vec![] };
                new.lines.iter().map(line).collect()
            }
        };
        let old_text = old.map(File::text).unwrap_or_default();
        let diff = TextDiff::configure()
            .algorithm(Algorithm::Patience)
            .diff_lines(&old_text, text)
            .unified_diff()
            .context_radius(3)
            .to_string();
        Ok(File { path, lines, items, is_new: old.is_none(), diff })
    }

    fn as_text(&self) -> Text<'_> {
        let lines = self.lines.iter().map(|line| line.text.as_str()).collect();
        Text { lines, items: &self.items }
    }

    pub fn text(&self) -> String {
        self.lines.iter().map(|line| format!("{}\n", line.text)).collect()
    }
}

/// All files with this extension in a directory and below.
pub fn files(directory: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let entries = fs::read_dir(directory).with_context(|| format!("read {directory:?}"))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(self::files(&path, extension)?);
        } else if path.extension().is_some_and(|it| it == extension) {
            files.push(path);
        }
    }
    Ok(files)
}

/// `layer/apply.rs` is `layer::apply`, `layer/mod.rs` is `layer`.
fn module(path: &Path) -> String {
    let path = path.with_extension("");
    let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    let parts = match parts.split_last() {
        Some((last, rest)) if last == "mod" => rest,
        _ => &parts[..],
    };
    parts.join("::")
}
