//! Putting entries together from rows: system catalogs, relations, indexes.
//!
//! Realises: relcache.c's `RelationBuildDesc`. What is put together here is cached as a whole; the rows
//! it is made of are read fresh, with one catalog snapshot each.

use std::sync::Arc;

use kokkiri_access::relation::{IndexDescriptor, Relation, RelationKind};
use kokkiri_primitives::{Error, Oid, RelFileNumber, Result};
use kokkiri_types::TupleDesc;

use crate::cache::Question;
use crate::convert;
use crate::descriptor::{self, IndexContext, relation_file};
use crate::entries::{ConstraintEntry, ConstraintKind, IndexEntry, RelationEntry, TriggerEntry};
use crate::lookup::Lookup;
use crate::row::CatalogRow;
use crate::rows::*;
use crate::shapes::{self, Shape};
use crate::view::{CatalogView, oid_ref};

/// Catalogs that pg_class itself is found with: they are found with the relation map alone.
const PG_CLASS: Oid = Oid(1259);

impl CatalogView<'_> {
    /// The descriptor of a system catalog (or of a catalog's TOAST relation).
    pub fn catalog_relation(&self, catalog: Oid) -> Result<Arc<Relation>> {
        let shape = shapes::shape(catalog)
            .ok_or_else(|| Error::internal(format!("relation {catalog} is no system catalog")))?;
        let cache = self.cache_of(catalog);
        self.answer(cache, Question::Catalog(catalog), || {
            let toast = match shape.class.reltoastrelid.valid() {
                Some(toast) => Some(self.catalog_relation(toast)?),
                None => None,
            };
            self.load_catalog(shape, toast, &|shape| self.file_number(shape))
        })
    }

    /// The descriptor of a catalog that is being made: its files are where the facts say.
    pub(crate) fn bootstrap_relation(&self, shape: &Shape) -> Result<Relation> {
        self.load_catalog(shape, None, &|shape| Ok(shape.initial_file()))
    }

    fn load_catalog(
        &self,
        shape: &Shape,
        toast: Option<Arc<Relation>>,
        file_number: &dyn Fn(&Shape) -> Result<RelFileNumber>,
    ) -> Result<Relation> {
        let file = relation_file(&shape.class, file_number(shape)?, &self.session.database, None);
        let mut indexes = Vec::with_capacity(shape.indexes.len());
        for index in &shape.indexes {
            let shape_of_index = shapes::shape(*index).expect("the facts list it");
            let number = file_number(shape_of_index)?;
            indexes.push(Arc::new(self.load_catalog_index(shape_of_index, shape, number)?));
        }
        descriptor::relation(&shape.class, "pg_catalog", file, shape.tuple_desc.clone(), toast, indexes)
    }

    fn load_catalog_index(
        &self,
        shape: &Shape,
        heap: &Shape,
        number: RelFileNumber,
    ) -> Result<IndexDescriptor> {
        let context = IndexContext {
            heap_name: &heap.class.relname,
            namespace_name: "pg_catalog",
            file: relation_file(&shape.class, number, &self.session.database, None),
            tuple_desc: shape.tuple_desc.clone(),
            mentioned: Vec::new(),
        };
        let row = shape.index.as_ref().expect("the facts have a pg_index row for each index");
        let opclass = |oid| {
            shapes::opclass(oid).cloned().ok_or_else(|| Error::internal(format!("no operator class {oid}")))
        };
        descriptor::index(&shape.class, row, context, opclass, |class, number| {
            Ok(shapes::support_function(class, number))
        })
    }

    /// The file a catalog is stored in: from the relation map, or from its row in pg_class.
    fn file_number(&self, shape: &Shape) -> Result<RelFileNumber> {
        let oid = shape.class.oid;
        if shape.class.relfilenode == Oid::INVALID {
            return self.session.catalog.mapped_file(&self.session.database, oid);
        }
        debug_assert_ne!(oid, PG_CLASS, "pg_class is mapped");
        match self.scan(PG_CLASS, Lookup::RelationByOid.index(), &[1], &[oid_ref(oid)])?.first() {
            Some((_, values)) => Ok(RelFileNumber(PgClass::from_values(values)?.relfilenode.0)),
            None => Err(Error::data_corrupted(format!("pg_class has no row for system catalog {oid}"))),
        }
    }

    fn rows_now<R: CatalogRow>(&self, lookup: Lookup, oid: Oid) -> Result<Vec<R>> {
        let rows = self.scan(lookup.catalog(), lookup.index(), lookup.columns(), &[oid_ref(oid)])?;
        rows.iter().map(|(_, values)| R::from_values(values)).collect()
    }

    /// Reads everything there is about a relation; `None` if there is no such relation.
    pub(crate) fn load_relation(&self, oid: Oid) -> Result<Option<Arc<RelationEntry>>> {
        let Some(class) = self.rows_now::<PgClass>(Lookup::RelationByOid, oid)?.pop() else {
            return Ok(None);
        };
        let namespace_name =
            self.namespace(class.relnamespace)?.map_or_else(|| "?".into(), |n| Arc::clone(&n.name));
        let tuple_desc = self.load_tuple_desc(oid)?;
        let (mut indexes, mut descriptors) = (Vec::new(), Vec::new());
        if class.relhasindex {
            let mut rows = self.rows_now::<PgIndex>(Lookup::IndexByHeap, oid)?;
            rows.sort_by_key(|row| row.indexrelid);
            for row in rows.into_iter().filter(|row| row.indislive) {
                let entry = Arc::new(self.load_index(row, &class.relname, &namespace_name)?);
                descriptors.push(Arc::clone(&entry.descriptor));
                indexes.push(entry);
            }
        }
        let toast = match class.reltoastrelid.valid() {
            Some(toast) => self.relation(toast)?.map(|entry| Arc::clone(&entry.relation)),
            None => None,
        };
        let file = self.file_of(&class)?;
        let relation =
            descriptor::relation(&class, &namespace_name, file, tuple_desc.clone(), toast, descriptors)?;
        // An index is a relation of its own too; its shape comes from its own attributes.
        let relation = Arc::new(relation);
        let is_table = matches!(relation.kind, RelationKind::Table | RelationKind::PartitionedTable);
        Ok(Some(Arc::new(RelationEntry {
            oid,
            name: class.relname.clone(),
            namespace: class.relnamespace,
            row_type: class.reltype.valid(),
            owner: class.relowner,
            access_method: class.relam.valid(),
            tablespace: class.reltablespace.valid(),
            is_shared: class.relisshared,
            pages: class.relpages,
            tuples: class.reltuples,
            all_visible: class.relallvisible,
            all_frozen: class.relallfrozen,
            has_rules: class.relhasrules,
            has_triggers: class.relhastriggers,
            has_subclass: class.relhassubclass,
            is_partition: class.relispartition,
            is_populated: class.relispopulated,
            row_security: class.relrowsecurity,
            replica_identity: class.relreplident,
            frozen_xid: class.relfrozenxid,
            indexes: indexes.into(),
            constraints: if is_table { self.load_constraints(oid)?.into() } else { Box::default() },
            referenced_by: if is_table { self.load_references(oid)?.into() } else { Box::default() },
            triggers: if class.relhastriggers { self.load_triggers(oid)?.into() } else { Box::default() },
            defaults: self.load_defaults(oid, &tuple_desc)?.into(),
            view: self.load_view(&class)?,
            options: class
                .reloptions
                .map_or_else(Box::default, |o| o.0.into_iter().map(Into::into).collect()),
            acl: class.relacl,
            relation,
        })))
    }

    fn file_of(&self, class: &PgClass) -> Result<kokkiri_storage::RelationFile> {
        let number = match class.relfilenode.valid() {
            Some(number) => RelFileNumber(number.0),
            None if shapes::shape(class.oid).is_some() => {
                self.session.catalog.mapped_file(&self.session.database, class.oid)?
            }
            // A view or composite type has no files.
            None => RelFileNumber(0),
        };
        let temp = match class.relpersistence {
            b't' => self.temp_owner(class.relnamespace)?,
            _ => None,
        };
        Ok(relation_file(class, number, &self.session.database, temp))
    }

    fn load_tuple_desc(&self, relation: Oid) -> Result<TupleDesc> {
        let mut rows = self.rows_now::<PgAttribute>(Lookup::AttributeByRelation, relation)?;
        rows.retain(|row| row.attnum > 0);
        rows.sort_by_key(|row| row.attnum);
        Ok(TupleDesc::new(rows.iter().map(shapes::attribute).collect::<Result<Vec<_>>>()?))
    }

    fn load_index(&self, row: PgIndex, heap_name: &str, namespace_name: &str) -> Result<IndexEntry> {
        let class = self.rows_now::<PgClass>(Lookup::RelationByOid, row.indexrelid)?.pop();
        let class = class.ok_or_else(|| {
            Error::data_corrupted(format!("cache lookup failed for index {}", row.indexrelid))
        })?;
        let context = IndexContext {
            heap_name,
            namespace_name,
            file: self.file_of(&class)?,
            tuple_desc: self.load_tuple_desc(row.indexrelid)?,
            mentioned: crate::node_tree::mentioned_columns([row.indexprs.as_deref(), row.indpred.as_deref()]),
        };
        let opclass = |oid: Oid| match self.rows_now::<PgOpclass>(Lookup::OpclassByOid, oid)?.pop() {
            Some(class) => Ok(class),
            None => Err(Error::data_corrupted(format!("cache lookup failed for operator class {oid}"))),
        };
        let support = |class: &PgOpclass, number: i16| {
            self.family_function(class.opcfamily, class.opcintype, class.opcintype, number)
        };
        let descriptor = descriptor::index(&class, &row, context, opclass, support)?;
        let key_count = row.indnkeyatts as usize;
        let keys = &descriptor.columns[..key_count];
        Ok(IndexEntry {
            oid: row.indexrelid,
            name: class.relname.clone(),
            heap: row.indrelid,
            method: class.relam,
            is_unique: row.indisunique,
            is_primary: row.indisprimary,
            is_exclusion: row.indisexclusion,
            is_immediate: row.indimmediate,
            is_clustered: row.indisclustered,
            is_valid: row.indisvalid,
            is_ready: row.indisready,
            is_live: row.indislive,
            check_xmin: row.indcheckxmin,
            nulls_not_distinct: row.indnullsnotdistinct,
            key_count,
            opclasses: keys.iter().map(|column| column.opclass).collect(),
            collations: keys.iter().map(|column| column.collation).collect(),
            families: keys.iter().map(|column| column.opfamily).collect(),
            opclass_types: keys.iter().map(|column| column.input_type).collect(),
            options: row.indoption.0.into(),
            columns: row.indkey.0.into(),
            expressions: row.indexprs.map(Into::into),
            predicate: row.indpred.map(Into::into),
            pages: class.relpages,
            tuples: class.reltuples,
            descriptor: Arc::new(descriptor),
        })
    }

    fn load_constraints(&self, relation: Oid) -> Result<Vec<Arc<ConstraintEntry>>> {
        let rows = self.rows_now::<PgConstraint>(Lookup::ConstraintByRelation, relation)?;
        rows.into_iter().map(|row| convert::constraint_entry(row).map(Arc::new)).collect()
    }

    /// Foreign keys that refer to the relation. There is no index on `confrelid`, but each puts triggers
    /// on the relation it refers to.
    fn load_references(&self, relation: Oid) -> Result<Vec<Arc<ConstraintEntry>>> {
        let mut found: Vec<Arc<ConstraintEntry>> = Vec::new();
        for trigger in self.rows_now::<PgTrigger>(Lookup::TriggerByRelation, relation)? {
            let Some(constraint) = trigger.tgconstraint.valid() else { continue };
            if found.iter().any(|known| known.oid == constraint) {
                continue;
            }
            let Some(row) = self.rows_now::<PgConstraint>(Lookup::ConstraintByOid, constraint)?.pop() else {
                continue;
            };
            let entry = convert::constraint_entry(row)?;
            if entry.kind == ConstraintKind::Foreign
                && entry.foreign.as_ref().is_some_and(|f| f.relation == relation)
            {
                found.push(Arc::new(entry));
            }
        }
        Ok(found)
    }

    fn load_triggers(&self, relation: Oid) -> Result<Vec<Arc<TriggerEntry>>> {
        let rows = self.rows_now::<PgTrigger>(Lookup::TriggerByRelation, relation)?;
        let user = rows.into_iter().filter(|row| !row.tgisinternal);
        user.map(|row| convert::trigger_entry(row).map(Arc::new)).collect()
    }

    fn load_defaults(&self, relation: Oid, desc: &TupleDesc) -> Result<Vec<Option<Arc<str>>>> {
        let mut defaults = vec![None; desc.len()];
        if desc.iter().any(|attribute| attribute.has_default) {
            for row in self.rows_now::<PgAttrdef>(Lookup::AttrdefByRelation, relation)? {
                if let Some(slot) = defaults.get_mut(row.adnum as usize - 1) {
                    *slot = Some(row.adbin.into());
                }
            }
        }
        Ok(defaults)
    }

    /// The query of a view: the action of its rule for SELECT.
    fn load_view(&self, class: &PgClass) -> Result<Option<Arc<str>>> {
        const ON_SELECT: u8 = b'1';
        if class.relkind != b'v' && class.relkind != b'm' {
            return Ok(None);
        }
        let rules = self.rows_now::<PgRewrite>(Lookup::RewriteByRelation, class.oid)?;
        Ok(rules.into_iter().find(|rule| rule.ev_type == ON_SELECT).map(|rule| rule.ev_action.into()))
    }
}
