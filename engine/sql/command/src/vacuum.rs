//! VACUUM and ANALYZE.
//!
//! Realises: vacuum.c, analyze.c. What was found out about a table is written over its row of pg_class in
//! place ([`crate::relation::change_class_in_place`]); what ANALYZE learned of a column is a row of
//! pg_statistic.
//!
//! Differs: all tables of one statement are vacuumed in the transaction the session lends, not in one each.

mod analyze;

use std::sync::Arc;

use kokkiri_access::heap::Heap;
use kokkiri_access::heap::vacuum::{
    CostBalance, CostLimits, FreezeAges, VacuumOptions, VacuumReport, compute_cutoffs,
};
use kokkiri_access::relation::{IndexCleanup, RelationKind};
use kokkiri_catalog::entries::RelationEntry;
use kokkiri_catalog::lookup::Lookup;
use kokkiri_catalog::privilege::{ObjectKind, Privileges};
use kokkiri_catalog::row::CatalogRow;
use kokkiri_catalog::rows::PgClass;
use kokkiri_parse::AtLocation;
use kokkiri_parse::tree::{DefElem, VacuumStmt};
use kokkiri_primitives::settings::{Settings, parameters};
use kokkiri_primitives::{Error, MultiXactId, Oid, Result, SqlState, TransactionId, error};
use kokkiri_transaction::{LockMode, LockOutcome, WaitPolicy};

use crate::context::{CommandContext, CommandOutcome};
use crate::describe::key;
use crate::relation::change_class_in_place;
use crate::{name, options};

/// The options of a statement.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    vacuum: bool,
    analyze: bool,
    freeze: bool,
    read_all: bool,
    skip_locked: bool,
    index_cleanup: Option<IndexCleanup>,
    truncate: Option<bool>,
    process_main: bool,
    process_toast: bool,
}

pub fn execute(context: &mut CommandContext<'_>, statement: &VacuumStmt) -> Result<CommandOutcome> {
    let tag = if statement.is_vacuum { "VACUUM" } else { "ANALYZE" };
    let wanted = read_options(statement)?;
    if wanted.vacuum {
        context.prevent_in_transaction_block("VACUUM")?;
    }
    let mut targets: Vec<(Oid, &[String])> = Vec::new();
    for named in &statement.relations {
        if !named.columns.is_empty() && !wanted.analyze {
            return Err(error!(
                FEATURE_NOT_SUPPORTED,
                "ANALYZE option must be specified when a column list is provided"
            ));
        }
        let relation = &named.relation;
        let found = context.view.find_relation(relation.schema.as_deref(), &relation.name)?;
        targets.push((found.ok_or_else(|| name::undefined(relation))?, &named.columns));
    }
    if statement.relations.is_empty() {
        targets.extend(all_tables(context)?.into_iter().map(|oid| (oid, &[][..])));
    }
    for (oid, columns) in targets {
        if wanted.vacuum {
            vacuum_table(context, oid, &wanted)?;
            context.advance()?;
        }
        if wanted.analyze {
            analyze_table(context, oid, columns, &wanted)?;
            context.advance()?;
        }
    }
    Ok(CommandOutcome::done(tag))
}

