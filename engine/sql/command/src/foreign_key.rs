//! Foreign keys: finding what is referred to, the constraint with its triggers, and checking the rows that
//! are there.
//!
//! Realises: `ATAddForeignKeyConstraint` and its parts (tablecmds.c), `RI_Initial_Check`.

mod check;

use std::sync::Arc;

use kokkiri_access::relation::{Persistence, RelationKind};
use kokkiri_catalog::dependency::{self, DependencyKind, ObjectAddress, class};
use kokkiri_catalog::entries::{ConstraintEntry, ConstraintKind, IndexEntry, RelationEntry};
use kokkiri_catalog::lookup::Lookup;
use kokkiri_catalog::privilege::{ObjectKind, Privileges};
use kokkiri_catalog::row::{Array, Int2Vector};
use kokkiri_catalog::rows::{PgConstraint, PgTrigger};
use kokkiri_parse::tree::{Constraint, FkAction, FkMatch, ForeignKey};
use kokkiri_primitives::{Error, Oid, Result, error};
use kokkiri_transaction::{LockMode, WaitPolicy};

use crate::context::CommandContext;
use crate::index::define::find_column;
use crate::relation::change_class;
use crate::{constraint, name};

const EQUAL: i16 = 3;
const TRIGGER_BY_OID: Oid = Oid(2702);

/// Bits of `tgtype`.
const ROW: i16 = 1;
const INSERT: i16 = 4;
const DELETE: i16 = 8;
const UPDATE: i16 = 16;

const CHECK_INSERT: Oid = Oid(1644);
const CHECK_UPDATE: Oid = Oid(1645);

/// A foreign key to be made: as written, and what that means.
struct NewKey<'a> {
    table: &'a RelationEntry,
    referenced: Arc<RelationEntry>,
    definition: &'a Constraint,
    key: &'a ForeignKey,
    name: String,
    columns: Vec<i16>,
    referenced_columns: Vec<i16>,
    index: Arc<IndexEntry>,
    /// Equality operators: referenced = referencing, referenced = referenced, referencing = referencing.
    pf_equal: Vec<Oid>,
    pp_equal: Vec<Oid>,
    ff_equal: Vec<Oid>,
    set_columns: Vec<i16>,
}

/// Adds a foreign key to a table, whose rows are checked unless `validate` is false.
pub fn add(
    context: &mut CommandContext<'_>,
    table: &RelationEntry,
    definition: &Constraint,
    key: &ForeignKey,
    validate: bool,
) -> Result<()> {
    if key.period || key.referenced_period {
        return Err(Error::not_supported("a foreign key with PERIOD"));
    }
    if definition.enforced == Some(false) {
        return Err(Error::not_supported("a foreign key that is NOT ENFORCED"));
    }
    let referenced = name::lock_existing(context, &key.table, LockMode::ShareRowExclusive)?;
    check_referenced(context, table, &referenced)?;
    let columns = column_numbers(table, &key.columns)?;
    let set_columns = column_numbers(table, &key.delete_columns)?;
    for (number, column) in set_columns.iter().zip(&key.delete_columns) {
        if !columns.contains(number) {
            return Err(error!(
                INVALID_COLUMN_REFERENCE,
                "column \"{column}\" referenced in ON DELETE SET action must be part of foreign key"
            ));
        }
    }
    let (index, referenced_columns) = referenced_index(&referenced, &key.referenced)?;
    check_may_refer(context, &referenced)?;
    if columns.len() != referenced_columns.len() {
        return Err(error!(
            INVALID_FOREIGN_KEY,
            "number of referencing and referenced columns for foreign key disagree"
        ));
    }
    let name = match &definition.name {
        Some(given) => {
            constraint::check_name_is_free(context, table, given)?;
            given.clone()
        }
        None => {
            let joined = name::joined_columns(key.columns.iter().map(String::as_str));
            name::choose_constraint(context, &table.name, Some(&joined), "fkey", table.namespace, &[])?
        }
    };
    let mut new = NewKey {
        table,
        referenced,
        definition,
        key,
        name,
        columns,
        referenced_columns,
        index,
        pf_equal: Vec::new(),
        pp_equal: Vec::new(),
        ff_equal: Vec::new(),
        set_columns,
    };
    find_operators(context, &mut new)?;
    let validate = validate && !definition.not_valid;
    let oid = insert_constraint(context, &new, validate)?;
    context.advance()?;
    create_triggers(context, &new, oid)?;
    context.advance()?;
    if validate {
        let entry = context.view.expect_relation(table.oid)?;
        let added = entry.constraints.iter().find(|constraint| constraint.oid == oid).cloned();
        let added =
            added.ok_or_else(|| error!(INTERNAL_ERROR, "constraint {oid} is not among its table's"))?;
        check::check_rows(context, &entry, &new.referenced, &added, &new.index)?;
    }
    Ok(())
}

