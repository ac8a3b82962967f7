//! Which joins to make, in what order and how.
//!
//! Realises: `joinrels.c`, `joinpath.c`, `standard_join_search` and the join part of `costsize.c`. Up to
//! [`SEARCH_LIMIT`] relations every order is tried by dynamic programming, bushy ones included; beyond
//! that the cheapest join available is made again and again.

use std::rc::Rc;

use kokkiri_analyze::tree::Relids;
use kokkiri_primitives::{Error, Result, activity};
use kokkiri_statistics::selectivity as estimate;

use crate::clause::Clause;
use crate::cost::{self, Cost, EvaluationCost, clamp_rows};
use crate::path::{JoinPath, Path, PathKey, PathKind, Target, add_path, order_satisfies};
use crate::plan::JoinType;
use crate::relation::{Rel, SpecialJoin};
use crate::root::{Root, key};
use crate::selectivity::JoinContext;

const SEARCH_LIMIT: usize = 12;

/// Factors of a semi, anti or unique-inner join (`SemiAntiJoinFactors`).
#[derive(Clone, Copy)]
struct MatchFactors {
    outer_match_fraction: f64,
    match_count: f64,
}

/// What all paths of one pair of inputs share.
struct Pair<'r> {
    joined: &'r Relids,
    outer: &'r Relids,
    inner: &'r Relids,
    join_type: JoinType,
    clauses: &'r [Rc<Clause>],
    rows: f64,
    target: &'r Rc<Target>,
    inner_unique: bool,
    factors: MatchFactors,
}

impl Root<'_, '_> {
    /// Joins all base relations; answers the key of the final relation.
    pub fn search_joins(&mut self) -> Result<Vec<u32>> {
        let start: Vec<Relids> = self.base.keys().map(|&relid| Relids::single(relid)).collect();
        if start.len() <= 1 {
            return Ok(start.first().map(key).unwrap_or_default());
        }
        if start.len() > SEARCH_LIMIT {
            return self.search_greedily(start);
        }
        let count = start.len();
        let mut levels: Vec<Vec<Relids>> = vec![Vec::new(), start];
        for level in 2..=count {
            let made = self.search_level(&levels, level)?;
            levels.push(made);
        }
        match levels[count].first() {
            Some(last) => Ok(key(last)),
            None => Err(Error::internal(format!("failed to build any {count}-way joins"))),
        }
    }

    /// All joins of `level` relations, in the order that PostgreSQL finds them (`join_search_one_level`):
    /// the smaller ones with a single relation each, then bushy ones.
    fn search_level(&mut self, levels: &[Vec<Relids>], level: usize) -> Result<Vec<Relids>> {
        let mut made: Vec<Relids> = Vec::new();
        let mut pairs: Vec<(&Relids, &Relids, bool)> = Vec::new();
        for (at, old) in levels[level - 1].iter().enumerate() {
            let tied = self.is_tied(old);
            let singles = if level == 2 { &levels[1][at + 1..] } else { &levels[1][..] };
            pairs.extend(singles.iter().map(|single| (old, single, tied)));
        }
        for size in 2..=level / 2 {
            for (at, old) in levels[size].iter().enumerate().filter(|(_, old)| self.is_tied(old)) {
                let from = if size == level - size { at + 1 } else { 0 };
                pairs.extend(levels[level - size][from..].iter().map(|other| (old, other, true)));
            }
        }
        for (a, b, tied) in pairs {
            if !a.overlaps(b) && (!tied || self.should_join(a, b)) {
                self.try_join(a, b, &mut made)?;
            }
        }
        // Nothing ties any two together: every product is tried.
        if made.is_empty() {
            for old in &levels[level - 1] {
                for single in levels[1].iter().filter(|single| !single.overlaps(old)) {
                    self.try_join(old, single, &mut made)?;
                }
            }
        }
        if made.is_empty() {
            for size in 2..=level / 2 {
                for old in &levels[size] {
                    for other in levels[level - size].iter().filter(|other| !other.overlaps(old)) {
                        self.try_join(old, other, &mut made)?;
                    }
                }
            }
        }
        Ok(made)
    }

    fn try_join(&mut self, a: &Relids, b: &Relids, made: &mut Vec<Relids>) -> Result<()> {
        activity::check_for_interrupts()?;
        if let Some(joined) = self.make_join(a, b)?
            && !made.contains(&joined)
        {
            made.push(joined);
        }
        Ok(())
    }

