//! ALTER TABLE.
//!
//! Realises: `ATController` and the `ATExec...` of tablecmds.c that are built. Subcommands run in
//! PostgreSQL's passes: what drops first, then types and new columns; then the table is rewritten if it
//! must be; then come new constraints, which look at the rows as they are now.

mod column;
mod column_type;
mod constraint;
mod identity;
mod owner;
pub mod rename;
pub(crate) mod rewrite;
mod schema;

use std::sync::Arc;

use kokkiri_access::relation::{IndexOptions, RelationKind, RelationOptions, ViewOptions};
use kokkiri_analyze::tree::Expression;
use kokkiri_catalog::dependency::Behavior;
use kokkiri_catalog::entries::RelationEntry;
use kokkiri_parse::tree::{
    AlterTableAction, AlterTableCmd, AlterTableStmt, Constraint, ConstraintKind, DefElem, DropBehavior,
    ObjectType,
};
use kokkiri_primitives::{Error, Result, error};
use kokkiri_transaction::LockMode;

use crate::context::{CommandContext, CommandOutcome};
use crate::index::define::find_column;
use crate::relation::{change_class, is_system_column};
use crate::table::Definition;
use crate::{name, options};

pub use schema::execute as set_schema;

/// What a command does to a table besides its catalog rows: PostgreSQL's `AlteredTableInfo`.
pub struct Altered {
    /// The table as its stored rows know it.
    old: Arc<RelationEntry>,
    /// Columns whose values are computed anew, by expressions over the old row.
    new_values: Vec<(i16, Expression)>,
    rewrites: bool,
    /// Added columns, whose constraints are made once all rows have their values.
    added: Vec<Definition>,
    /// CHECK constraints over columns whose types change, as SQL.
    reread: Vec<column_type::Reread>,
    /// Indexes over such columns.
    rebuilt: Vec<kokkiri_primitives::Oid>,
}

pub fn execute(context: &mut CommandContext<'_>, statement: &AlterTableStmt) -> Result<CommandOutcome> {
    let tag = match statement.object {
        ObjectType::Table => "ALTER TABLE",
        ObjectType::Index => "ALTER INDEX",
        ObjectType::Sequence => "ALTER SEQUENCE",
        ObjectType::View => "ALTER VIEW",
        _ => return Err(Error::not_supported("ALTER of this kind of relation")),
    };
    let mode = statement.commands.iter().map(|command| lock_mode(&command.action)).max_by_key(strength);
    let mode = mode.unwrap_or(LockMode::AccessExclusive);
    let Some(entry) = name::lock(context, &statement.relation, mode, false)? else {
        let missing = name::undefined(&statement.relation);
        if !statement.missing_ok {
            return Err(missing);
        }
        context.notice(Error::notice(format!("{}, skipping", missing.message())));
        return Ok(CommandOutcome::done(tag));
    };
    check_kind(&entry, statement)?;
    name::check_owner(context, &entry)?;
    name::check_not_others_temporary(context, &entry, "alter temporary tables")?;
    let mut commands: Vec<&AlterTableCmd> = statement.commands.iter().collect();
    commands.sort_by_key(|command| pass(&command.action));
    let mut altered = Altered {
        old: Arc::clone(&entry),
        new_values: Vec::new(),
        rewrites: false,
        added: Vec::new(),
        reread: Vec::new(),
        rebuilt: Vec::new(),
    };
    let later = commands.partition_point(|command| pass(&command.action) < Pass::SetNotNull);
    for command in &commands[..later] {
        run(context, &mut altered, command)?;
        context.advance()?;
    }
    altered.finish_columns(context)?;
    for command in &commands[later..] {
        run(context, &mut altered, command)?;
        context.advance()?;
    }
    Ok(CommandOutcome::done(tag))
}

impl Altered {
    /// The columns are what they will be: rewrites the rows if need be, and makes the constraints of added
    /// columns.
    fn finish_columns(&mut self, context: &mut CommandContext<'_>) -> Result<()> {
        if self.rewrites {
            rewrite::rewrite(context, &self.old, &self.new_values)?;
        } else {
            for index in std::mem::take(&mut self.rebuilt) {
                rewrite::rebuild_index(context, self.old.oid, index)?;
            }
        }
        for reread in std::mem::take(&mut self.reread) {
            reread.restore(context, self.old.oid)?;
        }
        for definition in std::mem::take(&mut self.added) {
            constraint::add_all(context, self.old.oid, &definition)?;
        }
        Ok(())
    }
}

