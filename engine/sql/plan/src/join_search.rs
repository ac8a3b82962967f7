//! Which joins to make, and in what order.
//!
//! Realises: `joinrels.c`, `standard_join_search` and the join list that `deconstruct_jointree` makes. Up to
//! `geqo_threshold` relations every order is tried by dynamic programming, bushy ones included; beyond that
//! the cheapest join available is made again and again. What is joined by a full join, or by more JOINs than
//! `join_collapse_limit` and `from_collapse_limit` let flow together, is a search of its own, and one
//! relation to the search around it.

use std::rc::Rc;

use kokkiri_analyze::tree::Relids;
use kokkiri_primitives::{Error, Result, activity, stack};

use crate::clause::Clause;
use crate::cost::Cost;
use crate::join::Pair;
use crate::path::{Path, PathKind};
use crate::plan::JoinType;
use crate::relation::{Rel, SpecialJoin};
use crate::root::{Root, key};
use crate::tree::JoinTree;

/// What one search joins with others.
enum Item {
    Relation(u32),
    /// The result of a search of its own.
    List(Vec<Item>),
}

impl Item {
    /// A list as one item of another; a list of one item is that item.
    fn of(mut list: Vec<Item>) -> Self {
        if list.len() == 1 { list.remove(0) } else { Item::List(list) }
    }
}

impl Root<'_, '_> {
    /// Joins all base relations; answers the key of the final relation.
    pub fn search_joins(&mut self) -> Result<Vec<u32>> {
        let list = self.join_list(&self.tree)?;
        Ok(key(&self.search(list)?))
    }

    /// What the search is to join at this node of the tree and below.
    fn join_list(&self, tree: &JoinTree) -> Result<Vec<Item>> {
        stack::check_depth()?;
        Ok(match tree {
            JoinTree::Relation(relid) if self.base.contains_key(relid) => vec![Item::Relation(*relid)],
            JoinTree::Relation(_) => Vec::new(),
            JoinTree::From { items, .. } => {
                let mut list = Vec::new();
                for (at, item) in items.iter().enumerate() {
                    let part = self.join_list(item)?;
                    let remaining = items.len() - at - 1;
                    if part.len() <= 1
                        || list.len() + part.len() + remaining <= self.global.cost.from_collapse_limit
                    {
                        list.extend(part);
                    } else {
                        list.push(Item::of(part));
                    }
                }
                list
            }
            JoinTree::Join(join) => {
                let (mut left, right) = (self.join_list(&join.left)?, self.join_list(&join.right)?);
                if join.join_type == JoinType::Full {
                    vec![Item::List(vec![Item::of(left), Item::of(right)])]
                } else if left.len() + right.len() <= self.global.cost.join_collapse_limit {
                    left.extend(right);
                    left
                } else {
                    vec![Item::of(left), Item::of(right)]
                }
            }
        })
    }

    /// Joins the items of one list.
    fn search(&mut self, list: Vec<Item>) -> Result<Relids> {
        let mut start = Vec::with_capacity(list.len());
        for item in list {
            start.push(match item {
                Item::Relation(relid) => Relids::single(relid),
                Item::List(list) => self.search(list)?,
            });
        }
        if start.len() <= 1 {
            return Ok(start.pop().unwrap_or_default());
        }
        if start.len() >= self.global.cost.geqo_threshold {
            return self.search_greedily(start);
        }
        let count = start.len();
        let mut levels: Vec<Vec<Relids>> = vec![Vec::new(), start];
        for level in 2..=count {
            let made = self.search_level(&levels, level)?;
            levels.push(made);
        }
        let last = levels[count].first();
        last.cloned().ok_or_else(|| Error::internal(format!("failed to build any {count}-way joins")))
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

    fn search_greedily(&mut self, mut left: Vec<Relids>) -> Result<Relids> {
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
        Ok(left.remove(0))
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
        // What is still wanted must not be what an outer join brings to this one later: that comes on the inside.
        let wanted = lateral(a).union(&lateral(b)).difference(&joined);
        if !wanted.is_empty() && self.brought_later(&joined).overlaps(&wanted) {
            return None;
        }
        Some(match found {
            Some((special, backward)) => (Some(special), backward),
            None => (None, false),
        })
    }

    /// Relations that outer joins will join to this one as their null-extended sides.
    fn brought_later(&self, joined: &Relids) -> Relids {
        let mut all = joined.clone();
        loop {
            let before = all.len();
            for special in &self.special_joins {
                if all.overlaps(&special.min_left) {
                    all.add_all(&special.min_right);
                }
                if special.join_type == JoinType::Full && all.overlaps(&special.min_right) {
                    all.add_all(&special.min_left);
                }
            }
            if all.len() == before {
                return all.difference(joined);
            }
        }
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
        let never_after =
            clauses.iter().any(|clause| clause.is_pushed_down(joined) && clause.is_never_true());
        match join_type {
            JoinType::Inner | JoinType::Semi => {
                self.is_empty(left)
                    || self.is_empty(right)
                    || clauses.iter().any(|clause| clause.is_never_true())
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
}