/// Looks at the rows that were there before a foreign key that was not validated.
///
/// # Errors
/// 23503 for the first row without a counterpart.
pub fn check_existing_rows(
    context: &CommandContext<'_>,
    table: &RelationEntry,
    constraint: &ConstraintEntry,
) -> Result<()> {
    let Some(foreign) = &constraint.foreign else {
        return Err(error!(INTERNAL_ERROR, "constraint \"{}\" refers to nothing", constraint.name));
    };
    context.view.lock_relation_oid(foreign.relation, LockMode::RowShare, WaitPolicy::Block)?;
    let referenced = context.view.expect_relation(foreign.relation)?;
    let index = referenced.indexes.iter().find(|index| Some(index.oid) == constraint.index);
    let index = index.ok_or_else(|| {
        error!(INTERNAL_ERROR, "the index that constraint \"{}\" needs is gone", constraint.name)
    })?;
    check::check_rows(context, table, &referenced, constraint, index)
}

fn check_referenced(
    context: &CommandContext<'_>,
    table: &RelationEntry,
    referenced: &RelationEntry,
) -> Result<()> {
    if referenced.relation.kind == RelationKind::PartitionedTable {
        return Err(Error::not_supported("a foreign key to a partitioned table"));
    }
    if referenced.relation.kind != RelationKind::Table {
        return Err(error!(WRONG_OBJECT_TYPE, "referenced relation \"{}\" is not a table", referenced.name));
    }
    if referenced.relation.is_catalog {
        return Err(error!(
            INSUFFICIENT_PRIVILEGE,
            "permission denied: \"{}\" is a system catalog", referenced.name
        ));
    }
    let problem = match (table.relation.persistence, referenced.relation.persistence) {
        (Persistence::Permanent, Persistence::Permanent)
        | (Persistence::Unlogged, Persistence::Permanent | Persistence::Unlogged) => return Ok(()),
        (Persistence::Temporary, Persistence::Temporary) => {
            let own = context.view.session.temp_namespace();
            if own == Some(table.namespace) && own == Some(referenced.namespace) {
                return Ok(());
            }
            "constraints on temporary tables must involve temporary tables of this session"
        }
        (Persistence::Permanent, _) => "constraints on permanent tables may reference only permanent tables",
        (Persistence::Unlogged, _) => {
            "constraints on unlogged tables may reference only permanent or unlogged tables"
        }
        (Persistence::Temporary, _) => "constraints on temporary tables may reference only temporary tables",
    };
    Err(error!(INVALID_TABLE_DEFINITION, "{problem}"))
}

fn check_may_refer(context: &CommandContext<'_>, referenced: &RelationEntry) -> Result<()> {
    let granted = context.view.privileges(
        context.role(),
        ObjectKind::Table,
        referenced.owner,
        referenced.acl.as_ref(),
        Privileges::REFERENCES,
    )?;
    if granted.contains(Privileges::REFERENCES) {
        return Ok(());
    }
    Err(error!(INSUFFICIENT_PRIVILEGE, "permission denied for table {}", referenced.name))
}

fn column_numbers(table: &RelationEntry, names: &[String]) -> Result<Vec<i16>> {
    let number = |name: &String| match find_column(table, name) {
        Some(attribute) => Ok(attribute.number),
        None if crate::relation::is_system_column(name) => {
            Err(error!(FEATURE_NOT_SUPPORTED, "system columns cannot be used in foreign keys"))
        }
        None => Err(error!(
            UNDEFINED_COLUMN,
            "column \"{name}\" referenced in foreign key constraint does not exist"
        )),
    };
    names.iter().map(number).collect()
}