fn read_options(statement: &VacuumStmt) -> Result<Wanted> {
    let mut wanted = Wanted {
        vacuum: statement.is_vacuum,
        analyze: !statement.is_vacuum,
        freeze: false,
        read_all: false,
        skip_locked: false,
        index_cleanup: None,
        truncate: None,
        process_main: true,
        process_toast: true,
    };
    let (mut full, mut workers) = (false, 0);
    for option in &statement.options {
        let unknown = || {
            let command = if statement.is_vacuum { "VACUUM" } else { "ANALYZE" };
            error!(SYNTAX_ERROR, "unrecognized {command} option \"{}\"", option.name)
                .at_location(option.location)
        };
        match option.name.as_str() {
            "verbose" if options::boolean(option)? => {
                return Err(Error::not_supported("VACUUM or ANALYZE with VERBOSE"));
            }
            "verbose" => {}
            "skip_locked" => wanted.skip_locked = options::boolean(option)?,
            "buffer_usage_limit" => {}
            _ if !statement.is_vacuum => return Err(unknown()),
            "analyze" => wanted.analyze = options::boolean(option)?,
            "freeze" => wanted.freeze = options::boolean(option)?,
            "full" => full = options::boolean(option)?,
            "disable_page_skipping" => wanted.read_all = options::boolean(option)?,
            "index_cleanup" => wanted.index_cleanup = Some(index_cleanup(option)?),
            "truncate" => wanted.truncate = Some(options::boolean(option)?),
            "process_main" => wanted.process_main = options::boolean(option)?,
            "process_toast" => wanted.process_toast = options::boolean(option)?,
            // Indexes are cleaned one after the other whatever was asked for, as with too few of them.
            "parallel" => workers = parallel_workers(option)?,
            "skip_database_stats" | "only_database_stats" => {
                return Err(Error::not_supported(format!("VACUUM with {}", option.name)));
            }
            _ => return Err(unknown()),
        }
    }
    if full && workers > 0 {
        return Err(error!(FEATURE_NOT_SUPPORTED, "VACUUM FULL cannot be performed in parallel"));
    }
    if full && wanted.read_all {
        let message = "VACUUM option DISABLE_PAGE_SKIPPING cannot be used with FULL";
        return Err(error!(FEATURE_NOT_SUPPORTED, "{message}"));
    }
    if full {
        return Err(Error::not_supported("VACUUM FULL"));
    }
    Ok(wanted)
}

/// PARALLEL's number, which says how many workers would be wanted.
fn parallel_workers(option: &DefElem) -> Result<i64> {
    const WORKERS_MAX: i64 = 1024;
    if option.arg.is_none() {
        let message = format!("parallel option requires a value between 0 and {WORKERS_MAX}");
        return Err(error!(SYNTAX_ERROR, "{message}").at_location(option.location));
    }
    let workers = options::text(option)?.parse::<i64>();
    let workers = workers.map_err(|_| error!(SYNTAX_ERROR, "{} requires an integer value", option.name))?;
    if !(0..=WORKERS_MAX).contains(&workers) {
        let message = format!("parallel workers for vacuum must be between 0 and {WORKERS_MAX}");
        return Err(error!(SYNTAX_ERROR, "{message}").at_location(option.location));
    }
    Ok(workers)
}

fn index_cleanup(option: &DefElem) -> Result<IndexCleanup> {
    if option.arg.is_some() && options::text(option)?.eq_ignore_ascii_case("auto") {
        return Ok(IndexCleanup::Auto);
    }
    Ok(if options::boolean(option)? { IndexCleanup::On } else { IndexCleanup::Off })
}

/// Every table that may be vacuumed by name.
fn all_tables(context: &CommandContext<'_>) -> Result<Vec<Oid>> {
    let mut tables = Vec::new();
    for (_, values) in context.view.scan_all(PgClass::CATALOG)? {
        let row = PgClass::from_values(&values)?;
        let own =
            row.relpersistence != b't' || context.view.session.temp_namespace() == Some(row.relnamespace);
        if matches!(row.relkind, b'r' | b'm') && own {
            tables.push(row.oid);
        }
    }
    Ok(tables)
}

