//! All mutants of a step: its files, and the lines that the step before does not have, changed one at a time.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use exercises::starter::in_crate;
use sources::{File, Step};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::visit::Visit;
use syn::{
    Attribute, Block, Expr, Fields, ImplItem, Item, ItemConst, ItemStruct, Lit, Meta, ReturnType,
    Signature, Token, Type,
};

use crate::changes::{Change, Changes};
use crate::words;

/// A step with one change.
#[derive(Clone, Debug)]
pub struct Mutant {
    /// In the crate: `src/rootfs.rs`.
    pub file: PathBuf,
    /// Its file, the item, and the change.
    pub name: String,
    pub place: Place,
    pub edits: Vec<(Range<usize>, String)>,
}

/// Where a change is, and so how a program can have it and not have it.
#[derive(Clone, Debug)]
pub enum Place {
    /// In the body of a function, which is here.
    Body(Range<usize>),
    /// In a constant of this name, which is here.
    Constant(String, Range<usize>),
    /// It is a value that an attribute has.
    Value,
}

/// Makes them, in the order of the files.
pub fn all(step: &Step) -> Result<Vec<Mutant>> {
    let mut mutants = Vec::new();
    for file in step.files.values() {
        let text = file.text();
        let mut of_file = OfFile { path: in_crate(&file.path), file, text: &text, all: Vec::new() };
        let parsed = syn::parse_file(&text).with_context(|| format!("parse {:?}", file.path))?;
        parsed.items.iter().for_each(|item| of_file.item(item));
        mutants.append(&mut of_file.all);
    }
    let mut counts: HashMap<String, usize> = HashMap::new();
    for mutant in &mut mutants {
        let count = counts.entry(mutant.name.clone()).or_default();
        *count += 1;
        if *count > 1 {
            mutant.name += &format!(" (place {count})");
        }
    }
    Ok(mutants)
}

struct OfFile<'a> {
    path: &'a Path,
    file: &'a File,
    text: &'a str,
    all: Vec<Mutant>,
}

impl OfFile<'_> {
    fn item(&mut self, item: &Item) {
        match item {
            Item::Fn(function) => {
                self.function(&function.sig.ident.to_string(), &function.sig, &function.block);
            }
            Item::Impl(block) => {
                let of = words::short(&self.text[block.self_ty.span().byte_range()]);
                let of = of.trim_matches('`');
                for item in &block.items {
                    if let ImplItem::Fn(function) = item {
                        let name = format!("{of}::{}", function.sig.ident);
                        self.function(&name, &function.sig, &function.block);
                    }
                }
            }
            Item::Const(constant) => self.constant(constant),
            Item::Struct(structure) => self.values(structure),
            _ => {}
        }
    }

    fn function(&mut self, name: &str, signature: &Signature, block: &Block) {
        let mut changes = Changes::of(self.text);
        changes.visit_block(block);
        let body = block.span().byte_range();
        let mut all = changes.all;
        for value in values_of(&signature.output) {
            let edits = vec![(body.clone(), format!("{{ {value} }}"))];
            all.push(Change { edits, what: format!("always `{value}`"), shrinks: false });
        }
        for change in all {
            self.add(name, change, Place::Body(body.clone()));
        }
    }

    fn constant(&mut self, constant: &ItemConst) {
        let mut changes = Changes::of(self.text);
        changes.visit_expr(&constant.expr);
        let name = constant.ident.to_string();
        let start = constant.const_token.span.byte_range().start;
        let range = start..constant.span().byte_range().end;
        for mut change in changes.all {
            if let (true, Type::Array(array), Expr::Array(elements)) =
                (change.shrinks, &*constant.ty, &*constant.expr)
            {
                let count = format!("{}", elements.elems.len() - 1);
                change.edits.push((array.len.span().byte_range(), count));
            }
            self.add(&name, change, Place::Constant(name.clone(), range.clone()));
        }
    }

    /// What clap is told: its values, but not its words for people.
    fn values(&mut self, structure: &ItemStruct) {
        let Fields::Named(fields) = &structure.fields else { return };
        for field in &fields.named {
            let name = field.ident.as_ref().map(ToString::to_string).unwrap_or_default();
            let name = format!("{}::{name}", structure.ident);
            for value in
                field.attrs.iter().filter(|it| it.path().is_ident("arg")).flat_map(values_in)
            {
                let mut changes = Changes::of(self.text);
                changes.visit_expr(&value);
                for change in changes.all {
                    self.add(&name, change, Place::Value);
                }
            }
        }
    }

    /// Keeps a change, if a line of it is new.
    fn add(&mut self, item: &str, Change { edits, what, .. }: Change, place: Place) {
        let line = |at: usize| self.text[..at].matches('\n').count();
        let is_new = |range: &Range<usize>| {
            self.file.lines[line(range.start)..=line(range.end)].iter().any(|line| line.is_new)
        };
        let is_known = self.all.iter().any(|known| known.edits == edits);
        if edits.iter().any(|(range, _)| is_new(range)) && !is_known {
            let name = format!("{} {item}: {what}", self.path.display());
            self.all.push(Mutant { file: self.path.to_owned(), name, place, edits });
        }
    }
}

