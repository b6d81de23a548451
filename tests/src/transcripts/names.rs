//! What differs from run to run in a transcript, and what does not.

use std::collections::BTreeMap;

/// A shorter word may be another one of the transcript by chance.
const LONG: usize = 6;

/// A word of a transcript that another run may have another one for.
#[derive(Clone, Debug, PartialEq)]
pub struct Varying {
    pub word: String,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// `4711`: another word.
    Other,
    /// `b1297adf77b8…`: it begins so.
    Start,
    /// `~2000`: a number within a fifth of this one.
    About,
}

impl From<&str> for Varying {
    fn from(text: &str) -> Varying {
        let (word, kind) = match (text.strip_prefix('~'), text.strip_suffix('…')) {
            (Some(number), _) => (number, Kind::About),
            (_, Some(start)) => (start, Kind::Start),
            _ => (text, Kind::Other),
        };
        Varying { word: word.into(), kind }
    }
}

impl Varying {
    /// Where it stands at the start of `text`, its length there. `before` is what stands before that.
    fn at(&self, before: Option<char>, text: &str) -> Option<usize> {
        let rest = text.strip_prefix(&self.word)?;
        let more = rest.find(|next: char| !next.is_alphanumeric()).unwrap_or(rest.len());
        let whole = more == 0 || self.kind == Kind::Start;
        let begins = before.is_none_or(|last| !last.is_alphanumeric());
        (begins && whole).then_some(self.word.len() + more)
    }

    pub fn is_in(&self, line: &str) -> bool {
        let before = |at: usize| line[..at].chars().next_back();
        line.char_indices().any(|(at, _)| self.at(before(at), &line[at..]).is_some())
    }
}

/// Which words a run has for the varying ones of the book. It is one for each, wherever it is shown.
#[derive(Clone, Debug, Default)]
pub struct Names {
    seen: BTreeMap<String, String>,
}

impl Names {
    /// Whether a run's lines are the transcript's but for what varies. `shown` is all that the transcript shows: a word
    /// that varies must not become another one of these.
    pub fn agree(
        &mut self,
        expected: &str,
        seen: &str,
        varies: &[Varying],
        shown: &[&str],
    ) -> bool {
        let mut names = self.clone();
        let agree = names.line(expected, seen, varies, shown);
        if agree {
            *self = names;
        }
        agree
    }

    fn line(&mut self, expected: &str, mut seen: &str, varies: &[Varying], shown: &[&str]) -> bool {
        let mut before = None;
        let mut rest = expected;
        while let Some(next) = rest.chars().next() {
            let varying = varies.iter().find_map(|one| Some((one, one.at(before, rest)?)));
            let (expected_length, seen_length) = match varying {
                None if seen.starts_with(next) => (next.len_utf8(), next.len_utf8()),
                None => return false,
                Some((varying, length)) => {
                    let Some(other) = alike(&rest[..length], seen) else { return false };
                    if !self.take(varying, &rest[..length], &seen[..other], varies, shown) {
                        return false;
                    }
                    (length, other)
                }
            };
            before = rest[..expected_length].chars().next_back();
            (rest, seen) = (&rest[expected_length..], &seen[seen_length..]);
        }
        seen.is_empty()
    }

    /// Notes that the run has `seen` where the book has `word`; false if it cannot be.
    fn take(
        &mut self,
        varying: &Varying,
        word: &str,
        seen: &str,
        varies: &[Varying],
        shown: &[&str],
    ) -> bool {
        if varying.kind == Kind::About {
            let numbers = word.parse::<f64>().ok().zip(seen.parse::<f64>().ok());
            return numbers.is_some_and(|(word, seen)| (seen - word).abs() <= word / 5.0);
        }
        let length = varying.word.len();
        let starts = |one: &str, other: &str| {
            let least = one.len().min(other.len());
            one.get(..least) == other.get(..least)
        };
        // A long and a short form of one digest.
        let same = |one: &str, other: &str| match varying.kind {
            Kind::Start => starts(one, other),
            _ => one == other,
        };
        let unique = self
            .seen
            .iter()
            .filter(|(name, _)| name.get(..length) == word.get(..length))
            .all(|(name, other)| same(name, word) == same(other, seen));
        let stays = Varying { word: seen.into(), kind: Kind::Other };
        let fixed = word != seen
            && seen.len() >= LONG
            && !varies.iter().any(|one| one.word == seen)
            && shown.iter().any(|line| stays.is_in(line));
        self.seen.insert(word.into(), seen.into());
        unique && !fixed
    }
}

