//! Descriptors for the access layer, from catalog rows.
//!
//! The same code makes the descriptors of the catalogs themselves (from the facts and the relation maps)
//! and those of all other relations (from rows of pg_class, pg_attribute and pg_index).

use std::sync::Arc;

use kokkiri_access::btree::IndexState;
use kokkiri_access::relation::{
    AttributeSet, IndexColumn, IndexDescriptor, IndexKey, IndexOptions, InsertTargets, Persistence, Relation,
    RelationKind, RelationOptions,
};
use kokkiri_primitives::{Error, Oid, ProcNumber, RelFileLocator, RelFileNumber, Result};
use kokkiri_storage::RelationFile;
use kokkiri_types::TupleDesc;
use kokkiri_types::compare;

use crate::database::DatabaseState;
use crate::row::CatalogRow;
use crate::rows::{PgClass, PgIndex, PgOpclass};
use crate::view::{CatalogView, PG_CATALOG, PG_TOAST};

/// `relpersistence` of a temporary relation.
const TEMPORARY: u8 = b't';
/// Bits of `indoption`.
const DESCENDING: i16 = 1;
const NULLS_FIRST: i16 = 2;

/// Where a relation's files are. `number` is that of its row or, for a mapped catalog, of the map.
pub fn relation_file(
    class: &PgClass,
    number: RelFileNumber,
    database: &DatabaseState,
    temp: Option<ProcNumber>,
) -> RelationFile {
    let tablespace = class.reltablespace.valid().unwrap_or(database.tablespace());
    let locator = RelFileLocator {
        tablespace,
        database: if tablespace == RelFileLocator::GLOBAL_TABLESPACE { Oid::INVALID } else { database.oid() },
        number,
    };
    match (class.relpersistence, temp) {
        (b't', Some(proc)) => RelationFile::temporary(locator, proc),
        (b'u', _) => RelationFile::unlogged(locator),
        _ => RelationFile::permanent(locator),
    }
}

/// `name=value` pairs of reloptions.
fn options(class: &PgClass) -> impl Iterator<Item = (&str, &str)> {
    let pairs = class.reloptions.as_ref().map_or(&[][..], |options| &options.0[..]);
    pairs.iter().filter_map(|pair| pair.split_once('='))
}

fn persistence(class: &PgClass) -> Result<Persistence> {
    Persistence::try_from(class.relpersistence).map_err(|()| {
        Error::data_corrupted(format!("relation \"{}\" has an invalid persistence", class.relname))
    })
}

/// In a system schema.
fn is_catalog(class: &PgClass) -> bool {
    class.oid < Oid::FIRST_UNPINNED && (class.relnamespace == PG_CATALOG || class.relnamespace == PG_TOAST)
}

/// The descriptor of a table, TOAST relation, sequence or the like.
pub fn relation(
    class: &PgClass,
    namespace_name: &str,
    file: RelationFile,
    tuple_desc: TupleDesc,
    toast: Option<Arc<Relation>>,
    indexes: Vec<Arc<IndexDescriptor>>,
) -> Result<Relation> {
    let kind = RelationKind::try_from(class.relkind)
        .map_err(|()| Error::data_corrupted(format!("relation \"{}\" has an invalid kind", class.relname)))?;
    let parsed = match kind {
        RelationKind::Table | RelationKind::MaterializedView => RelationOptions::for_table(options(class))?,
        RelationKind::Toast => RelationOptions::for_toast(options(class))?,
        _ => RelationOptions::default(),
    };
    Ok(Relation {
        oid: class.oid,
        name: class.relname.to_string(),
        namespace: class.relnamespace,
        namespace_name: namespace_name.to_owned(),
        kind,
        persistence: persistence(class)?,
        file,
        tuple_desc,
        options: parsed,
        toast,
        indexes,
        is_catalog: is_catalog(class),
        insert_targets: InsertTargets::default(),
    })
}

/// What an index descriptor is made of besides its own rows.
pub struct IndexContext<'a> {
    pub heap_name: &'a str,
    pub namespace_name: &'a str,
    pub file: RelationFile,
    pub tuple_desc: TupleDesc,
    /// 0-based columns that expressions and predicate mention.
    pub mentioned: Vec<usize>,
}

