//! Building an index of a table's rows.

use std::fmt::Write as _;
use std::sync::Arc;

use kokkiri_access::btree::Tree;
use kokkiri_access::btree::build::{BuildOutcome, build as build_tree, build_empty};
use kokkiri_access::btree::sort::{SortOptions, Spool};
use kokkiri_access::heap::Heap;
use kokkiri_access::relation::{IndexKey, Persistence};
use kokkiri_catalog::entries::{IndexEntry, RelationEntry};
use kokkiri_catalog::lookup::Lookup;
use kokkiri_catalog::rows::PgIndex;
use kokkiri_primitives::settings::parameters;
use kokkiri_primitives::{Error, Fork, Oid, Result, SqlState, error};
use kokkiri_storage::visibility_map;
use kokkiri_types::{Value, ValueRef, io};

use crate::context::CommandContext;
use crate::describe::key;
use crate::relation::change_class_in_place;

/// Fills an index whose catalog rows and empty file are there, and notes sizes in pg_class.
pub fn build(context: &mut CommandContext<'_>, table: Oid, index: Oid) -> Result<()> {
    let table = context.view.expect_relation(table)?;
    let entry = table
        .indexes
        .iter()
        .find(|entry| entry.oid == index)
        .ok_or_else(|| error!(INTERNAL_ERROR, "index {index} is not among its table's"))?;
    let (rows, entries, broken) = fill(context, &table, entry)?;
    if entry.descriptor.persistence == Persistence::Unlogged {
        let xid = Some(context.transaction().current_xid()?);
        build_empty(&Tree::new(context.cluster(), &entry.descriptor, xid), Fork::Init)?;
    }
    if broken {
        let found = context.view.rows_to_change::<PgIndex>(Lookup::IndexByOid, &[key(index)])?;
        for mut found in found {
            found.row.indcheckxmin = true;
            found.update(&context.view)?;
        }
    }
    note_sizes(context, &table, entry, rows, entries)?;
    context.advance()
}

/// Rows of the table, entries of the index, and whether HOT chains are broken with respect to it.
fn fill(context: &CommandContext<'_>, table: &RelationEntry, entry: &IndexEntry) -> Result<(u64, u64, bool)> {
    let descriptor = &entry.descriptor;
    let mut wanted = Vec::with_capacity(descriptor.columns.len());
    for column in &descriptor.columns {
        match column.key {
            IndexKey::Attribute(number) => wanted.push(usize::from(number)),
            IndexKey::Expression(_) => return Err(Error::not_supported("an index on an expression")),
        }
    }
    let tree = Tree::new(context.cluster(), descriptor, Some(context.transaction().current_xid()?));
    let memory = context.view.settings.get(parameters::MAINTENANCE_WORK_MEM).max(64) as usize * 1024;
    let options =
        SortOptions { unique: descriptor.unique, nulls_not_distinct: descriptor.nulls_not_distinct, memory };
    let mut spool = Spool::new(tree.shape(), Arc::clone(&context.cluster().fs), options);
    let heap = Heap::new(&table.relation, context.transaction());
    let mut entries = 0;
    let report = heap.build_scan(&wanted, descriptor.unique, &mut |columns, rows| {
        let mut values: Vec<ValueRef<'_>> = Vec::with_capacity(columns.len());
        for (at, row) in rows.iter().enumerate() {
            values.clear();
            values.extend(columns.iter().map(|column| column.get(at)));
            spool.add(&values, row.tid, row.live)?;
        }
        entries += rows.len() as u64;
        Ok(())
    })?;
    match build_tree(&tree, spool)? {
        BuildOutcome::Built { .. } => Ok((report.rows, entries, report.broken_chains)),
        BuildOutcome::Duplicate { key } => {
            let values: Vec<ValueRef<'_>> = key.iter().map(Value::as_ref).collect();
            let shown = index_values_text(context, table, entry, &values)?;
            Err(Error::new(
                SqlState::UNIQUE_VIOLATION,
                format!("could not create unique index \"{}\"", entry.name),
            )
            .detail(format!("Key {shown} is duplicated."))
            .table(table.relation.namespace_name.clone(), table.name.to_string())
            .constraint(entry.name.to_string()))
        }
    }
}

/// `(a, b)=(1, 2)`: `BuildIndexValueDescription`.
fn index_values_text(
    context: &CommandContext<'_>,
    table: &RelationEntry,
    entry: &IndexEntry,
    values: &[ValueRef<'_>],
) -> Result<String> {
    let attributes = table.relation.tuple_desc.attributes();
    let (mut names, mut shown) = (String::new(), Vec::new());
    for (at, value) in values.iter().take(entry.key_count).enumerate() {
        let number = entry.columns[at];
        let attribute = &attributes[number as usize - 1];
        let separator = if at == 0 { "" } else { ", " };
        let _ = write!(names, "{separator}{}", kokkiri_parse::quote_identifier(&attribute.name));
        shown.extend_from_slice(separator.as_bytes());
        match value {
            ValueRef::Null => shown.extend_from_slice(b"null"),
            value => io::output_text(attribute.type_oid, *value, context.io, &mut shown)?,
        }
    }
    Ok(format!("({names})=({})", String::from_utf8_lossy(&shown)))
}

/// `index_update_stats` for table and index.
fn note_sizes(
    context: &CommandContext<'_>,
    table: &RelationEntry,
    entry: &IndexEntry,
    rows: u64,
    entries: u64,
) -> Result<()> {
    let buffers = &context.cluster().buffers;
    let table_pages = buffers.blocks(table.relation.file, Fork::Main)?;
    let (visible, frozen) = visibility_map::count(buffers, table.relation.file)?;
    change_class_in_place(context, table.oid, |row| {
        // An empty table that was never vacuumed stays of unknown size: it may well be about to grow.
        if rows > 0 || row.reltuples >= 0.0 {
            row.relpages = table_pages as i32;
            row.reltuples = rows as f32;
            row.relallvisible = visible as i32;
            row.relallfrozen = frozen as i32;
        }
    })?;
    let index_pages = buffers.blocks(entry.descriptor.file, Fork::Main)?;
    change_class_in_place(context, entry.oid, |row| {
        if entries > 0 || row.reltuples >= 0.0 {
            row.relpages = index_pages as i32;
            row.reltuples = entries as f32;
        }
    })
}