/// The length of what `seen` begins with, if it is of the word's kind: as many digits as there are for a number, as many
/// letters and digits for another word, and what is neither as it is.
fn alike(word: &str, seen: &str) -> Option<usize> {
    let mut length = 0;
    let mut rest = word;
    while !rest.is_empty() {
        let other = &seen[length..];
        let run = |text: &str| {
            text.find(|next: char| !next.is_ascii_alphanumeric()).unwrap_or(text.len())
        };
        let (wanted, found) = (run(rest), run(other));
        let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if wanted == 0 {
            let sign = rest.chars().next()?;
            other.strip_prefix(sign)?;
            (rest, length) = (&rest[sign.len_utf8()..], length + sign.len_utf8());
            continue;
        }
        let alike = if number(&rest[..wanted]) { number(&other[..found]) } else { found == wanted };
        if found == 0 || !alike {
            return None;
        }
        (rest, length) = (&rest[wanted..], length + found);
    }
    Some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agree(names: &mut Names, expected: &str, seen: &str, varies: &str, shown: &[&str]) -> bool {
        let varies: Vec<Varying> = varies.split_whitespace().map(Varying::from).collect();
        names.agree(expected, seen, &varies, shown)
    }

    #[test]
    fn only_what_varies_may_differ() {
        let mut names = Names::default();
        assert!(agree(&mut names, "uts:[402] of 402", "uts:[7] of 7", "402", &[]));
        for (expected, seen, varies) in [
            ("uts:[402]", "uts:[403]", "401"),
            ("uts:[402]", "uts:[40x]", "402"),
            ("uts:[402]", "uts:[]", "402"),
            ("uts:[402]", "uts:[403] ", "402"),
            ("uts:[402]", "mnt:[403]", "402"),
            ("1402", "1403", "402"),
        ] {
            assert!(
                !agree(&mut Names::default(), expected, seen, varies, &[]),
                "{expected} {seen}"
            );
        }
    }

    #[test]
    fn one_word_has_one_name_in_the_whole_chapter() {
        let mut names = Names::default();
        assert!(agree(&mut names, "pid 402", "pid 7", "402", &[]));
        assert!(!agree(&mut names, "pid 402", "pid 8", "402", &[]));
        assert!(agree(&mut names, "pid 402", "pid 7", "402", &[]));
    }

    #[test]
    fn it_is_no_other_word_of_the_transcript() {
        let shown = ["uts:[4000000]", "uts:[4000002]", "uts:[4000000]"];
        let agree = |seen| agree(&mut Names::default(), "uts:[4000002]", seen, "4000002", &shown);
        assert!(!agree("uts:[4000000]"));
        assert!(agree("uts:[4000001]"));
    }

    #[test]
    fn a_digest_has_a_short_form() {
        let mut names = Names::default();
        assert!(agree(&mut names, "layer b129", "layer cafe", "b129…", &[]));
        assert!(agree(&mut names, "sha256:b129ad", "sha256:cafe01", "b129…", &[]));
        assert!(!agree(&mut names, "sha256:b129ad", "sha256:beef01", "b129…", &[]));
        assert!(!agree(&mut names, "layer b129", "layer cafe0", "b129…", &[]));
    }

    #[test]
    fn a_number_may_be_about_another() {
        for (seen, expected) in [("1700", true), ("2400", true), ("1500", false), ("2500", false)] {
            assert_eq!(
                agree(&mut Names::default(), "usec 2000", &format!("usec {seen}"), "~2000", &[]),
                expected
            );
        }
    }

    #[test]
    fn a_date_keeps_its_form() {
        let agree = |seen| {
            agree(&mut Names::default(), "0 2026-11-21 13:09 a", seen, "2026-11-21 13:09", &[])
        };
        assert!(agree("0 1999-01-02 0:59 a"));
        assert!(!agree("0 1999-01 0:59 a"));
    }
}
