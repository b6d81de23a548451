//! What was measured, as a text for a person and as a file for the book.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::bench::Bench;
use crate::figures::Spread;
use crate::machine::Machine;
use crate::measure::Sample;
use crate::rows::{Bar, Row};

/// So far beyond its bar the short form fails.
const FAR_OFF: f64 = 2.0;

/// What the book reads.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Record {
    pub rows: Vec<Measured>,
}

/// A row.
#[derive(Debug, Serialize, Deserialize)]
pub struct Measured {
    pub name: String,
    pub work: String,
    pub rounds: usize,
    /// Where; absent before it is recorded.
    pub machine: Option<Machine>,
    pub contenders: Vec<Figures>,
    pub bars: Vec<Outcome>,
    /// Who could not do the work, and why.
    pub failed: Vec<String>,
}

/// Who did the work, and what it took.
#[derive(Debug, Serialize, Deserialize)]
pub struct Figures {
    pub name: String,
    /// Milliseconds.
    pub wall: Spread,
    pub cpu: Spread,
    /// MiB.
    pub peak: f64,
    /// Requests, where they were counted.
    pub trips: u64,
}

/// What became of a bar.
#[derive(Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// As in "step 4 ≤ 1.5 × floor".
    pub wanted: String,
    /// None if it could not be measured.
    pub found: Option<Spread>,
    pub at_most: f64,
    /// A ratio, or a number that is the same on every machine: the short form looks at these.
    pub is_relative: bool,
}

impl Measured {
    /// Lets all do the work in turns, once each before it counts.
    pub fn measure(row: &Row, rounds: usize, bench: &Bench) -> Result<Measured, String> {
        let mut contenders = (row.contenders)(bench)?;
        let mut failed = Vec::new();
        let mut able = Vec::new();
        for mut contender in contenders.drain(..) {
            // To be warm; what takes minutes is measured the first time.
            let tried = if rounds > 1 { (contender.run)().map(drop) } else { Ok(()) };
            match tried {
                Ok(()) => able.push((contender, Vec::new())),
                Err(why) if contender.name.starts_with("step") => return Err(why),
                Err(why) => failed.push(format!("{}: {why}", contender.name)),
            }
        }
        for _ in 0..rounds {
            for (contender, samples) in &mut able {
                let sample = (contender.run)();
                samples.push(sample.map_err(|why| format!("{}: {why}", contender.name))?);
            }
        }
        let samples: Vec<(&str, Vec<Sample>)> =
            able.into_iter().map(|(contender, samples)| (contender.name, samples)).collect();
        Ok(Measured {
            name: row.name.to_string(),
            work: row.work.to_string(),
            rounds,
            machine: None,
            contenders: samples.iter().map(|(name, samples)| Figures::of(name, samples)).collect(),
            bars: row.bars.iter().map(|bar| Outcome::of(bar, &samples)).collect(),
            failed,
        })
    }

    pub fn is_far_off(&self) -> bool {
        let is_far_off = |bar: &Outcome| {
            let found = bar.found.as_ref().map_or(0.0, |found| found.median);
            bar.is_relative && found >= FAR_OFF * bar.at_most
        };
        self.bars.iter().any(is_far_off)
    }

    pub fn text(&self) -> String {
        let mut text = format!("\n{}: {} ({} rounds)\n", self.name, self.work, self.rounds);
        for Figures { name, wall, cpu, peak, trips } in &self.contenders {
            let spread = format!("{}–{}", short(wall.low), short(wall.high));
            let _ = write!(
                text,
                "  {name:<28} {:>8} ms  ({spread}), processors {:>8} ms",
                short(wall.median),
                short(cpu.median)
            );
            if *peak > 0.0 {
                let _ = write!(text, ", {peak:.1} MiB");
            }
            text += &if *trips > 0 { format!(", {trips} requests\n") } else { "\n".to_string() };
        }
        for failed in &self.failed {
            let _ = writeln!(text, "  does not run here: {failed}");
        }
        for Outcome { wanted, found, at_most, .. } in &self.bars {
            let outcome = match found {
                None => "not measured".to_string(),
                Some(found) => {
                    let numbers = format!(
                        "{} ({}–{})",
                        short(found.median),
                        short(found.low),
                        short(found.high)
                    );
                    if found.median <= *at_most {
                        format!("{numbers}  reached")
                    } else {
                        format!(
                            "{numbers}  MISSED by {:.0} %",
                            (found.median / at_most - 1.0) * 1e2
                        )
                    }
                }
            };
            let _ = writeln!(text, "  {wanted:<44} {outcome}");
        }
        text
    }
}

impl Figures {
    fn of(name: &str, samples: &[Sample]) -> Figures {
        let spread = |value: fn(&Sample) -> f64| {
            Spread::of(samples.iter().map(value)).expect("there is a round at least")
        };
        Figures {
            name: name.to_string(),
            wall: spread(|sample| sample.wall),
            cpu: spread(|sample| sample.cpu),
            peak: spread(|sample| sample.peak as f64 / 1024.0).median,
            trips: spread(|sample| sample.trips as f64).median as u64,
        }
    }
}

