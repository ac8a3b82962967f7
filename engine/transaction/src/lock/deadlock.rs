//! The deadlock detector.
//!
//! Realises: `DeadLockCheck` (deadlock.c and the lock manager's README). It runs in a backend that has
//! waited for deadlock_timeout, with every partition of the lock table locked, so it sees one moment.
//!
//! A waiter has a *hard* edge to whoever holds a mode that excludes its request, and a *soft* edge to
//! whoever waits before it for a mode that does. A cycle of hard edges is a deadlock. A cycle with a
//! soft edge may be undone by letting the later waiter go first: the detector tries sets of such
//! reversals (constraints), each time sorting the queues concerned so that all constraints hold, until
//! an arrangement has no cycle or all are exhausted.

use std::collections::HashMap;

use kokkiri_primitives::ProcNumber;

use super::mode::LockMode;
use super::table::{Lock, Waiter};
use super::tag::LockTag;

/// `waiter` stands behind `blocker` in the queue of `tag`. As a constraint: it shall stand before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SoftEdge {
    waiter: ProcNumber,
    blocker: ProcNumber,
    tag: LockTag,
}

/// One line of the report: who waits for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DeadlockStep {
    pub proc: ProcNumber,
    pub tag: LockTag,
    pub mode: LockMode,
}

/// What the detector found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    NoDeadlock,
    /// These queues, so ordered, have no deadlock any more.
    Reorder(Vec<(LockTag, Vec<ProcNumber>)>),
    /// The cycle, beginning with the backend that looked.
    Deadlock(Vec<DeadlockStep>),
}

/// The moment the detector looks at.
pub(super) trait LockView {
    fn lock(&self, tag: &LockTag) -> Option<&Lock>;
    /// What a backend waits for.
    fn waits_for(&self, proc: ProcNumber) -> Option<(LockTag, LockMode)>;
}

/// Looks for a deadlock that `start` is part of.
pub(super) fn check<V: LockView>(view: &V, start: ProcNumber) -> Verdict {
    let mut detector =
        Detector { view, start, constraints: Vec::new(), orders: HashMap::new(), cycle: Vec::new() };
    if detector.resolve() {
        if detector.orders.is_empty() {
            return Verdict::NoDeadlock;
        }
        return Verdict::Reorder(detector.orders.into_iter().collect());
    }
    Verdict::Deadlock(detector.cycle)
}

/// How many constraints may be tried together; PostgreSQL's bound is the number of backends.
const CONSTRAINTS_MAX: usize = 64;

struct Detector<'a, V> {
    view: &'a V,
    start: ProcNumber,
    constraints: Vec<SoftEdge>,
    /// Queues as the constraints would have them.
    orders: HashMap<LockTag, Vec<ProcNumber>>,
    /// The first cycle found that could not be undone.
    cycle: Vec<DeadlockStep>,
}

/// What following the edges from one backend came to.
enum Search {
    NoCycle,
    /// A cycle, with the soft edges in it; none of them: a hard deadlock.
    Cycle(Vec<SoftEdge>),
}

