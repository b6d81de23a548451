//! Builds the book from book/src. Code and output in it come from the steps and from the checks'
//! snapshots, by name: a name that is not there, or not only once, is an error.

mod bench;
mod count;
mod coverage;
mod directives;
mod drawing;
mod explained;
mod figures;
mod highlight;
mod links;
mod listing;
mod picture;
mod prose;
mod source_pages;
mod table;
mod transcript;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use mdbook_driver::MDBook;
use pages::Pages;

use directives::Directives;
use sources::Sources;

/// Builds the book in target/book
#[derive(Parser)]
#[command(version)]
struct Options {
    /// Only check that each chapter shows every line that its step adds, and explains its system calls; and that the
    /// text keeps its limits
    #[arg(long)]
    check: bool,

    /// Only count the words and marks of the text on each page, and hold them to their limits
    #[arg(long, conflicts_with = "check")]
    prose: bool,

    /// Only make the README's moving picture anew, from the recording of the introduction's transcript
    #[arg(long, conflicts_with_all = ["check", "prose"])]
    picture: bool,

    /// Open it in a browser
    #[arg(long, conflicts_with_all = ["check", "prose", "picture"])]
    open: bool,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(status) => status,
        Err(error) => {
            eprintln!("book: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<ExitCode> {
    let book = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let checkout = book.join("..").canonicalize()?;
    let sources = Sources::read(&checkout)?;
    let pages = Pages::read(&book.join("src"))?;
    if options.prose {
        let prose = prose::Prose::of(&pages, &checkout)?;
        print!("{prose}");
        return Ok(told(&prose.wrong()));
    }
    let wrong = explained::check(&pages);
    if options.check {
        let coverage = coverage::Coverage::of(&pages, &sources)?;
        print!("{coverage}");
        let status = told(&[wrong, prose::Prose::of(&pages, &checkout)?.wrong()].concat());
        return Ok(if coverage.is_whole() { status } else { ExitCode::FAILURE });
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    picture(&checkout, options.picture)?;
    if options.picture {
        return Ok(ExitCode::SUCCESS);
    }
    let mut driver = MDBook::load(&book).context("load the book")?;
    let directives = Directives::new(sources.clone(), pages.clone(), checkout.clone());
    driver.with_preprocessor(directives);
    driver.build().context("build the book")?;
    let built = driver.build_dir_for("html").canonicalize()?;
    source_pages::write(&sources, &pages, &checkout, &built)?;
    links::check(&built)?;
    let first = built.join("index.html");
    println!("{}", first.display());
    if options.open && opener::open(&first).is_err() {
        println!("There is no browser here to open it with.");
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints what is wrong.
fn told(wrong: &[String]) -> ExitCode {
    for line in wrong {
        println!("{line}");
    }
    if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Holds the README's moving picture to its recording, or makes it anew.
fn picture(checkout: &Path, anew: bool) -> Result<()> {
    let recording = checkout.join("book/recordings/introduction.cast");
    let text = fs::read_to_string(&recording).with_context(|| format!("read {recording:?}"))?;
    let (times, lines) = transcript::parse(&text)?;
    let about = format!("What is typed, and what the terminal shows: {}", lines.join(" / "));
    let svg = picture::svg(&about, &times, &lines)?;
    let path = recording.with_extension("svg");
    if anew {
        return fs::write(&path, svg).with_context(|| format!("write {path:?}"));
    }
    ensure!(
        fs::read_to_string(&path).is_ok_and(|old| old == svg),
        "{} is not what its recording shows; `cargo run --bin book -- --picture` makes it anew",
        path.display()
    );
    Ok(())
}
