//! Filling the catalogs of a new cluster: the first database, `template1`.
//!
//! Realises: bootstrap.c. Every catalog is created with its indexes and filled from the facts, inside one
//! ordinary transaction whose WAL is written like any other's, and frozen in a second one. What PostgreSQL's init does after that in
//! SQL (system views, the other databases) the facade does with the finished engine.

use std::sync::Arc;

use kokkiri_access::btree::{self, Tree};
use kokkiri_access::heap::vacuum::{CostLimits, FreezeAges, VacuumOptions, compute_cutoffs};
use kokkiri_access::heap::{BulkInsert, Heap, InsertOptions};
use kokkiri_access::relation::{IndexCleanup, IndexDescriptor, IndexKey};
use kokkiri_primitives::{Error, ItemPointer, MultiXactId, Oid, RelFileLocator, Result, TransactionId};
use kokkiri_storage::{FileSystem, OpenOptions};
use kokkiri_transaction::{Cluster, Transaction};
use kokkiri_types::{Value, ValueRef};

use crate::descriptor::relation_file;
use crate::facts;
use crate::lookup::Lookup;
use crate::relation_map::{self, RelationMap};
use crate::rows::PgClass;
use crate::shapes;
use crate::view::{CatalogView, oid_ref};

/// Oid of the database template1.
pub const TEMPLATE1: Oid = Oid(1);
/// Oid of the bootstrap superuser.
pub const BOOTSTRAP_SUPERUSER: Oid = Oid(10);

/// What a new cluster is made with.
pub struct BootstrapOptions<'a> {
    pub superuser: &'a str,
}

/// Writes the relation maps of a new cluster: shared and of template1.
pub fn write_relation_maps(fs: &dyn FileSystem) -> Result<()> {
    let mut shared = RelationMap::default();
    let mut local = RelationMap::default();
    let mut mapped: Vec<_> = shapes::shapes()
        .filter(|shape| shape.class.relfilenode == Oid::INVALID && shape.has_storage())
        .collect();
    mapped.sort_by_key(|shape| shape.class.oid);
    for shape in mapped {
        let map = if shape.class.relisshared { &mut shared } else { &mut local };
        map.set(shape.class.oid, shape.initial_file())?;
    }
    let directory = kokkiri_storage::smgr::database_directory(RelFileLocator::DEFAULT_TABLESPACE, TEMPLATE1);
    for (directory, map) in [("global".to_owned(), shared), (directory, local)] {
        write_file(fs, &format!("{directory}/{}", relation_map::FILE_NAME), &map.to_bytes())?;
    }
    Ok(())
}

/// Writes a whole file and syncs it.
pub fn write_file(fs: &dyn FileSystem, path: &str, bytes: &[u8]) -> Result<()> {
    let failed = |action: &str, cause: std::io::Error| Error::file_access(action, path, &cause);
    let file = fs.open(path, OpenOptions::OVERWRITE).map_err(|cause| failed("create file", cause))?;
    file.write_all_at(bytes, 0).map_err(|cause| failed("write file", cause))?;
    file.sync_data().map_err(|cause| failed("fsync file", cause))
}

