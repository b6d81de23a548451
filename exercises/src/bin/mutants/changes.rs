//! The usual changes of an expression or a function's body: what a person might have forgotten or mixed up.

use std::ops::Range;

use syn::parse::{ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{
    BinOp, Block, Expr, ExprArray, ExprBinary, ExprCall, ExprIf, ExprLit, ExprMatch,
    ExprMethodCall, ExprPath, ExprRange, ExprUnary, ExprWhile, Lit, Macro, Pat, PatGuard, PatOr,
    RangeLimits, Token, UnOp,
};

use crate::words;

/// What is written in the place of what, and how one says it.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    pub edits: Vec<(Range<usize>, String)>,
    pub what: String,
    /// An array has one element less.
    pub shrinks: bool,
}

/// Calls whose strings are words for a person, as all strings with a blank are: another wording is no mistake.
const FOR_PEOPLE: [&str; 5] = ["explain", "cure", "expect", "note", "ok_or"];

/// Methods that are taken for each other.
const TWINS: [(&str, &str); 5] = [
    ("any", "all"),
    ("max", "min"),
    ("is_some", "is_none"),
    ("is_ok", "is_err"),
    ("is_some_and", "is_none_or"),
];

/// Finds all changes of what it visits.
pub struct Changes<'a> {
    text: &'a str,
    pub all: Vec<Change>,
    /// In so many lists of words for people.
    for_people: u32,
    /// In so many lists of flags, each of which is dropped as a whole.
    listed: u32,
}

impl<'a> Changes<'a> {
    /// None yet, of a file with this text.
    pub fn of(text: &'a str) -> Changes<'a> {
        Changes { text, all: Vec::new(), for_people: 0, listed: 0 }
    }

    pub fn source(&self, node: &impl Spanned) -> &'a str {
        &self.text[node.span().byte_range()]
    }

    pub fn add(&mut self, edits: Vec<(Range<usize>, String)>, what: String) {
        self.all.push(Change { edits, what, shrinks: false });
    }

    /// Something else in the place of it.
    fn replace(&mut self, node: &impl Spanned, new: impl Into<String>) {
        let (old, new) = (words::short(self.source(node)), new.into());
        let what = format!("{old} → {}", words::short(&new));
        self.add(vec![(node.span().byte_range(), new)], what);
    }

    pub fn drop(&mut self, node: &impl Spanned) {
        let what = format!("without {}", words::short(self.source(node)));
        self.add(vec![(node.span().byte_range(), String::new())], what);
    }

    /// Each of them is left out once.
    fn drop_each<'b>(
        &mut self,
        whole: Range<usize>,
        parts: impl Iterator<Item = &'b (impl Spanned + 'b)>,
        between: &str,
        around: [&str; 2],
    ) -> usize {
        let parts: Vec<&str> = parts.map(|part| self.source(part)).collect();
        for (number, part) in parts.iter().enumerate().filter(|_| parts.len() > 1) {
            let others: Vec<&str> = parts
                .iter()
                .enumerate()
                .filter(|(other, _)| *other != number)
                .map(|it| *it.1)
                .collect();
            let new = format!("{}{}{}", around[0], others.join(between), around[1]);
            let what = format!(
                "without {} of {}",
                words::short(part),
                words::short(&self.text[whole.clone()])
            );
            self.add(vec![(whole.clone(), new)], what);
        }
        parts.len()
    }

    /// A text that is no word for a person: a path, options, a key.
    fn string(&mut self, node: &ExprLit, value: &str) {
        let quoted = |value: &str| format!("{value:?}");
        if value.is_empty() {
            return self.replace(node, quoted("x"));
        }
        let parts: Vec<&str> = value.split(',').collect();
        if parts.len() > 1 {
            for part in &parts {
                let others: Vec<&str> =
                    parts.iter().filter(|other| *other != part).copied().collect();
                self.replace(node, quoted(&others.join(",")));
            }
        } else {
            self.replace(node, quoted(""));
        }
        for (start, end) in words::numbers(value) {
            let digits = &value[start..end];
            let Ok(number) = digits.parse::<u64>() else { continue };
            let new = format!("{:0width$}", number + 1, width = digits.len());
            self.replace(node, quoted(&format!("{}{new}{}", &value[..start], &value[end..])));
        }
    }

    fn condition(&mut self, condition: &Expr) {
        if !has_let(condition) {
            let text = self.source(condition);
            self.replace(condition, format!("!({text})"));
        }
    }
}

