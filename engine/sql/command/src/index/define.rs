//! CREATE INDEX.
//!
//! Realises: `DefineIndex` (indexcmds.c).

use kokkiri_access::relation::RelationKind;
use kokkiri_catalog::entries::RelationEntry;
use kokkiri_parse::AtLocation;
use kokkiri_parse::tree::{IndexElem, IndexKey, IndexStmt, SortDirection, SortNulls};
use kokkiri_primitives::{Error, Oid, Result, Severity, SqlState, error};
use kokkiri_transaction::LockMode;

use super::{NewIndex, NewIndexColumn, opclass};
use crate::context::{CommandContext, CommandOutcome};
use crate::{name, options};

const DESCENDING: i16 = 1;
const NULLS_FIRST: i16 = 2;
const COLUMNS_MAX: usize = 32;

pub fn create(context: &mut CommandContext<'_>, statement: &IndexStmt) -> Result<CommandOutcome> {
    const TAG: &str = "CREATE INDEX";
    if statement.concurrent {
        return Err(Error::not_supported("CREATE INDEX CONCURRENTLY"));
    }
    let table = name::lock_existing(context, &statement.relation, LockMode::Share)?;
    check_table(context, &table)?;
    check_method(&statement.access_method)?;
    if statement.where_clause.is_some() {
        return Err(Error::not_supported("an index with a predicate"));
    }
    if statement.tablespace.is_some() {
        return Err(Error::not_supported("CREATE INDEX with TABLESPACE"));
    }
    let count = statement.elements.len() + statement.including.len();
    if count > COLUMNS_MAX {
        return Err(error!(TOO_MANY_COLUMNS, "cannot use more than {COLUMNS_MAX} columns in an index"));
    }
    let mut columns = Vec::with_capacity(count);
    for element in &statement.elements {
        columns.push(key_column(context, &table, element)?);
    }
    for element in &statement.including {
        columns.push(included_column(&table, element)?);
    }
    let index_name = match &statement.name {
        Some(given) => given.clone(),
        None => default_name(context, &table, &columns)?,
    };
    if statement.if_not_exists && context.view.relation_oid(table.namespace, &index_name)?.is_some() {
        context.notice(Error::report(
            Severity::Notice,
            SqlState::DUPLICATE_TABLE,
            format!("relation \"{index_name}\" already exists, skipping"),
        ));
        return Ok(CommandOutcome::done(TAG));
    }
    let new = NewIndex {
        name: index_name,
        columns,
        unique: statement.unique,
        nulls_not_distinct: statement.nulls_not_distinct,
        options: options::reloptions(&[], &statement.options, None, false)?,
        ..NewIndex::default()
    };
    super::create(context, &table, new)?;
    Ok(CommandOutcome::done(TAG))
}

fn check_table(context: &CommandContext<'_>, table: &RelationEntry) -> Result<()> {
    match table.relation.kind {
        RelationKind::Table | RelationKind::MaterializedView => {}
        RelationKind::PartitionedTable => {
            return Err(Error::not_supported("an index on a partitioned table"));
        }
        other => {
            let detail = match other {
                RelationKind::Toast => "This operation is not supported for TOAST tables.".to_owned(),
                other => format!("This operation is not supported for {}.", name::plural_kind(other)),
            };
            return Err(error!(WRONG_OBJECT_TYPE, "cannot create index on relation \"{}\"", table.name)
                .detail(detail));
        }
    }
    name::check_owner(context, table)?;
    name::check_not_others_temporary(context, table, "create indexes on temporary tables")?;
    let entry = context
        .view
        .namespace(table.namespace)?
        .ok_or_else(|| Error::internal("the table's schema has vanished"))?;
    context.view.check_schema_create(&entry)
}

fn check_method(method: &str) -> Result<()> {
    match method {
        "btree" => Ok(()),
        "hash" | "gist" | "gin" | "spgist" | "brin" => {
            Err(Error::not_supported(format!("access method \"{method}\"")))
        }
        _ => Err(error!(UNDEFINED_OBJECT, "access method \"{method}\" does not exist")),
    }
}

