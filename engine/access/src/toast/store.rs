//! Values out of line: shortening rows, storing chunks, fetching and deleting them.
//!
//! Realises: `heap_toast_insert_or_update`, `toast_save_datum`, `toast_delete_datum`, `toast_fetch_datum`.
//!
//! A value out of line is rows `(chunk_id, chunk_seq, chunk_data)` of the TOAST relation, found through
//! its unique index on the first two. A compressed value's chunks begin with the four bytes of its raw
//! size and method.

use std::sync::Arc;

use kokkiri_primitives::{Error, Oid, Result};
use kokkiri_transaction::Visibility;
use kokkiri_types::{Attribute, AttributeStorage, Column, ValueRef};

use super::{CHUNK_SIZE, TUPLE_TARGET_MAIN, chunk_index, compression};
use crate::heap::{Heap, InsertOptions, NewValue, TupleFetch};
use crate::relation::{IndexDescriptor, Relation};
use crate::tuple::deform::{Deferred, stored_attributes};
use crate::tuple::form::{FormValue, data_size, form};
use crate::tuple::header::{HEADER_SIZE, max_align};
use crate::tuple::varlena::{
    self, CompressionMethod, LONG_HEADER_SIZE, TOAST_POINTER_SIZE, ToastPointer, Varlena,
};

/// Bytes of raw size and method before compressed data.
const COMPRESSION_INFO_SIZE: usize = varlena::COMPRESSED_HEADER_SIZE - LONG_HEADER_SIZE;

/// How far a value has been worked on.
#[derive(Clone, Copy, Default)]
struct Progress {
    /// Not to be touched: null, fixed, plain storage, or a pointer that stays.
    ignore: bool,
    incompressible: bool,
}

/// A row being made shorter.
struct Shrinker<'h, 'v> {
    heap: &'h Heap<'h>,
    values: Vec<FormValue<'v>>,
    progress: Vec<Progress>,
    data_max: usize,
}

/// Compresses values and moves them out of line, widest first, until the row is short enough. `old` are
/// the stored values of the version it replaces: pointers among `values` that are the same stay.
pub fn shrink_row<'v>(
    heap: &Heap<'_>,
    values: Vec<FormValue<'v>>,
    old: Option<&[Option<&[u8]>]>,
) -> Result<Vec<FormValue<'v>>> {
    let desc = &heap.relation.tuple_desc;
    let has_null = values.iter().any(FormValue::is_null);
    let hoff = max_align(HEADER_SIZE + if has_null { desc.len().div_ceil(8) } else { 0 });
    let progress = desc
        .iter()
        .zip(&values)
        .map(|(attribute, value)| Progress {
            ignore: value.is_null()
                || attribute.length != -1
                || attribute.storage == AttributeStorage::Plain
                || is_external(value),
            incompressible: is_compressed(value),
        })
        .collect();
    debug_assert!(old.is_some() || !values.iter().any(is_external), "pointers come from an older version");
    let data_max = heap.relation.options.toast_tuple_target.saturating_sub(hoff);
    let mut shrinker = Shrinker { heap, values, progress, data_max };
    let has_toast = heap.relation.toast.is_some();
    // Compress what likes to be compressed; what is too long even so goes out at once.
    while shrinker.is_too_long() {
        let Some(index) = shrinker.widest(Round::CompressOrMove) else { break };
        if desc[index].storage == AttributeStorage::Extended {
            shrinker.compress(index);
        } else {
            shrinker.progress[index].incompressible = true;
        }
        if shrinker.size_of(index) > shrinker.data_max && has_toast {
            shrinker.move_out(index)?;
        }
    }
    while shrinker.is_too_long() && has_toast {
        let Some(index) = shrinker.widest(Round::Move) else { break };
        shrinker.move_out(index)?;
    }
    while shrinker.is_too_long() {
        let Some(index) = shrinker.widest(Round::CompressMain) else { break };
        shrinker.compress(index);
    }
    shrinker.data_max = TUPLE_TARGET_MAIN - hoff;
    while shrinker.is_too_long() && has_toast {
        let Some(index) = shrinker.widest(Round::MoveMain) else { break };
        shrinker.move_out(index)?;
    }
    Ok(shrinker.values)
}

