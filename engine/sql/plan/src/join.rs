//! How to join two relations: as nested loop, hash or merge join, either side first.
//!
//! Realises: `joinpath.c` and the join part of `costsize.c`.

use std::rc::Rc;

use kokkiri_analyze::tree::Relids;
use kokkiri_primitives::Result;
use kokkiri_statistics::selectivity as estimate;

use crate::clause::Clause;
use crate::cost::{self, Cost, EvaluationCost, clamp_rows};
use crate::path::{JoinPath, Path, PathKey, PathKind, Target, add_path};
use crate::plan::JoinType;
use crate::root::{Root, key};
use crate::selectivity::JoinContext;

/// Factors of a semi, anti or unique-inner join (`SemiAntiJoinFactors`).
#[derive(Clone, Copy)]
pub struct MatchFactors {
    outer_match_fraction: f64,
    match_count: f64,
}

/// What all paths of one pair of inputs share.
pub struct Pair<'r> {
    pub joined: &'r Relids,
    pub outer: &'r Relids,
    pub inner: &'r Relids,
    pub join_type: JoinType,
    pub clauses: &'r [Rc<Clause>],
    pub rows: f64,
    pub target: &'r Rc<Target>,
    pub inner_unique: bool,
    pub factors: MatchFactors,
}

impl Root<'_, '_> {
    pub fn join_rows(
        &self,
        joined: &Relids,
        left: f64,
        right: f64,
        join_type: JoinType,
        clauses: &[Rc<Clause>],
    ) -> Result<f64> {
        let context = Some(JoinContext { join_type, inner_rows: right });
        let is_outer = matches!(join_type, JoinType::Left | JoinType::Full | JoinType::Anti);
        let (pushed, own): (Vec<_>, Vec<_>) =
            clauses.iter().cloned().partition(|clause| is_outer && clause.is_pushed_down(joined));
        let join_selectivity = self.clauses_selectivity(&own, 0, context)?;
        let pushed_selectivity = self.clauses_selectivity(&pushed, 0, context)?;
        let product = left * right * join_selectivity;
        Ok(clamp_rows(match join_type {
            JoinType::Inner => product,
            JoinType::Left => product.max(left) * pushed_selectivity,
            JoinType::Full => product.max(left).max(right) * pushed_selectivity,
            JoinType::Semi => left * join_selectivity,
            JoinType::Anti => left * (1.0 - join_selectivity) * pushed_selectivity,
            _ => product,
        }))
    }

    pub fn match_factors(
        &self,
        clauses: &[Rc<Clause>],
        inner_rows: f64,
        join_type: JoinType,
        inner_unique: bool,
        joined: &Relids,
    ) -> Result<MatchFactors> {
        if !(inner_unique || matches!(join_type, JoinType::Semi | JoinType::Anti)) {
            return Ok(MatchFactors { outer_match_fraction: 1.0, match_count: 1.0 });
        }
        let own: Vec<Rc<Clause>> = clauses
            .iter()
            .filter(|clause| {
                !matches!(join_type, JoinType::Left | JoinType::Anti) || !clause.is_pushed_down(joined)
            })
            .cloned()
            .collect();
        // An equality is estimated as what the join is, semi or not, whatever is asked here: of an inner join
        // on a unique key PostgreSQL too takes the fraction of pairs for that of matched rows.
        let own_type = match join_type {
            JoinType::Semi | JoinType::RightSemi => JoinType::Semi,
            JoinType::Anti | JoinType::RightAnti => JoinType::Anti,
            _ => JoinType::Inner,
        };
        // Cached selectivities are of the join's own kind; these are of another.
        let mut semi_selectivity = 1.0;
        let mut inner_selectivity = 1.0;
        for clause in &own {
            let context = JoinContext { join_type: own_type, inner_rows };
            semi_selectivity *= self.selectivity(&clause.expr, 0, Some(context))?;
            let context = JoinContext { join_type: JoinType::Inner, inner_rows };
            inner_selectivity *= self.selectivity(&clause.expr, 0, Some(context))?;
        }
        let match_count = if semi_selectivity > 0.0 {
            (inner_selectivity * inner_rows / semi_selectivity).max(1.0)
        } else {
            1.0
        };
        Ok(MatchFactors { outer_match_fraction: semi_selectivity, match_count })
    }

