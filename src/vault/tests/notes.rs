//! The log's own key.

use std::sync::Mutex;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::fake_vault::{Call, data, error};
use super::*;
use crate::config::LogConfig;
use crate::ports::NoteSigner;
use crate::tlog::{Note, VerifierKey};
use crate::vault::TransitNotes;

const ORIGIN: &str = "signet.example.com/log";
const TEXT: &str = "signet.example.com/log\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n";

/// What Vault has: by version, and how many hours ago each was made.
#[derive(Clone)]
struct LogKey {
    versions: Vec<(u32, u8, i64)>,
    settings: Value,
}

impl LogKey {
    fn of(versions: &[(u32, u8, i64)]) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self { versions: versions.to_vec(), settings: json!({}) }))
    }

    fn answer(&self) -> Value {
        let version = |(number, seed, hours): &(u32, u8, i64)| {
            let made = FixedClock.now() - jiff::SignedDuration::from_hours(*hours);
            let key = STANDARD.encode(pair(*seed).public_key());
            (
                number.to_string(),
                json!({"public_key": key, "creation_time": made.to_string(), "name": "ed25519"}),
            )
        };
        let keys: serde_json::Map<_, _> = self.versions.iter().map(version).collect();
        let mut answer = json!({
            "type": "ed25519", "keys": keys, "latest_version": self.versions.iter().map(|v| v.0).max(),
            "min_decryption_version": self.versions[0].0, "exportable": false, "derived": false,
        });
        for (name, value) in self.settings.as_object().unwrap() {
            answer[name] = value.clone();
        }
        answer
    }

    fn sign(&self, call: &Call) -> Response {
        let number = call.body["key_version"].as_u64().unwrap();
        let Some((_, seed, _)) = self.versions.iter().find(|version| u64::from(version.0) == number) else {
            return error(400, "cannot sign with this version");
        };
        let input = STANDARD.decode(call.body["batch_input"][0]["input"].as_str().unwrap()).unwrap();
        let signature = STANDARD.encode(pair(*seed).sign(&input));
        data(
            &json!({"batch_results": [{"signature": format!("vault:v{number}:{signature}"), "reference": "0"}]}),
        )
    }
}

