//! Public keys that outlive what Vault publishes.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use signet::domain::{KeyVersion, PublicKey, Timestamp};
use signet::ports::{ArchivedVersion, KeyArchive as _};

use crate::fixtures::{Place, at, contract};

contract! {
    versions_come_back_by_version_and_of_one_version_the_newest_last,
    what_is_kept_stays_as_it_is,
    what_was_archived_is_there_after_a_restart,
}

async fn versions_come_back_by_version_and_of_one_version_the_newest_last(place: Place) {
    let log = place.log();
    let versions = [archived("release", 1, 0), archived("release", 2, 10), archived("release", 10, 20)];
    let anew = archived("release", 1, 30);
    let other = archived("nightly", 1, 5);
    log.keep(vec![versions[2].clone(), anew.clone(), versions[0].clone()]).await.unwrap();
    log.keep(vec![other.clone(), versions[1].clone()]).await.unwrap();
    let [first, second, tenth] = versions;
    assert_eq!(log.versions(&"release".parse().unwrap()).await, Ok(vec![first, anew, second, tenth]));
    assert_eq!(log.versions(&"nightly".parse().unwrap()).await, Ok(vec![other]));
    assert_eq!(log.versions(&"unknown".parse().unwrap()).await, Ok(Vec::new()));
}

async fn what_is_kept_stays_as_it_is(place: Place) {
    let log = place.log();
    let nanoseconds = Timestamp::new(1_700_000_000, 123_456_789).unwrap();
    let version = ArchivedVersion { created_at: nanoseconds, ..archived("release", 1, 0) };
    let again = ArchivedVersion { created_at: at(99), ..version.clone() };
    log.keep(vec![version.clone(), again.clone()]).await.unwrap();
    let keeps = (0..20).map(|_| log.keep(vec![again.clone(), version.clone()]));
    assert!(futures::future::join_all(keeps).await.iter().all(Result::is_ok));
    assert_eq!(log.versions(&version.key).await, Ok(vec![version]));
}

async fn what_was_archived_is_there_after_a_restart(place: Place) {
    let version = archived("release", 1, 0);
    let log = place.log();
    log.keep(vec![version.clone()]).await.unwrap();
    drop(log);
    assert_eq!(place.log().versions(&version.key).await, Ok(vec![version]));
}

/// A version with a key of its own.
pub fn archived(key: &str, version: u32, second: i64) -> ArchivedVersion {
    let pair = Ed25519KeyPair::generate().unwrap();
    ArchivedVersion {
        key: key.parse().unwrap(),
        version: KeyVersion::new(version).unwrap(),
        public_key: PublicKey::from_ed25519(pair.public_key().as_ref().try_into().unwrap()).unwrap(),
        created_at: at(second),
    }
}
