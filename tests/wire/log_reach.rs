//! Who sees how much of the log: `log.read` by repository.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use signet::domain::Timestamp;

use crate::support::attached::digest_of;
use crate::support::world::Settings;
use crate::support::{Answer, World};

/// A log with signatures in several repositories, one of a file, and a refusal, and readers who see different parts of it.
struct Setting {
    world: World,
    /// Images of `team/app`, `team/secret/app` and `other/app`, all below the world's repository.
    images: [String; 3],
    /// The ids of their signatures, and of the file's.
    ids: [String; 4],
    /// The log's size when all of this had happened, and every entry below it.
    size: usize,
    entries: Vec<Value>,
}

/// Sees what is below `team`, but for `team/secret`.
const TEAM: &str = "a-token-of-the-team";
/// Sees the whole log, but for `team/secret`.
const MOST: &str = "a-token-of-nearly-everybody";

impl Setting {
    async fn new() -> Self {
        let token = |name: &str, token: &str| {
            let digest = hex::encode(Sha256::digest(token));
            format!("[[identity.tokens]]\nname = '{name}'\nsha256 = '{digest}'\n")
        };
        let sections = token("team", TEAM) + &token("most", MOST);
        let mut world = World::with(Settings { sections, ..Settings::default() }).await;
        let repository = &world.repository;
        world.write_policy(&format!(
            "  - {{id: team-reads, effect: allow, identity: {{token: team}}, repositories: ['{repository}/team/**'], operations: [log.read]}}\n  \
            - {{id: most-reads, effect: allow, identity: {{token: most}}, operations: [log.read]}}\n  \
            - {{id: secrets, effect: deny, identity: {{token: [team, most]}}, repositories: ['{repository}/team/secret/**'], operations: [log.read]}}\n"
        ));
        world.restart();
        let images = [
            world.push_image_below("team/app").await,
            world.push_image_below("team/secret/app").await,
            world.push_image_below("other/app").await,
        ];
        let mut made = Vec::new();
        for image in &images {
            made.push(world.sign_image(image).await);
        }
        made.push(world.sign_blob(json!({"digest": signet::domain::Digest::of(b"file").to_string()})).await);
        let ids = made.iter().map(|answer| {
            assert_eq!(answer.status, 201, "{answer:?}");
            answer.body["id"].as_str().unwrap().to_owned()
        });
        let ids = ids.collect::<Vec<_>>().try_into().unwrap();
        for image in &images {
            let request = json!({"image": image}).to_string();
            assert_eq!(world.post("/v1/signatures", &world.outsider, request).await.status, 403);
        }
        let refusals = async || (world.entries("kind=refusal").await.len() == 3).then_some(());
        world.eventually("the refusals are logged", refusals).await;
        let size = world.searched("/v1/log/entries?limit=1").await.body["size"].as_u64().unwrap();
        let entries = world.entries(&format!("size={size}&limit=1000")).await;
        let size = usize::try_from(size).unwrap();
        assert_eq!(entries.len(), size);
        Self { world, images, ids, size, entries }
    }

    /// Whether the entry is one that whoever shows this token may see.
    fn sees(&self, token: &str, entry: &Value) -> bool {
        let Some(repository) = entry["repository"].as_str() else { return token == MOST };
        let below = repository.strip_prefix(&self.world.repository).unwrap();
        !below.starts_with("/team/secret/") && (token == MOST || below.starts_with("/team/"))
    }

    /// The entries that whoever shows this token may see, with their indexes.
    fn seen(&self, token: &str) -> Vec<(usize, &Value)> {
        self.entries.iter().enumerate().filter(|(_, entry)| self.sees(token, entry)).collect()
    }

    /// The answer to somebody who may have one.
    async fn get(&self, token: &str, path: &str) -> Value {
        let answer = self.world.get_as(token, path).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.body
    }

    /// The entries on a page and on all that follow it.
    async fn walk(&self, token: &str, path: &str) -> Vec<(usize, Value)> {
        let (mut found, mut path) = (Vec::new(), path.to_owned());
        loop {
            let page = self.get(token, &path).await;
            for entry in page["entries"].as_array().unwrap() {
                let index = usize::try_from(entry["index"].as_u64().unwrap()).unwrap();
                found.push((index, entry["entry"].clone()));
            }
            let Some(next) = page["next"].as_str() else {
                assert_eq!(page["searched_through"], self.size - 1, "nothing was left out: {page}");
                return found;
            };
            next.clone_into(&mut path);
        }
    }
}

