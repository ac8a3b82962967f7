//! Reading a table to build an index of it.
//!
//! Realises: `heapam_index_build_range_scan` and `heap_get_root_tuples`. An index must lead to every row
//! version that any snapshot may still see, so visibility is VACUUM's: all but the dead get an entry. Of a
//! HOT chain only the newest version does, under the place of the chain's root. If an older version of a
//! chain is still visible to somebody, the new index is wrong for him: the chain is broken with respect to
//! it, and whoever has an older snapshot must not use the index.

use kokkiri_primitives::activity::check_for_interrupts;
use kokkiri_primitives::{BlockNumber, Fork, ItemPointer, OffsetNumber, Result, TransactionId};
use kokkiri_storage::buffer::{ReadMode, Ring};
use kokkiri_storage::{Page, PageReadGuard};
use kokkiri_transaction::WaitPolicy;
use kokkiri_types::Column;

use super::Heap;
use super::page::{self, Item};
use super::visibility::{Judge, VacuumState, satisfies_vacuum};
use crate::toast;
use crate::tuple::deform::Deformer;
use crate::tuple::header::TupleHeader;

/// A row version that gets an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuildRow {
    /// Root of its HOT chain: where the entry leads.
    pub tid: ItemPointer,
    /// False if only old snapshots see it: it can't violate uniqueness.
    pub live: bool,
}

/// Takes the wanted columns of a page's rows, and the rows.
pub type BuildVisitor<'a> = dyn FnMut(&[Column], &[BuildRow]) -> Result<()> + 'a;

/// What the scan found out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BuildReport {
    /// Live rows.
    pub rows: u64,
    /// Some HOT chain is broken with respect to the index: `indcheckxmin`.
    pub broken_chains: bool,
}

/// What is to be done with one version.
enum Verdict {
    Skip,
    Index {
        live: bool,
    },
    /// An older version of a chain that somebody still sees.
    Broken,
    /// Another transaction must end first.
    WaitFor(TransactionId),
}

/// The versions of a page that get entries, with their places on it.
type PageRows = Vec<(OffsetNumber, BuildRow)>;

