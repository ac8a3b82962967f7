//! Constraints: their rows of pg_constraint and what they need.
//!
//! Realises: `CreateConstraintEntry` (pg_constraint.c), `index_constraint_create` (index.c),
//! `AddRelationNotNullConstraints` (heap.c).

use kokkiri_catalog::dependency::{self, DependencyKind, ObjectAddress, class};
use kokkiri_catalog::entries::{ConstraintKind, RelationEntry};
use kokkiri_catalog::lookup::Lookup;
use kokkiri_catalog::row::Array;
use kokkiri_catalog::rows::{PgAttribute, PgConstraint};
use kokkiri_primitives::{Oid, Result, error};

use crate::context::CommandContext;
use crate::describe::key;
use crate::name;

/// A constraint that an index enforces.
#[derive(Clone, Debug)]
pub struct IndexConstraint {
    pub kind: ConstraintKind,
    pub deferrable: bool,
    pub deferred: bool,
}

/// A row for a constraint of a table, with nothing in it that only some kinds have.
pub fn row(
    table: &RelationEntry,
    oid: Oid,
    name: &str,
    kind: ConstraintKind,
    columns: &[i16],
) -> PgConstraint {
    PgConstraint {
        oid,
        conname: name.into(),
        connamespace: table.namespace,
        contype: kind.code(),
        condeferrable: false,
        condeferred: false,
        conenforced: true,
        convalidated: true,
        conrelid: table.oid,
        contypid: Oid::INVALID,
        conindid: Oid::INVALID,
        conparentid: Oid::INVALID,
        confrelid: Oid::INVALID,
        confupdtype: b' ',
        confdeltype: b' ',
        confmatchtype: b' ',
        conislocal: true,
        coninhcount: 0,
        connoinherit: false,
        conperiod: false,
        conkey: (!columns.is_empty()).then(|| Array(columns.to_vec())),
        confkey: None,
        conpfeqop: None,
        conppeqop: None,
        conffeqop: None,
        confdelsetcols: None,
        conexclop: None,
        conbin: None,
    }
}

/// Inserts a constraint's row. It goes with its columns, or with its table if it has none.
pub fn insert(context: &CommandContext<'_>, row: PgConstraint) -> Result<()> {
    let myself = ObjectAddress::new(class::CONSTRAINT, row.oid);
    let columns = row.conkey.as_ref().map_or(&[][..], |columns| &columns.0[..]);
    let needed: Vec<ObjectAddress> = match columns {
        [] => vec![ObjectAddress::relation(row.conrelid)],
        columns => columns.iter().map(|number| ObjectAddress::column(row.conrelid, *number)).collect(),
    };
    context.view.insert_row(row)?;
    dependency::record(&context.view, myself, needed, DependencyKind::Auto)
}

/// Makes the constraint that an index is for: the index bears its name.
pub fn create_for_index(
    context: &mut CommandContext<'_>,
    table: &RelationEntry,
    constraint: &IndexConstraint,
    index: Oid,
    name: &str,
    columns: &[i16],
) -> Result<Oid> {
    let oid = context.view.new_oid(Lookup::ConstraintByOid)?;
    check_name_is_free(context, table, name)?;
    insert(
        context,
        PgConstraint {
            condeferrable: constraint.deferrable,
            condeferred: constraint.deferred,
            conindid: index,
            connoinherit: true,
            ..row(table, oid, name, constraint.kind, columns)
        },
    )?;
    Ok(oid)
}

/// # Errors
/// 42710 if the table has a constraint of that name.
pub fn check_name_is_free(context: &CommandContext<'_>, table: &RelationEntry, name: &str) -> Result<()> {
    let rows = context.view.rows::<PgConstraint>(Lookup::ConstraintByRelation, &[key(table.oid)])?;
    if rows.iter().any(|row| &*row.conname == name) {
        return Err(error!(
            DUPLICATE_OBJECT,
            "constraint \"{name}\" for relation \"{}\" already exists", table.name
        ));
    }
    Ok(())
}

/// A NOT NULL constraint to be made.
#[derive(Clone, Debug)]
pub struct NewNotNull {
    pub name: Option<String>,
    pub column: i16,
    pub no_inherit: bool,
    /// False for NOT VALID: old rows may have nulls yet.
    pub validated: bool,
}

/// Makes NOT NULL constraints of columns that are marked so already or are marked now.
pub fn create_not_null(
    context: &mut CommandContext<'_>,
    table: &RelationEntry,
    constraints: &[NewNotNull],
    names: &mut Vec<String>,
) -> Result<()> {
    for new in constraints {
        let column = &table.relation.tuple_desc.attributes()[new.column as usize - 1];
        let chosen = match &new.name {
            Some(name) => {
                check_name_is_free(context, table, name)?;
                name.clone()
            }
            None => name::choose_constraint(
                context,
                &table.name,
                Some(&column.name),
                "not_null",
                table.namespace,
                names,
            )?,
        };
        let oid = context.view.new_oid(Lookup::ConstraintByOid)?;
        let row = PgConstraint {
            connoinherit: new.no_inherit,
            convalidated: new.validated,
            ..row(table, oid, &chosen, ConstraintKind::NotNull, &[new.column])
        };
        insert(context, row)?;
        names.push(chosen);
        if !column.not_null {
            change_attribute(context, table.oid, new.column, |row| row.attnotnull = true)?;
        }
    }
    Ok(())
}

/// Changes a column's row of pg_attribute.
pub fn change_attribute(
    context: &CommandContext<'_>,
    relation: Oid,
    number: i16,
    change: impl FnOnce(&mut PgAttribute),
) -> Result<()> {
    let found = context.view.rows_to_change::<PgAttribute>(Lookup::AttributeByRelation, &[key(relation)])?;
    let mut found = found.into_iter().find(|found| found.row.attnum == number).ok_or_else(|| {
        error!(INTERNAL_ERROR, "cache lookup failed for attribute {number} of relation {relation}")
    })?;
    change(&mut found.row);
    found.update(&context.view)
}
