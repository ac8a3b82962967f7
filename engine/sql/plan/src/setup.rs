//! Base relations of a query level, and the conditions that belong to each.
//!
//! Realises: `initsplan.c` (`build_base_rel_tlists`, `deconstruct_jointree`, `make_outerjoininfo`) and
//! `plancat.c` (`estimate_rel_size`, `get_relation_info`).

use std::collections::BTreeMap;
use std::rc::Rc;

use kokkiri_analyze::tree::{Expression, Relids, RteKind};
use kokkiri_catalog::entries::ConstraintKind;
use kokkiri_primitives::{Error, Result, stack};

use crate::clause::Clause;
use crate::expression::{relids, variables};
use crate::plan::JoinType;
use crate::relation::{BaseKind, BaseRelation, PlannedSubquery, SpecialJoin};
use crate::root::Root;
use crate::tree::JoinTree;

impl Root<'_, '_> {
    /// Makes a [`BaseRelation`] of every relation in the tree.
    pub fn add_base_relations(&mut self) -> Result<()> {
        let relids = self.tree.relids(false);
        self.all_base = relids.clone();
        for relid in relids.iter() {
            let relation = self.base_relation(relid)?;
            self.total_table_pages += relation.pages;
            self.base.insert(relid, relation);
        }
        // What LATERAL items look at must get as far as where they are joined (`find_lateral_references`).
        let wanted: Vec<(u32, Vec<Expression>)> =
            self.base.iter().map(|(relid, base)| (*relid, base.lateral_references.clone())).collect();
        for (relid, references) in wanted {
            references.iter().for_each(|expr| self.need_columns(expr, &Relids::single(relid)));
        }
        Ok(())
    }

    fn empty_relation() -> BaseRelation {
        BaseRelation {
            kind: BaseKind::Result,
            tuples: 1.0,
            pages: 0.0,
            all_visible_fraction: 0.0,
            rows: 1.0,
            restrictions: Vec::new(),
            join_clauses: Vec::new(),
            needed: BTreeMap::new(),
            indexes: Vec::new(),
            lateral: Relids::new(),
            lateral_references: Vec::new(),
        }
    }

    /// A planned subquery as a relation.
    pub fn subquery_relation(&self, subquery: PlannedSubquery) -> BaseRelation {
        BaseRelation {
            tuples: subquery.rows,
            rows: subquery.rows,
            kind: BaseKind::Subquery(Rc::new(subquery)),
            ..Self::empty_relation()
        }
    }

    fn base_relation(&mut self, relid: u32) -> Result<BaseRelation> {
        let entry = self.global.rte(relid).clone();
        let mut relation = Self::empty_relation();
        match &entry.kind {
            RteKind::Relation { relid: oid, tablesample, .. } => {
                if tablesample.is_some() {
                    return Err(Error::not_supported("TABLESAMPLE"));
                }
                let table = self.global.lookup.relation(*oid)?;
                self.global.relations.push(*oid);
                let size = self.global.lookup.relation_size(&table)?;
                relation.tuples = size.tuples;
                relation.pages = size.pages;
                relation.all_visible_fraction = size.all_visible_fraction;
                relation.indexes = self.global.lookup.indexes(relid, &table, &size)?;
                relation.kind = BaseKind::Table(table);
            }
            RteKind::Subquery { query, .. } => {
                let planned = self.plan_from_subquery(query.clone(), 0.0)?;
                relation.lateral = planned.1.iter().fold(Relids::new(), |all, var| all.union(&relids(var)));
                relation.lateral_references = planned.1;
                let (lateral, references) = (relation.lateral, relation.lateral_references);
                relation = BaseRelation {
                    lateral,
                    lateral_references: references,
                    ..self.subquery_relation(planned.0)
                };
            }
            RteKind::Function { functions, .. } => {
                let mut rows: f64 = 1.0;
                for function in functions {
                    rows = rows.max(self.global.lookup.function_rows(&function.expr)?);
                    relation.lateral.add_all(&relids(&function.expr));
                    relation.lateral_references.push(function.expr.clone());
                }
                relation.tuples = crate::cost::clamp_rows(rows);
                relation.kind = BaseKind::Function;
            }
            RteKind::Values { lists, .. } => {
                for value in lists.iter().flatten().filter(|value| !relids(value).is_empty()) {
                    relation.lateral.add_all(&relids(value));
                    relation.lateral_references.push(value.clone());
                }
                relation.tuples = lists.len() as f64;
                relation.kind = BaseKind::Values;
            }
            RteKind::Result => {}
            RteKind::Cte { name, .. } => {
                return Err(Error::not_supported(format!("the reference to WITH query \"{name}\"")));
            }
            RteKind::Join(_) => return Err(Error::internal("a join is not a base relation")),
        }
        Ok(relation)
    }

