//! What is remembered of an index between calls: its shape, its root, where the last insertion went.
//!
//! Realises: `rd_amcache` and `RelationGetTargetBlock`. All of it are hints, checked when used, and
//! belong to one version of the index's descriptor, shared by all sessions.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use kokkiri_primitives::BlockNumber;

use super::page::Meta;
use super::shape::{IndexShape, IntegerImage, KeyColumn};
use crate::relation::IndexDescriptor;

/// The fast root as it once was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FastRoot {
    pub block: BlockNumber,
    pub level: u32,
    /// Never changes in the life of an index file.
    pub equal_image: bool,
}

impl FastRoot {
    pub fn of(meta: &Meta) -> Option<Self> {
        let block = meta.fast_root?;
        Some(Self { block, level: meta.fast_level, equal_image: meta.equal_image })
    }

    /// Zero stands for none, as no root is block 0.
    fn pack(self) -> u64 {
        u64::from(self.block.0) | u64::from(self.level) << 32 | u64::from(self.equal_image) << 63
    }

    fn unpack(packed: u64) -> Option<Self> {
        (packed != 0).then_some(Self {
            block: BlockNumber(packed as u32),
            level: (packed >> 32) as u32 & 0x7FFF_FFFF,
            equal_image: packed >> 63 != 0,
        })
    }
}

/// See the module.
#[derive(Default)]
pub struct IndexState {
    shape: OnceLock<IndexShape>,
    fast_root: AtomicU64,
    /// The rightmost leaf, if the last insertion went there; 0 for none.
    target: AtomicU32,
}

impl IndexState {
    pub fn shape(&self, index: &IndexDescriptor) -> &IndexShape {
        self.shape.get_or_init(|| {
            let keys: Vec<_> = index
                .key_columns()
                .iter()
                .map(|column| KeyColumn {
                    comparator: column.comparator.expect("a key column has an order"),
                    integer: IntegerImage::of(column.input_type),
                    descending: column.descending,
                    nulls_first: column.nulls_first,
                })
                .collect();
            let equal_image = index.columns.iter().all(|column| column.equal_is_image);
            IndexShape::new(index.tuple_desc.clone(), keys, equal_image)
        })
    }

    pub fn fast_root(&self) -> Option<FastRoot> {
        FastRoot::unpack(self.fast_root.load(Ordering::Acquire))
    }

    pub fn set_fast_root(&self, root: FastRoot) {
        self.fast_root.store(root.pack(), Ordering::Release);
    }

    pub fn forget_fast_root(&self) {
        self.fast_root.store(0, Ordering::Release);
    }

    pub fn target(&self) -> Option<BlockNumber> {
        super::page::link(self.target.load(Ordering::Relaxed))
    }

    pub fn set_target(&self, block: Option<BlockNumber>) {
        self.target.store(super::page::unlink(block), Ordering::Relaxed);
    }
}

impl fmt::Debug for IndexState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IndexState").field("fast_root", &self.fast_root()).finish_non_exhaustive()
    }
}