    fn search_greedily(&mut self, mut left: Vec<Relids>) -> Result<Vec<u32>> {
        while left.len() > 1 {
            let mut best: Option<(f64, usize, usize, Relids)> = None;
            for desperate in [false, true] {
                for a in 0..left.len() {
                    for b in a + 1..left.len() {
                        activity::check_for_interrupts()?;
                        if !desperate && !self.should_join(&left[a], &left[b]) {
                            continue;
                        }
                        let (l, r) = (left[a].clone(), left[b].clone());
                        let Some(joined) = self.make_join(&l, &r)? else { continue };
                        let cheapest = self.rels.get(&key(&joined)).and_then(Rel::cheapest);
                        let Some(path) = cheapest else { continue };
                        if best.as_ref().is_none_or(|(cost, ..)| path.cost.total < *cost) {
                            best = Some((path.cost.total, a, b, joined));
                        }
                    }
                }
                if best.is_some() {
                    break;
                }
            }
            let Some((_, a, b, joined)) = best else {
                return Err(Error::internal("failed to build any join"));
            };
            left.remove(b);
            left[a] = joined;
        }
        Ok(key(&left[0]))
    }

    /// Conditions or the order of outer joins say what the relation should be joined with; one that
    /// nothing ties is joined with all others.
    fn is_tied(&self, rel: &Relids) -> bool {
        let class_beyond = |class: &crate::equivalence::EquivalenceClass| {
            class.merged_into.is_none()
                && !class.has_constant
                && !class.sources.is_empty()
                && class.relids.overlaps(rel)
                && !class.relids.is_subset_of(rel)
        };
        rel.iter().filter_map(|relid| self.base.get(&relid)).any(|base| {
            !base.lateral.is_subset_of(rel)
                || base.join_clauses.iter().any(|clause| !clause.required.is_subset_of(rel))
        }) || self.classes.iter().any(class_beyond)
            || self.base.values().any(|base| base.lateral.overlaps(rel))
            || self.special_joins.iter().any(|special| {
                special.join_type != JoinType::Full
                    && !(special.min_left.is_subset_of(rel) && special.min_right.is_subset_of(rel))
                    && (special.min_left.overlaps(rel) || special.min_right.overlaps(rel))
            })
    }

    /// Some condition, or the order that outer joins demand, ties the two together.
    fn should_join(&self, a: &Relids, b: &Relids) -> bool {
        self.has_clause_between(a, b) || self.order_ties(a, b)
    }

    fn has_clause_between(&self, a: &Relids, b: &Relids) -> bool {
        let clause_between = a
            .iter()
            .filter_map(|relid| self.base.get(&relid))
            .any(|base| base.join_clauses.iter().any(|clause| clause.required.overlaps(b)));
        let class_between = || {
            self.classes.iter().any(|class| {
                class.merged_into.is_none()
                    && !class.has_constant
                    && !class.sources.is_empty()
                    && class.relids.overlaps(a)
                    && class.relids.overlaps(b)
            })
        };
        clause_between || class_between()
    }

    /// Joins that must be made for the sake of a LATERAL item, an outer join on a condition that ties
    /// nothing, or one whose side consists of both (`have_join_order_restriction`).
    fn order_ties(&self, a: &Relids, b: &Relids) -> bool {
        let lateral = |rel: &Relids, other: &Relids| {
            rel.iter().filter_map(|relid| self.base.get(&relid)).any(|base| base.lateral.overlaps(other))
        };
        if lateral(a, b) || lateral(b, a) {
            return true;
        }
        let demanded = self.special_joins.iter().any(|special| {
            special.join_type != JoinType::Full
                && ((special.min_left.is_subset_of(a) && special.min_right.is_subset_of(b))
                    || (special.min_left.is_subset_of(b) && special.min_right.is_subset_of(a))
                    || (special.min_right.overlaps(a) && special.min_right.overlaps(b))
                    || (special.min_left.overlaps(a) && special.min_left.overlaps(b)))
        });
        // Not by force if either can be joined to something by a condition.
        demanded && !self.has_legal_clause(a) && !self.has_legal_clause(b)
    }

    fn has_legal_clause(&self, rel: &Relids) -> bool {
        self.base.keys().map(|&relid| Relids::single(relid)).any(|other| {
            !other.overlaps(rel)
                && self.has_clause_between(rel, &other)
                && self.legality(rel, &other).is_some()
        })
    }

