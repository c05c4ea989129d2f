//! The stable codes that the API answers with, read from the source.

use std::collections::BTreeSet;

use syn::visit::{self, Visit};
use syn::{Expr, ExprCall, ImplItemFn, ItemFn, Lit, LitStr, Pat};

use crate::repository::read;

/// Every code that `src/service/error.rs` and `src/http/problem.rs` can answer with.
pub fn codes() -> BTreeSet<String> {
    codes_of_errors().into_iter().chain(Problems::read().made).collect()
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
    /// The second argument of `Self::new(status, code, detail)`.
    made: BTreeSet<String>,
    /// Those that `status_of` gives a status.
    with_status: BTreeSet<String>,
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
        if let (Expr::Path(function), Some(Expr::Lit(code))) = (&*call.func, call.args.iter().nth(1))
            && function.path.segments.last().is_some_and(|last| last.ident == "new")
            && let Lit::Str(code) = &code.lit
        {
            self.made.insert(code.value());
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        if function.sig.ident == "status_of" {
            Patterns(&mut self.with_status).visit_block(&function.block);
        }
        visit::visit_item_fn(self, function);
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

#[test]
fn every_code_of_the_service_has_a_status_of_its_own() {
    let without: Vec<_> = codes_of_errors().difference(&Problems::read().with_status).cloned().collect();
    assert!(without.is_empty(), "src/http/problem.rs answers 500 to {without:?}");
}

#[test]
fn a_status_is_given_to_codes_that_exist_alone() {
    let codes = codes();
    let strangers: Vec<_> = Problems::read().with_status.difference(&codes).cloned().collect();
    assert!(strangers.is_empty(), "src/http/problem.rs knows codes that nothing answers with: {strangers:?}");
}