fn owned(entries: Vec<(usize, &Value)>) -> Vec<(usize, Value)> {
    entries.into_iter().map(|(index, entry)| (index, entry.clone())).collect()
}

#[tokio::test]
async fn each_reader_finds_what_is_within_reach_on_whatever_pages_and_nothing_else() {
    let setting = Setting::new().await;
    let Setting { world, images, size, .. } = &setting;
    for token in [TEAM, MOST] {
        let seen = owned(setting.seen(token));
        assert!(!seen.is_empty() && seen.len() < *size);
        for limit in [1, 2, 1000] {
            let found = setting.walk(token, &format!("/v1/log/entries?size={size}&limit={limit}")).await;
            assert_eq!(found, seen, "{token}, {limit} at once");
        }
        // The pages that another reader was led to are this one's own.
        let first = setting.get(&world.token, &format!("/v1/log/entries?size={size}&limit=1")).await;
        let found = setting.walk(token, first["next"].as_str().unwrap()).await;
        assert_eq!(found, seen.iter().filter(|(index, _)| *index > 0).cloned().collect::<Vec<_>>());
        // Whatever else is asked for, by index, by hash, or by a pattern of repositories.
        let request = |image: &str| {
            let of = |entry: &&Value| entry["digest"] == digest_of(image).to_string();
            setting.entries.iter().find(of).unwrap()["request_id"].as_str().unwrap().to_owned()
        };
        for query in images.iter().flat_map(|image| {
            let (repository, digest) = image.split_once('@').unwrap();
            [
                format!("digest={digest}"),
                format!("repository={repository}"),
                format!("request_id={}", request(image)),
                format!("repository={}/**&kind=refusal", world.repository),
                "kind=start".to_owned(),
                format!("key={}&key_version=1&decision=allow", world.key),
                "principal=token:outsider".to_owned(),
            ]
        }) {
            let path = format!("/v1/log/entries?size={size}&limit=2&{query}");
            let all = setting.walk(&world.token, &path).await;
            let expected: Vec<_> = all.iter().filter(|(_, entry)| setting.sees(token, entry)).collect();
            let found = setting.walk(token, &path).await;
            assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{token} {query}");
        }
    }
    let reads = async || world.entries("kind=read&principal=token:team").await.pop();
    let read = world.eventually("the reading is logged", reads).await;
    assert_eq!(read["rule"], "team-reads");
    let answer = world.get_as(&world.outsider, "/v1/log/entries").await;
    world.assert_problem(&answer, 403, "forbidden");
}

#[tokio::test]
async fn an_entry_out_of_reach_is_answered_as_one_that_is_not_there() {
    let setting = Setting::new().await;
    let world = &setting.world;
    let without_id = |answer: &Answer| {
        let mut body = answer.body.clone();
        body.as_object_mut().unwrap().remove("request_id");
        body
    };
    for token in [TEAM, MOST] {
        let beyond = world.get_as(token, "/v1/log/entries/1000000").await;
        world.assert_problem(&beyond, 404, "not-found");
        for (index, entry) in setting.entries.iter().enumerate() {
            let answer = world.get_as(token, &format!("/v1/log/entries/{index}")).await;
            if setting.sees(token, entry) {
                assert_eq!((answer.status.as_u16(), &answer.body), (200, entry));
            } else {
                world.assert_problem(&answer, 404, "not-found");
                assert_eq!(without_id(&answer), without_id(&beyond), "{index}");
                assert_eq!(
                    answer.headers.keys().collect::<Vec<_>>(),
                    beyond.headers.keys().collect::<Vec<_>>()
                );
            }
        }
        // What can not be shown in part is for those who see everything; what anybody may see is as it was.
        let tile = format!("/log/tile/entries/000.p/{}", setting.size);
        world.assert_problem(&world.get_as(token, &tile).await, 403, "forbidden");
        assert_eq!(world.get_as(token, "/log/checkpoint").await.status, 200);
    }
    let tile = async || {
        let answer = world.get(&format!("/log/tile/entries/000.p/{}", setting.size)).await;
        (answer.status == 200).then_some(())
    };
    world.eventually("a checkpoint covers the entries", tile).await;
}

