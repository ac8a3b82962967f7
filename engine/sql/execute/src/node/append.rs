//! Append: the rows of several inputs, one input after the other.

use kokkiri_primitives::Result;
use kokkiri_types::Batch;

use super::{Node, Operator};
use crate::context::Context;

pub struct Append {
    pub inputs: Vec<Node>,
    /// The input being read.
    pub current: usize,
}

impl Operator for Append {
    fn next(&mut self, context: &mut Context<'_>, demand: usize, out: &mut Batch) -> Result<()> {
        out.selection.set_all(0);
        while let Some(input) = self.inputs.get_mut(self.current) {
            input.next(context, demand, out)?;
            if !out.is_empty() {
                return Ok(());
            }
            self.current += 1;
        }
        Ok(())
    }

    fn rescan(&mut self, context: &mut Context<'_>, changed: &[u32]) -> Result<()> {
        self.current = 0;
        self.inputs.iter_mut().try_for_each(|input| input.rescan(context, changed))
    }

    fn children(&self) -> Vec<&Node> {
        self.inputs.iter().collect()
    }

    fn children_mut(&mut self) -> Vec<&mut Node> {
        self.inputs.iter_mut().collect()
    }
}
