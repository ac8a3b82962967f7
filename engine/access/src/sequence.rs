//! Sequences: one row on one page, changed in place.
//!
//! Realises: the storage half of `sequence.c`. The row `(last_value, log_cnt, is_called)` is frozen from
//! the start and never has versions: `nextval` is not undone by a rollback.
//!
//! A record is written only every [`LOG_AHEAD`] values: it says the value that will be reached then, so a
//! crash skips values but never repeats one. `log_cnt` is how many are left until the next record. The
//! first call after a checkpoint logs again, because replay will not see the earlier record.

use kokkiri_primitives::{
    BlockNumber, CommandId, Error, Fork, ItemPointer, OffsetNumber, Oid, Result, TransactionId, bail,
};
use kokkiri_storage::CriticalSection;
use kokkiri_storage::buffer::{PageWriteGuard, PinnedBuffer, ReadMode};
use kokkiri_storage::page::{ItemPlace, Page};
use kokkiri_transaction::Transaction;
use kokkiri_types::{Attribute, TupleDesc, ValueRef};
use kokkiri_wal::record::{DecodedRecord, RecordBuilder, RegisterFlags};
use kokkiri_wal::replay::{ReplayContext, ResourceManager};
use kokkiri_wal::rmgr::RmgrId;

use crate::relation::Relation;
use crate::tuple::form::{FormValue, form};
use crate::tuple::header::{Infomask, TupleHeader};

/// Values fetched ahead with one record: `SEQ_LOG_VALS`.
pub const LOG_AHEAD: i64 = 32;
/// Kind of the only record of resource manager Sequence.
const SEQ_LOG: u8 = 0x00;
/// In the special space of a sequence's page.
const MAGIC: u32 = 0x1717;
const PLACE: ItemPointer = ItemPointer { block: BlockNumber(0), offset: OffsetNumber(1) };
/// Length of a `RelFileLocator` in the record.
const LOCATOR_SIZE: usize = 12;

/// The row of a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceState {
    pub last_value: i64,
    /// Values until the next record.
    pub log_count: i64,
    /// False until the first `nextval`: that returns `last_value` itself.
    pub is_called: bool,
}

/// How a sequence counts: `pg_sequence`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceParameters {
    pub increment: i64,
    pub minimum: i64,
    pub maximum: i64,
    /// Values a session takes at once.
    pub cache: i64,
    pub cycle: bool,
}

/// Values a session has taken and may hand out: `next`, then on by `increment` up to `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TakenValues {
    pub next: i64,
    pub last: i64,
    pub increment: i64,
}

impl TakenValues {
    /// The value after `next`, if the session has it already.
    pub fn advance(self) -> Option<Self> {
        (self.next != self.last).then(|| Self { next: self.next + self.increment, ..self })
    }
}

/// Columns of a sequence, as a relation.
pub fn tuple_desc() -> TupleDesc {
    const INT8: Oid = Oid(20);
    const BOOL: Oid = Oid(16);
    TupleDesc::new(vec![
        Attribute::builtin("last_value", 1, INT8),
        Attribute::builtin("log_cnt", 2, INT8),
        Attribute::builtin("is_called", 3, BOOL),
    ])
}

fn stored_tuple(state: SequenceState) -> Result<Vec<u8>> {
    let values = [
        FormValue::Value(ValueRef::Int64(state.last_value)),
        FormValue::Value(ValueRef::Int64(state.log_count)),
        FormValue::Value(ValueRef::Bool(state.is_called)),
    ];
    let mut tuple = form(&tuple_desc(), &values)?;
    let mut header = tuple.header()?;
    header.xmin = TransactionId::FROZEN;
    header.cid = CommandId::FIRST;
    header.ctid = PLACE;
    header.infomask.0 |= Infomask::XMIN_FROZEN | Infomask::XMAX_INVALID;
    header.write(&mut tuple.bytes);
    Ok(tuple.bytes)
}

/// Makes the page anew around a tuple: what redo does, and creation.
fn write_page(page: &mut Page, tuple: &[u8]) -> Result<()> {
    page.init(size_of::<u32>());
    page.special_mut()[..size_of::<u32>()].copy_from_slice(&MAGIC.to_le_bytes());
    page.add_item(tuple, ItemPlace::Any)
        .map(drop)
        .ok_or_else(|| Error::data_corrupted("failed to add item to page"))
}

/// Overwrites the row of a page that was read with [`parse`].
fn write_state(page: &mut Page, state: SequenceState) {
    if let Some(tuple) = page.item_mut(PLACE.offset) {
        let hoff = usize::from(tuple[crate::tuple::header::HEADER_SIZE - 1]);
        tuple[hoff..hoff + 8].copy_from_slice(&state.last_value.to_le_bytes());
        tuple[hoff + 8..hoff + 16].copy_from_slice(&state.log_count.to_le_bytes());
        tuple[hoff + 16] = u8::from(state.is_called);
    }
}