#[tokio::test]
async fn signatures_are_listed_and_looked_up_by_those_who_see_their_repository() {
    let setting = Setting::new().await;
    let (world, [app, secret, other, file]) = (&setting.world, &setting.ids);
    for (token, seen, hidden) in [
        (TEAM, &[app][..], &[secret, other, file][..]),
        (MOST, &[app, other, file], &[secret]),
        (&world.token, &[app, secret, other, file], &[]),
        (&world.outsider, &[], &[app, secret, other, file]),
    ] {
        for id in seen {
            let signature = setting.get(token, &format!("/v1/signatures/{id}")).await;
            assert_eq!(signature["id"], **id);
        }
        for id in hidden {
            let answer = world.get_as(token, &format!("/v1/signatures/{id}")).await;
            world.assert_problem(&answer, 404, "signature-not-found");
        }
        if seen.is_empty() {
            world.assert_problem(&world.get_as(token, "/v1/log/signatures").await, 403, "forbidden");
            continue;
        }
        for conditions in ["", "&principal=token:ci", &format!("&key={}", world.key)] {
            let (mut found, mut path) = (Vec::new(), format!("/v1/log/signatures?limit=1{conditions}"));
            loop {
                let page = setting.get(token, &path).await;
                found.extend(page["signatures"].as_array().unwrap().iter().map(|one| one["id"].clone()));
                let Some(next) = page["next"].as_str() else { break };
                next.clone_into(&mut path);
            }
            assert_eq!(found, seen.iter().map(|id| json!(id)).collect::<Vec<_>>(), "{token} {conditions}");
        }
        for (image, id) in setting.images.iter().zip(&setting.ids) {
            let (repository, digest) = image.split_once('@').unwrap();
            for condition in [format!("digest={digest}"), format!("repository={repository}")] {
                let page = setting.get(token, &format!("/v1/log/signatures?{condition}")).await;
                let found = page["signatures"].as_array().unwrap().len();
                assert_eq!(found, usize::from(seen.contains(&id)), "{token} {condition}");
            }
        }
    }
}

#[tokio::test]
async fn a_part_of_the_log_is_counted_by_repository_and_time_and_otherwise_refused() {
    let setting = Setting::new().await;
    let world = &setting.world;
    let day = format!("{}T00:00:00Z", &setting.entries[0]["time"].as_str().unwrap()[..10]);
    let days = std::time::Duration::from_secs(2 * 24 * 3600);
    let to = day.parse::<Timestamp>().unwrap().checked_add(days).unwrap();
    for token in [TEAM, MOST] {
        let seen = setting.seen(token);
        // Of what is of an image: the reading itself makes entries of other kinds.
        for kind in ["outcome", "refusal", "attach"] {
            let of_kind: Vec<_> = seen.iter().filter(|(_, entry)| entry["kind"] == kind).collect();
            for by in ["repository", "month", "day", "kind", "decision"] {
                let query = format!("by={by}&kind={kind}&from={day}&to={to}");
                let counts = setting.get(token, &format!("/v1/log/counts?{query}")).await;
                let mut expected: BTreeMap<Option<String>, u64> = BTreeMap::new();
                let text = |value: &Value| value.as_str().map(str::to_owned);
                for (_, entry) in &of_kind {
                    let group = match by {
                        "repository" => text(&entry["repository"]),
                        "month" => text(&entry["time"]).map(|time| time[..7].to_owned()),
                        "day" => text(&entry["time"]).map(|time| time[..10].to_owned()),
                        "kind" => Some(kind.to_owned()),
                        _ => Some(if kind == "refusal" { "deny" } else { "allow" }.to_owned()),
                    };
                    *expected.entry(group).or_default() += 1;
                }
                let groups = counts["groups"].as_array().unwrap().iter();
                let found = groups.map(|group| (text(&group["group"]), group["entries"].as_u64().unwrap()));
                assert_eq!(found.collect::<BTreeMap<_, _>>(), expected, "{token} {query}");
                assert_eq!(counts["entries"], of_kind.len(), "{token} {query}");
            }
        }
        for (name, is_seen) in [("team/app", true), ("team/secret/app", false), ("other/app", token == MOST)]
        {
            let query = format!("by=kind&repository={}/{name}", world.repository);
            let counts = setting.get(token, &format!("/v1/log/counts?{query}")).await;
            assert_eq!(counts["entries"].as_u64().unwrap() > 0, is_seen, "{token} {query}: {counts}");
        }
        for query in [
            "by=principal",
            "by=key",
            "by=operation",
            "by=rule",
            "by=day&principal=token:ci&from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z",
            "key=release",
            "by=kind&rule=reads",
            "operation=sign",
        ] {
            let answer = world.get_as(token, &format!("/v1/log/counts?{query}")).await;
            world.assert_problem(&answer, 400, "invalid-request");
            assert!(answer.body["detail"].as_str().unwrap().contains("some repositories"), "{answer:?}");
            assert_eq!(world.get(&format!("/v1/log/counts?{query}")).await.status, 200, "{query}");
        }
    }
    let counts = setting.get(TEAM, "/v1/log/counts?by=kind").await;
    assert_eq!(counts["entries"], setting.seen(TEAM).len(), "{counts}");
}

