//! Registries of other makes, before a real distribution: what the stock clients make of what Signet writes there.

mod clean_up;
mod gitlab;
