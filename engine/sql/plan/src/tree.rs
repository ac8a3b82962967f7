//! The join tree while it is being planned, and the renumbering of range tables.
//!
//! The analyzed tree's joins are those one can write; the planner adds semi and anti joins. Every range
//! table entry of every query level gets a number of its own in the statement's flat range table as soon
//! as its query begins to be planned, so that pulling a subquery up is a matter of adding to the list.

use kokkiri_analyze::tree::{self as analyzed, Expression, JoinTreeNode, Query, Relids, Var};

use crate::expression::{conjuncts, relids};
use crate::plan::JoinType;

#[derive(Clone, Debug)]
pub enum JoinTree {
    Relation(u32),
    From { items: Vec<JoinTree>, quals: Vec<Expression> },
    Join(Box<Join>),
}

#[derive(Clone, Debug)]
pub struct Join {
    pub join_type: JoinType,
    pub left: JoinTree,
    pub right: JoinTree,
    pub quals: Vec<Expression>,
    /// The join's range table index; 0 for joins made of sublinks.
    pub rtindex: u32,
}

impl JoinTree {
    pub fn from_query(from: analyzed::FromExpr) -> Self {
        JoinTree::From {
            items: from.from_list.into_iter().map(Self::from_node).collect(),
            quals: from.quals.map(conjuncts).unwrap_or_default(),
        }
    }

    fn from_node(node: JoinTreeNode) -> Self {
        match node {
            JoinTreeNode::RangeTblRef(index) => JoinTree::Relation(index),
            JoinTreeNode::FromExpr(from) => Self::from_query(*from),
            JoinTreeNode::JoinExpr(join) => JoinTree::Join(Box::new(Join {
                join_type: match join.join_type {
                    analyzed::JoinType::Inner => JoinType::Inner,
                    analyzed::JoinType::Left => JoinType::Left,
                    analyzed::JoinType::Full => JoinType::Full,
                    analyzed::JoinType::Right => JoinType::Right,
                },
                left: Self::from_node(join.left),
                right: Self::from_node(join.right),
                quals: join.quals.map(conjuncts).unwrap_or_default(),
                rtindex: join.rtindex,
            })),
        }
    }

    /// Base relations at and below this node; outer joins included if asked.
    pub fn relids(&self, with_joins: bool) -> Relids {
        let mut set = Relids::new();
        self.collect(with_joins, &mut set);
        set
    }

    fn collect(&self, with_joins: bool, set: &mut Relids) {
        match self {
            JoinTree::Relation(index) => set.insert(*index),
            JoinTree::From { items, .. } => items.iter().for_each(|item| item.collect(with_joins, set)),
            JoinTree::Join(join) => {
                join.left.collect(with_joins, set);
                join.right.collect(with_joins, set);
                if with_joins && join.rtindex != 0 && join.join_type != JoinType::Inner {
                    set.insert(join.rtindex);
                }
            }
        }
    }

    /// Moves conditions that look at relations beyond their own node, as a LATERAL subquery's may, up to the
    /// node that joins these: a condition within the nullable side of an outer join becomes one of the
    /// join's. Gives those back that look beyond the tree. PostgreSQL's `postponed_oj_qual_list`.
    pub fn postpone_lateral_quals(&mut self) -> Vec<Expression> {
        if let JoinTree::Relation(_) = self {
            return Vec::new();
        }
        let scope = self.relids(true);
        let (own, postponed) = match self {
            JoinTree::Relation(_) => return Vec::new(),
            JoinTree::From { items, quals } => {
                let mut all: Vec<_> = items.iter_mut().flat_map(Self::postpone_lateral_quals).collect();
                all.append(quals);
                (quals, all)
            }
            JoinTree::Join(join) => {
                let mut all = join.left.postpone_lateral_quals();
                all.append(&mut join.right.postpone_lateral_quals());
                if join.join_type == JoinType::Inner {
                    all.append(&mut join.quals);
                }
                (&mut join.quals, all)
            }
        };
        let (fitting, beyond) =
            postponed.into_iter().partition(|qual: &Expression| relids(qual).is_subset_of(&scope));
        own.extend::<Vec<_>>(fitting);
        beyond
    }

    /// Every condition of the tree, to be changed.
    pub fn for_each_qual_mut(&mut self, visit: &mut dyn FnMut(&mut Expression)) {
        match self {
            JoinTree::Relation(_) => {}
            JoinTree::From { items, quals } => {
                items.iter_mut().for_each(|item| item.for_each_qual_mut(visit));
                quals.iter_mut().for_each(visit);
            }
            JoinTree::Join(join) => {
                join.left.for_each_qual_mut(visit);
                join.right.for_each_qual_mut(visit);
                join.quals.iter_mut().for_each(visit);
            }
        }
    }

