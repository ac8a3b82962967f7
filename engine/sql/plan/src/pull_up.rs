//! Making one join problem of nested queries.
//!
//! Realises: `prepjointree.c`. WITH queries become subqueries of FROM; IN and EXISTS conditions become semi
//! and anti joins; simple subqueries of FROM dissolve into the query around them; outer joins whose
//! null-extended rows a condition would reject anyway become inner joins.

use kokkiri_analyze::tree::{
    BoolOp, CommandType, Expression, ParamKind, Query, RangeTblEntry, Relids, RteKind, SubLink, SubLinkType,
};
use kokkiri_primitives::{Error, Result, stack};

use crate::expression::{conjuncts, relids, returns_set, var};
use crate::plan::JoinType;
use crate::root::Root;
use crate::simplify::simplify_condition;
use crate::tree::{Join, JoinTree, raise_outer_references, shift_query, visit_query_vars, visit_vars};

/// Puts WITH queries where they are referred to. Data-modifying and recursive ones are not built.
pub fn inline_ctes(query: &mut Query) -> Result<()> {
    let ctes = std::mem::take(&mut query.cte_list);
    if query.has_recursive && ctes.iter().any(|cte| cte.recursive) {
        return Err(Error::not_supported("WITH RECURSIVE"));
    }
    if ctes.iter().any(|cte| cte.query.command_type != CommandType::Select) {
        return Err(Error::not_supported("a data-modifying statement in WITH"));
    }
    // Last to first: a body may refer to earlier ones, which then find it already in place.
    for cte in ctes.iter().rev() {
        replace_references(query, &cte.name, &cte.query, 0);
    }
    Ok(())
}

/// Replaces references to the WITH query `name`, `depth` levels up, with copies of it.
fn replace_references(query: &mut Query, name: &str, body: &Query, depth: u32) {
    for entry in &mut query.rtable {
        let found = matches!(&entry.kind, RteKind::Cte { name: other, levels_up, .. }
            if other == name && *levels_up == depth);
        if found {
            let mut copy = body.clone();
            if depth > 0 {
                deepen(&mut copy, 0, depth);
            }
            entry.kind = RteKind::Subquery { query: Box::new(copy), view: None, security_barrier: false };
        }
    }
    query.for_each_subquery_mut(&mut |inner| replace_references(inner, name, body, depth + 1));
    query.for_each_expression_mut(&mut |expression| {
        expression.walk_mut(&mut |node| {
            if let Expression::SubLink(link) = node {
                replace_references(&mut link.subselect, name, body, depth + 1);
            }
            true
        });
    });
}

/// References out of a query that moves `by` levels down reach that much further.
fn deepen(query: &mut Query, depth: u32, by: u32) {
    visit_query_vars(query, depth, &mut |var, depth| {
        if var.varlevelsup > depth {
            var.varlevelsup += by;
        }
    });
    fn ctes(query: &mut Query, depth: u32, by: u32) {
        for entry in &mut query.rtable {
            if let RteKind::Cte { levels_up, .. } = &mut entry.kind
                && *levels_up > depth
            {
                *levels_up += by;
            }
        }
        query.for_each_subquery_mut(&mut |inner| ctes(inner, depth + 1, by));
    }
    ctes(query, depth, by);
}

/// Where a subquery of FROM stands.
#[derive(Clone, Copy)]
struct Place<'a> {
    /// On the side of an outer join that is null-extended: a computed column would have to become null there.
    nulled: bool,
    /// Nothing but inner joins around it: it may turn out to have no relation at all.
    may_vanish: bool,
    /// What the lowest outer join around it joins: a condition moved up from here may not look beyond.
    outer_join: Option<&'a Relids>,
}

