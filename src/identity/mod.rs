//! Who is calling.

mod token;

pub use token::TokenAuthenticator;
