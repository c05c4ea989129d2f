//! One project that tries to sign another's images: by names that could mean another repository, and by what two
//! repositories have in common.

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use serde_json::json;
use signet::domain::Digest;

use crate::support::attached::digest_of;
use crate::support::proxy::Call;
use crate::support::{World, image};

/// Another project's repository on the same registry.
struct Foreign {
    /// `host:port/name`
    repository: String,
    /// `http://registry/v2/name`, past the proxy.
    upstream: String,
}

impl Foreign {
    fn of(world: &World) -> Self {
        let (host, name) = world.repository.split_once('/').unwrap();
        let name = format!("other/{name}");
        Self { repository: format!("{host}/{name}"), upstream: format!("{}/v2/{name}", world.registry.url) }
    }

    fn image(&self, digest: Digest) -> String {
        format!("{}@{digest}", self.repository)
    }

    /// Asserts that no call to the registry was about this repository.
    #[track_caller]
    fn assert_untouched(&self, calls: &[Call]) {
        let (_, name) = self.repository.split_once('/').unwrap();
        let about: Vec<_> = calls.iter().filter(|call| call.path.contains(name)).collect();
        assert!(about.is_empty(), "{about:?}");
    }
}

/// Copies a manifest with all that it names, so that its digest is in both.
async fn copy(world: &World, digest: Digest, to: &str) {
    let from = world.upstream();
    let get = world.client.get(format!("{from}/manifests/{digest}")).header(ACCEPT, image::MANIFEST);
    let answer = get.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let media_type = answer.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
    let manifest = answer.bytes().await.unwrap().to_vec();
    let parsed: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    for blob in [&parsed["config"], &parsed["layers"][0]] {
        let blob = format!("{from}/blobs/{}", blob["digest"].as_str().unwrap());
        let bytes = world.client.get(blob).send().await.unwrap().bytes().await.unwrap().to_vec();
        image::push_blob(&world.client, to, bytes).await;
    }
    image::put_manifest(&world.client, to, &digest.to_string(), &media_type, manifest).await;
}

/// Asserts that nothing in the registry carries somebody over from one repository into another.
#[track_caller]
fn assert_no_mounts(calls: &[Call]) {
    let mounts: Vec<_> = calls
        .iter()
        .filter(|call| {
            url::Url::parse("http://registry")
                .unwrap()
                .join(&call.path)
                .unwrap()
                .query_pairs()
                .any(|(name, _)| name == "mount" || name == "from")
        })
        .collect();
    assert!(mounts.is_empty(), "{mounts:?}");
}