/// True if a condition looks at relations of the query around that its place does not allow: below an outer
/// join at none, else at those of `safe` if it is given (`jointree_contains_lateral_outer_refs`).
fn looks_beyond(tree: &mut JoinTree, safe: Option<&Relids>) -> bool {
    let none = Relids::new();
    match tree {
        JoinTree::Relation(_) => false,
        JoinTree::From { items, quals } => {
            items.iter_mut().any(|item| looks_beyond(item, safe))
                || quals.iter_mut().any(|qual| refers_beyond(qual, safe))
        }
        JoinTree::Join(join) => {
            let safe = if join.join_type == JoinType::Inner { safe } else { Some(&none) };
            looks_beyond(&mut join.left, safe)
                || looks_beyond(&mut join.right, safe)
                || join.quals.iter_mut().any(|qual| refers_beyond(qual, safe))
        }
    }
}

fn refers_beyond(expression: &mut Expression, safe: Option<&Relids>) -> bool {
    let Some(safe) = safe else { return false };
    let mut beyond = false;
    visit_vars(expression, 0, &mut |var, depth| {
        beyond |= var.varlevelsup == depth + 1 && !safe.contains(var.varno);
    });
    beyond
}

impl Root<'_, '_> {
    /// Turns IN and EXISTS conditions of WHERE and inner joins' ON into joins.
    pub fn pull_up_sublinks(&mut self) -> Result<()> {
        let tree = std::mem::replace(&mut self.tree, JoinTree::Relation(0));
        self.tree = self.sublinks_of(tree)?;
        Ok(())
    }

    fn sublinks_of(&mut self, tree: JoinTree) -> Result<JoinTree> {
        stack::check_depth()?;
        match tree {
            JoinTree::Relation(_) => Ok(tree),
            JoinTree::From { items, quals } => {
                let items =
                    items.into_iter().map(|item| self.sublinks_of(item)).collect::<Result<Vec<_>>>()?;
                let mut tree = JoinTree::From { items, quals: Vec::new() };
                let mut kept = Vec::new();
                let available = tree.relids(false);
                for qual in quals.into_iter().flat_map(conjuncts) {
                    tree = match self.sublink_join(&qual, tree, &available)? {
                        (tree, true) => tree,
                        (tree, false) => {
                            kept.push(qual);
                            tree
                        }
                    };
                }
                Ok(match tree {
                    JoinTree::From { items, .. } => JoinTree::From { items, quals: kept },
                    joined => JoinTree::From { items: vec![joined], quals: kept },
                })
            }
            JoinTree::Join(mut join) => {
                join.left = self.sublinks_of(join.left)?;
                join.right = self.sublinks_of(join.right)?;
                Ok(JoinTree::Join(join))
            }
        }
    }

    /// Joins the sublink of a condition to `tree` if that says the same.
    fn sublink_join(
        &mut self,
        qual: &Expression,
        tree: JoinTree,
        available: &Relids,
    ) -> Result<(JoinTree, bool)> {
        let (link, negated) = match qual {
            Expression::SubLink(link) => (link, false),
            Expression::BoolExpr(not) if not.op == BoolOp::Not => match not.args.first() {
                Some(Expression::SubLink(link)) => (link, true),
                _ => return Ok((tree, false)),
            },
            _ => return Ok((tree, false)),
        };
        let made = match (link.kind, negated) {
            (SubLinkType::Any, false) => self.any_join(link, available)?,
            (SubLinkType::Exists, _) => self.exists_join(link, available)?,
            _ => None,
        };
        let Some((right, quals)) = made else { return Ok((tree, false)) };
        let right = self.sublinks_of(right)?;
        let join_type = if negated { JoinType::Anti } else { JoinType::Semi };
        let left = match tree {
            JoinTree::From { mut items, quals } if items.len() == 1 && quals.is_empty() => items.remove(0),
            other => other,
        };
        Ok((JoinTree::Join(Box::new(Join { join_type, left, right, quals, rtindex: 0 })), true))
    }

