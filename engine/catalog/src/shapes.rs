//! Shapes of the system catalogs themselves: what must be known before anything can be read.
//!
//! Realises: the relcache's "formrdesc" entries. The columns and indexes of every catalog are constants
//! of this version, taken from the facts; only the files they are stored in differ from database to
//! database and are asked for ([`crate::view::CatalogView::catalog_relation`]).

use rustc_hash::FxHashMap;
use std::sync::LazyLock;

use kokkiri_primitives::{Error, Oid, RelFileNumber, Result};
use kokkiri_types::{Align, Attribute, AttributeStorage, TupleDesc, builtin};

use crate::facts::{self, FactTable};
use crate::row::CatalogRow;
use crate::rows::{PgAmproc, PgAttribute, PgClass, PgIndex, PgOpclass};

/// A catalog, an index of a catalog or a TOAST relation of a catalog, from the facts.
pub struct Shape {
    pub class: PgClass,
    pub tuple_desc: TupleDesc,
    /// For an index: what it is on.
    pub index: Option<PgIndex>,
    /// Oids of the relation's indexes, rising.
    pub indexes: Vec<Oid>,
}

impl Shape {
    /// The file that init puts the relation into: the one numbered like the relation.
    pub fn initial_file(&self) -> RelFileNumber {
        RelFileNumber(self.class.oid.0)
    }

    /// True for tables, indexes and TOAST relations.
    pub fn has_storage(&self) -> bool {
        matches!(self.class.relkind, b'r' | b'i' | b't')
    }
}

static SHAPES: LazyLock<FxHashMap<Oid, Shape>> = LazyLock::new(load);
static OPCLASSES: LazyLock<FxHashMap<Oid, PgOpclass>> =
    LazyLock::new(|| rows::<PgOpclass>("pg_opclass").into_iter().map(|row| (row.oid, row)).collect());

/// The shape of the catalog (or index or TOAST relation of one) with this oid.
pub fn shape(oid: Oid) -> Option<&'static Shape> {
    SHAPES.get(&oid)
}

/// All of them, in no order.
pub fn shapes() -> impl Iterator<Item = &'static Shape> {
    SHAPES.values()
}

/// True for the relations that all databases share.
pub fn is_shared(oid: Oid) -> bool {
    oid < Oid::FIRST_UNPINNED && shape(oid).is_some_and(|shape| shape.class.relisshared)
}

/// A built-in operator class.
pub fn opclass(oid: Oid) -> Option<&'static PgOpclass> {
    OPCLASSES.get(&oid)
}

static SUPPORT: LazyLock<FxHashMap<(Oid, Oid, i16), Oid>> = LazyLock::new(|| {
    let same_type = |row: &PgAmproc| row.amproclefttype == row.amprocrighttype;
    let rows = rows::<PgAmproc>("pg_amproc").into_iter().filter(same_type);
    rows.map(|row| ((row.amprocfamily, row.amproclefttype, row.amprocnum), row.amproc)).collect()
});

/// A support function of a built-in operator class, for its own input type.
pub fn support_function(class: &PgOpclass, number: i16) -> Option<Oid> {
    SUPPORT.get(&(class.opcfamily, class.opcintype, number)).copied()
}

/// The initial rows of a catalog as structs.
///
/// # Panics
/// If the facts are not rows of that catalog; a test reads them all.
pub fn rows<R: CatalogRow>(catalog: &str) -> Vec<R> {
    let table = facts::table(catalog).expect("the catalog has initial rows");
    let types = column_types(R::CATALOG, table);
    let read = |row: &Vec<&'static str>| {
        let values: Vec<_> = row
            .iter()
            .zip(&types)
            .map(|(field, type_oid)| facts::value(*type_oid, field).expect("a fact is a value of its column"))
            .collect();
        R::from_values(&values).expect("a fact is a row of its catalog")
    };
    table.rows.iter().map(read).collect()
}

