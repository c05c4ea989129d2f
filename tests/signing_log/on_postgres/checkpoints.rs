//! What several replicas publish of one log.

use std::time::Duration;

use futures::future::join_all;
use signet::ports::{SigningLog as _, Transparency as _};

use crate::checkpoints::Publishing;
use crate::fixtures::{Place, Story, outside, writes};
use crate::support::postgres::Server;

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
    outside(|| place.store().commit(&writes(Story::new().signed())).unwrap());
    publishing.checkpoints.covered(0).await.unwrap();
    assert_eq!(publishing.head().await.size, 1);
}

/// The server is killed, and stays away for ten seconds.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_gone_for_ten_seconds_refuses_entries_and_loses_none() {
    let mut server = Server::start().await;
    let place = Place { url: Some(server.url()), ..Place::sqlite() };
    let publishing = Publishing::at(&place);
    let last = publishing.append(10).await;
    publishing.checkpoints.covered(last).await.unwrap();
    let before = publishing.head().await;

    server.kill();
    let away = tokio::time::sleep(Duration::from_secs(10));
    let refused = async {
        for _ in 0..3 {
            assert!(publishing.log.append(vec![Story::new().signed()]).await.is_err());
            assert!(publishing.log.ready().await.is_err());
        }
        assert_eq!(publishing.head().await, before, "what was published stays");
    };
    tokio::join!(away, refused);
    server.go().await;

    // What began while it was away may still end with that.
    let again = async {
        loop {
            if let Ok(index) = publishing.log.append(vec![Story::new().signed()]).await
                && publishing.checkpoints.covered(index).await.is_ok()
            {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), again).await.expect("it goes on");
    assert!(publishing.head().await.size > before.size);
    let size = outside(|| crate::tree::whole(&*place.reader()));
    assert_eq!(size, publishing.reaches(size).await.size);
}
