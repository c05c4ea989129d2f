//! What the log tells of one signature.

use signet::domain::{Attachment, Digest, State};
use signet::ports::SigningLog as _;

use crate::fixtures::{Place, Story, at, contract};

contract! {
    a_record_follows_its_signature_through_all_states,
    a_failed_intent_has_a_record_and_is_not_found,
    an_adopted_signature_is_found,
    of_two_signatures_of_one_identity_the_newest_is_found,
    whoever_asks_later_does_not_become_the_principal_of_the_record,
    another_version_or_annotation_is_another_signature,
}

async fn a_record_follows_its_signature_through_all_states(place: Place) {
    let log = place.log();
    let story = Story::new();
    let attached = || State::Attached {
        signature: b"signature".to_vec(),
        signed_at: at(0),
        attachment: Attachment { reference: "registry".to_owned(), manifest: Digest::of(b"manifest") },
    };
    assert_eq!(log.record(story.id).await, Ok(None));

    let signed = State::Signed { signature: b"signature".to_vec(), signed_at: at(0) };
    for (entry, index, state) in [
        (story.intent(), 0, State::Pending),
        (story.signed(), 1, signed.clone()),
        (story.not_attached(), 1, signed),
        (story.attached(), 1, attached()),
        (story.not_attached(), 1, attached()),
    ] {
        log.append(vec![entry]).await.unwrap();
        let record = log.record(story.id).await.unwrap().unwrap();
        assert_eq!((record.index, &record.state), (index, &state));
        assert_eq!((record.principal.as_str(), record.subject.digest), ("token:ci", story.digest));
        let found = log.find(story.identity()).await.unwrap();
        assert_eq!(found, (state != State::Pending).then_some(record), "only signatures are found again");
    }
}

async fn a_failed_intent_has_a_record_and_is_not_found(place: Place) {
    let log = place.log();
    let story = Story::new();
    log.append(vec![story.intent(), story.failed()]).await.unwrap();
    let record = log.record(story.id).await.unwrap().unwrap();
    assert_eq!((record.index, record.state), (0, State::Failed { code: "vault-sealed".to_owned() }));
    assert_eq!(log.find(story.identity()).await, Ok(None));
}

async fn an_adopted_signature_is_found(place: Place) {
    let log = place.log();
    let story = Story::new();
    log.append(vec![story.adopted()]).await.unwrap();
    let record = log.find(story.identity()).await.unwrap().unwrap();
    assert_eq!(record.signature(), Some((&b"foreign".to_vec(), at(0))));
}

async fn of_two_signatures_of_one_identity_the_newest_is_found(place: Place) {
    let log = place.log();
    let old = Story::new();
    let young = Story { second: 5, principal: "other".to_owned(), ..old.clone() };
    let young = Story { id: Story::new().id, ..young };
    log.append(vec![old.intent(), young.intent(), old.signed(), young.signed(), old.attached()])
        .await
        .unwrap();
    let record = log.find(old.identity()).await.unwrap().unwrap();
    assert_eq!((record.signing.id, record.index, record.principal.as_str()), (young.id, 3, "token:other"));
}

async fn whoever_asks_later_does_not_become_the_principal_of_the_record(place: Place) {
    let log = place.log();
    let story = Story::new();
    let later = Story { principal: "later".to_owned(), ..story.clone() };
    log.append(vec![story.intent(), story.signed(), later.attached()]).await.unwrap();
    assert_eq!(log.record(story.id).await.unwrap().unwrap().principal, "token:ci");
}

async fn another_version_or_annotation_is_another_signature(place: Place) {
    let log = place.log();
    let story = Story::new();
    log.append(vec![story.intent(), story.signed()]).await.unwrap();
    let annotated = [("k".to_owned(), "v".to_owned())].into();
    for other in [Story { version: 2, ..story.clone() }, Story { annotations: annotated, ..story.clone() }] {
        assert_eq!(log.find(other.identity()).await, Ok(None));
    }
}
