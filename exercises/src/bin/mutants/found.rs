//! What came of the mutants: kept by step, compared with the list of those that nobody could notice, and counted.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::trial::Found;

/// Mutants that do what the step does, or what nobody could tell from it; with the reasons.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Equivalents {
    equivalent: Vec<Equivalent>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Equivalent {
    step: u8,
    #[expect(dead_code, reason = "it is for people, and must be there")]
    why: String,
    /// Their names.
    mutants: Vec<String>,
}

impl Equivalents {
    pub fn read(checkout: &Path) -> Result<Equivalents> {
        let path = checkout.join("tests/src/surveys/mutants.toml");
        let text = fs::read_to_string(&path).with_context(|| format!("read {path:?}"))?;
        toml::from_str(&text).with_context(|| format!("read {path:?}"))
    }

    pub fn has(&self, step: u8, name: &str) -> bool {
        self.of(step).any(|known| known == name)
    }

    fn of(&self, step: u8) -> impl Iterator<Item = &str> {
        let of_step = self.equivalent.iter().filter(move |it| it.step == step);
        of_step.flat_map(|it| it.mutants.iter().map(String::as_str))
    }
}

/// What came of a step's mutants, by their names. It is kept below target/.
#[derive(Clone)]
pub struct Results {
    path: PathBuf,
    found: BTreeMap<String, Found>,
    /// Those that are mutants today.
    names: Vec<String>,
}

impl Results {
    /// What is known from earlier runs.
    pub fn read(checkout: &Path, step: u8) -> Result<Results> {
        let path = checkout.join(format!("target/exercises/mutants/step{step}.json"));
        let text = fs::read_to_string(&path).unwrap_or_else(|_| "{}".into());
        let found = serde_json::from_str(&text).with_context(|| format!("read {path:?}"))?;
        Ok(Results { path, found, names: Vec::new() })
    }

    pub fn get(&self, name: &str) -> Option<&Found> {
        self.found.get(name)
    }

    /// These are the mutants; what is known about others is forgotten.
    pub fn keep<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        self.names = names.map(String::from).collect();
        self.found.retain(|name, _| self.names.contains(name));
    }

    pub fn take(&mut self, name: &str, found: Found) -> Result<()> {
        self.found.insert(name.into(), found);
        let text = serde_json::to_string_pretty(&self.found).context("write JSON")?;
        fs::write(&self.path, text).with_context(|| format!("write {:?}", self.path))
    }

    /// The step's row of the table.
    pub fn row(&self, step: u8, equivalents: &Equivalents) -> String {
        let (mut in_vm, mut by_unit_tests, mut equivalent) = (0, 0, 0);
        for name in &self.names {
            match self.found.get(name) {
                _ if equivalents.has(step, name) => equivalent += 1,
                Some(Found::InVm(_)) => in_vm += 1,
                Some(Found::ByUnitTests) => by_unit_tests += 1,
                Some(Found::Survived) | None => {}
            }
        }
        let all = self.names.len();
        let missed = all - in_vm - by_unit_tests - equivalent;
        format!("| step {step} | {all} | {in_vm} | {by_unit_tests} | {equivalent} | {missed} |")
    }

    /// Tells what is wrong, and how much: those that nobody caught, and entries of the list that are no mutants or were
    /// caught.
    pub fn complain(&self, step: u8, equivalents: &Equivalents) -> usize {
        let mut wrong = 0;
        for name in self.names.iter().filter(|name| !equivalents.has(step, name)) {
            if matches!(self.found.get(name), None | Some(Found::Survived)) {
                println!("FAIL  step {step}: nobody notices: {name}");
                wrong += 1;
            }
        }
        for name in equivalents.of(step) {
            let is_mutant = self.names.iter().any(|known| known == name);
            let caught = self.found.get(name).filter(|found| **found != Found::Survived);
            if !is_mutant || caught.is_some() {
                println!(
                    "FAIL  step {step}: tests/src/surveys/mutants.toml has, and need not: {name}"
                );
                wrong += 1;
            }
        }
        wrong
    }
}

/// What came of a mutant, for a person.
pub fn told(name: &str, found: &Found) -> String {
    match found {
        Found::InVm(check) => format!("caught    {name}\n            {check}"),
        Found::ByUnitTests => format!("unit test {name}"),
        Found::Survived => format!("SURVIVED  {name}"),
    }
}

/// The table with these rows anew, and the others as the snapshot has them.
pub fn table(checkout: &Path, rows: &[(u8, String)]) -> Result<String> {
    let path = checkout.join("tests/snapshots/mutants.snap");
    let text = fs::read_to_string(&path).unwrap_or_default();
    let old = text.lines().filter(|line| line.starts_with("| step ") && !line.contains("mutants"));
    let number = |line: &str| line.split_whitespace().nth(2).and_then(|word| word.parse().ok());
    let mut all: BTreeMap<u8, &str> = old.filter_map(|line| Some((number(line)?, line))).collect();
    all.extend(rows.iter().map(|(step, row)| (*step, row.as_str())));
    let head =
        "| step | mutants | caught in the VM | caught by a unit test | equivalent | not caught |";
    let mut table = format!("{head}\n|---|---|---|---|---|---|\n");
    for row in all.values() {
        writeln!(table, "{row}").context("write the table")?;
    }
    Ok(table)
}
