//! What several replicas publish of one log.

use futures::future::join_all;
use signet::ports::{NewEntry, Transparency as _, Writes};

use crate::checkpoints::Publishing;
use crate::fixtures::{Place, Story, outside};

/// Two replicas, of which one signs and the other takes over.
#[tokio::test(flavor = "multi_thread")]
async fn replicas_publish_one_history() {
    let place = Place::postgres().await;
    let replicas = [Publishing::at(&place), Publishing::at(&place)];
    let writing = (0..8).map(async |writer| {
        let replica = &replicas[writer % 2];
        for _ in 0..25 {
            let last = replica.append(3).await;
            replica.checkpoints.covered(last).await.unwrap();
        }
    });
    join_all(writing).await;
    let heads = [replicas[0].reaches(600).await, replicas[1].reaches(600).await];
    assert_eq!(heads[0], heads[1]);
    assert_eq!(outside(|| crate::tree::whole(&*place.reader())), 600);
}

/// What a replica has written and never signed, because it died, another one covers.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_covers_what_another_has_left_behind() {
    let place = Place::postgres().await;
    let publishing = Publishing::at(&place);
    publishing.reaches(0).await;
    let entries = vec![NewEntry::try_from(Story::new().signed()).unwrap()];
    outside(|| place.store().commit(&Writes { entries, ..Writes::default() }).unwrap());
    publishing.checkpoints.covered(0).await.unwrap();
    assert_eq!(publishing.head().await.size, 1);
}
