//! The log's name.

use crate::fixtures::{Place, contract, outside};

contract! {
    the_name_that_came_first_stays,
}

async fn the_name_that_came_first_stays(place: Place) {
    outside(|| {
        let mut store = place.store();
        assert_eq!(store.settle_origin("signet.example.com/log"), Ok("signet.example.com/log".to_owned()));
        assert_eq!(store.settle_origin("another"), Ok("signet.example.com/log".to_owned()));
        drop(store);
        assert_eq!(place.store().settle_origin("a-third"), Ok("signet.example.com/log".to_owned()));
    });
}
