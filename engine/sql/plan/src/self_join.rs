//! Joins of a table with itself on a unique key: both sides are the same row, so one of them goes.
//!
//! Realises: `remove_useless_self_joins` (analyzejoins.c), on the join tree before its relations are looked
//! at.
//!
//! Differs: the key must be unique by an index all of whose columns are compared; conditions with constants
//! do not stand for a column.

use kokkiri_analyze::tree::{CommandType, Expression, NullTest, RteKind, Var};
use kokkiri_parse::Location;
use kokkiri_primitives::Result;

use crate::root::Root;
use crate::tree::{JoinTree, visit_query_vars, visit_vars};

impl Root<'_, '_> {
    pub fn remove_self_joins(&mut self) -> Result<()> {
        if !self.global.cost.enable.self_join_elimination || self.query.command_type != CommandType::Select {
            return Ok(());
        }
        while let Some((gone, kept)) = self.find_self_join()? {
            self.replace_relation(gone, kept)?;
        }
        Ok(())
    }

    fn find_self_join(&self) -> Result<Option<(u32, u32)>> {
        let mut clusters = Vec::new();
        collect_clusters(&self.tree, &mut clusters);
        for cluster in clusters {
            if let Some(found) = self.self_join(&cluster)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Two relations of a cluster that are the same table joined on a unique key: the first is what the
    /// second stands for, too.
    fn self_join(&self, cluster: &Cluster<'_>) -> Result<Option<(u32, u32)>> {
        let relations = &cluster.relations;
        let table_of = |relid: u32| match &self.global.rte(relid).kind {
            RteKind::Relation { relid, tablesample: None, .. } => Some(*relid),
            _ => None,
        };
        let is_marked = |relid: u32| self.query.row_marks.iter().any(|mark| mark.rti == relid);
        for (at, &gone) in relations.iter().enumerate() {
            let Some(table) = table_of(gone).filter(|_| !is_marked(gone)) else { continue };
            for &kept in &relations[at + 1..] {
                if table_of(kept) != Some(table) || is_marked(kept) {
                    continue;
                }
                let equal = self.equal_columns(&cluster.quals, gone, kept)?;
                let table = self.global.lookup.relation(table)?;
                let is_unique = table.indexes.iter().any(|index| {
                    index.is_unique
                        && index.is_immediate
                        && index.is_valid
                        && index.predicate.is_none()
                        && index.columns[..index.key_count].iter().all(|column| equal.contains(column))
                });
                if is_unique {
                    return Ok(Some((gone, kept)));
                }
            }
        }
        Ok(None)
    }

    /// Columns that the conditions compare for equality in both relations, directly or by way of others.
    fn equal_columns(&self, quals: &[&Expression], a: u32, b: u32) -> Result<Vec<i16>> {
        let mut classes: Vec<Vec<Var>> = Vec::new();
        for qual in quals {
            let Some(pair) = self.merged_variables(qual)? else { continue };
            let place =
                |classes: &[Vec<Var>], var: &Var| classes.iter().position(|class| class.contains(var));
            match (place(&classes, &pair.0), place(&classes, &pair.1)) {
                (Some(x), Some(y)) if x != y => {
                    let other = classes.swap_remove(x.max(y));
                    classes[x.min(y)].extend(other);
                }
                (Some(_), Some(_)) => {}
                (Some(x), None) => classes[x].push(pair.1),
                (None, Some(y)) => classes[y].push(pair.0),
                (None, None) => classes.push(vec![pair.0, pair.1]),
            }
        }
        let columns = |class: &[Var], relid: u32| {
            class.iter().filter(move |var| var.varno == relid).map(|var| var.varattno).collect::<Vec<_>>()
        };
        let both = |class: &Vec<Var>| {
            let of_b = columns(class, b);
            columns(class, a).into_iter().filter(move |column| of_b.contains(column)).collect::<Vec<_>>()
        };
        Ok(classes.iter().flat_map(both).collect())
    }

    /// Both sides of `column = column`, by an operator that is equality in a B-tree.
    fn merged_variables(&self, qual: &Expression) -> Result<Option<(Var, Var)>> {
        let Expression::OpExpr(operator) = qual else { return Ok(None) };
        let [Expression::Var(left), Expression::Var(right)] = operator.args.as_slice() else {
            return Ok(None);
        };
        let is_plain = |var: &Var| var.varlevelsup == 0 && var.varnullingrels.is_empty();
        let merges =
            is_plain(left) && is_plain(right) && self.global.lookup.operator(operator.opno)?.can_merge;
        Ok(merges.then(|| (left.clone(), right.clone())))
    }

    /// Lets one relation stand for another. A column compared with itself is then only not null.
    fn replace_relation(&mut self, gone: u32, kept: u32) -> Result<()> {
        let mut rename = |var: &mut Var, depth: u32| {
            if var.varlevelsup == depth && var.varno == gone {
                var.varno = kept;
            }
        };
        visit_query_vars(&mut self.query, 0, &mut rename);
        self.tree.for_each_qual_mut(&mut |qual| visit_vars(qual, 0, &mut rename));
        for relid in self.tree.relids(false).iter() {
            match &mut self.global.range_table[relid as usize - 1].kind {
                RteKind::Subquery { query, .. } => visit_query_vars(query, 1, &mut rename),
                RteKind::Function { functions, .. } => {
                    functions.iter_mut().for_each(|function| visit_vars(&mut function.expr, 0, &mut rename));
                }
                RteKind::Values { lists, .. } => {
                    lists.iter_mut().flatten().for_each(|value| visit_vars(value, 0, &mut rename));
                }
                _ => {}
            }
        }
        let mut tree = std::mem::replace(&mut self.tree, JoinTree::Relation(0));
        let mut failure = None;
        tree.for_each_qual_mut(&mut |qual| match self.merged_variables(qual) {
            Ok(Some((left, right))) if left == right => {
                *qual = Expression::NullTest(Box::new(NullTest {
                    arg: Expression::Var(left),
                    is_null: false,
                    arg_is_row: false,
                    location: Location::UNKNOWN,
                }));
            }
            Ok(_) => {}
            Err(error) => failure = Some(error),
        });
        self.tree = without(tree, gone);
        failure.map_or(Ok(()), Err)
    }
}

/// Relations that are inner-joined with one another, with the conditions that hold for all their rows.
#[derive(Default)]
struct Cluster<'t> {
    relations: Vec<u32>,
    quals: Vec<&'t Expression>,
}

/// The clusters of a tree: outer and semi joins stand between them, so a condition on one side of such a
/// join says nothing of the rows of the other.
fn collect_clusters<'t>(tree: &'t JoinTree, clusters: &mut Vec<Cluster<'t>>) {
    let mut own = Cluster::default();
    collect(tree, &mut own, clusters);
    if own.relations.len() > 1 {
        own.relations.sort_unstable();
        clusters.push(own);
    }
}