    /// A unique index over the inner side's join columns proves at most one match (`innerrel_is_unique`).
    pub fn is_unique_for(
        &self,
        inner: &Relids,
        outer: &Relids,
        clauses: &[Rc<Clause>],
        join_type: JoinType,
        joined: &Relids,
    ) -> Result<bool> {
        let Some(base) = inner.singleton().and_then(|relid| self.base.get(&relid)) else { return Ok(false) };
        let is_outer =
            matches!(join_type, JoinType::Left | JoinType::Right | JoinType::Full | JoinType::Anti);
        let usable = |clause: &Clause| !(is_outer && clause.is_pushed_down(joined));
        let equals = |clause: &Clause, column: &kokkiri_analyze::tree::Expression| {
            if clause.merge_families.is_empty() {
                return false;
            }
            let side = clause.sides(outer, inner).map(|(_, side)| side);
            side.is_some_and(|side| crate::expression::same_value(side, column))
        };
        let constant = |clause: &Clause, column: &kokkiri_analyze::tree::Expression| {
            !clause.merge_families.is_empty()
                && clause.operator().is_some_and(|operator| match operator.args.as_slice() {
                    [left, right] => {
                        (clause.right.is_empty() && left == column)
                            || (clause.left.is_empty() && right == column)
                    }
                    _ => false,
                })
        };
        if let crate::relation::BaseKind::Subquery(subquery) = &base.kind {
            return Ok(!subquery.distinct_columns.is_empty()
                && subquery.distinct_columns.iter().all(|&column| {
                    clauses.iter().any(|clause| {
                        usable(clause)
                            && !clause.merge_families.is_empty()
                            && clause.sides(outer, inner).is_some_and(|(_, side)| {
                                matches!(side, kokkiri_analyze::tree::Expression::Var(var) if var.varattno == column)
                            })
                    })
                }));
        }
        Ok(base
            .indexes
            .iter()
            .filter(|index| {
                index.unique && index.immediate && index.predicate_holds && index.predicate.is_empty()
            })
            .any(|index| {
                (0..index.key_count).all(|column| {
                    clauses.iter().any(|clause| usable(clause) && equals(clause, &index.columns[column]))
                        || base.restrictions.iter().any(|clause| constant(clause, &index.columns[column]))
                })
            }))
    }

    /// A semi join whose inner side has at most one match for each outer row is an inner join
    /// (`reduce_unique_semijoins`).
    pub fn reduce_unique_semi_joins(&mut self) -> Result<()> {
        for special in std::mem::take(&mut self.special_joins) {
            let mut reduced = false;
            if special.join_type == JoinType::Semi
                && let Some(relid) = special.min_right.singleton()
                && self.base.contains_key(&relid)
            {
                let joined = special.min_left.union(&special.min_right);
                let (left, right) = (&special.min_left, &special.min_right);
                let mut clauses = self.join_implied_equalities(left, right, &joined)?;
                clauses.extend(self.base[&relid].join_clauses.iter().cloned());
                reduced = self.is_unique_for(right, left, &clauses, JoinType::Semi, &joined)?;
            }
            if !reduced {
                self.special_joins.push(special);
            }
        }
        Ok(())
    }

    pub fn pair_paths(&mut self, pair: &Pair<'_>, paths: &mut Vec<Rc<Path>>) -> Result<()> {
        let outer_paths = self.rels[&key(pair.outer)].paths.clone();
        let inner_paths = self.rels[&key(pair.inner)].paths.clone();
        self.nest_loops(pair, &outer_paths, &inner_paths, paths)?;
        self.hash_joins(pair, &outer_paths, &inner_paths, paths)?;
        self.merge_joins(pair, &outer_paths, &inner_paths, paths)
    }