    /// Condition lists of the tree, to be rewritten as a whole.
    pub fn for_each_quals_mut<E>(
        &mut self,
        visit: &mut dyn FnMut(&mut Vec<Expression>) -> Result<(), E>,
    ) -> Result<(), E> {
        match self {
            JoinTree::Relation(_) => Ok(()),
            JoinTree::From { items, quals } => {
                items.iter_mut().try_for_each(|item| item.for_each_quals_mut(visit))?;
                visit(quals)
            }
            JoinTree::Join(join) => {
                join.left.for_each_quals_mut(visit)?;
                join.right.for_each_quals_mut(visit)?;
                visit(&mut join.quals)
            }
        }
    }

    fn shift(&mut self, offset: u32) {
        match self {
            JoinTree::Relation(index) => *index += offset,
            JoinTree::From { items, .. } => items.iter_mut().for_each(|item| item.shift(offset)),
            JoinTree::Join(join) => {
                join.left.shift(offset);
                join.right.shift(offset);
                if join.rtindex != 0 {
                    join.rtindex += offset;
                }
            }
        }
    }
}

/// Calls `visit` on every variable (and CURRENT OF and aggregate depth aside) of an expression that
/// stands `depth` query levels below some level, with that depth.
pub fn visit_vars(expression: &mut Expression, depth: u32, visit: &mut dyn FnMut(&mut Var, u32)) {
    expression.walk_mut(&mut |node| {
        match node {
            Expression::Var(var) => visit(var, depth),
            Expression::SubLink(link) => visit_query_vars(&mut link.subselect, depth + 1, visit),
            _ => {}
        }
        true
    });
}

/// [`visit_vars`] for everything in a query.
pub fn visit_query_vars(query: &mut Query, depth: u32, visit: &mut dyn FnMut(&mut Var, u32)) {
    query.for_each_expression_mut(&mut |expression| visit_vars(expression, depth, visit));
    query.for_each_subquery_mut(&mut |query| visit_query_vars(query, depth + 1, visit));
}

/// Adds `offset` to all range table indexes of a query, its own level's.
pub fn shift_query(query: &mut Query, tree: &mut JoinTree, offset: u32) {
    let shift_set = |set: &Relids| set.iter().map(|member| member + offset).collect::<Relids>();
    let mut shift = |var: &mut Var, depth: u32| {
        if var.varlevelsup == depth {
            var.varno += offset;
            if !var.varnullingrels.is_empty() {
                var.varnullingrels = shift_set(&var.varnullingrels);
            }
        }
    };
    visit_query_vars(query, 0, &mut shift);
    tree.for_each_qual_mut(&mut |qual| visit_vars(qual, 0, &mut shift));
    tree.shift(offset);
    if query.result_relation != 0 {
        query.result_relation += offset;
    }
    for mark in &mut query.row_marks {
        mark.rti += offset;
    }
    if let Some(conflict) = &mut query.on_conflict
        && conflict.excluded_rel_index != 0
    {
        conflict.excluded_rel_index += offset;
    }
    fn shift_operations(tree: &mut analyzed::SetOperationTree, offset: u32) {
        match tree {
            analyzed::SetOperationTree::RangeTblRef(index) => *index += offset,
            analyzed::SetOperationTree::Operation(operation) => {
                let columns = operation.left_columns.iter_mut().chain(&mut operation.right_columns);
                columns.for_each(|column| visit_vars(column, 0, &mut |var, _| var.varno += offset));
                shift_operations(&mut operation.left, offset);
                shift_operations(&mut operation.right, offset);
            }
        }
    }
    if let Some(operations) = &mut query.set_operations {
        shift_operations(operations, offset);
    }
}

/// Lowers the level of variables that refer above this query by one: its level is going away.
pub fn raise_outer_references(query: &mut Query, tree: &mut JoinTree) {
    let mut raise = |var: &mut Var, depth: u32| {
        if var.varlevelsup > depth {
            var.varlevelsup -= 1;
        }
    };
    visit_query_vars(query, 0, &mut raise);
    tree.for_each_qual_mut(&mut |qual| visit_vars(qual, 0, &mut raise));
}

/// True if something in the query refers to a query level above it.
pub fn refers_outside(query: &Query) -> bool {
    let mut copy = query.clone();
    let mut found = false;
    visit_query_vars(&mut copy, 0, &mut |var, depth| found |= var.varlevelsup > depth);
    found
}