fn collect<'t>(tree: &'t JoinTree, own: &mut Cluster<'t>, clusters: &mut Vec<Cluster<'t>>) {
    match tree {
        JoinTree::Relation(relid) => own.relations.push(*relid),
        JoinTree::From { items, quals } => {
            items.iter().for_each(|item| collect(item, own, clusters));
            own.quals.extend(quals);
        }
        JoinTree::Join(join) if join.join_type == crate::plan::JoinType::Inner => {
            collect(&join.left, own, clusters);
            collect(&join.right, own, clusters);
            own.quals.extend(&join.quals);
        }
        JoinTree::Join(join) => {
            collect_clusters(&join.left, clusters);
            collect_clusters(&join.right, clusters);
        }
    }
}

/// The tree without a relation, which some inner join or FROM list names.
fn without(tree: JoinTree, gone: u32) -> JoinTree {
    match tree {
        JoinTree::Relation(_) => tree,
        JoinTree::From { items, quals } => {
            let kept =
                items.into_iter().filter(|item| !matches!(item, JoinTree::Relation(relid) if *relid == gone));
            JoinTree::From { items: kept.map(|item| without(item, gone)).collect(), quals }
        }
        JoinTree::Join(mut join) => {
            let is_gone = |side: &JoinTree| matches!(side, JoinTree::Relation(relid) if *relid == gone);
            if is_gone(&join.left) {
                return JoinTree::From { items: vec![without(join.right, gone)], quals: join.quals };
            }
            if is_gone(&join.right) {
                return JoinTree::From { items: vec![without(join.left, gone)], quals: join.quals };
            }
            join.left = without(join.left, gone);
            join.right = without(join.right, gone);
            JoinTree::Join(join)
        }
    }
}
