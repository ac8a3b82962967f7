//! Checking that every row of a table has its counterpart in the table a new foreign key refers to.

use std::sync::Arc;

use kokkiri_access::btree::{self, Condition, Direction, ScanKey, Strategy};
use kokkiri_access::heap::{FetchedRow, Heap, Scan, ScanOptions, TupleFetch};
use kokkiri_catalog::entries::{ConstraintEntry, ForeignKeyMatch, IndexEntry, RelationEntry};
use kokkiri_execute::cross_type::cross_type;
use kokkiri_primitives::activity::check_for_interrupts;
use kokkiri_primitives::{Error, Result, SqlState};
use kokkiri_transaction::Visibility;
use kokkiri_types::{BATCH_ROWS, Batch, ValueRef, io};

use crate::context::CommandContext;

/// # Errors
/// 23503 for the first row without a counterpart.
pub fn check_rows(
    context: &CommandContext<'_>,
    table: &RelationEntry,
    referenced: &RelationEntry,
    constraint: &ConstraintEntry,
    index: &IndexEntry,
) -> Result<()> {
    let Some(foreign) = &constraint.foreign else {
        return Err(Error::internal("a foreign key constraint refers to nothing"));
    };
    let snapshot = context.transaction().latest_snapshot();
    let visibility = Visibility::Mvcc(&snapshot);
    let heap = Heap::new(&table.relation, context.transaction());
    let options = ScanOptions {
        columns: constraint.key.iter().map(|number| *number as usize - 1).collect(),
        ..ScanOptions::default()
    };
    let columns = foreign.key.as_ref();
    let counterpart = Counterpart { table, constraint, referenced, columns, index };
    let mut scan = Scan::new(&heap, &options)?;
    let mut batch = Batch::new(scan.physical_types());
    let mut previous: Option<Vec<kokkiri_types::Value>> = None;
    loop {
        let rows = scan.next(&heap, &visibility, &mut batch, BATCH_ROWS)?;
        if rows == 0 {
            return Ok(());
        }
        check_for_interrupts()?;
        for row in 0..rows {
            let values: Vec<ValueRef<'_>> = batch.columns.iter().map(|column| column.get(row)).collect();
            let nulls = values.iter().filter(|value| matches!(value, ValueRef::Null)).count();
            if nulls > 0 {
                if foreign.match_kind == ForeignKeyMatch::Full && nulls < values.len() {
                    return Err(violation(table, constraint)
                        .detail("MATCH FULL does not allow mixing of null and nonnull key values."));
                }
                continue;
            }
            // Rows with the same key often follow each other.
            let same = |previous: &Vec<kokkiri_types::Value>| {
                previous.iter().zip(&values).all(|(previous, value)| *previous == value.to_value())
            };
            if previous.as_ref().is_some_and(same) {
                continue;
            }
            if !counterpart.exists(context, &values, &visibility)? {
                let detail = missing_key(context, table, constraint, &values)?;
                return Err(violation(table, constraint)
                    .detail(format!("{detail} is not present in table \"{}\".", referenced.name)));
            }
            previous = Some(values.iter().map(|value| value.to_value()).collect());
        }
    }
}

/// Where the row is to be that a row refers to.
struct Counterpart<'a> {
    table: &'a RelationEntry,
    constraint: &'a ConstraintEntry,
    referenced: &'a RelationEntry,
    /// In the order of the constraint's own.
    columns: &'a [i16],
    index: &'a IndexEntry,
}

impl Counterpart<'_> {
    fn exists(
        &self,
        context: &CommandContext<'_>,
        values: &[ValueRef<'_>],
        visibility: &Visibility<'_>,
    ) -> Result<bool> {
        let mut keys = Vec::with_capacity(values.len());
        for ((own, other), value) in self.constraint.key.iter().zip(self.columns).zip(values) {
            let column = self.index.columns[..self.index.key_count]
                .iter()
                .position(|column| column == other)
                .ok_or_else(|| Error::internal("a referenced column is not in its index"))?;
            let type_of = |entry: &RelationEntry, number: i16| {
                entry.relation.tuple_desc.attributes()[number as usize - 1].type_oid
            };
            keys.push(ScanKey {
                column,
                condition: Condition::Compare {
                    strategy: Strategy::Equal,
                    value: value.to_value(),
                    cross_type: cross_type(type_of(self.referenced, *other), type_of(self.table, *own))?,
                },
            });
        }
        let options = btree::ScanOptions { mvcc: true, with_tuples: false, skip_killed: true };
        let descriptor = Arc::clone(&self.index.descriptor);
        let mut scan = btree::Scan::new(Arc::clone(context.cluster()), descriptor, keys, options);
        let heap = Heap::new(&self.referenced.relation, context.transaction());
        let mut fetch = TupleFetch::new(&heap, &[]);
        while let Some(tid) = scan.next(Direction::Forward)? {
            if let FetchedRow::Visible(_) = fetch.fetch_chain(&heap, visibility, tid, 0, &mut [])? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn violation(table: &RelationEntry, constraint: &ConstraintEntry) -> Error {
    Error::new(
        SqlState::FOREIGN_KEY_VIOLATION,
        format!(
            "insert or update on table \"{}\" violates foreign key constraint \"{}\"",
            table.name, constraint.name
        ),
    )
    .table(table.relation.namespace_name.clone(), table.name.to_string())
    .constraint(constraint.name.to_string())
}

/// `Key (a, b)=(1, 2)`.
fn missing_key(
    context: &CommandContext<'_>,
    table: &RelationEntry,
    constraint: &ConstraintEntry,
    values: &[ValueRef<'_>],
) -> Result<String> {
    let (mut names, mut shown) = (Vec::new(), Vec::new());
    for (number, value) in constraint.key.iter().zip(values) {
        let attribute = &table.relation.tuple_desc.attributes()[*number as usize - 1];
        names.push(attribute.name.to_string());
        let mut text = Vec::new();
        io::output_text(attribute.type_oid, *value, context.io, &mut text)?;
        shown.push(String::from_utf8_lossy(&text).into_owned());
    }
    Ok(format!("Key ({})=({})", names.join(", "), shown.join(", ")))
}
