//! Making relations: rows of pg_class, pg_attribute and pg_type, files, TOAST tables.
//!
//! Realises: `heap_create_with_catalog` (heap.c), `TypeCreate` for row types, toasting.c.

mod row_type;
pub mod toast;

use std::sync::Arc;

use kokkiri_access::relation::{Persistence, RelationKind};
use kokkiri_catalog::dependency::{self, DependencyKind, ObjectAddress, class};
use kokkiri_catalog::entries::TypeKind;
use kokkiri_catalog::lookup::Lookup;
use kokkiri_catalog::row::Array;
use kokkiri_catalog::rows::{PgAttribute, PgClass};
use kokkiri_primitives::{Error, Fork, Oid, RelFileLocator, RelFileNumber, Result, TransactionId, error};
use kokkiri_storage::RelationFile;
use kokkiri_transaction::{LockMode, WaitPolicy};
use kokkiri_types::AttributeStorage;

use crate::context::CommandContext;

/// The access method heap.
pub const HEAP_METHOD: Oid = Oid(2);
/// Most columns of a table.
pub const COLUMNS_MAX: usize = 1600;
const DEFAULT_COLLATION: Oid = Oid(100);

/// A column of a relation to be made.
#[derive(Clone, Debug)]
pub struct NewColumn {
    pub name: String,
    pub type_oid: Oid,
    pub typmod: i32,
    pub dimensions: i16,
    pub collation: Oid,
    pub not_null: bool,
    /// Other than the type's.
    pub storage: Option<AttributeStorage>,
    pub compression: u8,
    pub identity: u8,
    pub generated: u8,
    pub location: kokkiri_parse::Location,
}

impl NewColumn {
    /// A plain column.
    pub fn plain(name: &str, type_oid: Oid) -> Self {
        Self {
            name: name.to_owned(),
            type_oid,
            typmod: -1,
            dimensions: 0,
            collation: Oid::INVALID,
            not_null: false,
            storage: None,
            compression: 0,
            identity: 0,
            generated: 0,
            location: kokkiri_parse::Location::UNKNOWN,
        }
    }
}

/// A relation to be made.
pub struct NewRelation<'a> {
    pub name: &'a str,
    pub namespace: Oid,
    pub owner: Oid,
    pub kind: RelationKind,
    pub persistence: Persistence,
    pub columns: &'a [NewColumn],
    pub options: Option<Array<String>>,
}

/// System columns, as pg_attribute lists them: name, type, length, number, by value, alignment.
const SYSTEM_COLUMNS: [(&str, Oid, i16, i16, bool, u8); 6] = [
    ("ctid", Oid(27), 6, -1, false, b's'),
    ("xmin", Oid(28), 4, -2, true, b'i'),
    ("cmin", Oid(29), 4, -3, true, b'i'),
    ("xmax", Oid(28), 4, -4, true, b'i'),
    ("cmax", Oid(29), 4, -5, true, b'i'),
    ("tableoid", Oid(26), 4, -6, true, b'i'),
];

/// True for the name of a system column.
pub fn is_system_column(name: &str) -> bool {
    SYSTEM_COLUMNS.iter().any(|(system, ..)| *system == name)
}

/// Makes a relation with its file, row type and dependencies. Its rows are visible after the next
/// [`CommandContext::advance`].
pub fn create(context: &mut CommandContext<'_>, new: &NewRelation<'_>) -> Result<Oid> {
    check_columns(context, new.columns)?;
    if context.view.relation_oid(new.namespace, new.name)?.is_some() {
        return Err(error!(DUPLICATE_TABLE, "relation \"{}\" already exists", new.name));
    }
    let has_row_type =
        !matches!(new.kind, RelationKind::Sequence | RelationKind::Toast | RelationKind::Index);
    if has_row_type {
        row_type::check_name(context, new)?;
    }
    let oid = context.view.new_oid(Lookup::RelationByOid)?;
    // Nobody can find it before the commit, so the lock never waits; whoever follows the log needs it.
    context.view.lock_relation_oid(oid, LockMode::AccessExclusive, WaitPolicy::Block)?;
    if new.kind.has_storage() {
        create_file(context, file(context, new, RelFileNumber(oid.0)))?;
    }
    let row_type = if has_row_type { Some(row_type::create(context, new, oid)?) } else { None };
    context.view.insert_row(class_row(context, new, oid, row_type))?;
    let columns = new.columns.iter().zip(1i16..);
    let rows: Vec<_> =
        columns.map(|(column, number)| attribute_row(context, oid, number, column)).collect::<Result<_>>()?;
    for row in &rows {
        record_column(context, row)?;
    }
    context.view.insert_rows(rows)?;
    if !matches!(new.kind, RelationKind::View | RelationKind::CompositeType) {
        context.view.insert_rows(SYSTEM_COLUMNS.iter().map(|column| system_row(oid, column)))?;
    }
    if new.kind != RelationKind::Toast {
        let myself = ObjectAddress::relation(oid);
        let namespace = ObjectAddress::new(class::NAMESPACE, new.namespace);
        dependency::record(&context.view, myself, [namespace], DependencyKind::Normal)?;
        dependency::record_owner(&context.view, myself, new.owner)?;
        context.record_member(myself)?;
    }
    Ok(oid)
}