/// Locks a table for maintenance; `None` if it is gone, is not to be touched or can't be locked at once.
fn open(
    context: &mut CommandContext<'_>,
    oid: Oid,
    wanted: &Wanted,
    verb: &str,
) -> Result<Option<Arc<RelationEntry>>> {
    let policy = if wanted.skip_locked { WaitPolicy::NoWait } else { WaitPolicy::Block };
    let outcome = context.view.lock_relation_oid(oid, LockMode::ShareUpdateExclusive, policy)?;
    if outcome == LockOutcome::NotAvailable {
        let rows = context.view.rows::<PgClass>(Lookup::RelationByOid, &[key(oid)])?;
        let shown = rows.first().map_or_else(|| oid.to_string(), |row| row.relname.to_string());
        let message = format!("skipping {verb} of \"{shown}\" --- lock not available");
        context.notice(Error::warning(SqlState::LOCK_NOT_AVAILABLE, message));
        return Ok(None);
    }
    let Some(entry) = context.view.relation(oid)? else { return Ok(None) };
    // Only its own session can look at what a temporary table holds.
    if context.view.is_others_temporary(&entry) {
        return Ok(None);
    }
    let maintain = Privileges::MAINTAIN;
    let (role, acl) = (context.role(), entry.acl.as_ref());
    let database = context.view.database(context.view.database_oid())?;
    let owns_database = match &database {
        Some(database) => !entry.is_shared && context.view.owns(role, database.owner)?,
        None => false,
    };
    let granted = context.view.privileges(role, ObjectKind::Table, entry.owner, acl, maintain)?;
    if !owns_database && !granted.contains(maintain) {
        let message = format!("permission denied to {verb} \"{}\", skipping it", entry.name);
        context.notice(Error::warning(SqlState::INSUFFICIENT_PRIVILEGE, message));
        return Ok(None);
    }
    if !matches!(
        entry.relation.kind,
        RelationKind::Table | RelationKind::MaterializedView | RelationKind::Toast
    ) {
        let message = match verb {
            "vacuum" => {
                format!("skipping \"{}\" --- cannot vacuum non-tables or special system tables", entry.name)
            }
            _ => {
                format!("skipping \"{}\" --- cannot analyze non-tables or special system tables", entry.name)
            }
        };
        context.notice(Error::warning(SqlState::WARNING, message));
        return Ok(None);
    }
    Ok(Some(entry))
}

fn vacuum_table(context: &mut CommandContext<'_>, oid: Oid, wanted: &Wanted) -> Result<()> {
    let Some(entry) = open(context, oid, wanted, "vacuum")? else { return Ok(()) };
    if wanted.process_main {
        vacuum_one(context, &entry, wanted)?;
    }
    match &entry.relation.toast {
        Some(toast) if wanted.process_toast => {
            let lock = LockMode::ShareUpdateExclusive;
            context.view.lock_relation_oid(toast.oid, lock, WaitPolicy::Block)?;
            let toast = context.view.expect_relation(toast.oid)?;
            vacuum_one(context, &toast, wanted)
        }
        _ => Ok(()),
    }
}

fn class_of(context: &CommandContext<'_>, oid: Oid) -> Result<PgClass> {
    let rows = context.view.rows::<PgClass>(Lookup::RelationByOid, &[key(oid)])?;
    rows.first().cloned().ok_or_else(|| Error::internal(format!("cache lookup failed for relation {oid}")))
}

fn vacuum_one(context: &mut CommandContext<'_>, entry: &RelationEntry, wanted: &Wanted) -> Result<()> {
    let settings = context.view.settings;
    let class = class_of(context, entry.oid)?;
    let heap = Heap::new(&entry.relation, context.transaction());
    let (min_age, multi_min_age) = match wanted.freeze {
        true => (0, 0),
        false => (
            settings.get(parameters::VACUUM_FREEZE_MIN_AGE),
            settings.get(parameters::VACUUM_MULTIXACT_FREEZE_MIN_AGE),
        ),
    };
    let (table_age, multi_table_age) = match wanted.freeze {
        true => (0, 0),
        false => (
            settings.get(parameters::VACUUM_FREEZE_TABLE_AGE),
            settings.get(parameters::VACUUM_MULTIXACT_FREEZE_TABLE_AGE),
        ),
    };
    let ages = FreezeAges {
        min_age: min_age as u32,
        table_age: table_age as u32,
        max_age: settings.get(parameters::AUTOVACUUM_FREEZE_MAX_AGE) as u32,
        multixact_min_age: multi_min_age as u32,
        multixact_table_age: multi_table_age as u32,
        multixact_max_age: settings.get(parameters::AUTOVACUUM_MULTIXACT_FREEZE_MAX_AGE) as u32,
    };
    let (cutoffs, aggressive) =
        compute_cutoffs(&heap, class.relfrozenxid, MultiXactId(class.relminmxid.0), &ages);
    let report = heap.vacuum(&VacuumOptions {
        cutoffs,
        aggressive: aggressive || wanted.read_all,
        read_all: wanted.read_all,
        index_cleanup: wanted.index_cleanup.unwrap_or(IndexCleanup::Auto),
        truncate: wanted.truncate.unwrap_or_else(|| settings.get(parameters::VACUUM_TRUNCATE)),
        ring_kilobytes: settings.get(parameters::VACUUM_BUFFER_USAGE_LIMIT).max(0) as usize,
        memory_bytes: settings.get(parameters::MAINTENANCE_WORK_MEM).max(64) as usize * 1024,
        costs: cost_limits(settings),
    })?;
    note_findings(context, entry, &class, &report)
}