    /// `x IN (SELECT ...)` (`convert_ANY_sublink_to_join`).
    fn any_join(
        &mut self,
        link: &SubLink,
        available: &Relids,
    ) -> Result<Option<(JoinTree, Vec<Expression>)>> {
        let Some(test) = &link.testexpr else { return Ok(None) };
        let mentioned = relids(test);
        if mentioned.is_empty()
            || !mentioned.is_subset_of(available)
            || crate::tree::refers_outside(&link.subselect)
            || self.global.lookup.is_volatile(test)?
        {
            return Ok(None);
        }
        let columns: Vec<Expression> = link
            .subselect
            .target_list
            .iter()
            .filter(|target| !target.resjunk)
            .map(|target| target.expr.clone())
            .collect();
        let index = self.add_subquery(link.subselect.clone(), "ANY_subquery");
        let mut test = test.clone();
        test.walk_mut(&mut |node| {
            if let Expression::Param(param) = node
                && param.kind == ParamKind::Sublink
                && let Some(column) = columns.get((param.id as usize).wrapping_sub(1))
            {
                *node = var(index, param.id as i16, column);
            }
            true
        });
        Ok(Some((JoinTree::Relation(index), conjuncts(test))))
    }

    fn add_subquery(&mut self, query: Query, name: &str) -> u32 {
        let colnames = query
            .target_list
            .iter()
            .filter(|target| !target.resjunk)
            .map(|target| target.resname.clone().unwrap_or_else(|| "?column?".into()))
            .collect();
        let eref = kokkiri_analyze::tree::Alias { name: name.into(), columns: colnames };
        self.global.range_table.push(RangeTblEntry {
            kind: RteKind::Subquery { query: Box::new(query), view: None, security_barrier: false },
            alias: None,
            eref,
            lateral: false,
            in_from_cl: false,
            perminfo_index: 0,
        });
        self.global.range_table.len() as u32
    }

    /// `EXISTS (SELECT ...)` whose WHERE alone refers outside (`convert_EXISTS_sublink_to_join`).
    fn exists_join(
        &mut self,
        link: &SubLink,
        available: &Relids,
    ) -> Result<Option<(JoinTree, Vec<Expression>)>> {
        let mut query = link.subselect.clone();
        if !simplify_exists(&mut query) || query.jointree.from_list.is_empty() {
            return Ok(None);
        }
        let where_clause = query.jointree.quals.take();
        if crate::tree::refers_outside(&query) {
            return Ok(None);
        }
        let Some(mut condition) = where_clause else { return Ok(None) };
        let mut levels = (false, false, false);
        visit_vars(&mut condition, 0, &mut |var, depth| match var.varlevelsup.cmp(&depth) {
            std::cmp::Ordering::Equal => levels.0 = true,
            std::cmp::Ordering::Greater if var.varlevelsup == depth + 1 => {
                levels.1 |= available.contains(var.varno);
                levels.2 |= !available.contains(var.varno);
            }
            std::cmp::Ordering::Greater => levels.2 = true,
            std::cmp::Ordering::Less => {}
        });
        if !levels.0 || !levels.1 || levels.2 || self.global.lookup.is_volatile(&condition)? {
            return Ok(None);
        }
        let mut tree = JoinTree::from_query(std::mem::take(&mut query.jointree));
        let offset = self.global.range_table.len() as u32;
        // The condition moves up with the tables it is about: its own level's variables are renumbered
        // with theirs, those of the level above come one level down.
        query.jointree.quals = Some(condition);
        shift_query(&mut query, &mut tree, offset);
        raise_outer_references(&mut query, &mut tree);
        let quals = query.jointree.quals.take().map(conjuncts).unwrap_or_default();
        self.global.range_table.append(&mut query.rtable);
        self.flatten_join_variables_in(&mut tree);
        let mut quals = quals;
        quals.iter_mut().for_each(|qual| self.flatten_expression(qual));
        let tree = match tree {
            JoinTree::From { mut items, quals: inner } if items.len() == 1 && inner.is_empty() => {
                items.remove(0)
            }
            other => other,
        };
        Ok(Some((tree, quals)))
    }

