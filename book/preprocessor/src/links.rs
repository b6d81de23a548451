//! The link check: what the built pages point to is there, and they load nothing from elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};

use sources::files;

/// A built page: the ids in it, and what it points to.
struct Page {
    ids: BTreeSet<String>,
    /// Tag and address.
    links: Vec<(String, String)>,
}

/// Fails, naming them all, if there are links that lead nowhere or load from another host.
pub fn check(built: &Path) -> Result<()> {
    let mut pages = BTreeMap::new();
    for path in files(built, "html")? {
        let text = fs::read_to_string(&path).with_context(|| format!("read {path:?}"))?;
        pages.insert(path, Page::parse(&text));
    }
    let mut wrong = Vec::new();
    for (path, page) in &pages {
        for (tag, address) in &page.links {
            // What a base says is where the book would lie on a server.
            if tag == "base" {
                continue;
            }
            if let Err(error) = follow(built, path, tag, address, &pages) {
                let from = path.strip_prefix(built).unwrap_or(path).display();
                wrong.push(format!("{from}: {address}: {error}"));
            }
        }
    }
    let count: usize = pages.values().map(|page| page.links.len()).sum();
    println!("{count} links on {} pages, {} lead nowhere", pages.len(), wrong.len());
    if wrong.is_empty() { Ok(()) } else { bail!("wrong links:\n{}", wrong.join("\n")) }
}

fn follow(
    built: &Path,
    from: &Path,
    tag: &str,
    address: &str,
    pages: &BTreeMap<PathBuf, Page>,
) -> Result<()> {
    if address.contains(':') || address.starts_with("//") {
        // A reader may go elsewhere; a page may not.
        let is_data = address.starts_with("data:");
        return if tag == "a" || is_data { Ok(()) } else { bail!("it loads from another host") };
    }
    let (file, id) = address.split_once('#').unwrap_or((address, ""));
    let file = file.split('?').next().unwrap_or_default();
    let target = match file {
        "" => from.to_owned(),
        file => plain(&from.parent().unwrap_or(from).join(file)),
    };
    let target = if target.is_dir() { target.join("index.html") } else { target };
    if !target.exists() || !target.starts_with(built) {
        bail!("there is no such file in the book");
    }
    match pages.get(&target) {
        Some(page) if !id.is_empty() && !page.ids.contains(id) => {
            bail!("there is no such place in it")
        }
        _ => Ok(()),
    }
}

/// Without `..`.
fn plain(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut plain, part| {
        match part {
            Component::ParentDir => _ = plain.pop(),
            part => plain.push(part),
        }
        plain
    })
}

impl Page {
    /// Goes through the tags. What a script writes later is not seen.
    fn parse(html: &str) -> Page {
        let mut page = Page { ids: BTreeSet::new(), links: Vec::new() };
        let mut rest = html;
        while let Some(start) = rest.find('<') {
            rest = &rest[start + 1..];
            let name: String = rest.chars().take_while(char::is_ascii_alphanumeric).collect();
            if name.is_empty() {
                continue;
            }
            let end = rest.find('>').unwrap_or(rest.len());
            let tag = &rest[..end];
            page.ids.extend(attribute(tag, "id"));
            for key in ["href", "src"] {
                page.links.extend(attribute(tag, key).map(|address| (name.clone(), address)));
            }
            rest = &rest[end..];
            if name == "script" {
                rest = rest.find("</script").map_or("", |end| &rest[end..]);
            }
        }
        page
    }
}

fn attribute(tag: &str, key: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!(" {key}=\""))?;
    let value = rest.split('"').next()?;
    Some(value.replace("&amp;", "&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read() {
        let page = Page::parse(
            "<h1 class=\"a\" id=\"b\">1 < 2</h1><a href=\"x.html#y\">z</a><script src=\"s.js\">\"<a href='n'>\"</script>",
        );
        assert!(page.ids.contains("b"));
        let links = [("a", "x.html#y"), ("script", "s.js")];
        assert_eq!(page.links, links.map(|(tag, address)| (tag.to_string(), address.to_string())));
    }

    #[test]
    fn a_link_leads_somewhere() {
        let here = PathBuf::from("/nowhere/a.html");
        let page = Page { ids: ["there".to_string()].into(), links: Vec::new() };
        let pages = BTreeMap::from([(here.clone(), page)]);
        let follow = |tag, address| follow(Path::new("/"), &here, tag, address, &pages);
        assert!(follow("a", "https://www.kernel.org").is_ok());
        assert!(follow("script", "https://www.kernel.org/s.js").is_err());
        assert!(follow("img", "//www.kernel.org/i.png").is_err());
        assert!(follow("a", "b.html").is_err());
    }
}
