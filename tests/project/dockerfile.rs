//! `Dockerfile` speaks of what is there, and what it makes runs without rights.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::repository::{exists, read};
use crate::{command_line, settings};

#[test]
fn the_dockerfile_speaks_of_what_is_there() {
    let complaints = complaints(&read("Dockerfile"), &read(".dockerignore"));
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// What a Dockerfile says of the image that it makes.
#[derive(Debug, Default)]
pub struct Image {
    pub environment: BTreeMap<String, String>,
    pub user: String,
    pub entrypoint: Vec<String>,
    pub command: Vec<String>,
    pub healthcheck: Vec<String>,
    pub ports: Vec<u16>,
    pub volumes: Vec<String>,
    /// Base images, in the order of the stages.
    from: Vec<String>,
    stages: Vec<String>,
    /// What is copied: from which stage, and which paths.
    copied: Vec<(Option<String>, Vec<String>)>,
    run: Vec<String>,
}

impl Image {
    pub fn read(dockerfile: &str) -> Self {
        let mut image = Self::default();
        for (instruction, rest) in instructions(dockerfile) {
            let words: Vec<_> = rest.split_whitespace().map(str::to_owned).collect();
            match instruction.as_str() {
                "FROM" => {
                    // What an earlier stage set does not reach the next one.
                    image = Self {
                        from: image.from,
                        stages: image.stages,
                        copied: image.copied,
                        run: image.run,
                        ..Self::default()
                    };
                    image.from.push(words.first().cloned().unwrap_or_default());
                    image.stages.push(words.get(2).cloned().unwrap_or_default());
                }
                "COPY" => {
                    let from = words.iter().find_map(|word| word.strip_prefix("--from=")).map(str::to_owned);
                    let mut paths: Vec<_> =
                        words.into_iter().filter(|word| !word.starts_with("--")).collect();
                    paths.pop();
                    image.copied.push((from, paths));
                }
                "ENV" => image.environment.extend(words.iter().filter_map(|word| {
                    let (name, value) = word.split_once('=')?;
                    Some((name.to_owned(), value.to_owned()))
                })),
                "RUN" => image.run.push(rest),
                "USER" => image.user = rest,
                "EXPOSE" => image.ports.extend(words.iter().filter_map(|word| word.parse::<u16>().ok())),
                "VOLUME" => image.volumes.extend(words),
                "ENTRYPOINT" => image.entrypoint = list(&rest),
                "CMD" => image.command = list(&rest),
                "HEALTHCHECK" => {
                    image.healthcheck =
                        rest.split_once("CMD ").map(|(_, rest)| list(rest)).unwrap_or_default();
                }
                _ => {}
            }
        }
        image
    }
}

/// Where the image has its binary.
pub const BINARY: &str = "/usr/local/bin/signet";

/// What is wrong with a command of the image, given as words.
pub fn command_complaint(words: &[String], environment: &BTreeMap<String, String>) -> Option<String> {
    match words.split_first() {
        None => Some("there is no command, or it is not written as a list".to_owned()),
        Some((binary, _)) if binary != BINARY => Some(format!("`{binary}` is not in the image")),
        Some((_, arguments)) => command_line::complaint(arguments.iter().map(String::as_str), environment),
    }
}

/// What is wrong with a variable's name, where Signet is to read it.
pub fn variable_complaint(name: &str) -> Option<String> {
    let known = name == "RUST_LOG"
        || command_line::variables().iter().any(|known| known == name)
        || settings::variables().contains(name);
    (!known).then(|| format!("Signet reads no variable `{name}`"))
}

/// Whether a container's user is one without rights.
pub fn is_unprivileged(user: &str) -> bool {
    let name = user.split(':').next().unwrap_or_default().trim();
    !["", "0", "root"].contains(&name)
}

/// Whether an image is named with a version that does not move.
pub fn is_pinned(image: &str) -> bool {
    image.rsplit_once(':').is_some_and(|(_, tag)| !tag.contains('/') && tag != "latest")
}

fn complaints(dockerfile: &str, dockerignore: &str) -> Vec<String> {
    let image = Image::read(dockerfile);
    let mut complaints = Vec::new();
    complaints.extend(
        image.from.iter().filter(|from| !is_pinned(from)).map(|from| format!("FROM {from} names no version")),
    );
    for (from, paths) in &image.copied {
        match from {
            Some(stage) if !image.stages.contains(stage) => {
                complaints.push(format!("COPY --from={stage}: there is no such stage"));
            }
            Some(_) => {
                let made = |path: &&String| !image.run.iter().any(|run| run.contains(path.as_str()));
                let missing = paths.iter().filter(made);
                complaints.extend(missing.map(|path| format!("COPY {path}: no RUN makes it")));
            }
            None => {
                let missing = paths.iter().filter(|path| !exists(path));
                complaints.extend(missing.map(|path| format!("COPY {path}: it is not there")));
                let allowed = |path: &&String| !dockerignore.lines().any(|line| line == format!("!{path}"));
                let ignored = paths.iter().filter(allowed);
                complaints.extend(ignored.map(|path| format!("COPY {path}: .dockerignore keeps it away")));
            }
        }
    }
    let allowed = dockerignore.lines().filter_map(|line| line.strip_prefix('!'));
    let copied = |path: &str| image.copied.iter().any(|(_, paths)| paths.iter().any(|copied| copied == path));
    complaints.extend(
        allowed.filter(|path| !copied(path)).map(|path| format!(".dockerignore lets {path} in, for nobody")),
    );

    // What a build reads beside the sources.
    for needed in ["Cargo.toml", "Cargo.lock", "askama.toml", "src"] {
        if !copied(needed) {
            complaints.push(format!("no COPY brings {needed}, which the build reads"));
        }
    }
    let manifest: toml::Table = toml::from_str(&read("Cargo.toml")).expect("cargo has read it");
    let rust = manifest["package"]["rust-version"].as_str().expect("it is a text");
    if !image.from[0].starts_with(&format!("rust:{rust}")) {
        complaints.push(format!("{} is not the Rust {rust} of Cargo.toml", image.from[0]));
    }
    let binary = manifest["package"]["default-run"].as_str().expect("it is a text");
    if !image.run.iter().any(|run| run.contains(&format!("--bin {binary} "))) {
        complaints.push(format!("no RUN builds the binary `{binary}`"));
    }

    complaints.extend(image.environment.keys().filter_map(|name| variable_complaint(name)));
    if !is_unprivileged(&image.user) {
        complaints.push(format!("USER `{}` is root", image.user));
    }
    let started = [image.entrypoint.clone(), image.command.clone()].concat();
    complaints
        .extend(command_complaint(&started, &image.environment).map(|text| format!("ENTRYPOINT: {text}")));
    if !started.iter().any(|word| word == "serve") {
        complaints.push("the image does not start the service".to_owned());
    }
    complaints.extend(
        command_complaint(&image.healthcheck, &image.environment).map(|text| format!("HEALTHCHECK: {text}")),
    );
    let http = signet::config::HttpConfig::default();
    if image.ports != [http.listen.port(), http.admin_listen.port()] {
        complaints.push(format!("EXPOSE {:?} are not the ports that the configuration has", image.ports));
    }
    if image.volumes.is_empty() {
        complaints.push("there is no VOLUME for the log".to_owned());
    }
    complaints
}

/// Each instruction with the rest of its lines, in one.
fn instructions(dockerfile: &str) -> Vec<(String, String)> {
    let lines = dockerfile.lines().filter(|line| !line.trim_start().starts_with('#'));
    let text = lines.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    let parts = text.lines().filter_map(|line| line.trim().split_once(' '));
    parts.map(|(instruction, rest)| (instruction.to_uppercase(), rest.trim().to_owned())).collect()
}

/// `["a", "b"]`; nothing where it is no list.
fn list(text: &str) -> Vec<String> {
    serde_json::from_str::<Vec<Value>>(text)
        .unwrap_or_default()
        .iter()
        .filter_map(|word| word.as_str().map(str::to_owned))
        .collect()
}

#[test]
fn what_a_dockerfile_gets_wrong_is_found() {
    let (dockerfile, dockerignore) = (read("Dockerfile"), read(".dockerignore"));
    for (right, wrong, complaint) in [
        (
            "FROM gcr.io/distroless/cc-debian12:nonroot",
            "FROM gcr.io/distroless/cc-debian12",
            "names no version",
        ),
        ("FROM rust:1.95.0-bookworm", "FROM rust:1.80.0-bookworm", "is not the Rust"),
        ("COPY src src", "COPY source src", "COPY source: it is not there"),
        ("COPY src src", "COPY src tests src", "COPY tests: .dockerignore keeps it away"),
        ("COPY src src", "", ".dockerignore lets src in"),
        (" askama.toml ./", " ./", "no COPY brings askama.toml"),
        ("--from=build /out/signet", "--from=builder /out/signet", "there is no such stage"),
        ("--from=build /out/signet", "--from=build /out/sygnet", "no RUN makes it"),
        ("--bin signet ", "--bin sygnet ", "no RUN builds the binary"),
        ("SIGNET_CONFIG=", "SIGNET_CONFIGURATION=", "reads no variable `SIGNET_CONFIGURATION`"),
        ("SIGNET_CONFIG=", "SIGNET__HTTP__PORT=1 SIGNET_CONFIG=", "reads no variable `SIGNET__HTTP__PORT`"),
        ("ENV SIGNET_CONFIG=", "ENV RUST_LOG=", "ENTRYPOINT: `signet serve`"),
        ("USER 65532:65532", "", "is root"),
        ("USER 65532:65532", "USER root", "is root"),
        ("USER 65532:65532", "USER 0:65532", "is root"),
        ("CMD [\"serve\"]", "CMD [\"server\"]", "ENTRYPOINT: `signet server"),
        ("CMD [\"serve\"]", "CMD [\"healthcheck\"]", "does not start the service"),
        ("CMD [\"serve\"]", "CMD serve", "ENTRYPOINT: `signet`"),
        ("\"healthcheck\"]", "\"health\"]", "HEALTHCHECK: `signet health"),
        ("\"healthcheck\"]", "\"healthcheck\", \"--alive\"]", "HEALTHCHECK: `signet healthcheck --alive"),
        ("HEALTHCHECK", "# HEALTHCHECK", "HEALTHCHECK: there is no command"),
        ("[\"/usr/local/bin/signet\"]", "[\"/usr/bin/signet\"]", "`/usr/bin/signet` is not in the image"),
        ("EXPOSE 8080 9090", "EXPOSE 8080", "are not the ports"),
        ("VOLUME", "# VOLUME", "no VOLUME"),
    ] {
        assert!(dockerfile.contains(right), "the Dockerfile has no `{right}`");
        let found = complaints(&dockerfile.replacen(right, wrong, 1), &dockerignore);
        assert!(found.iter().any(|found| found.contains(complaint)), "{wrong}: {found:?}");
    }
}
