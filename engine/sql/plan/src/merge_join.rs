//! Merge joins: which orders to merge by, and what they cost.
//!
//! Realises: `sort_inner_and_outer`, `match_unsorted_outer` and `final_cost_mergejoin`.

use std::rc::Rc;

use kokkiri_analyze::tree::Relids;
use kokkiri_primitives::Result;

use crate::clause::Clause;
use crate::cost::{self, Cost, clamp_rows};
use crate::join::Pair;
use crate::path::{JoinPath, Path, PathKey, PathKind, add_path, order_satisfies};
use crate::plan::JoinType;
use crate::root::Root;

impl Root<'_, '_> {
    pub fn merge_joins(
        &mut self,
        pair: &Pair<'_>,
        outer_paths: &[Rc<Path>],
        inner_paths: &[Rc<Path>],
        paths: &mut Vec<Rc<Path>>,
    ) -> Result<()> {
        if pair.join_type == JoinType::RightSemi {
            return Ok(());
        }
        let is_outer = !matches!(pair.join_type, JoinType::Inner | JoinType::Semi);
        let merge_clauses: Vec<Rc<Clause>> = pair
            .clauses
            .iter()
            .filter(|clause| {
                let belongs = !is_outer || !clause.is_pushed_down(pair.joined);
                belongs
                    && !clause.merge_families.is_empty()
                    && clause.sides(pair.outer, pair.inner).is_some()
                    && clause.left_class.get().is_some()
            })
            .cloned()
            .collect();
        // A right or full join must check every own condition by merging, constants aside.
        let needs_all = matches!(pair.join_type, JoinType::Right | JoinType::RightAnti | JoinType::Full);
        let is_constant =
            |clause: &Clause| matches!(clause.expr, kokkiri_analyze::tree::Expression::Const(_));
        let own = pair
            .clauses
            .iter()
            .filter(|clause| !clause.is_pushed_down(pair.joined) && !is_constant(clause))
            .count();
        if needs_all && own != merge_clauses.len() {
            return Ok(());
        }
        if merge_clauses.is_empty() && pair.join_type != JoinType::Full {
            return Ok(());
        }
        let (Some(cheapest_outer), Some(cheapest_inner)) =
            (crate::path::cheapest_total(outer_paths), crate::path::cheapest_total(inner_paths))
        else {
            return Ok(());
        };
        if merge_clauses.is_empty() {
            // A full join on a constant: all rows are of one key.
            let path = self.merge_join_cost(pair, &cheapest_outer, &cheapest_inner, &[], &[], true)?;
            add_path(paths, path);
            return Ok(());
        }
        let mut tried: Vec<Vec<PathKey>> = Vec::new();
        for outer in outer_paths.iter().filter(|path| path.required_outer.is_empty()) {
            let by_cheapest = Rc::ptr_eq(outer, &cheapest_outer);
            let keys = self.merge_order(&merge_clauses, &outer.pathkeys, pair);
            if keys.is_empty() || (outer.pathkeys.is_empty() && !by_cheapest) {
                continue;
            }
            if !order_satisfies(&outer.pathkeys, &keys[..1]) && !by_cheapest {
                continue;
            }
            let sorted_outer = order_satisfies(&outer.pathkeys, &keys);
            let mut inners: Vec<Rc<Path>> = vec![Rc::clone(&cheapest_inner)];
            // An outer side that must be sorted is tried with the cheapest inner path alone.
            let outer_has_order = order_satisfies(&outer.pathkeys, &keys[..1]);
            inners.extend(
                inner_paths
                    .iter()
                    .filter(|path| {
                        outer_has_order
                            && path.required_outer.is_empty()
                            && !path.pathkeys.is_empty()
                            && self.inner_keys_match(&path.pathkeys, &keys)
                    })
                    .cloned(),
            );
            for inner in inners {
                let path = self.merge_join_cost(pair, outer, &inner, &merge_clauses, &keys, sorted_outer)?;
                add_path(paths, path);
            }
            tried.push(keys);
        }
        // Sort the cheapest outer path explicitly, by the order the query wants if that can be had.
        if !cheapest_outer.pathkeys.is_empty() {
            let keys = self.merge_order(&merge_clauses, &[], pair);
            if !tried.contains(&keys) {
                let path = self.merge_join_cost(
                    pair,
                    &cheapest_outer,
                    &cheapest_inner,
                    &merge_clauses,
                    &keys,
                    false,
                )?;
                add_path(paths, path);
            }
        }
        Ok(())
    }

