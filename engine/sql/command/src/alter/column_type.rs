//! ALTER COLUMN ... TYPE.
//!
//! Realises: `ATPrepAlterColumnType`, `ATExecAlterColumnType` (tablecmds.c). The rows are rewritten unless
//! the values stay as they are. Defaults are brought to the new type; CHECK constraints over the column are
//! taken back to SQL and read again; indexes keep their definition and are built anew.

use kokkiri_analyze::tree::Expression;
use kokkiri_analyze::{ExpressionUse, analyze_expression, deparse_expression, stored};
use kokkiri_catalog::dependency::{Behavior, ObjectAddress, class, dependents_of};
use kokkiri_catalog::entries::{ConstraintKind, RelationEntry};
use kokkiri_catalog::lookup::Lookup;
use kokkiri_catalog::row::OidVector;
use kokkiri_catalog::rows::{PgConstraint, PgIndex};
use kokkiri_parse::tree::{ColumnDef, Expr};
use kokkiri_parse::{AtLocation, quote_identifier};
use kokkiri_primitives::{Error, Oid, Result, error};
use kokkiri_types::builtin::oid;
use kokkiri_types::{Attribute, TupleDesc};

use super::{Altered, column_number, existing_column, identity};
use crate::constraint::change_attribute;
use crate::context::CommandContext;
use crate::describe::key;
use crate::relation::{check_columns, record_column, toast};
use crate::table::Definition;
use crate::{default, drop, index, sequence};

/// A CHECK constraint that is to be analyzed again.
pub struct Reread {
    oid: Oid,
    text: String,
}

impl Reread {
    /// Stores the constraint's expression over the columns as they are now.
    pub fn restore(&self, context: &mut CommandContext<'_>, table: Oid) -> Result<()> {
        let entry = context.view.expect_relation(table)?;
        let raw = kokkiri_parse::parse_expression(&self.text)?;
        let usage = ExpressionUse::CheckConstraint;
        let analyzed = analyze_expression(&context.view, context.io, &raw, Some(&entry), usage);
        let expr = analyzed.map_err(|mut error| {
            // Its place is in a text that the user has not written.
            error.fields_mut().position = None;
            error
        })?;
        for mut found in
            context.view.rows_to_change::<PgConstraint>(Lookup::ConstraintByOid, &[key(self.oid)])?
        {
            found.row.conbin = Some(stored::write(&expr)?);
            found.update(&context.view)?;
        }
        context.advance()
    }
}

pub fn alter(
    context: &mut CommandContext<'_>,
    altered: &mut Altered,
    table: &RelationEntry,
    definition: &ColumnDef,
    using: Option<&Expr>,
) -> Result<()> {
    let column = definition.name.as_str();
    let place = |error: Error| match error.sqlstate() {
        kokkiri_primitives::SqlState::FEATURE_NOT_SUPPORTED => error.at_location(definition.location),
        _ => error,
    };
    let number = column_number(table, existing_column(table, column).map_err(place)?)?;
    if altered.new_values.iter().any(|(known, _)| *known == number) {
        return Err(error!(FEATURE_NOT_SUPPORTED, "cannot alter type of column \"{column}\" twice"));
    }
    let mut new = Definition::default();
    new.add_column(context, &table.name, definition)?;
    check_columns(context, &new.columns)?;
    let new = &new.columns[0];
    let attribute = &table.relation.tuple_desc[number as usize - 1];
    let usage = ExpressionUse::AlterColumnTransform {
        column,
        type_oid: new.type_oid,
        typmod: new.typmod,
        explicit: using.is_some(),
    };
    let plain;
    let raw = match using {
        Some(using) => using,
        None => {
            plain = kokkiri_parse::parse_expression(&quote_identifier(column))?;
            &plain
        }
    };
    let transform = analyze_expression(&context.view, context.io, raw, Some(&altered.old), usage)?;
    check_dependents(context, table, attribute)?;
    let changes_type = attribute.type_oid != new.type_oid || attribute.collation != new.collation;
    if needs_rewrite(&transform, number, attribute) {
        altered.new_values.push((number, transform));
        altered.rewrites = true;
    }
    let new_default = converted_default(context, table, attribute, new.type_oid, new.typmod)?;
    note_checks(context, altered, table, number)?;
    let entry = context.view.expect_type(new.type_oid)?;
    change_attribute(context, table.oid, number, |row| {
        row.atttypid = new.type_oid;
        row.atttypmod = new.typmod;
        row.attndims = new.dimensions;
        row.attcollation = new.collation;
        row.attlen = entry.length;
        row.attbyval = entry.by_value;
        row.attalign = entry.align.code();
        row.attstorage = entry.storage.code();
        row.attcompression = 0;
    })?;
    context.advance()?;
    if changes_type {
        let rows = context.view.rows_to_change(Lookup::AttributeByRelation, &[key(table.oid)])?;
        let row = rows
            .into_iter()
            .map(|found| found.row)
            .find(|row: &kokkiri_catalog::rows::PgAttribute| row.attnum == number);
        if let Some(row) = row {
            record_column(context, &row)?;
        }
    }
    drop::drop_statistics(context, table.oid, Some(number))?;
    if let Some(new_default) = new_default {
        default::remove(context, table.oid, number, Behavior::Restrict)?;
        default::store(context, table.oid, number, &new_default)?;
        context.advance()?;
    }
    if changes_type {
        change_indexes(context, altered, table, number, new.type_oid, new.collation)?;
    }
    if attribute.identity != 0 {
        change_identity(context, table, number, new.type_oid)?;
    }
    let entry = context.view.expect_relation(table.oid)?;
    toast::create_if_needed(context, &entry, None)
}

