//! LIKE of CREATE TABLE: the columns of another relation and, on request, what belongs to them.
//!
//! Realises: `transformTableLikeClause`, `expandTableLikeClause` (parse_utilcmd.c). Nothing ties the new
//! table to its pattern afterwards.

use std::sync::Arc;

use kokkiri_access::relation::RelationKind;
use kokkiri_analyze::stored;
use kokkiri_analyze::tree::{Expression, Var};
use kokkiri_catalog::dependency::{ObjectAddress, class};
use kokkiri_catalog::entries::{ConstraintKind, IndexEntry, RelationEntry};
use kokkiri_catalog::lookup::Lookup;
use kokkiri_catalog::privilege::{ObjectKind, Privileges};
use kokkiri_catalog::rows::PgDescription;
use kokkiri_parse::AtLocation;
use kokkiri_parse::tree::{DefArg, DefElem, RangeVar, TableLikeOption};
use kokkiri_primitives::{Error, Oid, Result, error};
use kokkiri_transaction::LockMode;
use kokkiri_types::ValueRef;

use super::{Definition, NotNullDefinition, ValueDefinition, ValueSource};
use crate::check::{CheckSource, NewCheck};
use crate::constraint::IndexConstraint;
use crate::context::CommandContext;
use crate::describe::key;
use crate::index::define::{default_name, find_column};
use crate::index::{self, NewIndex, NewIndexColumn};
use crate::relation::NewColumn;
use crate::{comment, name, sequence};

/// What is left to be copied once the table is there.
#[derive(Clone)]
pub struct Pattern {
    entry: Arc<RelationEntry>,
    indexes: bool,
    comments: bool,
}

/// True if the last word about an option includes it.
fn includes(options: &[(bool, TableLikeOption)], wanted: TableLikeOption) -> bool {
    let about = |option: &&(bool, TableLikeOption)| option.1 == wanted || option.1 == TableLikeOption::All;
    options.iter().rev().find(about).is_some_and(|(including, _)| *including)
}

/// Adds the columns of a LIKE to a definition.
pub fn add(
    context: &CommandContext<'_>,
    definition: &mut Definition,
    relation: &RangeVar,
    options: &[(bool, TableLikeOption)],
) -> Result<()> {
    let entry = name::lock(context, relation, LockMode::AccessShare, false)
        .map_err(|error| error.at_location(relation.location))?
        .ok_or_else(|| name::undefined(relation).at_location(relation.location))?;
    check_pattern(context, &entry).map_err(|error| error.at_location(relation.location))?;
    for attribute in entry.relation.tuple_desc.iter().filter(|attribute| !attribute.dropped) {
        let identity = attribute.identity != 0 && includes(options, TableLikeOption::Identity);
        definition.columns.push(NewColumn {
            typmod: attribute.typmod,
            dimensions: attribute.dimensions,
            collation: attribute.collation,
            storage: includes(options, TableLikeOption::Storage).then_some(attribute.storage),
            compression: match includes(options, TableLikeOption::Compression) {
                true => attribute.compression,
                false => 0,
            },
            identity: if identity { attribute.identity } else { 0 },
            ..NewColumn::plain(&attribute.name, attribute.type_oid)
        });
        let column = attribute.name.to_string();
        if identity {
            let source = ValueSource::Identity(sequence_options(context, entry.oid, attribute.number)?);
            definition.values.push(ValueDefinition { column: column.clone(), source });
        }
        let default = entry.defaults[attribute.number as usize - 1].as_deref();
        if let Some(tree) =
            default.filter(|_| attribute.generated == 0 && includes(options, TableLikeOption::Defaults))
        {
            let source = ValueSource::Cooked(stored::read(tree)?);
            definition.values.push(ValueDefinition { column, source });
        }
    }
    for constraint in &entry.constraints {
        match (constraint.kind, &constraint.check) {
            (ConstraintKind::NotNull, _) => {
                let column = entry.relation.tuple_desc[constraint.key[0] as usize - 1].name.to_string();
                if !definition.not_null.iter().any(|known| known.column == column) {
                    definition.not_null.push(NotNullDefinition {
                        name: Some(constraint.name.to_string()),
                        no_inherit: constraint.no_inherit,
                        ..NotNullDefinition::plain(&column)
                    });
                }
            }
            (ConstraintKind::Check, Some(tree)) if includes(options, TableLikeOption::Constraints) => {
                let expr = renumbered(stored::read(tree)?, &entry, definition)?;
                definition.checks.push(NewCheck {
                    name: Some(constraint.name.to_string()),
                    source: CheckSource::Cooked(expr),
                    no_inherit: constraint.no_inherit,
                    enforced: constraint.enforced,
                    not_valid: false,
                });
            }
            _ => {}
        }
    }
    definition.patterns.push(Pattern {
        indexes: includes(options, TableLikeOption::Indexes),
        comments: includes(options, TableLikeOption::Comments),
        entry,
    });
    Ok(())
}

