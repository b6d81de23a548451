//! What each step takes and promises: the table steps/steps.toml.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

/// A step. What its fields mean, and who reads them, stands in the table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    pub idea: String,
    #[serde(default)]
    pub needs_root: bool,
    pub root: Root,
    #[serde(default)]
    pub subcommands: Vec<String>,
    #[serde(default)]
    pub options: Vec<String>,
    #[serde(default)]
    pub last_of_part: bool,
    #[serde(default)]
    pub same_code: Vec<u8>,
}

/// Where the command finds its files.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Root {
    /// In the root directory of the one who calls.
    Host,
    /// In that of --rootfs.
    Folder,
    /// In an image, which is named before the command.
    Image,
}

static STEPS: LazyLock<Vec<Step>> = LazyLock::new(|| {
    let mut table: BTreeMap<String, Step> =
        toml::from_str(include_str!("../../steps/steps.toml")).expect("steps/steps.toml is valid");
    let mut steps = Vec::new();
    while let Some(step) = table.remove(&format!("step{}", steps.len())) {
        steps.push(step);
    }
    let others: Vec<&String> = table.keys().collect();
    assert!(others.is_empty(), "steps/steps.toml: {others:?} does not follow step{}", steps.len());
    steps
});

/// The newest step.
pub fn last() -> u8 {
    (STEPS.len() - 1) as u8
}

/// A step that the table has.
pub fn step(number: u8) -> &'static Step {
    &STEPS[usize::from(number)]
}

/// The first step that takes this option, with a value, or this subcommand.
pub fn since(word: &str) -> u8 {
    let takes = |step: &Step| step.options.iter().chain(&step.subcommands).any(|own| own == word);
    first(takes).unwrap_or_else(|| panic!("steps/steps.toml: no step takes {word}"))
}

/// The first step that runs an image.
pub fn first_with_image() -> u8 {
    first(|step| step.root == Root::Image).unwrap_or(u8::MAX)
}

/// The first step that an ordinary user can call where the one before needed root.
pub fn first_for_ordinary() -> u8 {
    let last = STEPS.iter().rposition(|step| step.needs_root);
    last.map_or(0, |last| last as u8 + 1)
}

/// Whether all promises are put to this step in every run of the checks.
pub fn is_last_of_part(number: u8) -> bool {
    step(number).last_of_part || number == last()
}

/// Whether an option of any step takes its value from the next word.
pub fn has_value(option: &str) -> bool {
    STEPS.iter().any(|step| step.options.iter().any(|own| own == option))
}

fn first(is_it: impl Fn(&Step) -> bool) -> Option<u8> {
    STEPS.iter().position(is_it).map(|place| place as u8)
}
