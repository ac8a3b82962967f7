//! CREATE and ALTER SEQUENCE, and the sequences behind serial and identity columns.
//!
//! Realises: the commands of sequence.c, and of parse_utilcmd.c `generateSerialExtraStmts`. A sequence that
//! is altered in a way that a rollback must undo gets a new file, as a truncated table does.

mod options;

use kokkiri_access::relation::{Persistence, RelationKind};
use kokkiri_access::sequence as storage;
use kokkiri_catalog::dependency::{self, DependencyKind, ObjectAddress, class};
use kokkiri_catalog::entries::RelationEntry;
use kokkiri_catalog::lookup::Lookup;
use kokkiri_catalog::rows::PgSequence;
use kokkiri_parse::tree as raw;
use kokkiri_parse::tree::{AlterSeqStmt, CreateSeqStmt, DefElem};
use kokkiri_primitives::{Error, Oid, RelFileNumber, Result, Severity, SqlState, error};
use kokkiri_transaction::{LockMode, WaitPolicy};
use kokkiri_types::builtin::oid;

use crate::context::{CommandContext, CommandOutcome};
use crate::describe::key;
use crate::index::define::find_column;
use crate::relation::{NewColumn, NewRelation, change_class, create_file};
use crate::{name, relation};

pub use options::is_counting_type;

/// The column that a sequence belongs to, and how.
#[derive(Clone, Copy, Debug)]
pub struct Owner {
    pub table: Oid,
    pub column: i16,
    /// Auto for OWNED BY and serial, Internal for an identity column's.
    pub kind: DependencyKind,
}

pub fn create(context: &mut CommandContext<'_>, statement: &CreateSeqStmt) -> Result<CommandOutcome> {
    const TAG: &str = "CREATE SEQUENCE";
    let wanted = match statement.sequence.persistence {
        raw::Persistence::Permanent => Persistence::Permanent,
        raw::Persistence::Unlogged => Persistence::Unlogged,
        raw::Persistence::Temporary => Persistence::Temporary,
    };
    let (namespace, persistence) = name::creation_namespace(context, &statement.sequence, wanted)?;
    let sequence_name = statement.sequence.name.as_str();
    if statement.if_not_exists && context.view.relation_oid(namespace, sequence_name)?.is_some() {
        context.notice(Error::report(
            Severity::Notice,
            SqlState::DUPLICATE_TABLE,
            format!("relation \"{sequence_name}\" already exists, skipping"),
        ));
        return Ok(CommandOutcome::done(TAG));
    }
    let new = NewSequence {
        name: sequence_name,
        namespace,
        persistence,
        owner: context.role(),
        options: &statement.options,
        for_identity: false,
    };
    let (oid, owned_by) = make(context, &new)?;
    if let Some(names) = owned_by {
        let entry = context.view.expect_relation(oid)?;
        set_owner_column(context, &entry, &names)?;
    }
    Ok(CommandOutcome::done(TAG))
}

/// A sequence to be made.
pub struct NewSequence<'s> {
    pub name: &'s str,
    pub namespace: Oid,
    pub persistence: Persistence,
    pub owner: Oid,
    pub options: &'s [DefElem],
    pub for_identity: bool,
}

/// Makes a sequence with its row and file; the answer has what OWNED BY says.
pub fn make(context: &mut CommandContext<'_>, new: &NewSequence<'_>) -> Result<(Oid, Option<Vec<String>>)> {
    let mut settings = options::initial();
    options::apply(context, new.options, &mut settings, true, new.for_identity)?;
    let column = |name, type_oid| NewColumn { not_null: true, ..NewColumn::plain(name, type_oid) };
    let columns =
        [column("last_value", oid::INT8), column("log_cnt", oid::INT8), column("is_called", oid::BOOL)];
    let sequence = relation::create(
        context,
        &NewRelation {
            name: new.name,
            namespace: new.namespace,
            owner: new.owner,
            kind: RelationKind::Sequence,
            persistence: new.persistence,
            columns: &columns,
            options: None,
        },
    )?;
    context.view.insert_row(PgSequence { seqrelid: sequence, ..settings.row })?;
    context.advance()?;
    context.view.lock_relation_oid(sequence, LockMode::AccessExclusive, WaitPolicy::Block)?;
    let entry = context.view.expect_relation(sequence)?;
    storage::create(context.transaction(), &entry.relation, settings.last_value, settings.is_called)?;
    Ok((sequence, settings.owned_by))
}

