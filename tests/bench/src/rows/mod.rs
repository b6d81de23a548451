//! What is measured, and what is to be reached.

mod limits;
mod pull;
mod shared;
mod start;
mod workshop;

use crate::bench::{Bench, is_installed};
use crate::measure::Sample;

/// One line of the table: the same work, done by several programs.
pub struct Row {
    /// What one types to measure it alone.
    pub name: &'static str,
    /// The work, as the table says it.
    pub work: &'static str,
    pub needs_root: bool,
    /// How often each program does it; and how often in the short form, where 0 leaves it out.
    pub rounds: usize,
    pub short_rounds: usize,
    /// Measured only if it is named: it takes many minutes.
    pub is_slow: bool,
    pub bars: &'static [Bar],
    /// Makes what the row needs, and gives who is measured.
    pub contenders: fn(&Bench) -> Result<Vec<Contender>, String>,
}

/// Somebody who does the work.
pub struct Contender {
    pub name: &'static str,
    /// Does it once. What is made or removed before is not measured.
    pub run: Box<dyn FnMut() -> Result<Sample, String>>,
}

impl Contender {
    pub fn new(
        name: &'static str,
        run: impl FnMut() -> Result<Sample, String> + 'static,
    ) -> Contender {
        Contender { name, run: Box::new(run) }
    }
}