    fn inner_keys_match(&self, order: &[PathKey], keys: &[PathKey]) -> bool {
        order_satisfies(order, keys)
    }

    /// The order to merge in: the outer path's own as far as it goes, else that of the query first.
    fn merge_order(&self, clauses: &[Rc<Clause>], outer: &[PathKey], pair: &Pair<'_>) -> Vec<PathKey> {
        let mut keys: Vec<PathKey> = Vec::new();
        let class_of = |clause: &Rc<Clause>| {
            let outer_on_left = clause.left.is_subset_of(pair.outer);
            let class = if outer_on_left { clause.left_class.get() } else { clause.right_class.get() };
            class.map(|class| self.class(class))
        };
        let mut remaining: Vec<usize> = Vec::new();
        for clause in clauses {
            if let Some(class) = class_of(clause)
                && !remaining.contains(&class)
            {
                remaining.push(class);
            }
        }
        let wanted = if outer.is_empty() { &self.query_order[..] } else { outer };
        for key in wanted {
            let Some(at) = remaining.iter().position(|class| *class == key.class) else { break };
            remaining.remove(at);
            keys.push(key.clone());
        }
        for class in remaining {
            if let Some(&family) = self.classes[class].families.first() {
                keys.push(PathKey { class, family, descending: false, nulls_first: false });
            }
        }
        keys
    }

    /// The parts of outer and inner input that a merge on the first key reads (`mergejoinscansel`).
    fn scanned_parts(
        &self,
        pair: &Pair<'_>,
        merge_clauses: &[Rc<Clause>],
        keys: &[PathKey],
    ) -> Result<(ScannedPart, ScannedPart)> {
        let all = (ScannedPart::ALL, ScannedPart::ALL);
        let (Some(key), false) = (keys.first(), pair.join_type == JoinType::Full) else { return Ok(all) };
        let first = merge_clauses.iter().find(|clause| {
            let on_left = clause.left.is_subset_of(pair.outer);
            let class = if on_left { clause.left_class.get() } else { clause.right_class.get() };
            class.map(|class| self.class(class)) == Some(key.class)
        });
        let Some(clause) = first else { return Ok(all) };
        let Some((outer, inner)) = clause.sides(pair.outer, pair.inner) else { return Ok(all) };
        let collation = clause.operator().map_or(kokkiri_primitives::Oid::INVALID, |op| op.inputcollid);
        let swapped = !clause.left.is_subset_of(pair.outer);
        let known =
            clause.merge_ranges.borrow().iter().find(|(known, _)| known == key).map(|(_, ranges)| *ranges);
        let ranges = match known {
            Some(known) => known,
            None => {
                let (left, right) = if swapped { (inner, outer) } else { (outer, inner) };
                let found = self.merge_ranges(left, right, key, collation)?;
                clause.merge_ranges.borrow_mut().push((key.clone(), found));
                found
            }
        };
        let Some((left, right)) = ranges else { return Ok(all) };
        let (outer, inner) = if swapped { (right, left) } else { (left, right) };
        let part = |(start, end): (f64, f64)| ScannedPart { start, end, ..ScannedPart::ALL };
        let whole = |range: (f64, f64), is_whole: bool| if is_whole { (0.0, 1.0) } else { range };
        let whole_outer = matches!(pair.join_type, JoinType::Left | JoinType::Anti);
        let whole_inner = matches!(pair.join_type, JoinType::Right | JoinType::RightAnti);
        Ok((part(whole(outer, whole_outer)), part(whole(inner, whole_inner))))
    }

