//! COMMENT ON.
//!
//! Realises: comment.c.

use kokkiri_catalog::dependency::{ObjectAddress, class};
use kokkiri_catalog::rows::PgDescription;
use kokkiri_parse::tree::{CommentStmt, ObjectName, ObjectType};
use kokkiri_primitives::{Error, Oid, Result, error};
use kokkiri_transaction::LockMode;
use kokkiri_types::ValueRef;

use crate::context::{CommandContext, CommandOutcome};
use crate::describe::key;
use crate::index::define::find_column;
use crate::name;

const DESCRIPTION_INDEX: Oid = Oid(2675);

pub fn execute(context: &mut CommandContext<'_>, statement: &CommentStmt) -> Result<CommandOutcome> {
    let object = find(context, statement)?;
    set(context, object, statement.comment.as_deref().filter(|comment| !comment.is_empty()))?;
    Ok(CommandOutcome::done("COMMENT"))
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
fn set(context: &CommandContext<'_>, object: ObjectAddress, comment: Option<&str>) -> Result<()> {
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
