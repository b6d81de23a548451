//! What the checks put in is drawn anew for each run, so that no answer can be typed in. All of it
//! comes from one seed, with which a run can be repeated.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use fastrand::Rng;

static SEED: AtomicU64 = AtomicU64::new(0);
static SPARING: AtomicBool = AtomicBool::new(false);

/// Sets the seed, before the first check.
pub fn set_seed(seed: u64) {
    SEED.store(seed, Ordering::Relaxed);
}

/// Sets that of many runs of one kind some will do: somebody waits for the answer.
pub fn set_sparing(sparing: bool) {
    SPARING.store(sparing, Ordering::Relaxed);
}

/// Whether some will do.
pub fn is_sparing() -> bool {
    SPARING.load(Ordering::Relaxed)
}

/// One in `stride` of these, from the first that is drawn.
pub fn some_of<T>(all: impl Iterator<Item = T>, stride: u32) -> impl Iterator<Item = T> {
    let first = number(&format!("one in {stride}"), 0..=stride - 1);
    all.skip(first as usize).step_by(stride as usize)
}

/// A seed that fits on a command line.
pub fn new_seed() -> u64 {
    fastrand::u64(..1_000_000)
}

/// The number that this seed gives for a purpose: always the same one.
pub fn number(purpose: &str, range: RangeInclusive<u32>) -> u32 {
    let mut hasher = DefaultHasher::new();
    (SEED.load(Ordering::Relaxed), purpose).hash(&mut hasher);
    Rng::with_seed(hasher.finish()).u32(range)
}

/// A word for a purpose: `name` and a number of five digits.
pub fn word(name: &str) -> String {
    format!("{name}-{}", number(name, 10_000..=99_999))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_and_a_purpose_give_one_number() {
        let numbers = |seed| {
            set_seed(seed);
            (0..20).map(|n| number(&n.to_string(), 0..=1_000_000)).collect::<Vec<_>>()
        };
        let (one, two, again) = (numbers(1), numbers(2), numbers(1));
        assert_eq!(one, again);
        assert!(one.iter().zip(&two).all(|(one, two)| one != two));
        assert!(one.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
