//! Filters for people: as text, and the way that one call takes through them.

use clap::Args;
use shared::{Error, print, shown};

use crate::calls::Machine;
use crate::confinement::{Confinement, Privileges};
use crate::filter::{ARCHITECTURE, ARGUMENTS, Compare, Instruction, NUMBER};
use crate::seccomp::Filter;
use crate::walk::{Call, walk};

/// What `filter` takes.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    privileges: Privileges,

    /// A system call, as clone or 56, and its arguments as numbers: shows the way that it takes
    #[arg(value_names = ["CALL", "ARG"], num_args = 0..=7)]
    call: Vec<String>,
}

/// Shows the filter of a command that ran with these options, or one call's way through it.
pub fn run(options: &Options) -> Result<u8, Error> {
    let confinement = Confinement::new(&options.privileges)?;
    let Some(filter) = &confinement.filter else {
        return Err(Error::new("there is no filter: unconfined, a command may make all calls"));
    };
    let held = held(&filter.code);
    let Some((name, arguments)) = options.call.split_first() else {
        let lines = (0..filter.code.len()).map(|at| line(filter, &held, at));
        print(lines.collect::<String>().as_bytes())?;
        return Ok(0);
    };
    let (way, verdict) = walk(&filter.code, &call(filter.machine, name, arguments)?);
    let mut text: String = way.iter().map(|at| line(filter, &held, *at)).collect();
    text +=
        &format!("{name}: {verdict}, after {} instructions of {}\n", way.len(), filter.code.len());
    print(text.as_bytes())?;
    Ok(0)
}

/// The call that somebody names.
fn call(machine: Machine, name: &str, words: &[String]) -> Result<Call, Error> {
    let known = machine.number(name).or_else(|| number(name)?.try_into().ok());
    let unknown = || Error::new(format!("this engine knows no call {} (syscalls(2))", shown(name)));
    let mut arguments = [0; 6];
    for (argument, word) in arguments.iter_mut().zip(words) {
        let cause = || Error::new(format!("an argument is a number, as 0x10, not {}", shown(word)));
        *argument = number(word).ok_or_else(cause)?;
    }
    Ok(Call { number: known.ok_or_else(unknown)?, architecture: machine.audit_arch(), arguments })
}

/// A number, with 0x one of base 16.
fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// What the register holds when each instruction begins, as an offset in struct seccomp_data.
fn held(code: &[Instruction]) -> Vec<u32> {
    let mut held = vec![NUMBER; code.len() + 1];
    // Jumps lead forward only, so what comes before an instruction has been here before it.
    for (at, instruction) in code.iter().enumerate() {
        let skips = match *instruction {
            Instruction::Load(offset) => {
                held[at + 1] = offset;
                continue;
            }
            Instruction::And(_) => [0, 0],
            Instruction::Jump(distance) => [distance as usize; 2],
            Instruction::If { then, other, .. } => [then.into(), other.into()],
            Instruction::Return(_) => continue,
        };
        for skipped in skips {
            held[at + 1 + skipped] = held[at];
        }
    }
    held
}

/// What the register is compared with.
fn operand(machine: Machine, held: u32, value: u32) -> String {
    match (held, machine.name(value)) {
        (NUMBER, Some(name)) => format!("{value} ({name})"),
        (NUMBER, None) if value < 1000 => value.to_string(),
        (ARCHITECTURE, _) if value == machine.audit_arch() => machine.to_string(),
        _ => format!("{value:#x}"),
    }
}

/// An instruction with its place, and where it may lead.
fn line(filter: &Filter, held: &[u32], at: usize) -> String {
    let text = match filter.code[at] {
        Instruction::Load(NUMBER) => "load the call's number".into(),
        Instruction::Load(ARCHITECTURE) => "load the machine".into(),
        Instruction::Load(offset) => {
            let (argument, rest) = ((offset - ARGUMENTS) / 8, offset % 8);
            format!(
                "load the {} half of argument {argument}",
                if rest == 0 { "lower" } else { "upper" }
            )
        }
        Instruction::And(mask) => format!("and {mask:#x}"),
        Instruction::Jump(distance) => format!("go to {}", at + 1 + distance as usize),
        Instruction::If { compare, value, then, other } => {
            let sign = match compare {
                Compare::Equal => "=",
                Compare::Greater => ">",
                Compare::AtLeast => "≥",
            };
            let [then, other] = [then, other].map(|skipped| at + 1 + usize::from(skipped));
            format!("{sign} {}? {then}, else {other}", operand(filter.machine, held[at], value))
        }
        Instruction::Return(verdict) => verdict.to_string(),
    };
    format!("{at:4}  {text}\n")
}
