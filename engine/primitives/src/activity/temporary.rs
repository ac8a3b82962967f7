//! How much the temporary files of a backend take, and how much they may: `temp_file_limit`.
//!
//! Realises: `temporary_files_size` (fd.c).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::backend::{Backend, current};
use crate::error;
use crate::error::Result;

/// What a backend's temporary files take together, and at most.
#[derive(Debug)]
pub struct TemporaryFiles {
    bytes: AtomicU64,
    /// Kilobytes; all ones for no limit.
    limit_kb: AtomicU64,
}

impl Default for TemporaryFiles {
    fn default() -> Self {
        Self { bytes: AtomicU64::new(0), limit_kb: AtomicU64::new(u64::MAX) }
    }
}

impl TemporaryFiles {
    /// Takes over the session's temp_file_limit, kilobytes; `None` for no limit.
    pub fn set_limit(&self, kilobytes: Option<u64>) {
        self.limit_kb.store(kilobytes.unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn grow(&self, bytes: u64) -> Result<()> {
        let limit = self.limit_kb.load(Ordering::Relaxed);
        let all = self.bytes.load(Ordering::Relaxed) + bytes;
        if all > limit.saturating_mul(1024) {
            return Err(error!(
                CONFIGURATION_LIMIT_EXCEEDED,
                "temporary file size exceeds \"temp_file_limit\" ({limit}kB)"
            ));
        }
        self.bytes.store(all, Ordering::Relaxed);
        Ok(())
    }
}

/// The part of one file, which ends with it.
#[derive(Debug)]
pub struct TemporarySpace {
    backend: Option<Arc<Backend>>,
    bytes: u64,
}

impl Default for TemporarySpace {
    /// Of a file that the current backend makes.
    fn default() -> Self {
        Self { backend: current(), bytes: 0 }
    }
}

impl TemporarySpace {
    /// To be called before the file grows.
    ///
    /// # Errors
    /// 53400 beyond `temp_file_limit`.
    pub fn grow(&mut self, bytes: u64) -> Result<()> {
        if let Some(backend) = &self.backend {
            backend.temporary_files.grow(bytes)?;
            self.bytes += bytes;
        }
        Ok(())
    }
}

impl Drop for TemporarySpace {
    fn drop(&mut self) {
        if let Some(backend) = &self.backend {
            backend.temporary_files.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_share_a_limit_and_give_back_what_they_took() {
        use super::super::{BackendType, ProcessArray};
        let array = ProcessArray::new(1, 1);
        let registration = array.register(BackendType::Client).expect("there is room");
        let _entered = registration.backend().enter();
        registration.backend().temporary_files.set_limit(Some(4));
        let mut one = TemporarySpace::default();
        let mut other = TemporarySpace::default();
        one.grow(3000).expect("within the limit");
        let error = other.grow(2000).expect_err("beyond it");
        assert_eq!(error.message(), "temporary file size exceeds \"temp_file_limit\" (4kB)");
        drop(one);
        other.grow(2000).expect("there is room again");
    }
}