/// True unless each value stays what it is: `ATColumnChangeRequiresRewrite`.
fn needs_rewrite(transform: &Expression, number: i16, attribute: &Attribute) -> bool {
    /// `varchar(varchar, int4, bool)`.
    const TO_VARCHAR: Oid = Oid(669);
    match transform {
        Expression::Var(var) => var.varattno != number,
        Expression::RelabelType(relabel) => needs_rewrite(&relabel.arg, number, attribute),
        // A longer limit cuts nothing off.
        Expression::FuncExpr(function) if function.funcid == TO_VARCHAR => match &function.args[..] {
            [arg, Expression::Const(length), ..] => {
                let is_longer = attribute.type_oid == oid::VARCHAR
                    && attribute.typmod >= 0
                    && matches!(length.value, kokkiri_types::Value::Int32(new) if new >= attribute.typmod);
                !is_longer || needs_rewrite(arg, number, attribute)
            }
            _ => true,
        },
        _ => true,
    }
}

/// # Errors
/// 0A000 if something else depends on what the column's type is.
fn check_dependents(
    context: &CommandContext<'_>,
    table: &RelationEntry,
    attribute: &Attribute,
) -> Result<()> {
    for row in dependents_of(&context.view, ObjectAddress::column(table.oid, attribute.number))? {
        let other = ObjectAddress { class: row.classid, object: row.objid, sub: row.objsubid };
        match other.class {
            class::REWRITE => {
                return Err(error!(
                    FEATURE_NOT_SUPPORTED,
                    "cannot alter type of a column used by a view or rule"
                )
                .detail(format!(
                    "{} depends on column \"{}\"",
                    context.describe(other)?,
                    attribute.name
                )));
            }
            class::TRIGGER => {
                return Err(error!(
                    FEATURE_NOT_SUPPORTED,
                    "cannot alter type of a column used in a trigger definition"
                )
                .detail(format!(
                    "{} depends on column \"{}\"",
                    context.describe(other)?,
                    attribute.name
                )));
            }
            _ => {}
        }
    }
    let in_key = |constraint: &kokkiri_catalog::entries::ConstraintEntry, key: &[i16]| {
        constraint.kind == ConstraintKind::Foreign && key.contains(&attribute.number)
    };
    let own = table.constraints.iter().any(|known| in_key(known, &known.key));
    let others = table
        .referenced_by
        .iter()
        .any(|known| known.foreign.as_ref().is_some_and(|foreign| in_key(known, &foreign.key)));
    if own || others {
        return Err(Error::not_supported("ALTER COLUMN ... TYPE of a foreign key's column"));
    }
    Ok(())
}

/// The column's default as one of the new type.
fn converted_default(
    context: &CommandContext<'_>,
    table: &RelationEntry,
    attribute: &Attribute,
    type_oid: Oid,
    typmod: i32,
) -> Result<Option<Expression>> {
    let Some(text) = table.defaults[attribute.number as usize - 1].as_deref() else { return Ok(None) };
    let expr = without_implicit_casts(stored::read(text)?);
    let converted =
        kokkiri_analyze::coerce_for_assignment(&context.view, context.io, expr, type_oid, typmod)?;
    converted.map(Some).ok_or_else(|| {
        error!(
            DATATYPE_MISMATCH,
            "default for column \"{}\" cannot be cast automatically to type {}",
            attribute.name,
            kokkiri_analyze::format_type(&context.view, type_oid, None)
        )
    })
}

