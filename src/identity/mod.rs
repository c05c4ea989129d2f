//! Who is calling: [`CallerAuthenticator`] asks whoever knows what the caller showed.

mod caller;
mod oidc;
mod token;

pub use caller::CallerAuthenticator;
pub use oidc::{IssuerSetupError, OfflineIssuer, OidcAuthenticator, Refusal};
pub use token::TokenAuthenticator;
