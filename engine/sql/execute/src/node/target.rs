//! What a table that rows are written to brings along: its indexes, checks and foreign keys, compiled.
//!
//! Realises: `ExecOpenIndices`, `ExecRelCheck`'s preparation and `RI_FKey_*`'s. Stored expressions are over
//! relation number one.

use std::sync::Arc;

use kokkiri_access::heap::Heap;
use kokkiri_access::relation::{IndexDescriptor, IndexKey};
use kokkiri_analyze::tree::{CommandType, Expression};
use kokkiri_catalog::entries::{ConstraintEntry, ConstraintKind, ForeignKey, RelationEntry};
use kokkiri_plan::lookup::CatalogFacts;
use kokkiri_primitives::{Error, ItemPointer, Result};
use kokkiri_types::{Batch, PhysicalType, Selection, Value, ValueRef};

use super::modify_table::{TargetIndex, fill_scratch, insert_index_entry};
use crate::constraint::Checks;
use crate::context::Context;
use crate::expression::{Compiler, Filter, Scope};
use crate::foreign_key::{ForeignKeyCheck, ForeignKeys};

/// The indexes of a table, with what they compute of a row; `scope` is that of the table's columns.
pub fn target_indexes(entry: &RelationEntry, scope: &Scope) -> Result<Vec<TargetIndex>> {
    entry
        .indexes
        .iter()
        .map(|index| {
            let decode = |text: &Option<Arc<str>>| -> Result<Vec<Expression>> {
                text.as_deref().map_or(Ok(Vec::new()), decode_expressions)
            };
            Ok(TargetIndex {
                index: Arc::clone(&index.descriptor),
                expressions: decode(&index.expressions)?
                    .iter()
                    .map(|expr| Compiler::compile(scope, expr))
                    .collect::<Result<_>>()?,
                predicate: Filter::compile(scope, &decode(&index.predicate)?)?,
            })
        })
        .collect()
}

/// The checks of a table's rows.
pub fn checks(entry: &RelationEntry, scope: &Scope, types: &[PhysicalType]) -> Result<Checks> {
    let not_null = entry
        .relation
        .tuple_desc
        .iter()
        .enumerate()
        .filter(|(_, attribute)| attribute.not_null && !attribute.dropped)
        .map(|(at, _)| at)
        .collect();
    let mut checks = Vec::new();
    for constraint in entry.constraints.iter().filter(|c| c.kind == ConstraintKind::Check && c.enforced) {
        for expr in constraint.check.as_deref().map_or(Ok(Vec::new()), decode_expressions)? {
            checks.push((constraint.name.to_string(), Compiler::compile(scope, &expr)?));
        }
    }
    // By name, as PostgreSQL checks them.
    checks.sort_by(|a: &(String, _), b| a.0.cmp(&b.0));
    Ok(Checks { not_null, checks, types: types.to_vec() })
}

/// The foreign keys that an operation on a table must check, on both sides.
pub fn foreign_keys(
    facts: &dyn CatalogFacts,
    entry: &RelationEntry,
    operation: CommandType,
) -> Result<ForeignKeys> {
    let mut keys = ForeignKeys::default();
    if operation != CommandType::Delete {
        for constraint in entry.constraints.iter().filter(|c| c.kind == ConstraintKind::Foreign && c.enforced)
        {
            let Some(foreign) = &constraint.foreign else { continue };
            keys.referencing.push(referencing_check(facts, entry, constraint, foreign)?);
        }
    }
    if operation != CommandType::Insert {
        for constraint in entry.referenced_by.iter().filter(|c| c.enforced) {
            let Some(foreign) = &constraint.foreign else { continue };
            keys.referenced.push(referenced_check(facts, entry, constraint, foreign)?);
        }
    }
    Ok(keys)
}

fn columns(numbers: &[i16]) -> Vec<usize> {
    numbers.iter().map(|number| *number as usize - 1).collect()
}