    /// Replaces variables of joins with what they stand for (`flatten_join_alias_vars`).
    pub fn flatten_join_variables(&mut self) {
        if !self.global.range_table.iter().any(|entry| matches!(entry.kind, RteKind::Join(_))) {
            return;
        }
        let mut query = std::mem::take(&mut self.query);
        query.for_each_expression_mut(&mut |expression| self.flatten_expression(expression));
        self.query = query;
        let mut tree = std::mem::replace(&mut self.tree, JoinTree::Relation(0));
        self.flatten_join_variables_in(&mut tree);
        self.tree = tree;
    }

    fn flatten_join_variables_in(&self, tree: &mut JoinTree) {
        tree.for_each_qual_mut(&mut |qual| self.flatten_expression(qual));
    }

    fn flatten_expression(&self, expression: &mut Expression) {
        fn flatten(root: &Root<'_, '_>, expression: &mut Expression, depth: u32) {
            expression.walk_mut(&mut |node| match node {
                Expression::Var(var) if var.varlevelsup == depth => {
                    let entry = root.global.range_table.get((var.varno as usize).wrapping_sub(1));
                    if let Some(RangeTblEntry { kind: RteKind::Join(join), .. }) = entry
                        && let Some(stands_for) = join.alias_vars.get((var.varattno as usize).wrapping_sub(1))
                    {
                        let mut new = stands_for.clone();
                        let nulling = var.varnullingrels.clone();
                        visit_vars(&mut new, 0, &mut |inner, inner_depth| {
                            if inner.varlevelsup == inner_depth {
                                inner.varnullingrels.add_all(&nulling);
                                inner.varlevelsup += depth;
                            }
                        });
                        flatten(root, &mut new, depth);
                        *node = new;
                        return false;
                    }
                    true
                }
                Expression::SubLink(link) => {
                    flatten_query(root, &mut link.subselect, depth + 1);
                    true
                }
                _ => true,
            });
        }
        fn flatten_query(root: &Root<'_, '_>, query: &mut Query, depth: u32) {
            query.for_each_expression_mut(&mut |expression| flatten(root, expression, depth));
            query.for_each_subquery_mut(&mut |inner| flatten_query(root, inner, depth + 1));
        }
        flatten(self, expression, 0);
    }

    /// Dissolves simple subqueries of FROM into this query.
    pub fn pull_up_subqueries(&mut self) -> Result<()> {
        let tree = std::mem::replace(&mut self.tree, JoinTree::Relation(0));
        self.tree = self.pull_up_in(tree, Place { nulled: false, may_vanish: true, outer_join: None })?;
        Ok(())
    }

    fn pull_up_in(&mut self, tree: JoinTree, place: Place<'_>) -> Result<JoinTree> {
        stack::check_depth()?;
        match tree {
            JoinTree::Relation(index) => self.pull_up_one(index, place),
            JoinTree::From { items, quals } => {
                let items =
                    items.into_iter().map(|item| self.pull_up_in(item, place)).collect::<Result<Vec<_>>>()?;
                // What has been pulled up was substituted everywhere it could be reached; these
                // conditions were out of reach while they were held here.
                let mut tree = JoinTree::From { items, quals };
                self.apply_substitutions(&mut tree);
                Ok(tree)
            }
            JoinTree::Join(mut join) => {
                let (left, right) = match join.join_type {
                    JoinType::Inner | JoinType::Semi => (place.nulled, place.nulled),
                    JoinType::Left | JoinType::Anti => (place.nulled, true),
                    JoinType::Right => (true, place.nulled),
                    _ => (true, true),
                };
                let may_vanish = place.may_vanish && join.join_type == JoinType::Inner;
                let joined = join.left.relids(true).union(&join.right.relids(true));
                let outer_join =
                    if join.join_type == JoinType::Inner { place.outer_join } else { Some(&joined) };
                join.left = self.pull_up_in(join.left, Place { nulled: left, may_vanish, outer_join })?;
                join.right = self.pull_up_in(join.right, Place { nulled: right, may_vanish, outer_join })?;
                let mut tree = JoinTree::Join(join);
                self.apply_substitutions(&mut tree);
                Ok(tree)
            }
        }
    }