/// What a function of this type might always say.
fn values_of(output: &ReturnType) -> &'static [&'static str] {
    let ReturnType::Type(_, output) = output else { return &[] };
    let Type::Path(path) = &**output else { return &[] };
    let Some(last) = path.path.segments.last() else { return &[] };
    match last.ident.to_string().as_str() {
        "bool" => &["true", "false"],
        "Option" => &["None"],
        _ => &[],
    }
}

/// The values of a clap attribute that are constants.
fn values_in(attribute: &Attribute) -> Vec<Expr> {
    let parse = Punctuated::<Meta, Token![,]>::parse_terminated;
    let metas = attribute.parse_args_with(parse).unwrap_or_default();
    let value = |meta: Meta| match meta {
        Meta::NameValue(pair) if !pair.path.is_ident("value_name") => Some(pair.value),
        _ => None,
    };
    let is_constant = |value: &Expr| matches!(value, Expr::Lit(literal) if matches!(literal.lit, Lit::Str(_) | Lit::Bool(_)));
    metas.into_iter().filter_map(value).filter(is_constant).collect()
}

#[cfg(test)]
mod test {
    use std::collections::BTreeMap;

    use super::*;

    /// The names of the mutants of a file that is new.
    fn names(text: &str) -> Vec<String> {
        let file = File::new("steps/step1/src/a.rs".into(), text, None).unwrap();
        let step = Step { files: BTreeMap::from([("a".into(), file)]), ..Step::default() };
        let all = super::all(&step).unwrap();
        all.iter().map(|it| it.name.trim_start_matches("src/a.rs ").to_string()).collect()
    }

    #[test]
    fn a_line_is_changed_in_the_usual_ways() {
        let text = "fn f() -> Result<(), E> {\n    a()?;\n    b(A | B)?;\n    Ok(())\n}\n";
        let expected = [
            "f: without `a()?;`",
            "f: the error of `a()` is ignored",
            "f: without `b(A | B)?;`",
            "f: the error of `b(A | B)` is ignored",
            "f: `a()?;` and `b(A | B)?;` are swapped",
            "f: `A | B` → `A`",
            "f: `A | B` → `B`",
        ];
        assert_eq!(names(text), expected);
        let text = "fn f(n: u8) -> bool {\n    !(n < 7)\n}\n";
        let expected = [
            "f: `!(n < 7)` → `(n < 7)`",
            "f: `n < 7` → <=",
            "f: `n < 7` → >=",
            "f: `7` → `8`",
            "f: `7` → `0`",
            "f: always `true`",
            "f: always `false`",
        ];
        assert_eq!(names(text), expected);
        let text = "const A: [&str; 2] = [\"mode=0755,size=1\", \"\"];\n";
        assert!(names(text).contains(&"A: `\"mode=0755,size=1\"` → `\"size=1\"`".into()));
    }

    #[test]
    fn what_is_as_in_the_step_before_is_left_alone() {
        let old = File::new("a.rs".into(), "fn f() {\n    a();\n}\n", None).unwrap();
        let text = "fn f() {\n    a();\n    b();\n}\n";
        let file = File::new("steps/step1/src/a.rs".into(), text, Some(&old)).unwrap();
        let step = Step { files: BTreeMap::from([("a".into(), file)]), ..Step::default() };
        let names: Vec<String> = all(&step).unwrap().into_iter().map(|it| it.name).collect();
        let expected = ["src/a.rs f: without `b();`", "src/a.rs f: `a();` and `b();` are swapped"];
        assert_eq!(names, expected);
    }
}