impl<'ast> Visit<'ast> for Changes<'_> {
    fn visit_block(&mut self, block: &'ast Block) {
        self.statements(block);
        visit::visit_block(self, block);
    }

    fn visit_expr_binary(&mut self, node: &'ast ExprBinary) {
        let (left, right) = (self.source(&node.left), self.source(&node.right));
        let between = node.left.span().byte_range().end..node.right.span().byte_range().start;
        let has_let = has_let(&node.left) || has_let(&node.right);
        let (other, halves) = words::other_operators(&node.op, has_let);
        for operator in other {
            let what = format!("{} → {operator}", words::short(self.source(node)));
            self.add(vec![(between.clone(), format!(" {operator} "))], what);
        }
        if halves {
            self.replace(node, left);
            self.replace(node, right);
        }
        let is_list = matches!(node.op, BinOp::BitOr(_));
        self.listed += u32::from(is_list);
        visit::visit_expr_binary(self, node);
        self.listed -= u32::from(is_list);
    }

    fn visit_expr_unary(&mut self, node: &'ast ExprUnary) {
        if let UnOp::Not(_) = node.op {
            self.replace(node, self.source(&node.expr));
        }
        visit::visit_expr_unary(self, node);
    }

    fn visit_expr_if(&mut self, node: &'ast ExprIf) {
        self.condition(&node.cond);
        visit::visit_expr_if(self, node);
    }

    fn visit_expr_while(&mut self, node: &'ast ExprWhile) {
        self.condition(&node.cond);
        visit::visit_expr_while(self, node);
    }

    fn visit_expr_match(&mut self, node: &'ast ExprMatch) {
        for arm in node.arms.iter().filter(|_| node.arms.len() > 1) {
            self.drop(arm);
        }
        visit::visit_expr_match(self, node);
    }

    fn visit_pat_guard(&mut self, node: &'ast PatGuard) {
        self.condition(&node.guard);
        visit::visit_pat_guard(self, node);
    }

    fn visit_pat_or(&mut self, node: &'ast PatOr) {
        self.drop_each(node.span().byte_range(), node.cases.iter(), " | ", ["", ""]);
        visit::visit_pat_or(self, node);
    }

    fn visit_expr_method_call(&mut self, node: &'ast ExprMethodCall) {
        let (whole, receiver) = (node.span().byte_range(), node.receiver.span().byte_range());
        let call = words::short(self.text[receiver.end..whole.end].trim());
        let of = words::short(&self.text[receiver.clone()]);
        self.add(vec![(receiver.end..whole.end, String::new())], format!("{of} without {call}"));
        let name = node.method.to_string();
        for (one, other) in TWINS {
            if name == one || name == other {
                self.replace(&node.method, if name == one { other } else { one });
            }
        }
        let is_for_people = FOR_PEOPLE.contains(&name.as_str());
        self.visit_expr(&node.receiver);
        self.for_people += u32::from(is_for_people);
        node.args.iter().for_each(|argument| self.visit_expr(argument));
        self.for_people -= u32::from(is_for_people);
    }

    fn visit_expr_call(&mut self, node: &'ast ExprCall) {
        let is_for_people = self.source(&node.func).ends_with("Error::new");
        self.for_people += u32::from(is_for_people);
        visit::visit_expr_call(self, node);
        self.for_people -= u32::from(is_for_people);
    }

    fn visit_expr_lit(&mut self, node: &'ast ExprLit) {
        match &node.lit {
            Lit::Int(number) => {
                let Ok(value) = number.base10_parse::<u64>() else { return };
                self.replace(node, format!("{}{}", value + 1, number.suffix()));
                if value > 0 {
                    self.replace(node, format!("0{}", number.suffix()));
                }
            }
            Lit::Bool(value) => self.replace(node, (!value.value).to_string()),
            Lit::Byte(value) => self.replace(node, format!("{}u8", u32::from(value.value()) + 1)),
            Lit::Str(text) if self.for_people == 0 && !text.value().contains(' ') => {
                self.string(node, &text.value())
            }
            _ => {}
        }
    }

    fn visit_expr_path(&mut self, node: &'ast ExprPath) {
        if self.listed == 0
            && let Some(other) = words::other_constant(self.source(node))
        {
            self.replace(node, other);
        }
    }

    fn visit_expr_array(&mut self, node: &'ast ExprArray) {
        let before = self.all.len();
        self.drop_each(node.span().byte_range(), node.elems.iter(), ", ", ["[", "]"]);
        self.all[before..].iter_mut().for_each(|change| change.shrinks = true);
        self.listed += 1;
        visit::visit_expr_array(self, node);
        self.listed -= 1;
    }

    fn visit_expr_range(&mut self, node: &'ast ExprRange) {
        if let (Some(start), Some(end)) = (&node.start, &node.end) {
            let other = match node.limits {
                RangeLimits::HalfOpen(_) => "..=",
                RangeLimits::Closed(_) => "..",
            };
            self.replace(node, format!("{}{other}{}", self.source(start), self.source(end)));
        }
        visit::visit_expr_range(self, node);
    }

    fn visit_macro(&mut self, node: &'ast Macro) {
        let parse_matches = |input: ParseStream| {
            let value: Expr = input.parse()?;
            input.parse::<Token![,]>()?;
            let pattern = Pat::parse_multi_with_leading_vert(input)?;
            let guard = if input.parse::<Option<Token![if]>>()?.is_some() {
                Some(input.parse::<Expr>()?)
            } else {
                None
            };
            Ok((value, pattern, guard))
        };
        let tokens = node.tokens.clone();
        if node.path.is_ident("matches")
            && let Ok((value, pattern, guard)) = parse_matches.parse2(tokens.clone())
        {
            self.visit_expr(&value);
            self.visit_pat(&pattern);
            if let Some(guard) = guard {
                self.condition(&guard);
                self.visit_expr(&guard);
            }
        }
        if node.path.is_ident("vec")
            && let Ok(elements) = Punctuated::<Expr, Token![,]>::parse_terminated.parse2(tokens)
        {
            let whole = node.tokens.span().byte_range();
            self.drop_each(whole, elements.iter(), ", ", ["", ""]);
            elements.iter().for_each(|element| self.visit_expr(element));
        }
    }
}

/// Whether a condition binds something.
fn has_let(condition: &Expr) -> bool {
    match condition {
        Expr::Let(_) => true,
        Expr::Binary(node) => has_let(&node.left) || has_let(&node.right),
        _ => false,
    }
}
