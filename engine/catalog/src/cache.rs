//! The shared catalog cache: answers to lookups, kept until a commit makes them stale.
//!
//! Realises: catcache.c, relcache.c and sinval.c in one place. PostgreSQL's processes each keep a cache
//! and tell each other by messages what to forget; tasks share one, so a commit forgets for everybody at
//! once and an idle session holds nothing.
//!
//! Invariants:
//!  1. An answer enters the cache only if no invalidation has been applied since before the snapshot it
//!     was read with was taken ([`CacheVersion`]); otherwise it is handed out once and dropped.
//!  2. A transaction applies its invalidations after it has left the process array, so whoever reads
//!     afterwards sees its changes.
//!  3. A transaction never reads from or writes to this cache what it has changed itself; see
//!     [`crate::overlay`].
//!
//! Lock order: a shard of `answers` is a leaf.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use kokkiri_primitives::Oid;
use kokkiri_transaction::Invalidation;
use rustc_hash::FxBuildHasher;

use crate::lookup::{Key, Lookup};

/// Which answer: a lookup with its key, or one of the compound entries.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Question {
    Rows(Lookup, Key),
    /// A relation with its attributes, indexes, constraints and the rest.
    Relation(Oid),
    /// The descriptor of a system catalog itself.
    Catalog(Oid),
}

/// An answer of whatever type the question has.
pub type Answer = Arc<dyn Any + Send + Sync>;

/// A moment in the cache's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheVersion(u64);

/// What a change of a catalog makes stale.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Stale {
    /// Answers of a lookup whose key has this hash.
    Rows(Lookup, u32),
    /// Everything known of a relation.
    Relation(Oid),
    /// All answers.
    Everything,
}

impl Stale {
    /// The message that carries it; `database` is zero for a shared catalog.
    pub fn to_message(&self, database: Oid) -> Invalidation {
        match self {
            Stale::Rows(lookup, hash) => {
                Invalidation::CatalogCache { cache: lookup.number(), database, hash: *hash }
            }
            Stale::Relation(relation) => Invalidation::Relation { database, relation: *relation },
            Stale::Everything => Invalidation::Relation { database, relation: Oid::INVALID },
        }
    }

    /// What a message says, with the database it is about (zero for the shared catalogs); `None` if it
    /// is not for this cache.
    pub fn from_message(message: &Invalidation) -> Option<(Oid, Self)> {
        Some(match *message {
            Invalidation::CatalogCache { cache, database, hash } => {
                (database, Stale::Rows(Lookup::from_number(cache)?, hash))
            }
            Invalidation::Relation { database, relation } if relation.is_valid() => {
                (database, Stale::Relation(relation))
            }
            Invalidation::Relation { database, .. }
            | Invalidation::Catalog { database, .. }
            | Invalidation::RelationMap { database } => (database, Stale::Everything),
            Invalidation::Storage { .. }
            | Invalidation::Snapshot { .. }
            | Invalidation::RelationSync { .. } => {
                return None;
            }
        })
    }
}

/// The cache of one database, or of the shared catalogs.
#[derive(Default)]
pub struct Cache {
    answers: DashMap<Question, Answer, FxBuildHasher>,
    version: AtomicU64,
}

impl Cache {
    /// To be taken before the snapshot that an answer is read with.
    pub fn version(&self) -> CacheVersion {
        CacheVersion(self.version.load(Ordering::SeqCst))
    }

    pub fn get(&self, question: &Question) -> Option<Answer> {
        self.answers.get(question).map(|answer| Arc::clone(answer.value()))
    }

    /// Keeps an answer unless something was invalidated since `read_at`.
    pub fn put(&self, question: Question, answer: Answer, read_at: CacheVersion) {
        // The shard is locked before the version is compared: an invalidation that comes later finds the
        // answer in the shard, one that came earlier has already changed the version.
        let entry = self.answers.entry(question);
        if self.version() == read_at {
            entry.insert(answer);
        }
    }

    /// Forgets what a commit made stale.
    pub fn apply(&self, stale: &[Stale]) {
        if stale.is_empty() {
            return;
        }
        self.version.fetch_add(1, Ordering::SeqCst);
        if stale.contains(&Stale::Everything) {
            self.answers.clear();
            return;
        }
        let concerned = |question: &Question| match question {
            Question::Rows(lookup, key) => stale.contains(&Stale::Rows(*lookup, key.hash())),
            Question::Relation(oid) | Question::Catalog(oid) => stale.contains(&Stale::Relation(*oid)),
        };
        self.answers.retain(|question, _| !concerned(question));
    }

    /// How many answers are held.
    pub fn len(&self) -> usize {
        self.answers.len()
    }

    pub fn is_empty(&self) -> bool {
        self.answers.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kokkiri_types::ValueRef;

    fn question(oid: i32) -> Question {
        Question::Rows(Lookup::TypeByOid, Key::new([ValueRef::Int32(oid)]))
    }

    #[test]
    fn an_answer_read_before_an_invalidation_is_not_kept() {
        let cache = Cache::default();
        let before = cache.version();
        cache.put(question(1), Arc::new(1u8), before);
        assert!(cache.get(&question(1)).is_some());
        let Question::Rows(lookup, key) = question(1) else { unreachable!() };
        cache.apply(&[Stale::Rows(lookup, key.hash())]);
        assert!(cache.get(&question(1)).is_none());
        cache.put(question(2), Arc::new(2u8), before);
        assert!(cache.is_empty(), "read before the invalidation");
        cache.put(question(2), Arc::new(2u8), cache.version());
        cache.apply(&[Stale::Relation(Oid(7))]);
        assert!(cache.get(&question(2)).is_some(), "another's invalidation");
    }
}