/// The unique index that a key refers to, and the referenced columns in the key's order.
fn referenced_index(referenced: &RelationEntry, names: &[String]) -> Result<(Arc<IndexEntry>, Vec<i16>)> {
    if names.is_empty() {
        let primary = referenced.indexes.iter().find(|index| index.is_primary && index.is_valid);
        let Some(index) = primary else {
            return Err(error!(
                UNDEFINED_OBJECT,
                "there is no primary key for referenced table \"{}\"", referenced.name
            ));
        };
        if !index.is_immediate {
            return Err(error!(
                OBJECT_NOT_IN_PREREQUISITE_STATE,
                "cannot use a deferrable primary key for referenced table \"{}\"", referenced.name
            ));
        }
        return Ok((Arc::clone(index), index.columns[..index.key_count].to_vec()));
    }
    let columns = column_numbers(referenced, names)?;
    for (at, column) in columns.iter().enumerate() {
        if columns[..at].contains(column) {
            return Err(error!(
                INVALID_FOREIGN_KEY,
                "foreign key referenced-columns list must not contain duplicates"
            ));
        }
    }
    let mut deferrable = false;
    for index in &referenced.indexes {
        let keys = &index.columns[..index.key_count];
        let matches = index.is_unique
            && index.is_valid
            && index.predicate.is_none()
            && index.expressions.is_none()
            && keys.len() == columns.len()
            && columns.iter().all(|column| keys.contains(column));
        if matches && index.is_immediate {
            return Ok((Arc::clone(index), columns));
        }
        deferrable |= matches;
    }
    if deferrable {
        return Err(error!(
            OBJECT_NOT_IN_PREREQUISITE_STATE,
            "cannot use a deferrable unique constraint for referenced table \"{}\"", referenced.name
        ));
    }
    Err(error!(
        INVALID_FOREIGN_KEY,
        "there is no unique constraint matching given keys for referenced table \"{}\"", referenced.name
    ))
}

/// The equality operators of each pair of columns.
fn find_operators(context: &CommandContext<'_>, new: &mut NewKey<'_>) -> Result<()> {
    let view = &context.view;
    for (own, other) in new.columns.iter().zip(&new.referenced_columns) {
        let own = &new.table.relation.tuple_desc.attributes()[*own as usize - 1];
        let other = &new.referenced.relation.tuple_desc.attributes()[*other as usize - 1];
        let place = new.index.columns[..new.index.key_count]
            .iter()
            .position(|column| *column == other.number)
            .ok_or_else(|| Error::internal("a referenced column is not in its index"))?;
        let (family, indexed) = (new.index.families[place], new.index.opclass_types[place]);
        let mut base = own.type_oid;
        while let Some(inner) = view.expect_type(base)?.base_type {
            base = inner;
        }
        let pp = view.family_operator(family, indexed, indexed, EQUAL)?;
        let pf = view.family_operator(family, indexed, base, EQUAL)?;
        let ff = view.family_operator(family, base, base, EQUAL)?;
        let (Some(pp), pair) = (pp, pf.zip(ff)) else {
            return Err(error!(
                INTERNAL_ERROR,
                "missing operator 3({indexed},{indexed}) in opfamily {family}"
            ));
        };
        let (pf, ff) = match pair {
            Some(pair) => pair,
            None if is_implicitly_castable(context, base, indexed)? => (pp, pp),
            None => {
                return Err(error!(
                    DATATYPE_MISMATCH,
                    "foreign key constraint \"{}\" cannot be implemented", new.name
                )
                .detail(format!(
                    "Key columns \"{}\" of the referencing table and \"{}\" of the referenced table are of \
                     incompatible types: {} and {}.",
                    own.name,
                    other.name,
                    context.type_name(own.type_oid),
                    context.type_name(other.type_oid)
                )));
            }
        };
        new.pf_equal.push(pf);
        new.pp_equal.push(pp);
        new.ff_equal.push(ff);
    }
    Ok(())
}

fn is_implicitly_castable(context: &CommandContext<'_>, from: Oid, to: Oid) -> Result<bool> {
    use kokkiri_catalog::entries::CastContext;
    let cast = context.view.cast(from, to)?;
    Ok(crate::index::is_binary_coercible(context, from, to)?
        || cast.is_some_and(|cast| cast.context == CastContext::Implicit))
}

fn insert_constraint(context: &CommandContext<'_>, new: &NewKey<'_>, validate: bool) -> Result<Oid> {
    let NewKey { table, referenced, definition, key, .. } = new;
    let oid = context.view.new_oid(Lookup::ConstraintByOid)?;
    constraint::insert(
        context,
        PgConstraint {
            condeferrable: is_deferrable(definition),
            condeferred: definition.initially_deferred == Some(true),
            convalidated: validate,
            conindid: new.index.oid,
            confrelid: referenced.oid,
            confupdtype: action_code(key.on_update),
            confdeltype: action_code(key.on_delete),
            confmatchtype: match key.match_type {
                FkMatch::Simple => b's',
                FkMatch::Full => b'f',
                FkMatch::Partial => {
                    return Err(error!(FEATURE_NOT_SUPPORTED, "MATCH PARTIAL not yet implemented"));
                }
            },
            connoinherit: true,
            confkey: Some(Array(new.referenced_columns.clone())),
            conpfeqop: Some(Array(new.pf_equal.clone())),
            conppeqop: Some(Array(new.pp_equal.clone())),
            conffeqop: Some(Array(new.ff_equal.clone())),
            confdelsetcols: (!new.set_columns.is_empty()).then(|| Array(new.set_columns.clone())),
            ..constraint::row(table, oid, &new.name, ConstraintKind::Foreign, &new.columns)
        },
    )?;
    let myself = ObjectAddress::new(class::CONSTRAINT, oid);
    let columns = new.referenced_columns.iter().map(|number| ObjectAddress::column(referenced.oid, *number));
    let index = ObjectAddress::relation(new.index.oid);
    dependency::record(&context.view, myself, columns.chain([index]), DependencyKind::Normal)?;
    let mut operators = new.pf_equal.clone();
    operators.extend(new.pp_equal.iter().chain(&new.ff_equal));
    operators.sort_unstable();
    operators.dedup();
    let operators = operators.into_iter().map(|operator| ObjectAddress::new(class::OPERATOR, operator));
    dependency::record(&context.view, myself, operators, DependencyKind::Normal)?;
    Ok(oid)
}

