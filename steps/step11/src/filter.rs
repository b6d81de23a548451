//! The filter: a program for the kernel's smallest machine, which knows no way back. We need one of its
//! registers (seccomp(2), linux/filter.h). The kernel runs the filter before each system call.

use nix::libc::{self, sock_filter};

use crate::calls::Machine;
use crate::verdict::{Branch, Condition, Rules, Test, Verdict};
use Compare::{AtLeast, Equal, Greater};
use Instruction::{And, If, Jump, Load, Return};

/// The most instructions that the kernel takes (BPF_MAXINSNS).
pub const MOST: usize = 4096;

/// Where struct seccomp_data has what a filter can read.
pub const NUMBER: u32 = 0;
pub const ARCHITECTURE: u32 = 4;
pub const ARGUMENTS: u32 = 16;

/// Calls of x32 have this bit in their number: the same machine and the same calls, but numbers that
/// no list of ours has.
const X32: u32 = 0x4000_0000;

/// One instruction. Jumps lead forward only, by so many instructions: therefore every filter ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instruction {
    /// Puts 32 bits of struct seccomp_data into the register.
    Load(u32),
    /// Leaves of the register what the mask has.
    And(u32),
    Jump(u32),
    /// Compares the register with `value`, and skips `then` or `other` instructions.
    If {
        compare: Compare,
        value: u32,
        then: u8,
        other: u8,
    },
    Return(Verdict),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    Equal,
    Greater,
    AtLeast,
}

/// The program that decides by these rules.
pub fn compile(rules: &Rules) -> Vec<Instruction> {
    let mut code = vec![
        Load(ARCHITECTURE),
        // A number means another call on another machine, and a process can change machines (int 0x80).
        If { compare: Equal, value: rules.machine.audit_arch(), then: 1, other: 0 },
        Return(Verdict::KILL_PROCESS),
        Load(NUMBER),
    ];
    if rules.machine == Machine::X86_64 {
        code.push(If { compare: AtLeast, value: X32, then: 0, other: 1 });
        code.push(Return(Verdict::NOT_THERE));
    }
    code.extend(search(&ranges(rules), rules.default));
    code
}

/// Calls from this number up to the next range's, which all have the same fate.
struct Range<'a> {
    first: u32,
    branches: &'a [Branch],
}

/// The numbers from 0 on, divided where the fate changes.
fn ranges(rules: &Rules) -> Vec<Range<'_>> {
    let mut ranges: Vec<Range> = Vec::new();
    // Behind the last call comes what no kernel has.
    for (first, branches) in (0..).zip(rules.calls.iter().map(Vec::as_slice).chain([&[][..]])) {
        if ranges.last().is_none_or(|last| last.branches != branches) {
            ranges.push(Range { first, branches });
        }
    }
    ranges
}

/// Looks for the number in the register. Each comparison halves what is left, so a few hundred calls
/// take nine.
fn search(ranges: &[Range], default: Verdict) -> Vec<Instruction> {
    if let [range] = ranges {
        return fate(range.branches, default);
    }
    let (low, high) = ranges.split_at(ranges.len() / 2);
    let first = high[0].first;
    let (low, high) = (search(low, default), search(high, default));
    let mut code = match u8::try_from(low.len()) {
        Ok(then) => vec![If { compare: AtLeast, value: first, then, other: 0 }],
        // Too far for the eight bits of an `If`.
        Err(_) => {
            vec![If { compare: AtLeast, value: first, then: 0, other: 1 }, Jump(low.len() as u32)]
        }
    };
    code.extend(low);
    code.extend(high);
    code
}

/// What becomes of one call: the first branch whose tests all hold says it.
fn fate(branches: &[Branch], default: Verdict) -> Vec<Instruction> {
    let mut code = Vec::new();
    for branch in branches {
        let mut rest = vec![Return(branch.verdict)];
        // From the end on: a test that fails skips all that comes after it in its branch.
        for test in branch.tests.iter().rev() {
            let mut tested = check(*test, rest.len() as u8);
            tested.append(&mut rest);
            rest = tested;
        }
        code.append(&mut rest);
        if branch.tests.is_empty() {
            return code;
        }
    }
    code.push(Return(default));
    code
}

/// Tests an argument, which has 64 bits, with a register that has 32: first its upper half, then its
/// lower one. Goes on behind itself if the test holds, else skips `rest` instructions more.
fn check(test: Test, rest: u8) -> Vec<Instruction> {
    let low = ARGUMENTS + 8 * test.argument;
    let high = low + 4;
    let [upper, lower] = halves(test.value);
    match test.condition {
        Condition::Masked(mask) => {
            let [upper_mask, lower_mask] = halves(mask);
            let lower_half = [
                Load(low),
                And(lower_mask),
                If { compare: Equal, value: lower, then: 0, other: rest },
            ];
            if (upper_mask, upper) == (0, 0) {
                return lower_half.into();
            }
            let upper_half = [
                Load(high),
                And(upper_mask),
                If { compare: Equal, value: upper, then: 0, other: rest + 3 },
            ];
            [upper_half, lower_half].concat()
        }
        Condition::Equal => vec![
            Load(high),
            If { compare: Equal, value: upper, then: 0, other: rest + 2 },
            Load(low),
            If { compare: Equal, value: lower, then: 0, other: rest },
        ],
        Condition::NotEqual => vec![
            Load(high),
            If { compare: Equal, value: upper, then: 0, other: 2 },
            Load(low),
            If { compare: Equal, value: lower, then: rest, other: 0 },
        ],
        Condition::AtLeast => ordered(high, upper, low, lower, AtLeast, rest, true),
        Condition::Greater => ordered(high, upper, low, lower, Greater, rest, true),
        Condition::Less => ordered(high, upper, low, lower, AtLeast, rest, false),
        Condition::AtMost => ordered(high, upper, low, lower, Greater, rest, false),
    }
}

/// The upper halves decide, unless they are equal: then the lower ones do.
fn ordered(
    high: u32,
    upper: u32,
    low: u32,
    lower: u32,
    compare: Compare,
    rest: u8,
    wanted: bool,
) -> Vec<Instruction> {
    let (above, below) = if wanted { (0, rest) } else { (rest, 0) };
    vec![
        Load(high),
        If { compare: Greater, value: upper, then: above + 3, other: 0 },
        If { compare: Equal, value: upper, then: 0, other: below + 2 },
        Load(low),
        If { compare, value: lower, then: above, other: below },
    ]
}

/// The upper 32 bits, and the lower ones.
pub fn halves(value: u64) -> [u32; 2] {
    [(value >> 32) as u32, value as u32]
}

impl Instruction {
    /// As the kernel reads it.
    pub fn encode(self) -> sock_filter {
        let (code, jt, jf, k) = match self {
            Load(offset) => (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, offset),
            And(mask) => (libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0, 0, mask),
            Jump(distance) => (libc::BPF_JMP | libc::BPF_JA, 0, 0, distance),
            Return(verdict) => (libc::BPF_RET | libc::BPF_K, 0, 0, verdict.0),
            If { compare, value, then, other } => {
                let compare = match compare {
                    Equal => libc::BPF_JEQ,
                    Greater => libc::BPF_JGT,
                    AtLeast => libc::BPF_JGE,
                };
                (libc::BPF_JMP | compare | libc::BPF_K, then, other, value)
            }
        };
        sock_filter { code: code as u16, jt, jf, k }
    }
}
