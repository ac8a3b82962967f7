//! What a transaction has changed in the catalogs: seen by itself at once, by others after its commit.
//!
//! Realises: the local half of invalidation (inval.c). Each changed row says which answers it makes
//! stale. The transaction carries these as invalidation messages, which its commit delivers to the shared
//! cache. Until then questions with such answers bypass the shared cache: they are read with the
//! transaction's own snapshot and kept here until its next change.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::cache::{Answer, Question, Stale};

/// Changes of one session's running transaction.
#[derive(Default)]
pub struct Overlay {
    changes: FxHashSet<Stale>,
    answers: FxHashMap<Question, Answer>,
}

impl Overlay {
    /// Notes a change. Every answer kept so far may be stale by it.
    pub fn add(&mut self, stale: Stale) {
        self.answers.clear();
        self.changes.insert(stale);
    }

    /// The changes are now these: a subtransaction has aborted, or the transaction has ended.
    pub fn reset(&mut self, changes: impl IntoIterator<Item = Stale>) {
        self.answers.clear();
        self.changes = changes.into_iter().collect();
    }

    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// True if this transaction has changed what the question is about.
    pub fn concerns(&self, question: &Question) -> bool {
        if self.changes.is_empty() {
            return false;
        }
        match question {
            Question::Rows(lookup, key) => self.changes.contains(&Stale::Rows(*lookup, key.hash())),
            Question::Relation(oid) | Question::Catalog(oid) => self.changes.contains(&Stale::Relation(*oid)),
        }
    }

    pub fn get(&self, question: &Question) -> Option<Answer> {
        self.answers.get(question).cloned()
    }

    pub fn put(&mut self, question: Question, answer: Answer) {
        self.answers.insert(question, answer);
    }

    /// A command has ended: its rows have become visible, so answers may have changed.
    pub fn forget_answers(&mut self) {
        self.answers.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kokkiri_primitives::Oid;
    use std::sync::Arc;

    #[test]
    fn a_change_forgets_answers_and_an_abort_forgets_the_change() {
        let question = Question::Relation(Oid(1));
        let mut overlay = Overlay::default();
        overlay.add(Stale::Relation(Oid(1)));
        overlay.put(question.clone(), Arc::new(0u8));
        assert!(overlay.concerns(&question) && overlay.get(&question).is_some());
        overlay.add(Stale::Relation(Oid(2)));
        assert!(overlay.get(&question).is_none());
        overlay.reset([Stale::Relation(Oid(2))]);
        assert!(!overlay.concerns(&question) && overlay.concerns(&Question::Relation(Oid(2))));
    }
}
