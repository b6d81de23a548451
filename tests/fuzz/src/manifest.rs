//! Indexes, manifests and configs: bytes are one kind of document at most, what is accepted keeps
//! the limits, and other bytes than the digest's are refused.

use documents::{
    Config, DOCKER_INDEX, DOCKER_MANIFEST, DOCUMENTS, Document, Index, LARGEST_DOCUMENT, Manifest,
    OCI_INDEX, OCI_MANIFEST, Platform,
};
use reference::Digest;
use serde_json::Value;
use shared::Error;
use step7::{digest, index};

/// The input is a document, or two with a line `--` between them: where an index leads to, or a
/// manifest's config.
pub fn check(input: &[u8]) {
    check_digest(input);
    let end = input.windows(4).position(|four| four == b"\n--\n");
    let (first, second) = end.map_or((input, input), |end| (&input[..end], &input[end + 4..]));

    let config = Config::parse(second);
    match &config {
        Ok(config) => check_config(config),
        Err(error) => crate::check_message(&error.to_string(), &[]),
    }
    let document = one_meaning(first);
    match document {
        Some(Document::Manifest(manifest)) => {
            check_manifest(&manifest);
            if let Ok(config) = config {
                let is_one = manifest.layers.len() == config.rootfs.diff_ids.len();
                assert_eq!(documents::check(&manifest, &config).is_ok(), is_one);
            }
        }
        Some(Document::Index(index)) => check_index(index, second),
        None => {}
    }
}

/// Whatever a registry announces: the document is the same one, or refused. And nobody else could
/// take it for one of the other kind (CVE-2021-41190).
fn one_meaning(bytes: &[u8]) -> Option<Document> {
    let mut meaning: Option<Document> = None;
    for announced in DOCUMENTS.into_iter().chain(["", "text/html"]) {
        let document = match documents::parse(bytes, announced) {
            Ok(document) => document,
            Err(error) => {
                crate::check_message(&error.to_string(), &[]);
                continue;
            }
        };
        let json: Value = serde_json::from_slice(bytes).expect("it was read as JSON");
        let has = |key| json.get(key).is_some_and(|value| !value.is_null());
        let (others, is_other) = match document {
            Document::Index(_) => ([OCI_MANIFEST, DOCKER_MANIFEST], has("config") || has("layers")),
            Document::Manifest(_) => ([OCI_INDEX, DOCKER_INDEX], has("manifests")),
        };
        assert!(!is_other, "it has what the other kind has");
        assert!(!others.contains(&announced), "announced as {announced}");
        assert!(
            others.iter().all(|other| json["mediaType"] != *other),
            "it says that it is no such"
        );
        assert!(meaning.is_none_or(|meaning| meaning == document), "by {announced:?}");
        meaning = Some(document);
    }
    meaning
}

fn check_manifest(manifest: &Manifest) {
    assert!(manifest.config.size <= LARGEST_DOCUMENT && manifest.layers.len() <= 500);
    for layer in &manifest.layers {
        layer.require_layer().expect("it was looked at");
        assert!((1..=1 << 40).contains(&layer.size));
    }
}

fn check_index(index: Index, next: &[u8]) {
    for entry in &index.manifests {
        if let Some(platform) = &entry.platform {
            check_platform(platform);
        }
    }
    let mut fetched = 0;
    let fetch = |entry: &documents::Descriptor| -> Result<Document, Error> {
        fetched += 1;
        assert!(entry.size <= LARGEST_DOCUMENT);
        documents::parse(next, &entry.media_type)
    };
    let wanted = "linux/arm64/v9".parse().expect("it is a platform");
    if let Err(error) = index::find(index, &wanted, fetch) {
        crate::check_message(&error.to_string(), next);
    }
    assert!(fetched <= 16, "{fetched} documents");
}

fn check_config(config: &Config) {
    let Config { os, architecture, variant, .. } = config.clone();
    check_platform(&Platform { os, architecture, variant });
    let here = Platform::here();
    if let Err(error) = config.require_platform(&here) {
        crate::check_message(&error.to_string(), &[]);
    }
}

fn check_platform(platform: &Platform) {
    let normal = platform.normal();
    assert_eq!(normal.normal(), normal, "of {platform:?}");
    // Each variant has at most 255 before it, in two generations.
    let runs = platform.runs();
    assert!(runs.len() <= 1024 && runs[0] == normal, "{platform:?}: {}", runs.len());
    if platform.is_known() {
        assert_eq!(platform.to_string().parse(), Ok(normal));
    }
}

fn check_digest(bytes: &[u8]) {
    let digest = Digest::of(bytes);
    assert_eq!(Digest::try_from(digest.to_string()), Ok(digest.clone()));
    digest::require("it", &digest, &digest).expect("it is the same");
    let longer = Digest::of(&[bytes, b" "].concat());
    digest::require("it", &digest, &longer).expect_err("it is another");
    // A digest is written in one way only.
    if let Ok(text) = str::from_utf8(bytes)
        && let Ok(digest) = Digest::try_from(text.to_string())
    {
        assert_eq!(digest.to_string(), text);
    }
}
