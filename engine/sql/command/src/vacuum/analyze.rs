//! ANALYZE: a sample of a table's rows, and what it says about each column.
//!
//! Realises: `do_analyze_rel`, `acquire_sample_rows`, `update_attstats` (analyze.c).

use std::cmp::Ordering;

use kokkiri_access::heap::vacuum::CostBalance;
use kokkiri_access::heap::{Heap, Scan, ScanOptions};
use kokkiri_catalog::entries::RelationEntry;
use kokkiri_catalog::lookup::Lookup;
use kokkiri_catalog::row::{AnyArray, Array};
use kokkiri_catalog::rows::{PgAttribute, PgStatistic};
use kokkiri_primitives::settings::parameters;
use kokkiri_primitives::{BlockNumber, Fork, ItemPointer, Oid, Result, error};
use kokkiri_statistics::analyze::{ColumnOrder, ColumnSample, compute};
use kokkiri_statistics::column::{ColumnStatistics, slot_kind};
use kokkiri_statistics::sample::{BlockSampler, ROWS_PER_TARGET, Random, Reservoir};
use kokkiri_storage::visibility_map;
use kokkiri_transaction::Visibility;
use kokkiri_types::compare::comparator;
use kokkiri_types::{Attribute, BATCH_ROWS, Batch, Value, ValueRef, array};

use crate::context::CommandContext;
use crate::describe::key;
use crate::index::default_opclass;
use crate::index::define::find_column;
use crate::relation::change_class_in_place;

const LESS: i16 = 1;
const EQUAL: i16 = 3;

/// Analyzes a table.
pub fn analyze(
    context: &mut CommandContext<'_>,
    table: &RelationEntry,
    names: &[String],
    costs: &mut CostBalance,
) -> Result<()> {
    let columns = columns_to_analyze(context, table, names)?;
    let most = columns.iter().map(|(_, target)| *target).max().unwrap_or(0);
    let wanted_rows = ROWS_PER_TARGET * most.max(1);
    let buffers = &context.cluster().buffers;
    let pages = buffers.blocks(table.relation.file, Fork::Main)?;
    let (rows, total) = sample(context, table, &columns, (pages, wanted_rows), costs)?;
    for (at, (attribute, target)) in columns.iter().enumerate() {
        let values: Vec<Value> = rows.iter().map(|row| row[at].clone()).collect();
        let statistics = describe(context, attribute, &values, total, *target)?;
        if let Some(statistics) = statistics {
            store(context, table.oid, attribute, &statistics)?;
        }
    }
    let (visible, frozen) = visibility_map::count(buffers, table.relation.file)?;
    change_class_in_place(context, table.oid, |row| {
        row.relpages = pages as i32;
        row.reltuples = total as f32;
        row.relallvisible = visible as i32;
        row.relallfrozen = frozen as i32;
        row.relhasindex = !table.indexes.is_empty();
    })?;
    for index in &table.indexes {
        let index_pages = buffers.blocks(index.descriptor.file, Fork::Main)?;
        change_class_in_place(context, index.oid, |row| {
            row.relpages = index_pages as i32;
            row.reltuples = total as f32;
        })?;
    }
    Ok(())
}

/// Columns with their statistics targets, those with target 0 left out.
fn columns_to_analyze(
    context: &CommandContext<'_>,
    table: &RelationEntry,
    names: &[String],
) -> Result<Vec<(Attribute, usize)>> {
    for (at, name) in names.iter().enumerate() {
        if find_column(table, name).is_none() {
            return Err(error!(
                UNDEFINED_COLUMN,
                "column \"{name}\" of relation \"{}\" does not exist", table.name
            ));
        }
        if names[..at].contains(name) {
            return Err(error!(
                DUPLICATE_COLUMN,
                "column \"{name}\" of relation \"{}\" appears more than once", table.name
            ));
        }
    }
    let default = context.view.settings.get(parameters::DEFAULT_STATISTICS_TARGET).max(0) as usize;
    let rows = context.view.rows::<PgAttribute>(Lookup::AttributeByRelation, &[key(table.oid)])?;
    let mut columns = Vec::new();
    for attribute in table.relation.tuple_desc.iter().filter(|attribute| !attribute.dropped) {
        if !names.is_empty() && !names.iter().any(|name| name.as_str() == &*attribute.name) {
            continue;
        }
        let row = rows.iter().find(|row| row.attnum == attribute.number);
        let target = row.and_then(|row| row.attstattarget).map_or(default, |target| target.max(0) as usize);
        if target > 0 {
            columns.push((attribute.clone(), target));
        }
    }
    Ok(columns)
}

