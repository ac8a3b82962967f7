//! Combo command ids: one number for a tuple that its own transaction both inserted and deleted.
//!
//! Realises: combocid.c. A tuple header has room for one command id. When the inserting transaction
//! deletes the tuple itself, both ids matter; the header gets a number that only this transaction can
//! resolve, and nobody else needs to.

use std::collections::HashMap;

use kokkiri_primitives::CommandId;

#[derive(Debug, Default)]
pub(super) struct ComboCommandIds {
    pairs: Vec<(CommandId, CommandId)>,
    numbers: HashMap<(CommandId, CommandId), CommandId>,
}

impl ComboCommandIds {
    /// The number for inserted by `cmin`, deleted by `cmax`.
    pub fn number(&mut self, cmin: CommandId, cmax: CommandId) -> CommandId {
        *self.numbers.entry((cmin, cmax)).or_insert_with(|| {
            self.pairs.push((cmin, cmax));
            CommandId(self.pairs.len() as u32 - 1)
        })
    }

    /// Inserting and deleting command behind a number.
    pub fn resolve(&self, combo: CommandId) -> Option<(CommandId, CommandId)> {
        self.pairs.get(combo.0 as usize).copied()
    }
}
