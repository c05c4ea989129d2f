//! Dependencies between the rooms of `src` point the way that the map in `src/lib.rs` says.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{ItemMod, Macro, MetaList, Path, UseTree, VisRestricted};

use crate::repository::{files_below, read};

#[test]
fn the_source_keeps_to_the_map_of_its_rooms() {
    let map = Map::parse(&read("src/lib.rs")).unwrap();
    let files = files_below("src");
    let sources: Vec<_> = files.iter().filter(|path| path.ends_with(".rs")).collect();
    let mut complaints: Vec<_> = sources.iter().flat_map(|path| map.check(path, &read(path))).collect();
    let rooms: BTreeSet<_> = sources.iter().map(|path| room_of(path)).collect();
    let unused = map.rooms.keys().filter(|room| !rooms.contains(*room));
    complaints.extend(unused.map(|room| format!("the map has the room `{room}`, and src has not")));
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// Which room may know which others.
#[derive(Debug)]
struct Map {
    rooms: BTreeMap<String, BTreeSet<String>>,
}

impl Map {
    /// Reads the table `| room | subject | knows |` of a crate's documentation.
    fn parse(source: &str) -> Result<Self, String> {
        let mut rooms = BTreeMap::new();
        let rows = source.lines().filter_map(|line| line.strip_prefix("//! | "));
        for row in rows.filter(|row| row.contains('`')) {
            let cells: Vec<_> = row.trim_end_matches('|').split('|').map(str::trim).collect();
            let [names, _, knows] = cells[..] else {
                return Err(format!("a row of the map has three cells: {row}"));
            };
            let known = match knows {
                "nobody" => BTreeSet::new(),
                "all above" => rooms.keys().cloned().collect(),
                _ => quoted(knows),
            };
            if known.is_empty() && knows != "nobody" {
                return Err(format!("`{knows}` names no room; write `nobody`, `all above` or rooms"));
            }
            rooms.extend(quoted(names).into_iter().map(|room| (room, known.clone())));
        }
        let strangers: Vec<_> = rooms.values().flatten().filter(|room| !rooms.contains_key(*room)).collect();
        match (rooms.is_empty(), strangers.is_empty()) {
            (true, _) => Err("there is no map".to_owned()),
            (_, false) => Err(format!("the map knows nothing of {strangers:?}")),
            (false, true) => Ok(Self { rooms }),
        }
    }

    /// What is wrong with the directions of one file.
    fn check(&self, path: &str, source: &str) -> Vec<String> {
        let room = room_of(path);
        if room == "lib" {
            return Vec::new();
        }
        let Some(known) = self.rooms.get(&room) else {
            return vec![format!("{path}: the room `{room}` is not in the map of src/lib.rs")];
        };
        let file = syn::parse_file(source).unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut reader = Reader { module: module_of(path), named: BTreeSet::new() };
        reader.visit_file(&file);
        let complaint = |name: &Vec<String>| match name.first() {
            None => Some(format!("{path}: `{room}` takes everything from the crate's root; name the room")),
            Some(other) if *other == room || known.contains(other) => None,
            Some(other) if self.rooms.contains_key(other) => {
                Some(format!("{path}: `{room}` must not know `{other}` ({})", name.join("::")))
            }
            Some(other) => Some(format!("{path}: `{other}` is no room of the map ({})", name.join("::"))),
        };
        reader.named.iter().filter_map(complaint).collect()
    }
}

/// `[`a`], `b`` → a, b.
fn quoted(cell: &str) -> BTreeSet<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// `src/vault/client.rs` and `src/vault.rs` → `vault`.
fn room_of(path: &str) -> String {
    let below = path.strip_prefix("src/").unwrap_or(path);
    below.split('/').next().unwrap_or(below).trim_end_matches(".rs").to_owned()
}

/// `src/vault/mod.rs` → `vault`; `src/vault/client.rs` → `vault`, `client`; `src/main.rs` → nothing, a root of its own.
fn module_of(path: &str) -> Vec<String> {
    let below = path.strip_prefix("src/").unwrap_or(path).trim_end_matches(".rs");
    if below == "main" {
        return Vec::new();
    }
    below.split('/').filter(|part| *part != "mod").map(str::to_owned).collect()
}

/// Collects every name of this crate that a file uses, in whatever way.
struct Reader {
    /// Where the reader is, from the crate's root.
    module: Vec<String>,
    /// From the crate's root. An empty one is the root itself.
    named: BTreeSet<Vec<String>>,
}

impl Reader {
    fn note(&mut self, path: &[String]) {
        let Some(first) = path.first() else { return };
        let mut absolute = match first.as_str() {
            "crate" | "$crate" | "signet" => Vec::new(),
            "self" | "super" => self.module.clone(),
            // Another crate, or something that this module has named already.
            _ => return,
        };
        let rest =
            path.iter().skip_while(|name| ["crate", "signet", "self", "super"].contains(&name.as_str()));
        for _ in path.iter().filter(|name| *name == "super") {
            absolute.pop();
        }
        absolute.extend(rest.filter(|name| *name != "*").cloned());
        self.named.insert(absolute);
    }

    fn note_tree(&mut self, prefix: &mut Vec<String>, tree: &UseTree) {
        let mut note = |name: String| {
            let mut path = prefix.clone();
            path.push(name);
            self.note(&path);
        };
        match tree {
            UseTree::Name(leaf) => note(leaf.ident.to_string()),
            UseTree::Rename(leaf) => note(leaf.ident.to_string()),
            UseTree::Glob(_) => note("*".to_owned()),
            UseTree::Path(path) => {
                prefix.push(path.ident.to_string());
                self.note_tree(prefix, &path.tree);
                prefix.pop();
            }
            UseTree::Group(group) => group.items.iter().for_each(|item| self.note_tree(prefix, item)),
        }
    }

    /// Names in the tokens of a macro or an attribute, where nothing says which of them are paths.
    fn note_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.note_long(&path);
                        path.clear();
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                other => {
                    self.note_long(&path);
                    path.clear();
                    colons = 0;
                    match other {
                        TokenTree::Group(group) => self.note_tokens(group.stream()),
                        TokenTree::Literal(literal) => self.note_literal(&literal.to_string()),
                        TokenTree::Ident(_) | TokenTree::Punct(_) => {}
                    }
                }
            }
        }
        self.note_long(&path);
    }

    /// A lone `crate` in tokens is a visibility.
    fn note_long(&mut self, path: &[String]) {
        if path.len() > 1 {
            self.note(path);
        }
    }

    /// `#[serde(with = "crate::…")]`.
    fn note_literal(&mut self, literal: &str) {
        let names: Vec<_> = literal.trim_matches('"').split("::").map(str::to_owned).collect();
        self.note_long(&names);
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_use_tree(&mut self, tree: &'ast UseTree) {
        self.note_tree(&mut Vec::new(), tree);
    }

    fn visit_path(&mut self, path: &'ast Path) {
        let names: Vec<_> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        // `self` alone is a value.
        self.note_long(&names);
        visit::visit_path(self, path);
    }

    fn visit_vis_restricted(&mut self, _: &'ast VisRestricted) {}

    fn visit_macro(&mut self, item: &'ast Macro) {
        self.visit_path(&item.path);
        self.note_tokens(item.tokens.clone());
    }

    fn visit_meta_list(&mut self, list: &'ast MetaList) {
        self.note_tokens(list.tokens.clone());
    }
}

const EXAMPLE_MAP: &str = "
//! | room | subject | knows |
//! |---|---|---|
//! | [`domain`] | words | nobody |
//! | [`ports`] | traits | `domain` |
//! | [`vault`], [`registry`] | adapters | `domain`, `ports` |
//! | [`server`] | wiring | all above |
//! | `main` | the command | `server` |
";

#[test]
fn a_wrong_direction_is_found_however_it_is_written() {
    let map = Map::parse(EXAMPLE_MAP).unwrap();
    for (path, source, complaint) in [
        ("src/domain/key.rs", "use crate::vault::Client;", "`domain` must not know `vault`"),
        ("src/domain/key.rs", "use crate::{domain::Digest, server};", "`domain` must not know `server`"),
        ("src/domain/mod.rs", "use super::ports::Signer;", "`domain` must not know `ports`"),
        ("src/domain/key.rs", "use super::super::ports::Signer;", "`domain` must not know `ports`"),
        ("src/vault/client.rs", "fn f() -> crate::registry::Client { todo() }", "must not know `registry`"),
        (
            "src/vault/client.rs",
            "fn f() { let x: Vec<crate::registry::A> = g(); }",
            "must not know `registry`",
        ),
        (
            "src/vault/client.rs",
            "mod tests { use super::super::super::registry::A; }",
            "must not know `registry`",
        ),
        ("src/vault/client.rs", "#[cfg(test)] mod tests { use crate::server::Server; }", "not know `server`"),
        ("src/vault/client.rs", "fn f() { info!(x = crate::registry::A, 1); }", "must not know `registry`"),
        ("src/vault/client.rs", "fn f() { info!([{ super::super::registry::A }]); }", "not know `registry`"),
        (
            "src/vault/client.rs",
            "#[derive(D)] #[serde(with = \"crate::registry::x\")] struct S;",
            "`registry`",
        ),
        ("src/vault/client.rs", "#[schema(value_type = crate::registry::X)] struct S;", "`registry`"),
        ("src/vault/client.rs", "macro_rules! m { () => { $crate::registry::X } }", "`registry`"),
        ("src/vault/client.rs", "use crate::*;", "takes everything"),
        ("src/vault/client.rs", "use crate as signet;", "takes everything"),
        ("src/vault/client.rs", "use crate::{self as signet};", "takes everything"),
        ("src/vault.rs", "use super::*;", "takes everything"),
        ("src/vault/client.rs", "use crate::cellar::Wine;", "`cellar` is no room"),
        ("src/main.rs", "use signet::vault::Client;", "`main` must not know `vault`"),
        ("src/cellar/wine.rs", "", "`cellar` is not in the map"),
        ("src/cellar.rs", "", "`cellar` is not in the map"),
    ] {
        let complaints = map.check(path, source);
        assert!(complaints.iter().any(|found| found.contains(complaint)), "{path} {source}: {complaints:?}");
    }
}

#[test]
fn what_points_inwards_or_stays_in_its_room_is_fine() {
    let map = Map::parse(EXAMPLE_MAP).unwrap();
    for (path, source) in [
        ("src/vault/client.rs", "use crate::{domain::{Digest, Key}, ports};"),
        ("src/vault/client.rs", "use super::auth::Token; use crate::vault::keys;"),
        ("src/vault/mod.rs", "pub(crate) use client::Client; mod client; pub(in crate::vault) fn f() {}"),
        ("src/vault/client.rs", "use registry::elsewhere; mod tests { use super::*; }"),
        ("src/vault/client.rs", "/// Unlike [`crate::registry`].\nstruct S;"),
        ("src/vault/client.rs", "impl S { fn f(&self) { self.g(); assert!(self.x == crate::domain::X); } }"),
        ("src/server/mod.rs", "use crate::{domain, ports, registry, vault};"),
        ("src/main.rs", "use signet::server::run; use std::process;"),
    ] {
        assert_eq!(map.check(path, source), Vec::<String>::new(), "{path} {source}");
    }
}

#[test]
fn a_map_that_can_not_be_read_is_an_error() {
    for text in [
        "",
        "//! | [`domain`] | words |",
        "//! | [`domain`] | words | everybody |",
        "//! | [`domain`] | words | `ports` |",
    ] {
        Map::parse(text).unwrap_err();
    }
}
