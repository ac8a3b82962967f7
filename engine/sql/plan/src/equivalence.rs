//! Equivalence classes: expressions that mergejoinable conditions make equal, and orders built on them.
//!
//! Realises: `equivclass.c` and `pathkeys.c`. `a = b AND b = c` puts a, b and c in one class. From a class
//! come the conditions on single relations (against a constant), one condition for each join, and the
//! sameness of orders: rows sorted by a are sorted by b once they are joined on a = b.
//!
//! An outer join's ON condition says nothing about rows it null-extends and is kept out; variables that
//! an outer join may null differ from those below it by their `varnullingrels`.

use std::rc::Rc;

use kokkiri_analyze::tree::{Expression, OpExpr, Relids, SortGroupClause, TargetEntry};
use kokkiri_parse::Location;
use kokkiri_primitives::{Oid, Result};

use crate::clause::Clause;
use crate::expression::{BOOL, clause_target, has_aggregates, relids, returns_set, without_relabel};
use crate::path::PathKey;
use crate::root::Root;

#[derive(Clone, Debug)]
pub struct Member {
    pub expr: Expression,
    pub relids: Relids,
    pub is_constant: bool,
    pub type_oid: Oid,
}

#[derive(Clone, Debug)]
pub struct EquivalenceClass {
    pub families: Vec<Oid>,
    pub collation: Oid,
    pub members: Vec<Member>,
    /// Conditions it was built from, and those derived so far.
    pub sources: Vec<Rc<Clause>>,
    pub derived: Vec<Rc<Clause>>,
    pub relids: Relids,
    pub has_constant: bool,
    pub has_volatile: bool,
    /// For a volatile sort expression: the target entry it is.
    pub sort_reference: u32,
    pub merged_into: Option<usize>,
}

impl Root<'_, '_> {
    /// The live class that `index` stands for.
    pub fn class(&self, mut index: usize) -> usize {
        while let Some(next) = self.classes[index].merged_into {
            index = next;
        }
        index
    }

    fn find_member(&self, expr: &Expression, families: &[Oid], collation: Oid) -> Option<usize> {
        let type_oid = expr.result_type();
        (0..self.classes.len()).find(|&index| {
            let class = &self.classes[index];
            class.merged_into.is_none()
                && !class.has_volatile
                && class.collation == collation
                && class.families.iter().any(|family| families.contains(family))
                && class.members.iter().any(|member| {
                    without_relabel(&member.expr) == without_relabel(expr) && member.type_oid == type_oid
                })
        })
    }

    fn new_class(&mut self, families: &[Oid], collation: Oid) -> usize {
        self.classes.push(EquivalenceClass {
            families: families.to_vec(),
            collation,
            members: Vec::new(),
            sources: Vec::new(),
            derived: Vec::new(),
            relids: Relids::new(),
            has_constant: false,
            has_volatile: false,
            sort_reference: 0,
            merged_into: None,
        });
        self.classes.len() - 1
    }

    fn add_member(&mut self, class: usize, expr: Expression) {
        let relids = relids(&expr);
        let is_constant = relids.is_empty();
        let class = &mut self.classes[class];
        class.relids.add_all(&relids);
        class.has_constant |= is_constant;
        class.members.push(Member { type_oid: expr.result_type(), expr, relids, is_constant });
    }

