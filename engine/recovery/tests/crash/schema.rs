//! The relations of the workload, and their rows.

use std::cmp::Ordering;
use std::sync::Arc;

use kokkiri_access::btree::build::build_empty;
use kokkiri_access::btree::{IndexState, Tree};
use kokkiri_access::relation::{
    AttributeSet, Comparator, IndexColumn, IndexDescriptor, IndexKey, IndexOptions, InsertTargets,
    Persistence, Relation, RelationFile, RelationKind, RelationOptions,
};
use kokkiri_access::sequence;
use kokkiri_primitives::error::Result;
use kokkiri_primitives::ids::{Fork, Oid, RelFileLocator, RelFileNumber};
use kokkiri_transaction::{Cluster, Transaction};
use kokkiri_types::{Attribute, AttributeStorage, TupleDesc, ValueRef};

use crate::instance::{DATABASE, TABLESPACE};

const INT4: Oid = Oid(23);
const INT8: Oid = Oid(20);
const TEXT: Oid = Oid(25);
const OID: Oid = Oid(26);
const BYTEA: Oid = Oid(17);

/// Column positions.
pub const ID: usize = 0;
pub const KIND: usize = 1;
pub const COUNT: usize = 2;
pub const TAG: usize = 3;
pub const NOTE: usize = 4;

/// A row without its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Few values: the index has long lists of duplicates.
    pub kind: i32,
    /// In no index: an update of it can be HOT.
    pub count: i64,
    /// Long index entries, which split pages soon.
    pub tag: Arc<[u8]>,
    /// Null, short, compressible or out of line.
    pub note: Option<Arc<[u8]>>,
}

impl Row {
    pub fn values(&self, id: i32) -> [ValueRef<'_>; 5] {
        [
            ValueRef::Int32(id),
            ValueRef::Int32(self.kind),
            ValueRef::Int64(self.count),
            ValueRef::Bytes(&self.tag),
            self.note.as_deref().map_or(ValueRef::Null, ValueRef::Bytes),
        ]
    }
}

fn file(oid: Oid) -> RelationFile {
    RelationFile::permanent(RelFileLocator {
        tablespace: TABLESPACE,
        database: DATABASE,
        number: RelFileNumber(oid.0),
    })
}

fn relation(oid: Oid, kind: RelationKind, desc: TupleDesc) -> Relation {
    Relation {
        oid,
        name: format!("r{oid}"),
        namespace: Oid(2200),
        namespace_name: "public".into(),
        kind,
        persistence: Persistence::Permanent,
        file: file(oid),
        tuple_desc: desc,
        options: RelationOptions::default(),
        toast: None,
        indexes: Vec::new(),
        is_catalog: false,
        insert_targets: InsertTargets::default(),
    }
}

fn by_int(a: ValueRef<'_>, b: ValueRef<'_>) -> Ordering {
    a.int32().cmp(&b.int32())
}

fn by_oid(a: ValueRef<'_>, b: ValueRef<'_>) -> Ordering {
    (a.int32() as u32).cmp(&(b.int32() as u32))
}

fn by_bytes(a: ValueRef<'_>, b: ValueRef<'_>) -> Ordering {
    a.bytes().cmp(b.bytes())
}

fn index(oid: Oid, heap: Oid, unique: bool, columns: &[(usize, Oid, Comparator)]) -> IndexDescriptor {
    let attributes: Vec<_> =
        columns.iter().zip(1..).map(|(column, n)| Attribute::builtin(format!("c{n}"), n, column.1)).collect();
    IndexDescriptor {
        oid,
        name: format!("i{oid}"),
        heap,
        heap_name: format!("r{heap}"),
        namespace_name: "public".into(),
        persistence: Persistence::Permanent,
        file: file(oid),
        access_method: IndexDescriptor::BTREE,
        tuple_desc: TupleDesc::new(attributes),
        columns: columns
            .iter()
            .map(|(position, input_type, comparator)| IndexColumn {
                key: IndexKey::Attribute(*position as u16),
                opclass: Oid(0),
                opfamily: Oid(0),
                input_type: *input_type,
                collation: Oid(0),
                comparator: Some(*comparator),
                descending: false,
                nulls_first: false,
                equal_is_image: true,
            })
            .collect(),
        key_count: columns.len(),
        unique,
        primary: unique,
        nulls_not_distinct: false,
        immediate: true,
        is_exclusion: false,
        has_predicate: false,
        is_valid: true,
        is_ready: true,
        check_xmin: false,
        options: IndexOptions::default(),
        attributes_used: columns.iter().map(|column| column.0).collect::<AttributeSet>(),
        is_catalog: false,
        btree: Arc::new(IndexState::default()),
    }
}

