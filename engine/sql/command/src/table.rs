//! CREATE TABLE.
//!
//! Realises: `transformCreateStmt` (parse_utilcmd.c) and `DefineRelation` (tablecmds.c). The table is made
//! first; its constraints follow in PostgreSQL's order: NOT NULL, the indexes of PRIMARY KEY and UNIQUE,
//! foreign keys.

pub mod index_constraint;

use kokkiri_access::relation::{Persistence, RelationKind, RelationOptions};
use kokkiri_parse::tree::{
    ColumnDef, Constraint, ConstraintKind, CreateStmt, ForeignKey, OnCommit, TableElement,
};
use kokkiri_parse::{AtLocation, tree as raw};
use kokkiri_primitives::{Error, Oid, Result, Severity, SqlState, error};
use kokkiri_types::AttributeStorage;

use crate::constraint::NewNotNull;
use crate::context::{CommandContext, CommandOutcome};
use crate::relation::{self, NewColumn, NewRelation, toast};
use crate::{constraint, foreign_key, name, options};

pub use index_constraint::IndexDefinition;

const TAG: &str = "CREATE TABLE";

/// What a CREATE TABLE or ADD COLUMN says, sorted by kind.
#[derive(Default)]
pub struct Definition {
    pub columns: Vec<NewColumn>,
    /// By column's name.
    pub not_null: Vec<(String, Option<String>, bool)>,
    pub indexes: Vec<IndexDefinition>,
    pub foreign_keys: Vec<(Constraint, ForeignKey)>,
}

pub fn create(context: &mut CommandContext<'_>, statement: &CreateStmt) -> Result<CommandOutcome> {
    reject_unbuilt(statement)?;
    let wanted = match statement.relation.persistence {
        raw::Persistence::Permanent => Persistence::Permanent,
        raw::Persistence::Unlogged => Persistence::Unlogged,
        raw::Persistence::Temporary => Persistence::Temporary,
    };
    let (namespace, persistence) = name::creation_namespace(context, &statement.relation, wanted)?;
    if statement.on_commit != OnCommit::None && persistence != Persistence::Temporary {
        return Err(error!(INVALID_TABLE_DEFINITION, "ON COMMIT can only be used on temporary tables"));
    }
    let table_name = &statement.relation.name;
    if statement.if_not_exists && context.view.relation_oid(namespace, table_name)?.is_some() {
        context.notice(Error::report(
            Severity::Notice,
            SqlState::DUPLICATE_TABLE,
            format!("relation \"{table_name}\" already exists, skipping"),
        ));
        return Ok(CommandOutcome::done(TAG));
    }
    let mut definition = Definition::default();
    for element in &statement.elements {
        match element {
            TableElement::Column(column) => definition.add_column(context, table_name, column)?,
            TableElement::Constraint(constraint) => {
                definition.add_constraint(table_name, None, constraint)?
            }
            TableElement::Like { .. } => return Err(Error::not_supported("CREATE TABLE with LIKE")),
        }
    }
    definition.settle(table_name)?;
    let own_options = options::reloptions(&[], &statement.options, None, false)?;
    RelationOptions::for_table(options::pairs(own_options.as_ref()))?;
    let toast_options = options::reloptions(&[], &statement.options, Some("toast"), false)?;
    let oid = relation::create(
        context,
        &NewRelation {
            name: table_name,
            namespace,
            owner: context.role(),
            kind: RelationKind::Table,
            persistence,
            columns: &definition.columns,
            options: own_options,
        },
    )?;
    context.advance()?;
    let mut names = Vec::new();
    add_not_null(context, oid, &definition, &mut names)?;
    let entry = context.view.expect_relation(oid)?;
    toast::create_if_needed(context, &entry, toast_options)?;
    add_indexes_and_keys(context, oid, &definition)?;
    Ok(CommandOutcome::done(TAG))
}

fn reject_unbuilt(statement: &CreateStmt) -> Result<()> {
    let unbuilt = [
        (!statement.inherits.is_empty() && statement.partition_bound.is_none(), "INHERITS"),
        (statement.partition_bound.is_some(), "PARTITION OF"),
        (statement.partition_by.is_some(), "PARTITION BY"),
        (statement.of_type.is_some(), "OF a type"),
        (statement.tablespace.is_some(), "TABLESPACE"),
        (matches!(statement.on_commit, OnCommit::DeleteRows | OnCommit::Drop), "ON COMMIT"),
    ];
    if let Some((_, what)) = unbuilt.iter().find(|(is_so, _)| *is_so) {
        return Err(Error::not_supported(format!("CREATE TABLE with {what}")));
    }
    match statement.access_method.as_deref() {
        None | Some("heap") => Ok(()),
        Some(method) => Err(error!(UNDEFINED_OBJECT, "access method \"{method}\" does not exist")),
    }
}