fn check_kind(entry: &RelationEntry, statement: &AlterTableStmt) -> Result<()> {
    let all =
        |fits: fn(&AlterTableAction) -> bool| statement.commands.iter().all(|command| fits(&command.action));
    let only_owner = all(|action| matches!(action, AlterTableAction::ChangeOwner(_)));
    let for_views = all(|action| {
        matches!(
            action,
            AlterTableAction::SetRelOptions(_)
                | AlterTableAction::ResetRelOptions(_)
                | AlterTableAction::ChangeOwner(_)
        )
    });
    match (entry.relation.kind, statement.object) {
        (RelationKind::Table, ObjectType::Table)
        | (RelationKind::Index, ObjectType::Index)
        | (RelationKind::Sequence, ObjectType::Sequence) => Ok(()),
        (RelationKind::Sequence, ObjectType::Table) if only_owner => Ok(()),
        (RelationKind::View, ObjectType::View | ObjectType::Table) if for_views => Ok(()),
        (_, ObjectType::View) if entry.relation.kind != RelationKind::View => {
            Err(error!(WRONG_OBJECT_TYPE, "\"{}\" is not a view", entry.name))
        }
        (_, ObjectType::View) => Err(Error::not_supported("this ALTER VIEW action")),
        (RelationKind::PartitionedTable, ObjectType::Table) => {
            Err(Error::not_supported("ALTER TABLE of a partitioned table"))
        }
        (other, ObjectType::Table) => {
            Err(error!(WRONG_OBJECT_TYPE, "ALTER action cannot be performed on relation \"{}\"", entry.name)
                .detail(format!("This operation is not supported for {}.", name::plural_kind(other))))
        }
        (_, ObjectType::Sequence) => Err(error!(WRONG_OBJECT_TYPE, "\"{}\" is not a sequence", entry.name)),
        _ => Err(error!(WRONG_OBJECT_TYPE, "\"{}\" is not an index", entry.name)),
    }
}

/// `AlterTableGetLockLevel`.
fn lock_mode(action: &AlterTableAction) -> LockMode {
    match action {
        AlterTableAction::AddConstraint(Constraint { kind: ConstraintKind::Foreign(_), .. }) => {
            LockMode::ShareRowExclusive
        }
        AlterTableAction::SetRelOptions(_)
        | AlterTableAction::ResetRelOptions(_)
        | AlterTableAction::SetStatistics { .. }
        | AlterTableAction::ValidateConstraint(_) => LockMode::ShareUpdateExclusive,
        _ => LockMode::AccessExclusive,
    }
}

/// Modes among those of [`lock_mode`] in rising order.
fn strength(mode: &LockMode) -> u8 {
    match mode {
        LockMode::AccessExclusive => 2,
        LockMode::ShareRowExclusive => 1,
        _ => 0,
    }
}

/// The order in which subcommands run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Pass {
    Drop,
    AlterType,
    AddColumn,
    SetNotNull,
    AddCheck,
    AddIndex,
    AddForeignKey,
    Rest,
}

fn pass(action: &AlterTableAction) -> Pass {
    match action {
        AlterTableAction::DropColumn(_)
        | AlterTableAction::DropConstraint(_)
        | AlterTableAction::DropNotNull(_)
        | AlterTableAction::DropIdentity(_)
        | AlterTableAction::DropExpression(_)
        | AlterTableAction::ColumnDefault { default: None, .. } => Pass::Drop,
        AlterTableAction::AlterColumnType(..) => Pass::AlterType,
        AlterTableAction::AddColumn(_) => Pass::AddColumn,
        AlterTableAction::SetNotNull(_) => Pass::SetNotNull,
        AlterTableAction::ColumnDefault { .. } => Pass::AddCheck,
        AlterTableAction::AddConstraint(Constraint { kind: ConstraintKind::Foreign(_), .. }) => {
            Pass::AddForeignKey
        }
        AlterTableAction::AddConstraint(Constraint {
            kind: ConstraintKind::Primary(_) | ConstraintKind::Unique { .. },
            ..
        }) => Pass::AddIndex,
        AlterTableAction::AddConstraint(_) => Pass::AddCheck,
        _ => Pass::Rest,
    }
}

fn behavior_of(command: &AlterTableCmd) -> Behavior {
    match command.behavior {
        DropBehavior::Restrict => Behavior::Restrict,
        DropBehavior::Cascade => Behavior::Cascade,
    }
}