#[tokio::test]
async fn no_way_to_write_a_name_leads_into_another_repository() {
    let world = World::counted().await;
    let foreign = Foreign::of(&world);
    let digest = image::push(&world.client, &foreign.upstream).await;
    let (host, own) = world.repository.split_once('/').unwrap();
    let (name, port) = host.split_once(':').unwrap();
    let (_, other) = foreign.repository.split_once('/').unwrap();
    let up = "../".repeat(own.split('/').count());
    let in_unicode = |other: &str, letter: char, like: char| other.replace(letter, &like.to_string());
    for (written, status, code, words) in [
        // As it is, and by what does not count.
        (foreign.repository.clone(), 403, "forbidden", "policy"),
        (format!("{}:v1", foreign.repository), 403, "forbidden", "policy"),
        (foreign.repository.replacen(host, &host.to_uppercase(), 1), 403, "forbidden", "policy"),
        // By a way that leads there.
        (format!("{}/{up}{other}", world.repository), 400, "invalid-request", "a-z"),
        (format!("{host}/{own}/..%2f{other}"), 400, "invalid-request", "a-z"),
        (format!("{host}/{own}%2f..%2f{other}"), 400, "invalid-request", "a-z"),
        (format!("{host}/{own}/%2e%2e/{other}"), 400, "invalid-request", "a-z"),
        (format!("{host}/{own}/%252e%252e%252f{other}"), 400, "invalid-request", "a-z"),
        (format!("{host}/{}", other.replace('/', "%2f")), 400, "invalid-request", "a-z"),
        (format!("{host}/{}", other.replace('/', "%252f")), 400, "invalid-request", "a-z"),
        (format!("{host}/{own}\\..\\{other}"), 400, "invalid-request", "a-z"),
        (format!("{host}//{other}"), 400, "invalid-request", "a-z"),
        (format!("{host}/./{other}"), 400, "invalid-request", "a-z"),
        (format!("{host}/{own}?/../{other}"), 400, "invalid-request", "a-z"),
        (format!("{host}/{own}#/../{other}"), 400, "invalid-request", "a-z"),
        (format!("{host}/{own};/{other}"), 400, "invalid-request", "a-z"),
        (format!("{host}/{own}:v1/../{other}"), 400, "invalid-request", "a-z"),
        (format!("{host}/{own}\0/{other}"), 400, "invalid-request", "a-z"),
        (format!("{host}/{own}\n{other}"), 400, "invalid-request", "a-z"),
        // In other letters.
        (format!("{host}/{}", other.to_uppercase()), 400, "invalid-request", "lower case"),
        (format!("{host}/{}", own.to_uppercase()), 400, "invalid-request", "lower case"),
        (format!("{host}/{}", in_unicode(other, 'o', 'о')), 400, "invalid-request", "a-z"),
        (format!("{host}/{}", in_unicode(other, '/', '∕')), 400, "invalid-request", "a-z"),
        (format!("{host}/{}", in_unicode(own, '/', '／')), 400, "invalid-request", "a-z"),
        (format!("{host}/{own}\u{200b}"), 400, "invalid-request", "a-z"),
        (format!("{host}/{own}\u{202e}"), 400, "invalid-request", "a-z"),
        // On what is almost this registry.
        (format!("{name}:1/{own}"), 400, "invalid-request", "configured"),
        (format!("{name}/{own}"), 400, "invalid-request", "configured"),
        (format!("{name}:443/{own}"), 400, "invalid-request", "configured"),
        (format!("localhost:{port}/{own}"), 400, "invalid-request", "configured"),
        (format!("{name}.:{port}/{own}"), 400, "invalid-request", "host"),
        (format!("{name}:0{port}/{own}"), 400, "invalid-request", "host"),
        (format!("{name}:{port}:{port}/{own}"), 400, "invalid-request", "host"),
        (format!("127.1:{port}/{own}"), 400, "invalid-request", "host"),
        (format!("0x7f.0.0.1:{port}/{own}"), 400, "invalid-request", "host"),
        (format!("[::ffff:127.0.0.1]:{port}/{own}"), 400, "invalid-request", "host"),
        (format!("１２７.0.0.1:{port}/{own}"), 400, "invalid-request", "host"),
        (format!("http://{host}/{own}"), 400, "invalid-request", "host"),
        (format!("{name}%3a{port}/{own}"), 400, "invalid-request", "host"),
    ] {
        let body = json!({"image": format!("{written}@{digest}")}).to_string();
        let answer = world.refused(body, status, code).await;
        assert!(answer.detail().contains(words), "{written:?}: {}", answer.detail());
        // Asking is no way either.
        let body = json!({"image": format!("{written}@{digest}"), "recursive": true}).to_string();
        world.refused(body, status, code).await;
    }
    assert_eq!(world.signatures(&foreign.image(digest)).await, 0);
    assert!(world.entries("kind=intent").await.is_empty());
}

#[tokio::test]
async fn a_digest_that_both_have_is_signed_in_ones_own_repository_alone() {
    let world = World::counted().await;
    let foreign = Foreign::of(&world);
    for format in ["cosign", "bundle"] {
        let own = world.push_image().await;
        let digest = digest_of(&own);
        copy(&world, digest, &foreign.upstream).await;
        let theirs = json!({"image": foreign.image(digest), "format": format}).to_string();
        world.refused(theirs.clone(), 403, "forbidden").await;

        let answer = world.sign(json!({"image": own, "format": format})).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let calls = world.registry_proxy.take_calls();
        foreign.assert_untouched(&calls);
        assert_no_mounts(&calls);
        world.refused(theirs, 403, "forbidden").await;
        assert_eq!(world.signatures(&own).await, 1);
        assert_eq!(world.signatures(&foreign.image(digest)).await, 0, "{format}");
    }
}

