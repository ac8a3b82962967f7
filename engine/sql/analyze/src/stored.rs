//! Trees as the catalogs store them: the text of `pg_node_tree` columns.

use kokkiri_primitives::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The text that stores a tree.
pub fn write<T: Serialize>(tree: &T) -> Result<String> {
    serde_json::to_string(tree)
        .map_err(|error| Error::internal(format!("could not store a node tree: {error}")))
}

/// The tree a text stores.
///
/// # Errors
/// XX001 if the text is none of ours.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| Error::data_corrupted(format!("invalid node tree: {error}")))
}
