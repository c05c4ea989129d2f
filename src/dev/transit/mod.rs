//! Stand-in for Vault.