/// A random sample of the table's rows in physical order, and how many rows the table has.
fn sample(
    context: &CommandContext<'_>,
    table: &RelationEntry,
    columns: &[(Attribute, usize)],
    (pages, wanted): (u32, usize),
    costs: &mut CostBalance,
) -> Result<(Vec<Vec<Value>>, f64)> {
    let seed = context.transaction().start_time().0 as u64 ^ u64::from(table.oid.0) << 32;
    let blocks = BlockSampler::new(pages, wanted as u32, Random::new(seed));
    let mut reservoir: Reservoir<(ItemPointer, Vec<Value>)> =
        Reservoir::new(wanted, Random::new(seed.rotate_left(17)));
    let heap = Heap::new(&table.relation, context.transaction());
    let snapshot = context.transaction().latest_snapshot();
    let visibility = Visibility::Mvcc(&snapshot);
    let wanted_columns: Vec<usize> =
        columns.iter().map(|(attribute, _)| attribute.number as usize - 1).collect();
    let mut read = 0u32;
    for block in blocks {
        costs.delay_point()?;
        read += 1;
        let options = ScanOptions {
            columns: wanted_columns.clone(),
            blocks: Some((BlockNumber(block), BlockNumber(block + 1))),
            ..ScanOptions::default()
        };
        let mut scan = Scan::new(&heap, &options)?;
        let mut batch = Batch::new(scan.physical_types());
        loop {
            let rows = scan.next(&heap, &visibility, &mut batch, BATCH_ROWS)?;
            if rows == 0 {
                break;
            }
            for row in 0..rows {
                let tid = scan.tids()[row];
                let values = || batch.columns.iter().map(|column| column.get(row).to_value()).collect();
                reservoir.offer(|| (tid, values()));
            }
        }
    }
    let live = reservoir.seen();
    let total = if read == 0 { 0.0 } else { (live / f64::from(read) * f64::from(pages) + 0.5).floor() };
    let mut rows = reservoir.into_rows();
    rows.sort_by_key(|(tid, _)| (tid.block.0, tid.offset.0));
    Ok((rows.into_iter().map(|(_, row)| row).collect(), total))
}

fn describe(
    context: &CommandContext<'_>,
    attribute: &Attribute,
    values: &[Value],
    total: f64,
    target: usize,
) -> Result<Option<ColumnStatistics>> {
    let sample = ColumnSample {
        values,
        fixed_width: (attribute.length > 0).then_some(i32::from(attribute.length)),
        total_rows: total,
        target,
    };
    let order = match default_opclass(context, attribute.type_oid)? {
        Some(class) => context.view.opclass(class)?,
        None => None,
    };
    let Some(class) = order else { return compute(&sample, None) };
    let operator =
        |strategy| context.view.family_operator(class.family, class.input_type, class.input_type, strategy);
    let (Some(less_than), Some(equality)) = (operator(LESS)?, operator(EQUAL)?) else {
        return compute(&sample, None);
    };
    let Ok(compare) = comparator(attribute.type_oid, attribute.collation) else {
        return compute(&sample, None);
    };
    let compare = |a: &Value, b: &Value| -> Ordering {
        let (a, b): (ValueRef<'_>, ValueRef<'_>) = (a.as_ref(), b.as_ref());
        compare(a, b)
    };
    let order = ColumnOrder { compare: &compare, equality, less_than, collation: attribute.collation };
    compute(&sample, Some(&order))
}