fn check_pattern(context: &CommandContext<'_>, entry: &RelationEntry) -> Result<()> {
    let kind = entry.relation.kind;
    if !matches!(
        kind,
        RelationKind::Table
            | RelationKind::View
            | RelationKind::MaterializedView
            | RelationKind::CompositeType
            | RelationKind::ForeignTable
            | RelationKind::PartitionedTable
    ) {
        return Err(error!(WRONG_OBJECT_TYPE, "relation \"{}\" is invalid in LIKE clause", entry.name)
            .detail(format!("This operation is not supported for {}.", name::plural_kind(kind))));
    }
    let wanted = Privileges::SELECT;
    let granted = context.view.privileges(
        context.role(),
        ObjectKind::Table,
        entry.owner,
        entry.acl.as_ref(),
        wanted,
    )?;
    if !granted.contains(wanted) {
        return Err(error!(
            INSUFFICIENT_PRIVILEGE,
            "permission denied for {} {}",
            name::kind_name(kind),
            entry.name
        ));
    }
    Ok(())
}

/// The options that make a sequence like that of an identity column.
fn sequence_options(context: &CommandContext<'_>, table: Oid, column: i16) -> Result<Vec<DefElem>> {
    let sequence = sequence::owned(context, table, Some(column))?;
    let row = match sequence.first() {
        Some(sequence) => context.view.sequence(*sequence)?,
        None => None,
    };
    let row = row.ok_or_else(|| Error::internal("no owned sequence found"))?;
    let option = |name: &str, arg: DefArg| DefElem {
        namespace: None,
        name: name.to_owned(),
        arg: Some(arg),
        location: kokkiri_parse::Location::UNKNOWN,
    };
    let number = |name: &str, value: i64| option(name, DefArg::Float(value.to_string()));
    Ok(vec![
        number("cache", row.seqcache),
        option("cycle", DefArg::Boolean(row.seqcycle)),
        number("increment", row.seqincrement),
        number("maxvalue", row.seqmax),
        number("minvalue", row.seqmin),
        number("start", row.seqstart),
    ])
}

/// An expression over the pattern's columns as one over the new table's of the same names.
fn renumbered(mut expr: Expression, pattern: &RelationEntry, definition: &Definition) -> Result<Expression> {
    let mut missing = false;
    renumber(&mut expr, &mut |var| {
        let name = &pattern.relation.tuple_desc[var.varattno as usize - 1].name;
        match definition.columns.iter().position(|column| column.name == **name) {
            Some(at) => var.varattno = at as i16 + 1,
            None => missing = true,
        }
    });
    if missing {
        return Err(Error::internal("a copied constraint is over a column that was not copied"));
    }
    Ok(expr)
}

fn renumber(expr: &mut Expression, change: &mut dyn FnMut(&mut Var)) {
    match expr {
        Expression::Var(var) if var.varattno > 0 => change(var),
        other => other.for_each_child_mut(&mut |child| renumber(child, change)),
    }
}

impl Pattern {
    /// Copies the pattern's indexes and comments to the new table.
    pub fn finish(&self, context: &mut CommandContext<'_>, table: Oid) -> Result<()> {
        if self.indexes {
            for index in &self.entry.indexes {
                let made = copy_index(context, &self.entry, table, index)?;
                if self.comments {
                    copy_comment(context, ObjectAddress::relation(index.oid), ObjectAddress::relation(made))?;
                }
            }
        }
        if self.comments {
            self.copy_comments(context, table)?;
        }
        Ok(())
    }

