//! Hostile and odd images: each is pulled, or run, by root and by an ordinary user, and has the fate
//! that was written down for it. Nothing outside its root filesystem may change.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::engine;
use super::measured::{Run, adopt_orphans};
use super::outside::Outside;
use crate::checks::engine::{Outcome, set_patience};
use crate::checks::failure::{Failure, Verdict, require};
use crate::checks::images::home::PLACE;
use crate::checks::images::image::digest;
use crate::checks::images::umoci::by_umoci;
use crate::checks::images::{Home, Image, Shelf, Tree};
use crate::checks::{Caller, draw};

mod case;
mod documents;
mod headers;
mod kinds;
mod large;
mod names;
mod packed;
mod runs;
mod spellings;
mod writers;

use case::{Case, Fate, Offer};

/// How long one may take; a large one, so many times as long.
const TIME: Duration = Duration::from_secs(60);
const TIMES_IF_LARGE: u32 = 10;

/// Cases of a sample, each by one caller that is drawn.
const SAMPLE: u32 = 12;

/// All cases, in the order of the table.
fn cases() -> Vec<Case> {
    [
        names::cases(),
        kinds::cases(),
        headers::cases(),
        writers::cases(),
        packed::cases(),
        documents::cases(),
        spellings::cases(),
        runs::cases(),
        large::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The table.
pub fn run() -> Result<String, Failure> {
    let cases = cases();
    let mut place = Measures::default();
    for caller in [Caller::Root, Caller::Ada] {
        let all: Vec<&Case> = cases.iter().collect();
        put_to_test(&all, caller, &mut place)?;
    }
    place.tell();
    let row = |case: &Case| format!("| {} | {} |\n", case.what, case.verdict());
    Ok("| image | what becomes of it |\n|---|---|\n".to_string()
        + &cases.iter().map(row).collect::<String>())
}

/// Some of it.
pub fn sample() -> Result<String, Failure> {
    let seed = draw::new_seed();
    draw::set_seed(seed);
    let cases = cases();
    let small: Vec<&Case> = cases.iter().filter(|case| !case.is_large).collect();
    let stride = small.len() as u32 / SAMPLE;
    let some: Vec<&Case> = draw::some_of(small.into_iter(), stride).collect();
    let caller = if draw::number("caller", 0..=1) == 0 { Caller::Root } else { Caller::Ada };
    put_to_test(&some, caller, &mut Measures::default())?;
    let count = some.len();
    Ok(format!("images: {count} of {} as {caller:?} have their fate (seed {seed})\n", cases.len()))
}

/// What the runs have taken.
#[derive(Default)]
struct Measures {
    runs: usize,
    most_memory: (u64, &'static str),
    longest: (Duration, &'static str),
    /// What umoci makes of an image, for the next caller.
    trees: HashMap<&'static str, Tree>,
}

impl Measures {
    fn take(&mut self, case: &Case, run: &Run) {
        self.runs += 1;
        self.most_memory = self.most_memory.max((run.peak, case.what));
        self.longest = self.longest.max((run.time, case.what));
    }

    /// What umoci makes of an image.
    fn umocis(&mut self, what: &'static str, image: &Image) -> Result<Tree, Failure> {
        if !self.trees.contains_key(what) {
            self.trees.insert(what, by_umoci(image, "umoci/case")?);
        }
        Ok(self.trees[what].clone())
    }

    /// To standard error: they are others each time.
    fn tell(&self) {
        let Measures { runs, most_memory: (peak, large), longest: (time, long), .. } = self;
        eprintln!("{runs} runs; at most {peak} MiB ({large}) and {time:.1?} ({long})");
    }
}

/// Tries each of them, as one caller.
fn put_to_test(cases: &[&Case], caller: Caller, measures: &mut Measures) -> Verdict {
    adopt_orphans()?;
    let (step7, step8) = (engine(7, caller)?, engine(8, caller)?);
    let homes = [Home::new(&step7)?, Home::new(&step8)?];
    for home in &homes {
        home.make_directory("store")?;
    }
    let umoci = Path::new(PLACE).join("umoci");
    fs::create_dir_all(&umoci)?;
    victim(caller)?;
    let stores = homes.each_ref().map(Home::store);
    let left_out = [stores[0].as_path(), &stores[1], &umoci];
    // A change stays, as its file's time of change does: so one look at all of it, in the end, sees
    // what any image has done; and one at where the attacks aim sees which image it was.
    let everything = Outside::of(&[Path::new("/")], &left_out)?;
    let count = everything.count();
    require(count > 10_000, "the survey", "thousands of files outside", count)?;
    let aims = AIMS.map(Path::new);
    let mut near = Outside::of(&aims, &left_out)?;
    let mut failures = Vec::new();
    for case in cases {
        let is_run = usize::from(case.runs.is_some());
        let (home, store) = (&homes[is_run], &stores[is_run]);
        let tried = format!("{} ({caller:?})", case.what);
        // umoci, which is slow, is waited for three times as long.
        set_patience(if case.is_large { 200 } else { 20 });
        let verdict = try_one(case, caller, home, store, measures);
        let verdict = near.is_unchanged(&tried).and(verdict);
        if let Err(Failure { tried: line, expected, seen }) = verdict {
            let failure = Failure::new(format!("{tried}: {line}"), expected, seen);
            eprintln!("{failure}");
            failures.push(failure);
            // One failure says nothing about the next image.
            near = Outside::of(&aims, &left_out)?;
        }
        empty(store)?;
    }
    if let Err(failure) = everything.is_unchanged(&format!("all images ({caller:?})")) {
        eprintln!("{failure}");
        failures.push(failure);
    }
    fs::remove_dir_all(VICTIM)?;
    for home in homes {
        empty(&home.store())?;
    }
    let count = failures.len();
    require(failures.is_empty(), "all images", "no failure", format!("{count}, see above"))
}

/// A directory that anybody may change, with a file that anybody may write to: where the attacks aim.
pub const VICTIM: &str = "/tmp/victim";

/// What an image could hit first.
const AIMS: [&str; 4] = ["/tmp", "/run", "/etc", "/scratch"];

fn victim(caller: Caller) -> io::Result<()> {
    use std::os::unix::fs::lchown;
    let _ = fs::remove_dir_all(VICTIM);
    fs::create_dir(VICTIM)?;
    let file = Path::new(VICTIM).join("secret");
    fs::write(&file, "secret")?;
    [Path::new(VICTIM), &file]
        .iter()
        .try_for_each(|path| lchown(path, Some(caller.id()), Some(caller.id())))
}

/// Empties a directory, however deep and forbidding what is in it may be.
fn empty(directory: &Path) -> Verdict {
    let mut rm = Command::new("/usr/bin/find");
    rm.arg(directory).args(["-mindepth", "1", "-delete"]);
    Outcome::of(rm, b"")?.ends_with(0).map(drop)
}

/// Puts one image to the test.
fn try_one(
    case: &Case,
    caller: Caller,
    home: &Home,
    store: &Path,
    measures: &mut Measures,
) -> Verdict {
    let shelf = Shelf::at("127.0.0.1")?;
    let fate = match caller {
        Caller::Ada => case.for_ada.unwrap_or(case.fate),
        Caller::Root => case.fate,
    };
    let mut expected = None;
    match (case.offer)() {
        Offer::Image(image) => {
            if let Fate::LikeUmoci = fate {
                expected = Some(measures.umocis(case.what, &image)?);
            }
            shelf.put(*image);
        }
        Offer::Shelf(fill) => fill(&shelf),
    }
    let name = shelf.name();
    let command = match case.runs {
        Some(args) => {
            // Quietly: then the line of `run` is the only one. What is refused here is refused there.
            Outcome::of(home.pull(&[&name]), b"")?;
            home.image(&name, args)
        }
        None => home.pull(&[&name]),
    };
    let most = if case.is_large { TIME * TIMES_IF_LARGE } else { TIME };
    let run = Run::of(&command, caller, most)?;
    measures.take(case, &run);
    run.has_taken(most, case.memory)?;
    shelf.close();
    let outcome = &run.outcome;
    let rootfs = match fate {
        Fate::LikeUmoci | Fate::Applied(_) => Some(home.rootfs(outcome)?),
        Fate::Refused(words) => {
            outcome.ends_with(125)?.prints("")?.complains_of(&[words])?;
            None
        }
        Fate::Fails(status, words) => {
            outcome.ends_with(i32::from(status))?.prints("")?.complains_of(&[words])?;
            None
        }
        Fate::Prints(text) => {
            outcome.ends_with(0)?.prints(text)?;
            None
        }
    };
    if let (Some(rootfs), Some(expected)) = (&rootfs, expected) {
        home.is_tree(rootfs, expected, "umoci")?;
    }
    if let (Some(rootfs), Fate::Applied(holds)) = (&rootfs, fate) {
        require(holds(rootfs)?, &outcome.tried, "what must be there", "something else")?;
    }
    has_no_debris(home, store, &outcome.tried, rootfs)
}

/// Requires that the store has what is whole, and nothing else.
fn has_no_debris(home: &Home, store: &Path, tried: &str, rootfs: Option<PathBuf>) -> Verdict {
    let names = |directory: &str| -> io::Result<Vec<String>> {
        let Ok(entries) = fs::read_dir(store.join(directory)) else { return Ok(Vec::new()) };
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    };
    let left = names("containers")?;
    require(left.is_empty(), tried, "nothing in containers/", left.join(", "))?;
    // What step 8 refuses to run has been pulled, and is an image.
    let (images, index) = home.images()?;
    let is_named = index.contains("\"manifests\":[{");
    let due = usize::from(is_named);
    let seen = format!("{images:?}, and the index {index}");
    require(images.len() == due, tried, "a root filesystem for each name", &seen)?;
    require(rootfs.is_none() || due == 1, tried, "an image with a name", &seen)?;
    // What has come whole of an image that was refused stays in partial/, and need not come again.
    for directory in ["images/blobs/sha256", "partial"] {
        for name in names(directory)? {
            let path = store.join(directory).join(&name);
            let right = path.is_file() && digest(&fs::read(path)?) == format!("sha256:{name}");
            let expected = format!("in {directory}/ blobs that are what their names say");
            require(right, tried, expected, name)?;
        }
    }
    Ok(())
}
