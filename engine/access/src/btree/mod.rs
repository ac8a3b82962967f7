//! B-tree indexes: PostgreSQL 18's nbtree, byte for byte on disk and in the WAL.
//!
//! Realises: src/backend/access/nbtree, whose README explains the algorithms. Read in this order:
//!
//!  * [`tuple`]: the bytes of an entry: plain, posting list, pivot. [`page`]: the page around them.
//!  * [`shape`]: the columns of an index and the order of its tuples; [`key`]: what is searched for.
//!  * [`change`]: every change of a page, shared by the forward path and redo; [`record`]: how it is logged.
//!  * [`split_point`]: where a full page is split; [`dedup`]: how a split is put off.
//!  * [`tree`]: getting at pages; [`insert`], [`unique`], `split`, `delete`, `page_delete`: changing them.
//!  * [`scan`] with its [`scan_key`]s; [`build`] with its [`sort`]; [`vacuum`]; [`redo`]; [`check`].
//!  * [`table`]: what the index asks of its table.
//!
//! Invariants:
//!  1. Tuples of a level are in strict order of (key columns, heap tid); every leaf tuple has one place.
//!  2. A high key is at least the greatest key of its page, and less than every key of the page to its
//!     right. The parent's entry for the right page carries that high key.
//!  3. A page changes only inside a critical section together with its record.
//!
//! Lock order: leaf before parent, left before right, metapage last; heap pages are locked while an index
//! page is only by the uniqueness check and deletions, through [`table::IndexedTable`].
//!
//! Differs: indexes of versions 2 and 3 (brought along by pg_upgrade from PostgreSQL 11 and older) are
//! refused.

pub mod build;
pub mod change;
pub mod check;
pub mod dedup;
mod delete;
pub mod insert;
pub mod key;
pub mod page;
mod page_delete;
pub mod record;
pub mod redo;
pub mod scan;
pub mod scan_key;
pub mod shape;
pub mod sort;
mod split;
pub mod split_point;
pub mod state;
pub mod table;
pub mod tree;
pub mod tuple;
pub mod unique;
pub mod vacuum;

pub use insert::{Conflict, InsertOptions, InsertOutcome, insert};
pub use scan::{Scan, ScanOptions};
pub use scan_key::{Condition, Direction, ScanKey, Strategy};
pub use state::IndexState;
pub use tree::Tree;
pub use unique::UniqueCheck;

#[cfg(test)]
mod tests;
