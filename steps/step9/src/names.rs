//! The names of images: entries of the image layout's index.json.

use reference::Digest;
use serde_json::{Value, json};
use shared::Error;
use step7::store::{NAME, Store};

use documents::Descriptor;

fn name_of(entry: &Value) -> Option<&str> {
    entry["annotations"][NAME].as_str()
}

/// Gives a manifest a name. An image that had it before stays, without a name if it has no other,
/// until `prune` or `rmi` removes it.
pub fn give(store: &Store, name: &str, manifest: &Descriptor) -> Result<(), Error> {
    let mut new = serde_json::to_value(manifest).expect("it is plain data");
    new["annotations"] = json!({ NAME: name });
    store.change_index(|entries| {
        if entries.contains(&new) {
            return;
        }
        let old = entries.iter().position(|entry| name_of(entry) == Some(name));
        let old = old.map(|at| entries.remove(at));
        // A name makes the entry without one superfluous.
        entries.retain(|entry| entry["digest"] != new["digest"] || name_of(entry).is_some());
        entries.push(new);
        if let Some(mut old) = old
            && entries.iter().all(|entry| entry["digest"] != old["digest"])
        {
            old["annotations"] = json!({});
            entries.push(old);
        }
    })
}

/// Takes a name away.
pub fn take(store: &Store, name: &str) -> Result<(), Error> {
    store.change_index(|entries| entries.retain(|entry| name_of(entry) != Some(name)))
}

/// Takes all names of a manifest away, and its entry if it has none.
pub fn take_all(store: &Store, manifest: &Digest) -> Result<(), Error> {
    let digest = manifest.to_string();
    store.change_index(|entries| entries.retain(|entry| entry["digest"] != digest.as_str()))
}
