//! What a transaction has changed in the catalogs: seen by itself at once, by others after its commit.
//!
//! Realises: the local half of invalidation (inval.c). Each changed row says which answers it makes
//! stale. Until the transaction ends, questions with such answers bypass the shared cache: they are read
//! with the transaction's own snapshot and kept here until its next change. At commit the list goes into
//! the commit's message and is applied to the shared cache; what a subtransaction changed is forgotten
//! when it aborts.

use std::collections::{HashMap, HashSet};

use crate::cache::{Answer, Question, Stale};

/// Changes of one session's running transaction.
#[derive(Default)]
pub struct Overlay {
    /// In order of the changes, each with the nesting level of its subtransaction and whether it
    /// concerns a shared catalog.
    changes: Vec<(u32, bool, Stale)>,
    index: HashSet<Stale>,
    answers: HashMap<Question, Answer>,
}

impl Overlay {
    /// Notes a change made at nesting level `level`. Every answer kept so far may be stale by it.
    pub fn add(&mut self, level: u32, shared: bool, stale: Stale) {
        self.answers.clear();
        if self.index.insert(stale.clone()) {
            self.changes.push((level, shared, stale));
        }
    }

    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// True if this transaction has changed what the question is about.
    pub fn concerns(&self, question: &Question) -> bool {
        if self.index.is_empty() {
            return false;
        }
        match question {
            Question::Rows(lookup, key) => self.index.contains(&Stale::Rows(*lookup, key.hash())),
            Question::Relation(oid) | Question::Catalog(oid) => self.index.contains(&Stale::Relation(*oid)),
        }
    }

    pub fn get(&self, question: &Question) -> Option<Answer> {
        self.answers.get(question).cloned()
    }

    pub fn put(&mut self, question: Question, answer: Answer) {
        self.answers.insert(question, answer);
    }

    /// A command has ended or new rows have become visible: answers may have changed.
    pub fn forget_answers(&mut self) {
        self.answers.clear();
    }

    /// The subtransaction of `level` has committed into its parent.
    pub fn commit_sub(&mut self, level: u32) {
        for (at, _, _) in &mut self.changes {
            *at = (*at).min(level - 1);
        }
    }

    /// The subtransaction of `level` has aborted.
    pub fn abort_sub(&mut self, level: u32) {
        self.answers.clear();
        self.changes.retain(|(at, _, _)| *at < level);
        self.index = self.changes.iter().map(|(_, _, stale)| stale.clone()).collect();
    }

    /// Ends the transaction: the changes, those of shared catalogs first apart from the database's.
    pub fn take(&mut self) -> (Vec<Stale>, Vec<Stale>) {
        let overlay = std::mem::take(self);
        let (shared, own): (Vec<_>, Vec<_>) = overlay.changes.into_iter().partition(|(_, shared, _)| *shared);
        let plain =
            |changes: Vec<(u32, bool, Stale)>| changes.into_iter().map(|(_, _, stale)| stale).collect();
        (plain(shared), plain(own))
    }

    /// The changes so far, for the commit record.
    pub fn changes(&self) -> impl Iterator<Item = (bool, &Stale)> {
        self.changes.iter().map(|(_, shared, stale)| (*shared, stale))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kokkiri_primitives::Oid;
    use std::sync::Arc;

    #[test]
    fn an_aborted_subtransaction_has_changed_nothing() {
        let mut overlay = Overlay::default();
        overlay.add(1, false, Stale::Relation(Oid(1)));
        overlay.put(Question::Relation(Oid(1)), Arc::new(0u8));
        overlay.add(2, true, Stale::Relation(Oid(2)));
        assert!(overlay.get(&Question::Relation(Oid(1))).is_none(), "a change forgets answers");
        assert!(overlay.concerns(&Question::Relation(Oid(2))));
        overlay.abort_sub(2);
        assert!(!overlay.concerns(&Question::Relation(Oid(2))));
        overlay.add(2, true, Stale::Relation(Oid(3)));
        overlay.commit_sub(2);
        overlay.abort_sub(2);
        let (shared, own) = overlay.take();
        assert_eq!((shared, own), (vec![Stale::Relation(Oid(3))], vec![Stale::Relation(Oid(1))]));
    }
}