    fn copy_comments(&self, context: &CommandContext<'_>, table: Oid) -> Result<()> {
        let new = context.view.expect_relation(table)?;
        for attribute in self.entry.relation.tuple_desc.iter().filter(|attribute| !attribute.dropped) {
            if let Some(copied) = find_column(&new, &attribute.name) {
                let from = ObjectAddress::column(self.entry.oid, attribute.number);
                copy_comment(context, from, ObjectAddress::column(table, copied.number))?;
            }
        }
        for constraint in self.entry.constraints.iter().filter(|known| known.kind == ConstraintKind::Check) {
            if let Some(copied) = new.constraints.iter().find(|known| known.name == constraint.name) {
                let from = ObjectAddress::new(class::CONSTRAINT, constraint.oid);
                copy_comment(context, from, ObjectAddress::new(class::CONSTRAINT, copied.oid))?;
            }
        }
        Ok(())
    }
}

fn copy_comment(context: &CommandContext<'_>, from: ObjectAddress, to: ObjectAddress) -> Result<()> {
    let keys = [key(from.object), key(from.class), ValueRef::Int32(from.sub)];
    let found = context.view.scan_rows::<PgDescription>(comment::DESCRIPTION_INDEX, &[1, 2, 3], &keys)?;
    match found.first() {
        Some(found) => comment::set(context, to, Some(&found.row.description)),
        None => Ok(()),
    }
}

/// Makes an index of the new table like one of the pattern, under a name of its own.
fn copy_index(
    context: &mut CommandContext<'_>,
    pattern: &RelationEntry,
    table: Oid,
    index: &IndexEntry,
) -> Result<Oid> {
    if index.expressions.is_some() || index.predicate.is_some() {
        return Err(Error::not_supported("LIKE ... INCLUDING INDEXES of an index with expressions"));
    }
    let new = context.view.expect_relation(table)?;
    let mut columns = Vec::with_capacity(index.columns.len());
    for (at, number) in index.columns.iter().enumerate() {
        let name = &pattern.relation.tuple_desc[*number as usize - 1].name;
        let attribute = find_column(&new, name)
            .ok_or_else(|| Error::internal("a copied index is over a column that was not copied"))?;
        let is_key = at < index.key_count;
        columns.push(NewIndexColumn {
            number: attribute.number,
            collation: if is_key { index.collations[at] } else { Oid::INVALID },
            opclass: if is_key { index.opclasses[at] } else { Oid::INVALID },
            option: if is_key { index.options[at] } else { 0 },
            key: is_key,
        });
    }
    let constraint = pattern
        .constraints
        .iter()
        .find(|known| known.index == Some(index.oid) && known.kind != ConstraintKind::Foreign)
        .map(|known| IndexConstraint {
            kind: known.kind,
            deferrable: known.deferrable,
            deferred: known.deferred,
        });
    let index_name = match &constraint {
        Some(_) if index.is_primary => {
            name::choose_relation(context, &new.name, None, "pkey", new.namespace, true)?
        }
        Some(_) => {
            let attributes = &new.relation.tuple_desc;
            let names = columns.iter().map(|column| &*attributes[column.number as usize - 1].name);
            let joined = name::joined_columns(names);
            name::choose_relation(context, &new.name, Some(&joined), "key", new.namespace, true)?
        }
        None => default_name(context, &new, &columns)?,
    };
    let options = index_options(context, index.oid)?;
    let definition = NewIndex {
        name: index_name,
        columns,
        unique: index.is_unique,
        primary: index.is_primary,
        nulls_not_distinct: index.nulls_not_distinct,
        options,
        constraint,
    };
    index::create(context, &new, definition)
}

fn index_options(
    context: &CommandContext<'_>,
    index: Oid,
) -> Result<Option<kokkiri_catalog::row::Array<String>>> {
    let rows = context.view.rows::<kokkiri_catalog::rows::PgClass>(Lookup::RelationByOid, &[key(index)])?;
    Ok(rows.first().and_then(|row| row.reloptions.clone()))
}
