//! B-tree indexes: PostgreSQL 18's nbtree, byte for byte on disk and in the WAL.
//!
//! Realises: src/backend/access/nbtree, whose README explains the algorithms. Read in this order:
//!
//!  * [`tuple`]: the bytes of an entry: plain, posting list, pivot. [`page`]: the page around them.
//!  * [`shape`]: the columns of an index and the order of its tuples; [`key`]: what is searched for.
//!  * [`change`]: every change of a page, shared by the forward path and redo; [`record`]: how it is logged.
//!  * [`split_point`]: where a full page is split; [`dedup`]: how a split is put off.
//!  * [`table`]: what the index asks of its table.
//!
//! Invariants:
//!  1. Tuples of a level are in strict order of (key columns, heap tid); every leaf tuple has one place.
//!  2. A high key is at least the greatest key of its page, and less than every key of the page to its
//!     right. The parent's entry for the right page carries that high key.
//!  3. A page changes only inside a critical section together with its record.
//!
//! Lock order: leaf before parent, left before right, metapage last; heap pages are never locked while an
//! index page is, except by the uniqueness check and deletions through [`table::IndexedTable`].
//!
//! Differs: indexes of versions 2 and 3 (brought along by pg_upgrade from PostgreSQL 11 and older) are
//! refused.

pub mod change;
pub mod dedup;
pub mod key;
pub mod page;
pub mod record;
pub mod shape;
pub mod split_point;
pub mod state;
pub mod table;
pub mod tuple;

pub use state::IndexState;