fn parse(page: &Page, name: &str) -> Result<SequenceState> {
    let magic = page.special().first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
    if magic != Some(MAGIC) {
        return Err(Error::internal(format!(
            "bad magic number in sequence \"{name}\": {:08X}",
            magic.unwrap_or(0)
        )));
    }
    let corrupted = || Error::data_corrupted(format!("row of sequence \"{name}\" is damaged"));
    let tuple = page.item(PLACE.offset).ok_or_else(corrupted)?;
    let data = &tuple[usize::from(TupleHeader::read(tuple)?.hoff)..];
    let number = |at: usize| {
        data.get(at..)
            .and_then(<[u8]>::first_chunk)
            .map(|bytes| i64::from_le_bytes(*bytes))
            .ok_or_else(corrupted)
    };
    let is_called = *data.get(16).ok_or_else(corrupted)? != 0;
    Ok(SequenceState { last_value: number(0)?, log_count: number(8)?, is_called })
}

fn pin(transaction: &Transaction, relation: &Relation) -> Result<PinnedBuffer> {
    transaction.cluster().buffers.read(relation.file, Fork::Main, PLACE.block, ReadMode::Normal, None)
}

fn log(
    transaction: &Transaction,
    relation: &Relation,
    critical: &CriticalSection,
    guard: &mut PageWriteGuard,
    tuple: &[u8],
) {
    let locator = relation.locator();
    let mut record = RecordBuilder::new(RmgrId::Sequence, SEQ_LOG);
    record.xid(transaction.current_xid_if_assigned());
    record.data(&locator.tablespace.0.to_le_bytes());
    record.data(&locator.database.0.to_le_bytes());
    record.data(&locator.number.0.to_le_bytes());
    record.data(tuple);
    record.register(0, guard, RegisterFlags::WILL_INIT);
    transaction.cluster().wal.insert(critical, record);
}

/// Writes the page of a new sequence, whose file is there and empty: `fill_seq_with_data`.
pub fn create(
    transaction: &Transaction,
    relation: &Relation,
    last_value: i64,
    is_called: bool,
) -> Result<()> {
    let tuple = stored_tuple(SequenceState { last_value, log_count: 0, is_called })?;
    if relation.needs_wal() {
        transaction.current_xid()?;
    }
    let mut guard = transaction.cluster().buffers.extend(relation.file, Fork::Main, 1, None)?.first;
    let critical = CriticalSection::enter();
    write_page(guard.page_mut(&critical), &tuple).expect("an empty page has room for a row");
    if relation.needs_wal() {
        log(transaction, relation, &critical, &mut guard, &tuple);
    }
    Ok(())
}

/// The row as it is.
pub fn read(transaction: &Transaction, relation: &Relation) -> Result<SequenceState> {
    parse(&pin(transaction, relation)?.read(), &relation.name)
}

/// Sets the value: `setval`. It is logged at once.
pub fn set(
    transaction: &Transaction,
    relation: &Relation,
    parameters: &SequenceParameters,
    value: i64,
    is_called: bool,
) -> Result<()> {
    let (low, high) = (parameters.minimum, parameters.maximum);
    if value < low || value > high {
        bail!(
            NUMERIC_VALUE_OUT_OF_RANGE,
            "setval: value {value} is out of bounds for sequence \"{}\" ({low}..{high})",
            relation.name
        );
    }
    let mut guard = pin(transaction, relation)?.write();
    parse(&guard, &relation.name)?;
    let state = SequenceState { last_value: value, log_count: 0, is_called };
    let tuple = stored_tuple(state)?;
    if relation.needs_wal() {
        transaction.current_xid()?;
    }
    let critical = CriticalSection::enter();
    write_state(guard.page_mut(&critical), state);
    if relation.needs_wal() {
        log(transaction, relation, &critical, &mut guard, &tuple);
    }
    Ok(())
}

/// Takes the next value, and as many more as sessions cache: `nextval`.
pub fn next_values(
    transaction: &Transaction,
    relation: &Relation,
    parameters: &SequenceParameters,
) -> Result<TakenValues> {
    let mut guard = pin(transaction, relation)?.write();
    let old = parse(&guard, &relation.name)?;
    let since_checkpoint = guard.lsn() > transaction.cluster().wal.redo_lsn();
    let advance = advance(old, parameters, since_checkpoint, &relation.name)?;
    let logs = advance.logged_value.is_some() && relation.needs_wal();
    let logged = match advance.logged_value.filter(|_| logs) {
        Some(last_value) => Some(stored_tuple(SequenceState { last_value, log_count: 0, is_called: true })?),
        None => None,
    };
    if logs {
        transaction.current_xid()?;
    }
    let critical = CriticalSection::enter();
    write_state(guard.page_mut(&critical), advance.state);
    if let Some(tuple) = logged {
        log(transaction, relation, &critical, &mut guard, &tuple);
    }
    Ok(advance.taken)
}

/// What a call of `nextval` does to the row.
struct Advance {
    taken: TakenValues,
    state: SequenceState,
    /// Value that the record says, if one is due.
    logged_value: Option<i64>,
}