/// # Errors
/// 42701 for names that can't be, 42P16 for types that no column may have, 54011 for too many.
pub fn check_columns(context: &CommandContext<'_>, columns: &[NewColumn]) -> Result<()> {
    use kokkiri_parse::AtLocation;
    if columns.len() > COLUMNS_MAX {
        return Err(error!(TOO_MANY_COLUMNS, "tables can have at most {COLUMNS_MAX} columns"));
    }
    for (index, column) in columns.iter().enumerate() {
        if is_system_column(&column.name) {
            return Err(error!(
                DUPLICATE_COLUMN,
                "column name \"{}\" conflicts with a system column name", column.name
            ));
        }
        if columns[..index].iter().any(|earlier| earlier.name == column.name) {
            return Err(error!(DUPLICATE_COLUMN, "column \"{}\" specified more than once", column.name));
        }
        let entry = context.view.expect_type(column.type_oid)?;
        if entry.kind == TypeKind::Pseudo {
            return Err(error!(
                INVALID_TABLE_DEFINITION,
                "column \"{}\" has pseudo-type {}",
                column.name,
                context.type_name(column.type_oid)
            )
            .at_location(column.location));
        }
    }
    Ok(())
}

/// The file of a relation being made.
fn file(context: &CommandContext<'_>, new: &NewRelation<'_>, number: RelFileNumber) -> RelationFile {
    new_file(context, new.persistence, number)
}

/// A file in the database's default tablespace.
pub fn new_file(
    context: &CommandContext<'_>,
    persistence: Persistence,
    number: RelFileNumber,
) -> RelationFile {
    let database = &context.view.session.database;
    let locator = RelFileLocator { tablespace: database.tablespace(), database: database.oid(), number };
    match persistence {
        Persistence::Permanent => RelationFile::permanent(locator),
        Persistence::Unlogged => RelationFile::unlogged(locator),
        Persistence::Temporary => RelationFile::temporary(locator, context.transaction().proc()),
    }
}

/// Creates a relation's file; that of an unlogged one also its init fork, which recovery resets it to.
pub fn create_file(context: &CommandContext<'_>, file: RelationFile) -> Result<()> {
    context.transaction().create_storage(file, file.is_logged(Fork::Main))?;
    if file.temp().is_none() && !file.is_logged(Fork::Main) {
        context.transaction().create_init_fork(file)?;
    }
    Ok(())
}

/// The oldest xid that a row of a new table can have.
pub fn oldest_xid(context: &CommandContext<'_>) -> TransactionId {
    context.transaction().latest_snapshot().xmin()
}

fn class_row(
    context: &CommandContext<'_>,
    new: &NewRelation<'_>,
    oid: Oid,
    row_type: Option<Oid>,
) -> PgClass {
    let has_heap = new.kind.has_heap();
    let oldest_multi = context.cluster().transactions.multixacts.oldest();
    PgClass {
        oid,
        relname: new.name.into(),
        relnamespace: new.namespace,
        reltype: row_type.unwrap_or(Oid::INVALID),
        reloftype: Oid::INVALID,
        relowner: new.owner,
        relam: if has_heap { HEAP_METHOD } else { Oid::INVALID },
        relfilenode: if new.kind.has_storage() { oid } else { Oid::INVALID },
        reltablespace: Oid::INVALID,
        // A sequence always has one page with one row.
        relpages: i32::from(new.kind == RelationKind::Sequence),
        reltuples: match new.kind {
            RelationKind::Sequence => 1.0,
            // Building it counts its entries.
            RelationKind::Index | RelationKind::PartitionedIndex => 0.0,
            _ => -1.0,
        },
        relallvisible: 0,
        relallfrozen: 0,
        reltoastrelid: Oid::INVALID,
        relhasindex: false,
        relisshared: false,
        relpersistence: new.persistence.code(),
        relkind: new.kind.code(),
        relnatts: new.columns.len() as i16,
        relchecks: 0,
        relhasrules: false,
        relhastriggers: false,
        relhassubclass: false,
        relrowsecurity: false,
        relforcerowsecurity: false,
        relispopulated: true,
        relreplident: if matches!(new.kind, RelationKind::Table | RelationKind::MaterializedView) {
            b'd'
        } else {
            b'n'
        },
        relispartition: false,
        relrewrite: Oid::INVALID,
        relfrozenxid: if has_heap { oldest_xid(context) } else { TransactionId::INVALID },
        relminmxid: if has_heap { TransactionId(oldest_multi.0) } else { TransactionId::INVALID },
        relacl: None,
        reloptions: new.options.clone(),
        relpartbound: None,
    }
}

