//! Is a cluster whole: contents against the model, pages against their invariants, indexes against their
//! tables, files against their checksums.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kokkiri_access::btree::check::check_visiting;
use kokkiri_access::btree::tuple::IndexTuple;
use kokkiri_access::btree::{Direction, Tree};
use kokkiri_access::heap::page::{Item, item};
use kokkiri_access::heap::{Heap, Scan, ScanOptions, page};
use kokkiri_access::relation::{IndexDescriptor, IndexKey, Relation};
use kokkiri_access::sequence;
use kokkiri_access::tuple::deform::stored_attributes;
use kokkiri_access::tuple::header::{Infomask, TupleHeader};
use kokkiri_access::tuple::varlena::Varlena;
use kokkiri_fuzzing::{Broken, Check, ensure};
use kokkiri_primitives::ids::{BLOCK_SIZE, BlockNumber, Fork, ItemPointer, Oid};
use kokkiri_storage::file::{FileSystem, OpenOptions};
use kokkiri_storage::page::{PD_ALL_VISIBLE, Page, Verdict};
use kokkiri_storage::{ReadMode, visibility_map};
use kokkiri_transaction::{BeginOptions, Transaction, Visibility};
use kokkiri_types::{Batch, ValueRef};

use crate::instance::Instance;
use crate::model::{Contents, State};
use crate::rows;
use crate::schema::{NOTE, TAG};

/// Checks everything, with no transaction open.
pub fn check(instance: &Instance, state: &State) -> Check {
    let client = instance.client();
    let _entered = client.registration.backend().enter();
    for contents in state.0.values() {
        let transaction = client.begin(BeginOptions::default());
        if contents.object.is_table() {
            check_table(&transaction, contents)?;
        } else {
            let sequence = sequence::read(&transaction, &contents.object.relation)?;
            let taken = if sequence.is_called { sequence.last_value } else { sequence.last_value - 1 };
            let oid = contents.object.oid;
            ensure!(
                taken >= contents.taken,
                "sequence {oid} is at {taken}, but {} was taken",
                contents.taken
            );
        }
        transaction.commit()?;
    }
    Ok(())
}

/// Checks the pages in the files; everything has been written out. Files that no relation owns are what a
/// crash left of one that was never committed, and the free space map is not logged.
pub fn check_files(instance: &Instance, state: &State) -> Check {
    for file in state.0.values().flat_map(|contents| contents.object.files()) {
        check_file(instance, &file.path(Fork::Main))?;
        let map = file.path(Fork::VisibilityMap);
        if instance.disk.exists(&map)? {
            check_file(instance, &map)?;
        }
    }
    Ok(())
}

fn check_file(instance: &Instance, path: &str) -> Check {
    let file = instance.disk.open(path, OpenOptions::EXISTING)?;
    // What is left of a torn extension doesn't count.
    let blocks = file.len()? / BLOCK_SIZE as u64;
    let mut page = Page::boxed();
    for block in 0..blocks as u32 {
        let offset = u64::from(block) * BLOCK_SIZE as u64;
        let read = file.read_full_at(page.bytes_mut(), offset)?;
        ensure!(read == BLOCK_SIZE, "{path} can't be read at block {block}");
        let verdict = page.verify(BlockNumber(block), instance.shape.checksums);
        ensure!(matches!(verdict, Verdict::Valid), "{path}, block {block}: {verdict:?}");
    }
    Ok(())
}

fn check_table(transaction: &Transaction, contents: &Contents) -> Check {
    let relation = &contents.object.relation;
    let heap = Heap::new(relation, transaction);
    check_contents(&heap, contents)?;
    let tuples = check_pages(&heap)?;
    check_indexes(&heap, &tuples)?;
    let Some(toast) = contents.object.toast() else { return Ok(()) };
    let toast = Heap::new(toast, transaction);
    let chunks = check_pages(&toast)?;
    check_indexes(&toast, &chunks)?;
    check_chunks(&heap, &toast)
}

fn check_contents(heap: &Heap<'_>, contents: &Contents) -> Check {
    let name = &heap.relation.name;
    let found = rows::scan(heap)?;
    let mut left = contents.rows.clone();
    for (id, row, tid) in &found {
        let expected = left.remove(id);
        ensure!(expected.is_some(), "{name}: row {id} at {tid} should not be there");
        ensure!(expected.as_ref() == Some(row), "{name}: row {id} at {tid} is {row:?} and not {expected:?}");
    }
    ensure!(left.is_empty(), "{name}: rows {:?} are missing", left.keys().collect::<Vec<_>>());
    let sorted = |mut found: Vec<rows::Found>| {
        found.sort_by_key(|row| row.2);
        found
    };
    let by_place = sorted(found);
    for (number, index) in heap.relation.indexes.iter().enumerate() {
        let direction = if number == 1 { Direction::Backward } else { Direction::Forward };
        let by_index = sorted(rows::index_scan(heap, index, Vec::new(), direction)?);
        ensure!(by_index == by_place, "{name}: {} leads to other rows than a scan", index.name);
    }
    Ok(())
}

