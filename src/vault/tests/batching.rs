use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::json;

use super::fake_vault::{Call, FakeVault, data, results, signature_of};
use super::{Setup, message, signing, task, task_with, until};
use crate::domain::{HashAlgorithm, SigningInput};
use crate::ports::{Signed, Signer as _, SignerError, SigningTask};

#[tokio::test]
async fn the_first_caller_leaves_at_once_and_alone() {
    let vault = FakeVault::start().await;
    let setup = Setup::new(&vault);
    let signed = setup.start().sign(task("a")).await.unwrap();

    assert_eq!(signed.signature, signature_of(task("a").signing.payload));
    assert_eq!(signed.request_id.as_deref(), Some("b3f4"));
    let [call] = &vault.signing_calls()[..] else { panic!("not one call") };
    assert_eq!(call.path, "transit/sign/release/sha2-256");
    assert_eq!(call.header("x-signet-batch-id"), Some(&*signed.batch.to_string()));
    assert_eq!(call.header("x-vault-request"), Some("true"));
    insta::assert_json_snapshot!(call.body, @r#"
    {
      "batch_input": [
        {
          "input": "ypeBEsobvcr6wjGzmiPcTaeG7/gUfE5yuYB3ha/uSLs=",
          "reference": "0"
        }
      ],
      "key_version": 1,
      "marshaling_algorithm": "asn1",
      "prehashed": true,
      "signature_algorithm": "pkcs1v15"
    }
    "#);
}

#[tokio::test]
async fn who_comes_while_a_call_is_under_way_goes_with_the_next_and_gets_their_own_signature() {
    let vault = FakeVault::start().await;
    let gate = vault.close();
    let setup = Setup::new(&vault);
    let signer = setup.start();

    let first = signing(&signer, task("first"));
    until(|| vault.signing_calls().len() == 1).await;
    let others: Vec<_> = (0..63).map(|n| signing(&signer, task(&n.to_string()))).collect();
    until(|| setup.metrics.signing_queue.get() == 63).await;
    gate.add_permits(2);

    first.await.unwrap().unwrap();
    for (n, other) in others.into_iter().enumerate() {
        let signed = other.await.unwrap().unwrap();
        assert_eq!(signed.signature, signature_of(task(&n.to_string()).signing.payload));
    }
    assert_eq!(vault.signing_calls().iter().map(Call::items).collect::<Vec<_>>(), [1, 63]);
    assert_eq!(setup.log.commits(), [1, 63]);
    assert_eq!(setup.metrics.signing_queue.get(), 0);
}

#[tokio::test]
async fn as_many_calls_are_under_way_at_once_as_configured() {
    let vault = FakeVault::start().await;
    let gate = vault.close();
    let mut setup = Setup::new(&vault);
    setup.vault.batch.max_in_flight = 2;
    let signer = setup.start();

    let mut callers = vec![signing(&signer, task("first"))];
    until(|| vault.signing_calls().len() == 1).await;
    callers.extend((0..39).map(|n| signing(&signer, task(&n.to_string()))));
    until(|| vault.signing_calls().len() == 2 && setup.metrics.signing_queue.get() == 19).await;
    gate.add_permits(3);
    for caller in callers {
        caller.await.unwrap().unwrap();
    }
    assert_eq!(sizes(&vault), [1, 20, 19]);
}

#[tokio::test]
async fn a_group_is_under_way_until_it_is_recorded() {
    let vault = FakeVault::start().await;
    let setup = Setup::new(&vault);
    let signer = setup.start();

    let first = signer.sign(task("first")).await.unwrap();
    let others: Vec<_> = (0..3).map(|n| signing(&signer, task(&n.to_string()))).collect();
    until(|| setup.metrics.signing_queue.get() == 3).await;
    assert_eq!(sizes(&vault), [1]);
    drop(first.member);
    for other in others {
        other.await.unwrap().unwrap();
    }
    assert_eq!(sizes(&vault), [1, 3]);
}

#[tokio::test]
async fn beside_a_call_no_other_leaves_that_is_not_worth_one() {
    let vault = FakeVault::start().await;
    let gate = vault.close();
    let mut setup = Setup::new(&vault);
    setup.vault.batch.max_in_flight = 4;
    let signer = setup.start();

    let mut callers = vec![signing(&signer, task("first"))];
    until(|| vault.signing_calls().len() == 1).await;
    callers.extend((0..19).map(|n| signing(&signer, task(&n.to_string()))));
    until(|| setup.metrics.signing_queue.get() == 19).await;
    gate.add_permits(2);
    for caller in callers {
        caller.await.unwrap().unwrap();
    }
    assert_eq!(sizes(&vault), [1, 19]);
    until(|| signer.batches.active() == 0).await;
}

#[tokio::test]
async fn calls_for_slow_keys_leave_beside_each_other_one_by_one() {
    let vault = FakeVault::start().await;
    vault.set_key(json!({"type": "rsa-4096", "latest_version": 1}));
    let gate = vault.close();
    let mut setup = Setup::new(&vault);
    setup.vault.batch.max_in_flight = 2;
    let signer = setup.start();
    signer.key(&"release".parse().unwrap()).await.unwrap();
    let callers: Vec<_> = (0..3).map(|n| signing(&signer, task(&n.to_string()))).collect();
    until(|| vault.signing_calls().len() == 2 && setup.metrics.signing_queue.get() == 1).await;
    gate.add_permits(3);
    for caller in callers {
        caller.await.unwrap().unwrap();
    }
    assert_eq!(sizes(&vault), [1, 1, 1]);
}

#[tokio::test]
async fn a_call_has_at_most_the_configured_items_and_bytes() {
    for (max_items, max_bytes) in [(2, 1024 * 1024), (240, 2 * 96 + 95)] {
        let vault = FakeVault::start().await;
        let gate = vault.close();
        let mut setup = Setup::new(&vault);
        (setup.vault.batch.max_items, setup.vault.batch.max_bytes) = (max_items, max_bytes);
        let signer = setup.start();

        let mut callers = vec![signing(&signer, task("first"))];
        until(|| vault.signing_calls().len() == 1).await;
        callers.extend((0..5).map(|n| signing(&signer, task(&n.to_string()))));
        until(|| setup.metrics.signing_queue.get() == 5).await;
        gate.add_permits(4);
        for caller in callers {
            caller.await.unwrap().unwrap();
        }
        assert_eq!(vault.signing_calls().iter().map(Call::items).collect::<Vec<_>>(), [1, 2, 2, 1]);
    }
}

#[tokio::test]
async fn what_is_asked_for_at_once_takes_as_few_calls_and_commits_as_its_size_allows() {
    let vault = FakeVault::start().await;
    let setup = Setup::new(&vault);
    let tasks: Vec<_> = (0..500).map(|n| task(&n.to_string())).collect();
    let results = setup.start().sign_all(tasks.clone()).await;

    assert_eq!(results.len(), 500);
    for (task, result) in tasks.iter().zip(results) {
        assert_eq!(result.unwrap().signature, signature_of(task.signing.payload), "the order is kept");
    }
    assert_eq!(sizes(&vault), [240, 240, 20]);
    assert_eq!(setup.log.commits(), [240, 240, 20]);
    assert_eq!(setup.metrics.signing_queue.get(), 0);
}

#[tokio::test]
async fn versions_and_hashes_that_are_asked_for_at_once_have_calls_of_their_own() {
    let vault = FakeVault::start().await;
    let sha384 = SigningTask {
        input: SigningInput::Digest { algorithm: HashAlgorithm::Sha384, bytes: vec![7; 48] },
        ..task("c")
    };
    let unknown = SigningTask { key: "nobody".parse().unwrap(), ..task("d") };
    let tasks = vec![task("a"), unknown, task_with("b", 2), sha384, task("e")];
    let results = Setup::new(&vault).start().sign_all(tasks).await;

    assert!(matches!(results[1], Err(SignerError::UnknownKey(_))), "{:?}", results[1]);
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 4);
    assert_eq!(results[3].as_ref().unwrap().signature, [&b"signed "[..], &[7; 48]].concat());
    let mut calls: Vec<_> = vault
        .signing_calls()
        .iter()
        .map(|call| (call.path.clone(), call.body["key_version"].clone(), call.items()))
        .collect();
    calls.sort_by_key(|(path, version, _)| format!("{path} {version}"));
    let sha256 = "transit/sign/release/sha2-256".to_owned();
    let sha384 = "transit/sign/release/sha2-384".to_owned();
    assert_eq!(calls, [(sha256.clone(), json!(1), 2), (sha256, json!(2), 1), (sha384, json!(1), 1)]);
}