/// The row of pg_attribute of a column.
pub fn attribute_row(
    context: &CommandContext<'_>,
    relation: Oid,
    number: i16,
    column: &NewColumn,
) -> Result<PgAttribute> {
    let entry = context.view.expect_type(column.type_oid)?;
    let storage = match column.storage {
        Some(storage) => storage,
        None => entry.storage,
    };
    Ok(PgAttribute {
        attrelid: relation,
        attname: column.name.as_str().into(),
        atttypid: column.type_oid,
        attlen: entry.length,
        attnum: number,
        atttypmod: column.typmod,
        attndims: column.dimensions,
        attbyval: entry.by_value,
        attalign: entry.align.code(),
        attstorage: storage.code(),
        attcompression: column.compression,
        attnotnull: column.not_null,
        atthasdef: false,
        atthasmissing: false,
        attidentity: column.identity,
        attgenerated: column.generated,
        attisdropped: false,
        attislocal: true,
        attinhcount: 0,
        attcollation: column.collation,
        attstattarget: None,
        attacl: None,
        attoptions: None,
        attfdwoptions: None,
        attmissingval: None,
    })
}

fn system_row(relation: Oid, column: &(&str, Oid, i16, i16, bool, u8)) -> PgAttribute {
    let (name, type_oid, length, number, by_value, align) = *column;
    PgAttribute {
        attrelid: relation,
        attname: Arc::from(name),
        atttypid: type_oid,
        attlen: length,
        attnum: number,
        atttypmod: -1,
        attndims: 0,
        attbyval: by_value,
        attalign: align,
        attstorage: b'p',
        attcompression: 0,
        attnotnull: true,
        atthasdef: false,
        atthasmissing: false,
        attidentity: 0,
        attgenerated: 0,
        attisdropped: false,
        attislocal: true,
        attinhcount: 0,
        attcollation: Oid::INVALID,
        attstattarget: None,
        attacl: None,
        attoptions: None,
        attfdwoptions: None,
        attmissingval: None,
    }
}

/// A column needs its type and collation.
pub fn record_column(context: &CommandContext<'_>, row: &PgAttribute) -> Result<()> {
    let myself = ObjectAddress::column(row.attrelid, row.attnum);
    let collation = row.attcollation.valid().filter(|collation| *collation != DEFAULT_COLLATION);
    let needed = [Some(ObjectAddress::new(class::TYPE, row.atttypid))]
        .into_iter()
        .chain([collation.map(|collation| ObjectAddress::new(class::COLLATION, collation))])
        .flatten();
    dependency::record(&context.view, myself, needed, DependencyKind::Normal)
}

/// Overwrites a relation's row of pg_class where it stands: for facts that hold whatever becomes of the
/// transaction.
pub fn change_class_in_place(
    context: &CommandContext<'_>,
    relation: Oid,
    change: impl Fn(&mut PgClass),
) -> Result<()> {
    loop {
        let found = context
            .view
            .rows_to_change::<PgClass>(Lookup::RelationByOid, &[crate::describe::key(relation)])?;
        let Some(found) = found.into_iter().next() else {
            return Err(Error::internal(format!("could not find tuple for relation {relation}")));
        };
        let mut row = found.row.clone();
        change(&mut row);
        if row == found.row || context.view.overwrite_row(found.tid, row)? {
            return Ok(());
        }
    }
}

/// Changes a relation's row of pg_class.
pub fn change_class(
    context: &CommandContext<'_>,
    relation: Oid,
    change: impl FnOnce(&mut PgClass),
) -> Result<()> {
    let found =
        context.view.rows_to_change::<PgClass>(Lookup::RelationByOid, &[crate::describe::key(relation)])?;
    let mut found = found
        .into_iter()
        .next()
        .ok_or_else(|| Error::internal(format!("could not find tuple for relation {relation}")))?;
    change(&mut found.row);
    found.update(&context.view)
}
