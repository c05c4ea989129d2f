//! `GET /v1/log/entries`: questions that can not be meant.

use crate::support::World;

#[tokio::test]
async fn a_question_that_can_not_be_meant_is_refused_with_the_parameter() {
    let world = World::counted().await;
    for (query, words) in [
        ("colour=red", "colour"),
        ("Digest=x", "Digest"),
        ("digest=abc", "`digest`"),
        ("digest=sha256:abc", "`digest`"),
        ("digest=", "`digest`"),
        ("repository=app", "`repository`"),
        ("repository=registry.example.com/Team/app", "`repository`"),
        ("key_version=x", "key_version"),
        ("key_version=-1", "key_version"),
        ("kind=everything", "`kind`"),
        ("kind=Intent", "`kind`"),
        ("decision=maybe", "`decision`"),
        ("from=yesterday", "`from`"),
        ("to=2026-01-02", "`to`"),
        ("after=-1", "after"),
        ("after=x", "after"),
        ("before=-1", "before"),
        ("before=3", "`before`"),
        ("before=3&order=oldest", "`before`"),
        ("after=3&order=newest", "`after`"),
        ("after=3&before=7&order=newest", "`after`"),
        ("after=3&before=7", "`before`"),
        ("order=", "`order`"),
        ("order=Newest", "`order`"),
        ("order=newest&order=newest", "order"),
        ("size=x", "size"),
        ("limit=0", "`limit`"),
        ("limit=1001", "`limit`"),
        ("limit=many", "limit"),
        ("limit=1&limit=2", "limit"),
        ("limit=1000000000", "`limit`"),
        ("limit=18446744073709551616", "limit"),
        ("from=2026-01-02T00:00:00Z&to=2026-01-02T00:00:00Z", "`from` has to be before `to`"),
        ("from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z", "`from` has to be before `to`"),
        ("from=10000-01-01T00:00:00Z", "`from`"),
        ("operation=steal", "`operation`"),
        ("repository=registry.example.com/**a", "`repository`"),
        ("repository=registry.example.com/%5Bab%5D", "`repository`"),
    ] {
        let answer = world.get(&format!("/v1/log/entries?{query}")).await;
        world.assert_problem(&answer, 400, "invalid-request");
        assert!(answer.detail().contains(words), "{query}: {}", answer.detail());
    }
    world.assert_untouched();
}

#[tokio::test]
async fn what_nothing_matches_is_an_empty_page_and_no_error() {
    let world = World::start().await;
    let image = world.push_image().await;
    assert_eq!(world.sign_image(&image).await.status, 201);
    let unknown = signet::domain::Digest::of(b"unknown");
    for query in [
        format!("digest={unknown}"),
        "repository=registry.example.com/no/such".to_owned(),
        "principal=token:nobody".to_owned(),
        "principal=%27%20OR%201=1--".to_owned(),
        "key=no-such-key".to_owned(),
        "key=a%20b".to_owned(),
        "key_version=4294967295".to_owned(),
        "from=2999-01-01T00:00:00Z".to_owned(),
        "to=1999-01-01T00:00:00Z".to_owned(),
        "after=18446744073709551615".to_owned(),
        "size=0".to_owned(),
        "decision=deny".to_owned(),
    ] {
        assert_eq!(world.entries(&query).await, [] as [serde_json::Value; 0], "{query}");
    }
}

#[tokio::test]
async fn an_entry_that_is_not_there_is_404_and_no_number_is_400() {
    let world = World::counted().await;
    for (index, status, code) in [
        ("1000000", 404, "not-found"),
        ("18446744073709551615", 404, "not-found"),
        ("18446744073709551616", 400, "invalid-request"),
        ("-1", 400, "invalid-request"),
        ("first", 400, "invalid-request"),
        ("%00", 400, "invalid-request"),
        ("%ff", 400, "invalid-request"),
    ] {
        let answer = world.get(&format!("/v1/log/entries/{index}")).await;
        world.assert_problem(&answer, status, code);
    }
}

