//! The names of images, [`Reference`], and of the blobs that they are made of, [`Digest`]: `alpine`, `ghcr.io/a/b:tag`,
//! `127.0.0.1:5055/name:v1@sha256:…`.

mod digest;
mod grammar;

use std::fmt::{self, Display};
use std::str::FromStr;

pub use digest::Digest;
use grammar::Parser;

/// The most characters of a registry and a repository with the / between them (OCI distribution
/// specification, "Pulling manifests": the limit of many clients).
const LONGEST_NAME: usize = 255;

/// Which image of which registry.
#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    /// The registry's host, and port if one is given: `docker.io`, `localhost:5000`.
    pub registry: String,
    /// `library/alpine`
    pub repository: String,
    /// `latest` if neither a tag nor a digest is given; None if only a digest is.
    pub tag: Option<String>,
    pub digest: Option<Digest>,
}

impl Reference {
    /// The host, and port if one is given, that answers for the registry.
    pub fn api_host(&self) -> &str {
        // At docker.io itself there is a web page.
        if self.registry == "docker.io" { "registry-1.docker.io" } else { &self.registry }
    }

    /// What the registry is asked for: the digest if there is one, else the tag.
    pub fn tag_or_digest(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, tag) => tag.clone().unwrap_or("latest".into()),
        }
    }
}

/// The full name, defaults included: `docker.io/library/alpine:latest`. It reads as the same image.
impl Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Reference {
    type Err = String;

