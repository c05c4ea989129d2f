//! `GET /v1/log/export`.

use std::io::Read as _;

use reqwest::Response;
use serde_json::{Value, json};

use crate::support::World;
use crate::support::attached::digest_of;

async fn ask(world: &World, query: &str) -> Response {
    let url = format!("{}/v1/log/export?{query}", world.signet.api);
    world.client.get(url).bearer_auth(&world.token).send().await.unwrap()
}

/// The lines of an export of JSON.
async fn lines(world: &World, query: &str) -> Vec<Value> {
    let response = ask(world, query).await;
    assert_eq!(response.status(), 200, "{query}");
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    let text = response.text().await.unwrap();
    assert!(text.ends_with('\n'), "{text}");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn indexes(lines: &[Value]) -> Vec<u64> {
    lines.iter().filter_map(|line| line["index"].as_u64()).collect()
}

/// A world with some signatures, a refusal and a verification; and the log's size, of a log that says no more of itself.
async fn world() -> (World, String, u64) {
    let world = World::counted().await;
    let image = world.push_image().await;
    assert_eq!(world.sign_image(&image).await.status, 201);
    for _ in 0..3 {
        assert_eq!(world.sign_image(&world.push_image().await).await.status, 201);
    }
    world.post("/v1/signatures", &world.outsider, json!({"image": image}).to_string()).await;
    // An export speaks of what a checkpoint covers, which is a moment behind.
    let size = world
        .eventually("a checkpoint covers the refusal", async || {
            let refusals = world.get("/v1/log/entries?kind=refusal").await.body;
            let index = refusals["entries"][0]["index"].as_u64()?;
            let size = ask(&world, "").await.headers()["signet-log-size"].to_str().unwrap().parse().unwrap();
            (size > index).then_some(size)
        })
        .await;
    (world, image, size)
}

#[tokio::test]
async fn an_export_has_every_entry_in_its_exact_bytes_and_says_that_it_is_complete() {
    let (world, _, size) = world().await;
    let response = ask(&world, &format!("size={size}")).await;
    assert_eq!(response.headers()["signet-log-first"], "0");
    assert_eq!(response.headers()["signet-log-size"], size.to_string());
    let text = response.text().await.unwrap();
    let (entries, last) = text.trim_end().rsplit_once('\n').unwrap();
    for (index, line) in entries.lines().enumerate() {
        let url = format!("{}/v1/log/entries/{index}", world.signet.api);
        let entry = world.client.get(url).bearer_auth(&world.token).send().await.unwrap();
        let entry = entry.text().await.unwrap();
        assert_eq!(line, format!("{{\"index\":{index},\"entry\":{entry}}}"), "the bytes as they are");
    }
    assert_eq!(entries.lines().count() as u64, size);
    assert_eq!(
        serde_json::from_str::<Value>(last).unwrap(),
        json!({"complete": true, "first": 0, "end": size, "entries": size})
    );

    // What is written meanwhile changes nothing: the same size is the same export.
    assert_eq!(world.sign_image(&world.push_image().await).await.status, 201);
    assert_eq!(ask(&world, &format!("size={size}")).await.text().await.unwrap(), text);
    let exports = world.entries("kind=export").await;
    assert!(!exports.is_empty());
    assert_eq!(exports[0]["query"]["format"], "ndjson");
    assert_eq!((&exports[0]["principal"], &exports[0]["rule"]), (&json!("token:ci"), &json!("reads")));
    assert!(exports.len() < 4, "exports that follow each other can not fill the log: {exports:?}");
}

#[tokio::test]
async fn an_export_goes_on_where_one_was_cut() {
    let (world, _, size) = world().await;
    let all = lines(&world, &format!("size={size}")).await;
    for cut in [0, 3, size - 1] {
        let rest = lines(&world, &format!("size={size}&after={cut}")).await;
        assert_eq!(indexes(&rest), (cut + 1..size).collect::<Vec<_>>());
        assert_eq!(rest.last().unwrap()["first"], cut + 1);
        let from = lines(&world, &format!("size={size}&from_index={cut}")).await;
        assert_eq!(from[..from.len() - 1], all[usize::try_from(cut).unwrap()..all.len() - 1]);
    }
    let nothing = lines(&world, &format!("size={size}&from_index={size}")).await;
    assert_eq!(nothing, [json!({"complete": true, "first": size, "end": size, "entries": 0})]);
}

#[tokio::test]
async fn an_export_takes_the_conditions_that_a_search_takes() {
    let (world, image, size) = world().await;
    let digest = digest_of(&image);
    for query in [
        format!("digest={digest}"),
        format!("digest={digest}&kind=outcome"),
        "decision=deny".to_owned(),
        "kind=attach".to_owned(),
        format!("key={}&key_version=1&kind=intent", world.key),
        "from=2999-01-01T00:00:00Z".to_owned(),
    ] {
        let found = world.entries(&format!("{query}&size={size}&limit=1000")).await;
        let exported = lines(&world, &format!("{query}&size={size}")).await;
        let (last, exported) = exported.split_last().unwrap();
        let exported: Vec<_> = exported.iter().map(|line| line["entry"].clone()).collect();
        assert_eq!(exported, found, "{query}");
        assert_eq!(last["entries"], found.len());
    }
}

#[tokio::test]
async fn a_table_has_a_row_for_each_entry_and_one_that_says_that_it_is_complete() {
    let (world, image, size) = world().await;
    let response = ask(&world, &format!("format=csv&size={size}")).await;
    assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/csv"));
    let text = response.text().await.unwrap();
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let names = reader.headers().unwrap().clone();
    let column = |name: &str| names.iter().position(|found| found == name).unwrap();
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len() as u64, size + 1);
    for (index, row) in rows[..rows.len() - 1].iter().enumerate() {
        assert_eq!(row[column("index")], index.to_string());
        let entry: Value = serde_json::from_str(&row[column("entry")]).unwrap();
        assert_eq!(entry["kind"], row[column("kind")]);
    }
    let outcome = rows.iter().find(|row| &row[column("kind")] == "outcome").unwrap();
    assert_eq!(outcome[column("digest")], digest_of(&image).to_string());
    assert_eq!((&outcome[column("result")], &outcome[column("key")]), ("signed", world.key.as_str()));
    assert_eq!(&rows.last().unwrap()[0], "complete");
}