#[tokio::test]
async fn what_is_longer_than_any_name_is_refused_before_it_is_searched_for() {
    let world = World::counted().await;
    let long = "*".repeat(10_000);
    let glob = format!("registry.example.com/{}", "a*/".repeat(3_300));
    for path in ["/v1/log/entries", "/v1/log/signatures", "/v1/log/counts"] {
        for (name, value) in [
            ("repository", &glob),
            ("repository", &long),
            ("principal", &long),
            ("key", &long),
            ("digest", &long),
        ] {
            if path.ends_with("counts") && name == "digest" {
                continue;
            }
            let answer = world.get(&format!("{path}?{name}={value}")).await;
            world.assert_problem(&answer, 400, "invalid-request");
            assert!(answer.detail().len() < 300, "{}", answer.detail());
        }
    }
    world.assert_untouched();
}

#[tokio::test]
async fn a_question_about_signatures_that_can_not_be_meant_is_refused_with_the_parameter() {
    let world = World::counted().await;
    for (query, words) in [
        ("colour=red", "colour"),
        ("kind=outcome", "kind"),
        ("state=lost", "`state`"),
        ("state=Signed", "`state`"),
        ("state=", "`state`"),
        ("digest=sha256:abc", "`digest`"),
        ("repository=app", "`repository`"),
        ("key_version=-1", "key_version"),
        ("begin=-1", "begin"),
        ("begin=x", "begin"),
        ("limit=0", "`limit`"),
        ("limit=1000000000", "`limit`"),
        ("from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z", "`from` has to be before `to`"),
    ] {
        let answer = world.get(&format!("/v1/log/signatures?{query}")).await;
        world.assert_problem(&answer, 400, "invalid-request");
        assert!(answer.detail().contains(words), "{query}: {}", answer.detail());
    }
    world.assert_untouched();
}

#[tokio::test]
async fn counts_that_are_not_kept_are_refused_with_what_can_be_asked() {
    let world = World::counted().await;
    for (query, words) in [
        ("colour=red", "colour"),
        ("by=hour", "`by` is one of"),
        ("by=", "`by` is one of"),
        ("by=day", "1100 days"),
        ("by=day&from=2020-01-01T00:00:00Z&to=2026-01-01T00:00:00Z", "1100 days"),
        ("by=key&principal=token:ci", "counted by that"),
        ("key=release&principal=token:ci", "at once"),
        ("key_version=3", "`key`"),
        ("from=2026-01-01T12:00:00Z", "beginning of a day"),
        ("to=2026-01-01T00:00:01Z", "beginning of a day"),
        ("from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z", "`from` has to be before `to`"),
        ("top=0", "`top`"),
        ("top=1000000000", "`top`"),
        ("kind=everything", "`kind`"),
        ("decision=maybe", "`decision`"),
        ("operation=steal", "`operation`"),
    ] {
        let answer = world.get(&format!("/v1/log/counts?{query}")).await;
        world.assert_problem(&answer, 400, "invalid-request");
        assert!(answer.detail().contains(words), "{query}: {}", answer.detail());
    }
    world.assert_untouched();
}

#[tokio::test]
async fn sql_in_a_question_is_refused_or_finds_nothing() {
    let world = World::start().await;
    let image = world.push_image().await;
    assert_eq!(world.sign_image(&image).await.status, 201);
    let evil = "x%27%3B%20DROP%20TABLE%20entries%3B%20--";
    for path in ["/v1/log/entries", "/v1/log/signatures", "/v1/log/counts"] {
        for name in [
            "digest",
            "repository",
            "principal",
            "key",
            "key_version",
            "kind",
            "operation",
            "rule",
            "request_id",
            "decision",
            "state",
            "by",
            "from",
            "to",
            "after",
            "begin",
            "size",
            "limit",
            "top",
        ] {
            let answer = world.get(&format!("{path}?{name}={evil}")).await;
            match answer.status.as_u16() {
                400 => world.assert_problem(&answer, 400, "invalid-request"),
                200 => {
                    let lists = ["entries", "signatures", "groups"].map(|list| &answer.body[list]);
                    let found = lists.iter().filter_map(|list| list.as_array()).map(Vec::len).sum::<usize>();
                    assert_eq!(found, 0, "{path} {name}: {answer:?}");
                }
                _ => panic!("{path} {name}: {answer:?}"),
            }
        }
    }
    assert!(!world.entries("kind=outcome").await.is_empty());
}
