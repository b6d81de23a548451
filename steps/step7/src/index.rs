//! From an index, which is one image for several platforms, to the manifest for one of them.

use std::collections::BTreeSet;

use documents::{Descriptor, Document, Index, Manifest, Platform};
use shared::Error;

/// The most documents that are fetched on the way from an index to a manifest: indexes may be
/// nested, and a hostile one without end.
const MOST_FOLLOWED: usize = 16;

/// Follows the index, and those in it, to the manifest for a platform and its descriptor.
///
/// `fetch` gets a document, whose bytes must have the descriptor's digest and size. If there is
/// none for the platform the error lists those there are.
pub fn find(
    index: Index,
    wanted: &Platform,
    mut fetch: impl FnMut(&Descriptor) -> Result<Document, Error>,
) -> Result<(Descriptor, Manifest), Error> {
    let mut there = index.platforms();
    // The last is tried first.
    let mut to_try = candidates(&index, wanted);
    for _ in 0..MOST_FOLLOWED {
        let Some(descriptor) = to_try.pop() else {
            return Err(no_such_platform(wanted, &there));
        };
        descriptor.require_document()?;
        match fetch(&descriptor)? {
            Document::Manifest(manifest) => {
                let mut descriptor = descriptor;
                if descriptor.media_type.is_empty() {
                    descriptor.media_type = manifest.media_type.clone();
                }
                return Ok((descriptor, manifest));
            }
            Document::Index(index) => {
                there.append(&mut index.platforms());
                to_try.append(&mut candidates(&index, wanted));
            }
        }
    }
    Err(Error::new(format!("the index leads to more than {MOST_FOLLOWED} others: a trap")))
}

/// What may lead to the wanted manifest, the best last: what is for the platform, and then what
/// does not say what it is for.
fn candidates(index: &Index, wanted: &Platform) -> Vec<Descriptor> {
    let is_for = |entry: &&Descriptor, platform: &Platform| match &entry.platform {
        Some(own) => own.normal() == *platform,
        None => false,
    };
    let mut candidates: Vec<&Descriptor> = Vec::new();
    for platform in wanted.runs() {
        candidates.extend(index.manifests.iter().filter(|entry| is_for(entry, &platform)));
    }
    candidates.extend(index.manifests.iter().filter(|entry| entry.platform.is_none()));
    candidates.into_iter().rev().cloned().collect()
}

