//! Walking and rebuilding trees: PostgreSQL's `expression_tree_walker`, `expression_tree_mutator`,
//! `query_tree_walker`.
//!
//! Children come in the order PostgreSQL visits them. Sub-selects of SubLinks are queries, not children: whoever
//! counts levels enters them through [`Query::for_each_expression`].

use super::expression::*;
use super::query::*;

impl Expression {
    /// Calls `visit` on each direct child.
    pub fn for_each_child<'a>(&'a self, visit: &mut dyn FnMut(&'a Expression)) {
        match self {
            Expression::Var(_)
            | Expression::Const(_)
            | Expression::Param(_)
            | Expression::CaseTestExpr(_)
            | Expression::CoerceToDomainValue(_)
            | Expression::SqlValueFunction(_)
            | Expression::SetToDefault(_)
            | Expression::CurrentOf(_)
            | Expression::NextValue(_) => {}
            Expression::Aggref(agg) => {
                agg.aggdirectargs.iter().for_each(&mut *visit);
                agg.args.iter().for_each(|target| visit(&target.expr));
                agg.aggfilter.iter().for_each(visit);
            }
            Expression::GroupingFunc(func) => func.args.iter().for_each(visit),
            Expression::WindowFunc(func) => func.args.iter().chain(&func.aggfilter).for_each(visit),
            Expression::SubscriptingRef(subscript) => {
                subscript.upper.iter().chain(&subscript.lower).flatten().for_each(&mut *visit);
                visit(&subscript.container);
                subscript.assignment.iter().for_each(visit);
            }
            Expression::FuncExpr(func) => func.args.iter().for_each(visit),
            Expression::OpExpr(op) | Expression::DistinctExpr(op) | Expression::NullIfExpr(op) => {
                op.args.iter().for_each(visit)
            }
            Expression::ScalarArrayOpExpr(op) => {
                visit(&op.scalar);
                visit(&op.array);
            }
            Expression::BoolExpr(expr) => expr.args.iter().for_each(visit),
            Expression::SubLink(link) => link.testexpr.iter().for_each(visit),
            Expression::SubPlan(plan) => plan.testexpr.iter().chain(&plan.args).for_each(visit),
            Expression::FieldSelect(select) => visit(&select.arg),
            Expression::FieldStore(store) => {
                visit(&store.arg);
                store.values.iter().for_each(|(_, value)| visit(value));
            }
            Expression::RelabelType(relabel) => visit(&relabel.arg),
            Expression::CoerceViaIo(coerce) => visit(&coerce.arg),
            Expression::ArrayCoerceExpr(coerce) => {
                visit(&coerce.arg);
                visit(&coerce.element);
            }
            Expression::ConvertRowtypeExpr(convert) => visit(&convert.arg),
            Expression::CollateExpr(collate) => visit(&collate.arg),
            Expression::CaseExpr(case) => {
                case.arg.iter().for_each(&mut *visit);
                for when in &case.whens {
                    visit(&when.condition);
                    visit(&when.result);
                }
                visit(&case.default);
            }
            Expression::ArrayExpr(array) => array.elements.iter().for_each(visit),
            Expression::RowExpr(row) => row.args.iter().for_each(visit),
            Expression::RowCompareExpr(row) => row.left.iter().chain(&row.right).for_each(visit),
            Expression::CoalesceExpr(coalesce) => coalesce.args.iter().for_each(visit),
            Expression::MinMaxExpr(minmax) => minmax.args.iter().for_each(visit),
            Expression::NullTest(test) => visit(&test.arg),
            Expression::BooleanTest(test) => visit(&test.arg),
            Expression::CoerceToDomain(coerce) => visit(&coerce.arg),
            Expression::PlaceHolderVar(placeholder) => visit(&placeholder.expr),
        }
    }

