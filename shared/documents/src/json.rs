//! How JSON is read.

use serde::Deserialize;
use serde::de::Deserializer;
use shared::{Error, short};

use crate::keys::AsGo;

/// Reads JSON as Go reads it, or refuses it. The error names the place in it: `the manifest's
/// layers[3].size is wrong: …`.
pub fn read<'a, T: Deserialize<'a>>(what: &str, bytes: &'a [u8]) -> Result<T, Error> {
    // What serde_json passes over it does not look at: a text there could be no text.
    let text = str::from_utf8(bytes)
        .map_err(|error| Error::new(format!("the {what} is wrong: it is not UTF-8: {error}")))?;
    let mut json = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(AsGo(&mut json)).map_err(|error| {
        let what = match error.path().to_string().as_str() {
            "." => format!("the {what}"),
            path => format!("the {what}'s {}", short(&path.escape_debug().to_string())),
        };
        Error::new(format!("{what} is wrong: {}", short(&error.inner().to_string())))
    })?;
    json.end().map_err(|error| Error::new(format!("the {what} is wrong: {error}")))?;
    Ok(value)
}

/// `null` is what Go writes for a list or a map that is empty.
pub fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    json: D,
) -> Result<T, D::Error> {
    Option::<T>::deserialize(json).map(Option::unwrap_or_default)
}
