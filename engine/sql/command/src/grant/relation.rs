//! GRANT on tables, views, sequences and their columns.
//!
//! Realises: `ExecGrant_Relation`, `ExecGrant_Attribute`.

use std::collections::BTreeMap;

use kokkiri_access::relation::RelationKind;
use kokkiri_catalog::dependency::ObjectAddress;
use kokkiri_catalog::entries::RelationEntry;
use kokkiri_catalog::lookup::Lookup;
use kokkiri_catalog::privilege::{Acl, ObjectKind, Privileges};
use kokkiri_catalog::row::CatalogRow;
use kokkiri_catalog::rows::{PgAttribute, PgClass};
use kokkiri_parse::tree::RangeVar;
use kokkiri_primitives::{Error, Oid, Result, SqlState, error};
use kokkiri_transaction::LockMode;

use super::{Grant, Target, changed_acl, privilege};
use crate::context::CommandContext;
use crate::describe::key;
use crate::name;
use crate::relation::change_class;

pub fn grant(
    context: &mut CommandContext<'_>,
    grant: &Grant<'_>,
    relation: &RangeVar,
    as_sequence: bool,
) -> Result<()> {
    let entry = name::lock_existing(context, relation, LockMode::AccessShare)?;
    on_entry(context, grant, &entry, as_sequence)
}

pub fn grant_on_oid(
    context: &mut CommandContext<'_>,
    grant: &Grant<'_>,
    oid: Oid,
    as_sequence: bool,
) -> Result<()> {
    let entry = context.view.expect_relation(oid)?;
    on_entry(context, grant, &entry, as_sequence)
}

/// The tables and views, or the sequences, of a schema.
pub fn all_in(context: &CommandContext<'_>, namespace: Oid, sequences: bool) -> Result<Vec<Oid>> {
    let mut found = Vec::new();
    for (_, values) in context.view.scan_all(PgClass::CATALOG)? {
        let class = PgClass::from_values(&values)?;
        let wanted = match class.relkind {
            b'S' => sequences,
            b'r' | b'v' | b'm' | b'f' | b'p' => !sequences,
            _ => false,
        };
        if wanted && class.relnamespace == namespace {
            found.push(class.oid);
        }
    }
    Ok(found)
}

/// What is wanted of the relation as a whole, and of single columns.
struct Wanted {
    whole: Privileges,
    columns: BTreeMap<i16, Privileges>,
}

fn on_entry(
    context: &mut CommandContext<'_>,
    grant: &Grant<'_>,
    entry: &RelationEntry,
    as_sequence: bool,
) -> Result<()> {
    let kind = check_kind(entry, as_sequence)?;
    let wanted = read(context, grant, entry, kind, as_sequence)?;
    if wanted.whole != Privileges::NONE {
        let target = Target {
            address: ObjectAddress::relation(entry.oid),
            kind,
            owner: entry.owner,
            noun: name::kind_name(entry.relation.kind),
            name: &entry.name,
            column: None,
            table_acl: None,
        };
        let old = entry.acl.clone();
        if let Some(acl) = changed_acl(context, grant, &target, old, wanted.whole, grant.is_all())? {
            change_class(context, entry.oid, |row| row.relacl = Some(acl))?;
        }
    }
    let mut columns = wanted.columns;
    // What is revoked of a table is revoked of its columns.
    let of_columns = wanted.whole.intersection(Privileges::COLUMN);
    if !grant.is_grant && of_columns != Privileges::NONE && kind == ObjectKind::Table {
        for row in context.view.rows::<PgAttribute>(Lookup::AttributeByRelation, &[key(entry.oid)])?.iter() {
            if !row.attisdropped {
                let place = columns.entry(row.attnum).or_insert(Privileges::NONE);
                *place = place.union(of_columns);
            }
        }
    }
    for (number, privileges) in columns {
        on_column(context, grant, entry, number, privileges)?;
    }
    Ok(())
}

