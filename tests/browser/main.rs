//! Pages in headless Chromium, and logging in at a real provider of OpenID Connect. Needs the real servers and the browser
//! that `tests/run` gets; without them these tests fail.

mod audit;
mod docs;
mod harness;
mod provider;
mod screenshots;
#[path = "../support/mod.rs"]
mod support;