fn run(context: &mut CommandContext<'_>, altered: &mut Altered, command: &AlterTableCmd) -> Result<()> {
    let entry = context.view.expect_relation(altered.old.oid)?;
    let table = &*entry;
    match &command.action {
        AlterTableAction::AddColumn(definition) => {
            column::add(context, altered, table, definition, command.missing_ok)
        }
        AlterTableAction::DropColumn(name) => column::drop_one(context, table, name, command),
        AlterTableAction::ColumnDefault { column, default } => {
            column::set_default(context, table, column, default.as_ref())
        }
        AlterTableAction::AlterColumnType(definition, using) => {
            column_type::alter(context, altered, table, definition, using.as_ref())
        }
        AlterTableAction::SetNotNull(column) => constraint::set_not_null(context, table, column),
        AlterTableAction::DropNotNull(column) => constraint::drop_not_null(context, table, column, command),
        AlterTableAction::AddConstraint(definition) => constraint::add(context, table, definition),
        AlterTableAction::DropConstraint(name) => constraint::drop_named(context, table, name, command),
        AlterTableAction::ValidateConstraint(name) => constraint::validate(context, table, name),
        AlterTableAction::AddIdentity { column, always, options, .. } => {
            identity::add(context, table, column, *always, options)
        }
        AlterTableAction::SetIdentity { column, options } => identity::set(context, table, column, options),
        AlterTableAction::DropIdentity(column) => {
            identity::drop_from(context, table, column, command.missing_ok)
        }
        AlterTableAction::SetRelOptions(changes) => set_options(context, table, changes, false),
        AlterTableAction::ResetRelOptions(changes) => set_options(context, table, changes, true),
        AlterTableAction::SetStatistics { column, target, .. } => {
            column::set_statistics(context, table, column, *target)
        }
        AlterTableAction::SetStorage { column, storage } => {
            column::set_storage(context, table, column, storage)
        }
        AlterTableAction::SetCompression { column, method } => {
            column::set_compression(context, table, column, method)
        }
        AlterTableAction::ChangeOwner(role) => owner::change(context, table, role),
        _ => Err(Error::not_supported("this ALTER TABLE action")),
    }
}

fn existing_column<'t>(table: &'t RelationEntry, column: &str) -> Result<&'t str> {
    match find_column(table, column) {
        Some(attribute) => Ok(&attribute.name),
        None if is_system_column(column) => {
            Err(error!(FEATURE_NOT_SUPPORTED, "cannot alter system column \"{column}\""))
        }
        None => Err(undefined_column(table, column)),
    }
}

fn column_number(table: &RelationEntry, column: &str) -> Result<i16> {
    existing_column(table, column)?;
    find_column(table, column)
        .map(|attribute| attribute.number)
        .ok_or_else(|| undefined_column(table, column))
}

fn undefined_column(table: &RelationEntry, column: &str) -> Error {
    error!(UNDEFINED_COLUMN, "column \"{column}\" of relation \"{}\" does not exist", table.name)
}

/// SET (...) and RESET (...).
fn set_options(
    context: &mut CommandContext<'_>,
    table: &RelationEntry,
    changes: &[DefElem],
    reset: bool,
) -> Result<()> {
    let old: Vec<String> = table.options.iter().map(ToString::to_string).collect();
    let new = options::reloptions(&old, changes, None, reset)?;
    match table.relation.kind {
        RelationKind::Index => IndexOptions::for_btree(options::pairs(new.as_ref())).map(std::mem::drop)?,
        RelationKind::View if ViewOptions::parse(options::pairs(new.as_ref()))?.check_option.is_some() => {
            return Err(Error::not_supported("a view's check_option"));
        }
        RelationKind::View => {}
        _ => RelationOptions::for_table(options::pairs(new.as_ref())).map(std::mem::drop)?,
    }
    change_class(context, table.oid, |row| row.reloptions = new)?;
    let Some(toast) = &table.relation.toast else { return Ok(()) };
    if !changes.iter().any(|change| change.namespace.as_deref() == Some("toast")) {
        return Ok(());
    }
    let toast = context.view.expect_relation(toast.oid)?;
    let old: Vec<String> = toast.options.iter().map(ToString::to_string).collect();
    let new = options::reloptions(&old, changes, Some("toast"), reset)?;
    RelationOptions::for_toast(options::pairs(new.as_ref())).map(std::mem::drop)?;
    change_class(context, toast.oid, |row| row.reloptions = new)
}