fn pair(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

fn verifier(seed: u8) -> VerifierKey {
    VerifierKey::new(ORIGIN, pair(seed).public_key().as_ref().try_into().unwrap()).unwrap()
}

/// A holder of the log's key over a Vault that has `key`.
async fn notes(vault: &FakeVault, setup: &Setup, key: &Arc<Mutex<LogKey>>) -> Arc<TransitNotes> {
    let key = Arc::clone(key);
    vault.script(move |call| match call.path.as_str() {
        "transit/keys/signet-log" => Some(data(&key.lock().unwrap().answer())),
        "transit/sign/signet-log" => Some(key.lock().unwrap().sign(call)),
        _ => None,
    });
    started(setup)
}

/// A holder that starts anew, over what Vault answers now.
fn started(setup: &Setup) -> Arc<TransitNotes> {
    let log = LogConfig::sqlite("log.sqlite".into());
    let (archive, stop) = (Arc::clone(&setup.archive) as _, setup.shutdown.clone());
    setup.start().notes((&setup.vault, &log), ORIGIN, archive, Arc::new(FixedClock), stop).unwrap()
}

fn signers(note: &str, trusted: &[VerifierKey]) -> usize {
    note.parse::<Note>().unwrap().verify(trusted).map_or(0, |signers| signers.len())
}

#[tokio::test]
async fn a_note_is_signed_raw_with_the_pinned_newest_version() {
    let vault = FakeVault::start().await;
    let setup = Setup::new(&vault);
    let notes = notes(&vault, &setup, &LogKey::of(&[(1, 1, 100)])).await;
    let note = notes.sign_note(TEXT).await.unwrap();
    assert!(note.starts_with(&format!("{TEXT}\n— {ORIGIN} ")), "{note}");
    assert_eq!(signers(&note, &[verifier(1)]), 1);
    let calls = vault.signing_calls();
    assert_eq!(
        (calls.len(), &calls[0].body["key_version"], &calls[0].body["prehashed"]),
        (1, &json!(1), &json!(false))
    );
    assert_eq!(notes.verifier_keys().await.unwrap(), [verifier(1).to_string()]);
}

#[tokio::test]
async fn while_a_new_version_is_young_the_one_before_signs_too() {
    for (hours, count) in [(0, 2), (23, 2), (24, 1), (100, 1)] {
        let vault = FakeVault::start().await;
        let setup = Setup::new(&vault);
        let notes = notes(&vault, &setup, &LogKey::of(&[(1, 1, 900), (2, 2, 500), (3, 3, hours)])).await;
        let note = notes.sign_note(TEXT).await.unwrap();
        assert_eq!(signers(&note, &[verifier(3), verifier(2), verifier(1)]), count, "{hours}");
        assert_eq!(signers(&note, &[verifier(3)]), 1, "{hours}");
        let keys = [verifier(3), verifier(2), verifier(1)].map(|key| key.to_string());
        assert_eq!(notes.verifier_keys().await.unwrap(), keys);
    }
}

/// Puts `replacement` in the place of the only version, and asserts that it is what signs from then on.
async fn assert_followed(replacement: (u32, u8, i64)) {
    let vault = FakeVault::start().await;
    let setup = Setup::new(&vault);
    let key = LogKey::of(&[(1, 1, 100)]);
    let notes = notes(&vault, &setup, &key).await;
    notes.sign_note(TEXT).await.unwrap();
    *key.lock().unwrap() = LogKey { versions: vec![replacement], settings: json!({}) };
    let note = notes.sign_note(TEXT).await.unwrap();
    let (_, seed, _) = replacement;
    assert_eq!((signers(&note, &[verifier(seed)]), signers(&note, &[verifier(1)])), (1, 0));
    let keys = [verifier(seed), verifier(1)].map(|key| key.to_string());
    assert_eq!(notes.verifier_keys().await.unwrap(), keys, "what signed once is still to be verified");
}

#[tokio::test]
async fn a_rotation_that_archives_the_old_version_at_once_is_followed() {
    assert_followed((2, 2, 0)).await;
}

#[tokio::test]
async fn a_key_that_was_made_anew_signs_as_itself() {
    assert_followed((1, 7, 0)).await;
}

#[tokio::test]
async fn where_the_version_before_fails_the_newest_signs_alone() {
    let vault = FakeVault::start().await;
    let setup = Setup::new(&vault);
    let key = LogKey::of(&[(1, 1, 100), (2, 2, 0)]);
    let notes = notes(&vault, &setup, &key).await;
    let answered = key.lock().unwrap().clone();
    vault.script(move |call| match call.path.as_str() {
        "transit/keys/signet-log" => Some(data(&answered.answer())),
        "transit/sign/signet-log" if call.body["key_version"] == 1 => Some(error(500, "internal error")),
        "transit/sign/signet-log" => Some(answered.sign(call)),
        _ => None,
    });
    let note = notes.sign_note(TEXT).await.unwrap();
    assert_eq!((signers(&note, &[verifier(2)]), signers(&note, &[verifier(1)])), (1, 0));
}

#[tokio::test]
async fn a_key_that_could_leave_vault_or_signs_otherwise_is_refused() {
    for (settings, words) in [
        (json!({"exportable": true}), "exported or backed up"),
        (json!({"allow_plaintext_backup": true}), "exported or backed up"),
        (json!({"derived": true}), "derived"),
        (json!({"type": "ecdsa-p256"}), "not of the type ed25519"),
        (json!({"type": "ed25519ph"}), "not of the type ed25519"),
    ] {
        let vault = FakeVault::start().await;
        let setup = Setup::new(&vault);
        let key = LogKey::of(&[(1, 1, 100)]);
        key.lock().unwrap().settings = settings.clone();
        let error = notes(&vault, &setup, &key).await.sign_note(TEXT).await.unwrap_err().to_string();
        assert!(
            error.contains("`signet-log` can not sign the log's checkpoints") && error.contains(words),
            "{error}"
        );
        assert!(vault.signing_calls().is_empty(), "{settings}");
    }
}

#[tokio::test]
async fn a_signature_that_does_not_verify_is_not_handed_out() {
    let vault = FakeVault::start().await;
    let setup = Setup::new(&vault);
    let key = LogKey::of(&[(1, 1, 100)]);
    let notes = notes(&vault, &setup, &key).await;
    let published = key.lock().unwrap().clone();
    let signing = LogKey { versions: vec![(1, 9, 100)], settings: json!({}) };
    vault.script(move |call| match call.path.as_str() {
        "transit/keys/signet-log" => Some(data(&published.answer())),
        "transit/sign/signet-log" => Some(signing.sign(call)),
        _ => None,
    });
    let error = notes.sign_note(TEXT).await.unwrap_err().to_string();
    assert!(error.contains("does not verify"), "{error}");
}

#[tokio::test]
async fn while_vault_is_away_the_public_keys_that_were_kept_are_there() {
    let vault = FakeVault::start().await;
    let setup = Setup::new(&vault);
    let first = notes(&vault, &setup, &LogKey::of(&[(1, 1, 100), (2, 2, 50)])).await;
    let keys = first.verifier_keys().await.unwrap();
    vault.script(|_| Some(error(500, "internal error")));
    let second = started(&setup);
    assert_eq!(second.verifier_keys().await.unwrap(), keys);
    assert!(second.sign_note(TEXT).await.is_err());
}