/// Makes the NOT NULL constraints of a definition.
pub fn add_not_null(
    context: &mut CommandContext<'_>,
    table: Oid,
    definition: &Definition,
    names: &mut Vec<String>,
) -> Result<()> {
    let entry = context.view.expect_relation(table)?;
    let mut constraints = Vec::with_capacity(definition.not_null.len());
    for (column, name, no_inherit) in &definition.not_null {
        let attribute = crate::index::define::find_column(&entry, column).ok_or_else(|| {
            error!(UNDEFINED_COLUMN, "column \"{column}\" of relation \"{}\" does not exist", entry.name)
        })?;
        constraints.push(NewNotNull {
            name: name.clone(),
            column: attribute.number,
            no_inherit: *no_inherit,
        });
    }
    constraint::create_not_null(context, &entry, &constraints, names)?;
    context.advance()
}

/// Makes the indexes and foreign keys of a definition.
pub fn add_indexes_and_keys(
    context: &mut CommandContext<'_>,
    table: Oid,
    definition: &Definition,
) -> Result<()> {
    for index in &definition.indexes {
        let entry = context.view.expect_relation(table)?;
        index.create(context, &entry)?;
    }
    for (constraint, key) in &definition.foreign_keys {
        let entry = context.view.expect_relation(table)?;
        foreign_key::add(context, &entry, constraint, key, true)?;
    }
    Ok(())
}

impl Definition {
    pub fn add_column(
        &mut self,
        context: &CommandContext<'_>,
        table: &str,
        column: &ColumnDef,
    ) -> Result<()> {
        let Some(type_name) = &column.type_name else {
            return Err(Error::not_supported("a column without a type"));
        };
        if let [serial] = type_name.names.as_slice()
            && matches!(
                serial.as_str(),
                "serial" | "serial2" | "serial4" | "serial8" | "smallserial" | "bigserial"
            )
        {
            return Err(Error::not_supported(format!("type {serial}")).at_location(type_name.location));
        }
        let (type_oid, typmod) = context.resolve_type(type_name)?;
        let entry = context.view.expect_type(type_oid)?;
        let collation = match &column.collation {
            None => entry.collation,
            Some((names, location)) => {
                let found = match names.split_last() {
                    Some((bare, schema)) => {
                        context.view.collation_by_name(schema.last().map(String::as_str), bare)?
                    }
                    None => None,
                };
                let shown = names.join(".");
                let found = found.ok_or_else(|| {
                    error!(UNDEFINED_OBJECT, "collation \"{shown}\" for encoding \"UTF8\" does not exist")
                        .at_location(*location)
                })?;
                if !entry.collation.is_valid() {
                    let shown = context.type_name(type_oid);
                    return Err(error!(DATATYPE_MISMATCH, "collations are not supported by type {shown}")
                        .at_location(*location));
                }
                found.oid
            }
        };
        self.columns.push(NewColumn {
            name: column.name.clone(),
            type_oid,
            typmod,
            dimensions: type_name.array_bounds.len() as i16,
            collation,
            not_null: false,
            storage: column.storage.as_deref().map(|word| storage(word, context, type_oid)).transpose()?,
            compression: column.compression.as_deref().map_or(Ok(0), compression)?,
            identity: 0,
            generated: 0,
            location: column.location,
        });
        let mut saw_null = None;
        for constraint in &column.constraints {
            let conflict = || {
                error!(
                    SYNTAX_ERROR,
                    "conflicting NULL/NOT NULL declarations for column \"{}\" of table \"{table}\"",
                    column.name
                )
                .at_location(constraint.location)
            };
            match constraint.kind {
                ConstraintKind::Null if saw_null == Some(false) => return Err(conflict()),
                ConstraintKind::NotNull { .. } if saw_null == Some(true) => return Err(conflict()),
                ConstraintKind::Null => saw_null = Some(true),
                ConstraintKind::NotNull { .. } => saw_null = Some(false),
                ConstraintKind::Primary(_) if saw_null == Some(true) => return Err(conflict()),
                _ => {}
            }
            self.add_constraint(table, Some(&column.name), constraint)?;
        }
        Ok(())
    }

