//! Making indexes: their catalog rows, and building them.
//!
//! Realises: `index_create`, `index_build`, `index_update_stats` (index.c).

mod build;
pub mod define;
mod opclass;

use kokkiri_access::relation::{IndexOptions, RelationKind};
use kokkiri_catalog::dependency::{self, DependencyKind, ObjectAddress, class};
use kokkiri_catalog::entries::RelationEntry;
use kokkiri_catalog::lookup::Lookup;
use kokkiri_catalog::row::{Array, Int2Vector, OidVector};
use kokkiri_catalog::rows::{PgAttribute, PgClass, PgIndex};
use kokkiri_primitives::{Oid, RelFileNumber, Result, TransactionId, error};
use kokkiri_transaction::{LockMode, WaitPolicy};

use crate::constraint::{self, IndexConstraint};
use crate::context::CommandContext;
use crate::describe::key;
use crate::options;
use crate::relation::{change_class_in_place, create_file, new_file};

pub use build::build;
pub use opclass::{default_opclass, is_binary_coercible};

/// The access method btree.
pub const BTREE: Oid = Oid(403);
const DEFAULT_COLLATION: Oid = Oid(100);

/// A column of an index to be made.
#[derive(Clone, Copy, Debug)]
pub struct NewIndexColumn {
    /// Attribute of the table.
    pub number: i16,
    pub collation: Oid,
    pub opclass: Oid,
    /// Bit 0: descending, bit 1: nulls first.
    pub option: i16,
    /// False for an included column.
    pub key: bool,
}

/// An index to be made.
#[derive(Clone, Debug, Default)]
pub struct NewIndex {
    pub name: String,
    /// Key columns, then included ones.
    pub columns: Vec<NewIndexColumn>,
    pub unique: bool,
    pub primary: bool,
    pub nulls_not_distinct: bool,
    pub options: Option<Array<String>>,
    /// The constraint that the index is for.
    pub constraint: Option<IndexConstraint>,
}

impl NewIndex {
    pub fn key_count(&self) -> usize {
        self.columns.iter().filter(|column| column.key).count()
    }
}

/// Makes an index with its constraint, and builds it. The table is held in mode Share or stronger.
pub fn create(context: &mut CommandContext<'_>, table: &RelationEntry, new: NewIndex) -> Result<Oid> {
    IndexOptions::for_btree(options::pairs(new.options.as_ref()))?;
    if context.view.relation_oid(table.namespace, &new.name)?.is_some() {
        return Err(error!(DUPLICATE_TABLE, "relation \"{}\" already exists", new.name));
    }
    let oid = context.view.new_oid(Lookup::RelationByOid)?;
    let file = new_file(context, table.relation.persistence, RelFileNumber(oid.0));
    create_file(context, file)?;
    context.view.lock_relation_oid(oid, LockMode::AccessExclusive, WaitPolicy::Block)?;
    context.view.insert_row(class_row(table, &new, oid))?;
    let columns = new.columns.iter().zip(1i16..);
    let rows: Vec<_> = columns
        .map(|(column, number)| attribute_row(context, table, oid, number, column))
        .collect::<Result<_>>()?;
    context.view.insert_rows(rows)?;
    let immediate = new.constraint.as_ref().is_none_or(|constraint| !constraint.deferrable);
    context.view.insert_row(PgIndex {
        indexrelid: oid,
        indrelid: table.oid,
        indnatts: new.columns.len() as i16,
        indnkeyatts: new.key_count() as i16,
        indisunique: new.unique,
        indnullsnotdistinct: new.nulls_not_distinct,
        indisprimary: new.primary,
        indisexclusion: false,
        indimmediate: immediate,
        indisclustered: false,
        indisvalid: true,
        indcheckxmin: false,
        indisready: true,
        indislive: true,
        indisreplident: false,
        indkey: Int2Vector(new.columns.iter().map(|column| column.number).collect()),
        indcollation: OidVector(keys(&new).map(|column| column.collation).collect()),
        indclass: OidVector(keys(&new).map(|column| column.opclass).collect()),
        indoption: Int2Vector(keys(&new).map(|column| column.option).collect()),
        indexprs: None,
        indpred: None,
    })?;
    record_dependencies(context, table, &new, oid)?;
    context.advance()?;
    // From here on the table is known to have indexes; if this one comes to nothing, VACUUM will see that.
    change_class_in_place(context, table.oid, |row| row.relhasindex = true)?;
    build(context, table.oid, oid)?;
    Ok(oid)
}