/// The descriptor of an index.
pub fn index(
    class: &PgClass,
    row: &PgIndex,
    context: IndexContext<'_>,
    mut opclass: impl FnMut(Oid) -> Result<PgOpclass>,
    mut support: impl FnMut(&PgOpclass, i16) -> Result<Option<Oid>>,
) -> Result<IndexDescriptor> {
    let key_count = row.indnkeyatts as usize;
    let mut expressions = 0;
    let mut columns = Vec::with_capacity(row.indkey.0.len());
    for (place, number) in row.indkey.0.iter().enumerate() {
        let key = match *number {
            0 => {
                expressions += 1;
                IndexKey::Expression(expressions - 1)
            }
            number => IndexKey::Attribute(number as u16 - 1),
        };
        columns.push(if place < key_count {
            let class = opclass(row.indclass.0[place])?;
            let comparator = match support(&class, COMPARE)? {
                Some(procedure) => compare::support_comparator(procedure),
                None => None,
            };
            let collation = row.indcollation.0[place];
            if collation.is_valid() && !compare::is_byte_order(collation) {
                return Err(Error::not_supported(format!("an index with collation {collation}")));
            }
            IndexColumn {
                key,
                opclass: class.oid,
                opfamily: class.opcfamily,
                input_type: class.opcintype,
                collation,
                comparator,
                descending: row.indoption.0[place] & DESCENDING != 0,
                nulls_first: row.indoption.0[place] & NULLS_FIRST != 0,
                equal_is_image: support(&class, EQUAL_IMAGE)?.is_some_and(is_always_equal_image),
            }
        } else {
            IndexColumn {
                key,
                opclass: Oid::INVALID,
                opfamily: Oid::INVALID,
                input_type: Oid::INVALID,
                collation: Oid::INVALID,
                comparator: None,
                descending: false,
                nulls_first: false,
                equal_is_image: false,
            }
        });
    }
    let plain = row.indkey.0.iter().filter(|number| **number > 0).map(|number| *number as usize - 1);
    let attributes_used: AttributeSet = plain.chain(context.mentioned).collect();
    Ok(IndexDescriptor {
        oid: class.oid,
        name: class.relname.to_string(),
        heap: row.indrelid,
        heap_name: context.heap_name.to_owned(),
        namespace_name: context.namespace_name.to_owned(),
        persistence: persistence(class)?,
        file: context.file,
        access_method: class.relam,
        tuple_desc: context.tuple_desc,
        columns,
        key_count,
        unique: row.indisunique,
        primary: row.indisprimary,
        nulls_not_distinct: row.indnullsnotdistinct,
        immediate: row.indimmediate,
        is_exclusion: row.indisexclusion,
        has_predicate: row.indpred.is_some(),
        is_valid: row.indisvalid,
        is_ready: row.indisready,
        check_xmin: row.indcheckxmin,
        options: IndexOptions::for_btree(options(class))?,
        attributes_used,
        is_catalog: is_catalog(class),
        btree: Arc::new(IndexState::default()),
    })
}

/// Support function numbers of btree operator classes.
pub const COMPARE: i16 = 1;
pub const EQUAL_IMAGE: i16 = 4;

/// `btequalimage` always says yes; `btvarstrequalimage` does for deterministic collations, and only
/// those are built.
fn is_always_equal_image(procedure: Oid) -> bool {
    matches!(procedure, Oid(5051) | Oid(5050))
}

impl CatalogView<'_> {
    /// Where the files of all relations are that belong to the view's database alone, temporary ones
    /// aside: `ScanSourceDatabasePgClass`.
    pub fn database_files(&self) -> Result<Vec<RelationFile>> {
        let database = &self.session.database;
        let mut files = Vec::new();
        for (_, values) in self.scan_all(PgClass::CATALOG)? {
            let class = PgClass::from_values(&values)?;
            let has_storage = RelationKind::try_from(class.relkind).is_ok_and(RelationKind::has_storage);
            if !has_storage || class.relisshared || class.relpersistence == TEMPORARY {
                continue;
            }
            let number = match class.relfilenode.valid() {
                Some(number) => RelFileNumber(number.0),
                None => self.session.catalog.mapped_file(database, class.oid)?,
            };
            files.push(relation_file(&class, number, database, None));
        }
        Ok(files)
    }

    /// The process number of the session that a schema's temporary relations belong to, which its name
    /// tells: `GetTempNamespaceProcNumber`. Entries are shared, so it can't be the one who happens to ask.
    pub(crate) fn temp_owner(&self, namespace: Oid) -> Result<Option<ProcNumber>> {
        let own = [self.session.temp_namespace(), self.session.temp_toast_namespace()];
        if own.contains(&Some(namespace)) {
            return Ok(Some(self.transaction.proc()));
        }
        let Some(entry) = self.namespace(namespace)? else { return Ok(None) };
        let prefixes = ["pg_temp_", "pg_toast_temp_"];
        let number = prefixes.iter().find_map(|prefix| entry.name.strip_prefix(prefix));
        Ok(number.and_then(|number| number.parse().ok()).map(ProcNumber))
    }
}
