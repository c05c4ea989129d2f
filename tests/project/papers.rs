//! The papers speak of what is there: commands, files, links, paths of the API, codes, versions.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use crate::repository::{exists, files_below, read, root};
use crate::{command_line, problem_codes};

#[test]
fn the_readme_names_the_two_commands_and_they_exist() {
    let readme = read("README.md");
    for command in ["cargo run --release -- dev --demo", "tests/run", "tests/run fast"] {
        assert!(commands(&readme).contains(&command.to_owned()), "README.md does not show `{command}`");
    }
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&root().join("tests/run").metadata().unwrap().permissions());
    assert_eq!(mode & 0o111, 0o111, "tests/run can not be run");
    assert!(read("tests/run").contains("tests/run fast "), "tests/run --help does not speak of `fast`");
}

#[test]
fn every_signet_command_in_the_papers_is_one_that_signet_takes() {
    for (paper, text) in papers() {
        for command in commands(&text) {
            let rest = ["cargo run --release -- ", "cargo run -- ", "signet "];
            let Some(rest) = rest.iter().find_map(|start| command.strip_prefix(start)) else { continue };
            let complaint = command_line::complaint(rest.split_whitespace(), &BTreeMap::new());
            assert_eq!(complaint, None, "{paper}");
        }
    }
}

#[test]
fn every_link_between_the_papers_leads_somewhere() {
    let complaints: Vec<_> =
        papers().iter().flat_map(|(paper, text)| broken_links(paper, text, &exists, &read)).collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn every_file_that_the_papers_name_is_there() {
    for (paper, text) in papers() {
        let missing: Vec<_> = named_files(&text).into_iter().filter(|path| !exists(path)).collect();
        assert!(missing.is_empty(), "{paper} names {missing:?}, which are not there");
    }
}

#[test]
fn every_path_of_the_api_that_the_papers_name_is_in_the_openapi_document() {
    let document = serde_json::to_value(signet::http::openapi()).unwrap();
    for (paper, text) in papers() {
        let unknown: Vec<_> =
            named_routes(&text).into_iter().filter(|path| !is_route(path, &document)).collect();
        assert!(unknown.is_empty(), "{paper} names {unknown:?}, which the API does not have");
    }
}

#[test]
fn the_readme_explains_every_code_with_its_status_and_no_other() {
    let explained = explained_codes(&read("README.md"));
    let (codes, named) = (problem_codes::codes(), explained.keys().cloned().collect());
    let (missing, unknown) = (&codes - &named, &named - &codes);
    assert!(missing.is_empty(), "README.md does not explain {missing:?}");
    assert!(unknown.is_empty(), "README.md explains {unknown:?}, which nothing answers with");
    for (code, status) in problem_codes::statuses() {
        let said = &explained[&code];
        assert!(said.contains(&status), "README.md says {said:?} of `{code}`, whose status is {status}");
    }
}

#[test]
fn the_change_log_has_the_version_that_is_built() {
    let heading = format!("## [{}]", env!("CARGO_PKG_VERSION"));
    assert!(
        read("CHANGELOG.md").lines().any(|line| line.starts_with(&heading)),
        "CHANGELOG.md has no {heading}"
    );
}

#[test]
fn nothing_in_the_project_names_a_folder_of_somebodys_machine() {
    let mut complaints = Vec::new();
    for path in files_below(".") {
        // What is no text has no lines.
        let Ok(text) = std::fs::read_to_string(root().join(&path)) else { continue };
        complaints.extend(foreign_folders(&text).map(|number| format!("{path}:{number}")));
    }
    assert!(complaints.is_empty(), "folders of somebody's machine: {complaints:?}");
}

/// Every Markdown file with its text.
fn papers() -> Vec<(String, String)> {
    let files = files_below(".").into_iter().filter(|path| path.ends_with(".md"));
    files.map(|path| (path.clone(), read(&path))).collect()
}

/// The lines of fenced blocks: without comments behind them, and with those joined that end in `\`.
fn commands(text: &str) -> Vec<String> {
    let blocks = text.split("```").skip(1).step_by(2);
    let lines = blocks.flat_map(|block| {
        let block = block.replace("\\\n", " ");
        block.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
    });
    let command = |line: String| line.split(" #").next().unwrap_or_default().trim().to_owned();
    lines.map(command).filter(|line| !line.is_empty()).collect()
}

fn broken_links(
    paper: &str,
    text: &str,
    exists: &dyn Fn(&str) -> bool,
    read: &dyn Fn(&str) -> String,
) -> Vec<String> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    let complaint = |target: &str| {
        if target.contains("://") || target.starts_with("mailto:") {
            return None;
        }
        let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
        let file = match file {
            "" => paper.to_owned(),
            file => normal(&Path::new(paper).with_file_name(file)),
        };
        if !exists(&file) {
            return Some(format!("{paper}: {target} leads nowhere"));
        }
        let found = anchor.is_empty() || anchors(&read(&file)).contains(anchor);
        (!found).then(|| format!("{paper}: {file} has no heading for #{anchor}"))
    };
    targets.filter_map(complaint).collect()
}

