//! PRIMARY KEY and UNIQUE: the index that a constraint asks for.
//!
//! Realises: `transformIndexConstraint` (parse_utilcmd.c).

use kokkiri_catalog::entries::{ConstraintKind, RelationEntry};
use kokkiri_parse::tree::{Constraint, DefElem, IndexConstraint as RawIndex};
use kokkiri_parse::{AtLocation, Location};
use kokkiri_primitives::{Error, Oid, Result, error};

use crate::constraint::IndexConstraint;
use crate::context::CommandContext;
use crate::index::define::find_column;
use crate::index::{self, NewIndex, NewIndexColumn};
use crate::{name, options};

/// A PRIMARY KEY or UNIQUE constraint, as defined.
#[derive(Clone, Debug)]
pub struct IndexDefinition {
    pub name: Option<String>,
    pub primary: bool,
    pub columns: Vec<String>,
    pub including: Vec<String>,
    pub nulls_not_distinct: bool,
    pub deferrable: bool,
    pub deferred: bool,
    pub options: Vec<DefElem>,
    pub location: Location,
}

impl IndexDefinition {
    pub fn new(
        constraint: &Constraint,
        index: &RawIndex,
        column: Option<&str>,
        primary: bool,
        nulls_not_distinct: bool,
    ) -> Result<Self> {
        if index.without_overlaps {
            return Err(Error::not_supported("WITHOUT OVERLAPS").at_location(constraint.location));
        }
        if index.index_name.is_some() {
            return Err(Error::not_supported("a constraint USING INDEX").at_location(constraint.location));
        }
        if index.tablespace.is_some() {
            return Err(Error::not_supported("USING INDEX TABLESPACE").at_location(constraint.location));
        }
        let columns = match column {
            Some(column) => vec![column.to_owned()],
            None => index.columns.clone(),
        };
        let kind = if primary { "primary key" } else { "unique" };
        for (at, column) in columns.iter().enumerate() {
            if columns[..at].contains(column) {
                return Err(error!(
                    DUPLICATE_COLUMN,
                    "column \"{column}\" appears twice in {kind} constraint"
                )
                .at_location(constraint.location));
            }
        }
        Ok(Self {
            name: constraint.name.clone(),
            primary,
            columns,
            including: index.including.clone(),
            nulls_not_distinct,
            deferrable: constraint.deferrable.unwrap_or(constraint.initially_deferred == Some(true)),
            deferred: constraint.initially_deferred == Some(true),
            options: index.options.clone(),
            location: constraint.location,
        })
    }

    /// True if both would get the same index: the second is not made.
    pub fn is_same(&self, other: &Self) -> bool {
        self.columns == other.columns
            && self.including == other.including
            && self.nulls_not_distinct == other.nulls_not_distinct
            && self.deferrable == other.deferrable
            && self.deferred == other.deferred
    }

    /// Makes constraint and index.
    pub fn create(&self, context: &mut CommandContext<'_>, table: &RelationEntry) -> Result<Oid> {
        let mut columns = Vec::with_capacity(self.columns.len() + self.including.len());
        for (column, key) in
            self.columns.iter().map(|c| (c, true)).chain(self.including.iter().map(|c| (c, false)))
        {
            let attribute = find_column(table, column)
                .ok_or_else(|| error!(UNDEFINED_COLUMN, "column \"{column}\" named in key does not exist"))?;
            columns.push(if key {
                let opclass = index::default_opclass(context, attribute.type_oid)?.ok_or_else(|| {
                    error!(
                        UNDEFINED_OBJECT,
                        "data type {} has no default operator class for access method \"btree\"",
                        context.type_name(attribute.type_oid)
                    )
                    .hint(
                        "You must specify an operator class for the index or define a default operator \
                         class for the data type.",
                    )
                })?;
                NewIndexColumn {
                    number: attribute.number,
                    collation: attribute.collation,
                    opclass,
                    option: 0,
                    key: true,
                }
            } else {
                NewIndexColumn {
                    number: attribute.number,
                    collation: Oid::INVALID,
                    opclass: Oid::INVALID,
                    option: 0,
                    key: false,
                }
            });
        }
        let index_name = match &self.name {
            Some(name) => name.clone(),
            None if self.primary => {
                name::choose_relation(context, &table.name, None, "pkey", table.namespace, true)?
            }
            None => {
                let names = self.columns.iter().chain(&self.including).map(String::as_str);
                let joined = name::joined_columns(names);
                name::choose_relation(context, &table.name, Some(&joined), "key", table.namespace, true)?
            }
        };
        let new = NewIndex {
            name: index_name,
            columns,
            unique: true,
            primary: self.primary,
            nulls_not_distinct: self.nulls_not_distinct,
            options: options::reloptions(&[], &self.options, None, false)?,
            constraint: Some(IndexConstraint {
                kind: if self.primary { ConstraintKind::Primary } else { ConstraintKind::Unique },
                deferrable: self.deferrable,
                deferred: self.deferred,
            }),
        };
        index::create(context, table, new)
    }
}