    /// Takes a mergejoinable equality in; false if it can't be (`process_equivalence`).
    pub fn process_equivalence(&mut self, clause: &Rc<Clause>) -> Result<bool> {
        if clause.merge_families.is_empty() {
            return Ok(false);
        }
        let Some(operator) = clause.operator().cloned() else { return Ok(false) };
        let [left, right] = operator.args.as_slice() else { return Ok(false) };
        if left == right {
            return Ok(false);
        }
        let collation = operator.inputcollid;
        let families = &clause.merge_families;
        let found_left = self.find_member(left, families, collation);
        let found_right = self.find_member(right, families, collation);
        let class = match (found_left, found_right) {
            (Some(a), Some(b)) if a == b => a,
            (Some(a), Some(b)) => {
                let other = self.classes[b].clone();
                self.classes[b].merged_into = Some(a);
                let target = &mut self.classes[a];
                target.members.extend(other.members);
                target.sources.extend(other.sources);
                target.derived.extend(other.derived);
                target.relids.add_all(&other.relids);
                target.has_constant |= other.has_constant;
                a
            }
            (Some(a), None) => {
                self.add_member(a, right.clone());
                a
            }
            (None, Some(b)) => {
                self.add_member(b, left.clone());
                b
            }
            (None, None) => {
                let class = self.new_class(families, collation);
                self.add_member(class, left.clone());
                self.add_member(class, right.clone());
                class
            }
        };
        self.classes[class].sources.push(Rc::clone(clause));
        clause.left_class.set(Some(class));
        clause.right_class.set(Some(class));
        Ok(true)
    }

    /// Finds the classes of both sides of a mergeable clause that is not itself an equivalence.
    pub fn initialize_classes(&mut self, clause: &Clause) {
        let Some(operator) = clause.operator().filter(|_| !clause.merge_families.is_empty()) else {
            return;
        };
        let [left, right] = operator.args.as_slice() else { return };
        let collation = operator.inputcollid;
        let (left, right) = (left.clone(), right.clone());
        let left = self.class_of(&left, &clause.merge_families, collation, 0, true);
        let right = self.class_of(&right, &clause.merge_families, collation, 0, true);
        clause.left_class.set(left);
        clause.right_class.set(right);
    }

    /// The class an expression is in, made if asked (`get_eclass_for_sort_expr`).
    pub fn class_of(
        &mut self,
        expr: &Expression,
        families: &[Oid],
        collation: Oid,
        sort_reference: u32,
        create: bool,
    ) -> Option<usize> {
        if let Some(found) = self.find_member(expr, families, collation) {
            return Some(found);
        }
        if !create {
            return None;
        }
        let class = self.new_class(families, collation);
        self.add_member(class, expr.clone());
        let volatile = self.global.lookup.is_volatile(expr).unwrap_or(true);
        let varies = volatile || has_aggregates(expr) || returns_set(expr);
        let entry = &mut self.classes[class];
        entry.has_volatile = volatile;
        entry.sort_reference = sort_reference;
        if varies {
            // It mentions no relation and yet is not the same in all rows.
            entry.has_constant = false;
            entry.members.iter_mut().for_each(|member| member.is_constant = false);
        }
        Some(class)
    }

    /// Conditions that each class puts on single relations (`generate_base_implied_equalities`).
    pub fn base_implied_equalities(&mut self) -> Result<Vec<Rc<Clause>>> {
        let mut implied = Vec::new();
        for index in 0..self.classes.len() {
            let class = &self.classes[index];
            if class.merged_into.is_some() || class.members.len() < 2 || class.sources.is_empty() {
                continue;
            }
            if class.has_constant {
                // A single source clause `x = constant` serves as it is.
                if class.members.len() == 2 && class.sources.len() == 1 {
                    implied.push(Rc::clone(&class.sources[0]));
                    continue;
                }
                let members = class.members.clone();
                let Some(constant) = members
                    .iter()
                    .filter(|member| member.is_constant)
                    .min_by_key(|member| !matches!(member.expr, Expression::Const(_)))
                else {
                    continue;
                };
                for member in &members {
                    if std::ptr::eq(member, constant) {
                        continue;
                    }
                    if let Some(clause) = self.derive(index, member, constant)? {
                        implied.push(clause);
                    }
                }
            } else {
                let members = class.members.clone();
                let mut last: Vec<(u32, Member)> = Vec::new();
                for member in &members {
                    let Some(relid) = member.relids.singleton() else { continue };
                    if let Some(slot) = last.iter_mut().find(|(other, _)| *other == relid) {
                        let previous = std::mem::replace(&mut slot.1, member.clone());
                        if let Some(clause) = self.derive(index, &previous, member)? {
                            implied.push(clause);
                        }
                    } else {
                        last.push((relid, member.clone()));
                    }
                }
            }
        }
        Ok(implied)
    }

