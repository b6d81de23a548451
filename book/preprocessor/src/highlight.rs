//! Colours for Rust, made when the book is built: the classes are those of highlight.js, for which
//! mdBook's themes have the colours.

use std::sync::OnceLock;

use syntect::easy::ScopeRegionIterator;
use syntect::parsing::{ParseState, ScopeStack, SyntaxReference, SyntaxSet};

/// Scopes of Sublime's grammars, the special before the general.
const CLASSES: [(&str, &str); 9] = [
    ("comment", "comment"),
    ("string", "string"),
    ("constant.character", "string"),
    ("constant.numeric", "number"),
    ("constant.language", "literal"),
    ("entity.name.function", "title"),
    ("support.macro", "built_in"),
    ("keyword.operator", ""),
    ("keyword", "keyword"),
];

fn syntaxes() -> &'static SyntaxSet {
    static SYNTAXES: OnceLock<SyntaxSet> = OnceLock::new();
    SYNTAXES.get_or_init(SyntaxSet::load_defaults_newlines)
}

/// The lines of a Rust file as HTML.
pub fn rust(lines: &[&str]) -> Vec<String> {
    let syntax: &SyntaxReference =
        syntaxes().find_syntax_by_extension("rs").expect("Rust is among the defaults");
    let (mut state, mut stack) = (ParseState::new(syntax), ScopeStack::new());
    let line = |text: &&str| {
        let text = format!("{text}\n");
        let changes = state.parse_line(&text, syntaxes()).expect("the grammar is in order");
        let mut html = String::new();
        for (part, change) in ScopeRegionIterator::new(&changes, &text) {
            stack.apply(change).expect("the grammar is in order");
            let part = escape(part.trim_end_matches('\n'));
            match class(&stack).filter(|_| !part.is_empty()) {
                Some(class) => html += &format!("<span class=\"hljs-{class}\">{part}</span>"),
                None => html += &part,
            }
        }
        html
    };
    lines.iter().map(line).collect()
}

/// The class of the innermost scope that has one.
fn class(stack: &ScopeStack) -> Option<&'static str> {
    let scopes = stack.as_slice().iter().rev().map(|scope| scope.build_string());
    let known = |scope: String| {
        let storage = scope.starts_with("storage.type") || scope.starts_with("storage.modifier");
        let class = CLASSES.into_iter().find(|(prefix, _)| scope.starts_with(prefix));
        class.map(|(_, class)| class).or(storage.then_some("keyword"))
    };
    scopes.into_iter().find_map(known).filter(|class| !class.is_empty())
}

/// Text as HTML.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
