//! Rewriting a table: new files, every row made anew.
//!
//! Realises: `ATRewriteTables` (tablecmds.c) with what of cluster.c it uses. The rows that the latest
//! snapshot sees are copied in order; the old files go when the transaction commits.

use kokkiri_access::heap::{BulkInsert, Heap, InsertOptions, Scan, ScanOptions};
use kokkiri_access::tuple::deform::TupleField;
use kokkiri_access::tuple::form::FormValue;
use kokkiri_analyze::tree::Expression;
use kokkiri_catalog::entries::RelationEntry;
use kokkiri_execute::table_expressions::TableExpressions;
use kokkiri_primitives::activity::check_for_interrupts;
use kokkiri_primitives::{Error, Oid, Result};
use kokkiri_transaction::Visibility;
use kokkiri_types::{BATCH_ROWS, Batch, Value};

use crate::constraint::change_attribute;
use crate::context::CommandContext;
use crate::{index, truncate};

/// Rewrites a table whose rows are as `old` says into what the catalogs say now. `new_values` are columns
/// computed from the old rows.
pub fn rewrite(
    context: &mut CommandContext<'_>,
    old: &RelationEntry,
    new_values: &[(i16, Expression)],
) -> Result<()> {
    let entry = context.view.expect_relation(old.oid)?;
    truncate::new_file(context, entry.oid, entry.relation.file, true)?;
    if let Some(toast) = &entry.relation.toast {
        let toast = context.view.expect_relation(toast.oid)?;
        truncate::new_file(context, toast.oid, toast.relation.file, true)?;
        for index in &toast.indexes {
            truncate::new_file(context, index.oid, index.descriptor.file, false)?;
        }
        context.advance()?;
        for index in &toast.indexes {
            index::build(context, toast.oid, index.oid)?;
        }
    }
    for index in &entry.indexes {
        truncate::new_file(context, index.oid, index.descriptor.file, false)?;
    }
    context.advance()?;
    copy_rows(context, old, new_values)?;
    let entry = context.view.expect_relation(old.oid)?;
    for column in entry.relation.tuple_desc.iter().filter(|column| column.missing.is_some()) {
        change_attribute(context, entry.oid, column.number, |row| {
            row.atthasmissing = false;
            row.attmissingval = None;
        })?;
    }
    context.advance()?;
    for index in &entry.indexes {
        index::build(context, entry.oid, index.oid)?;
    }
    Ok(())
}

/// Builds one index anew, in a new file.
pub fn rebuild_index(context: &mut CommandContext<'_>, table: Oid, index: Oid) -> Result<()> {
    let entry = context.view.expect_relation(table)?;
    let Some(found) = entry.indexes.iter().find(|known| known.oid == index) else {
        return Err(Error::internal(format!("index {index} is not among its table's")));
    };
    truncate::new_file(context, index, found.descriptor.file, false)?;
    // The table's entry names its indexes' files, though no row of its own has changed.
    context.view.invalidate_relation(table);
    context.advance()?;
    index::build(context, table, index)
}

fn copy_rows(
    context: &mut CommandContext<'_>,
    old: &RelationEntry,
    new_values: &[(i16, Expression)],
) -> Result<()> {
    let new = context.view.expect_relation(old.oid)?;
    let (from, to) =
        (Heap::new(&old.relation, context.transaction()), Heap::new(&new.relation, context.transaction()));
    let old_desc = &old.relation.tuple_desc;
    let wanted: Vec<usize> = (0..old_desc.len()).filter(|at| !old_desc[*at].dropped).collect();
    let attributes = wanted.iter().map(|at| *at as i16 + 1).collect();
    let exprs: Vec<Expression> = new_values.iter().map(|(_, expr)| expr.clone()).collect();
    let mut programs = TableExpressions::compile(&context.facts(), attributes, &exprs)?;
    // Where each column of a new row comes from.
    enum Source {
        Computed(usize),
        Kept(usize),
        Constant(Value),
    }
    let sources: Vec<Source> = new
        .relation
        .tuple_desc
        .iter()
        .enumerate()
        .map(|(at, column)| {
            if let Some(computed) = new_values.iter().position(|(number, _)| *number == column.number) {
                Source::Computed(computed)
            } else if let Some(kept) = wanted.iter().position(|wanted| *wanted == at && !column.dropped) {
                Source::Kept(kept)
            } else {
                Source::Constant(column.missing.clone().unwrap_or(Value::Null))
            }
        })
        .collect();
    let snapshot = context.transaction().latest_snapshot();
    let visibility = Visibility::Mvcc(&snapshot);
    // Values that stay as they are keep how they are compressed.
    let mut types: Vec<_> = wanted.iter().map(|at| old_desc[*at].physical).collect();
    let mut fields = Vec::new();
    let mut compressed = vec![None; wanted.len()];
    for (at, attribute) in wanted.iter().enumerate().filter(|(_, at)| old_desc[**at].length == -1) {
        let field = TupleField::Compressed(*attribute);
        compressed[at] = Some(types.len());
        fields.push((field, types.len()));
        types.push(field.physical());
    }
    let options = ScanOptions { columns: wanted.clone(), fields, ..ScanOptions::default() };
    let mut scan = Scan::new(&from, &options)?;
    let mut batch = Batch::new(types);
    let mut bulk = BulkInsert::new(&context.cluster().buffers);
    loop {
        let rows = scan.next(&from, &visibility, &mut batch, BATCH_ROWS)?;
        if rows == 0 {
            bulk.release();
            return Ok(());
        }
        check_for_interrupts()?;
        let environment = context.environment(&snapshot);
        let mut computed: Vec<Vec<Value>> = Vec::with_capacity(exprs.len());
        for at in 0..programs.len() {
            let column = programs.evaluate(&environment, at, &batch.columns, rows)?;
            computed.push((0..rows).map(|row| column.get(row).to_value()).collect());
        }
        let kept = |row: usize, at: usize| {
            let stored = compressed[at].map(|column| batch.columns[column].get(row));
            match stored.filter(|stored| !stored.is_null()) {
                Some(stored) => FormValue::Stored(stored.bytes().into()),
                None => FormValue::Value(batch.columns[at].get(row)),
            }
        };
        let made = (0..rows).map(|row| {
            let values = sources.iter().map(|source| match source {
                Source::Computed(at) => FormValue::Value(computed[*at][row].as_ref()),
                Source::Kept(at) => kept(row, *at),
                Source::Constant(value) => FormValue::Value(value.as_ref()),
            });
            values.collect()
        });
        to.multi_insert_formed(made, InsertOptions::default(), Some(&mut bulk))?;
    }
}