    /// Calls `visit` on each direct child, which it may replace.
    pub fn for_each_child_mut(&mut self, visit: &mut dyn FnMut(&mut Expression)) {
        match self {
            Expression::Var(_)
            | Expression::Const(_)
            | Expression::Param(_)
            | Expression::CaseTestExpr(_)
            | Expression::CoerceToDomainValue(_)
            | Expression::SqlValueFunction(_)
            | Expression::SetToDefault(_)
            | Expression::CurrentOf(_)
            | Expression::NextValue(_) => {}
            Expression::Aggref(agg) => {
                agg.aggdirectargs.iter_mut().for_each(&mut *visit);
                agg.args.iter_mut().for_each(|target| visit(&mut target.expr));
                agg.aggfilter.iter_mut().for_each(visit);
            }
            Expression::GroupingFunc(func) => func.args.iter_mut().for_each(visit),
            Expression::WindowFunc(func) => func.args.iter_mut().chain(&mut func.aggfilter).for_each(visit),
            Expression::SubscriptingRef(subscript) => {
                subscript.upper.iter_mut().chain(&mut subscript.lower).flatten().for_each(&mut *visit);
                visit(&mut subscript.container);
                subscript.assignment.iter_mut().for_each(visit);
            }
            Expression::FuncExpr(func) => func.args.iter_mut().for_each(visit),
            Expression::OpExpr(op) | Expression::DistinctExpr(op) | Expression::NullIfExpr(op) => {
                op.args.iter_mut().for_each(visit)
            }
            Expression::ScalarArrayOpExpr(op) => {
                visit(&mut op.scalar);
                visit(&mut op.array);
            }
            Expression::BoolExpr(expr) => expr.args.iter_mut().for_each(visit),
            Expression::SubLink(link) => link.testexpr.iter_mut().for_each(visit),
            Expression::SubPlan(plan) => plan.testexpr.iter_mut().chain(&mut plan.args).for_each(visit),
            Expression::FieldSelect(select) => visit(&mut select.arg),
            Expression::FieldStore(store) => {
                visit(&mut store.arg);
                store.values.iter_mut().for_each(|(_, value)| visit(value));
            }
            Expression::RelabelType(relabel) => visit(&mut relabel.arg),
            Expression::CoerceViaIo(coerce) => visit(&mut coerce.arg),
            Expression::ArrayCoerceExpr(coerce) => {
                visit(&mut coerce.arg);
                visit(&mut coerce.element);
            }
            Expression::ConvertRowtypeExpr(convert) => visit(&mut convert.arg),
            Expression::CollateExpr(collate) => visit(&mut collate.arg),
            Expression::CaseExpr(case) => {
                case.arg.iter_mut().for_each(&mut *visit);
                for when in &mut case.whens {
                    visit(&mut when.condition);
                    visit(&mut when.result);
                }
                visit(&mut case.default);
            }
            Expression::ArrayExpr(array) => array.elements.iter_mut().for_each(visit),
            Expression::RowExpr(row) => row.args.iter_mut().for_each(visit),
            Expression::RowCompareExpr(row) => row.left.iter_mut().chain(&mut row.right).for_each(visit),
            Expression::CoalesceExpr(coalesce) => coalesce.args.iter_mut().for_each(visit),
            Expression::MinMaxExpr(minmax) => minmax.args.iter_mut().for_each(visit),
            Expression::NullTest(test) => visit(&mut test.arg),
            Expression::BooleanTest(test) => visit(&mut test.arg),
            Expression::CoerceToDomain(coerce) => visit(&mut coerce.arg),
            Expression::PlaceHolderVar(placeholder) => visit(&mut placeholder.expr),
        }
    }

    /// Visits the node and all below it, parents first; `visit` answers whether to descend.
    pub fn walk<'a>(&'a self, visit: &mut impl FnMut(&'a Expression) -> bool) {
        fn go<'a>(expr: &'a Expression, visit: &mut dyn FnMut(&'a Expression) -> bool) {
            if visit(expr) {
                expr.for_each_child(&mut |child| go(child, visit));
            }
        }
        go(self, visit);
    }

    /// As [`Expression::walk`], with leave to change nodes.
    pub fn walk_mut(&mut self, visit: &mut impl FnMut(&mut Expression) -> bool) {
        fn go(expr: &mut Expression, visit: &mut dyn FnMut(&mut Expression) -> bool) {
            if visit(expr) {
                expr.for_each_child_mut(&mut |child| go(child, visit));
            }
        }
        go(self, visit);
    }

    /// The node with each direct child replaced by what `map` makes of it.
    pub fn map_children(mut self, map: &mut impl FnMut(Expression) -> Expression) -> Expression {
        self.for_each_child_mut(&mut |child| {
            let taken = std::mem::replace(child, PLACEHOLDER);
            *child = map(taken);
        });
        self
    }

    /// True if the node or one below it satisfies the predicate.
    pub fn contains(&self, mut predicate: impl FnMut(&Expression) -> bool) -> bool {
        let mut found = false;
        self.walk(&mut |expr| {
            found = found || predicate(expr);
            !found
        });
        found
    }
}

/// Stands in for a child while it is mapped.
const PLACEHOLDER: Expression = Expression::CurrentOf(CurrentOfExpr { varno: 0, cursor: String::new() });

impl Query {
    /// Calls `visit` on every expression of this query, but not on those of queries within it: for those,
    /// [`Query::for_each_subquery`] and the SubLinks that `visit` sees.
    pub fn for_each_expression<'a>(&'a self, visit: &mut dyn FnMut(&'a Expression)) {
        let target_lists = [&self.target_list, &self.returning_list];
        for target in target_lists.into_iter().flatten() {
            visit(&target.expr);
        }
        if let Some(conflict) = &self.on_conflict {
            conflict.arbiter_elements.iter().for_each(|element| visit(&element.expr));
            conflict.arbiter_where.iter().for_each(&mut *visit);
            conflict.set.iter().for_each(|target| visit(&target.expr));
            conflict.where_clause.iter().for_each(&mut *visit);
        }
        for action in &self.merge_action_list {
            action.qual.iter().for_each(&mut *visit);
            action.target_list.iter().for_each(|target| visit(&target.expr));
        }
        self.merge_join_condition.iter().for_each(&mut *visit);
        visit_from(&self.jointree, visit);
        self.having_qual.iter().for_each(&mut *visit);
        self.limit_offset.iter().chain(&self.limit_count).for_each(&mut *visit);
        for window in &self.window_clause {
            for bound in [&window.frame.start, &window.frame.end] {
                if let FrameBound::Preceding(offset) | FrameBound::Following(offset) = bound {
                    visit(offset);
                }
            }
        }
        for entry in &self.rtable {
            match &entry.kind {
                RteKind::Relation { tablesample: Some(sample), .. } => {
                    sample.args.iter().chain(&sample.repeatable).for_each(&mut *visit)
                }
                RteKind::Join(join) => join.alias_vars.iter().for_each(&mut *visit),
                RteKind::Function { functions, .. } => {
                    functions.iter().for_each(|function| visit(&function.expr))
                }
                RteKind::Values { lists, .. } => lists.iter().flatten().for_each(&mut *visit),
                _ => {}
            }
        }
    }

