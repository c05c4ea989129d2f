//! Tokens of issuers. Which repositories their holders may sign is policy's business: here, a workload that no rule names
//! gets 403, which proves that it was recognised, and nobody gets 401.

mod bad_tokens;
mod issuers;
mod rotation;

use crate::support::issuer::{AUDIENCE, Issuer};
use crate::support::world::Settings;
use crate::support::{Answer, World};

/// A Signet that believes these issuers, each with its name and more lines.
async fn believing(issuers: &[(&Issuer, &str, &str)]) -> World {
    let sections = issuers.iter().map(|(issuer, name, lines)| issuer.section(name, lines)).collect();
    with_sections(sections).await
}

async fn with_sections(sections: String) -> World {
    let lines = vec![("identity", format!("audience = '{AUDIENCE}'"))];
    World::with(Settings { lines, sections, ..Settings::default() }).await
}

/// Asks for something that every token may ask for and that policy allows to nobody here.
async fn ask(world: &World, token: &str) -> Answer {
    world.get_as(token, "/v1/log/entries").await
}

/// Whether Signet recognises the token's holder.
async fn is_recognised(world: &World, token: &str) -> bool {
    let answer = ask(world, token).await;
    match (answer.status.as_u16(), answer.code()) {
        (403, "forbidden") => true,
        (401, "unauthenticated") => false,
        _ => panic!("{answer:?}"),
    }
}

/// Waits until the issuer's keys were fetched, or could not be.
async fn settled(world: &World, issuer: &str) {
    world
        .eventually(&format!("the keys of {issuer} were looked for"), async || {
            let text = world.metrics().await;
            let line = format!("signet_issuer_key_refreshes_total{{issuer=\"{issuer}\"");
            text.lines().any(|found| found.starts_with(&line)).then_some(())
        })
        .await;
}