    /// Notes that an expression needs its columns wherever `where_needed` is joined; 0 stands for the top.
    pub fn need_columns(&mut self, expression: &Expression, where_needed: &Relids) {
        let found: Vec<(u32, i16, Expression)> = variables(expression)
            .into_iter()
            .map(|var| (var.varno, var.varattno, Expression::Var(var.clone())))
            .collect();
        for (varno, varattno, var) in found {
            if let Some(base) = self.base.get_mut(&varno) {
                let mut plain = var;
                if let Expression::Var(var) = &mut plain {
                    var.varnullingrels = Relids::new();
                }
                base.needed.entry(varattno).or_insert_with(|| (plain, Relids::new())).1.add_all(where_needed);
            }
        }
    }

    /// Hands every condition to the relation or join it belongs to.
    pub fn distribute_quals(&mut self) -> Result<()> {
        let tree = std::mem::replace(&mut self.tree, JoinTree::Relation(0));
        let result = self.deconstruct(&tree);
        self.tree = tree;
        let _inner_joined = result?;
        for clause in self.base_implied_equalities()? {
            self.place_clause(clause);
        }
        // Columns of classes are needed where the other members are.
        for index in 0..self.classes.len() {
            let class = &self.classes[index];
            if class.merged_into.is_none() && !class.has_constant && class.relids.len() > 1 {
                let relids = class.relids.clone();
                let members: Vec<Expression> =
                    class.members.iter().map(|member| member.expr.clone()).collect();
                for member in members {
                    self.need_columns(&member, &relids);
                }
            }
        }
        Ok(())
    }

    /// Walks the tree; answers the relations that inner joins at or below this node join: an outer join
    /// above must not be made with only some of them.
    fn deconstruct(&mut self, tree: &JoinTree) -> Result<Relids> {
        stack::check_depth()?;
        match tree {
            JoinTree::Relation(_) => Ok(Relids::new()),
            JoinTree::From { items, quals } => {
                let mut inner_joined = Relids::new();
                for item in items {
                    inner_joined.add_all(&self.deconstruct(item)?);
                }
                let scope = tree.relids(true);
                for qual in quals {
                    self.distribute(qual, &scope, None)?;
                }
                Ok(if items.len() > 1 { scope } else { inner_joined })
            }
            JoinTree::Join(join) => {
                let mut inner_joined = self.deconstruct(&join.left)?;
                inner_joined.add_all(&self.deconstruct(&join.right)?);
                let scope = tree.relids(true);
                if join.join_type == JoinType::Inner {
                    for qual in &join.quals {
                        self.distribute(qual, &scope, None)?;
                    }
                    return Ok(scope);
                }
                let special = self.special_join(join, &inner_joined)?;
                let outer = (join.join_type != JoinType::Semi).then_some(&special);
                for qual in &join.quals {
                    self.distribute(qual, &scope, outer)?;
                }
                self.special_joins.push(special);
                Ok(inner_joined)
            }
        }
    }

    /// What an outer or semi join demands of the order of joins (`make_outerjoininfo`).
    fn special_join(&mut self, join: &crate::tree::Join, inner_joined: &Relids) -> Result<SpecialJoin> {
        let (left, right) = (join.left.relids(true), join.right.relids(true));
        let mut mentioned = Relids::new();
        let mut not_null = Relids::new();
        for qual in &join.quals {
            mentioned.add_all(&relids(qual));
            not_null.add_all(&self.not_null_relations(qual, true)?);
        }
        let mut special = SpecialJoin {
            min_left: left.clone(),
            min_right: right.clone(),
            strict_left: not_null.overlaps(&left),
            syntactic_left: left.clone(),
            syntactic_right: right.clone(),
            join_type: join.join_type,
            relid: join.rtindex,
        };
        if join.join_type == JoinType::Full {
            return Ok(special);
        }
        special.min_left = mentioned.intersection(&left);
        special.min_right = mentioned.union(inner_joined).intersection(&right);
        for other in &self.special_joins {
            let mut all = other.syntactic_left.union(&other.syntactic_right);
            if other.relid != 0 {
                all.insert(other.relid);
            }
            if other.join_type == JoinType::Full {
                if left.overlaps(&all) {
                    special.min_left.add_all(&all);
                }
                if right.overlaps(&all) {
                    special.min_right.add_all(&all);
                }
                continue;
            }
            // The join below must be done first if this one looks at what it null-extends.
            if left.overlaps(&other.syntactic_right) && mentioned.overlaps(&other.syntactic_right) {
                special.min_left.add_all(&all);
            }
            // The same on the right, unless the two may change places: this one does not look at what
            // the other null-extends, and the other's condition is not true for what this one does.
            if right.overlaps(&other.syntactic_right) {
                let commutes = !mentioned.overlaps(&other.syntactic_right)
                    && mentioned.overlaps(&other.min_left)
                    && other.strict_left
                    && special.strict_left
                    && other.join_type == JoinType::Left
                    && join.join_type == JoinType::Left;
                if !commutes {
                    special.min_right.add_all(&all);
                }
            }
        }
        if special.min_left.is_empty() {
            special.min_left = left;
        }
        if special.min_right.is_empty() {
            special.min_right = right;
        }
        Ok(special)
    }

