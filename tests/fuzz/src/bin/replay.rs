//! Puts a target's property to the test with the inputs in some files: `replay TARGET FILE…`

use std::path::PathBuf;
use std::process::ExitCode;
use std::{env, fs};

use fuzz::TARGETS;

fn main() -> ExitCode {
    let mut words = env::args_os().skip(1);
    let name = words.next().unwrap_or_default();
    let Some((name, check)) = TARGETS.into_iter().find(|(target, _)| *target == name) else {
        let names = TARGETS.map(|(name, _)| name).join(", ");
        eprintln!("replay: give a target and files, as in: replay layer FILE; there are {names}");
        return ExitCode::from(125);
    };
    // All are read while that is certain to be allowed.
    let mut inputs = Vec::new();
    for file in words.map(PathBuf::from) {
        match fs::read(&file) {
            Ok(input) => inputs.push((file, input)),
            Err(error) => {
                eprintln!("replay: cannot read {file:?}: {error}");
                return ExitCode::from(125);
            }
        }
    }
    if name == "layer" {
        fuzz::layer::give_up_rights();
    }
    for (file, input) in &inputs {
        println!("{name}: {}", file.display());
        check(input);
    }
    println!("{name}: {} inputs, and it holds for all of them", inputs.len());
    ExitCode::SUCCESS
}
