//! Worlds over the real servers.

use crate::support::{World, servers, world::Settings};

/// Makes a test of each function for each registry. The functions take the registry's name.
macro_rules! on_each_registry {
    ($($test:ident),+ $(,)?) => {
        mod on_distribution_2_8 {
            $(#[tokio::test] async fn $test() { super::$test("distribution-2.8").await; })+
        }
        mod on_distribution_3 {
            $(#[tokio::test] async fn $test() { super::$test("distribution-3").await; })+
        }
        mod on_ociregistry {
            $(#[tokio::test] async fn $test() { super::$test("ociregistry").await; })+
        }
    };
}
pub(crate) use on_each_registry;

/// A world in front of one of the registries that `tests/run` starts.
pub async fn world(registry: &'static str) -> World {
    world_with(Settings { registry: Some(registry), ..Settings::default() }).await
}

/// As [`world`], where more is different than the registry.
pub async fn world_with(settings: Settings) -> World {
    demand_real_servers();
    World::with(settings).await
}

/// Stand-ins prove nothing about the real servers, and a test that is skipped looks like one that passed.
pub fn demand_real_servers() {
    assert!(
        servers::are_real(),
        "these tests need the real servers: run `tests/run`, or `tests/run servers` for single tests"
    );
}
