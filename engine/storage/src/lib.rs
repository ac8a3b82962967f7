//! File-system seam, pages, relation files, buffer pool, free space and visibility maps.
//!
//! The layers, lowest first; each uses only those before it:
//!
//!  * [`file`]: every access to a file goes through [`FileSystem`]; the simulated one proves recovery.
//!  * [`page`]: the 8 KB slotted page, pure byte code.
//!  * [`smgr`]: relation files, forks, segments, and which of them must be synced at a checkpoint.
//!  * [`critical`]: the section in which a page is changed and logged, and what happens if it fails.
//!  * [`buffer`]: the pool of pages in memory, the only door to relation pages.
//!  * [`free_space_map`], [`visibility_map`]: what a relation's two auxiliary forks hold.
//!
//! Unsafe code is confined to [`buffer::frame`]: the memory of the pool's frames.
#![deny(unsafe_code)]

pub mod buffer;
pub mod critical;
pub mod file;
pub mod free_space_map;
pub mod page;
pub mod smgr;
pub mod visibility_map;
pub mod wait_events;

pub use buffer::{
    BufferPool, BufferTag, PageReadGuard, PageWriteGuard, PinnedBuffer, PoolConfig, ReadMode, ReadStream,
    Ring, RingKind, WalBarrier,
};
pub use critical::{CriticalSection, Poison};
pub use file::{File, FileSystem, OpenOptions, RealFileSystem, SimulatedFileSystem};
pub use page::{ItemFlags, ItemId, Page};
pub use smgr::{Persistence, RelationFile, StorageManager, SyncTag};
