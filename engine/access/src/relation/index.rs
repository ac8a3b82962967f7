//! The descriptor of an index: `pg_index` and its operator classes, resolved.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use kokkiri_primitives::{Oid, RelFileLocator};
use kokkiri_types::{TupleDesc, ValueRef};

use crate::btree::IndexState;

use super::{AttributeSet, IndexOptions, Persistence, RelationFile};

/// Order of two values of an operator class's input type, neither of them null.
pub type Comparator = fn(ValueRef<'_>, ValueRef<'_>) -> Ordering;

/// Where the value of an index column comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexKey {
    /// A column of the table, by 0-based position.
    Attribute(u16),
    /// The n-th expression of the index, evaluated by the caller.
    Expression(u16),
}

/// One column of an index.
#[derive(Clone)]
pub struct IndexColumn {
    pub key: IndexKey,
    pub opclass: Oid,
    pub opfamily: Oid,
    /// Type that the operator class compares: `opcintype`.
    pub input_type: Oid,
    pub collation: Oid,
    /// Order of two values that are not null. Included columns have none.
    pub comparator: Option<Comparator>,
    pub descending: bool,
    pub nulls_first: bool,
    /// True if values that compare equal are the same bytes to everybody: deduplication is safe.
    pub equal_is_image: bool,
}

impl fmt::Debug for IndexColumn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IndexColumn")
            .field("key", &self.key)
            .field("opclass", &self.opclass)
            .field("descending", &self.descending)
            .field("nulls_first", &self.nulls_first)
            .finish_non_exhaustive()
    }
}

/// An index as its access method sees it.
#[derive(Clone, Debug)]
pub struct IndexDescriptor {
    pub oid: Oid,
    pub name: String,
    /// The indexed relation.
    pub heap: Oid,
    pub heap_name: String,
    /// Name of the namespace of both, for the fields of error reports.
    pub namespace_name: String,
    pub persistence: Persistence,
    pub file: RelationFile,
    /// Oid of the access method: 403 is btree.
    pub access_method: Oid,
    /// Attributes of the stored entries: key columns, then included ones.
    pub tuple_desc: TupleDesc,
    /// Key columns, then included ones.
    pub columns: Vec<IndexColumn>,
    /// How many of the columns are key columns: `indnkeyatts`.
    pub key_count: usize,
    pub unique: bool,
    pub primary: bool,
    pub nulls_not_distinct: bool,
    /// False for deferrable constraints: uniqueness is checked later.
    pub immediate: bool,
    pub is_exclusion: bool,
    pub has_predicate: bool,
    /// Usable by queries.
    pub is_valid: bool,
    /// Kept up to date by writers.
    pub is_ready: bool,
    /// HOT chains in the table may be broken with respect to it until old snapshots are gone.
    pub check_xmin: bool,
    pub options: IndexOptions,
    /// Columns of the table (0-based) that keys, expressions and predicate mention.
    pub attributes_used: AttributeSet,
    /// In the system schema.
    pub is_catalog: bool,
    /// What the B-tree code remembers of the index between calls; starts empty.
    pub btree: Arc<IndexState>,
}

impl IndexDescriptor {
    /// Oid of the btree access method.
    pub const BTREE: Oid = Oid(403);

    pub fn needs_wal(&self) -> bool {
        self.persistence == Persistence::Permanent
    }

    pub fn is_shared(&self) -> bool {
        self.file.locator.tablespace == RelFileLocator::GLOBAL_TABLESPACE
    }

    pub fn is_temporary(&self) -> bool {
        self.persistence == Persistence::Temporary
    }

    pub fn key_columns(&self) -> &[IndexColumn] {
        &self.columns[..self.key_count]
    }

    /// True if a foreign key could refer to it: unique, immediate, complete, on plain columns.
    pub fn can_be_referenced(&self) -> bool {
        self.unique
            && self.immediate
            && !self.has_predicate
            && self.key_columns().iter().all(|column| matches!(column.key, IndexKey::Attribute(_)))
    }

    /// True if entries with equal keys may be merged into posting lists.
    pub fn allows_deduplication(&self) -> bool {
        self.options.deduplicate_items
            && self.columns.len() == self.key_count
            && self.columns.iter().all(|column| column.equal_is_image)
    }
}
