//! A database that lost entries is found out by the checkpoint that is kept outside it.

use crate::support::World;
use crate::support::anchor::old_backup_is_found_out;
use crate::support::world::Settings;

/// Entries that the checkpoint in the file speaks of; none while there is no file.
async fn anchored(world: &World) -> u64 {
    let note = std::fs::read_to_string(world.directory.path().join("anchor")).unwrap_or_default();
    note.lines().nth(1).and_then(|size| size.parse().ok()).unwrap_or(0)
}

#[tokio::test]
async fn an_old_backup_signs_nothing_until_an_operator_has_resolved_it() {
    let anchor = "[log.anchor]\nkind = 'file'\npath = 'anchor'\n";
    let mut world = World::with(Settings { sections: anchor.to_owned(), ..Settings::default() }).await;
    old_backup_is_found_out(&mut world, anchored).await;
}