/// A table with its indexes and TOAST relation, or a sequence.
#[derive(Clone, Debug)]
pub struct Object {
    pub oid: Oid,
    pub relation: Arc<Relation>,
    fillfactor: u8,
    /// Oids of the TOAST relation, its index and the table's indexes.
    inner: Option<[Oid; 5]>,
}

impl Object {
    fn table(oid: Oid, inner: [Oid; 5], fillfactor: u8) -> Self {
        let [toast_oid, chunks, by_id, by_kind, by_tag] = inner;
        let mut data = Attribute::builtin("chunk_data", 3, BYTEA);
        data.storage = AttributeStorage::Plain;
        let keys = [Attribute::builtin("chunk_id", 1, OID), Attribute::builtin("chunk_seq", 2, INT4)];
        let desc = TupleDesc::new(keys.into_iter().chain([data]).collect::<Vec<_>>());
        let mut toast = relation(toast_oid, RelationKind::Toast, desc);
        toast.indexes.push(Arc::new(index(chunks, toast_oid, true, &[(0, OID, by_oid), (1, INT4, by_int)])));
        let mut table = relation(
            oid,
            RelationKind::Table,
            TupleDesc::new(vec![
                Attribute::builtin("id", 1, INT4),
                Attribute::builtin("kind", 2, INT4),
                Attribute::builtin("count", 3, INT8),
                Attribute::builtin("tag", 4, TEXT),
                Attribute::builtin("note", 5, TEXT),
            ]),
        );
        table.options = RelationOptions { fillfactor, ..RelationOptions::default() };
        table.toast = Some(Arc::new(toast));
        table.indexes = vec![
            Arc::new(index(by_id, oid, true, &[(ID, INT4, by_int)])),
            Arc::new(index(by_kind, oid, false, &[(KIND, INT4, by_int)])),
            Arc::new(index(by_tag, oid, false, &[(TAG, TEXT, by_bytes)])),
        ];
        Self { oid, relation: Arc::new(table), fillfactor, inner: Some(inner) }
    }

    fn sequence(oid: Oid) -> Self {
        let relation = relation(oid, RelationKind::Sequence, sequence::tuple_desc());
        Self { oid, relation: Arc::new(relation), fillfactor: 100, inner: None }
    }

    /// The descriptors as a restarted server makes them, which remember nothing.
    pub fn renewed(&self) -> Self {
        match self.inner {
            Some(inner) => Self::table(self.oid, inner, self.fillfactor),
            None => Self::sequence(self.oid),
        }
    }

    pub fn is_table(&self) -> bool {
        self.inner.is_some()
    }

    pub fn toast(&self) -> Option<&Arc<Relation>> {
        self.relation.toast.as_ref()
    }

    /// Every file of it.
    pub fn files(&self) -> Vec<RelationFile> {
        std::iter::once(self.oid).chain(self.inner.iter().flatten().copied()).map(file).collect()
    }

    /// Creates a table.
    pub fn create_table(transaction: &Transaction, fillfactor: u8) -> Result<Self> {
        let cluster = transaction.cluster();
        let fresh = || fresh_oid(cluster);
        let oid = fresh()?;
        let inner = [fresh()?, fresh()?, fresh()?, fresh()?, fresh()?];
        let object = Self::table(oid, inner, fillfactor);
        for file in object.files() {
            transaction.create_storage(file, true)?;
        }
        let toast_indexes = object.toast().into_iter().flat_map(|toast| &toast.indexes);
        for index in object.relation.indexes.iter().chain(toast_indexes) {
            let tree = Tree::new(cluster, index, transaction.current_xid_if_assigned());
            build_empty(&tree, Fork::Main)?;
        }
        Ok(object)
    }

    pub fn create_sequence(transaction: &Transaction) -> Result<Self> {
        let object = Self::sequence(fresh_oid(transaction.cluster())?);
        transaction.create_storage(object.relation.file, true)?;
        sequence::create(transaction, &object.relation, 1, false)?;
        Ok(object)
    }
}

/// An oid whose files don't exist: a crash may have left some.
fn fresh_oid(cluster: &Arc<Cluster>) -> Result<Oid> {
    loop {
        let oid = cluster.transactions.new_oid();
        if !cluster.storage.exists(file(oid), Fork::Main)? {
            return Ok(oid);
        }
    }
}