/// The columns of the tuples that index entries lead to, by root line pointer; `None` behind a dead one.
type Roots = BTreeMap<ItemPointer, Option<Vec<u8>>>;

/// Checks every page of a table; returns its root line pointers.
fn check_pages(heap: &Heap<'_>) -> Check<Roots> {
    let mut roots = Roots::new();
    let mut map = None;
    for block in (0..heap.block_count()?).map(BlockNumber) {
        let bits = visibility_map::status(&heap.cluster().buffers, heap.relation.file, block, &mut map)?;
        let pin =
            heap.cluster().buffers.read(heap.relation.file, Fork::Main, block, ReadMode::Normal, None)?;
        let guard = pin.read();
        check_page(heap, &guard, block, bits, &mut roots)
            .map_err(|broken| Broken(format!("{}, block {block}: {}", heap.relation.name, broken.0)))?;
    }
    Ok(roots)
}

fn check_page(heap: &Heap<'_>, page: &Page, block: BlockNumber, bits: u8, roots: &mut Roots) -> Check {
    if page.is_new() {
        ensure!(bits == 0, "a new page has bits {bits} in the visibility map");
        return Ok(());
    }
    page.check_pointers()?;
    let visible = bits & visibility_map::ALL_VISIBLE != 0;
    let frozen = bits & visibility_map::ALL_FROZEN != 0;
    ensure!(visible || !frozen, "all-frozen but not all-visible");
    ensure!(!visible || page.has_flag(PD_ALL_VISIBLE), "the map says all-visible, the page doesn't");
    for (offset, _) in page.item_ids() {
        let place = ItemPointer::new(block, offset);
        match item(page, offset) {
            Item::Unused => {}
            Item::Dead => {
                ensure!(!visible, "{place}: a dead line pointer on an all-visible page");
                roots.insert(place, None);
            }
            Item::Redirect(target) => {
                let Some(tuple) = page::tuple(page, target) else {
                    return Err(Broken(format!("{place}: redirected to {target}, which has no tuple")));
                };
                ensure!(TupleHeader::read(tuple)?.is_heap_only(), "{place}: redirected to {target}, a root");
                roots.insert(place, Some(tuple.to_vec()));
            }
            Item::Tuple(tuple) => {
                let header = TupleHeader::read(tuple)?;
                check_tuple(heap, page, place, &header, visible || page.has_flag(PD_ALL_VISIBLE), frozen)?;
                stored_attributes(&heap.relation.tuple_desc, tuple)?;
                if !header.is_heap_only() {
                    roots.insert(place, Some(tuple.to_vec()));
                }
            }
        }
    }
    Ok(())
}

fn check_tuple(
    heap: &Heap<'_>,
    page: &Page,
    place: ItemPointer,
    header: &TupleHeader,
    visible: bool,
    frozen: bool,
) -> Check {
    let transactions = &heap.cluster().transactions;
    let next = transactions.xids.next().xid();
    let xmin_committed = header.xmin_frozen() || transactions.did_commit(header.xmin)?;
    ensure!(header.xmin_frozen() || header.xmin.precedes(next), "{place}: xmin {} is to come", header.xmin);
    ensure!(
        !header.xmin_committed() || xmin_committed,
        "{place}: a hint says that {} committed",
        header.xmin
    );
    ensure!(
        !header.xmin_invalid() || !transactions.did_commit(header.xmin)?,
        "{place}: a hint says that {} aborted",
        header.xmin
    );
    let gone = header.infomask.any(Infomask::XMAX_INVALID) || header.infomask.xmax_is_locked_only();
    let plain = !gone && header.xmax_multi().is_none();
    let deleted = plain && transactions.did_commit(header.xmax)?;
    ensure!(!plain || header.xmax.precedes(next), "{place}: xmax {} is to come", header.xmax);
    ensure!(
        !plain || !header.infomask.any(Infomask::XMAX_COMMITTED) || deleted,
        "{place}: a hint says that {} committed",
        header.xmax
    );
    if visible {
        ensure!(xmin_committed, "{place}: not visible on an all-visible page: xmin {}", header.xmin);
        ensure!(!deleted, "{place}: deleted by {} on an all-visible page", header.xmax);
    }
    if frozen {
        ensure!(header.xmin_frozen(), "{place}: not frozen on an all-frozen page");
        ensure!(header.infomask.any(Infomask::XMAX_INVALID), "{place}: has an xmax on an all-frozen page");
    }
    if deleted && xmin_committed && header.is_hot_updated() {
        ensure!(header.ctid.block == place.block, "{place}: a HOT chain leaves its page");
        let next = page::tuple(page, header.ctid.offset).map(TupleHeader::read).transpose()?;
        let Some(next) = next else {
            return Err(Broken(format!("{place}: the HOT chain ends at {}", header.ctid)));
        };
        ensure!(next.is_heap_only(), "{place}: the next version {} is not heap-only", header.ctid);
        ensure!(
            next.xmin == header.xmax,
            "{place}: replaced by {}, the next is of {}",
            header.xmax,
            next.xmin
        );
    }
    Ok(())
}