/// Creates and fills all catalogs. The transaction is the caller's to commit.
pub fn fill(view: &CatalogView<'_>, options: &BootstrapOptions<'_>) -> Result<()> {
    let mut shapes: Vec<_> = shapes::shapes().filter(|shape| shape.has_storage()).collect();
    shapes.sort_by_key(|shape| shape.class.oid);
    for shape in &shapes {
        let file = relation_file(&shape.class, shape.initial_file(), &view.session.database, None);
        view.transaction.create_storage(file, true)?;
    }
    for shape in shapes.iter().filter(|shape| shape.class.relkind == b'r') {
        let rows = initial_rows(&shape.class.relname, shape.class.oid, options)?;
        let relation = view.bootstrap_relation(shape)?;
        let heap = Heap::new(&relation, view.transaction);
        let mut bulk = BulkInsert::new(&view.cluster().buffers);
        let borrowed: Vec<Vec<ValueRef<'_>>> = rows.iter().map(|row| crate::view::refs(row)).collect();
        let slices: Vec<&[ValueRef<'_>]> = borrowed.iter().map(Vec::as_slice).collect();
        let tids = heap.multi_insert(&slices, InsertOptions::default(), Some(&mut bulk))?;
        for index in &relation.indexes {
            build_index(view.cluster(), view.transaction, index, &borrowed, &tids)?;
        }
    }
    // TOAST relations are empty, but their indexes must exist.
    for shape in shapes.iter().filter(|shape| shape.class.relkind == b't') {
        let relation = view.bootstrap_relation(shape)?;
        for index in &relation.indexes {
            build_index(view.cluster(), view.transaction, index, &[], &[])?;
        }
    }
    Ok(())
}

/// Vacuums and freezes the filled catalogs, and enters their sizes into pg_class. Nobody who reads them later
/// has to find out, and to write down, that their rows are visible.
pub fn freeze(view: &CatalogView<'_>) -> Result<()> {
    const NO_AGE: FreezeAges = FreezeAges {
        min_age: 0,
        table_age: 0,
        max_age: 0,
        multixact_min_age: 0,
        multixact_table_age: 0,
        multixact_max_age: 0,
    };
    for shape in shapes::shapes().filter(|shape| shape.class.relkind == b'r') {
        let relation = view.catalog_relation(shape.class.oid)?;
        let heap = Heap::new(&relation, view.transaction);
        let (frozen_xid, min_mxid) = (shape.class.relfrozenxid, MultiXactId(shape.class.relminmxid.0));
        let report = heap.vacuum(&VacuumOptions {
            cutoffs: compute_cutoffs(&heap, frozen_xid, min_mxid, &NO_AGE).0,
            aggressive: true,
            read_all: true,
            index_cleanup: IndexCleanup::On,
            truncate: false,
            ring_kilobytes: 0,
            memory_bytes: 1 << 20,
            costs: CostLimits::default(),
        })?;
        overwrite_class(view, shape.class.oid, |row| {
            row.relpages = report.pages as i32;
            row.reltuples = report.live_tuples as f32;
            row.relallvisible = report.visible_pages as i32;
            row.relallfrozen = report.frozen_pages as i32;
            if let Some((xid, mxid)) = report.oldest_ids {
                (row.relfrozenxid, row.relminmxid) = (xid, TransactionId(mxid.0));
            }
        })?;
        for (index, statistics) in relation.indexes.iter().zip(&report.indexes) {
            if let Some(statistics) = statistics {
                overwrite_class(view, index.oid, |row| {
                    row.relpages = statistics.pages as i32;
                    row.reltuples = statistics.tuples as f32;
                })?;
            }
        }
    }
    Ok(())
}

fn overwrite_class(view: &CatalogView<'_>, relation: Oid, change: impl Fn(&mut PgClass)) -> Result<()> {
    for mut found in view.rows_to_change::<PgClass>(Lookup::RelationByOid, &[oid_ref(relation)])? {
        change(&mut found.row);
        view.overwrite_row(found.tid, found.row)?;
    }
    Ok(())
}

/// The rows a catalog starts with.
fn initial_rows(name: &str, catalog: Oid, options: &BootstrapOptions<'_>) -> Result<Vec<Vec<Value>>> {
    let Some(table) = facts::table(name) else { return Ok(Vec::new()) };
    let types = shapes::column_types(catalog, table);
    let mut rows = Vec::with_capacity(table.rows.len());
    for row in &table.rows {
        let fields = row.iter().zip(&types);
        rows.push(
            fields.map(|(field, type_oid)| facts::value(*type_oid, field)).collect::<Result<Vec<_>>>()?,
        );
    }
    if name == "pg_authid" {
        let (oid, rolname) = (table.column("oid"), table.column("rolname"));
        for row in &mut rows {
            if row[oid] == Value::oid(BOOTSTRAP_SUPERUSER) {
                row[rolname] = options.superuser.into();
            }
        }
    }
    Ok(rows)
}

fn build_index(
    cluster: &Arc<Cluster>,
    transaction: &Transaction,
    index: &Arc<IndexDescriptor>,
    rows: &[Vec<ValueRef<'_>>],
    tids: &[ItemPointer],
) -> Result<()> {
    let tree = Tree::new(cluster, index, Some(transaction.current_xid()?));
    let options = btree::sort::SortOptions {
        unique: index.unique,
        nulls_not_distinct: index.nulls_not_distinct,
        memory: 64 * 1024 * 1024,
    };
    let mut spool = btree::sort::Spool::new(tree.shape(), Arc::clone(&cluster.fs), options);
    let mut values = Vec::new();
    for (row, tid) in rows.iter().zip(tids) {
        values.clear();
        for column in &index.columns {
            match column.key {
                IndexKey::Attribute(number) => values.push(row[usize::from(number)]),
                IndexKey::Expression(_) => {
                    return Err(Error::internal("catalogs have no indexes on expressions"));
                }
            }
        }
        spool.add(&values, *tid, true)?;
    }
    match btree::build::build(&tree, spool)? {
        btree::build::BuildOutcome::Built { .. } => Ok(()),
        btree::build::BuildOutcome::Duplicate { key } => Err(Error::internal(format!(
            "initial catalog contents: index \"{}\" has the key {key:?} twice",
            index.name
        ))),
    }
}