/// Makes the sequence of a serial or identity column.
pub fn make_owned(
    context: &mut CommandContext<'_>,
    table: &RelationEntry,
    column: &str,
    options: &[DefElem],
    kind: DependencyKind,
) -> Result<Oid> {
    use kokkiri_parse::tree::DefArg;
    let attribute = find_column(table, column)
        .ok_or_else(|| Error::internal(format!("the column {column} of a sequence is missing")))?;
    let (number, type_oid) = (attribute.number, attribute.type_oid);
    let given = options.iter().find_map(|option| match (&*option.name, &option.arg) {
        ("sequence_name", Some(DefArg::Name(names))) => Some(names.clone()),
        _ => None,
    });
    let (namespace, sequence_name) = match given {
        Some(names) => {
            let relation = name::range_var(&names)?;
            let (namespace, _) = name::creation_namespace(context, &relation, table.relation.persistence)?;
            (namespace, relation.name)
        }
        None => {
            let chosen =
                name::choose_relation(context, &table.name, Some(column), "seq", table.namespace, false)?;
            (table.namespace, chosen)
        }
    };
    let mut all = vec![as_type(context, type_oid)?];
    if options.iter().any(|option| option.name == "as") {
        all.clear();
    }
    all.extend(options.iter().cloned());
    let new = NewSequence {
        name: &sequence_name,
        namespace,
        persistence: table.relation.persistence,
        owner: table.owner,
        options: &all,
        for_identity: kind == DependencyKind::Internal,
    };
    let (sequence, _) = make(context, &new)?;
    own(context, sequence, Owner { table: table.oid, column: number, kind })?;
    context.advance()?;
    Ok(sequence)
}

/// The option AS of a column's type.
pub fn as_type(context: &CommandContext<'_>, type_oid: Oid) -> Result<DefElem> {
    let name = kokkiri_parse::parse_type_name(&context.type_name(type_oid))?;
    Ok(DefElem {
        namespace: None,
        name: "as".to_owned(),
        arg: Some(raw::DefArg::TypeName(name)),
        location: kokkiri_parse::Location::UNKNOWN,
    })
}

fn own(context: &CommandContext<'_>, sequence: Oid, owner: Owner) -> Result<()> {
    let column = ObjectAddress::column(owner.table, owner.column);
    dependency::record(&context.view, ObjectAddress::relation(sequence), [column], owner.kind)
}

/// OWNED BY: `process_owned_by`.
fn set_owner_column(
    context: &mut CommandContext<'_>,
    sequence: &RelationEntry,
    names: &[String],
) -> Result<()> {
    let myself = ObjectAddress::relation(sequence.oid);
    let forget = |context: &CommandContext<'_>| {
        dependency::forget_references(&context.view, myself, class::RELATION, DependencyKind::Auto)
    };
    let Some((column, relation)) = names.split_last() else { return forget(context) };
    if relation.is_empty() {
        if column == "none" {
            forget(context)?;
            return context.advance();
        }
        return Err(error!(SYNTAX_ERROR, "invalid OWNED BY option")
            .hint("Specify OWNED BY table.column or OWNED BY NONE."));
    }
    let relation = name::range_var(relation)?;
    let table = name::lock_existing(context, &relation, LockMode::AccessShare)?;
    if !matches!(
        table.relation.kind,
        RelationKind::Table
            | RelationKind::ForeignTable
            | RelationKind::View
            | RelationKind::PartitionedTable
    ) {
        return Err(error!(WRONG_OBJECT_TYPE, "sequence cannot be owned by relation \"{}\"", table.name)
            .detail(format!(
                "This operation is not supported for {}.",
                name::plural_kind(table.relation.kind)
            )));
    }
    if table.owner != sequence.owner {
        return Err(error!(
            OBJECT_NOT_IN_PREREQUISITE_STATE,
            "sequence must have same owner as table it is linked to"
        ));
    }
    if table.namespace != sequence.namespace {
        return Err(error!(
            OBJECT_NOT_IN_PREREQUISITE_STATE,
            "sequence must be in same schema as table it is linked to"
        ));
    }
    let attribute = find_column(&table, column).ok_or_else(|| {
        error!(UNDEFINED_COLUMN, "column \"{column}\" of relation \"{}\" does not exist", table.name)
    })?;
    check_is_not_identity(context, sequence)?;
    forget(context)?;
    own(
        context,
        sequence.oid,
        Owner { table: table.oid, column: attribute.number, kind: DependencyKind::Auto },
    )?;
    context.advance()
}

/// # Errors
/// 0A000 if the sequence is an identity column's.
pub fn check_is_not_identity(context: &CommandContext<'_>, sequence: &RelationEntry) -> Result<()> {
    let owner = owner_of(context, sequence.oid)?;
    let Some(Owner { table, kind: DependencyKind::Internal, .. }) = owner else { return Ok(()) };
    let table = context.view.expect_relation(table)?;
    Err(error!(FEATURE_NOT_SUPPORTED, "cannot change ownership of identity sequence")
        .detail(format!("Sequence \"{}\" is linked to table \"{}\".", sequence.name, table.name)))
}