/// The structure of every index, and where its entries lead.
fn check_indexes(heap: &Heap<'_>, roots: &Roots) -> Check {
    for index in &heap.relation.indexes {
        let tree = Tree::new(heap.cluster(), index, None);
        let mut entries: BTreeMap<ItemPointer, IndexTuple> = BTreeMap::new();
        let mut twice = None;
        check_visiting(&tree, &mut |tuple| {
            for tid in tuple.heap_tids() {
                if entries.insert(tid, tuple.to_tuple()).is_some() {
                    twice = Some(tid);
                }
            }
        })?;
        ensure!(twice.is_none(), "{}: {twice:?} has two entries", index.name);
        for (tid, entry) in &entries {
            let Some(root) = roots.get(tid) else {
                return Err(Broken(format!("{}: an entry leads to {tid}, where no row begins", index.name)));
            };
            if let Some(tuple) = root {
                check_entry(heap.relation, index, &tree, entry, tuple)
                    .map_err(|broken| Broken(format!("{}, entry for {tid}: {}", index.name, broken.0)))?;
            }
        }
    }
    Ok(())
}

fn check_entry(
    relation: &Relation,
    index: &Arc<IndexDescriptor>,
    tree: &Tree<'_>,
    entry: &IndexTuple,
    tuple: &[u8],
) -> Check {
    let stored = stored_attributes(&relation.tuple_desc, tuple)?;
    for (number, column) in index.columns.iter().enumerate() {
        let IndexKey::Attribute(position) = column.key else { continue };
        let Some(bytes) = stored[usize::from(position)] else { continue };
        let value = tree.shape().value(entry.as_ref(), number)?;
        let same = match value.as_ref() {
            ValueRef::Int32(value) => bytes == value.to_le_bytes(),
            ValueRef::Bytes(value) => {
                matches!(Varlena::decode(bytes)?.0, Varlena::Plain(plain) if plain == value)
            }
            _ => false,
        };
        ensure!(same, "the row has another value in column {position}");
    }
    Ok(())
}

/// Values out of line are those that visible rows refer to, neither more nor fewer.
fn check_chunks(heap: &Heap<'_>, toast: &Heap<'_>) -> Check {
    let mut wanted = BTreeSet::new();
    for (id, _, tid) in rows::scan(heap)? {
        let pin = heap.pin(tid.block)?.read();
        let tuple =
            page::tuple(&pin, tid.offset).ok_or_else(|| Broken(format!("row {id} has left {tid}")))?;
        let stored = stored_attributes(&heap.relation.tuple_desc, tuple)?;
        for bytes in [TAG, NOTE].into_iter().filter_map(|column| stored.get(column).copied().flatten()) {
            if let Varlena::External(pointer) = Varlena::decode(bytes)?.0 {
                wanted.insert(pointer.value_id);
            }
        }
    }
    let snapshot = toast.transaction.snapshot();
    let mut scan = Scan::new(toast, &ScanOptions { columns: vec![0, 1], ..ScanOptions::default() })?;
    let mut batch = Batch::new(scan.physical_types());
    let mut stored: BTreeMap<Oid, Vec<i32>> = BTreeMap::new();
    loop {
        let count = scan.next(toast, &Visibility::Mvcc(&snapshot), &mut batch, 1000)?;
        if count == 0 {
            break;
        }
        for at in 0..count {
            let value = Oid(batch.columns[0].get(at).int32() as u32);
            stored.entry(value).or_default().push(batch.columns[1].get(at).int32());
        }
    }
    for (value, mut numbers) in stored.clone() {
        numbers.sort_unstable();
        let complete = numbers.iter().copied().eq(0..numbers.len() as i32);
        ensure!(complete, "{}: value {value} has chunks {numbers:?}", toast.relation.name);
    }
    let stored: BTreeSet<Oid> = stored.into_keys().collect();
    ensure!(stored == wanted, "{}: has values {stored:?}, rows refer to {wanted:?}", toast.relation.name);
    Ok(())
}