    pub fn join_path(
        &self,
        pair: &Pair<'_>,
        kind: PathKind,
        required_outer: Relids,
        cost: Cost,
        disabled_nodes: usize,
        pathkeys: Vec<PathKey>,
    ) -> Path {
        Path {
            kind,
            relids: pair.joined.clone(),
            required_outer,
            target: Rc::clone(pair.target),
            rows: pair.rows,
            cost,
            disabled_nodes,
            pathkeys,
        }
    }

    pub fn clause_cost(clauses: &[Rc<Clause>]) -> EvaluationCost {
        clauses.iter().fold(EvaluationCost::default(), |sum, clause| sum + clause.cost)
    }

    fn nest_loops(
        &mut self,
        pair: &Pair<'_>,
        outer_paths: &[Rc<Path>],
        inner_paths: &[Rc<Path>],
        paths: &mut Vec<Rc<Path>>,
    ) -> Result<()> {
        if matches!(
            pair.join_type,
            JoinType::Right | JoinType::Full | JoinType::RightSemi | JoinType::RightAnti
        ) {
            return Ok(());
        }
        let mut candidates: Vec<Rc<Path>> = inner_paths.to_vec();
        if let Some(cheapest) = crate::path::cheapest_total(inner_paths)
            && self.global.cost.enable.material
            && !matches!(cheapest.kind, PathKind::Material { .. })
        {
            let cost = cost::material(&self.global.cost, cheapest.cost, cheapest.rows, cheapest.target.width);
            candidates.push(Rc::new(Path {
                kind: PathKind::Material { input: Rc::clone(&cheapest) },
                cost,
                ..(*cheapest).clone()
            }));
        }
        for outer in outer_paths {
            if outer.required_outer.overlaps(pair.inner) {
                continue;
            }
            for inner in &candidates {
                let mut required = inner.required_outer.difference(pair.outer);
                required.add_all(&outer.required_outer);
                if required.overlaps(pair.joined) {
                    continue;
                }
                // Only the cheapest inner path matters unless it is given values by the outer side.
                let path = self.nest_loop_cost(pair, outer, inner, required);
                add_path(paths, path);
            }
        }
        Ok(())
    }

    fn nest_loop_cost(&self, pair: &Pair<'_>, outer: &Rc<Path>, inner: &Rc<Path>, required: Relids) -> Path {
        let p = &self.global.cost;
        let outer_rows = outer.rows.max(1.0);
        let inner_rows = inner.rows.max(1.0);
        let rescan = self.rescan_cost(inner);
        let mut startup = outer.cost.startup + inner.cost.startup;
        let mut run = outer.cost.run();
        if outer.rows > 1.0 {
            run += (outer.rows - 1.0) * rescan.startup;
        }
        let inner_run = inner.cost.run();
        let rescan_run = rescan.run();
        // What the inner scan checks itself is not checked again.
        let checked = |clause: &Rc<Clause>| scan_checks(inner, clause, pair.outer);
        let clauses: Vec<Rc<Clause>> =
            pair.clauses.iter().filter(|clause| !checked(clause)).cloned().collect();
        let semi_like = pair.inner_unique || matches!(pair.join_type, JoinType::Semi | JoinType::Anti);
        let tuples = if semi_like {
            let mut matched = (outer_rows * pair.factors.outer_match_fraction).round_ties_even();
            let mut unmatched = outer_rows - matched;
            let fraction = 2.0 / (pair.factors.match_count + 1.0);
            let mut visited = matched * inner_rows * fraction;
            let indexed = clauses.is_empty()
                && matches!(&inner.kind, PathKind::IndexScan(_) | PathKind::BitmapHeapScan { .. })
                && !inner.required_outer.is_empty();
            if indexed {
                run += inner_run * fraction;
                if matched > 1.0 {
                    run += (matched - 1.0) * rescan_run * fraction;
                }
                run += unmatched * rescan_run / inner_rows;
            } else {
                visited += unmatched * inner_rows;
                run += inner_run;
                if unmatched >= 1.0 {
                    unmatched -= 1.0;
                } else {
                    matched -= 1.0;
                }
                run += matched.max(0.0) * rescan_run * fraction + unmatched.max(0.0) * rescan_run;
            }
            visited
        } else {
            run += inner_run;
            if outer.rows > 1.0 {
                run += (outer.rows - 1.0) * rescan_run;
            }
            outer_rows * inner_rows
        };
        let qual = Self::clause_cost(&clauses);
        startup += qual.startup;
        run += (p.cpu_tuple_cost + qual.per_tuple) * tuples;
        let join = JoinPath {
            join_type: pair.join_type,
            outer: Rc::clone(outer),
            inner: Rc::clone(inner),
            inner_unique: pair.inner_unique,
            clauses,
        };
        let disabled = usize::from(!p.enable.nestloop) + outer.disabled_nodes + inner.disabled_nodes;
        let cost = Cost { startup, total: startup + run };
        self.join_path(pair, PathKind::NestLoop(join), required, cost, disabled, outer.pathkeys.clone())
    }