/// Which values a round looks at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Round {
    CompressOrMove,
    Move,
    CompressMain,
    MoveMain,
}

impl Shrinker<'_, '_> {
    fn is_too_long(&self) -> bool {
        data_size(&self.heap.relation.tuple_desc, &self.values) > self.data_max
    }

    /// Size of a value with its header: a value in hand counts with a full one.
    fn size_of(&self, index: usize) -> usize {
        match &self.values[index] {
            FormValue::Value(ValueRef::Bytes(payload)) => payload.len() + LONG_HEADER_SIZE,
            FormValue::Stored(stored) => stored.len(),
            FormValue::Value(_) => 0,
        }
    }

    fn widest(&self, round: Round) -> Option<usize> {
        let compresses = matches!(round, Round::CompressOrMove | Round::CompressMain);
        let main = matches!(round, Round::CompressMain | Round::MoveMain);
        let mut widest = None;
        let mut size = max_align(TOAST_POINTER_SIZE);
        for (index, attribute) in self.heap.relation.tuple_desc.iter().enumerate() {
            let progress = self.progress[index];
            if progress.ignore || (compresses && progress.incompressible) {
                continue;
            }
            if main != (attribute.storage == AttributeStorage::Main) {
                continue;
            }
            let candidate = self.size_of(index);
            if candidate > size {
                (widest, size) = (Some(index), candidate);
            }
        }
        widest
    }

    fn compress(&mut self, index: usize) {
        let method = CompressionMethod::of_attribute(self.heap.relation.tuple_desc[index].compression);
        let packed = match &self.values[index] {
            FormValue::Value(ValueRef::Bytes(payload)) => compression::compress(method, payload),
            FormValue::Stored(stored) => match Varlena::decode(stored) {
                Ok((Varlena::Plain(payload), _)) => compression::compress(method, payload),
                _ => None,
            },
            FormValue::Value(_) => None,
        };
        if let Some(packed) = packed {
            self.values[index] = FormValue::Stored(packed.into());
        }
        // Compressed, or it won't be.
        self.progress[index].incompressible = true;
    }

    fn move_out(&mut self, index: usize) -> Result<()> {
        let pointer = match &self.values[index] {
            FormValue::Value(ValueRef::Bytes(payload)) => save(self.heap, Varlena::Plain(payload))?,
            FormValue::Stored(stored) => save(self.heap, Varlena::decode(stored)?.0)?,
            FormValue::Value(_) => {
                return Err(Error::internal("only variable-length values are moved out of line"));
            }
        };
        self.values[index] = FormValue::Stored(pointer.to_bytes().to_vec().into());
        self.progress[index].ignore = true;
        Ok(())
    }
}

fn is_external(value: &FormValue<'_>) -> bool {
    matches!(value, FormValue::Stored(stored) if stored.first() == Some(&1))
}

fn is_compressed(value: &FormValue<'_>) -> bool {
    matches!(value, FormValue::Stored(stored) if stored.first().is_some_and(|first| first & 3 == 2))
}

fn toast_relation<'a>(heap: &Heap<'a>) -> Result<(&'a Relation, &'a Arc<IndexDescriptor>)> {
    let toast = heap.relation.toast.as_ref().ok_or_else(|| {
        Error::internal(format!("relation \"{}\" has no TOAST relation", heap.relation.name))
    })?;
    let index = toast.toast_index().ok_or_else(|| {
        Error::internal(format!("no valid index found for toast relation with Oid {}", toast.oid))
    })?;
    Ok((toast, index))
}

