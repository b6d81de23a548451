//! `rmi` and `prune`: takes names away, and with an image's last name the image.

use clap::Args;
use reference::Reference;
use shared::{Error, home};
use step7::store::Store;

use crate::inventory::{self, Stored};
use crate::names;
use crate::sweep::sweep;
use crate::unpack::Unpacker;

/// The options of `rmi`.
#[derive(Args)]
pub struct Options {
    /// Also an image with several names, or one that a container uses: after the container has ended,
    /// the next rmi, prune or pull removes its layers
    #[arg(short, long)]
    force: bool,

    /// All images
    #[arg(short, long, conflicts_with = "images")]
    all: bool,

    /// A name, an id or the beginning of one, or a digest
    #[arg(value_name = "IMAGE", required_unless_present = "all")]
    images: Vec<String>,
}

/// The options of `prune`: there are none.
#[derive(Args)]
pub struct Prune {}

/// The subcommand `rmi`. After an error it goes on with the next image, and fails in the end.
pub fn run(options: &Options) -> Result<u8, Error> {
    let mut failed = Ok(0);
    change(|store| {
        let mut text = String::new();
        let arguments = if options.all { all(store)? } else { options.images.clone() };
        for argument in arguments {
            match remove(store, &argument, options) {
                Ok(lines) => text += &lines,
                Err(error) => {
                    if let Err(earlier) = std::mem::replace(&mut failed, Err(error)) {
                        shared::note(format_args!("{}: {earlier}", env!("CARGO_PKG_NAME")));
                    }
                }
            }
        }
        Ok(text)
    })?;
    failed
}

/// The subcommand `prune`: removes images that have lost their names, and what nothing needs.
pub fn prune(_: &Prune) -> Result<u8, Error> {
    change(|store| {
        let mut text = String::new();
        let used: Vec<_> = inventory::containers(store.home()).into_values().collect();
        for image in inventory::images(store)? {
            if image.names.is_empty() && !used.contains(&image.manifest.digest) {
                names::take_all(store, &image.manifest.digest)?;
                text += &format!("Deleted: {}\n", image.id);
            }
        }
        Ok(text)
    })?;
    Ok(0)
}

/// Changes the index, then removes what nothing needs any more, and says both.
fn change(take_away: impl FnOnce(&Store) -> Result<String, Error>) -> Result<(), Error> {
    let home = home::directory()?;
    // It is a fork of this process. Later it would hold the store as its parent does.
    let mut unpacker = Unpacker::start()?;
    let store = Store::open(home.clone())?;
    unpacker.remove_stale(&home)?;
    let mut text = take_away(&store)?;
    drop(store);
    match sweep(&home, &mut unpacker, true)? {
        Some(layers) => {
            for layer in layers {
                text += &format!("Deleted: sha256:{layer}\n");
            }
        }
        None => shared::note(format_args!(
            "{}: somebody is at work in the store: a pull removes what nothing needs when it is done, and so does `prune`",
            env!("CARGO_PKG_NAME")
        )),
    }
    shared::print(text.as_bytes())
}

/// The ids of all images.
fn all(store: &Store) -> Result<Vec<String>, Error> {
    Ok(inventory::images(store)?.iter().map(|image| image.id.to_string()).collect())
}

/// Takes away what an argument stands for, and says so as Docker does.
fn remove(store: &Store, argument: &str, options: &Options) -> Result<String, Error> {
    let images = inventory::images(store)?;
    let refuse = |why: String| Err(Error::new(format!("cannot remove {argument}: {why}")));
    if let Some((image, name)) = by_name(&images, argument) {
        if image.names.len() == 1
            && let Some(container) = user(store, image)
            && !options.force
        {
            return refuse(format!("the container {container} uses it (-f takes the name away)"));
        }
        names::take(store, &name)?;
        let gone = if image.names.len() == 1 { deleted(image) } else { String::new() };
        return Ok(format!("Untagged: {name}\n{gone}"));
    }
    let image = match &by_id(&images, argument)[..] {
        [image] => *image,
        [] => return Err(Error::new(format!("there is no image {argument} here (see `images`)"))),
        _ => return refuse("several images begin so (give more digits)".into()),
    };
    if image.names.len() > 1 && !options.force && !options.all {
        let names = image.names.join(", ");
        return refuse(format!("it has several names: {names} (-f takes all away)"));
    }
    if let Some(container) = user(store, image)
        && !options.force
    {
        return refuse(format!("the container {container} uses it (-f takes the name away)"));
    }
    names::take_all(store, &image.manifest.digest)?;
    let untagged = image.names.iter().map(|name| format!("Untagged: {name}\n"));
    Ok(untagged.collect::<String>() + &deleted(image))
}

fn deleted(image: &Stored) -> String {
    format!("Deleted: {}\n", image.id)
}

/// A container that uses the image.
fn user(store: &Store, image: &Stored) -> Option<String> {
    let mut containers = inventory::containers(store.home()).into_iter();
    containers.find(|(_, manifest)| *manifest == image.manifest.digest).map(|(name, _)| name)
}

/// The image of this name, and the name in full.
fn by_name<'a>(images: &'a [Stored], argument: &str) -> Option<(&'a Stored, String)> {
    let name = argument.parse::<Reference>().ok()?.to_string();
    let image = images.iter().find(|image| image.names.contains(&name))?;
    Some((image, name))
}

/// The images whose id is this or begins so, or whose manifest has this digest.
fn by_id<'a>(images: &'a [Stored], argument: &str) -> Vec<&'a Stored> {
    let digits = argument.strip_prefix("sha256:").unwrap_or(argument);
    if digits.is_empty() {
        return Vec::new();
    }
    let fits = |image: &&Stored| {
        image.id.hex().starts_with(digits) || image.manifest.digest.hex() == digits
    };
    images.iter().filter(fits).collect()
}