    /// Cost of running a path again (`cost_rescan`).
    fn rescan_cost(&self, path: &Path) -> Cost {
        match &path.kind {
            PathKind::Material { .. } | PathKind::Sort { .. } => {
                cost::materialized_rescan(&self.global.cost, path.rows, path.target.width)
            }
            PathKind::FunctionScan { .. } => Cost { startup: 0.0, total: path.cost.run() },
            PathKind::HashJoin { batches, .. } if *batches <= 1.0 => {
                Cost { startup: 0.0, total: path.cost.run() }
            }
            _ => path.cost,
        }
    }

    fn hash_joins(
        &mut self,
        pair: &Pair<'_>,
        outer_paths: &[Rc<Path>],
        inner_paths: &[Rc<Path>],
        paths: &mut Vec<Rc<Path>>,
    ) -> Result<()> {
        let is_outer = !matches!(pair.join_type, JoinType::Inner | JoinType::Semi | JoinType::RightSemi);
        let hash_clauses: Vec<Rc<Clause>> = pair
            .clauses
            .iter()
            .filter(|clause| {
                clause.can_hash
                    && !(is_outer && clause.is_pushed_down(pair.joined))
                    && clause.sides(pair.outer, pair.inner).is_some()
            })
            .cloned()
            .collect();
        if hash_clauses.is_empty() {
            return Ok(());
        }
        let Some(inner) = crate::path::cheapest_total(inner_paths) else { return Ok(()) };
        let cheapest = crate::path::cheapest_total(outer_paths);
        let quickest = outer_paths
            .iter()
            .filter(|path| path.required_outer.is_empty())
            .min_by(|a, b| a.cost.startup.total_cmp(&b.cost.startup));
        for outer in cheapest.iter().chain(quickest) {
            let path = self.hash_join_cost(pair, outer, &inner, &hash_clauses)?;
            add_path(paths, path);
        }
        Ok(())
    }

