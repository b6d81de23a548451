//! Finds items in a Rust file by their names: functions, types, constants, `impl` blocks, methods.

use std::ops::Range;

use anyhow::{Context, Result, bail};
use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::{Attribute, Block, ImplItem, Item, ItemImpl, Type, Visibility};

/// What a file is made of. Lines are counted from 0.
#[derive(Clone, Debug)]
pub struct Items {
    items: Vec<Found>,
    /// What the reader is not shown: the unit tests.
    pub tests: Vec<Range<usize>>,
    /// The lines before the first item that is no `use` and no `mod`.
    pub head: Range<usize>,
}

/// An item, and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// `child`, `Options`, `Cgroup::make`, `impl Drop for Cgroup`
    pub name: String,
    /// With its documentation and attributes.
    pub lines: Range<usize>,
    /// For a method: the lines of `impl … {`, and the one of the closing brace.
    pub around: Option<(Range<usize>, Range<usize>)>,
    /// For a function whose body has lines of its own: these, without the braces.
    pub body: Option<Range<usize>>,
}

impl Items {
    /// The item of this name.
    pub fn find(&self, name: &str) -> Result<&Found> {
        let found: Vec<&Found> = self.items.iter().filter(|item| item.name == name).collect();
        match found[..] {
            [item] => Ok(item),
            [] => bail!("no item {name:?}; there are {}", self.names().join(", ")),
            _ => bail!("{} items are called {name:?}", found.len()),
        }
    }

    /// The whole file, of `count` lines, as what stands before the first item and then the items, each
    /// with the empty lines above it.
    pub fn parts(&self, count: usize) -> Vec<(&str, Range<usize>)> {
        let items = self.items.iter().filter(|item| item.around.is_none());
        let mut items: Vec<(&str, usize)> = items
            .map(|item| (item.name.as_str(), item.lines.end))
            .chain(self.tests.iter().map(|tests| ("tests", tests.end)))
            .filter(|(_, end)| *end > self.head.end)
            .collect();
        items.sort_by_key(|(_, end)| *end);
        let mut parts = vec![("", self.head.clone())];
        for (name, end) in items {
            parts.push((name, parts[parts.len() - 1].1.end..end));
        }
        let last = parts.len() - 1;
        parts[last].1.end = count;
        parts
    }

    fn names(&self) -> Vec<&str> {
        self.items.iter().map(|item| item.name.as_str()).collect()
    }
}

/// Reads a file.
pub fn parse(text: &str) -> Result<Items> {
    let file = syn::parse_file(text).context("it is no Rust")?;
    let lines: Vec<&str> = text.lines().collect();
    let (mut items, mut tests, mut head) = (Vec::new(), Vec::new(), None);
    for item in &file.items {
        let range = with_remarks(range(item.span()), &lines);
        if !matches!(item, Item::Use(_) | Item::Mod(_)) {
            head.get_or_insert(0..range.start);
        }
        if attributes(item).iter().any(is_test) {
            tests.push(range);
        } else if let Item::Impl(block) = item {
            add_impl(&mut items, block, range, &lines);
        } else if let Some(name) = name(item) {
            let body = function_body(item);
            items.push(Found { name, lines: range, around: None, body });
        }
    }
    let end = tests.first().map_or(lines.len(), |tests| tests.start);
    Ok(Items { items, tests, head: head.unwrap_or(0..end) })
}

fn add_impl(items: &mut Vec<Found>, block: &ItemImpl, range: Range<usize>, lines: &[&str]) {
    let this = type_name(&block.self_ty);
    let of = match &block.trait_ {
        Some((path, _)) => {
            let last = path.segments.last().map(|segment| segment.ident.to_string());
            format!("impl {} for {this}", last.unwrap_or_default())
        }
        None => format!("impl {this}"),
    };
    let opened = line(block.brace_token.span.open().start().line);
    let around = Some((range.start..opened + 1, range.end - 1..range.end));
    for item in &block.items {
        let (name, body) = match item {
            ImplItem::Fn(function) => (function.sig.ident.to_string(), between(&function.block)),
            ImplItem::Const(constant) => (constant.ident.to_string(), None),
            ImplItem::Type(kind) => (kind.ident.to_string(), None),
            _ => continue,
        };
        let lines = with_remarks(self::range(item.span()), lines);
        let name = format!("{this}::{name}");
        items.push(Found { name, lines, around: around.clone(), body });
    }
    items.push(Found { name: of, lines: range, around: None, body: None });
}