    /// Reads `[REGISTRY/]REPOSITORY[:TAG][@DIGEST]` with Docker's defaults (distribution/reference,
    /// the grammar and `ParseNormalizedNamed`). The error names the text, the character and the rule.
    fn from_str(text: &str) -> Result<Reference, String> {
        let mut parser = Parser::new(text);
        parser.require_name()?;
        let registry = parser.registry()?.unwrap_or("docker.io");
        let registry = match registry.to_ascii_lowercase().as_str() {
            "docker.io" | "index.docker.io" => "docker.io",
            _ => registry,
        };
        let mut repository = parser.repository()?.to_string();
        if registry == "docker.io" && !repository.contains('/') {
            repository.insert_str(0, "library/");
        }
        let length = registry.len() + 1 + repository.len();
        if length > LONGEST_NAME {
            return Err(parser.error(format!(
                "the name that ends before character {} has {length} characters with its registry, \
                 and {LONGEST_NAME} is the most",
                parser.number()
            )));
        }
        let mut tag = parser.skip(':').then(|| parser.tag()).transpose()?;
        let digest = parser.skip('@').then(|| parser.digest()).transpose()?;
        if digest.is_none() {
            tag = tag.or(Some("latest"));
        }
        let (registry, tag) = (registry.to_string(), tag.map(str::to_string));
        Ok(Reference { registry, repository, tag, digest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    /// The name in full, or the error without the text that it starts with.
    fn read(text: &str) -> String {
        let intro = format!("{text:?} is no image name: ");
        match text.parse::<Reference>() {
            Ok(reference) => reference.to_string(),
            Err(error) => error.strip_prefix(&intro).expect(&error).to_string(),
        }
    }

    #[test]
    fn names_get_dockers_defaults() {
        let hub = "docker.io/library";
        for (text, name) in [
            ("alpine", format!("{hub}/alpine:latest")),
            ("library/alpine", format!("{hub}/alpine:latest")),
            ("docker.io/alpine", format!("{hub}/alpine:latest")),
            ("index.docker.io/alpine:3", format!("{hub}/alpine:3")),
            ("Docker.IO/library/alpine", format!("{hub}/alpine:latest")),
            ("a/b/c", "docker.io/a/b/c:latest".into()),
            // Without a / there is no registry.
            ("localhost", format!("{hub}/localhost:latest")),
            ("localhost:5000", format!("{hub}/localhost:5000")),
            ("example.com", format!("{hub}/example.com:latest")),
            ("127.0.0.1", format!("{hub}/127.0.0.1:latest")),
            ("foo_bar.com:8080", format!("{hub}/foo_bar.com:8080")),
            (&format!("alpine@sha256:{HEX}"), format!("{hub}/alpine@sha256:{HEX}")),
            (&HEX[1..], format!("{hub}/{}:latest", &HEX[1..])),
        ] {
            assert_eq!(read(text), name, "{text}");
            assert_eq!(read(&name), name);
        }
    }

    #[test]
    fn names_of_other_registries_get_the_tag_only() {
        for text in [
            "ghcr.io/a/b:tag",
            "localhost/x:1",
            "localhost:5000/x:1",
            "registry:5000/x:1",
            "Registry/x:1",
            "192.168.1.1/repo:5050",
            "127.0.0.1:5055/name:v1",
            "[::1]/x:1",
            "[::1]:5000/x:1",
            "[2001:db8:1:2:3:4:5:6]:65535/x:1",
            "xn--n3h.com/my__image---x:xn--n3h.com",
            "b.gcr.io/test.example.com/my-app:test.example.com",
            "a-1.b--2.c/0/1/2:_._-",
            "ghcr.io/a:A.b-C_d",
        ] {
            assert_eq!(read(text), text);
            let (name, _) = text.rsplit_once(':').unwrap();
            assert_eq!(read(name), format!("{name}:latest"));
            let digest = format!("sha256:{HEX}");
            assert_eq!(read(&format!("{name}@{digest}")), format!("{name}@{digest}"));
            assert_eq!(read(&format!("{text}@{digest}")), format!("{text}@{digest}"));
        }
    }

    #[test]
    fn an_error_points_at_the_character() {
        for (text, number, rule) in [
            ("alp ine", 4, "' ' at character 4 is not allowed there (lower-case letters"),
            (" alpine", 1, "' '"),
            ("alpine\n", 7, "'\\n'"),
            ("alpin\u{e9}", 6, "'\u{e9}'"),
            ("a\u{430}b", 2, "'\u{430}'"),
            ("Alpine", 1, "names are lower-case"),
            ("ghcr.io/Owner/app", 9, "names are lower-case"),
            ("localhost:5000/a/bC:tag", 19, "names are lower-case"),
            ("-a", 1, "'-'"),
            ("a..b", 3, "'.'"),
            ("a_-b", 3, "'-'"),
            ("a___b", 4, "'_'"),
            ("a-/b", 3, "'/'"),
            ("a.:b", 3, "':'"),
            ("a.", 3, "more has to come"),
            ("a//b", 3, "'/'"),
            ("/a", 1, "'/'"),
            ("a/", 3, "more has to come"),
            ("ghcr.io/", 9, "more has to come"),
            ("ghcr.io/:v1", 9, "':'"),
            (":v1", 1, "':'"),
            ("@sha256:0", 1, "'@'"),
            ("a$b/c", 2, "'$'"),
            ("a_b.c/d", 2, "a registry's host has"),
            ("a.-b/c", 3, "a registry's host has"),
            ("a.b-/c", 5, "a registry's host has"),
            ("ghcr.io./c", 9, "a registry's host has"),
            ("me@ghcr.io/c", 3, "a registry's host has"),
            ("alpine:v1/x", 8, "a tag stands at the end"),
            ("localhost:/x", 11, "a registry's port"),
            ("localhost:50a/x", 13, "a registry's port"),
            ("localhost:0/x", 11, "0 at character 11 is out of range"),
            ("localhost:65536/x", 11, "from 1 to 65535"),
            ("localhost:+80/x", 11, "from 1 to 65535"),
            ("[::1]", 1, "'['"),
            ("[::1/x", 5, "in brackets"),
            ("[::1%eth0]/x", 5, "in brackets"),
            ("[::ffff:1.2.3.4]/x", 10, "in brackets"),
            ("[1:2]/x", 2, "no IPv6 address"),
            ("[::1]x/y", 6, "a registry's host has"),
            ("::1/x", 1, "a registry's host has"),
            ("alpine:", 8, "more has to come"),
            ("alpine:@sha256:0", 8, "a tag has"),
            ("alpine:-1", 8, "a tag has"),
            ("alpine:3:4", 9, "a tag has"),
            ("alpine:3 ", 9, "a tag has"),
            ("alpine@", 8, "no digest"),
            ("alpine@sha256:short", 8, "64 lower-case hexadecimal digits"),
            ("alpine@sha256:0@sha256:0", 8, "no digest"),
            (&format!("alpine:3@sha512:{HEX}{HEX}"), 10, "no digest"),
            ("https://ghcr.io/a", 1, "leave \"https://\" out"),
            ("docker://alpine", 1, "leave \"docker://\" out"),
            (HEX, 1, "NAME@sha256:"),
            (&format!("sha256:{HEX}"), 1, "NAME@sha256:"),
        ] {
            let error = read(text);
            assert!(error.contains(&format!("character {number} ")), "{text}: {error}");
            assert!(error.contains(rule), "{text}: {error}");
        }
        assert!(read("").contains("it is empty"));
    }

    #[test]
    fn names_and_tags_have_a_longest() {
        let name = format!("a.b/{}", "a".repeat(251));
        assert_eq!(read(&name), format!("{name}:latest"));
        assert!(read(&format!("{name}a")).contains("before character 257 has 256 characters"));
        // The defaults count: docker.io/library/
        assert!(read(&"a".repeat(238)).contains("before character 239 has 256 characters"));
        let tag = format!("docker.io/a/b:{}", "t".repeat(128));
        assert_eq!(read(&tag), tag);
        assert!(read(&format!("{tag}t")).contains("starts at character 15 has 129 characters"));
    }

    #[test]
    fn what_the_client_asks_whom() {
        let read = |text: &str| text.parse::<Reference>().unwrap();
        assert_eq!(read("alpine").api_host(), "registry-1.docker.io");
        assert_eq!(read("localhost:5000/x").api_host(), "localhost:5000");
        assert_eq!(read("a").tag_or_digest(), "latest");
        assert_eq!(read("a:b").tag_or_digest(), "b");
        let digest = format!("sha256:{HEX}");
        assert_eq!(read(&format!("a:b@{digest}")).tag_or_digest(), digest);
    }
}