/// `strip_implicit_coercions`.
fn without_implicit_casts(expr: Expression) -> Expression {
    use kokkiri_analyze::tree::CoercionForm::ImplicitCast;
    match expr {
        Expression::FuncExpr(mut function) if function.form == ImplicitCast && !function.args.is_empty() => {
            without_implicit_casts(function.args.swap_remove(0))
        }
        Expression::RelabelType(cast) if cast.form == ImplicitCast => without_implicit_casts(cast.arg),
        Expression::CoerceViaIo(cast) if cast.form == ImplicitCast => without_implicit_casts(cast.arg),
        other => other,
    }
}

/// Notes the CHECK constraints over a column, as SQL over the columns as they were.
fn note_checks(
    context: &CommandContext<'_>,
    altered: &mut Altered,
    table: &RelationEntry,
    number: i16,
) -> Result<()> {
    for constraint in table.constraints.iter().filter(|known| known.kind == ConstraintKind::Check) {
        let known = altered.reread.iter().any(|reread| reread.oid == constraint.oid);
        let Some(tree) = constraint.check.as_deref().filter(|_| constraint.key.contains(&number) && !known)
        else {
            continue;
        };
        let expr: Expression = stored::read(tree)?;
        let name = |node: &Expression| column_name(node, &table.relation.tuple_desc);
        let text = deparse_expression(&context.view, context.io, &expr, &name)?;
        altered.reread.push(Reread { oid: constraint.oid, text });
    }
    Ok(())
}

fn column_name(node: &Expression, desc: &TupleDesc) -> Option<String> {
    match node {
        Expression::Var(var) if var.varattno > 0 => {
            Some(quote_identifier(&desc[var.varattno as usize - 1].name).into_owned())
        }
        _ => None,
    }
}

/// Gives the indexes over a column the new type, with the operator class that goes with it.
fn change_indexes(
    context: &mut CommandContext<'_>,
    altered: &mut Altered,
    table: &RelationEntry,
    number: i16,
    type_oid: Oid,
    collation: Oid,
) -> Result<()> {
    let new_type = context.view.expect_type(type_oid)?;
    for entry in &table.indexes {
        let places: Vec<usize> = entry
            .columns
            .iter()
            .enumerate()
            .filter(|(_, column)| **column == number)
            .map(|(at, _)| at)
            .collect();
        if places.is_empty() {
            continue;
        }
        if entry.expressions.is_some() || entry.predicate.is_some() {
            return Err(Error::not_supported(
                "ALTER COLUMN ... TYPE of a column in an index with expressions",
            ));
        }
        for at in places {
            change_attribute(context, entry.oid, at as i16 + 1, |row| {
                row.atttypid = type_oid;
                row.atttypmod = -1;
                row.attcollation = if at < entry.key_count { collation } else { Oid::INVALID };
                row.attlen = new_type.length;
                row.attbyval = new_type.by_value;
                row.attalign = new_type.align.code();
                row.attstorage = new_type.storage.code();
            })?;
            if at >= entry.key_count {
                continue;
            }
            let opclass = index::default_opclass(context, type_oid)?.ok_or_else(|| {
                error!(
                    UNDEFINED_OBJECT,
                    "data type {} has no default operator class for access method \"btree\"",
                    context.type_name(type_oid)
                )
                .hint("You must specify an operator class for the index or define a default operator class for the data type.")
            })?;
            for mut found in context.view.rows_to_change::<PgIndex>(Lookup::IndexByOid, &[key(entry.oid)])? {
                let OidVector(mut classes) = found.row.indclass.clone();
                let OidVector(mut collations) = found.row.indcollation.clone();
                classes[at] = opclass;
                collations[at] = collation;
                found.row.indclass = OidVector(classes);
                found.row.indcollation = OidVector(collations);
                found.update(&context.view)?;
            }
            context.advance()?;
        }
        if !altered.rebuilt.contains(&entry.oid) {
            altered.rebuilt.push(entry.oid);
        }
    }
    context.advance()
}

/// The sequence of an identity column counts in the column's type.
fn change_identity(
    context: &mut CommandContext<'_>,
    table: &RelationEntry,
    number: i16,
    type_oid: Oid,
) -> Result<()> {
    if !sequence::is_counting_type(type_oid) {
        return Err(error!(
            INVALID_PARAMETER_VALUE,
            "identity column type must be smallint, integer, or bigint"
        ));
    }
    let sequence = context.view.expect_relation(identity::sequence_of(context, table, number)?)?;
    let options = [sequence::as_type(context, type_oid)?];
    sequence::change(context, &sequence, &options, true)
}