#[tokio::test]
async fn ed25519_is_given_whole_messages() {
    let vault = FakeVault::start().await;
    let signed = Setup::new(&vault).start().sign(message(3)).await.unwrap();
    assert_eq!(signed.signature, b"signed xxx");
    let [call] = &vault.signing_calls()[..] else { panic!("not one call") };
    assert_eq!(call.path, "transit/sign/release");
    insta::assert_json_snapshot!(call.body, @r#"
    {
      "batch_input": [
        {
          "input": "eHh4",
          "reference": "0"
        }
      ],
      "key_version": 1,
      "prehashed": false
    }
    "#);
}

#[tokio::test]
async fn large_messages_share_a_call_as_far_as_its_body_allows_and_one_always_fits() {
    const KIB: usize = 1024;
    let vault = FakeVault::start().await;
    let mut setup = Setup::new(&vault);
    setup.vault.batch.max_in_flight = 1;
    // 400 KiB each in base64, and one of just 1 MiB, which is Vault's limit on a string.
    let mut tasks = vec![message(300 * KIB); 5];
    tasks.insert(3, message(SigningInput::MAX_MESSAGE));
    let too_large =
        setup.start().sign_all([tasks, vec![message(SigningInput::MAX_MESSAGE + 1)]].concat()).await;

    assert_eq!(sizes(&vault), [2, 1, 1, 2]);
    assert!(too_large[..6].iter().all(Result::is_ok));
    assert!(
        matches!(too_large[6], Err(SignerError::MessageTooLarge { bytes: 786_433, .. })),
        "{:?}",
        too_large[6]
    );
    let longest = vault.signing_calls().iter().map(|call| call.body.to_string().len()).max();
    assert!(longest < Some(1024 * KIB + 200), "{longest:?}");
}

#[tokio::test]
async fn calls_for_slow_keys_are_short() {
    let vault = FakeVault::start().await;
    vault.set_key(json!({"type": "rsa-4096", "latest_version": 1}));
    let setup = Setup::new(&vault);
    let signer = setup.start();
    signer.key(&"release".parse().unwrap()).await.unwrap();
    // A twentieth of the 20 s that a call has here.
    signer.sign_all((0..200).map(|n| task(&n.to_string())).collect()).await;
    assert_eq!(sizes(&vault), [98, 98, 4]);
}

#[tokio::test]
async fn who_goes_away_leaves_no_intents_of_what_had_not_left() {
    let vault = FakeVault::start().await;
    let gate = vault.close();
    let mut setup = Setup::new(&vault);
    setup.vault.batch.max_items = 2;
    let signer = setup.start();
    let goes = {
        let signer = Arc::clone(&signer);
        tokio::spawn(async move { signer.sign_all((0..5).map(|n| task(&n.to_string())).collect()).await })
    };
    until(|| vault.signing_calls().len() == 1).await;
    goes.abort();
    assert!(goes.await.unwrap_err().is_cancelled());
    let stays = signing(&signer, task("stays"));
    until(|| setup.metrics.signing_queue.get() == 4).await;
    gate.add_permits(2);
    assert_eq!(stays.await.unwrap().unwrap().signature, signature_of(task("stays").signing.payload));
    assert_eq!(setup.log.commits(), [2, 1]);
    assert_eq!(setup.metrics.signing_queue.get(), 0);
}

#[tokio::test]
async fn versions_of_a_key_do_not_share_calls_and_leave_nothing_behind() {
    let vault = FakeVault::start().await;
    let setup = Setup::new(&vault);
    let signer = setup.start();

    let (one, two) = tokio::join!(signing(&signer, task_with("a", 1)), signing(&signer, task_with("b", 2)));
    assert!(one.unwrap().is_ok() && two.unwrap().is_ok());
    let mut versions: Vec<_> =
        vault.signing_calls().iter().map(|call| call.body["key_version"].as_u64()).collect();
    versions.sort_unstable();
    assert_eq!(versions, [Some(1), Some(2)]);
    until(|| signer.batches.active() == 0).await;
}

#[tokio::test]
async fn intents_are_durable_before_the_call_and_name_its_batch() {
    let vault = FakeVault::start().await;
    let setup = Setup::new(&vault);
    let log = Arc::clone(&setup.log);
    vault.script(move |call| {
        let intents = log.intents(call.header("x-signet-batch-id").unwrap_or_default());
        (call.is_sign() && intents != [task("a").signing.payload]).then(|| panic!("no intent: {intents:?}"))
    });
    setup.start().sign(task("a")).await.unwrap();
}

#[tokio::test]
async fn where_the_log_fails_vault_is_not_called() {
    let vault = FakeVault::start().await;
    let setup = Setup::new(&vault);
    let signer = setup.start();
    setup.log.fails.store(true, Ordering::SeqCst);
    assert!(matches!(signer.sign(task("a")).await, Err(SignerError::Log(_))));
    assert!(vault.signing_calls().is_empty());

    setup.log.fails.store(false, Ordering::SeqCst);
    assert!(signer.sign(task("a")).await.is_ok());
}

#[tokio::test]
async fn one_bad_item_fails_alone() {
    let vault = FakeVault::start().await;
    let gate = vault.close();
    vault.script(|call| {
        let mut results = results_of(call)?;
        if results.len() == 3 {
            results[1] = json!({"error": "something\n broke", "reference": "1", "key_version": 0});
        }
        Some(data(&json!({"batch_results": results})))
    });
    let setup = Setup::new(&vault);
    let results = group_of_three(&setup, &gate).await;

    assert_eq!(results[0].as_ref().unwrap().signature, signature_of(task("0").signing.payload));
    let error = results[1].as_ref().unwrap_err().to_string();
    assert!(error.ends_with(": something broke"), "{error}");
    assert_eq!(results[2].as_ref().unwrap().signature, signature_of(task("2").signing.payload));
}

#[tokio::test]
async fn a_signature_of_another_version_is_not_handed_out() {
    let vault = FakeVault::start().await;
    vault.script(|call| {
        let mut results = results_of(call)?;
        results[0]["signature"] = json!("vault:v2:c2lnbmVk");
        Some(data(&json!({"batch_results": results})))
    });
    let error = Setup::new(&vault).start().sign(task("a")).await.unwrap_err().to_string();
    assert!(error.ends_with("Vault signed with version 2 instead of 1"), "{error}");
}

#[tokio::test]
async fn what_is_no_signature_is_not_handed_out() {
    for junk in ["", "vault:v1", "vault:v1:", "vault:v1:%%%", "vault:v01x:c2lnbmVk", "c2lnbmVk"] {
        let vault = FakeVault::start().await;
        vault.script(move |call| {
            call.is_sign().then(|| data(&json!({"batch_results": [{"signature": junk, "reference": "0"}]})))
        });
        let result = Setup::new(&vault).start().sign(task("a")).await;
        assert!(matches!(result, Err(SignerError::Unavailable { .. })), "{junk}: {result:?}");
    }
}

#[tokio::test]
async fn results_that_do_not_match_the_callers_are_nobodys() {
    for change in ["missing", "added", "swapped"] {
        let vault = FakeVault::start().await;
        let gate = vault.close();
        vault.script(move |call| {
            let mut results = results_of(call)?;
            match (results.len(), change) {
                (3, "missing") => results.truncate(2),
                (3, "added") => results.push(results[0].clone()),
                (3, "swapped") => results.rotate_left(1),
                _ => {}
            }
            Some(data(&json!({"batch_results": results})))
        });
        let results = group_of_three(&Setup::new(&vault), &gate).await;
        assert!(results.iter().all(Result::is_err), "{change}: {results:?}");
    }
}

#[tokio::test]
async fn a_caller_who_goes_away_takes_nobody_with_it() {
    let vault = FakeVault::start().await;
    let gate = vault.close();
    let setup = Setup::new(&vault);
    let signer = setup.start();

    let leads = signing(&signer, task("leads"));
    until(|| vault.signing_calls().len() == 1).await;
    let stays = signing(&signer, task("stays"));
    let goes = signing(&signer, task("goes"));
    until(|| setup.metrics.signing_queue.get() == 2).await;
    leads.abort();
    goes.abort();
    assert!(leads.await.unwrap_err().is_cancelled() && goes.await.unwrap_err().is_cancelled());
    gate.add_permits(2);

    assert_eq!(stays.await.unwrap().unwrap().signature, signature_of(task("stays").signing.payload));
    // Who went away before its group left has no intent.
    assert_eq!(setup.log.commits(), [1, 1]);
}

#[tokio::test]
async fn a_panic_in_a_group_does_not_hold_up_the_next() {
    let vault = FakeVault::start().await;
    let setup = Setup::new(&vault);
    let signer = setup.start();
    setup.log.panics.store(true, Ordering::SeqCst);
    assert!(matches!(signer.sign(task("a")).await, Err(SignerError::Unavailable { .. })));
    let results = signer.sign_all(vec![task("a"), task("b")]).await;
    assert!(
        results.iter().all(|result| matches!(result, Err(SignerError::Unavailable { .. }))),
        "{results:?}"
    );

    setup.log.panics.store(false, Ordering::SeqCst);
    assert!(signer.sign(task("a")).await.is_ok());
    until(|| signer.batches.active() == 0).await;
}

/// How many signatures each call asked for.
fn sizes(vault: &FakeVault) -> Vec<usize> {
    vault.signing_calls().iter().map(Call::items).collect()
}

fn results_of(call: &Call) -> Option<Vec<serde_json::Value>> {
    call.is_sign().then(|| results(call))
}

/// One caller, and then a group of three: what the three get.
async fn group_of_three(setup: &Setup, gate: &tokio::sync::Semaphore) -> Vec<Result<Signed, SignerError>> {
    let signer = setup.start();
    let first = signing(&signer, task("first"));
    let mut three = Vec::new();
    for (waiting, text) in ["0", "1", "2"].into_iter().enumerate() {
        until(|| !setup.log.commits().is_empty() && setup.metrics.signing_queue.get() == waiting as i64)
            .await;
        three.push(signing(&signer, task(text)));
    }
    until(|| setup.metrics.signing_queue.get() == 3).await;
    gate.add_permits(2);
    first.await.unwrap().unwrap();
    futures::future::join_all(three).await.into_iter().map(Result::unwrap).collect()
}