fn is_deferrable(definition: &Constraint) -> bool {
    definition.deferrable.unwrap_or(definition.initially_deferred == Some(true))
}

fn action_code(action: FkAction) -> u8 {
    match action {
        FkAction::NoAction => b'a',
        FkAction::Restrict => b'r',
        FkAction::Cascade => b'c',
        FkAction::SetNull => b'n',
        FkAction::SetDefault => b'd',
    }
}

/// Functions of the triggers on the referenced table, for DELETE and UPDATE.
fn action_function(action: FkAction, delete: bool) -> Oid {
    match (action, delete) {
        (FkAction::NoAction, true) => Oid(1654),
        (FkAction::NoAction, false) => Oid(1655),
        (FkAction::Restrict, true) => Oid(1648),
        (FkAction::Restrict, false) => Oid(1649),
        (FkAction::Cascade, true) => Oid(1646),
        (FkAction::Cascade, false) => Oid(1647),
        (FkAction::SetNull, true) => Oid(1650),
        (FkAction::SetNull, false) => Oid(1651),
        (FkAction::SetDefault, true) => Oid(1652),
        (FkAction::SetDefault, false) => Oid(1653),
    }
}

/// The four triggers that PostgreSQL enforces a foreign key with: two on each side.
fn create_triggers(context: &CommandContext<'_>, new: &NewKey<'_>, constraint: Oid) -> Result<()> {
    let NewKey { table, referenced, definition, key, .. } = new;
    let action = |action: FkAction, delete: bool| {
        // Only the plain check may wait for the end of the transaction.
        (referenced.oid, table.oid, action_function(action, delete), action == FkAction::NoAction)
    };
    let (delete, update) = (action(key.on_delete, true), action(key.on_update, false));
    let check = |function: Oid| (table.oid, referenced.oid, function, true);
    let triggers = [
        ('a', ROW | DELETE, delete),
        ('a', ROW | UPDATE, update),
        ('c', ROW | INSERT, check(CHECK_INSERT)),
        ('c', ROW | UPDATE, check(CHECK_UPDATE)),
    ];
    for (side, kind, (relation, other, function, may_defer)) in triggers {
        let oid = new_trigger_oid(context)?;
        context.view.insert_row(PgTrigger {
            oid,
            tgrelid: relation,
            tgparentid: Oid::INVALID,
            tgname: format!("RI_ConstraintTrigger_{side}_{oid}").into(),
            tgfoid: function,
            tgtype: kind,
            tgenabled: b'O',
            tgisinternal: true,
            tgconstrrelid: other,
            tgconstrindid: new.index.oid,
            tgconstraint: constraint,
            tgdeferrable: may_defer && is_deferrable(definition),
            tginitdeferred: may_defer && definition.initially_deferred == Some(true),
            tgnargs: 0,
            tgattr: Int2Vector::default(),
            tgargs: Vec::new(),
            tgqual: None,
            tgoldtable: None,
            tgnewtable: None,
        })?;
        let myself = ObjectAddress::new(class::TRIGGER, oid);
        let needed = ObjectAddress::new(class::CONSTRAINT, constraint);
        dependency::record(&context.view, myself, [needed], DependencyKind::Internal)?;
    }
    for relation in [referenced.oid, table.oid] {
        // A table may refer to itself.
        if !context.view.expect_relation(relation)?.has_triggers {
            change_class(context, relation, |row| row.relhastriggers = true)?;
            context.advance()?;
        }
    }
    Ok(())
}

fn new_trigger_oid(context: &CommandContext<'_>) -> Result<Oid> {
    loop {
        let oid = context.cluster().transactions.new_oid();
        if context.row_by_oid::<PgTrigger>(TRIGGER_BY_OID, oid)?.is_none() {
            return Ok(oid);
        }
    }
}
