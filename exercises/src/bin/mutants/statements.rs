//! The changes of a block's statements.

use syn::spanned::Spanned;
use syn::{Block, Expr, Pat, Stmt};

use crate::changes::Changes;
use crate::words;

impl Changes<'_> {
    /// One is left out, its error is ignored, two change places.
    pub fn statements(&mut self, block: &Block) {
        let count = block.stmts.len();
        for (number, statement) in block.stmts.iter().enumerate() {
            let is_tail = number + 1 == count;
            match statement {
                Stmt::Expr(Expr::Macro(_), _) => {}
                Stmt::Expr(expression, None) if is_tail => self.tail(expression),
                Stmt::Expr(expression, _) => {
                    self.drop(statement);
                    if let Expr::Try(tried) = expression {
                        let inner = self.source(&tried.expr);
                        let what = format!("the error of {} is ignored", words::short(inner));
                        self.add(
                            vec![(statement.span().byte_range(), format!("let _ = {inner};"))],
                            what,
                        );
                    }
                }
                Stmt::Local(local) => {
                    let unused = match &local.pat {
                        Pat::Wild(_) => true,
                        Pat::Ident(name) => name.ident.to_string().starts_with('_'),
                        _ => false,
                    };
                    if unused {
                        self.drop(statement);
                    }
                }
                _ => {}
            }
        }
        for pair in block.stmts.windows(2) {
            self.swap(&pair[0], &pair[1]);
        }
    }

    /// A block's value.
    fn tail(&mut self, expression: &Expr) {
        match expression {
            Expr::If(_) | Expr::Match(_) | Expr::ForLoop(_) | Expr::While(_) => {
                self.drop(expression)
            }
            Expr::Call(_) | Expr::MethodCall(_) => {
                let text = self.source(expression);
                if ["Ok(", "Some("].iter().any(|value| text.starts_with(value)) {
                    return;
                }
                let (range, short) = (expression.span().byte_range(), words::short(text));
                self.add(vec![(range.clone(), "Ok(())".into())], format!("without {short}"));
                if !text.starts_with("Err(") {
                    let ignored = format!("{{ let _ = {text}; Ok(()) }}");
                    self.add(vec![(range, ignored)], format!("the error of {short} is ignored"));
                }
            }
            _ => {}
        }
    }

    fn swap(&mut self, first: &Stmt, second: &Stmt) {
        let (one, two) = (self.source(first), self.source(second));
        let what = format!("{} and {} are swapped", words::short(one), words::short(two));
        let ranges = [first, second].map(|statement| statement.span().byte_range());
        let [of_first, of_second] = ranges;
        let leaves = |expression: &Expr| {
            matches!(expression, Expr::Return(_) | Expr::Break(_) | Expr::Continue(_))
        };
        match (first, second) {
            (Stmt::Local(_), Stmt::Local(_)) => {}
            _ if two.starts_with("Ok(") => {}
            // What can't fail is no system call, and nobody sees when it was computed.
            (Stmt::Local(_), _) if !one.contains('?') => {}
            (_, Stmt::Local(_)) if !two.contains('?') => {}
            (Stmt::Expr(a, _), Stmt::Expr(b, _)) if leaves(a) || leaves(b) => {}
            (
                Stmt::Expr(Expr::Try(tried), Some(_)),
                Stmt::Expr(b @ (Expr::Call(_) | Expr::MethodCall(_)), None),
            ) => {
                let inner = self.source(&tried.expr).to_string();
                self.add(
                    vec![(of_first, format!("{}?;", self.source(b))), (of_second, inner)],
                    what,
                );
            }
            (_, Stmt::Expr(Expr::Call(_) | Expr::MethodCall(_) | Expr::Match(_), None)) => {}
            (Stmt::Expr(..) | Stmt::Local(_), Stmt::Expr(..) | Stmt::Local(_)) => {
                self.add(vec![(of_first, two.into()), (of_second, one.into())], what);
            }
            _ => {}
        }
    }
}
