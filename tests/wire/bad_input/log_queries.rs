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
        ("size=x", "size"),
        ("limit=0", "`limit`"),
        ("limit=1001", "`limit`"),
        ("limit=many", "limit"),
        ("limit=1&limit=2", "limit"),
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