    /// Adds a table's or, with `column`, a column's constraint.
    pub fn add_constraint(
        &mut self,
        table: &str,
        column: Option<&str>,
        constraint: &Constraint,
    ) -> Result<()> {
        let location = constraint.location;
        match &constraint.kind {
            ConstraintKind::Null => {}
            ConstraintKind::NotNull { column: named } => {
                if let Some(column) = named.as_deref().or(column) {
                    let known = self.not_null.iter_mut().find(|(name, ..)| name == column);
                    match known {
                        Some((_, name, _)) if name.is_none() => *name = constraint.name.clone(),
                        Some((_, Some(name), _)) => {
                            if constraint.name.as_ref().is_some_and(|given| given != name) {
                                return Err(error!(
                                    SYNTAX_ERROR,
                                    "conflicting not-null constraint names \"{name}\" and \"{}\"",
                                    constraint.name.as_deref().unwrap_or_default()
                                ));
                            }
                        }
                        _ => self.not_null.push((
                            column.to_owned(),
                            constraint.name.clone(),
                            constraint.no_inherit,
                        )),
                    }
                }
            }
            ConstraintKind::Primary(index) => {
                if self.indexes.iter().any(|index| index.primary) {
                    return Err(error!(
                        INVALID_TABLE_DEFINITION,
                        "multiple primary keys for table \"{table}\" are not allowed"
                    )
                    .at_location(location));
                }
                let index = IndexDefinition::new(constraint, index, column, true, false)?;
                if column.is_some() {
                    self.require_not_null(&index.columns);
                }
                self.indexes.push(index);
            }
            ConstraintKind::Unique { nulls_not_distinct, index } => {
                let index = IndexDefinition::new(constraint, index, column, false, *nulls_not_distinct)?;
                self.indexes.push(index);
            }
            ConstraintKind::Foreign(key) => {
                let mut key = key.clone();
                if let Some(column) = column {
                    key.columns = vec![column.to_owned()];
                }
                self.foreign_keys.push((constraint.clone(), key));
            }
            ConstraintKind::Default(_) => {
                return Err(Error::not_supported("a column default").at_location(location));
            }
            ConstraintKind::Check(_) => {
                return Err(Error::not_supported("a CHECK constraint").at_location(location));
            }
            ConstraintKind::Identity { .. } => {
                return Err(Error::not_supported("an identity column").at_location(location));
            }
            ConstraintKind::Generated { .. } => {
                return Err(Error::not_supported("a generated column").at_location(location));
            }
            ConstraintKind::Exclusion { .. } => {
                return Err(Error::not_supported("an exclusion constraint").at_location(location));
            }
        }
        Ok(())
    }

    fn require_not_null(&mut self, columns: &[String]) {
        for column in columns {
            if !self.not_null.iter().any(|(name, ..)| name == column) {
                self.not_null.push((column.clone(), None, false));
            }
        }
    }

    /// Marks the columns that must not be null, puts the primary key first and merges indexes that
    /// are the same.
    pub fn settle(&mut self, table: &str) -> Result<()> {
        self.indexes.sort_by_key(|index| !index.primary);
        let mut merged: Vec<IndexDefinition> = Vec::new();
        for index in std::mem::take(&mut self.indexes) {
            match merged.iter_mut().find(|earlier| earlier.is_same(&index)) {
                Some(earlier) if earlier.name.is_none() => earlier.name = index.name,
                Some(_) => {}
                None => merged.push(index),
            }
        }
        self.indexes = merged;
        for index in &self.indexes {
            for column in index.columns.iter().chain(&index.including) {
                if !self.columns.iter().any(|known| known.name == *column)
                    && !relation::is_system_column(column)
                {
                    return Err(error!(UNDEFINED_COLUMN, "column \"{column}\" named in key does not exist")
                        .at_location(index.location));
                }
            }
        }
        let primary: Vec<String> = self
            .indexes
            .iter()
            .filter(|index| index.primary)
            .flat_map(|index| index.columns.clone())
            .collect();
        self.require_not_null(&primary);
        for (column, ..) in &self.not_null {
            match self.columns.iter_mut().find(|known| known.name == *column) {
                Some(known) => known.not_null = true,
                None => {
                    return Err(error!(
                        UNDEFINED_COLUMN,
                        "column \"{column}\" of relation \"{table}\" does not exist"
                    ));
                }
            }
        }
        Ok(())
    }
}

fn storage(word: &str, context: &CommandContext<'_>, type_oid: Oid) -> Result<AttributeStorage> {
    let entry = context.view.expect_type(type_oid)?;
    let storage = match word.to_ascii_lowercase().as_str() {
        "plain" => AttributeStorage::Plain,
        "external" => AttributeStorage::External,
        "extended" => AttributeStorage::Extended,
        "main" => AttributeStorage::Main,
        "default" => entry.storage,
        _ => return Err(error!(INVALID_PARAMETER_VALUE, "invalid storage type \"{word}\"")),
    };
    if storage != AttributeStorage::Plain && entry.storage == AttributeStorage::Plain {
        return Err(error!(
            FEATURE_NOT_SUPPORTED,
            "column data type {} can only have storage PLAIN",
            context.type_name(type_oid)
        ));
    }
    Ok(storage)
}

fn compression(word: &str) -> Result<u8> {
    match word {
        "default" => Ok(0),
        "pglz" => Ok(b'p'),
        "lz4" => Ok(b'l'),
        _ => Err(error!(INVALID_PARAMETER_VALUE, "invalid compression method \"{word}\"")),
    }
}