impl Heap<'_> {
    /// Gives every row version that an index must lead to, page by page: the wanted columns of a page's
    /// rows, and the rows. The caller holds the table in mode Share or stronger.
    pub fn build_scan(
        &self,
        wanted: &[usize],
        unique: bool,
        visit: &mut BuildVisitor<'_>,
    ) -> Result<BuildReport> {
        let deformer = Deformer::new(self.relation.tuple_desc.clone(), wanted);
        let mut columns: Vec<Column> = deformer.physical_types().into_iter().map(Column::new).collect();
        let mut report = BuildReport::default();
        let ring = Ring::bulk_read(&self.cluster().buffers);
        for block in (0..self.block_count()?).map(BlockNumber) {
            check_for_interrupts()?;
            let pin = self.cluster().buffers.read(
                self.relation.file,
                Fork::Main,
                block,
                ReadMode::Normal,
                Some(&ring),
            )?;
            let pin = self.prune_in_passing(pin)?;
            let (guard, rows) = loop {
                let guard = pin.clone().read();
                match self.rows_of_page(&guard, block, unique, &mut report)? {
                    Ok(rows) => break (guard, rows),
                    Err(xid) => {
                        drop(guard);
                        self.transaction.wait_for_transaction(xid, WaitPolicy::Block)?;
                    }
                }
            };
            columns.iter_mut().for_each(Column::clear);
            let mut deferred = Vec::new();
            for (row, (offset, _)) in rows.iter().enumerate() {
                let tuple = page::tuple(&guard, *offset).expect("it was judged under the same lock");
                deformer.append(&[tuple], row, &mut columns, &mut deferred)?;
            }
            drop(guard);
            toast::store::fetch_deferred(self, &deferred, &mut columns)?;
            let rows: Vec<BuildRow> = rows.into_iter().map(|(_, row)| row).collect();
            visit(&columns, &rows)?;
        }
        Ok(report)
    }

    /// The versions of a page that get entries, or the transaction to wait for before that is known.
    fn rows_of_page(
        &self,
        guard: &PageReadGuard,
        block: BlockNumber,
        unique: bool,
        report: &mut BuildReport,
    ) -> Result<Result<PageRows, TransactionId>> {
        let roots = self.chain_roots(guard)?;
        let (mut rows, mut live_rows, mut broken) = (Vec::new(), 0, false);
        for (offset, tuple) in guard.normal_items() {
            let header = TupleHeader::read(tuple)?;
            match self.judge_for_build(&header, unique)? {
                Verdict::Skip => {}
                Verdict::Broken => broken = true,
                Verdict::WaitFor(xid) => return Ok(Err(xid)),
                Verdict::Index { live } => {
                    live_rows += u64::from(live);
                    let root = if header.is_heap_only() {
                        roots.get(usize::from(offset.0)).copied().flatten().ok_or_else(|| {
                            kokkiri_primitives::Error::data_corrupted(format!(
                                "failed to find parent tuple for heap-only tuple at ({block},{offset}) in table \"{}\"",
                                self.relation.name
                            ))
                        })?
                    } else {
                        offset
                    };
                    rows.push((offset, BuildRow { tid: ItemPointer::new(block, root), live }));
                }
            }
        }
        report.rows += live_rows;
        report.broken_chains |= broken;
        Ok(Ok(rows))
    }

    fn judge_for_build(&self, header: &TupleHeader, unique: bool) -> Result<Verdict> {
        let (state, _) = satisfies_vacuum(header, &self.observer())?;
        Ok(match state {
            VacuumState::Dead => Verdict::Skip,
            VacuumState::Live => Verdict::Index { live: true },
            VacuumState::DeadAfter(xid) if self.is_removable(xid) => Verdict::Skip,
            VacuumState::DeadAfter(_) if header.is_hot_updated() => Verdict::Broken,
            VacuumState::DeadAfter(_) => Verdict::Index { live: false },
            VacuumState::InsertInProgress => {
                let xid = header.effective_xmin();
                if unique && !self.transaction.is_current(xid) {
                    Verdict::WaitFor(xid)
                } else {
                    Verdict::Index { live: true }
                }
            }
            VacuumState::DeleteInProgress => {
                let deleter = match header.xmax_multi() {
                    Some(multi) => self.observer().updater(multi)?,
                    None => header.xmax.valid(),
                };
                match deleter {
                    Some(xid) if !self.transaction.is_current(xid) => {
                        if unique || header.is_hot_updated() {
                            Verdict::WaitFor(xid)
                        } else {
                            Verdict::Index { live: true }
                        }
                    }
                    _ if header.is_hot_updated() => Verdict::Broken,
                    _ => Verdict::Index { live: false },
                }
            }
        })
    }

    /// For every heap-only tuple of a page, by offset, the root of its chain.
    fn chain_roots(&self, target: &Page) -> Result<Vec<Option<OffsetNumber>>> {
        let last = target.max_offset();
        let mut roots = vec![None; usize::from(last.0) + 1];
        for root in (1..=last.0).map(OffsetNumber) {
            let (mut next, mut prior_xmax) = match page::item(target, root) {
                Item::Redirect(to) => (to, None),
                Item::Tuple(tuple) => {
                    let header = TupleHeader::read(tuple)?;
                    if header.is_heap_only() || !header.is_hot_updated() {
                        continue;
                    }
                    (header.ctid.offset, self.successor_xmin(&header)?)
                }
                Item::Unused | Item::Dead => continue,
            };
            // A chain is no longer than the page has items, however damaged it is.
            for _ in 0..last.0 {
                let Item::Tuple(tuple) = page::item(target, next) else { break };
                let header = TupleHeader::read(tuple)?;
                if prior_xmax.is_some_and(|xid| xid != header.effective_xmin()) {
                    break;
                }
                if let Some(slot) = roots.get_mut(usize::from(next.0)) {
                    *slot = Some(root);
                }
                if !header.is_hot_updated() {
                    break;
                }
                prior_xmax = self.successor_xmin(&header)?;
                next = header.ctid.offset;
            }
        }
        Ok(roots)
    }

    /// The transaction that replaced a version: what its successor's xmin must be.
    fn successor_xmin(&self, header: &TupleHeader) -> Result<Option<TransactionId>> {
        match header.xmax_multi() {
            Some(multi) => self.observer().updater(multi),
            None => Ok(header.xmax.valid()),
        }
    }
}
