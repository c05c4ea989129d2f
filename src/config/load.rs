//! Reading the configuration.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);
pub fn load(path: &std::path::Path) -> Result<super::Config, ConfigError> {
    let t = std::fs::read_to_string(path).map_err(|e| ConfigError(e.to_string()))?;
    let mut c: super::Config = toml::from_str(&t).map_err(|e| ConfigError(e.to_string()))?;
    let b = path.parent().unwrap_or(path);
    c.policy.file = b.join(&c.policy.file);
    c.log.path = b.join(&c.log.path);
    c.vault.auth.token_file = c.vault.auth.token_file.map(|f| b.join(f));
    Ok(c)
}
pub fn load_str() {}
