//! Which of its mistakes a program makes. This file is a crate of its own, too: every step with mistakes has it.

/// The number stands in the finished program, where `prove` and `mutants` write another one.
#[used]
pub static MARK: [u8; 35] = *b"slipway: makes mistake number  0000";

/// Its last bytes are the number's digits.
pub const DIGITS: usize = 4;

/// The mistake's number; 0: none is made.
pub fn number() -> usize {
    // The compiler has to look: it would take what stands above for true.
    let digits = &std::hint::black_box(&MARK)[MARK.len() - DIGITS..];
    digits.iter().fold(0, |number, digit| 10 * number + usize::from(digit - b'0'))
}
