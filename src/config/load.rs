//! Reading the configuration.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);
pub fn load(path: &std::path::Path) -> Result<super::Config, ConfigError> {
    let t = std::fs::read_to_string(path).map_err(|e| ConfigError(e.to_string()))?;
    toml::from_str(&t).map_err(|e| ConfigError(e.to_string()))
}
pub fn load_str() {}
