//! Cancel keys: what a cancel request must show to interrupt a backend.

use std::sync::Arc;

use bytes::Bytes;
use dashmap::DashMap;
use kokkiri_engine::{Error, Result, SqlState};
use kokkiri_protocol::SecretKey;

/// Length of the key under protocol 3.2, bytes.
const KEY_LENGTH: usize = 32;

/// The keys of the connected backends, by pid.
#[derive(Default)]
pub struct CancelKeys(DashMap<i32, SecretKey>);

/// A backend's key; it is forgotten when this is dropped, however the connection ends.
pub struct IssuedKey {
    keys: Arc<CancelKeys>,
    pid: i32,
    pub key: SecretKey,
}

impl Drop for IssuedKey {
    fn drop(&mut self) {
        self.keys.forget(self.pid);
    }
}

impl CancelKeys {
    /// Makes a key for a backend: 4 bytes for protocol 3.0, which has no room for more.
    pub fn issue(self: &Arc<Self>, pid: i32, long: bool) -> Result<IssuedKey> {
        let mut random = [0; KEY_LENGTH];
        getrandom::fill(&mut random)
            .map_err(|_| Error::fatal(SqlState::INTERNAL_ERROR, "could not generate random cancel key"))?;
        let key = match long {
            true => SecretKey::Bytes(Bytes::copy_from_slice(&random)),
            false => SecretKey::I32(i32::from_be_bytes([random[0], random[1], random[2], random[3]])),
        };
        self.0.insert(pid, key.clone());
        Ok(IssuedKey { keys: Arc::clone(self), pid, key })
    }

    fn forget(&self, pid: i32) {
        self.0.remove(&pid);
    }

    /// True if the backend `pid` is connected.
    pub fn knows(&self, pid: i32) -> bool {
        self.0.contains_key(&pid)
    }

    /// True if `key` is the key of the backend `pid`. The comparison takes the same time wherever the
    /// first difference is.
    pub fn matches(&self, pid: i32, key: &[u8]) -> bool {
        let Some(expected) = self.0.get(&pid) else { return false };
        let expected = expected.to_bytes();
        expected.len() == key.len()
            && expected.iter().zip(key).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_key_matches() {
        let keys = Arc::new(CancelKeys::default());
        let issued = keys.issue(7, true).expect("random bytes");
        let key = issued.key.to_bytes();
        assert!(keys.matches(7, &key));
        assert!(!keys.matches(7, &key[..31]) && !keys.matches(8, &key) && !keys.matches(7, &[0; 32]));
        drop(issued);
        assert!(!keys.matches(7, &key));
        assert_eq!(keys.issue(9, false).expect("random bytes").key.to_bytes().len(), 4);
    }
}