    /// Whether two relations may be joined, and as what (`join_is_legal`). The answer says whether the
    /// first is the special join's right side.
    fn legality(&self, a: &Relids, b: &Relids) -> Option<(Option<SpecialJoin>, bool)> {
        let joined = a.union(b);
        let mut found: Option<(SpecialJoin, bool)> = None;
        // The sides of a full join are joined within themselves, then with each other, then with others.
        for special in self.special_joins.iter().filter(|special| special.join_type == JoinType::Full) {
            let (left, right) = (&special.syntactic_left, &special.syntactic_right);
            let is_within = |rel: &Relids| rel.is_subset_of(left) || rel.is_subset_of(right);
            let concerns = |rel: &Relids| rel.overlaps(left) || rel.overlaps(right);
            let is_done = |rel: &Relids| left.is_subset_of(rel) && right.is_subset_of(rel);
            let is_this = left.is_subset_of(a) && right.is_subset_of(b)
                || left.is_subset_of(b) && right.is_subset_of(a);
            let may = is_within(&joined)
                || is_this && is_within(a) && is_within(b)
                || (is_done(a) || !concerns(a)) && (is_done(b) || !concerns(b));
            if !may {
                return None;
            }
        }
        // A join into the right side of an outer join not made yet: legal only as a left join whose
        // condition rejects what that one null-extends.
        let mut must_be_strict_left = false;
        for special in &self.special_joins {
            // Not concerned, or done already within one side.
            if !special.min_right.overlaps(&joined)
                || joined.is_subset_of(&special.min_right)
                || (special.min_left.is_subset_of(a) && special.min_right.is_subset_of(a))
                || (special.min_left.is_subset_of(b) && special.min_right.is_subset_of(b))
            {
                continue;
            }
            let forward = special.min_left.is_subset_of(a) && special.min_right.is_subset_of(b);
            let backward = special.min_left.is_subset_of(b) && special.min_right.is_subset_of(a);
            if forward || backward {
                if found.is_some() {
                    return None;
                }
                found = Some((special.clone(), backward));
            } else if special.min_right.overlaps(a) && special.min_right.overlaps(b) {
                // Both have a part of the right side: one of them was found legal before.
            } else if special.join_type != JoinType::Left || joined.overlaps(&special.min_left) {
                return None;
            } else {
                must_be_strict_left = true;
            }
        }
        let is_strict_left = |found: &Option<(SpecialJoin, bool)>| {
            found
                .as_ref()
                .is_some_and(|(special, _)| special.join_type == JoinType::Left && special.strict_left)
        };
        if must_be_strict_left && !is_strict_left(&found) {
            return None;
        }
        // A LATERAL reference must be satisfied by the other side, which then is the outer one.
        let lateral = |rel: &Relids| {
            rel.iter().filter_map(|relid| self.base.get(&relid)).fold(Relids::new(), |mut set, base| {
                set.add_all(&base.lateral);
                set
            })
        };
        if lateral(a).overlaps(b) && lateral(b).overlaps(a) {
            return None;
        }
        Some(match found {
            Some((special, backward)) => (Some(special), backward),
            None => (None, false),
        })
    }

    fn make_join(&mut self, a: &Relids, b: &Relids) -> Result<Option<Relids>> {
        let Some((special, backward)) = self.legality(a, b) else { return Ok(None) };
        let (left, right) = if backward { (b, a) } else { (a, b) };
        let mut joined = left.union(right);
        if let Some(special) = &special
            && special.relid != 0
        {
            joined.insert(special.relid);
        }
        let join_type = special.as_ref().map_or(JoinType::Inner, |special| special.join_type);
        let clauses = self.join_clauses(left, right, &joined)?;
        let (left_rows, right_rows) = (self.rels[&key(left)].rows, self.rels[&key(right)].rows);
        if !self.rels.contains_key(&key(&joined)) {
            let rows = self.join_rows(&joined, left_rows, right_rows, join_type, &clauses)?;
            let target = Rc::new(self.join_target(&joined)?);
            let rel = Rel { rows, target, paths: Vec::new() };
            self.rels.insert(key(&joined), rel);
        }
        if self.joins_nothing(join_type, left, right, &joined, &clauses) {
            self.mark_empty(&joined);
            return Ok(Some(joined));
        }
        if let Some(special) = &special
            && matches!(join_type, JoinType::Left | JoinType::Anti)
            && right.is_subset_of(&special.syntactic_right)
            && clauses.iter().any(|clause| !clause.is_pushed_down(&joined) && clause.is_never_true())
        {
            self.mark_empty(right);
        }
        let rel = &self.rels[&key(&joined)];
        let (rows, target) = (rel.rows, Rc::clone(&rel.target));
        let orders: &[(bool, JoinType)] = match join_type {
            JoinType::Inner => &[(false, JoinType::Inner), (true, JoinType::Inner)],
            JoinType::Left => &[(false, JoinType::Left), (true, JoinType::Right)],
            JoinType::Full => &[(false, JoinType::Full), (true, JoinType::Full)],
            JoinType::Semi => &[(false, JoinType::Semi), (true, JoinType::RightSemi)],
            JoinType::Anti => &[(false, JoinType::Anti), (true, JoinType::RightAnti)],
            _ => &[],
        };
        let mut paths = std::mem::take(&mut self.rels.get_mut(&key(&joined)).expect("made above").paths);
        for &(swapped, join_type) in orders {
            let (outer, inner) = if swapped { (right, left) } else { (left, right) };
            let inner_rows = self.rels[&key(inner)].rows;
            let inner_unique = self.is_unique_for(inner, outer, &clauses, join_type, &joined)?;
            let factors = self.match_factors(&clauses, inner_rows, join_type, inner_unique, &joined)?;
            let pair = Pair {
                joined: &joined,
                outer,
                inner,
                join_type,
                clauses: &clauses,
                rows,
                target: &target,
                inner_unique,
                factors,
            };
            self.pair_paths(&pair, &mut paths)?;
        }
        if join_type == JoinType::Full && paths.is_empty() {
            return Err(kokkiri_primitives::error!(
                FEATURE_NOT_SUPPORTED,
                "FULL JOIN is only supported with merge-joinable or hash-joinable join conditions"
            ));
        }
        self.rels.get_mut(&key(&joined)).expect("made above").paths = paths;
        Ok(Some(joined))
    }

