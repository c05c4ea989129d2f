//! The outbox: what becomes of a signature on its way.

use signet::domain::{Content, SignatureId};
use signet::ports::{Delivery, DeliveryChange, Outbox as _, Parcel, SigningLog as _, Stage, Waiting, Writes};

use crate::fixtures::{Place, Story, all, at, contract, indexes};

contract! {
    a_delivery_is_there_with_its_outcome_and_document_until_it_is_settled,
    a_commit_is_all_or_nothing_also_for_its_deliveries,
    commits_that_share_a_transaction_keep_each_delivery_to_its_own_entry,
    what_is_due_is_taken_once_and_comes_back_when_nobody_settles_it,
    the_longest_due_comes_first_and_no_more_than_asked_for,
    large_documents_are_taken_a_few_at_a_time,
    postponing_changes_stage_attempts_and_time_alone,
    a_settled_delivery_stays_settled,
    a_delivery_that_is_there_is_not_added_again,
    a_document_in_many_pieces_comes_back_whole,
    an_outcome_that_is_not_there_and_a_document_that_is_too_large_fail_their_caller_alone,
    deliveries_are_counted_by_stage,
}

async fn a_delivery_is_there_with_its_outcome_and_document_until_it_is_settled(place: Place) {
    let log = place.log();
    let story = Story::new();
    let changes = vec![DeliveryChange::Add { entry: 1, parcel: parcel("payload"), due: at(5) }];
    assert_eq!(log.commit(vec![story.intent(), story.signed()], changes).await, Ok(0));
    let delivery = Delivery {
        entry: story.signed(),
        index: 1,
        parcel: parcel("payload"),
        stage: Stage::Attach,
        attempts: 0,
        due: at(5),
    };
    let found = log.delivery(story.id).await.unwrap().unwrap();
    assert_eq!(found, Delivery { entry: found.entry.clone(), ..delivery });
    assert_eq!(found.entry.signing(), Some(&story.signing()));

    log.commit(vec![story.attached()], vec![DeliveryChange::Settle { id: story.id }]).await.unwrap();
    assert_eq!(log.delivery(story.id).await, Ok(None));
    assert_eq!(indexes(&log, all()).await, [0, 1, 2]);
}

async fn a_commit_is_all_or_nothing_also_for_its_deliveries(place: Place) {
    let log = place.log();
    let (first, second) = (Story::new(), Story::new());
    add(&log, &first, "first", 0).await;
    let mut large = second.signed();
    large.principal = "x".repeat(70_000);
    let changes = vec![
        DeliveryChange::Settle { id: first.id },
        DeliveryChange::Add { entry: 0, parcel: parcel("second"), due: at(0) },
    ];
    assert!(log.commit(vec![second.signed(), large], changes).await.is_err());
    assert!(log.delivery(first.id).await.unwrap().is_some());
    assert_eq!(log.delivery(second.id).await, Ok(None));
}

async fn commits_that_share_a_transaction_keep_each_delivery_to_its_own_entry(place: Place) {
    let log = place.log();
    let stories: Vec<_> = (0..200).map(|_| Story::new()).collect();
    futures::future::join_all(stories.iter().map(async |story| {
        let document = parcel(&story.id.to_string());
        let changes = vec![DeliveryChange::Add { entry: 1, parcel: document, due: at(0) }];
        log.commit(vec![story.intent(), story.signed(), story.not_attached()], changes).await.unwrap();
    }))
    .await;
    for story in stories {
        let delivery = log.delivery(story.id).await.unwrap().unwrap();
        assert_eq!(delivery.entry.signing().unwrap().id, story.id);
        assert_eq!(delivery.entry.kind(), "outcome");
        assert_eq!(delivery.parcel, parcel(&story.id.to_string()));
    }
}

async fn what_is_due_is_taken_once_and_comes_back_when_nobody_settles_it(place: Place) {
    let log = place.log();
    let story = Story::new();
    add(&log, &story, "payload", 10).await;
    assert_eq!(taken(&log, 9, 20).await, []);
    assert_eq!(taken(&log, 10, 20).await, [story.id]);
    assert_eq!(taken(&log, 10, 20).await, []);
    assert_eq!(taken(&log, 19, 30).await, []);
    assert_eq!(taken(&log, 20, 30).await, [story.id]);
    let delivery = log.delivery(story.id).await.unwrap().unwrap();
    assert_eq!((delivery.due, delivery.attempts), (at(30), 0));
}

async fn the_longest_due_comes_first_and_no_more_than_asked_for(place: Place) {
    let log = place.log();
    let stories: Vec<_> = (0..5).map(|_| Story::new()).collect();
    for (story, due) in stories.iter().zip([30, 10, 50, 20, 40]) {
        add(&log, story, "payload", due).await;
    }
    let deliveries = log.take_due(at(45), at(100), 3).await.unwrap();
    let ids: Vec<_> = deliveries.iter().map(|delivery| delivery.entry.signing().unwrap().id).collect();
    assert_eq!(ids, [stories[1].id, stories[3].id, stories[0].id]);
    assert_eq!(taken(&log, 45, 100).await, [stories[4].id]);
}

async fn large_documents_are_taken_a_few_at_a_time(place: Place) {
    let log = place.log();
    let document = Content::from(vec![7; Parcel::MAX_BYTES]);
    let count = Writes::DOCUMENT_BYTES / Parcel::MAX_BYTES + 3;
    for _ in 0..count {
        let story = Story::new();
        let parcel = Parcel { document: document.clone(), replace: false };
        let changes = vec![DeliveryChange::Add { entry: 0, parcel, due: at(0) }];
        log.commit(vec![story.signed()], changes).await.unwrap();
    }
    let mut sizes = Vec::new();
    while let taken @ 1.. = log.take_due(at(0), at(9), 100).await.unwrap().len() {
        sizes.push(taken);
    }
    assert_eq!(sizes.iter().sum::<usize>(), count);
    assert!(sizes[0] < count, "{sizes:?}");
}