    /// Conditions that classes put on a join of two relations (`generate_join_implied_equalities`).
    /// `joined` has the outer join being made too, if it is one.
    pub fn join_implied_equalities(
        &mut self,
        outer: &Relids,
        inner: &Relids,
        joined: &Relids,
    ) -> Result<Vec<Rc<Clause>>> {
        let mut implied = Vec::new();
        for index in 0..self.classes.len() {
            let class = &self.classes[index];
            if class.merged_into.is_some()
                || class.has_constant
                || class.members.len() < 2
                || class.sources.is_empty()
                || !class.relids.overlaps(joined)
            {
                continue;
            }
            let members = class.members.clone();
            let (mut of_outer, mut of_inner, mut new) = (Vec::new(), Vec::new(), Vec::new());
            for member in &members {
                if !member.relids.is_subset_of(joined) {
                    continue;
                }
                if member.relids.is_subset_of(outer) {
                    of_outer.push(member);
                } else if member.relids.is_subset_of(inner) {
                    of_inner.push(member);
                } else {
                    new.push(member);
                }
            }
            if let Some(clause) = self.best_pair(index, &of_outer, &of_inner)? {
                implied.push(clause);
            }
            // Members that only this join can compute are tied to one that either side had.
            let anchor = of_outer.first().or(of_inner.first()).copied();
            let mut previous = anchor;
            for member in new {
                if let Some(previous) = previous
                    && let Some(clause) = self.derive(index, previous, member)?
                {
                    implied.push(clause);
                }
                previous = Some(member);
            }
        }
        Ok(implied)
    }

    /// One clause between the sides, preferring plain variables as PostgreSQL does.
    fn best_pair(
        &mut self,
        class: usize,
        outer: &[&Member],
        inner: &[&Member],
    ) -> Result<Option<Rc<Clause>>> {
        let mut best: Option<(i32, &Member, &Member)> = None;
        for &a in outer {
            for &b in inner {
                if self.equality_operator(class, a.type_oid, b.type_oid)?.is_none() {
                    continue;
                }
                let plain =
                    |member: &Member| i32::from(matches!(without_relabel(&member.expr), Expression::Var(_)));
                let score = plain(a) + plain(b);
                if best.is_none_or(|(other, ..)| score > other) {
                    best = Some((score, a, b));
                }
            }
        }
        match best {
            Some((_, a, b)) => {
                let (a, b) = (a.clone(), b.clone());
                self.derive(class, &a, &b)
            }
            None => Ok(None),
        }
    }

    fn equality_operator(&self, class: usize, left: Oid, right: Oid) -> Result<Option<Oid>> {
        for family in &self.classes[class].families {
            if let Some(operator) = self.global.lookup.family_operator(*family, left, right, 3)? {
                return Ok(Some(operator));
            }
        }
        Ok(None)
    }

    /// The clause `a = b`: the one written, one derived before, or a new one (`create_join_clause`).
    pub fn derive(&mut self, class: usize, a: &Member, b: &Member) -> Result<Option<Rc<Clause>>> {
        let matches = |clause: &Rc<Clause>| {
            clause.operator().is_some_and(|operator| match operator.args.as_slice() {
                [left, right] => {
                    (*left == a.expr && *right == b.expr) || (*left == b.expr && *right == a.expr)
                }
                _ => false,
            })
        };
        let entry = &self.classes[class];
        if let Some(found) = entry.sources.iter().chain(&entry.derived).find(|clause| matches(clause)) {
            return Ok(Some(Rc::clone(found)));
        }
        let collation = entry.collation;
        let Some(opno) = self.equality_operator(class, a.type_oid, b.type_oid)? else { return Ok(None) };
        let operator = self.global.lookup.operator(opno)?;
        let expr = Expression::OpExpr(Box::new(OpExpr {
            opno,
            opfuncid: operator.function,
            result_type: BOOL,
            returns_set: false,
            collation: Oid::INVALID,
            inputcollid: collation,
            args: vec![a.expr.clone(), b.expr.clone()],
            location: Location::UNKNOWN,
        }));
        let mut clause = Clause::new(&self.global.lookup, expr, None, true)?;
        clause.parent_class = Some(class);
        clause.left_class.set(Some(class));
        clause.right_class.set(Some(class));
        let clause = Rc::new(clause);
        self.classes[class].derived.push(Rc::clone(&clause));
        Ok(Some(clause))
    }