/// One slot of a row of pg_statistic.
#[derive(Default)]
struct Slot {
    kind: i16,
    operator: Oid,
    collation: Oid,
    numbers: Option<Array<f32>>,
    values: Option<AnyArray>,
}

fn slots(attribute: &Attribute, statistics: &ColumnStatistics) -> Result<Vec<Slot>> {
    let list = |values: &[Value]| -> Result<AnyArray> {
        let info = array::element_info(attribute.type_oid)?;
        Ok(AnyArray(Value::from(array::build_vector(info, values)?)))
    };
    let mut slots = Vec::new();
    if let Some(common) = &statistics.most_common {
        slots.push(Slot {
            kind: slot_kind::MCV,
            operator: common.operator,
            collation: common.collation,
            numbers: Some(Array(common.frequencies.iter().map(|number| *number as f32).collect())),
            values: Some(list(&common.values)?),
        });
    }
    if let Some(histogram) = &statistics.histogram {
        slots.push(Slot {
            kind: slot_kind::HISTOGRAM,
            operator: histogram.operator,
            collation: histogram.collation,
            numbers: None,
            values: Some(list(&histogram.bounds)?),
        });
    }
    if let Some(correlation) = &statistics.correlation {
        slots.push(Slot {
            kind: slot_kind::CORRELATION,
            operator: correlation.operator,
            collation: correlation.collation,
            numbers: Some(Array(vec![correlation.coefficient as f32])),
            values: None,
        });
    }
    slots.resize_with(5, Slot::default);
    Ok(slots)
}

/// Writes a column's row of pg_statistic: `update_attstats`.
fn store(
    context: &CommandContext<'_>,
    table: Oid,
    attribute: &Attribute,
    statistics: &ColumnStatistics,
) -> Result<()> {
    let slots: [Slot; 5] = slots(attribute, statistics)?
        .try_into()
        .map_err(|_| error!(INTERNAL_ERROR, "a column has more than five kinds of statistics"))?;
    let [kinds, operators, collations] = [
        slots.each_ref().map(|slot| i64::from(slot.kind)),
        slots.each_ref().map(|slot| i64::from(slot.operator.0)),
        slots.each_ref().map(|slot| i64::from(slot.collation.0)),
    ];
    let kind = |at: usize| kinds[at] as i16;
    let operator = |at: usize| Oid(operators[at] as u32);
    let collation = |at: usize| Oid(collations[at] as u32);
    let [first, second, third, fourth, fifth] = slots;
    let row = PgStatistic {
        starelid: table,
        staattnum: attribute.number,
        stainherit: false,
        stanullfrac: statistics.null_fraction as f32,
        stawidth: statistics.width,
        stadistinct: statistics.distinct as f32,
        stakind1: kind(0),
        stakind2: kind(1),
        stakind3: kind(2),
        stakind4: kind(3),
        stakind5: kind(4),
        staop1: operator(0),
        staop2: operator(1),
        staop3: operator(2),
        staop4: operator(3),
        staop5: operator(4),
        stacoll1: collation(0),
        stacoll2: collation(1),
        stacoll3: collation(2),
        stacoll4: collation(3),
        stacoll5: collation(4),
        stanumbers1: first.numbers,
        stanumbers2: second.numbers,
        stanumbers3: third.numbers,
        stanumbers4: fourth.numbers,
        stanumbers5: fifth.numbers,
        stavalues1: first.values,
        stavalues2: second.values,
        stavalues3: third.values,
        stavalues4: fourth.values,
        stavalues5: fifth.values,
    };
    let keys = [key(table), ValueRef::Int16(attribute.number)];
    let old = context.view.rows_to_change::<PgStatistic>(Lookup::StatisticByColumn, &keys)?;
    match old.into_iter().find(|old| !old.row.stainherit) {
        Some(mut old) => {
            old.row = row;
            old.update(&context.view)
        }
        None => context.view.insert_row(row).map(drop),
    }
}
