//! The stable codes that the API answers with, read from the source.

use std::collections::{BTreeMap, BTreeSet};

use syn::visit::{self, Visit};
use syn::{Arm, Expr, ExprCall, ImplItemFn, ItemFn, Lit, LitStr, Pat, Stmt};

use crate::repository::read;

/// Every code that `src/service/error.rs` and `src/http/problem.rs` can answer with.
pub fn codes() -> BTreeSet<String> {
    codes_of_errors().into_iter().chain(Problems::read().made.into_iter().map(|(code, _)| code)).collect()
}

/// Each code with a status that it comes with. Some come with several.
pub fn statuses() -> BTreeSet<(String, u16)> {
    let Problems { made, with_status } = Problems::read();
    let numbers = made.into_iter().chain(with_status);
    numbers.map(|(code, name)| (code, number(&name))).collect()
}

/// `NOT_FOUND` → 404.
fn number(name: &str) -> u16 {
    let named = |status: &u16| {
        let reason = http::StatusCode::from_u16(*status).ok().and_then(|status| status.canonical_reason());
        reason.is_some_and(|reason| reason.to_uppercase().replace([' ', '-'], "_") == name)
    };
    (100..600).find(named).unwrap_or_else(|| panic!("there is no status {name}"))
}

fn codes_of_errors() -> BTreeSet<String> {
    #[derive(Default)]
    struct Reader(BTreeSet<String>);
    impl<'ast> Visit<'ast> for Reader {
        fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
            if function.sig.ident == "code" {
                Literals(&mut self.0).visit_block(&function.block);
            }
        }
    }
    struct Literals<'a>(&'a mut BTreeSet<String>);
    impl<'ast> Visit<'ast> for Literals<'_> {
        fn visit_lit_str(&mut self, text: &'ast LitStr) {
            self.0.insert(text.value());
        }
    }
    let mut reader = Reader::default();
    reader.visit_file(&syn::parse_file(&read("src/service/error.rs")).expect("cargo has compiled it"));
    assert!(reader.0.len() > 10, "ServiceError::code is built in a way that this reader does not understand");
    reader.0
}

/// What `src/http/problem.rs` says of codes.
#[derive(Default)]
struct Problems {
    /// Code and status of each `Self::new(status, code, detail)`.
    made: BTreeSet<(String, String)>,
    /// What `status_of` says.
    with_status: BTreeMap<String, String>,
}

impl Problems {
    fn read() -> Self {
        let mut problems = Self::default();
        problems.visit_file(&syn::parse_file(&read("src/http/problem.rs")).expect("cargo has compiled it"));
        let read = !problems.made.is_empty() && !problems.with_status.is_empty();
        assert!(read, "src/http/problem.rs is built in a way that this reader does not understand");
        problems
    }
}

impl<'ast> Visit<'ast> for Problems {
    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        if let (Expr::Path(function), [status, Expr::Lit(code), ..]) = (&*call.func, &arguments(call)[..])
            && function.path.segments.last().is_some_and(|last| last.ident == "new")
            && let (Some(status), Lit::Str(code)) = (last_name(status), &code.lit)
        {
            self.made.insert((code.value(), status));
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        if function.sig.ident == "status_of" {
            Arms(&mut self.with_status).visit_block(&function.block);
        }
        visit::visit_item_fn(self, function);
    }
}

/// `"code" | "code" => StatusCode::NAME`.
struct Arms<'a>(&'a mut BTreeMap<String, String>);

impl<'ast> Visit<'ast> for Arms<'_> {
    fn visit_arm(&mut self, arm: &'ast Arm) {
        let Some(status) = last_name(&arm.body) else { return };
        let mut codes = BTreeSet::new();
        Patterns(&mut codes).visit_pat(&arm.pat);
        self.0.extend(codes.into_iter().map(|code| (code, status.clone())));
    }
}

struct Patterns<'a>(&'a mut BTreeSet<String>);

impl<'ast> Visit<'ast> for Patterns<'_> {
    fn visit_pat(&mut self, pattern: &'ast Pat) {
        if let Pat::Lit(literal) = pattern
            && let Lit::Str(code) = &literal.lit
        {
            self.0.insert(code.value());
        }
        visit::visit_pat(self, pattern);
    }
}

fn arguments(call: &ExprCall) -> Vec<Expr> {
    call.args.iter().cloned().collect()
}

/// `StatusCode::NOT_FOUND` → `NOT_FOUND`, also where it stands in braces.
fn last_name(expression: &Expr) -> Option<String> {
    if let Expr::Block(block) = expression
        && let [Stmt::Expr(inner, None)] = &block.block.stmts[..]
    {
        return last_name(inner);
    }
    let Expr::Path(path) = expression else { return None };
    path.path.segments.last().map(|segment| segment.ident.to_string())
}

#[test]
fn every_code_of_the_service_has_a_status_of_its_own() {
    let with_status = Problems::read().with_status;
    let without: Vec<_> =
        codes_of_errors().into_iter().filter(|code| !with_status.contains_key(code)).collect();
    assert!(without.is_empty(), "src/http/problem.rs answers 500 to {without:?}");
}

#[test]
fn a_status_is_given_to_codes_that_exist_alone() {
    let codes = codes();
    let with_status = Problems::read().with_status.into_keys();
    let strangers: Vec<_> = with_status.filter(|code| !codes.contains(code)).collect();
    assert!(strangers.is_empty(), "src/http/problem.rs knows codes that nothing answers with: {strangers:?}");
}