    /// True if two relations' join is known to have no row, since one of them has none or a condition
    /// can't be true.
    fn joins_nothing(
        &self,
        join_type: JoinType,
        left: &Relids,
        right: &Relids,
        joined: &Relids,
        clauses: &[Rc<Clause>],
    ) -> bool {
        let never_after = clauses.iter().any(|clause| clause.is_pushed_down(joined) && clause.is_never_true());
        match join_type {
            JoinType::Inner | JoinType::Semi => {
                self.is_empty(left) || self.is_empty(right) || clauses.iter().any(|clause| clause.is_never_true())
            }
            JoinType::Left | JoinType::Anti => self.is_empty(left) || never_after,
            JoinType::Full => self.is_empty(left) && self.is_empty(right) || never_after,
            _ => false,
        }
    }

    /// True if a relation is known to have no row (`is_dummy_rel`).
    fn is_empty(&self, relids: &Relids) -> bool {
        let paths = &self.rels[&key(relids)].paths;
        !paths.is_empty() && paths.iter().all(|path| matches!(path.kind, PathKind::Dummy))
    }

    /// Notes that a relation has no row (`mark_dummy_rel`).
    fn mark_empty(&mut self, relids: &Relids) {
        let rel = self.rels.get_mut(&key(relids)).expect("made before it is found empty");
        rel.rows = 0.0;
        rel.paths = vec![Rc::new(Path {
            kind: PathKind::Dummy,
            relids: relids.clone(),
            required_outer: Relids::new(),
            target: Rc::clone(&rel.target),
            rows: 0.0,
            cost: Cost::default(),
            disabled_nodes: 0,
            pathkeys: Vec::new(),
        })];
    }

    /// Conditions to be checked when these two are joined (`build_joinrel_restrictlist`).
    fn join_clauses(&mut self, left: &Relids, right: &Relids, joined: &Relids) -> Result<Vec<Rc<Clause>>> {
        let mut clauses: Vec<Rc<Clause>> = Vec::new();
        for relid in left.iter().chain(right.iter()) {
            let Some(base) = self.base.get(&relid) else { continue };
            for clause in &base.join_clauses {
                if clause.required.is_subset_of(joined)
                    && !clause.required.is_subset_of(left)
                    && !clause.required.is_subset_of(right)
                    && !clauses.iter().any(|other| Rc::ptr_eq(other, clause))
                {
                    clauses.push(Rc::clone(clause));
                }
            }
        }
        clauses.extend(self.join_implied_equalities(left, right, joined)?);
        Ok(clauses)
    }

    fn join_rows(
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

    fn match_factors(
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
    fn is_unique_for(
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

    fn pair_paths(&mut self, pair: &Pair<'_>, paths: &mut Vec<Rc<Path>>) -> Result<()> {
        let outer_paths = self.rels[&key(pair.outer)].paths.clone();
        let inner_paths = self.rels[&key(pair.inner)].paths.clone();
        self.nest_loops(pair, &outer_paths, &inner_paths, paths)?;
        self.hash_joins(pair, &outer_paths, &inner_paths, paths)?;
        self.merge_joins(pair, &outer_paths, &inner_paths, paths)
    }

    fn join_path(
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

    fn clause_cost(clauses: &[Rc<Clause>]) -> EvaluationCost {
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
    fn approximate_rows(&self, outer: &Path, inner: &Path, clauses: &[Rc<Clause>]) -> Result<f64> {
        let mut selectivity = 1.0;
        for clause in clauses {
            let context = JoinContext { join_type: JoinType::Inner, inner_rows: inner.rows };
            selectivity *= self.clause_selectivity(clause, 0, Some(context))?;
        }
        Ok(clamp_rows(selectivity * outer.rows * inner.rows))
    }

    fn merge_joins(
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