impl<V: LockView> Detector<'_, V> {
    /// Tries to find constraints that leave no cycle; on success `orders` holds the arrangement.
    fn resolve(&mut self) -> bool {
        let reversible = match self.test_configuration() {
            None => return false,
            Some(edges) if edges.is_empty() => return true,
            Some(edges) => edges,
        };
        if self.constraints.len() >= CONSTRAINTS_MAX {
            return false;
        }
        for edge in reversible {
            self.constraints.push(edge);
            if self.resolve() {
                return true;
            }
            self.constraints.pop();
        }
        false
    }

    /// Looks for cycles under the present constraints. `None`: a hard deadlock, or constraints that
    /// contradict each other. An empty list: no cycle. Otherwise the soft edges that might be reversed.
    fn test_configuration(&mut self) -> Option<Vec<SoftEdge>> {
        if !self.expand_constraints() {
            return None;
        }
        let mut starts: Vec<ProcNumber> = Vec::new();
        for constraint in &self.constraints {
            starts.push(constraint.waiter);
            starts.push(constraint.blocker);
        }
        starts.push(self.start);
        let mut soft = Vec::new();
        for start in starts {
            match self.find_cycle(start) {
                Search::NoCycle => {}
                Search::Cycle(edges) if edges.is_empty() => return None,
                Search::Cycle(edges) => soft = edges,
            }
        }
        Some(soft)
    }

    /// Sorts each constrained queue so that its constraints hold; false if that can't be done.
    fn expand_constraints(&mut self) -> bool {
        self.orders.clear();
        let mut tags: Vec<LockTag> = Vec::new();
        for constraint in &self.constraints {
            if !tags.contains(&constraint.tag) {
                tags.push(constraint.tag);
            }
        }
        for tag in tags {
            let Some(lock) = self.view.lock(&tag) else { return false };
            let queue: Vec<ProcNumber> = lock.queue().iter().map(|waiter| waiter.proc).collect();
            let constraints: Vec<&SoftEdge> = self.constraints.iter().filter(|c| c.tag == tag).collect();
            match sort_queue(&queue, &constraints) {
                Some(order) => self.orders.insert(tag, order),
                None => return false,
            };
        }
        true
    }

    fn find_cycle(&mut self, start: ProcNumber) -> Search {
        let mut visited = vec![start];
        let mut path = Vec::new();
        let mut soft = Vec::new();
        if self.follow(start, start, &mut visited, &mut path, &mut soft) {
            if start == self.start || self.cycle.is_empty() {
                self.cycle = path;
            }
            Search::Cycle(soft)
        } else {
            Search::NoCycle
        }
    }

    /// Follows the edges out of `proc`; true if one leads back to `start`. Then `path` is the cycle and
    /// `soft` its soft edges.
    fn follow(
        &self,
        start: ProcNumber,
        proc: ProcNumber,
        visited: &mut Vec<ProcNumber>,
        path: &mut Vec<DeadlockStep>,
        soft: &mut Vec<SoftEdge>,
    ) -> bool {
        let Some((tag, mode)) = self.view.waits_for(proc) else { return false };
        let Some(lock) = self.view.lock(&tag) else { return false };
        path.push(DeadlockStep { proc, tag, mode });
        let conflicts = mode.conflicts();
        let hard = lock.holders().iter().filter(|h| h.proc != proc && conflicts.intersects(h.modes));
        for holder in hard {
            if self.step(start, holder.proc, visited, path, soft) {
                return true;
            }
        }
        let order = self.orders.get(&tag);
        let ahead: Vec<Waiter> = match order {
            Some(order) => order
                .iter()
                .take_while(|p| **p != proc)
                .filter_map(|p| lock.queue().iter().find(|w| w.proc == *p).copied())
                .collect(),
            None => lock.queue().iter().take_while(|w| w.proc != proc).copied().collect(),
        };
        for waiter in ahead.into_iter().filter(|w| conflicts.contains(w.mode)) {
            if self.step(start, waiter.proc, visited, path, soft) {
                soft.push(SoftEdge { waiter: proc, blocker: waiter.proc, tag });
                return true;
            }
        }
        path.pop();
        false
    }

    fn step(
        &self,
        start: ProcNumber,
        to: ProcNumber,
        visited: &mut Vec<ProcNumber>,
        path: &mut Vec<DeadlockStep>,
        soft: &mut Vec<SoftEdge>,
    ) -> bool {
        if to == start {
            return true;
        }
        if visited.contains(&to) {
            return false;
        }
        visited.push(to);
        self.follow(start, to, visited, path, soft)
    }
}

/// Orders `queue` so that each constraint's waiter comes before its blocker, changing as little as
/// possible: from the back, always the last of those whom no constraint holds in front of another.
fn sort_queue(queue: &[ProcNumber], constraints: &[&SoftEdge]) -> Option<Vec<ProcNumber>> {
    let mut remaining: Vec<ProcNumber> = queue.to_vec();
    let mut reversed = Vec::with_capacity(queue.len());
    while !remaining.is_empty() {
        let must_precede =
            |proc: ProcNumber| constraints.iter().any(|c| c.waiter == proc && remaining.contains(&c.blocker));
        let last = (0..remaining.len()).rev().find(|i| !must_precede(remaining[*i]))?;
        reversed.push(remaining.remove(last));
    }
    reversed.reverse();
    Some(reversed)
}