async fn postponing_changes_stage_attempts_and_time_alone(place: Place) {
    let log = place.log();
    let story = Story::new();
    add(&log, &story, "payload", 0).await;
    let before = log.delivery(story.id).await.unwrap().unwrap();
    for (stage, attempts, due) in
        [(Stage::Attach, 3, 60), (Stage::LookAgain(0), 0, 5), (Stage::LookAgain(2), 1, 600)]
    {
        let change = DeliveryChange::Postpone { id: story.id, stage, attempts, due: at(due) };
        log.commit(Vec::new(), vec![change]).await.unwrap();
        let after = log.delivery(story.id).await.unwrap().unwrap();
        assert_eq!(after, Delivery { stage, attempts, due: at(due), ..before.clone() });
        assert_eq!(taken(&log, due - 1, 9999).await, []);
    }
    assert_eq!(indexes(&log, all()).await, [0], "nothing was logged for it");
}

async fn a_settled_delivery_stays_settled(place: Place) {
    let log = place.log();
    let story = Story::new();
    add(&log, &story, "payload", 0).await;
    let settle = DeliveryChange::Settle { id: story.id };
    let postpone = DeliveryChange::Postpone { id: story.id, stage: Stage::Attach, attempts: 1, due: at(0) };
    log.commit(Vec::new(), vec![settle.clone(), postpone.clone()]).await.unwrap();
    assert_eq!(log.delivery(story.id).await, Ok(None));
    log.commit(Vec::new(), vec![postpone, settle]).await.unwrap();
    assert_eq!(taken(&log, 9, 10).await, []);
    assert_eq!(log.waiting().await, Ok(Waiting::default()));
}

async fn a_delivery_that_is_there_is_not_added_again(place: Place) {
    let log = place.log();
    let story = Story::new();
    add(&log, &story, "first", 0).await;
    add(&log, &story, "second", 9).await;
    let delivery = log.delivery(story.id).await.unwrap().unwrap();
    assert_eq!((delivery.parcel, delivery.due), (parcel("first"), at(0)));
    let settle = DeliveryChange::Settle { id: story.id };
    log.commit(Vec::new(), vec![settle]).await.unwrap();
    add(&log, &story, "third", 0).await;
    assert_eq!(log.delivery(story.id).await.unwrap().unwrap().parcel, parcel("third"));
}

async fn a_document_in_many_pieces_comes_back_whole(place: Place) {
    let log = place.log();
    for lengths in [vec![], vec![1], vec![3, 2_500_000, 1, 1_048_576, 262_144, 5]] {
        let mut document = Content::default();
        for (number, length) in (1u8..).zip(lengths) {
            document.push(vec![number; length]);
        }
        let story = Story::new();
        let parcel = Parcel { document, replace: true };
        let changes = vec![DeliveryChange::Add { entry: 0, parcel: parcel.clone(), due: at(0) }];
        log.commit(vec![story.signed()], changes).await.unwrap();
        assert!(log.delivery(story.id).await.unwrap().unwrap().parcel == parcel);
    }
}

async fn an_outcome_that_is_not_there_and_a_document_that_is_too_large_fail_their_caller_alone(place: Place) {
    let log = place.log();
    let story = Story::new();
    let add = |entry, document: Content| {
        vec![DeliveryChange::Add { entry, parcel: Parcel { document, replace: false }, due: at(0) }]
    };
    let (beyond, refusal, large, right) = tokio::join!(
        log.commit(vec![story.signed()], add(1, "payload".into())),
        log.commit(vec![story.refusal()], add(0, "payload".into())),
        log.commit(vec![story.signed()], add(0, vec![0; Parcel::MAX_BYTES + 1].into())),
        log.commit(vec![story.signed()], add(0, "payload".into())),
    );
    for error in [beyond, refusal] {
        assert!(error.unwrap_err().to_string().contains("there is no outcome"));
    }
    assert!(large.unwrap_err().to_string().contains("25165824 bytes"));
    assert_eq!(right, Ok(0));
}

async fn deliveries_are_counted_by_stage(place: Place) {
    let log = place.log();
    assert_eq!(log.waiting().await, Ok(Waiting::default()));
    let stories: Vec<_> = (0..5).map(|_| Story::new()).collect();
    for story in &stories {
        add(&log, story, "payload", 0).await;
    }
    let later = |story: &Story| DeliveryChange::Postpone {
        id: story.id,
        stage: Stage::LookAgain(1),
        attempts: 0,
        due: at(60),
    };
    let changes = vec![later(&stories[0]), later(&stories[1]), DeliveryChange::Settle { id: stories[2].id }];
    log.commit(Vec::new(), changes).await.unwrap();
    assert_eq!(log.waiting().await, Ok(Waiting { attach: 2, look_again: 2 }));
}

fn parcel(document: &str) -> Parcel {
    Parcel { document: Content::from(document.to_owned()), replace: false }
}

async fn add(log: &signet::log::GroupCommitLog, story: &Story, document: &str, due: i64) {
    let changes = vec![DeliveryChange::Add { entry: 0, parcel: parcel(document), due: at(due) }];
    log.commit(vec![story.signed()], changes).await.unwrap();
}

/// The names of what is due.
async fn taken(log: &signet::log::GroupCommitLog, now: i64, until: i64) -> Vec<SignatureId> {
    let deliveries = log.take_due(at(now), at(until), 100).await.unwrap();
    deliveries.iter().map(|delivery| delivery.entry.signing().unwrap().id).collect()
}
