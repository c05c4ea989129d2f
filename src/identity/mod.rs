//! Who is calling: [`CallerAuthenticator`] asks whoever knows what the caller showed.

mod caller;
mod certificate;
mod oidc;
mod token;

pub use caller::CallerAuthenticator;
pub use certificate::CertificateAuthenticator;
pub use oidc::{IssuerSetupError, OfflineIssuer, OidcAuthenticator, OidcLogin, Refusal};
pub use token::TokenAuthenticator;
