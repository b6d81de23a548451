//! Builds the book from book/src. Code and output in it come from the steps and from the checks'
//! snapshots, by name: a name that is not there, or not only once, is an error.

mod bench;
mod coverage;
mod directives;
mod drawing;
mod explained;
mod figures;
mod highlight;
mod links;
mod listing;
mod source_pages;
mod table;
mod transcript;

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
    /// Only check that each chapter shows every line that its step adds, and explains its system calls
    #[arg(long)]
    check: bool,

    /// Open it in a browser
    #[arg(long, conflicts_with = "check")]
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
    let wrong = explained::check(&pages);
    if options.check {
        let coverage = coverage::Coverage::of(&pages, &sources)?;
        print!("{coverage}");
        wrong.iter().for_each(|line| println!("{line}"));
        let whole = coverage.is_whole() && wrong.is_empty();
        return Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
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
