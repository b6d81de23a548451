//! A filter's run, as the kernel does it: for people who want to see it, and for tests.

use crate::filter::{ARCHITECTURE, ARGUMENTS, Compare, Instruction, NUMBER, halves};
use crate::verdict::Verdict;

/// A system call as a filter sees it.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    pub number: u32,
    pub architecture: u32,
    pub arguments: [u64; 6],
}

impl Call {
    fn word(&self, offset: u32) -> u32 {
        match offset {
            NUMBER => self.number,
            ARCHITECTURE => self.architecture,
            argument => {
                let argument = argument - ARGUMENTS;
                let [upper, lower] = halves(self.arguments[argument as usize / 8]);
                if argument.is_multiple_of(8) { lower } else { upper }
            }
        }
    }
}

/// Runs a filter as the kernel does: the places of the instructions that the call comes by, and what
/// the last one says.
pub fn walk(code: &[Instruction], call: &Call) -> (Vec<usize>, Verdict) {
    let (mut at, mut register, mut way) = (0, 0, Vec::new());
    loop {
        way.push(at);
        at += 1 + match code[way[way.len() - 1]] {
            Instruction::Load(offset) => {
                register = call.word(offset);
                0
            }
            Instruction::And(mask) => {
                register &= mask;
                0
            }
            Instruction::Jump(distance) => distance as usize,
            Instruction::If { compare, value, then, other } => {
                let holds = match compare {
                    Compare::Equal => register == value,
                    Compare::Greater => register > value,
                    Compare::AtLeast => register >= value,
                };
                usize::from(if holds { then } else { other })
            }
            Instruction::Return(verdict) => return (way, verdict),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::Machine;
    use crate::filter::compile;
    use crate::verdict::{Branch, Condition, Rules, Test};

    /// What the rules say, read as a person reads them.
    fn said(rules: &Rules, call: &Call) -> Verdict {
        if call.architecture != rules.machine.audit_arch() {
            return Verdict::KILL_PROCESS;
        }
        if rules.machine == Machine::X86_64 && call.number >= 0x4000_0000 {
            return Verdict::NOT_THERE;
        }
        let branches = rules.calls.get(call.number as usize).map_or(&[][..], Vec::as_slice);
        let fits = |branch: &&Branch| branch.tests.iter().all(|test| test.holds(&call.arguments));
        branches.iter().find(fits).map_or(rules.default, |branch| branch.verdict)
    }

    /// Numbers that come again in each run (a linear congruential generator, Knuth's).
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, end: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (self.0 >> 33) % end
        }

        fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
            all[self.below(all.len() as u64) as usize]
        }
    }

    /// Values of which some differ in one half only.
    const VALUES: [u64; 10] = [
        0,
        1,
        40,
        u32::MAX as u64,
        1 << 32,
        (1 << 32) + 40,
        40 << 32,
        1 << 63,
        u64::MAX - 1,
        u64::MAX,
    ];

    fn branch(numbers: &mut Numbers) -> Branch {
        let verdicts = [Verdict::ALLOW, Verdict::errno(1), Verdict::errno(97)];
        let mut tests = Vec::new();
        for argument in 0..6 {
            if numbers.below(3) == 0 {
                let (value, more) = (numbers.one_of(&VALUES), numbers.one_of(&VALUES));
                let condition = numbers.one_of(&[
                    Condition::NotEqual,
                    Condition::Less,
                    Condition::AtMost,
                    Condition::Equal,
                    Condition::AtLeast,
                    Condition::Greater,
                    Condition::Masked(value | more),
                    Condition::Masked(0x7e02_0000),
                ]);
                tests.push(Test { argument, condition, value });
            }
        }
        Branch { tests, verdict: numbers.one_of(&verdicts) }
    }

    #[test]
    fn a_filter_decides_what_its_rules_say() {
        let mut numbers = Numbers(2026);
        for round in 0..300 {
            let machine = numbers.one_of(&[Machine::X86_64, Machine::Aarch64]);
            let mut rules = Rules { machine, default: Verdict::NOT_THERE, calls: Vec::new() };
            // From none to so many that jumps are far.
            for _ in 0..round {
                let number = numbers.below(460) as u32;
                rules.add(number, branch(&mut numbers));
            }
            let code = compile(&rules);
            for _ in 0..2000 {
                let mut arguments = [0; 6];
                arguments.fill_with(|| numbers.one_of(&VALUES));
                let number = numbers.below(470) as u32 | numbers.one_of(&[0, 0, 0, 0x4000_0000]);
                let architecture = numbers.one_of(&[0xc000_003e, 0xc000_00b7, 0x4000_0003]);
                let call = Call { number, architecture, arguments };
                assert_eq!(walk(&code, &call).1, said(&rules, &call), "{call:x?} {rules:x?}");
            }
        }
    }

    #[test]
    fn every_filter_ends() {
        let mut numbers = Numbers(11);
        let mut rules =
            Rules { machine: Machine::X86_64, default: Verdict::NOT_THERE, calls: Vec::new() };
        for number in 0..400 {
            rules.add(number, branch(&mut numbers));
        }
        let code = compile(&rules);
        for (at, instruction) in code.iter().enumerate() {
            let furthest = match *instruction {
                Instruction::Jump(distance) => distance as usize,
                Instruction::If { then, other, .. } => usize::from(then.max(other)),
                Instruction::Return(_) => continue,
                _ => 0,
            };
            // The kernel asks for this, and refuses a program that could run past its end.
            assert!(at + 1 + furthest < code.len(), "{at}: {instruction:?}");
        }
    }
}
