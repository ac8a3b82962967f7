//! GENERATED AS IDENTITY of ALTER TABLE.
//!
//! Realises: `ATExecAddIdentity`, `ATExecSetIdentity`, `ATExecDropIdentity` (tablecmds.c).

use kokkiri_catalog::dependency::{Behavior, DependencyKind, ObjectAddress, class, forget_references};
use kokkiri_catalog::entries::RelationEntry;
use kokkiri_parse::tree::{DefArg, DefElem};
use kokkiri_primitives::{Error, Oid, Result, error};

use super::{column_number, existing_column};
use crate::constraint::change_attribute;
use crate::context::CommandContext;
use crate::{drop, sequence};

fn is_no_identity(table: &RelationEntry, column: &str) -> Error {
    error!(
        OBJECT_NOT_IN_PREREQUISITE_STATE,
        "column \"{column}\" of relation \"{}\" is not an identity column", table.name
    )
}

/// ADD GENERATED ... AS IDENTITY.
pub fn add(
    context: &mut CommandContext<'_>,
    table: &RelationEntry,
    column: &str,
    always: bool,
    options: &[DefElem],
) -> Result<()> {
    let number = column_number(table, existing_column(table, column)?)?;
    let attribute = &table.relation.tuple_desc[number as usize - 1];
    let refused = |what: &str| {
        Err(error!(
            OBJECT_NOT_IN_PREREQUISITE_STATE,
            "column \"{column}\" of relation \"{}\" {what}", table.name
        ))
    };
    if !sequence::is_counting_type(attribute.type_oid) {
        return Err(error!(
            INVALID_PARAMETER_VALUE,
            "identity column type must be smallint, integer, or bigint"
        ));
    }
    if !attribute.not_null {
        return refused("must be declared NOT NULL before identity can be added");
    }
    if attribute.identity != 0 {
        return refused("is already an identity column");
    }
    if attribute.has_default {
        return refused("already has a default value");
    }
    let identity = if always { b'a' } else { b'd' };
    change_attribute(context, table.oid, number, |row| row.attidentity = identity)?;
    sequence::make_owned(context, table, column, options, DependencyKind::Internal).map(std::mem::drop)
}

/// SET GENERATED, and SET and RESTART of the sequence.
pub fn set(
    context: &mut CommandContext<'_>,
    table: &RelationEntry,
    column: &str,
    options: &[DefElem],
) -> Result<()> {
    let number = column_number(table, existing_column(table, column)?)?;
    if table.relation.tuple_desc[number as usize - 1].identity == 0 {
        return Err(is_no_identity(table, column));
    }
    let (generated, of_sequence): (Vec<DefElem>, Vec<DefElem>) =
        options.iter().cloned().partition(|option| option.name == "generated");
    if let Some(option) = generated.last() {
        let identity = match &option.arg {
            Some(DefArg::String(word)) if word == "always" => b'a',
            _ => b'd',
        };
        change_attribute(context, table.oid, number, |row| row.attidentity = identity)?;
    }
    if !of_sequence.is_empty() {
        let sequence = context.view.expect_relation(sequence_of(context, table, number)?)?;
        sequence::change(context, &sequence, &of_sequence, true)?;
    }
    Ok(())
}

/// DROP IDENTITY.
pub fn drop_from(
    context: &mut CommandContext<'_>,
    table: &RelationEntry,
    column: &str,
    missing_ok: bool,
) -> Result<()> {
    let number = column_number(table, existing_column(table, column)?)?;
    if table.relation.tuple_desc[number as usize - 1].identity == 0 {
        let missing = is_no_identity(table, column);
        if missing_ok {
            context.notice(Error::notice(format!("{}, skipping", missing.message())));
            return Ok(());
        }
        return Err(missing);
    }
    change_attribute(context, table.oid, number, |row| row.attidentity = 0)?;
    let sequence = ObjectAddress::relation(sequence_of(context, table, number)?);
    forget_references(&context.view, sequence, class::RELATION, DependencyKind::Internal)?;
    context.advance()?;
    drop::delete(context, &[sequence], Behavior::Restrict)
}

/// The sequence of an identity column.
pub fn sequence_of(context: &CommandContext<'_>, table: &RelationEntry, number: i16) -> Result<Oid> {
    sequence::owned(context, table.oid, Some(number))?
        .first()
        .copied()
        .ok_or_else(|| Error::internal("no owned sequence found"))
}