#[tokio::test]
async fn events_of_ocsf_name_class_time_and_outcome_and_hold_the_entry() {
    let (world, image, size) = world().await;
    let events = lines(&world, &format!("format=ocsf&size={size}")).await;
    let (last, events) = events.split_last().unwrap();
    assert_eq!((&last["complete"], events.len() as u64), (&json!(true), size));
    for (index, event) in events.iter().enumerate() {
        let entry: Value = serde_json::from_str(event["raw_data"].as_str().unwrap()).unwrap();
        assert_eq!(event["metadata"]["sequence"], index);
        assert_eq!(event["metadata"]["event_code"], entry["kind"]);
        let (class, activity) =
            (event["class_uid"].as_u64().unwrap(), event["activity_id"].as_u64().unwrap());
        assert_eq!(event["type_uid"], class * 100 + activity);
        assert_eq!(event["category_uid"], class / 1000);
    }
    let of = |kind: &str| events.iter().find(|event| event["metadata"]["event_code"] == kind).unwrap();
    assert_eq!((&of("start")["class_uid"], &of("start")["activity_id"]), (&json!(6002), &json!(3)));
    let outcome = of("outcome");
    assert_eq!((&outcome["class_uid"], &outcome["status"]), (&json!(6003), &json!("Success")));
    assert_eq!(outcome["resources"][0]["uid"], digest_of(&image).to_string());
    assert_eq!(outcome["actor"]["user"]["name"], "token:ci");
    assert_eq!(
        (&of("refusal")["status_id"], &of("refusal")["api"]["operation"]),
        (&json!(2), &json!("sign"))
    );
}

#[tokio::test]
async fn an_export_is_compressed_where_that_is_asked_for() {
    let (world, _, size) = world().await;
    let url = format!("{}/v1/log/export?size={size}", world.signet.api);
    let plain = world.client.get(&url).bearer_auth(&world.token).send().await.unwrap();
    assert!(plain.headers().get("content-encoding").is_none());
    let plain = plain.text().await.unwrap();
    for (asked, compressed) in [("gzip", true), ("br, gzip;q=0.5", true), ("gzip;q=0", false), ("br", false)]
    {
        let response = world.client.get(&url).header("Accept-Encoding", asked).bearer_auth(&world.token);
        let response = response.send().await.unwrap();
        assert_eq!(response.headers().contains_key("content-encoding"), compressed, "{asked}");
        let bytes = response.bytes().await.unwrap();
        let mut text = String::new();
        match compressed {
            true => drop(flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap()),
            false => text = String::from_utf8(bytes.to_vec()).unwrap(),
        }
        assert_eq!(text, plain, "{asked}");
    }
}

#[tokio::test]
async fn an_export_that_can_not_be_meant_is_refused_with_the_parameter() {
    let (world, _, size) = world().await;
    let too_far = format!("size={}", size + 1000);
    let behind = format!("size=3&from_index={}", size + 1);
    for (query, words) in [
        ("format=xml", "xml"),
        ("from_index=-1", "from_index"),
        ("from_index=1&after=1", "from_index"),
        ("after=18446744073709551615", "after"),
        (too_far.as_str(), "size"),
        (behind.as_str(), "begin at most at 3"),
        ("limit=3", "limit"),
        ("kind=everything", "`kind`"),
        ("from=yesterday", "`from`"),
        ("format=csv&format=csv", "format"),
    ] {
        let answer = world.get(&format!("/v1/log/export?{query}")).await;
        world.assert_problem(&answer, 400, "invalid-request");
        assert!(answer.detail().contains(words), "{query}: {}", answer.detail());
    }
    let answer = world.get_as(&world.outsider, "/v1/log/export").await;
    world.assert_problem(&answer, 403, "forbidden");
}