/// Stores a value as chunks.
fn save(heap: &Heap<'_>, value: Varlena<'_>) -> Result<ToastPointer> {
    let (toast, index) = toast_relation(heap)?;
    let (raw_payload, method, bytes) = match value {
        Varlena::Plain(payload) => (payload.len(), None, payload.to_vec()),
        Varlena::Compressed { method, raw_size, data } => {
            let header = varlena::compressed_header(method, raw_size, data.len());
            (raw_size, Some(method), [&header[LONG_HEADER_SIZE..], data].concat())
        }
        Varlena::External(_) => return Err(Error::internal("a value out of line can't be moved out again")),
    };
    let table = Heap::new(toast, heap.transaction);
    let value_id = unused_value_id(&table, index)?;
    let chunk_type = |sequence: usize, chunk: &[u8]| {
        form(
            &toast.tuple_desc,
            &[
                FormValue::Value(ValueRef::Int32(value_id.0 as i32)),
                FormValue::Value(ValueRef::Int32(sequence as i32)),
                FormValue::Value(ValueRef::Bytes(chunk)),
            ],
        )
    };
    for (sequence, chunk) in bytes.chunks(CHUNK_SIZE).enumerate() {
        kokkiri_primitives::activity::check_for_interrupts()?;
        let tid = table.insert_tuple(chunk_type(sequence, chunk)?, InsertOptions::default(), None)?;
        for index in toast.indexes.iter().filter(|index| index.is_ready) {
            chunk_index::insert(&table, index, value_id, sequence, tid)?;
        }
    }
    Ok(ToastPointer {
        raw_size: (raw_payload + LONG_HEADER_SIZE) as u32,
        external_size: bytes.len() as u32,
        method,
        value_id,
        toast_relation: toast.oid,
    })
}

/// An oid that no value of the TOAST relation has: `GetNewOidWithIndex`.
fn unused_value_id(table: &Heap<'_>, index: &Arc<IndexDescriptor>) -> Result<Oid> {
    loop {
        let oid = table.cluster().transactions.new_oid();
        if chunk_index::chunks(table, index, oid)?.is_empty() {
            return Ok(oid);
        }
    }
}

/// The stored bytes of a value out of line, from byte `start` on, `length` of them.
fn fetch_bytes(heap: &Heap<'_>, pointer: &ToastPointer, start: usize, length: usize) -> Result<Vec<u8>> {
    let (toast, index) = toast_relation(heap)?;
    if toast.oid != pointer.toast_relation {
        return Err(Error::data_corrupted(format!(
            "value is stored in another relation: {}",
            pointer.toast_relation
        )));
    }
    let table = Heap::new(toast, heap.transaction);
    let total = pointer.external_size as usize;
    let end = (start + length).min(total);
    let mut bytes = Vec::with_capacity(end.saturating_sub(start));
    let (first, last) = (start / CHUNK_SIZE, end.saturating_sub(1) / CHUNK_SIZE);
    let mut fetch = TupleFetch::new(&table, &[1, 2]);
    let mut columns: Vec<_> = fetch.physical_types().into_iter().map(Column::new).collect();
    let mut expected = first;
    for tid in chunk_index::chunks(&table, index, pointer.value_id)? {
        columns.iter_mut().for_each(Column::clear);
        let found = fetch.fetch_chain(&table, &Visibility::Toast, tid, 0, &mut columns)?;
        if !matches!(found, crate::heap::FetchedRow::Visible(_)) {
            continue;
        }
        let sequence = columns[0].get(0).int32() as usize;
        if sequence < first || sequence > last || end == start {
            continue;
        }
        if sequence != expected {
            return Err(Error::data_corrupted(format!(
                "unexpected chunk number {sequence} (expected {expected}) for toast value {} in {}",
                pointer.value_id, toast.name
            )));
        }
        let chunk = columns[1].get(0).bytes();
        let chunk_start = sequence * CHUNK_SIZE;
        if chunk.len() != CHUNK_SIZE.min(total - chunk_start) {
            return Err(Error::data_corrupted(format!(
                "unexpected chunk size {} (expected {}) in chunk {sequence} for toast value {} in {}",
                chunk.len(),
                CHUNK_SIZE.min(total - chunk_start),
                pointer.value_id,
                toast.name
            )));
        }
        let from = start.saturating_sub(chunk_start);
        let to = (end - chunk_start).min(chunk.len());
        bytes.extend_from_slice(&chunk[from..to]);
        expected += 1;
    }
    if bytes.len() != end - start {
        return Err(Error::data_corrupted(format!(
            "missing chunk number {expected} for toast value {} in {}",
            pointer.value_id, toast.name
        )));
    }
    Ok(bytes)
}

