//! stub
#[derive(Debug)]
pub struct ConfigError;
pub fn load() {}
pub fn load_str() {}