/// Types of a fact table's columns.
pub fn column_types(catalog: Oid, table: &FactTable) -> Vec<Oid> {
    let attributes = facts::table("pg_attribute").expect("pg_attribute has initial rows");
    let [relation, name, type_oid] =
        ["attrelid", "attname", "atttypid"].map(|column| attributes.column(column));
    let catalog = catalog.to_string();
    let types: FxHashMap<&str, Oid> = attributes
        .rows
        .iter()
        .filter(|row| row[relation] == catalog)
        .map(|row| (row[name], Oid(row[type_oid].parse().expect("an oid"))))
        .collect();
    table.columns.iter().map(|column| types[column]).collect()
}

fn load() -> FxHashMap<Oid, Shape> {
    let mut attributes: FxHashMap<Oid, Vec<PgAttribute>> = FxHashMap::default();
    for row in rows::<PgAttribute>("pg_attribute").into_iter().filter(|row| row.attnum > 0) {
        attributes.entry(row.attrelid).or_default().push(row);
    }
    let mut indexes: FxHashMap<Oid, PgIndex> = FxHashMap::default();
    let mut by_heap: FxHashMap<Oid, Vec<Oid>> = FxHashMap::default();
    for row in rows::<PgIndex>("pg_index") {
        by_heap.entry(row.indrelid).or_default().push(row.indexrelid);
        indexes.insert(row.indexrelid, row);
    }
    let shape = |class: PgClass| {
        let mut columns = attributes.remove(&class.oid).unwrap_or_default();
        columns.sort_by_key(|row| row.attnum);
        let mut own = by_heap.remove(&class.oid).unwrap_or_default();
        own.sort();
        let tuple_desc = TupleDesc::new(
            columns.iter().map(attribute).collect::<Result<Vec<_>>>().expect("the facts are valid"),
        );
        (class.oid, Shape { tuple_desc, index: indexes.remove(&class.oid), indexes: own, class })
    };
    rows::<PgClass>("pg_class").into_iter().map(shape).collect()
}

/// The attribute that a row of pg_attribute describes, but for what its flags say.
pub(crate) fn attribute(row: &PgAttribute) -> Result<Attribute> {
    let bad = || Error::data_corrupted(format!("invalid pg_attribute entry for column \"{}\"", row.attname));
    Ok(Attribute {
        name: row.attname.clone(),
        number: row.attnum,
        type_oid: row.atttypid,
        typmod: row.atttypmod,
        dimensions: row.attndims,
        physical: builtin::physical_type(row.atttypid, row.attlen, row.attbyval),
        length: row.attlen,
        by_value: row.attbyval,
        align: Align::try_from(row.attalign).map_err(|()| bad())?,
        storage: AttributeStorage::try_from(row.attstorage).map_err(|()| bad())?,
        compression: row.attcompression,
        collation: row.attcollation,
        not_null: row.attnotnull,
        has_default: row.atthasdef,
        identity: row.attidentity,
        generated: row.attgenerated,
        dropped: row.attisdropped,
        missing: match &row.attmissingval {
            Some(array) if row.atthasmissing => crate::row::any_array_elements(array)?.into_iter().next(),
            _ => None,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_structs_have_the_columns_of_their_catalogs() {
        for (catalog, columns) in crate::rows::ALL {
            let shape = shape(*catalog).expect("a catalog");
            let names: Vec<&str> = shape.tuple_desc.iter().map(|attribute| &*attribute.name).collect();
            assert_eq!(&names, columns, "{}", shape.class.relname);
        }
    }

    #[test]
    fn catalogs_know_their_indexes() {
        let class = shape(Oid(1259)).expect("pg_class");
        assert_eq!(class.indexes, [Oid(2662), Oid(2663), Oid(3455)]);
        assert!(is_shared(Oid(1262)) && !is_shared(Oid(1259)) && is_shared(Oid(2671)));
    }
}
