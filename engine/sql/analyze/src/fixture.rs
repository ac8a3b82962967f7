//! A catalog for unit tests: the initial facts, and a few tables.

use std::collections::HashMap;
use std::sync::Arc;

use kokkiri_access::relation::{InsertTargets, Persistence, Relation, RelationKind};
use kokkiri_catalog::convert;
use kokkiri_catalog::entries::*;
use kokkiri_catalog::rows::*;
use kokkiri_catalog::shapes;
use kokkiri_parse::tree as raw;
use kokkiri_primitives::{Oid, RelFileLocator, Result, TransactionId};
use kokkiri_storage::RelationFile;
use kokkiri_types::io::IoSettings;
use kokkiri_types::{Attribute, TupleDesc};

use crate::catalog::Catalog;
use crate::tree::{Expression, Query};
use crate::{Analyzed, Parameters, Views, analyze_with};

const PG_CATALOG: Oid = Oid(11);

pub(crate) struct Facts {
    types: HashMap<Oid, Arc<TypeEntry>>,
    functions: Vec<Arc<FunctionEntry>>,
    operators: Vec<Arc<OperatorEntry>>,
    casts: HashMap<(Oid, Oid), Arc<CastEntry>>,
    aggregates: HashMap<Oid, Arc<AggregateEntry>>,
    collations: Vec<Arc<CollationEntry>>,
    opclasses: Vec<PgOpclass>,
    amops: Vec<PgAmop>,
    relations: Vec<Arc<RelationEntry>>,
}

fn built<R, E>(rows: Vec<R>, build: impl Fn(R) -> Result<E>) -> Vec<Arc<E>> {
    rows.into_iter().map(|row| Arc::new(build(row).expect("a fact is a valid row"))).collect()
}

fn table(oid: u32, name: &str, columns: &[(&str, u32, i32)], key: Option<i16>) -> Arc<RelationEntry> {
    let attributes: Vec<Attribute> = columns
        .iter()
        .enumerate()
        .map(|(index, (name, type_oid, typmod))| {
            let mut attribute = Attribute::builtin(*name, index as i16 + 1, Oid(*type_oid));
            attribute.typmod = *typmod;
            attribute
        })
        .collect();
    let count = attributes.len();
    let oid = Oid(oid);
    let relation = Relation {
        oid,
        name: name.to_owned(),
        namespace: Oid(2200),
        namespace_name: "public".to_owned(),
        kind: RelationKind::Table,
        persistence: Persistence::Permanent,
        file: RelationFile::new(RelFileLocator::default(), kokkiri_storage::Persistence::Permanent),
        tuple_desc: TupleDesc::new(attributes),
        options: Default::default(),
        toast: None,
        indexes: Vec::new(),
        is_catalog: false,
        insert_targets: InsertTargets::default(),
    };
    let primary = key.map(|key| {
        Arc::new(ConstraintEntry {
            oid: Oid(oid.0 + 1),
            name: format!("{name}_pkey").into(),
            namespace: Oid(2200),
            kind: ConstraintKind::Primary,
            deferrable: false,
            deferred: false,
            enforced: true,
            validated: true,
            relation: oid,
            index: None,
            key: Box::new([key]),
            foreign: None,
            check: None,
            is_local: true,
            inherit_count: 0,
            no_inherit: true,
        })
    });
    Arc::new(RelationEntry {
        oid,
        name: name.into(),
        namespace: Oid(2200),
        row_type: None,
        owner: Oid(10),
        access_method: None,
        tablespace: None,
        is_shared: false,
        relation: Arc::new(relation),
        pages: 0,
        tuples: -1.0,
        all_visible: 0,
        all_frozen: 0,
        has_rules: false,
        has_triggers: false,
        has_subclass: false,
        is_partition: false,
        is_populated: true,
        row_security: false,
        replica_identity: b'd',
        frozen_xid: TransactionId(3),
        acl: None,
        options: Box::default(),
        indexes: Box::default(),
        constraints: primary.into_iter().collect(),
        referenced_by: Box::default(),
        triggers: Box::default(),
        defaults: vec![None; count].into(),
        view: None,
    })
}

impl Facts {
    pub fn new() -> Self {
        let types = built(shapes::rows::<PgType>("pg_type"), convert::type_entry);
        let casts = built(shapes::rows::<PgCast>("pg_cast"), convert::cast_entry);
        let aggregates = built(shapes::rows::<PgAggregate>("pg_aggregate"), convert::aggregate_entry);
        Self {
            types: types.into_iter().map(|entry| (entry.oid, entry)).collect(),
            functions: built(shapes::rows::<PgProc>("pg_proc"), convert::function_entry),
            operators: built(shapes::rows::<PgOperator>("pg_operator"), convert::operator_entry),
            casts: casts.into_iter().map(|entry| ((entry.source, entry.target), entry)).collect(),
            aggregates: aggregates.into_iter().map(|entry| (entry.function, entry)).collect(),
            collations: built(shapes::rows::<PgCollation>("pg_collation"), convert::collation_entry),
            opclasses: shapes::rows("pg_opclass"),
            amops: shapes::rows("pg_amop"),
            relations: vec![
                table(
                    20000,
                    "pgbench_accounts",
                    &[("aid", 23, -1), ("bid", 23, -1), ("abalance", 23, -1), ("filler", 1042, 88)],
                    Some(1),
                ),
                table(
                    20010,
                    "pgbench_history",
                    &[
                        ("tid", 23, -1),
                        ("bid", 23, -1),
                        ("aid", 23, -1),
                        ("delta", 23, -1),
                        ("mtime", 1114, -1),
                        ("filler", 1042, 26),
                    ],
                    None,
                ),
                table(
                    20020,
                    "t",
                    &[("a", 23, -1), ("b", 25, -1), ("c", 1700, 655366), ("d", 1043, 14)],
                    Some(1),
                ),
                table(20030, "u", &[("a", 23, -1), ("x", 701, -1), ("ts", 1184, -1)], None),
            ],
        }
    }

