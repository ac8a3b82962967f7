//! Rows of a result that is kept to be fetched piece by piece.
//!
//! Realises: `tuplestore.c` as a portal's `holdStore` uses it: written once, then read once from its start.
//! Rows beyond work_mem go to a temporary file.

use kokkiri_primitives::Result;
use kokkiri_transaction::Cluster;
use kokkiri_types::{BATCH_ROWS, Batch};

use crate::row_store::{RowStore, prepare};
use crate::spill::{SpillFile, SpillReader};

#[derive(Default)]
pub struct TupleStore {
    /// The first rows.
    rows: RowStore,
    /// Those for which there was no memory.
    spill: Option<SpillFile>,
    reader: SpillReader,
    /// Rows of `rows` that have been read.
    position: usize,
}

impl TupleStore {
    /// Appends the selected rows of a batch; in memory up to `work_mem` bytes.
    ///
    /// # Errors
    /// If the temporary file can't be written.
    pub fn append(&mut self, cluster: &Cluster, work_mem: usize, batch: &Batch) -> Result<()> {
        if self.spill.is_none() {
            if self.rows.bytes() <= work_mem {
                self.rows.append(batch);
                return Ok(());
            }
            self.spill = Some(SpillFile::create(cluster)?);
        }
        let spill = self.spill.as_mut().expect("just made");
        batch.selection.try_for_each(|row| spill.write(&batch.columns, row))
    }

    /// No more rows come: they can be read.
    ///
    /// # Errors
    /// If the temporary file can't be written.
    pub fn finish(&mut self) -> Result<()> {
        self.spill.as_mut().map_or(Ok(()), SpillFile::flush)
    }

    /// The next rows, at most `demand`; none at the end.
    ///
    /// # Errors
    /// If the temporary file can't be read.
    pub fn read(&mut self, demand: usize, out: &mut Batch) -> Result<()> {
        prepare(out, self.rows.types());
        let mut count = 0;
        while count < demand.min(BATCH_ROWS) {
            if self.position < self.rows.len() {
                self.rows.copy_to(self.position, &mut out.columns);
                self.position += 1;
            } else {
                let Some(spill) = &self.spill else { break };
                if !spill.read(&mut self.reader, &mut out.columns)? {
                    break;
                }
            }
            count += 1;
        }
        out.seal(count);
        Ok(())
    }
}
