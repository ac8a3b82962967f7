//! CREATE TABLE.
//!
//! Realises: `transformCreateStmt` (parse_utilcmd.c) and `DefineRelation` (tablecmds.c). The table is made
//! first; its constraints follow in PostgreSQL's order: NOT NULL, the indexes of PRIMARY KEY and UNIQUE,
//! foreign keys.

pub mod index_constraint;
mod like;

use kokkiri_access::relation::{Persistence, RelationKind, RelationOptions};
use kokkiri_analyze::tree::Expression;
use kokkiri_catalog::dependency::DependencyKind;
use kokkiri_catalog::entries::RelationEntry;
use kokkiri_parse::quote_identifier;
use kokkiri_parse::tree::{
    ColumnDef, Constraint, ConstraintKind, CreateStmt, DefElem, ForeignKey, OnCommit, TableElement,
};
use kokkiri_parse::{AtLocation, Location, tree as raw};
use kokkiri_primitives::{Error, Oid, Result, Severity, SqlState, error};
use kokkiri_types::AttributeStorage;
use kokkiri_types::builtin::oid;

use crate::check::{NewCheck, Rows};
use crate::constraint::NewNotNull;
use crate::context::{CommandContext, CommandOutcome};
use crate::index::define::find_column;
use crate::relation::{self, NewColumn, NewRelation, toast};
use crate::{check, constraint, default, foreign_key, name, options, sequence, table_of_query};

pub use index_constraint::IndexDefinition;

const TAG: &str = "CREATE TABLE";

/// What a CREATE TABLE or ADD COLUMN says, sorted by kind.
#[derive(Default)]
pub struct Definition {
    pub columns: Vec<NewColumn>,
    pub not_null: Vec<NotNullDefinition>,
    pub checks: Vec<NewCheck>,
    pub values: Vec<ValueDefinition>,
    /// Tables that LIKE names.
    patterns: Vec<like::Pattern>,
    pub indexes: Vec<IndexDefinition>,
    pub foreign_keys: Vec<(Constraint, ForeignKey)>,
}

/// A NOT NULL constraint, by the name of its column.
#[derive(Clone, Debug)]
pub struct NotNullDefinition {
    pub column: String,
    pub name: Option<String>,
    pub no_inherit: bool,
    pub not_valid: bool,
}

impl NotNullDefinition {
    pub fn plain(column: &str) -> Self {
        Self { column: column.to_owned(), name: None, no_inherit: false, not_valid: false }
    }
}

/// What a column gets that no value is given for.
#[derive(Clone, Debug)]
pub struct ValueDefinition {
    pub column: String,
    pub source: ValueSource,
}

#[derive(Clone, Debug)]
pub enum ValueSource {
    Default(raw::Expr),
    /// Copied from another table.
    Cooked(Expression),
    /// A type like serial.
    Serial,
    Identity(Vec<DefElem>),
}

pub fn create(context: &mut CommandContext<'_>, statement: &CreateStmt) -> Result<CommandOutcome> {
    reject_unbuilt(context, statement)?;
    let wanted = match statement.relation.persistence {
        raw::Persistence::Permanent => Persistence::Permanent,
        raw::Persistence::Unlogged => Persistence::Unlogged,
        raw::Persistence::Temporary => Persistence::Temporary,
    };
    let (namespace, persistence) = name::table_namespace(context, &statement.relation, wanted)?;
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
            TableElement::Like { relation, options } => {
                like::add(context, &mut definition, relation, options)?;
            }
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
    add_values(context, oid, &definition)?;
    let entry = context.view.expect_relation(oid)?;
    check::add(context, &entry, &definition.checks, Rows::None)?;
    let mut names = Vec::new();
    add_not_null(context, oid, &definition, &mut names)?;
    let entry = context.view.expect_relation(oid)?;
    toast::create_if_needed(context, &entry, toast_options)?;
    add_indexes_and_keys(context, oid, &definition)?;
    for pattern in &definition.patterns {
        pattern.finish(context, oid)?;
    }
    table_of_query::register_on_commit(context, oid, statement.on_commit);
    Ok(CommandOutcome::done(TAG))
}