    fn merge_join_cost(
        &self,
        pair: &Pair<'_>,
        outer: &Rc<Path>,
        inner: &Rc<Path>,
        merge_clauses: &[Rc<Clause>],
        keys: &[PathKey],
        sorted_outer: bool,
    ) -> Result<Path> {
        let p = &self.global.cost;
        // Inner classes of outer joins' conditions may differ from the outer ones: sort by the clause.
        let same_classes = merge_clauses.iter().all(|clause| {
            clause.left_class.get().map(|class| self.class(class))
                == clause.right_class.get().map(|class| self.class(class))
        });
        let sorted_inner = same_classes && order_satisfies(&inner.pathkeys, keys);
        let sorted = |path: &Path, is_sorted: bool| {
            if is_sorted { path.cost } else { cost::sort(p, path.cost, path.rows, path.target.width, None) }
        };
        let (outer_cost, inner_cost) = (sorted(outer, sorted_outer), sorted(inner, sorted_inner));
        let (outer_part, inner_part) = self.scanned_parts(pair, merge_clauses, keys)?;
        let outer_part = outer_part.of_rows(outer.rows.max(1.0));
        let inner_part = inner_part.of_rows(inner.rows.max(1.0));
        let merge_cost = Self::clause_cost(merge_clauses);
        let other_cost = Self::clause_cost(pair.clauses) - merge_cost;
        let skip_mark_restore = (pair.inner_unique
            || matches!(pair.join_type, JoinType::Semi | JoinType::Anti))
            && pair.clauses.len() == merge_clauses.len();
        let tuples = self.approximate_rows(outer, inner, merge_clauses)?;
        let rescanned = if skip_mark_restore { 0.0 } else { (tuples - inner.rows.max(1.0)).max(0.0) };
        let ratio = 1.0 + rescanned / inner_part.end_rows;
        let inner_run = inner_cost.run() * inner_part.share();
        let bare = inner_run * ratio;
        let materialized = inner_run + p.cpu_operator_cost * inner_part.end_rows * ratio;
        let can_mark = !sorted_inner
            || matches!(
                inner.kind,
                PathKind::IndexScan(_) | PathKind::Material { .. } | PathKind::Sort { .. }
            );
        let materialize = !skip_mark_restore
            && ((p.enable.material && materialized < bare)
                || (sorted_inner && !can_mark)
                || (p.enable.material
                    && !sorted_inner
                    && cost::relation_bytes(inner.rows, inner.target.width) > p.work_mem));
        let mut startup = outer_cost.startup
            + outer_cost.run() * outer_part.start
            + inner_cost.startup
            + inner_cost.run() * inner_part.start;
        let mut run = outer_cost.run() * outer_part.share() + if materialize { materialized } else { bare };
        startup += merge_cost.startup;
        startup += merge_cost.per_tuple * (outer_part.start_rows + inner_part.start_rows * ratio);
        run += merge_cost.per_tuple
            * ((outer_part.end_rows - outer_part.start_rows)
                + (inner_part.end_rows - inner_part.start_rows) * ratio);
        startup += other_cost.startup;
        run += (p.cpu_tuple_cost + other_cost.per_tuple) * tuples;
        let sort_disabled =
            usize::from(!p.enable.sort) * (usize::from(!sorted_outer) + usize::from(!sorted_inner));
        let disabled =
            usize::from(!p.enable.mergejoin) + outer.disabled_nodes + inner.disabled_nodes + sort_disabled;
        let pathkeys = match pair.join_type {
            JoinType::Right | JoinType::Full | JoinType::RightAnti => Vec::new(),
            _ if sorted_outer => outer.pathkeys.clone(),
            _ => keys.to_vec(),
        };
        let join = JoinPath {
            join_type: pair.join_type,
            outer: Rc::clone(outer),
            inner: Rc::clone(inner),
            inner_unique: pair.inner_unique,
            clauses: pair.clauses.to_vec(),
        };
        let kind = PathKind::MergeJoin {
            join,
            clauses: merge_clauses.to_vec(),
            outer_sort: if sorted_outer { Vec::new() } else { keys.to_vec() },
            inner_sort: if sorted_inner { Vec::new() } else { keys.to_vec() },
            materialize,
            skip_mark_restore,
            merge_keys: keys.to_vec(),
        };
        Ok(self.join_path(
            pair,
            kind,
            Relids::new(),
            Cost { startup, total: startup + run },
            disabled,
            pathkeys,
        ))
    }
}

/// Which part of a merge join's input is read: it ends as soon as the other input has.
#[derive(Clone, Copy)]
struct ScannedPart {
    start: f64,
    end: f64,
    start_rows: f64,
    end_rows: f64,
}

impl ScannedPart {
    const ALL: Self = Self { start: 0.0, end: 1.0, start_rows: 0.0, end_rows: 1.0 };

    /// The part in whole rows, and again as fractions.
    fn of_rows(self, rows: f64) -> Self {
        let start_rows = (rows * self.start).round_ties_even();
        let end_rows = clamp_rows(rows * self.end);
        Self { start: start_rows / rows, end: end_rows / rows, start_rows, end_rows }
    }

    fn share(self) -> f64 {
        self.end - self.start
    }
}