fn check_kind(entry: &RelationEntry, as_sequence: bool) -> Result<ObjectKind> {
    let wrong = |what: &str| Err(error!(WRONG_OBJECT_TYPE, "\"{}\" is {what}", entry.name));
    match entry.relation.kind {
        RelationKind::Index | RelationKind::PartitionedIndex => wrong("an index"),
        RelationKind::CompositeType => wrong("a composite type"),
        RelationKind::Sequence => Ok(ObjectKind::Sequence),
        _ if as_sequence => wrong("not a sequence"),
        _ => Ok(ObjectKind::Table),
    }
}

fn read(
    context: &mut CommandContext<'_>,
    grant: &Grant<'_>,
    entry: &RelationEntry,
    kind: ObjectKind,
    as_sequence: bool,
) -> Result<Wanted> {
    let mut wanted = Wanted { whole: Privileges::NONE, columns: BTreeMap::new() };
    if grant.privileges.is_empty() {
        wanted.whole = kind.all();
        return Ok(wanted);
    }
    for given in grant.privileges {
        let named = given.name.as_deref().map(privilege::named).transpose()?;
        if given.columns.is_empty() {
            let privileges = named.unwrap_or(kind.all());
            let allowed = if as_sequence {
                ObjectKind::Sequence.all()
            } else {
                ObjectKind::Table.all().union(ObjectKind::Sequence.all())
            };
            if !allowed.contains(privileges) {
                let noun = if as_sequence { "sequence" } else { "relation" };
                return Err(privilege::invalid(privileges, noun));
            }
            wanted.whole = wanted.whole.union(privileges);
            continue;
        }
        if as_sequence {
            return Err(error!(INVALID_GRANT_OPERATION, "column privileges are only valid for relations"));
        }
        let privileges = named.unwrap_or(Privileges::COLUMN);
        if !Privileges::COLUMN.contains(privileges) {
            return Err(privilege::invalid(privileges, "column"));
        }
        for column in &given.columns {
            let number = column_number(entry, column)?;
            let place = wanted.columns.entry(number).or_insert(Privileges::NONE);
            *place = place.union(privileges);
        }
    }
    // USAGE and the like on a table, or what a sequence does not have.
    if !kind.all().contains(wanted.whole) {
        if kind == ObjectKind::Sequence {
            context.notice(Error::warning(
                SqlState::INVALID_GRANT_OPERATION,
                format!("sequence \"{}\" only supports USAGE, SELECT, and UPDATE privileges", entry.name),
            ));
            wanted.whole = wanted.whole.intersection(kind.all());
        } else {
            return Err(privilege::invalid(wanted.whole.without(kind.all()), "table"));
        }
    }
    Ok(wanted)
}

fn column_number(entry: &RelationEntry, column: &str) -> Result<i16> {
    if let Some(attribute) = crate::index::define::find_column(entry, column) {
        return Ok(attribute.number);
    }
    Err(error!(UNDEFINED_COLUMN, "column \"{column}\" of relation \"{}\" does not exist", entry.name))
}

fn on_column(
    context: &mut CommandContext<'_>,
    grant: &Grant<'_>,
    entry: &RelationEntry,
    number: i16,
    wanted: Privileges,
) -> Result<()> {
    let rows = context.view.rows_to_change::<PgAttribute>(Lookup::AttributeByRelation, &[key(entry.oid)])?;
    let Some(mut found) = rows.into_iter().find(|found| found.row.attnum == number) else {
        return Err(Error::internal(format!("column {number} of relation {} has vanished", entry.oid)));
    };
    let column = found.row.attname.to_string();
    let target = Target {
        address: ObjectAddress::column(entry.oid, number),
        kind: ObjectKind::Column,
        owner: entry.owner,
        noun: "column",
        name: &entry.name,
        column: Some(&column),
        table_acl: Some(
            entry.acl.clone().unwrap_or_else(|| Acl::default_for(ObjectKind::Table, entry.owner)),
        ),
    };
    let old = found.row.attacl.clone();
    if let Some(acl) = changed_acl(context, grant, &target, old, wanted, grant.is_all())? {
        let acl = (!acl.0.is_empty()).then_some(acl);
        if acl != found.row.attacl {
            found.row.attacl = acl;
            found.update(&context.view)?;
        }
    }
    Ok(())
}