fn reject_unbuilt(context: &CommandContext<'_>, statement: &CreateStmt) -> Result<()> {
    if let Some(tablespace) = &statement.tablespace
        && context.view.tablespace_by_name(tablespace)?.is_none()
    {
        return Err(error!(UNDEFINED_OBJECT, "tablespace \"{tablespace}\" does not exist"));
    }
    let unbuilt = [
        (!statement.inherits.is_empty() && statement.partition_bound.is_none(), "INHERITS"),
        (statement.partition_bound.is_some(), "PARTITION OF"),
        (statement.partition_by.is_some(), "PARTITION BY"),
        (statement.of_type.is_some(), "OF a type"),
        (statement.tablespace.as_deref().is_some_and(|name| name != "pg_default"), "TABLESPACE"),
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
    for NotNullDefinition { column, name, no_inherit, .. } in &definition.not_null {
        let attribute = find_column(&entry, column).ok_or_else(|| {
            error!(UNDEFINED_COLUMN, "column \"{column}\" of relation \"{}\" does not exist", entry.name)
        })?;
        constraints.push(NewNotNull {
            name: name.clone(),
            column: attribute.number,
            no_inherit: *no_inherit,
            validated: true,
        });
    }
    constraint::create_not_null(context, &entry, &constraints, names)?;
    context.advance()
}

/// Makes the sequences of a definition's columns and stores their defaults.
pub fn add_values(context: &mut CommandContext<'_>, table: Oid, definition: &Definition) -> Result<()> {
    for ValueDefinition { column, source } in &definition.values {
        let entry = context.view.expect_relation(table)?;
        let attribute = find_column(&entry, column)
            .ok_or_else(|| Error::internal(format!("column {column} is missing")))?;
        let cooked = match source {
            ValueSource::Default(expr) => default::cook(context, attribute, expr)?,
            ValueSource::Cooked(expr) => expr.clone(),
            ValueSource::Serial => {
                let expr = next_value_of(context, &entry, column)?;
                default::cook(context, attribute, &expr)?
            }
            ValueSource::Identity(options) => {
                let kind = DependencyKind::Internal;
                sequence::make_owned(context, &entry, column, options, kind)?;
                continue;
            }
        };
        default::store(context, table, attribute.number, &cooked)?;
        context.advance()?;
    }
    Ok(())
}

/// Makes the sequence of a serial column; the answer is the column's default.
fn next_value_of(context: &mut CommandContext<'_>, table: &RelationEntry, column: &str) -> Result<raw::Expr> {
    let sequence = sequence::make_owned(context, table, column, &[], DependencyKind::Auto)?;
    let entry = context.view.expect_relation(sequence)?;
    let schema = context.view.namespace(entry.namespace)?;
    let schema = schema.ok_or_else(|| Error::internal("a sequence's schema has vanished"))?;
    let name = format!("{}.{}", quote_identifier(&schema.name), quote_identifier(&entry.name));
    let literal = name.replace('\'', "''");
    kokkiri_parse::parse_expression(&format!("pg_catalog.nextval('{literal}'::pg_catalog.regclass)"))
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
        let serial = serial_type(type_name)?;
        let (type_oid, typmod) = match serial {
            Some(counting) => (counting, -1),
            None => context.resolve_type(type_name)?,
        };
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
            compression: compression(column.compression.as_deref(), context, type_oid)?,
            identity: 0,
            generated: 0,
            location: column.location,
        });
        let own = self.columns.len() - 1;
        if serial.is_some() {
            self.values.push(ValueDefinition { column: column.name.clone(), source: ValueSource::Serial });
        }
        let (mut saw_null, mut saw_default) = (serial.map(|_| false), serial.is_some());
        let (mut saw_identity, mut saw_generated) = (false, false);
        if serial.is_some() {
            self.not_null.push(NotNullDefinition::plain(&column.name));
        }
        for constraint in &column.constraints {
            let conflict = || {
                error!(
                    SYNTAX_ERROR,
                    "conflicting NULL/NOT NULL declarations for column \"{}\" of table \"{table}\"",
                    column.name
                )
                .at_location(constraint.location)
            };
            match &constraint.kind {
                ConstraintKind::Null if saw_null == Some(false) => return Err(conflict()),
                ConstraintKind::NotNull { .. } if saw_null == Some(true) => return Err(conflict()),
                ConstraintKind::Null => saw_null = Some(true),
                ConstraintKind::NotNull { .. } => saw_null = Some(false),
                ConstraintKind::Primary(_) if saw_null == Some(true) => return Err(conflict()),
                ConstraintKind::Default(_) if saw_default => {
                    // What serial stands for has no place of its own.
                    let location = match serial {
                        Some(_) => Location::UNKNOWN,
                        None => constraint.location,
                    };
                    return Err(several("default values specified", &column.name, table, location));
                }
                ConstraintKind::Default(_) => saw_default = true,
                ConstraintKind::Identity { .. } if saw_identity => {
                    return Err(several("identity specifications", &column.name, table, constraint.location));
                }
                ConstraintKind::Identity { .. } if saw_null == Some(true) => return Err(conflict()),
                ConstraintKind::Identity { always, .. } => {
                    self.columns[own].identity = if *always { b'a' } else { b'd' };
                    (saw_identity, saw_null) = (true, Some(false));
                }
                ConstraintKind::Generated { .. } if saw_generated => {
                    return Err(several(
                        "generation clauses specified",
                        &column.name,
                        table,
                        constraint.location,
                    ));
                }
                ConstraintKind::Generated { .. } => saw_generated = true,
                _ => {}
            }
            let clash = [
                (saw_default && saw_identity, "both default and identity"),
                (saw_default && saw_generated, "both default and generation expression"),
                (saw_identity && saw_generated, "both identity and generation expression"),
            ];
            if let Some((_, both)) = clash.iter().find(|(is_so, _)| *is_so) {
                return Err(error!(
                    SYNTAX_ERROR,
                    "{both} specified for column \"{}\" of table \"{table}\"", column.name
                )
                .at_location(constraint.location));
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
                    let known = self.not_null.iter_mut().find(|known| known.column == column);
                    match known.map(|known| &mut known.name) {
                        Some(name @ None) => *name = constraint.name.clone(),
                        Some(Some(name)) => {
                            if constraint.name.as_ref().is_some_and(|given| given != name) {
                                return Err(error!(
                                    SYNTAX_ERROR,
                                    "conflicting not-null constraint names \"{name}\" and \"{}\"",
                                    constraint.name.as_deref().unwrap_or_default()
                                ));
                            }
                        }
                        None => self.not_null.push(NotNullDefinition {
                            column: column.to_owned(),
                            name: constraint.name.clone(),
                            no_inherit: constraint.no_inherit,
                            not_valid: constraint.not_valid,
                        }),
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
            ConstraintKind::Default(expr) => {
                let source = ValueSource::Default(expr.clone());
                self.values
                    .extend(column.map(|column| ValueDefinition { column: column.to_owned(), source }));
            }
            ConstraintKind::Check(expr) => self.checks.push(NewCheck::new(constraint, expr)),
            ConstraintKind::Identity { options, .. } => {
                if let Some(column) = column {
                    let source = ValueSource::Identity(options.clone());
                    self.values.push(ValueDefinition { column: column.to_owned(), source });
                    self.require_not_null(&[column.to_owned()]);
                }
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
            if !self.not_null.iter().any(|known| known.column == *column) {
                self.not_null.push(NotNullDefinition::plain(column));
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
        for NotNullDefinition { column, .. } in &self.not_null {
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

/// A column has said the same kind of thing twice.
fn several(what: &str, column: &str, table: &str, location: Location) -> Error {
    error!(SYNTAX_ERROR, "multiple {what} for column \"{column}\" of table \"{table}\"").at_location(location)
}

/// The integer type behind serial and its kin.
fn serial_type(name: &raw::TypeName) -> Result<Option<Oid>> {
    let [word] = name.names.as_slice() else { return Ok(None) };
    let counting = match word.as_str() {
        "smallserial" | "serial2" => oid::INT2,
        "serial" | "serial4" => oid::INT4,
        "bigserial" | "serial8" => oid::INT8,
        _ => return Ok(None),
    };
    if !name.array_bounds.is_empty() {
        return Err(
            error!(FEATURE_NOT_SUPPORTED, "array of serial is not implemented").at_location(name.location)
        );
    }
    Ok(Some(counting))
}

pub fn storage(word: &str, context: &CommandContext<'_>, type_oid: Oid) -> Result<AttributeStorage> {
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

/// `GetAttributeCompression`: what `pg_attribute.attcompression` says of a method; 0 for the default.
pub fn compression(word: Option<&str>, context: &CommandContext<'_>, type_oid: Oid) -> Result<u8> {
    let Some(word) = word.filter(|word| *word != "default") else { return Ok(0) };
    if context.view.expect_type(type_oid)?.storage == AttributeStorage::Plain {
        return Err(error!(
            FEATURE_NOT_SUPPORTED,
            "column data type {} does not support compression",
            context.type_name(type_oid)
        ));
    }
    match word {
        "pglz" => Ok(b'p'),
        "lz4" => Ok(b'l'),
        _ => Err(error!(INVALID_PARAMETER_VALUE, "invalid compression method \"{word}\"")),
    }
}
