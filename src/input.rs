//! Reading what people write.
use serde::de::DeserializeOwned;
pub type Node = serde_json::Value;
pub type InputError = String;
pub fn from_json<T: DeserializeOwned>(b: &[u8]) -> Result<T, InputError> {
    serde_json::from_slice(b).map_err(|e| e.to_string())
}
pub fn from_node<T: DeserializeOwned>(b: Node) -> Result<T, InputError> {
    serde_json::from_value(b).map_err(|e| e.to_string())
}
pub fn from_yaml<T: DeserializeOwned>(b: &str) -> Result<T, InputError> {
    serde_saphyr::from_str(b).map_err(|e| e.to_string())
}
