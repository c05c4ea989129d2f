//! `/audit`: the log for people. Written on the server, without anything that has to run in the browser.
//!
//! | file | subject |
//! |---|---|
//! | `guard` | what holds for every page: what it may load, whence forms may come, problems as pages |
//! | `session`, `login`, `turnstile` | who looks |
//! | `page`, `parts`, `assets` | the frame, small pieces, and what pages load |
//! | `asked` | what the search box is asked |
//! | `told` | entries in words |
//! | `proof` | a proof, step by step and drawn |
//! | `overview`, `search`, `signatures`, `story`, `entry`, `keys`, `export` | one page each, and its answer |

mod asked;
mod assets;
mod entry;
mod export;
mod guard;
mod keys;
mod login;
mod overview;
mod page;
mod parts;
mod proof;
mod search;
mod session;
mod signatures;
mod story;
mod told;
mod turnstile;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use url::Url;

use crate::http::ApiState;
use crate::http::problem::Problem;
use crate::ports::{LoginProvider, Sessions};
pub use turnstile::Turnstile;

/// What the pages need beside what the API has.
pub struct AuditParts {
    pub sessions: Arc<dyn Sessions>,
    /// Where people log in; none where they paste tokens.
    pub login: Option<Arc<dyn LoginProvider>>,
    pub idle_timeout: Duration,
    pub session_lifetime: Duration,
    /// How callers reach Signet, where that is known.
    pub public_url: Option<Url>,
    /// How often each principal may log in.
    pub turnstile: Turnstile,
}

impl AuditParts {
    /// How callers reach Signet, for commands to copy: an address, or the variable that has it.
    fn base(&self) -> String {
        let url = self.public_url.as_ref().map(|url| url.as_str().trim_end_matches('/').to_owned());
        url.unwrap_or_else(|| "$SIGNET_URL".to_owned())
    }

    /// Where the provider sends the browser back to.
    fn callback(&self) -> Option<Url> {
        let base = self.public_url.as_ref()?.as_str().trim_end_matches('/');
        Url::parse(&format!("{base}/audit/login/callback")).ok()
    }
}

pub fn router() -> Router<ApiState> {
    guard::around(
        Router::new()
            .route("/audit", get(overview::show))
            .route("/audit/login", get(login::form).post(login::with_token))
            .route("/audit/login/start", get(login::start))
            .route("/audit/login/callback", get(login::callback))
            .route("/audit/logout", post(login::logout))
            .route("/audit/search", get(search::show))
            .route("/audit/refusals", get(search::refusals))
            .route("/audit/export", get(export::download))
            .route("/audit/entries/{index}", get(entry::show))
            .route("/audit/entries/{index}/bytes", get(entry::bytes))
            .route("/audit/entries/{index}/proof", get(entry::proof))
            .route("/audit/signatures", get(signatures::list))
            .route("/audit/signatures/{id}", get(story::show))
            .route("/audit/keys", get(keys::list))
            .route("/audit/keys/{name}", get(keys::show))
            .route("/audit/assets/{file}", get(assets::file))
            .route("/audit/", get(nothing))
            .route("/audit/{*rest}", get(nothing))
            .method_not_allowed_fallback(not_like_this),
    )
}

async fn nothing() -> Problem {
    Problem::not_found("There is no such page.")
}

async fn not_like_this() -> Problem {
    Problem::method_not_allowed()
}
