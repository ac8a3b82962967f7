//! Material: an input read once, returned as often as asked for.

use kokkiri_primitives::Result;
use kokkiri_types::{BATCH_ROWS, Batch, PhysicalType};

use super::{Details, Node, Operator};
use crate::context::Context;
use crate::row_store::{RowStore, prepare};
use crate::spill::{SpillFile, SpillReader};

pub struct Material {
    pub input: Node,
    pub types: Vec<PhysicalType>,
    pub store: RowStore,
    pub spill: Option<SpillFile>,
    reader: SpillReader,
    position: usize,
    ended: bool,
    batch: Batch,
}

impl Material {
    pub fn new(input: Node, types: Vec<PhysicalType>) -> Self {
        let store = RowStore::new(types.iter().copied());
        Self {
            input,
            types,
            store,
            spill: None,
            reader: SpillReader::default(),
            position: 0,
            ended: false,
            batch: Batch::default(),
        }
    }

    fn keep(&mut self, context: &Context<'_>, batch: &Batch) -> Result<()> {
        if self.spill.is_none() && self.store.bytes() <= context.work_mem() {
            self.store.append(batch);
            return Ok(());
        }
        if self.spill.is_none() {
            self.spill = Some(SpillFile::create(context.transaction.cluster())?);
        }
        if let Some(spill) = &mut self.spill {
            batch.selection.try_for_each(|row| spill.write(&batch.columns, row))?;
        }
        Ok(())
    }
}

impl Operator for Material {
    fn next(&mut self, context: &mut Context<'_>, demand: usize, out: &mut Batch) -> Result<()> {
        prepare(out, &self.types);
        let demand = demand.min(BATCH_ROWS);
        let mut rows = 0;
        while rows < demand {
            if self.position < self.store.len() {
                self.store.copy_to(self.position, &mut out.columns);
                self.position += 1;
                rows += 1;
                continue;
            }
            if self.ended {
                let Some(spill) = &mut self.spill else { break };
                spill.flush()?;
                if !spill.read(&mut self.reader, &mut out.columns)? {
                    break;
                }
                rows += 1;
                continue;
            }
            if rows > 0 {
                break;
            }
            let mut batch = std::mem::take(&mut self.batch);
            self.input.next(context, demand, &mut batch)?;
            let got = batch.len();
            self.ended = got == 0;
            let in_memory = self.spill.is_none();
            self.keep(context, &batch)?;
            if self.spill.is_some() {
                // These rows are returned now; a rescan reads them from the file.
                if in_memory || got > 0 {
                    batch.selection.for_each(|row| {
                        for (column, from) in out.columns.iter_mut().zip(&batch.columns) {
                            column.push_from(from, row);
                        }
                    });
                    rows += got;
                }
                if self.ended {
                    self.batch = batch;
                    out.seal(rows);
                    // Everything has been returned as it came.
                    self.reader = SpillReader::at_end();
                    return Ok(());
                }
            }
            self.batch = batch;
        }
        out.seal(rows);
        Ok(())
    }

    fn rescan(&mut self, context: &mut Context<'_>, changed: &[u32]) -> Result<()> {
        if self.input.depends_on(changed) {
            self.store.clear();
            self.spill = None;
            self.ended = false;
            self.input.rescan(context, changed)?;
        } else if !self.ended && self.spill.is_some() {
            // Only part was read before it was asked to start over: read the rest first.
            let mut batch = Batch::default();
            while !self.ended {
                self.input.next(context, BATCH_ROWS, &mut batch)?;
                self.ended = batch.is_empty();
                self.keep(context, &batch)?;
            }
        }
        self.position = 0;
        self.reader = SpillReader::default();
        Ok(())
    }

    fn children(&self) -> Vec<&Node> {
        vec![&self.input]
    }

    fn children_mut(&mut self) -> Vec<&mut Node> {
        vec![&mut self.input]
    }

    fn details(&self) -> Details {
        let storage = match &self.spill {
            Some(spill) => ("Disk", spill.kilobytes()),
            None => ("Memory", (self.store.bytes() as u64).div_ceil(1024).max(17)),
        };
        Details { storage: Some(storage), ..Details::default() }
    }
}
