//! Sequences in expressions: `nextval`, `currval`, `setval` and their kin.
//!
//! Realises: the functions of sequence.c, `pg_get_serial_sequence` (ruleutils.c). A session keeps of each
//! sequence the value it was last given and those it has taken ahead ([`SessionSequences`]); they are
//! forgotten when the sequence gets another file.

use std::collections::HashMap;
use std::sync::Arc;

use kokkiri_access::relation::RelationKind;
use kokkiri_access::sequence::{self as storage, SequenceParameters, TakenValues};
use kokkiri_catalog::dependency::{ObjectAddress, class, dependents_of};
use kokkiri_catalog::entries::RelationEntry;
use kokkiri_catalog::privilege::{ObjectKind, Privileges};
use kokkiri_catalog::view::CatalogView;
use kokkiri_function_macros::builtin;
use kokkiri_primitives::{Error, Oid, RelFileNumber, Result, bail, error};
use kokkiri_transaction::{LockMode, WaitPolicy};

use super::identifier::{schema_and_name, split_qualified};
use super::need;
use crate::context::CallContext;
use crate::registry::{Builtin, list};
use crate::text::build::quote_ident;

pub(crate) const LIST: &[&[Builtin]] = list![
    nextval_oid,
    currval_oid,
    lastval,
    setval_oid,
    setval3_oid,
    pg_sequence_last_value,
    pg_get_serial_sequence,
];

/// What a session knows of the sequences it has used.
#[derive(Debug, Default)]
pub struct SessionSequences {
    known: HashMap<Oid, Known>,
    /// What `lastval` is about.
    last_used: Option<Oid>,
}

#[derive(Debug)]
struct Known {
    file: RelFileNumber,
    /// What `currval` answers.
    current: Option<i64>,
    /// Values in hand: `next` was given out.
    taken: Option<TakenValues>,
}

impl SessionSequences {
    /// Forgets everything: DISCARD SEQUENCES.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    fn of(&mut self, relation: &RelationEntry) -> &mut Known {
        let file = relation.relation.file.locator.number;
        let known = self.known.entry(relation.oid).or_insert(Known { file, current: None, taken: None });
        if known.file != file {
            known.file = file;
            known.taken = None;
        }
        known
    }
}

/// The sequence, locked as nextval locks it.
fn open(view: &CatalogView<'_>, sequence: Oid) -> Result<Arc<RelationEntry>> {
    view.lock_relation_oid(sequence, LockMode::RowExclusive, WaitPolicy::Block)?;
    let entry = view.expect_relation(sequence)?;
    if entry.relation.kind != RelationKind::Sequence {
        let kinds = match entry.relation.kind {
            RelationKind::Table => "tables",
            RelationKind::Index => "indexes",
            RelationKind::View => "views",
            RelationKind::MaterializedView => "materialized views",
            RelationKind::Toast => "TOAST tables",
            RelationKind::CompositeType => "composite types",
            RelationKind::ForeignTable => "foreign tables",
            RelationKind::PartitionedTable => "partitioned tables",
            RelationKind::PartitionedIndex => "partitioned indexes",
            RelationKind::Sequence => "sequences",
        };
        return Err(error!(WRONG_OBJECT_TYPE, "cannot open relation \"{}\"", entry.name)
            .detail(format!("This operation is not supported for {kinds}.")));
    }
    Ok(entry)
}

/// # Errors
/// 42501 if the role has none of the wanted privileges.
fn check_privilege(view: &CatalogView<'_>, entry: &RelationEntry, wanted: Privileges) -> Result<()> {
    if is_granted(view, entry, wanted)? {
        return Ok(());
    }
    bail!(INSUFFICIENT_PRIVILEGE, "permission denied for sequence {}", entry.name)
}

fn is_granted(view: &CatalogView<'_>, entry: &RelationEntry, wanted: Privileges) -> Result<bool> {
    let granted =
        view.privileges(view.role, ObjectKind::Sequence, entry.owner, entry.acl.as_ref(), wanted)?;
    Ok(granted.intersects(wanted))
}

/// # Errors
/// 25006 in a read-only transaction, unless the sequence is temporary.
fn check_writable(view: &CatalogView<'_>, entry: &RelationEntry, function: &str) -> Result<()> {
    if view.transaction.is_read_only() && !entry.relation.is_temporary() {
        bail!(READ_ONLY_SQL_TRANSACTION, "cannot execute {function} in a read-only transaction");
    }
    Ok(())
}

fn parameters(view: &CatalogView<'_>, sequence: Oid) -> Result<SequenceParameters> {
    let row = view
        .sequence(sequence)?
        .ok_or_else(|| Error::internal(format!("cache lookup failed for sequence {sequence}")))?;
    Ok(SequenceParameters {
        increment: row.seqincrement,
        minimum: row.seqmin,
        maximum: row.seqmax,
        cache: row.seqcache,
        cycle: row.seqcycle,
    })
}

