//! Subtransactions: savepoints and the like.
//!
//! Realises: `StartSubTransaction`, `CommitSubTransaction`, `AbortSubTransaction`, and the SQL commands
//! SAVEPOINT, RELEASE and ROLLBACK TO.

use std::sync::atomic::Ordering;

use kokkiri_primitives::{Result, TransactionId, bail, error};

use crate::invalidation::Invalidation;

use super::{Level, Transaction};

/// Number of a (sub)transaction within its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubTransactionId(pub u32);

impl SubTransactionId {
    /// The transaction itself.
    pub const TOP: Self = Self(1);
}

impl Transaction {
    /// 1 for the transaction itself, one more for each open subtransaction.
    pub fn nesting_level(&self) -> u32 {
        self.state.lock().levels.len() as u32
    }

    /// The current (sub)transaction.
    pub fn current_sub(&self) -> SubTransactionId {
        let state = self.state.lock();
        SubTransactionId(state.levels.last().expect("the transaction itself is always there").id)
    }

    /// Begins a subtransaction, with a name if it is a savepoint.
    ///
    /// # Errors
    /// 54000 after 2^32-1 subtransactions.
    pub fn begin_sub(&self, name: Option<&str>) -> Result<SubTransactionId> {
        let mut state = self.state.lock();
        let id = state.next_sub;
        if id == u32::MAX {
            bail!(PROGRAM_LIMIT_EXCEEDED, "cannot have more than 2^32-1 subtransactions in a transaction");
        }
        state.next_sub += 1;
        state.levels.push(Level { id, name: name.map(str::to_owned), ..Level::default() });
        Ok(SubTransactionId(id))
    }

    /// Commits the innermost subtransaction into its parent.
    pub fn commit_sub(&self) {
        let mut state = self.state.lock();
        assert!(state.levels.len() > 1, "there is a subtransaction to commit");
        let nesting = state.levels.len() as u32;
        let level = state.levels.pop().expect("just looked");
        let parent = state.levels.last_mut().expect("the transaction itself is always there");
        // A child's xid follows its parent's committed ones and precedes its own children's.
        parent.children.extend(level.xid);
        parent.children.extend(level.children);
        for message in level.invalidations {
            if !parent.invalidations.contains(&message) {
                parent.invalidations.push(message);
            }
        }
        parent.drop_at_commit.extend(level.drop_at_commit);
        parent.drop_at_abort.extend(level.drop_at_abort);
        let parent_id = parent.id;
        state.files.commit_sub(nesting);
        drop(state);
        self.cluster().locks.reassign_sub(self.proc(), level.id, parent_id);
    }

    /// Aborts the innermost subtransaction. Returns the messages it would have sent: what the session's
    /// own caches have taken from it is to be forgotten.
    pub fn abort_sub(&self) -> Vec<Invalidation> {
        let (level, files) = {
            let mut state = self.state.lock();
            assert!(state.levels.len() > 1, "there is a subtransaction to abort");
            let nesting = state.levels.len() as u32;
            let files = state.files.abort_sub(nesting);
            let level = state.levels.pop().expect("just looked");
            let gone = |xid: &TransactionId| level.xid == Some(*xid) || level.children.contains(xid);
            state.unreported.retain(|xid| !gone(xid));
            (level, files)
        };
        if let Some(xid) = level.xid {
            self.record_abort(xid, &level.children, &files, &level.drop_at_abort);
            let mut tree = level.children.clone();
            tree.push(xid);
            let latest = tree.iter().copied().fold(xid, TransactionId::newer);
            self.cluster().transactions.proc_array.end_sub_transactions(self.proc(), &tree, latest);
            for xid in tree {
                self.cluster().locks.release_xid(self.proc(), xid);
            }
        }
        self.cluster().locks.release_sub(self.proc(), level.id);
        self.delete_files(&files);
        // What the aborted commands did stays invisible to those that follow.
        self.command_used.store(true, Ordering::Relaxed);
        level.invalidations
    }

    /// SAVEPOINT.
    pub fn define_savepoint(&self, name: &str) -> Result<SubTransactionId> {
        self.begin_sub(Some(name))
    }

    /// How many levels must end for the savepoint to be the innermost one that remains open.
    ///
    /// # Errors
    /// 3B001 if there is none of that name.
    fn levels_above_savepoint(&self, name: &str) -> Result<usize> {
        let state = self.state.lock();
        let above = state.levels.iter().rev().position(|level| level.name.as_deref() == Some(name));
        above.ok_or_else(|| error!(INVALID_SAVEPOINT_SPECIFICATION, "savepoint \"{name}\" does not exist"))
    }

    /// RELEASE SAVEPOINT: commits the savepoint and what was defined after it. Returns how many levels
    /// that were.
    pub fn release_savepoint(&self, name: &str) -> Result<usize> {
        let ending = self.levels_above_savepoint(name)? + 1;
        (0..ending).for_each(|_| self.commit_sub());
        Ok(ending)
    }

    /// ROLLBACK TO SAVEPOINT: aborts the savepoint and what was defined after it, and defines it anew.
    /// Returns how many levels were aborted, and the messages they would have sent.
    pub fn rollback_to_savepoint(&self, name: &str) -> Result<(usize, Vec<Invalidation>)> {
        let ending = self.levels_above_savepoint(name)? + 1;
        let messages = (0..ending).flat_map(|_| self.abort_sub()).collect();
        self.begin_sub(Some(name))?;
        Ok((ending, messages))
    }

    /// True if a savepoint of that name is open.
    pub fn has_savepoint(&self, name: &str) -> bool {
        self.levels_above_savepoint(name).is_ok()
    }
}