    pub fn relation_called(&self, name: &str) -> Option<Arc<RelationEntry>> {
        self.relations.iter().find(|relation| &*relation.name == name).cloned()
    }

    pub fn relation(&self, oid: Oid) -> Result<Option<Arc<RelationEntry>>> {
        Ok(self.relations.iter().find(|relation| relation.oid == oid).cloned())
    }

    pub fn expect_type(&self, oid: Oid) -> Result<Arc<TypeEntry>> {
        self.types
            .get(&oid)
            .cloned()
            .ok_or_else(|| kokkiri_primitives::error!(UNDEFINED_OBJECT, "type with OID {oid} does not exist"))
    }

    pub fn type_by_name(&self, _: Option<&str>, name: &str) -> Result<Option<Arc<TypeEntry>>> {
        Ok(self.types.values().find(|entry| &*entry.name == name).cloned())
    }

    pub fn functions_by_name(&self, _: Option<&str>, name: &str) -> Result<Vec<(usize, Arc<FunctionEntry>)>> {
        let named = self.functions.iter().filter(|function| &*function.name == name);
        Ok(named
            .filter(|function| function.namespace == PG_CATALOG)
            .map(|function| (0, function.clone()))
            .collect())
    }

    pub fn function(&self, oid: Oid) -> Result<Option<Arc<FunctionEntry>>> {
        Ok(self.functions.iter().find(|function| function.oid == oid).cloned())
    }

    pub fn operators_by_name(&self, _: Option<&str>, name: &str) -> Result<Vec<(usize, Arc<OperatorEntry>)>> {
        let named = self.operators.iter().filter(|operator| &*operator.name == name);
        Ok(named.map(|operator| (0, operator.clone())).collect())
    }

    pub fn operator_for(
        &self,
        _: Option<&str>,
        name: &str,
        left: Option<Oid>,
        right: Oid,
    ) -> Result<Option<Arc<OperatorEntry>>> {
        let same = |it: &&Arc<OperatorEntry>| &*it.name == name && it.left == left && it.right == right;
        Ok(self.operators.iter().find(same).cloned())
    }

    pub fn operator(&self, oid: Oid) -> Result<Option<Arc<OperatorEntry>>> {
        Ok(self.operators.iter().find(|operator| operator.oid == oid).cloned())
    }

    pub fn collation(&self, oid: Oid) -> Result<Option<Arc<CollationEntry>>> {
        Ok(self.collations.iter().find(|collation| collation.oid == oid).cloned())
    }

    pub fn cast(&self, from: Oid, to: Oid) -> Result<Option<Arc<CastEntry>>> {
        Ok(self.casts.get(&(from, to)).cloned())
    }

    pub fn aggregate(&self, function: Oid) -> Result<Option<Arc<AggregateEntry>>> {
        Ok(self.aggregates.get(&function).cloned())
    }

    pub fn collation_by_name(&self, _: Option<&str>, name: &str) -> Result<Option<Arc<CollationEntry>>> {
        Ok(self.collations.iter().find(|collation| &*collation.name == name).cloned())
    }

    pub fn family_operator(&self, family: Oid, left: Oid, right: Oid, strategy: i16) -> Result<Option<Oid>> {
        let found = self.amops.iter().find(|member| {
            member.amopfamily == family
                && member.amoplefttype == left
                && member.amoprighttype == right
                && member.amopstrategy == strategy
        });
        Ok(found.map(|member| member.amopopr))
    }

    pub fn opclasses(&self, method: Oid) -> Result<Arc<Vec<PgOpclass>>> {
        Ok(Arc::new(self.opclasses.iter().filter(|class| class.opcmethod == method).cloned().collect()))
    }

    pub fn families_of_operator(&self, operator: Oid) -> Result<Arc<Vec<PgAmop>>> {
        Ok(Arc::new(self.amops.iter().filter(|member| member.amopopr == operator).cloned().collect()))
    }
}

thread_local! {
    static FACTS: Facts = Facts::new();
}

/// Analyzes one statement against the fixture.
pub(crate) fn analyze(text: &str, parameters: Parameters) -> Result<Analyzed> {
    FACTS.with(|facts| {
        let statements = kokkiri_parse::parse(text)?;
        let raw: &raw::RawStatement = statements.first().expect("a statement");
        analyze_with(Catalog::Facts(facts), &IoSettings::default(), raw, parameters, Views::Expand)
    })
}

/// Prints an expression, columns by their names alone.
pub(crate) fn deparse(expr: &Expression, query: &Query) -> Result<String> {
    FACTS.with(|facts| {
        let name = |expr: &Expression| match expr {
            Expression::Var(var) => query.rte(var.varno).eref.columns.get(var.varattno as usize - 1).cloned(),
            _ => None,
        };
        let io = IoSettings::default();
        crate::ruleutils::named_expression_text(Catalog::Facts(facts), &io, expr, &name)
    })
}