/// A value out of line as it would be in the row, compressed if it is: `detoast_external_attr`.
pub fn fetch_inline(heap: &Heap<'_>, pointer: &ToastPointer) -> Result<Vec<u8>> {
    let bytes = fetch_bytes(heap, pointer, 0, pointer.external_size as usize)?;
    Ok(match pointer.method {
        None => varlena::with_long_header(&bytes),
        Some(method) => {
            let data = bytes.get(COMPRESSION_INFO_SIZE..).unwrap_or_default();
            let raw_size = (pointer.raw_size as usize).saturating_sub(LONG_HEADER_SIZE);
            [&varlena::compressed_header(method, raw_size, data.len())[..], data].concat()
        }
    })
}

/// The payload of a value out of line.
pub fn fetch(heap: &Heap<'_>, pointer: &ToastPointer) -> Result<Vec<u8>> {
    let bytes = fetch_bytes(heap, pointer, 0, pointer.external_size as usize)?;
    match pointer.method {
        None => Ok(bytes),
        Some(method) => {
            let data = bytes.get(COMPRESSION_INFO_SIZE..).unwrap_or_default();
            compression::decompress(
                method,
                data,
                (pointer.raw_size as usize).saturating_sub(LONG_HEADER_SIZE),
            )
        }
    }
}

/// Part of the payload of a value out of line. An uncompressed value is fetched only where it is needed.
pub fn fetch_slice(heap: &Heap<'_>, pointer: &ToastPointer, start: usize, length: usize) -> Result<Vec<u8>> {
    let Some(method) = pointer.method else { return fetch_bytes(heap, pointer, start, length) };
    let bytes = fetch_bytes(heap, pointer, 0, pointer.external_size as usize)?;
    let data = bytes.get(COMPRESSION_INFO_SIZE..).unwrap_or_default();
    let raw = (pointer.raw_size as usize).saturating_sub(LONG_HEADER_SIZE);
    let mut payload = compression::decompress_prefix(method, data, raw.min(start.saturating_add(length)))?;
    payload.drain(..start.min(payload.len()));
    Ok(payload)
}

/// Fetches what deforming has left out.
pub fn fetch_deferred(heap: &Heap<'_>, deferred: &[Deferred], columns: &mut [Column]) -> Result<()> {
    for value in deferred {
        let bytes =
            if value.compressed { fetch_inline(heap, &value.pointer)? } else { fetch(heap, &value.pointer)? };
        columns[value.column].bytes_mut().set(value.row, &bytes);
    }
    Ok(())
}

/// True if the stored bytes of the column's value are a toast pointer.
pub(crate) fn is_pointer(attribute: &Attribute, stored: &[u8]) -> bool {
    attribute.length == -1 && stored.first() == Some(&1)
}

/// Deletes the values out of line of a tuple that is gone.
pub fn delete_values(heap: &Heap<'_>, tuple: &[u8]) -> Result<()> {
    let desc = &heap.relation.tuple_desc;
    for (attribute, stored) in desc.iter().zip(stored_attributes(desc, tuple)?) {
        if let Some(stored) = stored.filter(|stored| is_pointer(attribute, stored)) {
            delete(heap, stored)?;
        }
    }
    Ok(())
}

/// Deletes the values out of line that an update has replaced.
pub fn delete_replaced(heap: &Heap<'_>, old: &[Option<&[u8]>], new: &[NewValue<'_>]) -> Result<()> {
    for ((attribute, stored), new) in heap.relation.tuple_desc.iter().zip(old).zip(new) {
        let replaced = !matches!(new, NewValue::Unchanged);
        if let Some(stored) = stored.filter(|stored| replaced && is_pointer(attribute, stored)) {
            delete(heap, stored)?;
        }
    }
    Ok(())
}

fn delete(heap: &Heap<'_>, stored: &[u8]) -> Result<()> {
    let Varlena::External(pointer) = Varlena::decode(stored)?.0 else { return Ok(()) };
    let (toast, index) = toast_relation(heap)?;
    let table = Heap::new(toast, heap.transaction);
    for tid in chunk_index::chunks(&table, index, pointer.value_id)? {
        // An entry may lead to a chunk that an earlier vacuum has reaped.
        let pin = table.pin(tid.block)?;
        let guard = pin.read();
        if crate::heap::page::tuple(&guard, tid.offset).is_none() {
            continue;
        }
        drop(guard);
        if table.delete(tid, false)?.is_err() {
            return Err(Error::internal("attempted to delete a toast chunk that is gone"));
        }
    }
    Ok(())
}