fn function_body(item: &Item) -> Option<Range<usize>> {
    match item {
        Item::Fn(function) => between(&function.block),
        _ => None,
    }
}

/// The lines between the braces, if there are any.
fn between(block: &Block) -> Option<Range<usize>> {
    let (open, close) = (block.brace_token.span.open(), block.brace_token.span.close());
    let lines = line(open.end().line) + 1..line(close.start().line);
    (!lines.is_empty()).then_some(lines)
}

fn name(item: &Item) -> Option<String> {
    Some(match item {
        Item::Const(item) => item.ident.to_string(),
        Item::Enum(item) => item.ident.to_string(),
        Item::Fn(item) => item.sig.ident.to_string(),
        Item::Macro(item) => item.ident.as_ref()?.to_string(),
        Item::Static(item) => item.ident.to_string(),
        Item::Struct(item) => item.ident.to_string(),
        Item::Trait(item) => item.ident.to_string(),
        Item::Type(item) => item.ident.to_string(),
        // `mod name;` stands among the `use` lines.
        Item::Mod(item) if item.content.is_some() => item.ident.to_string(),
        // Re-exports stand among the `use` lines.
        Item::Use(item) if !matches!(item.vis, Visibility::Inherited) => return None,
        _ => return None,
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Fn(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        _ => &[],
    }
}

fn is_test(attribute: &Attribute) -> bool {
    let is_cfg = attribute.path().is_ident("cfg");
    is_cfg && attribute.parse_args::<syn::Ident>().is_ok_and(|ident| ident == "test")
}

fn type_name(kind: &Type) -> String {
    match kind {
        Type::Path(path) => path.path.segments.last().map(|last| last.ident.to_string()),
        Type::Reference(reference) => Some(type_name(&reference.elem)),
        _ => None,
    }
    .unwrap_or_default()
}

fn range(span: Span) -> Range<usize> {
    line(span.start().line)..line(span.end().line) + 1
}

/// The compiler counts from 1.
fn line(number: usize) -> usize {
    number - 1
}

/// Takes the plain comments right above as well.
fn with_remarks(range: Range<usize>, lines: &[&str]) -> Range<usize> {
    let above = lines[..range.start].iter().rev();
    let remarks = above.take_while(|line| line.trim_start().starts_with("// ")).count();
    range.start - remarks..range.end
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "//! A file.

use std::io;

/// A type.
#[derive(Debug)]
struct A;

impl A {
    /// Makes.
    fn make() {}
}

// A remark.
impl Drop for A {
    fn drop(&mut self) {
        println!();
    }
}

fn make() {}

#[cfg(test)]
mod tests {
    fn make() {}
}
";

    #[test]
    fn items_are_found_with_what_belongs_to_them() {
        let items = parse(TEXT).unwrap();
        let lines = |name| items.find(name).unwrap().lines.clone();
        assert_eq!(items.head, 0..4);
        assert_eq!(lines("A"), 4..7);
        assert_eq!(lines("A::make"), 9..11);
        assert_eq!(items.find("A::make").unwrap().around, Some((8..9, 11..12)));
        assert_eq!(lines("impl A"), 8..12);
        assert_eq!(lines("impl Drop for A"), 13..19);
        assert_eq!(lines("make"), 20..21);
        assert_eq!(items.tests, vec![22..26]);
    }

    #[test]
    fn a_functions_body_is_what_stands_between_its_braces() {
        let items = parse(TEXT).unwrap();
        let body = |name| items.find(name).unwrap().body.clone();
        assert_eq!(body("A::drop"), Some(16..17));
        assert_eq!(body("A::make"), None);
        assert_eq!(body("A"), None);
    }

    #[test]
    fn a_wrong_name_is_an_error() {
        let items = parse("fn a() {}\nmod b { }\nstruct a;").unwrap();
        assert!(items.find("c").unwrap_err().to_string().contains("there are a, b, a"));
        assert!(items.find("a").unwrap_err().to_string().contains("2 items"));
    }
}