    /// Adds a key to an order unless it adds nothing (`pathkey_is_redundant`).
    fn push_key(&self, keys: &mut Vec<PathKey>, key: PathKey) {
        let constant = self.classes[key.class].has_constant && !self.classes[key.class].has_volatile;
        if !constant && keys.iter().all(|other| other.class != key.class) {
            keys.push(key);
        }
    }

    /// The order that ORDER BY, GROUP BY or DISTINCT clauses ask for. `None` if one can't be sorted.
    pub fn order_of(
        &mut self,
        clauses: &[SortGroupClause],
        targets: &[TargetEntry],
    ) -> Result<Option<Vec<PathKey>>> {
        let mut keys = Vec::new();
        for clause in clauses {
            let Some(target) = clause_target(clause, targets) else { continue };
            let expr = target.expr.clone();
            let Some((family, descending)) = self.global.lookup.ordering(clause.sortop)? else {
                return Ok(None);
            };
            let reference = clause.tle_sort_group_ref;
            let families = self.global.lookup.merge_families(family, expr.result_type())?;
            if let Some(class) = self.class_of(&expr, &families, expr.collation(), reference, true) {
                let key = PathKey { class, family, descending, nulls_first: clause.nulls_first };
                self.push_key(&mut keys, key);
            }
        }
        Ok(Some(keys))
    }

    /// The order in which an index returns rows, as far as some class cares (`build_index_pathkeys`).
    pub fn index_order(
        &mut self,
        index: &crate::relation::IndexInfo,
        backward: bool,
    ) -> Result<Vec<PathKey>> {
        let mut keys = Vec::new();
        for column in 0..index.key_count {
            let family = index.families[column];
            let families = self.global.lookup.merge_families(family, index.columns[column].result_type())?;
            let expr = index.columns[column].clone();
            let Some(class) = self.class_of(&expr, &families, index.collations[column], 0, false) else {
                break;
            };
            let key = PathKey {
                class,
                family,
                descending: index.descending[column] != backward,
                nulls_first: index.nulls_first[column] != backward,
            };
            self.push_key(&mut keys, key);
        }
        Ok(keys)
    }

    /// How much of an order is of use to the query or to a merge join (`truncate_useless_pathkeys`).
    pub fn useful_keys(&self, keys: &[PathKey], relids: &Relids) -> usize {
        let ordered = self.query_order.iter().zip(keys).take_while(|(a, b)| a == b).count();
        let ordered = if ordered == self.query_order.len() || ordered == keys.len() { ordered } else { 0 };
        let mergeable = keys
            .iter()
            .take_while(|key| {
                let class = &self.classes[key.class];
                let is_merged = class.sources.len() + class.derived.len() > 0
                    && class
                        .members
                        .iter()
                        .any(|member| !member.relids.overlaps(relids) && !member.is_constant)
                    || self.outer_join_classes.contains(&key.class);
                is_merged && self.is_merge_direction(key)
            })
            .count();
        ordered.max(mergeable)
    }

    /// Of the two directions to merge in, that of the query's order or else the rising one is enough
    /// (`right_merge_direction`).
    fn is_merge_direction(&self, key: &PathKey) -> bool {
        let wanted =
            self.query_order.iter().find(|wanted| wanted.class == key.class && wanted.family == key.family);
        key.descending == wanted.is_some_and(|wanted| wanted.descending)
    }
}
