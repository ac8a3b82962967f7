//! COMMENT ON.
//!
//! Realises: comment.c.

use kokkiri_catalog::dependency::{ObjectAddress, class};
use kokkiri_catalog::rows::{PgDescription, PgShdescription};
use kokkiri_parse::tree::{CommentStmt, ObjectName, ObjectType};
use kokkiri_primitives::{Error, Oid, Result, SqlState, error};
use kokkiri_transaction::LockMode;
use kokkiri_types::ValueRef;

use crate::context::{CommandContext, CommandOutcome};
use crate::describe::key;
use crate::index::define::find_column;
use crate::name;

pub const DESCRIPTION_INDEX: Oid = Oid(2675);
const SHARED_DESCRIPTION_INDEX: Oid = Oid(2397);

pub fn execute(context: &mut CommandContext<'_>, statement: &CommentStmt) -> Result<CommandOutcome> {
    let comment = statement.comment.as_deref().filter(|comment| !comment.is_empty());
    match (statement.object, &statement.name) {
        (ObjectType::Database, ObjectName::Name(names)) => {
            if let Some(database) = find_database(context, &names.join("."))? {
                set_shared(context, class::DATABASE, database, comment)?;
            }
        }
        (ObjectType::Role, ObjectName::Name(names)) => {
            let role = context.role_called(&names.join("."))?;
            set_shared(context, class::ROLE, role, comment)?;
        }
        _ => {
            let object = find(context, statement)?;
            set(context, object, comment)?;
        }
    }
    Ok(CommandOutcome::done("COMMENT"))
}

/// A dump may be restored under another name, so a database that is missing is only warned of.
fn find_database(context: &mut CommandContext<'_>, name: &str) -> Result<Option<Oid>> {
    let Some(database) = context.view.database_by_name(name)? else {
        let message = format!("database \"{name}\" does not exist");
        context.notice(Error::warning(SqlState::INVALID_CATALOG_NAME, message));
        return Ok(None);
    };
    if !context.view.owns(context.role(), database.owner)? {
        return Err(error!(INSUFFICIENT_PRIVILEGE, "must be owner of database {name}"));
    }
    Ok(Some(database.oid))
}

fn find(context: &CommandContext<'_>, statement: &CommentStmt) -> Result<ObjectAddress> {
    let unbuilt = || Error::not_supported("COMMENT on this kind of object");
    let ObjectName::Name(names) = &statement.name else { return Err(unbuilt()) };
    match statement.object {
        ObjectType::Table | ObjectType::Index | ObjectType::Sequence | ObjectType::View => {
            let relation = name::range_var(names)?;
            let entry = name::lock_existing(context, &relation, LockMode::ShareUpdateExclusive)?;
            name::check_owner(context, &entry)?;
            let wanted = match statement.object {
                ObjectType::Table => "table",
                ObjectType::Index => "index",
                ObjectType::Sequence => "sequence",
                _ => "view",
            };
            if name::kind_name(entry.relation.kind) != wanted {
                let article = if wanted == "index" { "an" } else { "a" };
                return Err(error!(WRONG_OBJECT_TYPE, "\"{}\" is not {article} {wanted}", entry.name));
            }
            Ok(ObjectAddress::relation(entry.oid))
        }
        ObjectType::Column => {
            let Some((column, relation)) = names.split_last() else { return Err(unbuilt()) };
            if relation.is_empty() {
                return Err(error!(SYNTAX_ERROR, "column name must be qualified"));
            }
            let relation = name::range_var(relation)?;
            let entry = name::lock_existing(context, &relation, LockMode::ShareUpdateExclusive)?;
            name::check_owner(context, &entry)?;
            let attribute = find_column(&entry, column).ok_or_else(|| {
                error!(UNDEFINED_COLUMN, "column \"{column}\" of relation \"{}\" does not exist", entry.name)
            })?;
            Ok(ObjectAddress::column(entry.oid, attribute.number))
        }
        ObjectType::Schema => {
            let schema = names.last().ok_or_else(unbuilt)?;
            let found = context.view.namespace_by_name(schema)?;
            let found =
                found.ok_or_else(|| error!(INVALID_SCHEMA_NAME, "schema \"{schema}\" does not exist"))?;
            if !context.view.owns(context.role(), found.owner)? {
                return Err(error!(INSUFFICIENT_PRIVILEGE, "must be owner of schema {schema}"));
            }
            Ok(ObjectAddress::new(class::NAMESPACE, found.oid))
        }
        ObjectType::TableConstraint => {
            let Some((constraint, relation)) = names.split_last() else { return Err(unbuilt()) };
            let relation = name::range_var(relation)?;
            let entry = name::lock_existing(context, &relation, LockMode::ShareUpdateExclusive)?;
            name::check_owner(context, &entry)?;
            let found = entry.constraints.iter().find(|known| &*known.name == constraint.as_str());
            let found = found.ok_or_else(|| {
                error!(
                    UNDEFINED_OBJECT,
                    "constraint \"{constraint}\" for table \"{}\" does not exist", entry.name
                )
            })?;
            Ok(ObjectAddress::new(class::CONSTRAINT, found.oid))
        }
        _ => Err(unbuilt()),
    }
}

/// Sets or, with `None`, removes an object's comment: `CreateComments`.
pub fn set(context: &CommandContext<'_>, object: ObjectAddress, comment: Option<&str>) -> Result<()> {
    let keys = [key(object.object), key(object.class), ValueRef::Int32(object.sub)];
    let found = context.view.scan_rows::<PgDescription>(DESCRIPTION_INDEX, &[1, 2, 3], &keys)?;
    match (found.into_iter().next(), comment) {
        (Some(mut found), Some(comment)) => {
            found.row.description = comment.to_owned();
            found.update(&context.view)
        }
        (Some(found), None) => found.delete(&context.view),
        (None, None) => Ok(()),
        (None, Some(comment)) => context
            .view
            .insert_row(PgDescription {
                objoid: object.object,
                classoid: object.class,
                objsubid: object.sub,
                description: comment.to_owned(),
            })
            .map(drop),
    }
}

/// Sets or removes the comment on an object of no database: `CreateSharedComments`.
fn set_shared(context: &CommandContext<'_>, class: Oid, object: Oid, comment: Option<&str>) -> Result<()> {
    forget_shared(context, class, object)?;
    let Some(comment) = comment else { return Ok(()) };
    let row = PgShdescription { objoid: object, classoid: class, description: comment.to_owned() };
    context.view.insert_row(row).map(drop)
}

/// Removes the comment on an object of no database: `DeleteSharedComments`.
pub fn forget_shared(context: &CommandContext<'_>, class: Oid, object: Oid) -> Result<()> {
    let keys = [key(object), key(class)];
    let found = context.view.scan_rows::<PgShdescription>(SHARED_DESCRIPTION_INDEX, &[1, 2], &keys)?;
    found.into_iter().try_for_each(|found| found.delete(&context.view))
}