    /// As [`Query::for_each_expression`], with leave to change the expressions.
    pub fn for_each_expression_mut(&mut self, visit: &mut dyn FnMut(&mut Expression)) {
        for target in self.target_list.iter_mut().chain(&mut self.returning_list) {
            visit(&mut target.expr);
        }
        if let Some(conflict) = &mut self.on_conflict {
            conflict.arbiter_elements.iter_mut().for_each(|element| visit(&mut element.expr));
            conflict.arbiter_where.iter_mut().for_each(&mut *visit);
            conflict.set.iter_mut().for_each(|target| visit(&mut target.expr));
            conflict.where_clause.iter_mut().for_each(&mut *visit);
        }
        for action in &mut self.merge_action_list {
            action.qual.iter_mut().for_each(&mut *visit);
            action.target_list.iter_mut().for_each(|target| visit(&mut target.expr));
        }
        self.merge_join_condition.iter_mut().for_each(&mut *visit);
        visit_from_mut(&mut self.jointree, visit);
        self.having_qual.iter_mut().for_each(&mut *visit);
        self.limit_offset.iter_mut().chain(&mut self.limit_count).for_each(&mut *visit);
        for window in &mut self.window_clause {
            for bound in [&mut window.frame.start, &mut window.frame.end] {
                if let FrameBound::Preceding(offset) | FrameBound::Following(offset) = bound {
                    visit(offset);
                }
            }
        }
        for entry in &mut self.rtable {
            match &mut entry.kind {
                RteKind::Relation { tablesample: Some(sample), .. } => {
                    sample.args.iter_mut().chain(&mut sample.repeatable).for_each(&mut *visit)
                }
                RteKind::Join(join) => join.alias_vars.iter_mut().for_each(&mut *visit),
                RteKind::Function { functions, .. } => {
                    functions.iter_mut().for_each(|function| visit(&mut function.expr))
                }
                RteKind::Values { lists, .. } => lists.iter_mut().flatten().for_each(&mut *visit),
                _ => {}
            }
        }
    }

    /// Calls `visit` on each query directly within this one, but for those of SubLinks: subqueries of
    /// the range table and CTEs. All are one level below.
    pub fn for_each_subquery<'a>(&'a self, visit: &mut dyn FnMut(&'a Query)) {
        for entry in &self.rtable {
            if let RteKind::Subquery { query, .. } = &entry.kind {
                visit(query);
            }
        }
        self.cte_list.iter().for_each(|cte| visit(&cte.query));
    }

    /// As [`Query::for_each_subquery`], with leave to change them.
    pub fn for_each_subquery_mut(&mut self, visit: &mut dyn FnMut(&mut Query)) {
        for entry in &mut self.rtable {
            if let RteKind::Subquery { query, .. } = &mut entry.kind {
                visit(query);
            }
        }
        self.cte_list.iter_mut().for_each(|cte| visit(&mut cte.query));
    }
}

fn visit_from<'a>(from: &'a FromExpr, visit: &mut dyn FnMut(&'a Expression)) {
    from.from_list.iter().for_each(|node| visit_node(node, visit));
    from.quals.iter().for_each(visit);
}

fn visit_node<'a>(node: &'a JoinTreeNode, visit: &mut dyn FnMut(&'a Expression)) {
    match node {
        JoinTreeNode::RangeTblRef(_) => {}
        JoinTreeNode::JoinExpr(join) => {
            visit_node(&join.left, visit);
            visit_node(&join.right, visit);
            join.quals.iter().for_each(visit);
        }
        JoinTreeNode::FromExpr(from) => visit_from(from, visit),
    }
}

fn visit_from_mut(from: &mut FromExpr, visit: &mut dyn FnMut(&mut Expression)) {
    from.from_list.iter_mut().for_each(|node| visit_node_mut(node, visit));
    from.quals.iter_mut().for_each(visit);
}

fn visit_node_mut(node: &mut JoinTreeNode, visit: &mut dyn FnMut(&mut Expression)) {
    match node {
        JoinTreeNode::RangeTblRef(_) => {}
        JoinTreeNode::JoinExpr(join) => {
            visit_node_mut(&mut join.left, visit);
            visit_node_mut(&mut join.right, visit);
            join.quals.iter_mut().for_each(visit);
        }
        JoinTreeNode::FromExpr(from) => visit_from_mut(from, visit),
    }
}