#[tokio::test]
async fn an_index_does_not_reach_a_child_that_is_elsewhere() {
    let world = World::counted().await;
    let foreign = Foreign::of(&world);
    let child = image::push_described(&world.client, &foreign.upstream).await;
    // A registry takes no index whose children it does not have: one of ours is replaced on the way.
    let own = world.push_child().await;
    let (index, _) = world.push_index(std::slice::from_ref(&own)).await;
    let listed = format!("/manifests/{}", own.digest);
    let theirs = format!("{}/manifests/{}", world.upstream_of(&index), child.digest);
    let not_here = world.client.get(&theirs).header(ACCEPT, image::MANIFEST).send().await.unwrap();
    assert_eq!(not_here.status(), 404, "the child is in the foreign repository alone");
    let path = theirs.trim_start_matches(world.registry.url.as_str()).to_owned();
    world.registry_proxy.break_with(move |call| {
        call.path.ends_with(&listed).then(|| crate::support::Fault::At(path.clone()))
    });
    world.take_all_calls();
    let answer = world.sign(json!({"image": index, "recursive": true})).await;
    world.assert_problem(&answer, 404, "image-not-found");
    let calls = world.registry_proxy.take_calls();
    foreign.assert_untouched(&calls);
    assert_no_mounts(&calls);
    assert!(world.vault_proxy.take_calls().is_empty(), "Vault is not asked");
    assert_eq!(world.signatures(&index).await, 0);
    assert_eq!(world.signatures(&foreign.image(child.digest)).await, 0);
}

#[tokio::test]
async fn an_index_that_names_a_child_with_a_foreign_url_reads_its_own_repository_alone() {
    let world = World::counted().await;
    let foreign = Foreign::of(&world);
    let theirs = image::push_described(&world.client, &foreign.upstream).await;
    let own = world.push_child().await;
    let mut listed = serde_json::to_value(&own).unwrap();
    listed["urls"] = json!([format!("{}/manifests/{}", foreign.upstream, theirs.digest)]);
    let index = json!({"schemaVersion": 2, "mediaType": image::INDEX, "manifests": [listed]}).to_string();
    let digest = Digest::of(index.as_bytes());
    let upstream = world.upstream();
    image::put_manifest(&world.client, &upstream, &digest.to_string(), image::INDEX, index.into_bytes())
        .await;
    let answer = world.sign(json!({"image": world.image(digest), "recursive": true})).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    foreign.assert_untouched(&world.registry_proxy.take_calls());
    assert_eq!(world.signatures(&world.image(own.digest)).await, 1);
    assert_eq!(world.signatures(&foreign.image(theirs.digest)).await, 0);
}

#[tokio::test]
async fn nothing_is_carried_over_from_another_repository() {
    let world = World::counted().await;
    for format in ["cosign", "bundle"] {
        let image = world.push_image().await;
        assert_eq!(world.sign(json!({"image": image, "format": format})).await.status, 201);
        let attestation =
            json!({"image": image, "format": format, "predicate_type": "custom", "predicate": {"a": 1}});
        assert_eq!(world.attest(attestation).await.status, 201);
        let child = world.push_child().await;
        let (index, _) = world.push_index(&[child]).await;
        let answer = world.sign(json!({"image": index, "format": format, "recursive": true})).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let calls = world.registry_proxy.take_calls();
        assert!(calls.iter().any(|call| call.path.contains("/blobs/uploads/")), "blobs were uploaded");
        assert_no_mounts(&calls);
    }
}

#[tokio::test]
async fn one_repository_has_one_signature_one_decision_and_one_place_in_the_log_however_it_is_written() {
    let mut world = World::start().await;
    let (address, path) = world.repository.split_once('/').unwrap();
    let port = address.rsplit(':').next().unwrap().to_owned();
    let (address, path) = (address.to_owned(), path.to_owned());
    let policy = world.directory.path().join("policy.yaml");
    let rules = std::fs::read_to_string(&policy).unwrap().replace(&address, &format!("localhost:{port}"));
    std::fs::write(&policy, rules).unwrap();
    world.reconfigure(|text| {
        text.replace(&format!("host = '{address}'"), &format!("host = 'LocalHost:{port}'"))
    });
    let digest = digest_of(&world.push_image().await);
    let canonical = format!("localhost:{port}/{path}@{digest}");
    for (written, status) in [
        (format!("LOCALHOST:{port}/{path}:v1@{digest}"), 201),
        (canonical.clone(), 200),
        (format!("localhost:{port}/{path}:latest@{digest}"), 200),
        (format!("Localhost:{port}/{path}@{digest}"), 200),
    ] {
        let answer = world.sign(json!({"image": written})).await;
        assert_eq!(answer.status, status, "{written}: {answer:?}");
        assert_eq!(answer.body["image"], canonical, "{written}");
    }
    assert_eq!(world.signatures(&canonical).await, 1);
    let intents = world.entries("kind=intent").await;
    assert_eq!(intents.len(), 1, "{intents:?}");
    assert_eq!(intents[0]["repository"], format!("localhost:{port}/{path}"));
    // The log is asked in any of them.
    let found = world.entries(&format!("kind=intent&repository=LOCALHOST:{port}/{path}")).await;
    assert_eq!(found, intents);
}