#[tokio::test]
async fn an_export_has_what_is_within_reach_and_says_how_much_that_is() {
    let setting = Setting::new().await;
    let (world, size) = (&setting.world, setting.size);
    for token in [TEAM, MOST] {
        let seen = setting.seen(token);
        let export = async |query: &str| {
            let url = format!("{}/v1/log/export?size={size}&{query}", world.signet.api);
            let response = world.client.get(url).bearer_auth(token).send().await.unwrap();
            assert_eq!(response.status(), 200, "{query}");
            response.text().await.unwrap()
        };
        for (conditions, kind) in [("", None), ("&kind=outcome", Some("outcome"))] {
            let expected = seen.iter().filter(|(_, entry)| kind.is_none_or(|kind| entry["kind"] == kind));
            let expected: Vec<_> = expected.copied().collect();
            let text = export(&format!("format=ndjson{conditions}")).await;
            let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            let (last, lines) = lines.split_last().unwrap();
            let found = lines.iter().map(|line| (line["index"].as_u64().unwrap() as usize, &line["entry"]));
            assert_eq!(found.collect::<Vec<_>>(), expected, "{token} {conditions}");
            assert_eq!(*last, json!({"complete": true, "first": 0, "end": size, "entries": expected.len()}));
            for format in ["csv", "ocsf"] {
                let text = export(&format!("format={format}{conditions}")).await;
                assert!(!text.contains("team/secret/"), "{token} {text}");
                let around = if format == "csv" { 2 } else { 1 };
                assert_eq!(text.lines().count(), expected.len() + around, "{token} {format}: {text}");
            }
        }
    }
    let answer = world.get_as(&world.outsider, "/v1/log/export").await;
    world.assert_problem(&answer, 403, "forbidden");
    let exports = world.entries("kind=export&principal=token:most").await;
    assert_eq!(exports[0]["rule"], "most-reads");
}

#[tokio::test]
async fn whoever_asks_what_may_be_read_is_told_of_the_whole_log_or_of_an_image() {
    let setting = Setting::new().await;
    let (world, [app, secret, other]) = (&setting.world, &setting.images);
    let about_all = "This is about the whole log: name an `image` to ask about its repository.";
    for (token, image, decision, rule, reason) in [
        (TEAM, None, "deny", json!("secrets"), format!("The rule `secrets` denies it. {about_all}")),
        (TEAM, Some(app), "allow", json!("team-reads"), "The rule `team-reads` allows it.".to_owned()),
        (TEAM, Some(secret), "deny", json!("secrets"), "The rule `secrets` denies it.".to_owned()),
        (TEAM, Some(other), "deny", Value::Null, "No rule allows it.".to_owned()),
        (MOST, Some(other), "allow", json!("most-reads"), "The rule `most-reads` allows it.".to_owned()),
        (MOST, Some(secret), "deny", json!("secrets"), "The rule `secrets` denies it.".to_owned()),
        (&world.outsider, None, "deny", Value::Null, format!("No rule allows it. {about_all}")),
    ] {
        let mut question = json!({"operation": "log.read"});
        if let Some(image) = image {
            question["image"] = json!(image);
        }
        let answer = world.post("/v1/policy/decisions", token, question.to_string()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let body = &answer.body;
        let found = (body["decision"].as_str().unwrap(), &body["rule"], body["reason"].as_str().unwrap());
        assert_eq!(found, (decision, &rule, reason.as_str()), "{token} {question}");
    }
}
