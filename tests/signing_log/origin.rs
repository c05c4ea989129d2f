//! The log's name.

use signet::ports::{LogError, Store};

use crate::fixtures::{Place, contract};

contract! {
    the_name_that_came_first_stays,
}

async fn the_name_that_came_first_stays(place: Place) {
    let mut store = place.store();
    let first = Ok("signet.example.com/log".to_owned());
    assert_eq!(settle(&mut *store, "signet.example.com/log"), first);
    assert_eq!(settle(&mut *store, "another"), first);
    drop(store);
    assert_eq!(settle(&mut *place.store(), "a-third"), first);
}

/// A store blocks.
fn settle(store: &mut dyn Store, name: &str) -> Result<String, LogError> {
    std::thread::scope(|scope| scope.spawn(|| store.settle_origin(name)).join()).unwrap()
}
