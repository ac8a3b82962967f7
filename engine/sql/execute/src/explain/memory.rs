//! EXPLAIN's memory figures: what PostgreSQL's operators take for the rows at hand.
//!
//! Realises: the accounting of `tuplesort.c`, `nodeHash.c` and `nodeAgg.c`. Operators here keep columns, whose
//! size says little to who compares plans or sets work_mem by PostgreSQL's measure; so rows are counted as
//! the minimal tuples that PostgreSQL would keep. Nothing is counted before EXPLAIN asks.

use kokkiri_access::tuple::header::max_align;
use kokkiri_access::tuple::varlena::{LONG_HEADER_SIZE, SHORT_HEADER_SIZE, fits_short};
use kokkiri_types::{PhysicalType, ValueRef};

use crate::row_store::RowStore;

/// Header of a minimal tuple without its null bitmap: `SizeofMinimalTupleHeader`.
const MINIMAL_HEADER_SIZE: usize = 15;
/// Header of a chunk of memory.
const CHUNK_HEADER_SIZE: usize = 8;
/// `SortTuple`, and how many there is room for at first.
const SORT_TUPLE_SIZE: usize = 24;
const SORT_TUPLES_FIRST: usize = 1024;
/// `HJTUPLE_OVERHEAD`, and a bucket's pointer.
const HASH_TUPLE_OVERHEAD: usize = 16;
const BUCKET_SIZE: usize = 8;
/// What a hash aggregate takes beside its groups: blocks for the table and for computing keys.
const HASH_AGGREGATE_BASE: usize = 24 << 10;
/// First block of groups; each next one is twice as large.
const GROUP_BLOCK_FIRST: usize = 8 << 10;
/// `AggStatePerGroupData`.
const GROUP_STATE_SIZE: usize = 16;

/// Length of a row's minimal tuple: `heap_compute_data_size` and its header.
fn minimal_tuple(store: &RowStore, row: usize, columns: impl Iterator<Item = usize> + Clone) -> usize {
    let has_null = columns.clone().any(|column| store.value(row, column).is_null());
    let bitmap = if has_null { columns.clone().count().div_ceil(8) } else { 0 };
    let start = max_align(MINIMAL_HEADER_SIZE + bitmap);
    let mut end: usize = start;
    for column in columns {
        let (align, size) = match (store.types()[column], store.value(row, column)) {
            (_, ValueRef::Null) => continue,
            (PhysicalType::Bool | PhysicalType::Char, _) => (1, 1),
            (PhysicalType::Int16, _) => (2, 2),
            (PhysicalType::Int32 | PhysicalType::Float32, _) => (4, 4),
            (PhysicalType::Int64 | PhysicalType::Float64, _) => (8, 8),
            (PhysicalType::Tid, _) => (2, 6),
            (PhysicalType::Fixed16, _) => (8, 16),
            (PhysicalType::Name, _) => (1, 64),
            (PhysicalType::CString, value) => (1, value.bytes().len() + 1),
            (PhysicalType::FixedBytes, value) => (1, value.bytes().len()),
            (PhysicalType::Varlena, value) if fits_short(value.bytes().len()) => {
                (1, SHORT_HEADER_SIZE + value.bytes().len())
            }
            (PhysicalType::Varlena, value) => (4, LONG_HEADER_SIZE + value.bytes().len()),
        };
        end = end.next_multiple_of(align) + size;
    }
    end
}

fn kilobytes(bytes: usize) -> u64 {
    bytes.div_ceil(1024) as u64
}

/// Of a sort in memory: `rows` of the store, kept one by one if no more than a bound may be wanted.
pub fn sort(store: &RowStore, rows: impl Iterator<Item = usize>, bounded: bool) -> u64 {
    let all = 0..store.types().len();
    let (mut count, mut bytes) = (0, 0);
    for row in rows {
        let length = minimal_tuple(store, row, all.clone());
        count += 1;
        bytes += if bounded { length.next_power_of_two() + CHUNK_HEADER_SIZE } else { max_align(length) };
    }
    let mut room = SORT_TUPLES_FIRST;
    while count >= room {
        room *= 2;
    }
    kilobytes(bytes + room * SORT_TUPLE_SIZE + CHUNK_HEADER_SIZE)
}

/// Of a hash join's table with the first `columns` of the store's.
pub fn hash_table(store: &RowStore, columns: usize, buckets: u64) -> u64 {
    let lengths = (0..store.len()).map(|row| HASH_TUPLE_OVERHEAD + minimal_tuple(store, row, 0..columns));
    kilobytes(lengths.sum::<usize>() + buckets as usize * BUCKET_SIZE)
}

/// Of a hash aggregate's groups, with their grouping columns and as many states as there are calls.
pub fn hash_aggregate(store: &RowStore, keys: &[usize], calls: usize, states: usize) -> u64 {
    let length = |row| max_align(minimal_tuple(store, row, keys.iter().copied())) + calls * GROUP_STATE_SIZE;
    let groups: usize = (0..store.len()).map(length).sum();
    let (mut blocks, mut next) = (0, GROUP_BLOCK_FIRST);
    while blocks < groups || blocks == 0 {
        blocks += next;
        next *= 2;
    }
    // The table proper is within its first blocks as long as it is small.
    let table = (store.len() * 10 / 9 + 1).next_power_of_two() * 16;
    let table = if table > GROUP_BLOCK_FIRST / 2 { table } else { 0 };
    // So are states while they are few.
    kilobytes(HASH_AGGREGATE_BASE + table + blocks + states.saturating_sub(GROUP_BLOCK_FIRST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kokkiri_types::Column;

    fn pairs(count: i32) -> RowStore {
        let types = [PhysicalType::Int32, PhysicalType::Int32];
        let mut store = RowStore::new(types);
        for number in 0..count {
            let mut columns: Vec<_> = types.iter().map(|physical| Column::new(*physical)).collect();
            columns.iter_mut().for_each(|column| column.push(ValueRef::Int32(number)));
            store.push(&columns, 0);
        }
        store
    }

    #[test]
    fn figures_are_postgresqls() {
        // Observed with pairs of integers.
        assert_eq!(sort(&pairs(7), 0..7, false), 25);
        assert_eq!(hash_table(&pairs(500), 2, 1024), 28);
        assert_eq!(hash_aggregate(&pairs(7), &[0], 1, 0), 32);
    }
}