/// The next value of a sequence. An identity column asks for no privilege on its own.
///
/// # Errors
/// 2200H at the end of a sequence that does not cycle.
pub fn next_value(context: &CallContext<'_>, sequence: Oid, check_privileges: bool) -> Result<i64> {
    let view = need::catalog(context)?;
    let entry = open(&view, sequence)?;
    if check_privileges {
        check_privilege(&view, &entry, Privileges::USAGE.union(Privileges::UPDATE))?;
    }
    check_writable(&view, &entry, "nextval()")?;
    let mut session = context.session.sequences.lock();
    session.last_used = Some(sequence);
    let known = session.of(&entry);
    let taken = match known.taken.and_then(TakenValues::advance) {
        Some(taken) => taken,
        None => storage::next_values(view.transaction, &entry.relation, &parameters(&view, sequence)?)?,
    };
    known.taken = Some(taken);
    known.current = Some(taken.next);
    Ok(taken.next)
}

#[builtin(oid = 1574)]
fn nextval_oid(context: &mut CallContext<'_>, sequence: Oid) -> Result<i64> {
    next_value(context, sequence, true)
}

#[builtin(oid = 1575)]
fn currval_oid(context: &mut CallContext<'_>, sequence: Oid) -> Result<i64> {
    let view = need::catalog(context)?;
    let entry = open(&view, sequence)?;
    check_privilege(&view, &entry, Privileges::SELECT.union(Privileges::USAGE))?;
    let current = context.session.sequences.lock().of(&entry).current;
    current.ok_or_else(|| {
        error!(
            OBJECT_NOT_IN_PREREQUISITE_STATE,
            "currval of sequence \"{}\" is not yet defined in this session", entry.name
        )
    })
}

#[builtin(oid = 2559)]
fn lastval(context: &mut CallContext<'_>) -> Result<i64> {
    let undefined = || error!(OBJECT_NOT_IN_PREREQUISITE_STATE, "lastval is not yet defined in this session");
    let view = need::catalog(context)?;
    let last_used = context.session.sequences.lock().last_used.ok_or_else(undefined)?;
    // Somebody may have dropped it.
    if view.relation_name(last_used)?.is_none() {
        return Err(undefined());
    }
    let entry = open(&view, last_used)?;
    check_privilege(&view, &entry, Privileges::SELECT.union(Privileges::USAGE))?;
    let current = context.session.sequences.lock().of(&entry).current;
    current.ok_or_else(undefined)
}

fn set_value(context: &CallContext<'_>, sequence: Oid, value: i64, is_called: bool) -> Result<i64> {
    let view = need::catalog(context)?;
    let entry = open(&view, sequence)?;
    check_privilege(&view, &entry, Privileges::UPDATE)?;
    check_writable(&view, &entry, "setval()")?;
    let parameters = parameters(&view, sequence)?;
    storage::set(view.transaction, &entry.relation, &parameters, value, is_called)?;
    let mut session = context.session.sequences.lock();
    let known = session.of(&entry);
    known.taken = None;
    if is_called {
        known.current = Some(value);
    }
    Ok(value)
}

#[builtin(oid = 1576)]
fn setval_oid(context: &mut CallContext<'_>, sequence: Oid, value: i64) -> Result<i64> {
    set_value(context, sequence, value, true)
}

#[builtin(oid = 1765)]
fn setval3_oid(context: &mut CallContext<'_>, sequence: Oid, value: i64, is_called: bool) -> Result<i64> {
    set_value(context, sequence, value, is_called)
}

/// The last value that the sequence gave out; null if none, or if it is not for the role to see.
#[builtin(oid = 4032)]
fn pg_sequence_last_value(context: &mut CallContext<'_>, sequence: Oid) -> Result<Option<i64>> {
    let view = need::catalog(context)?;
    let entry = open(&view, sequence)?;
    if !is_granted(&view, &entry, Privileges::SELECT.union(Privileges::USAGE))? {
        return Ok(None);
    }
    // Another session's temporary sequence is in that session's buffers.
    if entry.relation.is_temporary() && view.session.temp_namespace() != Some(entry.namespace) {
        return Ok(None);
    }
    let state = storage::read(view.transaction, &entry.relation)?;
    Ok(state.is_called.then_some(state.last_value))
}

/// The sequence that a serial or identity column counts with.
#[builtin(oid = 1665)]
fn pg_get_serial_sequence(
    context: &mut CallContext<'_>,
    table: &str,
    column: &str,
) -> Result<Option<String>> {
    let view = need::catalog(context)?;
    let parts = split_qualified(table)?;
    let (schema, name) = schema_and_name(&view, &parts)?;
    let oid = view
        .find_relation(schema, name)?
        .ok_or_else(|| error!(UNDEFINED_TABLE, "relation \"{}\" does not exist", parts.join(".")))?;
    let entry = view.expect_relation(oid)?;
    let found = entry.relation.tuple_desc.iter().find(|known| !known.dropped && &*known.name == column);
    let Some(attribute) = found else {
        bail!(UNDEFINED_COLUMN, "column \"{column}\" of relation \"{}\" does not exist", entry.name);
    };
    for row in dependents_of(&view, ObjectAddress::column(oid, attribute.number))? {
        if row.classid != class::RELATION || row.objsubid != 0 || !matches!(row.deptype, b'a' | b'i') {
            continue;
        }
        let Some(sequence) = view.relation(row.objid)? else { continue };
        if sequence.relation.kind == RelationKind::Sequence {
            let schema = view.namespace(sequence.namespace)?;
            let schema = schema.map_or_else(String::new, |schema| quote_ident(&schema.name));
            return Ok(Some(format!("{schema}.{}", quote_ident(&sequence.name))));
        }
    }
    Ok(None)
}