/// A foreign key of `entry`.
pub fn referencing_check(
    facts: &dyn CatalogFacts,
    entry: &RelationEntry,
    constraint: &Arc<ConstraintEntry>,
    foreign: &ForeignKey,
) -> Result<ForeignKeyCheck> {
    let other = facts.relation(foreign.relation)?;
    let index = other.indexes.iter().find(|index| Some(index.oid) == constraint.index);
    let index = index.map(|index| Arc::clone(&index.descriptor));
    let (own, others) = (columns(&constraint.key), columns(&foreign.key));
    Ok(check_of(entry, &other, constraint, foreign, index, own, others))
}

/// A foreign key of another table that refers to `entry`.
pub fn referenced_check(
    facts: &dyn CatalogFacts,
    entry: &RelationEntry,
    constraint: &Arc<ConstraintEntry>,
    foreign: &ForeignKey,
) -> Result<ForeignKeyCheck> {
    let other = facts.relation(constraint.relation)?;
    // Any index that leads to the rows with a key will do.
    let index = other.indexes.iter().find(|index| {
        index.is_valid
            && index.predicate.is_none()
            && index.columns.first().is_some_and(|first| constraint.key.contains(first))
            && constraint.key.iter().all(|key| index.columns[..index.key_count].contains(key))
    });
    let index = index.map(|index| Arc::clone(&index.descriptor));
    let (own, others) = (columns(&foreign.key), columns(&constraint.key));
    Ok(check_of(entry, &other, constraint, foreign, index, own, others))
}

fn check_of(
    entry: &RelationEntry,
    other: &RelationEntry,
    constraint: &Arc<ConstraintEntry>,
    foreign: &ForeignKey,
    index: Option<Arc<IndexDescriptor>>,
    own: Vec<usize>,
    others: Vec<usize>,
) -> ForeignKeyCheck {
    ForeignKeyCheck {
        constraint: Arc::clone(constraint),
        index,
        other_side_types: own.iter().map(|at| entry.relation.tuple_desc[*at].type_oid).collect(),
        own,
        others,
        other: Arc::clone(&other.relation),
        match_kind: foreign.match_kind,
        on_update: foreign.on_update,
        on_delete: foreign.on_delete,
        set_columns: columns(&foreign.set_columns),
        other_owner: other.owner,
        own_owner: entry.owner,
    }
}

/// Expressions as the catalog stores them, over relation number one.
pub fn decode_expressions(text: &str) -> Result<Vec<Expression>> {
    let broken = |error| Error::data_corrupted(format!("could not read a stored expression: {error}"));
    serde_json::from_str(text)
        .or_else(|_| serde_json::from_str::<Expression>(text).map(|expr| vec![expr]))
        .map_err(broken)
}

/// A row that is in the heap, on its way into the indexes.
pub struct WrittenRow<'a> {
    pub row: &'a [Value],
    pub types: &'a [PhysicalType],
    pub tid: ItemPointer,
    pub is_update: bool,
}

/// Enters a row into the indexes.
pub fn enter_row(
    context: &mut Context<'_>,
    heap: &Heap<'_>,
    indexes: &mut [TargetIndex],
    scratch: &mut Batch,
    written: &WrittenRow<'_>,
) -> Result<()> {
    let needs_row =
        indexes.iter().any(|target| !target.expressions.is_empty() || !target.predicate.is_empty());
    if needs_row {
        fill_scratch(scratch, written.types, written.row);
    }
    for target in indexes {
        if !target.predicate.is_empty() {
            scratch.selection.set_all(1);
            target.predicate.apply(context, scratch)?;
            if scratch.is_empty() {
                continue;
            }
        }
        let all = Selection::all(1);
        let mut computed: Vec<Value> = Vec::new();
        for program in &mut target.expressions {
            computed.push(program.evaluate(context, &scratch.columns, &all)?.get(0).to_value());
        }
        let mut values: Vec<ValueRef<'_>> = Vec::with_capacity(target.index.columns.len());
        for column in &target.index.columns {
            values.push(match column.key {
                IndexKey::Attribute(at) => written.row[usize::from(at)].as_ref(),
                IndexKey::Expression(at) => computed[usize::from(at)].as_ref(),
            });
        }
        insert_index_entry(context, heap, target, &values, written.tid, written.is_update)?;
    }
    Ok(())
}