    fn pull_up_one(&mut self, index: u32, place: Place<'_>) -> Result<JoinTree> {
        let entry = self.global.rte(index);
        let RteKind::Subquery { query, security_barrier, .. } = &entry.kind else {
            return Ok(JoinTree::Relation(index));
        };
        if *security_barrier || !self.is_simple(query)? {
            return Ok(JoinTree::Relation(index));
        }
        let only_variables = query
            .target_list
            .iter()
            .all(|target| matches!(&target.expr, Expression::Var(var) if var.varlevelsup == 0));
        let is_bare = query.jointree.from_list.is_empty();
        if place.nulled && (!only_variables || is_bare) || is_bare && !place.may_vanish {
            return Ok(JoinTree::Relation(index));
        }
        let mut query = (**query).clone();
        inline_ctes(&mut query)?;
        let mut tree = JoinTree::from_query(std::mem::take(&mut query.jointree));
        if looks_beyond(&mut tree, place.outer_join)
            || query.target_list.iter_mut().any(|target| refers_beyond(&mut target.expr, place.outer_join))
        {
            return Ok(JoinTree::Relation(index));
        }
        let offset = self.global.range_table.len() as u32;
        shift_query(&mut query, &mut tree, offset);
        raise_outer_references(&mut query, &mut tree);
        self.global.range_table.append(&mut query.rtable);
        self.flatten_join_variables_in(&mut tree);
        for target in &mut query.target_list {
            self.flatten_expression(&mut target.expr);
        }
        let columns: Vec<Expression> = query
            .target_list
            .into_iter()
            .filter(|target| !target.resjunk)
            .map(|target| target.expr)
            .collect();
        self.substitutions.push((index, columns));
        let tree = self.sublinks_of(tree)?;
        self.pull_up_in(tree, place)
    }

    /// Puts the columns of pulled-up subqueries in place of variables of theirs.
    pub fn apply_substitutions(&self, tree: &mut JoinTree) {
        tree.for_each_qual_mut(&mut |qual| self.substitute_in(qual, 0));
    }

    pub fn substitute_in(&self, expression: &mut Expression, depth: u32) {
        if self.substitutions.is_empty() {
            return;
        }
        expression.walk_mut(&mut |node| match node {
            Expression::Var(var) if var.varlevelsup == depth => {
                let found = self.substitutions.iter().find(|(index, _)| *index == var.varno);
                let Some((_, columns)) = found else { return true };
                let Some(column) = columns.get((var.varattno as usize).wrapping_sub(1)) else { return true };
                let mut new = column.clone();
                let nulling = var.varnullingrels.clone();
                visit_vars(&mut new, 0, &mut |inner, inner_depth| {
                    if inner.varlevelsup == inner_depth {
                        inner.varnullingrels.add_all(&nulling);
                    }
                    if inner.varlevelsup >= inner_depth {
                        inner.varlevelsup += depth;
                    }
                });
                self.substitute_in(&mut new, depth);
                *node = new;
                false
            }
            Expression::SubLink(link) => {
                self.substitute_in_query(&mut link.subselect, depth + 1);
                true
            }
            _ => true,
        });
    }

    pub fn substitute_in_query(&self, query: &mut Query, depth: u32) {
        query.for_each_expression_mut(&mut |expression| self.substitute_in(expression, depth));
        query.for_each_subquery_mut(&mut |inner| self.substitute_in_query(inner, depth + 1));
    }