/// `docs/../README.md` → `README.md`.
fn normal(path: &Path) -> String {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => drop(normal.pop()),
            Component::CurDir => {}
            other => normal.push(other),
        }
    }
    normal.display().to_string()
}

/// The names that GitHub gives to headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings =
        text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let anchor = |heading: &str| {
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
        kept.collect::<String>().to_lowercase().replace(' ', "-")
    };
    headings.map(anchor).collect()
}

/// Words that begin with a folder of the project.
fn named_files(text: &str) -> BTreeSet<String> {
    const FOLDERS: [&str; 7] = ["src/", "tests/", "config/", "deploy/", "docs/", ".ci/", "benches/"];
    let words = text.split(|c: char| c.is_whitespace() || "`()[]\"',;|<>…".contains(c));
    let words = words.map(|word| word.trim_start_matches("./").trim_end_matches(['.', ':', '/']));
    let named = words.filter(|word| FOLDERS.iter().any(|folder| word.starts_with(folder)));
    named.filter(|word| !word.contains(['*', '$'])).map(str::to_owned).collect()
}

/// Words that contain a path of the API, without query.
fn named_routes(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| c.is_whitespace() || "`()[]\"',;|<>…?".contains(c));
    let routes = words.filter_map(|word| word.find("/v1/").map(|at| &word[at..]));
    let routes = routes.map(|route| route.trim_end_matches(['.', ':', '/', '\\']));
    routes.filter(|route| route.len() > "/v1".len()).map(str::to_owned).collect()
}

fn is_route(path: &str, document: &Value) -> bool {
    let routes = document["paths"].as_object().into_iter().flat_map(|map| map.keys());
    let matches = |route: &String| {
        let (asked, route): (Vec<_>, Vec<_>) = (path.split('/').collect(), route.split('/').collect());
        asked.len() == route.len() && route.iter().zip(&asked).all(|(r, a)| r == a || r.starts_with('{'))
    };
    routes.into_iter().any(matches)
}

/// Code and statuses of each row of the table whose first column is "Code".
fn explained_codes(text: &str) -> BTreeMap<String, Vec<u16>> {
    let table = text.lines().skip_while(|line| !line.starts_with("| Code "));
    let rows = table.take_while(|line| line.starts_with('|'));
    let row = |row: &str| {
        let (_, rest) = row.split_once('`')?;
        let (code, rest) = rest.split_once('`')?;
        let statuses = rest.split('|').nth(1)?.split(',').filter_map(|status| status.trim().parse().ok());
        Some((code.to_owned(), statuses.collect()))
    };
    rows.filter_map(row).collect()
}

/// Numbers of lines with a folder that only one machine has.
fn foreign_folders(text: &str) -> impl Iterator<Item = usize> {
    // In two halves, because this file is searched too.
    let folders = [["/ro", "ot/"].concat(), ["/ho", "me/"].concat(), ["/Us", "ers/"].concat()];
    let lines = text.lines().enumerate();
    lines
        .filter(move |(_, line)| folders.iter().any(|folder| begins_with_folder(line, folder)))
        .map(|(index, _)| index + 1)
}

/// Whether a path in `line` begins with `folder`: the middle of another path is no folder of anybody's.
fn begins_with_folder(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(place, _)| {
        !line[..place].ends_with(|before: char| before.is_alphanumeric() || "_-.}".contains(before))
    })
}

#[test]
fn a_link_to_nowhere_is_found() {
    let exists = |path: &str| ["README.md", "docs/a.md"].contains(&path);
    let read = |_: &str| "# One thing: `x`!\n".to_owned();
    let broken = |text: &str| broken_links("docs/a.md", text, &exists, &read).len();
    assert_eq!(broken("[a](b.md) [b](../README.md) [c](https://x.example/y.md) ![d](d.svg)"), 2);
    assert_eq!(broken("[a](#one-thing-x) [b](../README.md#one-thing-x) [c](#another)"), 1);
}

#[test]
fn what_a_paper_names_is_read_from_it() {
    let text = "See `src/http/mod.rs`, ./config/signet.toml: and docs/… but not src/*.rs.\n\
        ```sh\ntests/run fast   # why\ncurl http://127.0.0.1:8080/v1/keys/release?x=1\n```\n\
        | Code | Status | What to do |\n|---|---|---|\n| `a-b` | 400, 404 | `d` |\n\n| `e` | 1 | |\n";
    assert_eq!(Vec::from_iter(named_files(text)), ["config/signet.toml", "src/http/mod.rs", "tests/run"]);
    assert_eq!(Vec::from_iter(named_routes(text)), ["/v1/keys/release"]);
    assert_eq!(commands(text), ["tests/run fast", "curl http://127.0.0.1:8080/v1/keys/release?x=1"]);
    assert_eq!(explained_codes(text), BTreeMap::from([("a-b".to_owned(), vec![400, 404])]));
    assert_eq!(foreign_folders(&["x\n/ro", "ot/y\n"].concat()).collect::<Vec<_>>(), [2]);
    let document = serde_json::json!({"paths": {"/v1/keys/{name}": {}}});
    assert!(is_route("/v1/keys/release", &document) && !is_route("/v1/keys", &document));
}