impl Outcome {
    fn of(bar: &Bar, samples: &[(&str, Vec<Sample>)]) -> Outcome {
        let values = |who: &str, value: fn(&Sample) -> f64| {
            let (_, samples) = samples.iter().find(|(name, _)| *name == who)?;
            Some(samples.iter().map(value).collect::<Vec<f64>>())
        };
        let one = |who, value| values(who, value).and_then(Spread::of);
        let wall = |sample: &Sample| sample.wall;
        let (wanted, found, at_most) = match *bar {
            Bar::Ratio { ours, theirs, at_most } => {
                let both = values(ours, wall).zip(values(theirs, wall));
                let found = both.and_then(|(ours, theirs)| Spread::of_ratios(&ours, &theirs));
                (format!("{ours} ≤ {} × {theirs}", short(at_most)), found, at_most)
            }
            Bar::Above { ours, theirs, at_most } => {
                let both = values(ours, wall).zip(values(theirs, wall));
                let more = both.map(|(ours, theirs)| {
                    ours.into_iter().zip(theirs).map(|(ours, theirs)| ours - theirs)
                });
                (format!("{ours} ≤ {theirs} + {at_most} ms"), more.and_then(Spread::of), at_most)
            }
            Bar::Time { ours, at_most } => {
                (format!("{ours} ≤ {at_most} ms"), one(ours, wall), at_most)
            }
            Bar::Memory { ours, at_most } => {
                let found = one(ours, |sample| sample.peak as f64 / 1024.0);
                (format!("{ours} ≤ {at_most} MiB"), found, at_most)
            }
            Bar::Trips { ours, at_most } => {
                let found = one(ours, |sample| sample.trips as f64);
                (format!("{ours} ≤ {at_most} requests"), found, at_most)
            }
        };
        let is_relative = !matches!(bar, Bar::Time { .. } | Bar::Above { .. });
        Outcome { wanted, found, at_most, is_relative }
    }
}

impl Record {
    /// Puts rows into the file, in place of older ones of their names.
    pub fn add(path: &Path, machine: Machine, rows: Vec<Measured>) -> Result<(), String> {
        let fail = |error: String| format!("cannot keep the figures in {path:?}: {error}");
        let mut record = match fs::read(path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| fail(error.to_string()))?,
            Err(_) => Record::default(),
        };
        for mut row in rows {
            row.machine = Some(machine.clone());
            record.rows.retain(|old| old.name != row.name);
            record.rows.push(row);
        }
        let place = |name: &str| crate::rows::ALL.iter().position(|row| row.name == name);
        record.rows.sort_by_key(|row| place(&row.name));
        let text = serde_json::to_string_pretty(&record).expect("it is plain data") + "\n";
        fs::write(path, text).map_err(|error| fail(error.to_string()))
    }
}

/// Where and beside what, in two lines.
pub fn head(machine: &Machine) -> String {
    let Machine { date, processor, cores, memory_mib, kernel, filesystem, peers } = machine;
    format!(
        "{date}, {processor}, {cores} cores, {} GiB, Linux {kernel}, {filesystem}\nbeside {}",
        memory_mib.div_ceil(1024),
        peers.join(", ")
    )
}

/// Three digits.
fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_string(),
        ..9.995 => format!("{value:.2}"),
        ..99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(bar: Bar, ours: f64, theirs: f64) -> Measured {
        let sample = |wall: f64| vec![Sample { wall, ..Sample::default() }; 3];
        let samples = [("ours", sample(ours)), ("theirs", sample(theirs))];
        Measured {
            name: "row".into(),
            work: "some work".into(),
            rounds: 3,
            machine: None,
            contenders: samples.iter().map(|(name, samples)| Figures::of(name, samples)).collect(),
            bars: vec![Outcome::of(&bar, &samples)],
            failed: Vec::new(),
        }
    }

    #[test]
    fn only_a_ratio_twice_its_bar_is_far_off() {
        let ratio =
            |ours| row(Bar::Ratio { ours: "ours", theirs: "theirs", at_most: 1.5 }, ours, 10.0);
        assert!(ratio(15.0).text().contains("1.50 (1.50–1.50)  reached"));
        assert!(ratio(29.0).text().contains("MISSED by 93 %"), "{}", ratio(29.0).text());
        assert!(!ratio(29.0).is_far_off());
        assert!(ratio(30.0).is_far_off());
        let time = row(Bar::Time { ours: "ours", at_most: 1.0 }, 1000.0, 1.0);
        assert!(!time.is_far_off(), "an absolute time says more of the machine");
    }

    #[test]
    fn what_was_not_measured_is_not_reached() {
        let absent = row(Bar::Ratio { ours: "ours", theirs: "nobody", at_most: 1.0 }, 1.0, 1.0);
        assert!(absent.text().contains("not measured"), "{}", absent.text());
    }
}
