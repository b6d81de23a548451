//! `volume`: what outlives containers, and how to get rid of it.

use std::fs;
use std::mem;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use serde_json::{Value, json};
use shared::{Error, Explain, home};
use step9::table;
use step9::unpack::Unpacker;

use crate::spec;
use crate::volume::{DATA, VOLUMES, Volume};

/// The subcommands of `volume`.
#[derive(Subcommand)]
pub enum Command {
    /// Makes a volume
    Create {
        #[arg(value_name = "NAME", value_parser = spec::name)]
        name: String,
    },
    /// Shows the volumes that are here
    Ls(List),
    /// Shows all about volumes, as JSON
    Inspect {
        #[arg(value_name = "NAME", required = true)]
        names: Vec<String>,
    },
    /// Removes volumes, and the files in them
    Rm(Remove),
    /// Removes the volumes that no container uses
    Prune {
        /// All of them. Without this, nothing: a volume that has a name may be somebody's only copy
        #[arg(short, long, required = true)]
        all: bool,
    },
}

/// The options of `volume ls`.
#[derive(Args)]
pub struct List {
    /// Print the names, and nothing else
    #[arg(short, long)]
    quiet: bool,

    /// How to print: a table, or a JSON object a line
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: Format,
}

/// How to print what there is.
#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Format {
    Table,
    Json,
}

/// The options of `volume rm`.
#[derive(Args)]
pub struct Remove {
    /// No error if there is none of that name
    #[arg(short, long)]
    force: bool,

    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
}

/// The subcommand.
pub fn run(command: &Command) -> Result<u8, Error> {
    let home = home::directory()?;
    match command {
        Command::Create { name } => Volume::take(&home, name).map(|_| format!("{name}\n")),
        Command::Ls(options) => list(&home, options),
        Command::Inspect { names } => inspect(&home, names),
        Command::Rm(options) => {
            let forgive = Forgive { missing: options.force, in_use: false };
            return remove_all(&home, &options.names, &forgive);
        }
        Command::Prune { .. } => {
            let forgive = Forgive { missing: true, in_use: true };
            return remove_all(&home, &names(&home)?, &forgive);
        }
    }
    .and_then(|text| shared::print(text.as_bytes()))
    .map(|()| 0)
}

/// The names of all volumes.
fn names(home: &Path) -> Result<Vec<String>, Error> {
    let directory = home.join(VOLUMES);
    let mut names = Vec::new();
    for entry in fs::read_dir(&directory).into_iter().flatten() {
        let entry = entry.explain(format_args!("read {directory:?}"))?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// The directory of a volume that is here.
fn find(home: &Path, name: &str) -> Result<PathBuf, Error> {
    // A name is no path, so none leads out of the store.
    let directory = spec::name(name).ok().map(|name| home.join(VOLUMES).join(name));
    let directory = directory.filter(|directory| directory.is_dir());
    directory.ok_or_else(|| Error::new(format!("there is no volume {name} here (see `volume ls`)")))
}

fn list(home: &Path, options: &List) -> Result<String, Error> {
    let names = names(home)?;
    if options.quiet {
        return Ok(names.iter().map(|name| format!("{name}\n")).collect());
    }
    if options.format == Format::Json {
        let lines = names.iter().map(|name| Ok(format!("{}\n", describe(home, name)?)));
        return lines.collect();
    }
    let mut rows = vec![vec!["DRIVER".to_string(), "VOLUME NAME".to_string()]];
    rows.extend(names.into_iter().map(|name| vec!["local".into(), name]));
    Ok(table::columns(&rows))
}

fn inspect(home: &Path, names: &[String]) -> Result<String, Error> {
    let all = names.iter().map(|name| describe(home, name)).collect::<Result<Vec<_>, Error>>()?;
    let text = serde_json::to_string_pretty(&all).expect("it is plain data");
    Ok(text + "\n")
}

/// By Docker's names.
fn describe(home: &Path, name: &str) -> Result<Value, Error> {
    let directory = find(home, name)?;
    let there = fs::metadata(&directory).explain(format_args!("stat {directory:?}"))?;
    // Not all file systems remember when a file was made.
    let created = there.created().or_else(|_| there.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    let created = Timestamp::try_from(created).map(|time| time.to_string()).unwrap_or_default();
    Ok(json!({
        "Name": name,
        "Driver": "local",
        "Mountpoint": directory.join(DATA),
        "CreatedAt": created,
        "Scope": "local",
    }))
}

/// What may be wrong with a volume that is to be removed, and is no error.
struct Forgive {
    missing: bool,
    in_use: bool,
}

/// Removes volumes. After an error it goes on with the next, and fails in the end.
fn remove_all(home: &Path, names: &[String], forgive: &Forgive) -> Result<u8, Error> {
    // It has the right to remove what is another id's.
    let mut unpacker = Unpacker::start()?;
    let mut failed = Ok(0);
    for name in names {
        match remove(home, name, forgive, &mut unpacker) {
            Ok(true) => shared::print(format!("{name}\n").as_bytes())?,
            Ok(false) => {}
            Err(_) if forgive.missing && find(home, name).is_err() => {}
            Err(error) => {
                if let Err(earlier) = mem::replace(&mut failed, Err(error)) {
                    shared::note(format_args!("{}: {earlier}", env!("CARGO_PKG_NAME")));
                }
            }
        }
    }
    failed
}

/// Whether it did.
fn remove(
    home: &Path,
    name: &str,
    forgive: &Forgive,
    unpacker: &mut Unpacker,
) -> Result<bool, Error> {
    // Alone until it is gone: who wants to use it waits, and then makes a new one.
    match Volume::take_alone(find(home, name)?)? {
        Some(volume) => volume.remove(unpacker).map(|()| true),
        None if forgive.in_use => Ok(false),
        None => Err(Error::new(format!("cannot remove {name}: a container uses it"))),
    }
}