fn no_such_platform(wanted: &Platform, there: &BTreeSet<String>) -> Error {
    let list: Vec<&str> = there.iter().map(String::as_str).take(50).collect();
    Error::new(if list.is_empty() {
        format!("the image is not there for {wanted}, nor for any platform")
    } else {
        format!("the image is not there for {wanted}, only for {}", list.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use documents::OCI_MANIFEST;

    use super::*;

    /// An entry for a platform; "" for an entry that names none. Its size tells it from others.
    fn entry(platform: &str, size: u64) -> Descriptor {
        let mut entry = Descriptor::of(b"", OCI_MANIFEST);
        entry.size = size;
        let mut parts = platform.split('/').map(str::to_string);
        let mut part = || parts.next().unwrap_or_default();
        let (os, architecture, variant) = (part(), part(), part());
        entry.platform =
            Some(Platform { os, architecture, variant }).filter(|_| !platform.is_empty());
        entry
    }

    fn index(platforms: &[&str]) -> Index {
        let entries = platforms.iter().zip(1..).map(|(platform, size)| entry(platform, size));
        Index { manifests: entries.collect() }
    }

    /// The size of the entry that is found. Those over 100 lead to `nested`.
    fn find_in(index: Index, wanted: &str, nested: &Index) -> Result<u64, String> {
        let fetch = |entry: &Descriptor| {
            let config = entry.clone();
            let (media_type, layers) = (String::new(), Vec::new());
            Ok(match entry.size {
                101.. => Document::Index(nested.clone()),
                _ => Document::Manifest(Manifest { media_type, config, layers }),
            })
        };
        let found = super::find(index, &wanted.parse().unwrap(), fetch);
        found.map(|(entry, _)| entry.size).map_err(|error| error.to_string())
    }

    fn find(platforms: &[&str], wanted: &str) -> Result<u64, String> {
        find_in(index(platforms), wanted, &index(&[]))
    }

    const MANY: [&str; 8] = [
        "unknown/unknown",
        "linux/386",
        "linux/arm/v5",
        "linux/arm/v7",
        "linux/arm64/v8",
        "linux/amd64",
        "unknown/unknown",
        "linux/amd64",
    ];

    #[test]
    fn the_best_is_found() {
        for (wanted, place) in [
            ("linux/amd64", 6),
            ("linux/386", 2),
            ("linux/arm64", 5),
            ("linux/arm64/v8.1", 5),
            ("linux/arm", 4),
            ("linux/arm/v8", 4),
            ("linux/arm/v6", 3),
        ] {
            assert_eq!(find(&MANY, wanted), Ok(place), "{wanted}");
        }
        assert_eq!(find(&["linux/arm/v6", "linux/386"], "linux/amd64"), Ok(2));
        assert_eq!(find(&["windows/amd64", "", "linux/s390x"], "linux/amd64"), Ok(2));
        assert_eq!(find(&["", "linux/amd64"], "linux/amd64"), Ok(2));
    }

    #[test]
    fn no_such_platform_lists_those_there_are() {
        let list = "linux/386, linux/amd64, linux/arm/v5, linux/arm/v7, linux/arm64/v8";
        for wanted in ["linux/s390x", "windows/amd64"] {
            let error = find(&MANY, wanted).unwrap_err();
            assert_eq!(error, format!("the image is not there for {wanted}, only for {list}"));
        }
        assert!(find(&["linux/arm/v7"], "linux/arm/v6").is_err());
        assert!(find(&[], "linux/arm").unwrap_err().contains("nor for any platform"));
        let odd = ["unknown/unknown", "/", "linux/", "linux/a\nb"];
        assert!(find(&odd, "linux/arm").unwrap_err().contains("nor for any platform"));
    }

    #[test]
    fn indexes_in_indexes_are_followed_but_not_without_end() {
        let mut outer = index(&["linux/arm64"]);
        outer.manifests.push(entry("", 101));
        let inner = index(&["linux/s390x", "linux/amd64"]);
        assert_eq!(find_in(outer.clone(), "linux/amd64", &inner), Ok(2));
        assert_eq!(find_in(outer.clone(), "linux/arm64", &inner), Ok(1));
        let error = find_in(outer.clone(), "linux/ppc64le", &inner).unwrap_err();
        assert!(error.ends_with("only for linux/amd64, linux/arm64, linux/s390x"), "{error}");
        let error = find_in(outer.clone(), "linux/amd64", &outer).unwrap_err();
        assert!(error.contains("more than 16 others"), "{error}");
    }

    /// The store writes this descriptor down, for others to read.
    #[test]
    fn an_entry_without_a_type_has_that_of_its_manifest() {
        let mut untyped = index(&["linux/amd64"]);
        untyped.manifests[0].media_type.clear();
        let fetch = |entry: &Descriptor| {
            let (media_type, config) = (OCI_MANIFEST.into(), entry.clone());
            Ok(Document::Manifest(Manifest { media_type, config, layers: Vec::new() }))
        };
        let (found, _) = super::find(untyped, &"linux/amd64".parse().unwrap(), fetch).unwrap();
        assert_eq!(found.media_type, OCI_MANIFEST);
    }

    #[test]
    fn a_huge_manifest_is_not_fetched() {
        let huge = Index { manifests: vec![entry("linux/amd64", (4 << 20) + 1)] };
        let error = find_in(huge, "linux/amd64", &index(&[])).unwrap_err();
        assert!(error.contains("4194305 bytes, and 4 MiB is the most"), "{error}");
    }
}