    /// Finds a condition's place (`distribute_qual_to_rels`).
    fn distribute(&mut self, qual: &Expression, scope: &Relids, outer: Option<&SpecialJoin>) -> Result<()> {
        let mentions = relids(qual);
        match self.known_null_test(qual).filter(|_| outer.is_none()) {
            Some(true) => return Ok(()),
            Some(false) => {
                let never = crate::expression::boolean(Some(false));
                let clause = Clause::new(&self.global.lookup, never, Some(mentions), true)?;
                self.place_clause(Rc::new(clause));
                return Ok(());
            }
            None => {}
        }
        // An outer join's own condition must wait for the join unless it looks at the null-extended
        // side alone: there it can filter before.
        let own_join = outer.filter(|special| {
            special.join_type == JoinType::Full
                || mentions.is_empty()
                || !mentions.is_subset_of(&special.syntactic_right)
        });
        let required = match own_join {
            Some(special) => {
                let mut all = special.min_left.union(&special.min_right);
                all.add_all(&mentions);
                if special.relid != 0 {
                    all.insert(special.relid);
                }
                all
            }
            None if mentions.is_empty() => scope.clone(),
            None => mentions.clone(),
        };
        let own = own_join.is_some();
        let pushed_down = !own;
        let clause = Clause::new(&self.global.lookup, qual.clone(), Some(required.clone()), pushed_down)?;
        let clause = Rc::new(clause);
        self.need_columns(qual, &required);
        if !own && clause.can_be_equivalence() && self.process_equivalence(&clause)? {
            return Ok(());
        }
        self.initialize_classes(&clause);
        if own {
            self.outer_join_classes.extend(clause.left_class.get());
            self.outer_join_classes.extend(clause.right_class.get());
        }
        self.place_clause(clause);
        Ok(())
    }

    /// What a test for null says of a column that is never null (`restriction_is_always_true`).
    fn known_null_test(&self, qual: &Expression) -> Option<bool> {
        let Expression::NullTest(test) = qual else { return None };
        let Expression::Var(var) = &test.arg else { return None };
        if test.arg_is_row || var.varlevelsup != 0 || !var.varnullingrels.is_empty() {
            return None;
        }
        let BaseKind::Table(table) = &self.base.get(&var.varno)?.kind else { return None };
        let attribute = table.relation.tuple_desc.get((var.varattno as usize).wrapping_sub(1))?;
        // Rows older than a NOT NULL that was not validated may be null.
        let is_doubtful = table.constraints.iter().any(|constraint| {
            constraint.kind == ConstraintKind::NotNull
                && !constraint.validated
                && constraint.key.contains(&var.varattno)
        });
        (attribute.not_null && !is_doubtful).then_some(!test.is_null)
    }

    /// Gives a condition to its relation, or to all the relations of its join.
    pub fn place_clause(&mut self, clause: Rc<Clause>) {
        let bases: Vec<u32> = clause.required.iter().filter(|relid| self.base.contains_key(relid)).collect();
        match bases.as_slice() {
            [] => self.constant_quals.push(clause),
            [only] if clause.required.len() == 1 => {
                let base = self.base.get_mut(only).expect("it was just found");
                if !base.restrictions.iter().any(|other| other.expr == clause.expr) {
                    base.restrictions.push(clause);
                }
            }
            _ => {
                for relid in bases {
                    let base = self.base.get_mut(&relid).expect("it was just found");
                    base.join_clauses.push(Rc::clone(&clause));
                }
            }
        }
    }
}

impl Clause {
    /// An equality that holds for all rows of the result may found an equivalence class.
    fn can_be_equivalence(&self) -> bool {
        !self.merge_families.is_empty() && (self.can_join || !self.pseudoconstant) && {
            let sides = [&self.left, &self.right];
            sides.iter().any(|side| !side.is_empty())
        }
    }
}