fn keys(new: &NewIndex) -> impl Iterator<Item = &NewIndexColumn> {
    new.columns.iter().filter(|column| column.key)
}

fn record_dependencies(
    context: &mut CommandContext<'_>,
    table: &RelationEntry,
    new: &NewIndex,
    oid: Oid,
) -> Result<()> {
    let myself = ObjectAddress::relation(oid);
    match &new.constraint {
        Some(constraint) => {
            let columns: Vec<i16> = keys(new).map(|column| column.number).collect();
            let constraint =
                constraint::create_for_index(context, table, constraint, oid, &new.name, &columns)?;
            let constraint = ObjectAddress::new(class::CONSTRAINT, constraint);
            dependency::record(&context.view, myself, [constraint], DependencyKind::Internal)?;
        }
        None => {
            let mut columns: Vec<i16> = new.columns.iter().map(|column| column.number).collect();
            columns.sort_unstable();
            columns.dedup();
            let columns = columns.into_iter().map(|number| ObjectAddress::column(table.oid, number));
            dependency::record(&context.view, myself, columns, DependencyKind::Auto)?;
        }
    }
    let collations = keys(new)
        .filter(|column| column.collation != DEFAULT_COLLATION)
        .filter_map(|column| column.collation.valid())
        .map(|collation| ObjectAddress::new(class::COLLATION, collation));
    dependency::record(&context.view, myself, collations, DependencyKind::Normal)?;
    let opclasses = keys(new).map(|column| ObjectAddress::new(class::OPCLASS, column.opclass));
    dependency::record(&context.view, myself, opclasses, DependencyKind::Normal)
}

fn class_row(table: &RelationEntry, new: &NewIndex, oid: Oid) -> PgClass {
    PgClass {
        oid,
        relname: new.name.as_str().into(),
        relnamespace: table.namespace,
        reltype: Oid::INVALID,
        reloftype: Oid::INVALID,
        relowner: table.owner,
        relam: BTREE,
        relfilenode: oid,
        reltablespace: Oid::INVALID,
        relpages: 0,
        reltuples: 0.0,
        relallvisible: 0,
        relallfrozen: 0,
        reltoastrelid: Oid::INVALID,
        relhasindex: false,
        relisshared: false,
        relpersistence: table.relation.persistence.code(),
        relkind: RelationKind::Index.code(),
        relnatts: new.columns.len() as i16,
        relchecks: 0,
        relhasrules: false,
        relhastriggers: false,
        relhassubclass: false,
        relrowsecurity: false,
        relforcerowsecurity: false,
        relispopulated: true,
        relreplident: b'n',
        relispartition: false,
        relrewrite: Oid::INVALID,
        relfrozenxid: TransactionId::INVALID,
        relminmxid: TransactionId::INVALID,
        relacl: None,
        reloptions: new.options.clone(),
        relpartbound: None,
    }
}

/// An index's column is like the table's, but says nothing about nulls and defaults, and has the type that
/// its operator class stores.
fn attribute_row(
    context: &CommandContext<'_>,
    table: &RelationEntry,
    index: Oid,
    number: i16,
    column: &NewIndexColumn,
) -> Result<PgAttribute> {
    let rows = context.view.rows::<PgAttribute>(Lookup::AttributeByRelation, &[key(table.oid)])?;
    let row = rows.iter().find(|row| row.attnum == column.number).ok_or_else(|| {
        error!(INTERNAL_ERROR, "invalid attribute number {} in an index definition", column.number)
    })?;
    let mut row = PgAttribute {
        attrelid: index,
        attnum: number,
        attnotnull: false,
        atthasdef: false,
        atthasmissing: false,
        attidentity: 0,
        attgenerated: 0,
        attislocal: true,
        attinhcount: 0,
        attcollation: column.collation,
        attstattarget: None,
        attacl: None,
        attoptions: None,
        attfdwoptions: None,
        attmissingval: None,
        ..row.clone()
    };
    let stored = match column.key {
        true => context.view.opclass(column.opclass)?.and_then(|class| class.key_type),
        false => None,
    };
    if let Some(stored) = stored.filter(|stored| *stored != row.atttypid) {
        let entry = context.view.expect_type(stored)?;
        row.atttypid = stored;
        row.atttypmod = -1;
        row.attlen = entry.length;
        row.attbyval = entry.by_value;
        row.attalign = entry.align.code();
        row.attstorage = entry.storage.code();
        row.attcompression = 0;
    }
    Ok(row)
}