fn advance(
    old: SequenceState,
    parameters: &SequenceParameters,
    since_checkpoint: bool,
    name: &str,
) -> Result<Advance> {
    let mut value = old.last_value;
    let (mut first, mut last) = (value, value);
    let mut fetch = parameters.cache;
    let mut log_count = old.log_count;
    let mut taken = 0;
    if !old.is_called {
        taken += 1;
        fetch -= 1;
    }
    let logs = log_count < fetch || !old.is_called || !since_checkpoint;
    if logs {
        fetch += LOG_AHEAD;
        log_count = fetch;
    }
    while fetch > 0 {
        value = match value.checked_add(parameters.increment) {
            Some(next) if (parameters.minimum..=parameters.maximum).contains(&next) => next,
            // What is in hand is enough.
            _ if taken > 0 => break,
            _ if parameters.cycle && parameters.increment > 0 => parameters.minimum,
            _ if parameters.cycle => parameters.maximum,
            _ => return Err(exhausted(parameters, name)),
        };
        fetch -= 1;
        if taken < parameters.cache {
            log_count -= 1;
            taken += 1;
            last = value;
            if taken == 1 {
                first = value;
            }
        }
    }
    log_count -= fetch;
    Ok(Advance {
        taken: TakenValues { next: first, last, increment: parameters.increment },
        state: SequenceState { last_value: last, log_count, is_called: true },
        logged_value: logs.then_some(value),
    })
}

fn exhausted(parameters: &SequenceParameters, name: &str) -> Error {
    let (end, limit) = if parameters.increment > 0 {
        ("maximum", parameters.maximum)
    } else {
        ("minimum", parameters.minimum)
    };
    kokkiri_primitives::error!(
        SEQUENCE_GENERATOR_LIMIT_EXCEEDED,
        "nextval: reached {end} value of sequence \"{name}\" ({limit})"
    )
}

/// Replays the records of Sequence.
pub struct SequenceResource;

impl ResourceManager for SequenceResource {
    fn redo(&self, context: &ReplayContext, record: &DecodedRecord) -> Result<()> {
        if record.operation() != SEQ_LOG {
            return Err(Error::internal(format!("seq_redo: unknown op code {}", record.operation())));
        }
        let tuple = record.main_data().get(LOCATOR_SIZE..).unwrap_or_default();
        TupleHeader::read(tuple)?;
        let mut guard = context.init_buffer_for_redo(record, 0)?;
        let critical = CriticalSection::enter();
        let page = guard.page_mut(&critical);
        write_page(page, tuple)?;
        page.set_lsn(record.end_lsn);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: SequenceParameters =
        SequenceParameters { increment: 1, minimum: 1, maximum: i64::MAX, cache: 1, cycle: false };
    const NEW: SequenceState = SequenceState { last_value: 1, log_count: 0, is_called: false };

    #[test]
    fn values_are_logged_32_ahead() {
        let first = advance(NEW, &PLAIN, true, "s").unwrap();
        assert_eq!(first.taken, TakenValues { next: 1, last: 1, increment: 1 });
        assert_eq!(first.state, SequenceState { last_value: 1, log_count: 32, is_called: true });
        assert_eq!(first.logged_value, Some(33));
        let second = advance(first.state, &PLAIN, true, "s").unwrap();
        assert_eq!((second.taken.next, second.state.log_count, second.logged_value), (2, 31, None));
        // After a checkpoint the next call logs again.
        assert_eq!(advance(second.state, &PLAIN, false, "s").unwrap().logged_value, Some(35));
    }

    #[test]
    fn ends_and_cycles() {
        let short = SequenceParameters { maximum: 3, ..PLAIN };
        let at_end = SequenceState { last_value: 3, log_count: 0, is_called: true };
        let Err(error) = advance(at_end, &short, true, "s") else { panic!("the end was not noticed") };
        assert_eq!(error.message(), "nextval: reached maximum value of sequence \"s\" (3)");
        let cycle = SequenceParameters { cycle: true, ..short };
        assert_eq!(advance(at_end, &cycle, true, "s").unwrap().taken.next, 1);
        let down = SequenceParameters { increment: -2, minimum: -3, maximum: -1, cache: 5, cycle: false };
        let start = SequenceState { last_value: -1, log_count: 0, is_called: false };
        assert_eq!(
            advance(start, &down, true, "s").unwrap().taken,
            TakenValues { next: -1, last: -3, increment: -2 }
        );
    }

    #[test]
    fn the_page_is_postgresqls() {
        let mut page = Page::boxed();
        write_page(&mut page, &stored_tuple(NEW).unwrap()).unwrap();
        assert_eq!(page.special_offset(), 8184);
        assert_eq!(parse(&page, "s").unwrap(), NEW);
        let tuple = page.item(PLACE.offset).unwrap();
        assert_eq!(tuple.len(), 24 + 17);
        assert_eq!(tuple[..24], [2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 3, 0, 0, 0x0B, 24, 0]);
    }
}