    fn hash_join_cost(
        &self,
        pair: &Pair<'_>,
        outer: &Rc<Path>,
        inner: &Rc<Path>,
        hash_clauses: &[Rc<Clause>],
    ) -> Result<Path> {
        let p = &self.global.cost;
        let count = hash_clauses.len() as f64;
        let mut startup = outer.cost.startup + inner.cost.total;
        let mut run = outer.cost.run();
        startup += (p.cpu_operator_cost * count + p.cpu_tuple_cost) * inner.rows;
        run += p.cpu_operator_cost * count * outer.rows;
        let (buckets, batches) = cost::hash_table_size(p, inner.rows, inner.target.width);
        if batches > 1.0 {
            let inner_pages = cost::relation_pages(inner.rows, inner.target.width);
            let outer_pages = cost::relation_pages(outer.rows, outer.target.width);
            startup += p.seq_page_cost * inner_pages;
            run += p.seq_page_cost * (inner_pages + 2.0 * outer_pages);
        }
        let virtual_buckets = buckets * batches;
        let (mut bucket, mut common) = (1.0f64, 1.0f64);
        for clause in hash_clauses {
            let Some((_, side)) = clause.sides(pair.outer, pair.inner) else { continue };
            let (size, most) = estimate::hash_bucket(&self.examine(side)?.variable(), virtual_buckets);
            bucket = bucket.min(size);
            common = common.min(most);
        }
        if cost::relation_bytes(clamp_rows(inner.rows * common), inner.target.width) > p.hash_memory() {
            startup += 1.0e10;
        }
        let hash_cost = Self::clause_cost(hash_clauses);
        let other_cost = Self::clause_cost(pair.clauses) - hash_cost;
        let tuples = if pair.inner_unique || matches!(pair.join_type, JoinType::Semi | JoinType::Anti) {
            let matched = (outer.rows * pair.factors.outer_match_fraction).round_ties_even();
            let fraction = 2.0 / (pair.factors.match_count + 1.0);
            startup += hash_cost.startup;
            run += hash_cost.per_tuple * matched * clamp_rows(inner.rows * bucket * fraction) * 0.5;
            run += hash_cost.per_tuple
                * (outer.rows - matched)
                * clamp_rows(inner.rows / virtual_buckets)
                * 0.05;
            if pair.join_type == JoinType::Anti { outer.rows - matched } else { matched }
        } else {
            startup += hash_cost.startup;
            run += hash_cost.per_tuple * outer.rows * clamp_rows(inner.rows * bucket) * 0.5;
            self.approximate_rows(outer, inner, hash_clauses)?
        };
        startup += other_cost.startup;
        run += (p.cpu_tuple_cost + other_cost.per_tuple) * tuples;
        let join = JoinPath {
            join_type: pair.join_type,
            outer: Rc::clone(outer),
            inner: Rc::clone(inner),
            inner_unique: pair.inner_unique,
            clauses: pair.clauses.to_vec(),
        };
        let disabled = usize::from(!p.enable.hashjoin) + outer.disabled_nodes + inner.disabled_nodes;
        let kind = PathKind::HashJoin { join, clauses: hash_clauses.to_vec(), batches };
        let cost = Cost { startup, total: startup + run };
        // The table may be split into batches, which loses the outer side's order.
        Ok(self.join_path(pair, kind, Relids::new(), cost, disabled, Vec::new()))
    }

    /// Rows that pass some join conditions, for costing (`approx_tuple_count`).
    pub fn approximate_rows(&self, outer: &Path, inner: &Path, clauses: &[Rc<Clause>]) -> Result<f64> {
        let mut selectivity = 1.0;
        for clause in clauses {
            let context = JoinContext { join_type: JoinType::Inner, inner_rows: inner.rows };
            selectivity *= self.clause_selectivity(clause, 0, Some(context))?;
        }
        Ok(clamp_rows(selectivity * outer.rows * inner.rows))
    }
}

/// True if a parameterised scan checks the clause itself, or, of the same equivalence class, another one
/// whose other side comes from the same outer rows: there the two sides are equal already.
fn scan_checks(path: &Path, clause: &Rc<Clause>, outer: &Relids) -> bool {
    let class_of =
        |clause: &Clause| clause.left_class.get().filter(|_| clause.left_class == clause.right_class);
    let beyond = |clause: &Clause| clause.mentions.difference(&path.relids);
    match &path.kind {
        PathKind::IndexScan(scan) => {
            scan.index_clauses.iter().map(|index| &index.clause).chain(&scan.filter).any(|other| {
                Rc::ptr_eq(other, clause)
                    || (class_of(other).is_some()
                        && class_of(other) == class_of(clause)
                        && beyond(other).is_subset_of(outer)
                        && beyond(clause).is_subset_of(outer))
            })
        }
        PathKind::BitmapHeapScan { bitmap, .. } => bitmap.joined.iter().any(|other| {
            Rc::ptr_eq(other, clause)
                || (class_of(other).is_some()
                    && class_of(other) == class_of(clause)
                    && beyond(other).is_subset_of(outer)
                    && beyond(clause).is_subset_of(outer))
        }),
        PathKind::Material { input } => scan_checks(input, clause, outer),
        _ => false,
    }
}
