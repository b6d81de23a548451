//! `images`: what is in the store, and what of it is each image's own.

use std::collections::HashMap;
use std::time::Duration;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use reference::{Digest, Reference};
use serde_json::{Value, json};
use shared::{Error, home};
use step7::store::Store;

use crate::inventory::{self, Stored};
use crate::{layers, table};

/// What stands for a name that is not there.
const NONE: &str = "<none>";

/// The options of `images`.
#[derive(Args)]
pub struct Options {
    /// Print the ids, and nothing else
    #[arg(short, long)]
    quiet: bool,

    /// Print the manifests' digests, too
    #[arg(long)]
    digests: bool,

    /// How to print: a table, or a JSON object a line
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: Format,
}

/// How to print what there is.
#[derive(Clone, Copy, PartialEq, ValueEnum)]
pub enum Format {
    Table,
    Json,
}

/// What one line of the table says.
struct Row {
    repository: String,
    tag: String,
    id: Digest,
    manifest: Digest,
    /// None: the image's author did not say.
    created: Option<Timestamp>,
    /// Bytes of all layers.
    size: u64,
    /// Bytes of those layers that no other image has.
    own: u64,
}

/// The subcommand: prints a line for each name.
pub fn run(options: &Options) -> Result<u8, Error> {
    let store = Store::open(home::directory()?)?;
    let mut rows = rows(&store, &inventory::images(&store)?)?;
    rows.sort_by_key(|row| std::cmp::Reverse(row.created));
    if options.quiet {
        let mut ids: Vec<String> = rows.iter().map(|row| short(&row.id)).collect();
        ids.dedup();
        let text: String = ids.iter().map(|id| format!("{id}\n")).collect();
        return shared::print(text.as_bytes()).map(|()| 0);
    }
    let text = match options.format {
        Format::Table => as_table(&rows, options.digests),
        Format::Json => rows.iter().map(|row| format!("{}\n", as_json(row))).collect(),
    };
    shared::print(text.as_bytes()).map(|()| 0)
}

/// Twelve digits: enough for a person to tell images apart.
pub fn short(id: &Digest) -> String {
    id.hex()[..12].to_string()
}

fn rows(store: &Store, images: &[Stored]) -> Result<Vec<Row>, Error> {
    let mut users: HashMap<&Digest, usize> = HashMap::new();
    for image in images {
        for layer in &image.layers {
            *users.entry(layer).or_default() += 1;
        }
    }
    let mut rows = Vec::new();
    for image in images {
        let (mut size, mut own) = (0, 0);
        for layer in &image.layers {
            // What an earlier step has pulled is not there layer by layer.
            let bytes = layers::size(store.home(), layer).unwrap_or(0);
            size += bytes;
            if users[layer] == 1 {
                own += bytes;
            }
        }
        let created = created(store, image)?;
        let names = image.names.iter().map(|name| split(name));
        let none = (NONE.to_string(), NONE.to_string());
        let names: Vec<(String, String)> =
            if image.names.is_empty() { vec![none] } else { names.collect() };
        for (repository, tag) in names {
            let (id, manifest) = (image.id.clone(), image.manifest.digest.clone());
            rows.push(Row { repository, tag, id, manifest, created, size, own });
        }
    }
    Ok(rows)
}

/// A name's repository, as short as Docker writes it, and its tag.
fn split(name: &str) -> (String, String) {
    let Ok(name) = name.parse::<Reference>() else { return (name.into(), NONE.into()) };
    let Reference { registry, repository, tag, .. } = name;
    let repository = match (registry.as_str(), repository.strip_prefix("library/")) {
        ("docker.io", Some(short)) => short.to_string(),
        ("docker.io", None) => repository,
        _ => format!("{registry}/{repository}"),
    };
    (repository, tag.unwrap_or(NONE.into()))
}

/// When the image was made, by its config.
fn created(store: &Store, image: &Stored) -> Result<Option<Timestamp>, Error> {
    let config = store.document(&image.id)?.unwrap_or_default();
    let config: Value = serde_json::from_slice(&config).unwrap_or_default();
    Ok(config["created"].as_str().and_then(|time| time.parse().ok()))
}

fn since(created: Option<Timestamp>) -> String {
    let Some(created) = created else { return "N/A".into() };
    let seconds = Timestamp::now().as_second().saturating_sub(created.as_second());
    table::ago(Duration::from_secs(seconds.try_into().unwrap_or(0)))
}

fn as_table(rows: &[Row], digests: bool) -> String {
    let mut head = vec!["REPOSITORY", "TAG", "DIGEST", "IMAGE ID", "CREATED", "SIZE", "OWN SIZE"];
    if !digests {
        head.remove(2);
    }
    let mut table = vec![head.into_iter().map(str::to_string).collect()];
    for row in rows {
        let mut cells = vec![row.repository.clone(), row.tag.clone()];
        if digests {
            cells.push(row.manifest.to_string());
        }
        cells.extend([short(&row.id), since(row.created)]);
        cells.extend([table::size(row.size), table::size(row.own)]);
        table.push(cells);
    }
    table::columns(&table)
}

/// By Docker's names, where it has one.
fn as_json(row: &Row) -> Value {
    json!({
        "Repository": row.repository,
        "Tag": row.tag,
        "Digest": row.manifest.to_string(),
        "ID": short(&row.id),
        "CreatedAt": row.created.map_or("N/A".into(), |created| created.to_string()),
        "CreatedSince": since(row.created),
        "Size": table::size(row.size),
        "SharedSize": table::size(row.size - row.own),
        "UniqueSize": table::size(row.own),
    })
}