    /// A subquery that is nothing but joins, conditions and columns (`is_simple_subquery`).
    fn is_simple(&self, query: &Query) -> Result<bool> {
        if query.command_type != CommandType::Select
            || query.set_operations.is_some()
            || query.has_aggs
            || query.has_window_funcs
            || query.has_target_srfs
            || !query.group_clause.is_empty()
            || !query.grouping_sets.is_empty()
            || query.having_qual.is_some()
            || !query.sort_clause.is_empty()
            || !query.distinct_clause.is_empty()
            || query.limit_offset.is_some()
            || query.limit_count.is_some()
            || !query.row_marks.is_empty()
        {
            return Ok(false);
        }
        for target in &query.target_list {
            if self.global.lookup.is_volatile(&target.expr)? || returns_set(&target.expr) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Makes outer joins inner where a condition above rejects their null-extended rows.
    pub fn reduce_outer_joins(&mut self) -> Result<()> {
        let mut tree = std::mem::replace(&mut self.tree, JoinTree::Relation(0));
        let mut gone = Vec::new();
        self.reduce_in(&mut tree, &Relids::new(), &mut gone)?;
        self.tree = tree;
        if !gone.is_empty() {
            let mut strip = |var: &mut kokkiri_analyze::tree::Var, depth: u32| {
                if var.varlevelsup == depth {
                    for reduced in &gone {
                        if !reduced.still_nulled.contains(var.varno) {
                            var.varnullingrels.remove(reduced.join);
                        }
                    }
                }
            };
            visit_query_vars(&mut self.query, 0, &mut strip);
            self.tree.for_each_qual_mut(&mut |qual| visit_vars(qual, 0, &mut strip));
            // LATERAL items may look at what the joins had nulled.
            for relid in self.tree.relids(false).iter() {
                match &mut self.global.range_table[relid as usize - 1].kind {
                    RteKind::Subquery { query, .. } => visit_query_vars(query, 1, &mut strip),
                    RteKind::Function { functions, .. } => {
                        functions.iter_mut().for_each(|f| visit_vars(&mut f.expr, 0, &mut strip));
                    }
                    RteKind::Values { lists, .. } => {
                        lists.iter_mut().flatten().for_each(|value| visit_vars(value, 0, &mut strip));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn reduce_in(&self, tree: &mut JoinTree, not_null: &Relids, gone: &mut Vec<ReducedJoin>) -> Result<()> {
        stack::check_depth()?;
        match tree {
            JoinTree::Relation(_) => Ok(()),
            JoinTree::From { items, quals } => {
                let mut not_null = not_null.clone();
                for qual in quals.iter() {
                    not_null.add_all(&self.not_null_relations(qual, true)?);
                }
                items.iter_mut().try_for_each(|item| self.reduce_in(item, &not_null, gone))
            }
            JoinTree::Join(join) => {
                let left_hit = not_null.overlaps(&join.left.relids(false));
                let right_hit = not_null.overlaps(&join.right.relids(false));
                let before = join.join_type;
                join.join_type = match (before, left_hit, right_hit) {
                    (JoinType::Left, _, true) | (JoinType::Right, true, _) | (JoinType::Full, true, true) => {
                        JoinType::Inner
                    }
                    (JoinType::Full, true, false) => JoinType::Left,
                    (JoinType::Full, false, true) => JoinType::Right,
                    (other, ..) => other,
                };
                let still_nulled = match (before, join.join_type) {
                    (JoinType::Full, JoinType::Left) => Some(join.right.relids(true)),
                    (JoinType::Full, JoinType::Right) => Some(join.left.relids(true)),
                    (JoinType::Left | JoinType::Right | JoinType::Full, JoinType::Inner) => {
                        Some(Relids::new())
                    }
                    _ => None,
                };
                if let Some(still_nulled) = still_nulled.filter(|_| join.rtindex != 0) {
                    gone.push(ReducedJoin { join: join.rtindex, still_nulled });
                }
                if join.join_type == JoinType::Right {
                    let join = &mut **join;
                    std::mem::swap(&mut join.left, &mut join.right);
                    join.join_type = JoinType::Left;
                }
                let mut own = Relids::new();
                for qual in &join.quals {
                    own.add_all(&self.not_null_relations(qual, true)?);
                }
                let (left, right) = match join.join_type {
                    JoinType::Inner | JoinType::Semi => (not_null.union(&own), not_null.union(&own)),
                    // The join's own condition constrains only the side that is null-extended.
                    JoinType::Left | JoinType::Anti => (not_null.clone(), not_null.union(&own)),
                    _ => (Relids::new(), Relids::new()),
                };
                self.reduce_in(&mut join.left, &left, gone)?;
                self.reduce_in(&mut join.right, &right, gone)
            }
        }
    }

    /// Relations some variable of which can't be null if the expression is true (or, below strict
    /// operators, not null) (`find_nonnullable_rels`).
    pub fn not_null_relations(&self, expression: &Expression, top: bool) -> Result<Relids> {
        let lookup = &self.global.lookup;
        let all = |args: &[Expression]| -> Result<Relids> {
            let mut set = Relids::new();
            for arg in args {
                set.add_all(&self.not_null_relations(arg, false)?);
            }
            Ok(set)
        };
        Ok(match expression {
            Expression::Var(var) if var.varlevelsup == 0 => Relids::single(var.varno),
            Expression::FuncExpr(function) if lookup.function(function.funcid)?.strict => {
                all(&function.args)?
            }
            Expression::OpExpr(operator) if lookup.function(operator.opfuncid)?.strict => {
                all(&operator.args)?
            }
            Expression::ScalarArrayOpExpr(test) if test.use_or && top => {
                if lookup.function(test.opfuncid)?.strict {
                    self.not_null_relations(&test.scalar, false)?
                } else {
                    Relids::new()
                }
            }
            Expression::BoolExpr(bool_expr) => match bool_expr.op {
                BoolOp::Not => all(&bool_expr.args)?,
                BoolOp::And if top => {
                    let mut set = Relids::new();
                    for arg in &bool_expr.args {
                        set.add_all(&self.not_null_relations(arg, true)?);
                    }
                    set
                }
                _ => {
                    let mut sets = Vec::new();
                    for arg in &bool_expr.args {
                        sets.push(self.not_null_relations(arg, top)?);
                    }
                    sets.into_iter().reduce(|a, b| a.intersection(&b)).unwrap_or_default()
                }
            },
            Expression::RelabelType(relabel) => self.not_null_relations(&relabel.arg, top)?,
            Expression::CollateExpr(collate) => self.not_null_relations(&collate.arg, top)?,
            Expression::CoerceViaIo(coerce) => self.not_null_relations(&coerce.arg, false)?,
            Expression::NullTest(test) if top && !test.is_null && !test.arg_is_row => {
                self.not_null_relations(&test.arg, false)?
            }
            _ => Relids::new(),
        })
    }

    /// Simplifies every condition of the tree into a flat list.
    pub fn simplify_tree(&mut self) -> Result<()> {
        let mut tree = std::mem::replace(&mut self.tree, JoinTree::Relation(0));
        let lookup = &self.global.lookup;
        tree.for_each_quals_mut(&mut |quals: &mut Vec<Expression>| -> Result<()> {
            let mut simplified = Vec::new();
            for qual in std::mem::take(quals) {
                simplified.extend(conjuncts(simplify_condition(lookup, qual)?));
            }
            *quals = simplified;
            Ok(())
        })?;
        self.tree = tree;
        Ok(())
    }
}

/// An outer join that null-extends less than it did.
struct ReducedJoin {
    join: u32,
    /// The side that it still null-extends.
    still_nulled: Relids,
}

/// Drops from an EXISTS subquery what can't change whether it has rows (`simplify_EXISTS_query`).
pub fn simplify_exists(query: &mut Query) -> bool {
    if query.command_type != CommandType::Select
        || query.set_operations.is_some()
        || query.has_aggs
        || !query.grouping_sets.is_empty()
        || query.has_window_funcs
        || query.has_target_srfs
        || query.having_qual.is_some()
        || query.limit_offset.is_some()
        || query.limit_count.is_some()
        || !query.row_marks.is_empty()
        || !query.cte_list.is_empty()
    {
        return false;
    }
    query.target_list.clear();
    query.group_clause.clear();
    query.distinct_clause.clear();
    query.sort_clause.clear();
    query.has_distinct_on = false;
    true
}