fn key_column(
    context: &CommandContext<'_>,
    table: &RelationEntry,
    element: &IndexElem,
) -> Result<NewIndexColumn> {
    let IndexKey::Column(column) = &element.key else {
        return Err(Error::not_supported("an index on an expression").at_location(element.location));
    };
    if !element.opclass_options.is_empty() {
        return Err(error!(
            INVALID_PARAMETER_VALUE,
            "operator class {} has no options",
            element.opclass.join(".")
        ));
    }
    let attribute = find_column(table, column)
        .ok_or_else(|| error!(UNDEFINED_COLUMN, "column \"{column}\" does not exist"))?;
    let collation = match element.collation.split_last() {
        None => attribute.collation,
        Some((bare, schema)) => {
            let found = context.view.collation_by_name(schema.last().map(String::as_str), bare)?;
            let found = found.ok_or_else(|| {
                error!(
                    UNDEFINED_OBJECT,
                    "collation \"{}\" for encoding \"UTF8\" does not exist",
                    element.collation.join(".")
                )
            })?;
            if !attribute.collation.is_valid() {
                return Err(error!(
                    DATATYPE_MISMATCH,
                    "collations are not supported by type {}",
                    context.type_name(attribute.type_oid)
                ));
            }
            found.oid
        }
    };
    let descending = match &element.direction {
        SortDirection::Default | SortDirection::Ascending => false,
        SortDirection::Descending => true,
        SortDirection::Using(_) => {
            return Err(Error::not_supported("USING in an index definition").at_location(element.location));
        }
    };
    let nulls_first = match element.nulls {
        SortNulls::Default => descending,
        SortNulls::First => true,
        SortNulls::Last => false,
    };
    Ok(NewIndexColumn {
        number: attribute.number,
        collation,
        opclass: opclass::resolve(context, &element.opclass, attribute.type_oid)?,
        option: if descending { DESCENDING } else { 0 } | if nulls_first { NULLS_FIRST } else { 0 },
        key: true,
    })
}

fn included_column(table: &RelationEntry, element: &IndexElem) -> Result<NewIndexColumn> {
    let IndexKey::Column(column) = &element.key else {
        return Err(error!(FEATURE_NOT_SUPPORTED, "expressions are not supported in included columns"));
    };
    if !element.collation.is_empty() {
        return Err(error!(INVALID_OBJECT_DEFINITION, "including column does not support a collation"));
    }
    if !element.opclass.is_empty() {
        return Err(error!(INVALID_OBJECT_DEFINITION, "including column does not support an operator class"));
    }
    if element.direction != SortDirection::Default {
        return Err(error!(INVALID_OBJECT_DEFINITION, "including column does not support ASC/DESC options"));
    }
    if element.nulls != SortNulls::Default {
        return Err(error!(
            INVALID_OBJECT_DEFINITION,
            "including column does not support NULLS FIRST/LAST options"
        ));
    }
    let attribute = find_column(table, column)
        .ok_or_else(|| error!(UNDEFINED_COLUMN, "column \"{column}\" does not exist"))?;
    Ok(NewIndexColumn {
        number: attribute.number,
        collation: Oid::INVALID,
        opclass: Oid::INVALID,
        option: 0,
        key: false,
    })
}

/// A column of a table by name, if it has not been dropped.
pub fn find_column<'t>(table: &'t RelationEntry, name: &str) -> Option<&'t kokkiri_types::Attribute> {
    table.relation.tuple_desc.iter().find(|attribute| !attribute.dropped && &*attribute.name == name)
}

/// The name of an index that was given none: `ChooseIndexName`.
pub fn default_name(
    context: &CommandContext<'_>,
    table: &RelationEntry,
    columns: &[NewIndexColumn],
) -> Result<String> {
    let attributes = table.relation.tuple_desc.attributes();
    let mut names: Vec<String> = Vec::new();
    for column in columns {
        // A column that stands twice gets a number, as PostgreSQL's index columns do.
        let base = attributes[column.number as usize - 1].name.to_string();
        let mut unique = base.clone();
        let mut attempt = 1;
        while names.contains(&unique) {
            unique = format!("{base}{attempt}");
            attempt += 1;
        }
        names.push(unique);
    }
    let joined = name::joined_columns(names.iter().map(String::as_str));
    name::choose_relation(context, &table.name, Some(&joined), "idx", table.namespace, false)
}