/// What is to be reached.
#[derive(Clone, Copy)]
pub enum Bar {
    /// `ours` takes at most so many times as long as `theirs`; less than 1 is faster.
    Ratio { ours: &'static str, theirs: &'static str, at_most: f64 },
    /// `ours` takes at most so many milliseconds longer than `theirs`.
    Above { ours: &'static str, theirs: &'static str, at_most: f64 },
    /// Milliseconds.
    Time { ours: &'static str, at_most: f64 },
    /// MiB at most in memory.
    Memory { ours: &'static str, at_most: f64 },
    /// Requests to the registry.
    Trips { ours: &'static str, at_most: f64 },
}

use Bar::{Above, Memory, Ratio, Time, Trips};

/// Of what has many parts: faster than umoci, and linear in their number.
const MANY_SMALL: &[Bar] = &[
    Ratio { ours: "step 7", theirs: "umoci", at_most: 1.0 / 3.0 },
    Ratio { ours: "step 7", theirs: "step 7, half of it", at_most: 2.4 },
];

/// All rows.
pub const ALL: &[Row] = &[
    Row {
        name: "start-4",
        work: "start `true` in a root filesystem, as root: step 4",
        needs_root: true,
        rounds: 101,
        short_rounds: 21,
        is_slow: false,
        bars: &[
            Ratio { ours: "step 4", theirs: "floor", at_most: 1.5 },
            Ratio { ours: "step 4", theirs: "runc", at_most: 0.2 },
        ],
        contenders: start::step4,
    },
    Row {
        name: "start-8",
        work: "start `true` in an image, as root: step 8",
        needs_root: true,
        rounds: 501,
        short_rounds: 21,
        is_slow: false,
        bars: &[
            Ratio { ours: "step 8", theirs: "bubblewrap", at_most: 1.0 },
            Ratio { ours: "step 8", theirs: "runc", at_most: 0.2 },
        ],
        contenders: start::step8,
    },
    Row {
        name: "start-user",
        work: "start `true` in an image, as an ordinary user: step 8",
        needs_root: false,
        rounds: 101,
        short_rounds: 21,
        is_slow: false,
        bars: &[Ratio { ours: "step 8", theirs: "bubblewrap", at_most: 1.2 }],
        contenders: start::ordinary,
    },
    Row {
        name: "limits",
        work: "start `true` with limits of memory, processors and processes, in the VM: step 6",
        needs_root: false,
        rounds: limits::ROUNDS,
        short_rounds: 0,
        is_slow: false,
        bars: &[
            Ratio { ours: "step 6", theirs: "crun", at_most: 1.0 },
            Ratio { ours: "step 6", theirs: "runc", at_most: 1.0 },
        ],
        contenders: limits::step6,
    },
    Row {
        name: "hundred",
        work: "start `true` in 100 containers at once: step 8",
        needs_root: true,
        rounds: 7,
        short_rounds: 0,
        is_slow: false,
        bars: &[
            Ratio { ours: "step 8", theirs: "runc", at_most: 0.2 },
            Ratio { ours: "step 8", theirs: "step 8, 50 of them", at_most: 2.4 },
        ],
        contenders: start::hundred,
    },
    Row {
        name: "pull",
        work: "pull and unpack about 400 MB of gzip, 860 MB of files, in three layers: step 7",
        needs_root: true,
        rounds: 3,
        short_rounds: 2,
        is_slow: false,
        bars: &[
            Ratio { ours: "step 7", theirs: "podman", at_most: 1.0 / 3.5 },
            Ratio { ours: "step 7", theirs: "floor", at_most: 1.5 },
            Memory { ours: "step 7", at_most: 64.0 },
        ],
        contenders: pull::whole,
    },
    Row {
        name: "large-layer",
        work: "pull and unpack one layer of 2 GiB: step 7",
        needs_root: true,
        rounds: 1,
        short_rounds: 0,
        is_slow: false,
        bars: &[Memory { ours: "step 7", at_most: 64.0 }],
        contenders: pull::large,
    },
    Row {
        name: "pull-again",
        work: "pull the same tag a second time: step 7",
        needs_root: true,
        rounds: 21,
        short_rounds: 11,
        is_slow: false,
        bars: &[Trips { ours: "step 7", at_most: 3.0 }, Time { ours: "step 7", at_most: 50.0 }],
        contenders: pull::again,
    },
    Row {
        name: "small-files",
        work: "unpack 100,000 small files: step 7",
        needs_root: true,
        rounds: 3,
        short_rounds: 0,
        is_slow: false,
        bars: MANY_SMALL,
        contenders: pull::small_files,
    },
    Row {
        name: "layers",
        work: "unpack 127 small layers: step 7",
        needs_root: true,
        rounds: 3,
        short_rounds: 0,
        is_slow: false,
        bars: MANY_SMALL,
        contenders: pull::layers,
    },
    Row {
        name: "start-9",
        work: "start `true` in an image of shared layers, as root: step 9",
        needs_root: true,
        rounds: 501,
        short_rounds: 21,
        is_slow: false,
        bars: &[
            Ratio { ours: "step 9", theirs: "step 8", at_most: 1.0 },
            Ratio { ours: "step 9", theirs: "bubblewrap", at_most: 1.0 },
        ],
        contenders: shared::start,
    },
    Row {
        name: "ten-on-one-base",
        work: "pull ten images that share a base of 300 MB: step 9",
        needs_root: true,
        rounds: 3,
        short_rounds: 0,
        is_slow: false,
        bars: &[
            Ratio { ours: "step 9", theirs: "podman", at_most: 1.0 },
            Ratio { ours: "step 9", theirs: "step 7", at_most: 0.5 },
        ],
        contenders: shared::ten,
    },
    Row {
        name: "layer-by-layer",
        work: "pull three layers with 50,000 files: step 9",
        needs_root: true,
        rounds: 3,
        short_rounds: 0,
        is_slow: false,
        bars: &[Ratio { ours: "step 9", theirs: "step 7", at_most: 1.1 }],
        contenders: shared::three_layers,
    },
    Row {
        name: "remove",
        work: "remove an image of 50,000 files: step 9",
        needs_root: true,
        rounds: 3,
        short_rounds: 0,
        is_slow: false,
        bars: &[Ratio { ours: "step 9", theirs: "podman", at_most: 1.0 }],
        contenders: shared::remove,
    },
    Row {
        name: "start-11",
        work: "start `true` under a filter, as root: step 11",
        needs_root: true,
        rounds: 501,
        // Few rounds can't tell tenths of a millisecond.
        short_rounds: 0,
        is_slow: false,
        bars: &[Above { ours: "step 11", theirs: "step 10", at_most: 0.3 }],
        contenders: shared::filtered,
    },
    Row {
        name: "start-12",
        work: "start `true` with ten directories of the host's, as root: step 12",
        needs_root: true,
        rounds: 201,
        short_rounds: 0,
        is_slow: false,
        bars: &[
            Above { ours: "step 12", theirs: "step 11", at_most: 0.3 },
            Above { ours: "step 12, ten mounts", theirs: "step 12", at_most: 1.0 },
        ],
        contenders: shared::mounted,
    },
    Row {
        name: "just-step",
        work: "`./just step 4` when nothing has changed, beside the step itself",
        needs_root: true,
        rounds: 11,
        short_rounds: 0,
        is_slow: false,
        bars: &[Above { ours: "./just step 4", theirs: "step 4", at_most: 500.0 }],
        contenders: workshop::just_step,
    },
    Row {
        name: "build",
        work: "build the workspace from nothing, crates already downloaded",
        needs_root: false,
        rounds: 1,
        short_rounds: 0,
        is_slow: true,
        bars: &[Time { ours: "cargo", at_most: 240_000.0 }],
        contenders: workshop::build,
    },
    Row {
        name: "verify-4",
        work: "`./just verify 4`, all built",
        needs_root: false,
        rounds: 3,
        short_rounds: 0,
        is_slow: true,
        bars: &[Time { ours: "./just verify 4", at_most: 20_000.0 }],
        contenders: workshop::verify,
    },
];

/// Peers, the Debian packages that have them, and what tells their version.
pub const PEERS: &[(&str, &str, &str)] = &[
    ("bwrap", "bubblewrap", "--version"),
    ("crun", "crun", "--version"),
    ("runc", "runc", "--version"),
    ("podman", "podman", "--version"),
    ("skopeo", "skopeo", "--version"),
    ("umoci", "umoci", "--version"),
    ("unshare", "util-linux", "--version"),
    ("igzip", "isal", "--version"),
    ("curl", "curl", "--version"),
];

/// Those of `contenders` whose programs are all installed.
fn installed(contenders: Vec<(&[&str], Contender)>) -> Vec<Contender> {
    let is_here = |programs: &[&str]| programs.iter().all(|program| is_installed(program));
    let here = contenders.into_iter().filter(|(programs, _)| is_here(programs));
    here.map(|(_, contender)| contender).collect()
}