fn cost_limits(settings: &Settings) -> CostLimits {
    let number = |value: i64| value.max(0) as u64;
    CostLimits {
        delay_ms: settings.get(parameters::VACUUM_COST_DELAY),
        limit: number(settings.get(parameters::VACUUM_COST_LIMIT)),
        page_hit: number(settings.get(parameters::VACUUM_COST_PAGE_HIT)),
        page_miss: number(settings.get(parameters::VACUUM_COST_PAGE_MISS)),
        page_dirty: number(settings.get(parameters::VACUUM_COST_PAGE_DIRTY)),
    }
}

/// `vac_update_relstats` for table and indexes.
fn note_findings(
    context: &CommandContext<'_>,
    entry: &RelationEntry,
    class: &PgClass,
    report: &VacuumReport,
) -> Result<()> {
    let pages = report.pages - report.removed_pages;
    let rows = estimate_rows(class, report.pages, report.scanned_pages, report.live_tuples as f64);
    let next = context.cluster().transactions.xids.next().xid();
    change_class_in_place(context, entry.oid, |row| {
        row.relpages = pages as i32;
        row.reltuples = rows as f32;
        row.relallvisible = report.visible_pages as i32;
        row.relallfrozen = report.frozen_pages as i32;
        row.relhasindex = !entry.indexes.is_empty();
        if let Some((xid, multi)) = report.oldest_ids {
            // Ids only move forward, unless what is there can't be true.
            if row.relfrozenxid.precedes(xid) || next.precedes(row.relfrozenxid) {
                row.relfrozenxid = xid;
            }
            let old = MultiXactId(row.relminmxid.0);
            if old.precedes(multi) {
                row.relminmxid = TransactionId(multi.0);
            }
        }
    })?;
    for (index, statistics) in entry.indexes.iter().zip(&report.indexes) {
        if let Some(statistics) = statistics.as_ref().filter(|statistics| !statistics.estimated) {
            change_class_in_place(context, index.oid, |row| {
                row.relpages = statistics.pages as i32;
                row.reltuples = statistics.tuples as f32;
            })?;
        }
    }
    Ok(())
}

/// Rows of a table of which some pages were read: `vac_estimate_reltuples`.
fn estimate_rows(class: &PgClass, pages: u32, scanned: u32, live: f64) -> f64 {
    let (old_pages, old_rows) = (class.relpages as u32, f64::from(class.reltuples));
    if scanned >= pages {
        return live;
    }
    let few = f64::from(scanned) < f64::from(pages) * 0.02;
    if (old_pages == pages && few) || scanned <= 1 {
        return old_rows;
    }
    let pages_left = f64::from(pages - scanned);
    if old_rows < 0.0 || old_pages == 0 {
        return (live / f64::from(scanned) * f64::from(pages) + 0.5).floor();
    }
    (old_rows / f64::from(old_pages) * pages_left + live + 0.5).floor()
}

fn analyze_table(
    context: &mut CommandContext<'_>,
    oid: Oid,
    columns: &[String],
    wanted: &Wanted,
) -> Result<()> {
    let Some(entry) = open(context, oid, wanted, "analyze")? else { return Ok(()) };
    // pg_statistic is not analyzed itself.
    const PG_STATISTIC: Oid = Oid(2619);
    if oid == PG_STATISTIC || entry.relation.is_toast() {
        return Ok(());
    }
    let mut costs = CostBalance::new(cost_limits(context.view.settings));
    analyze::analyze(context, &entry, columns, &mut costs)
}