/// The column that a sequence belongs to.
pub fn owner_of(context: &CommandContext<'_>, sequence: Oid) -> Result<Option<Owner>> {
    let rows = dependency::references_of(&context.view, ObjectAddress::relation(sequence))?;
    Ok(rows.into_iter().find_map(|row| {
        let kind = match row.deptype {
            b'a' => DependencyKind::Auto,
            b'i' => DependencyKind::Internal,
            _ => return None,
        };
        let is_column = row.refclassid == class::RELATION && row.refobjsubid > 0;
        is_column.then_some(Owner { table: row.refobjid, column: row.refobjsubid as i16, kind })
    }))
}

/// The sequences that belong to a table's columns, or to one of them.
pub fn owned(context: &CommandContext<'_>, table: Oid, column: Option<i16>) -> Result<Vec<Oid>> {
    let mut sequences = Vec::new();
    for row in dependency::dependents_of(&context.view, ObjectAddress::relation(table))? {
        let concerned = match column {
            Some(number) => row.refobjsubid == i32::from(number),
            None => row.refobjsubid > 0,
        };
        if row.classid == class::RELATION
            && row.objsubid == 0
            && concerned
            && matches!(row.deptype, b'a' | b'i')
            && context
                .view
                .relation(row.objid)?
                .is_some_and(|entry| entry.relation.kind == RelationKind::Sequence)
        {
            sequences.push(row.objid);
        }
    }
    Ok(sequences)
}

pub fn alter(context: &mut CommandContext<'_>, statement: &AlterSeqStmt) -> Result<CommandOutcome> {
    const TAG: &str = "ALTER SEQUENCE";
    let mode = LockMode::ShareRowExclusive;
    let Some(entry) = name::lock(context, &statement.sequence, mode, false)? else {
        let missing = name::undefined(&statement.sequence);
        if !statement.missing_ok {
            return Err(missing);
        }
        context.notice(Error::notice(format!("{}, skipping", missing.message())));
        return Ok(CommandOutcome::done(TAG));
    };
    if entry.relation.kind != RelationKind::Sequence {
        return Err(error!(WRONG_OBJECT_TYPE, "cannot open relation \"{}\"", entry.name).detail(format!(
            "This operation is not supported for {}.",
            name::plural_kind(entry.relation.kind)
        )));
    }
    name::check_owner(context, &entry)?;
    change(context, &entry, &statement.options, false)?;
    Ok(CommandOutcome::done(TAG))
}

/// Applies options to a sequence.
pub fn change(
    context: &mut CommandContext<'_>,
    entry: &RelationEntry,
    changes: &[DefElem],
    for_identity: bool,
) -> Result<()> {
    let found = context.view.rows_to_change::<PgSequence>(Lookup::SequenceByRelation, &[key(entry.oid)])?;
    let mut found = found
        .into_iter()
        .next()
        .ok_or_else(|| Error::internal(format!("cache lookup failed for sequence {}", entry.oid)))?;
    let state = storage::read(context.transaction(), &entry.relation)?;
    let mut settings = options::initial();
    settings.row = found.row.clone();
    (settings.last_value, settings.is_called, settings.resets) = (state.last_value, state.is_called, false);
    options::apply(context, changes, &mut settings, false, for_identity)?;
    if settings.resets {
        restart(context, entry, settings.last_value, settings.is_called)?;
    }
    found.row = settings.row;
    found.update(&context.view)?;
    context.view.invalidate_relation(entry.oid);
    context.advance()?;
    if let Some(names) = settings.owned_by {
        set_owner_column(context, entry, &names)?;
    }
    Ok(())
}

/// Gives a sequence a new file that says this value.
fn restart(
    context: &mut CommandContext<'_>,
    entry: &RelationEntry,
    last_value: i64,
    is_called: bool,
) -> Result<()> {
    let number = context.view.new_oid(Lookup::RelationByOid)?;
    let mut file = entry.relation.file;
    file.locator.number = RelFileNumber(number.0);
    create_file(context, file)?;
    context.transaction().drop_storage(entry.relation.file);
    change_class(context, entry.oid, |row| row.relfilenode = number)?;
    context.advance()?;
    let entry = context.view.expect_relation(entry.oid)?;
    storage::create(context.transaction(), &entry.relation, last_value, is_called)
}

/// Back to the start value: TRUNCATE ... RESTART IDENTITY.
pub fn reset(context: &mut CommandContext<'_>, sequence: Oid) -> Result<()> {
    context.view.lock_relation_oid(sequence, LockMode::AccessExclusive, WaitPolicy::Block)?;
    let entry = context.view.expect_relation(sequence)?;
    let row = context
        .view
        .sequence(sequence)?
        .ok_or_else(|| Error::internal(format!("cache lookup failed for sequence {sequence}")))?;
    restart(context, &entry, row.seqstart, false)
}
