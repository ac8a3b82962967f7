//! Paths: ways to produce a relation's rows, with their costs.
//!
//! Realises: `pathnodes.h`'s Path family and `pathnode.c`'s `add_path`. A path is light and shared; only
//! the winner becomes a plan. Target lists hang on paths as [`Target`]s whose expressions still name base
//! relations; the columns of inputs are found when the plan is made.

use std::rc::Rc;

use kokkiri_analyze::tree::{Expression, Relids};
use kokkiri_primitives::Oid;

use crate::clause::Clause;
use crate::cost::{Cost, EvaluationCost};
use crate::plan::{AggStrategy, JoinType, PlanRowMark, ScanDirection, SetOpCommand, SetOpStrategy};
use crate::relation::IndexInfo;

/// Columns that a path returns.
#[derive(Clone, Debug, Default)]
pub struct Target {
    pub exprs: Vec<Expression>,
    /// ressortgroupref of each expression; zero for none.
    pub references: Vec<u32>,
    pub width: i32,
    pub cost: EvaluationCost,
}

/// One column of an order: which class of equal expressions, in which direction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PathKey {
    /// Index of the equivalence class.
    pub class: usize,
    pub family: Oid,
    pub descending: bool,
    pub nulls_first: bool,
}

/// A condition that an index column checks.
#[derive(Clone, Debug)]
pub struct IndexClause {
    pub clause: Rc<Clause>,
    /// Index column, from zero.
    pub column: usize,
    /// The index column stands on the right of the operator: it must be commuted.
    pub commuted: bool,
}

#[derive(Clone, Debug)]
pub struct Path {
    pub kind: PathKind,
    /// Base relations (and outer joins) whose rows these are.
    pub relids: Relids,
    /// Relations whose values the path needs at run time.
    pub required_outer: Relids,
    pub target: Rc<Target>,
    pub rows: f64,
    pub cost: Cost,
    pub disabled_nodes: usize,
    pub pathkeys: Vec<PathKey>,
}

#[derive(Clone, Debug)]
pub enum PathKind {
    /// Base relation scans; join clauses pushed into them beyond the relation's own are listed.
    SeqScan {
        relid: u32,
        clauses: Vec<Rc<Clause>>,
    },
    IndexScan(IndexPath),
    BitmapHeapScan {
        relid: u32,
        bitmap: Rc<BitmapPath>,
    },
    TidScan {
        relid: u32,
        quals: Vec<Rc<Clause>>,
        clauses: Vec<Rc<Clause>>,
    },
    SubqueryScan {
        relid: u32,
        clauses: Vec<Rc<Clause>>,
    },
    FunctionScan {
        relid: u32,
        clauses: Vec<Rc<Clause>>,
    },
    ValuesScan {
        relid: u32,
        clauses: Vec<Rc<Clause>>,
    },
    /// No rows of a table: one row, if the condition holds.
    Result {
        input: Option<Rc<Path>>,
        constant_qual: Vec<Expression>,
    },
    /// Never any row.
    Dummy,
    /// One row: of each aggregate the value that an init plan finds.
    MinMax {
        values: Vec<(Expression, Expression)>,
        having: Vec<Expression>,
    },
    NestLoop(JoinPath),
    MergeJoin {
        join: JoinPath,
        clauses: Vec<Rc<Clause>>,
        outer_sort: Vec<PathKey>,
        inner_sort: Vec<PathKey>,
        materialize: bool,
        skip_mark_restore: bool,
        merge_keys: Vec<PathKey>,
    },
    HashJoin {
        join: JoinPath,
        clauses: Vec<Rc<Clause>>,
        batches: f64,
    },
    Material {
        input: Rc<Path>,
    },
    Sort {
        input: Rc<Path>,
    },
    ProjectSet {
        input: Rc<Path>,
    },
    Agg {
        input: Rc<Path>,
        strategy: AggStrategy,
        columns: Vec<GroupTarget>,
        groups: f64,
        having: Vec<Expression>,
        is_group: bool,
    },
    Append {
        inputs: Vec<Rc<Path>>,
    },
    SetOp {
        left: Rc<Path>,
        right: Rc<Path>,
        command: SetOpCommand,
        strategy: SetOpStrategy,
        /// Equality operator of each column.
        equalities: Vec<Oid>,
        /// For the sorted strategy: the order of both inputs, in terms of the result's columns.
        order: Vec<PathKey>,
        groups: f64,
    },
    Unique {
        input: Rc<Path>,
        columns: Vec<GroupTarget>,
    },
    LockRows {
        input: Rc<Path>,
        row_marks: Vec<PlanRowMark>,
    },
    Limit {
        input: Rc<Path>,
        offset: Option<Expression>,
        count: Option<Expression>,
        ties: Vec<GroupTarget>,
    },
}

/// An expression to group by.
#[derive(Clone, Debug)]
pub struct GroupTarget {
    pub expr: Expression,
    pub equality: Oid,
}

#[derive(Clone, Debug)]
pub struct IndexPath {
    pub relid: u32,
    pub index: Rc<IndexInfo>,
    pub index_clauses: Vec<IndexClause>,
    /// Conditions on the relation that the index does not check.
    pub filter: Vec<Rc<Clause>>,
    pub direction: ScanDirection,
    pub index_only: bool,
}

/// A way to make a bitmap of places.
#[derive(Clone, Debug)]
pub struct BitmapPath {
    pub source: BitmapSource,
    /// Of making and keeping it.
    pub cost: f64,
    pub selectivity: f64,
    pub required_outer: Relids,
    /// Conditions with other relations that hold for the rows wanted, checked by an index or not.
    pub joined: Vec<Rc<Clause>>,
}

#[derive(Clone, Debug)]
pub enum BitmapSource {
    Index {
        scan: IndexPath,
        /// Of reading the index.
        cost: f64,
    },
    And(Vec<Rc<BitmapPath>>),
}

#[derive(Clone, Debug)]
pub struct JoinPath {
    pub join_type: JoinType,
    pub outer: Rc<Path>,
    pub inner: Rc<Path>,
    pub inner_unique: bool,
    /// Every condition to be checked at this join.
    pub clauses: Vec<Rc<Clause>>,
}

const FUZZ: f64 = 1.01;

#[derive(Clone, Copy, PartialEq, Eq)]
enum CostComparison {
    Equal,
    FirstBetter,
    SecondBetter,
    Different,
}

fn compare_costs(a: &Path, b: &Path) -> CostComparison {
    use CostComparison::*;
    if a.disabled_nodes != b.disabled_nodes {
        return if a.disabled_nodes < b.disabled_nodes { FirstBetter } else { SecondBetter };
    }
    if a.cost.total > b.cost.total * FUZZ {
        return if b.cost.startup > a.cost.startup * FUZZ { Different } else { SecondBetter };
    }
    if b.cost.total > a.cost.total * FUZZ {
        return if a.cost.startup > b.cost.startup * FUZZ { Different } else { FirstBetter };
    }
    if a.cost.startup > b.cost.startup * FUZZ {
        return SecondBetter;
    }
    if b.cost.startup > a.cost.startup * FUZZ {
        return FirstBetter;
    }
    Equal
}

/// True if an order that begins with `keys` is what `order` gives (`pathkeys_contained_in`).
pub fn order_satisfies(order: &[PathKey], keys: &[PathKey]) -> bool {
    order.starts_with(keys)
}

/// Keeps a path unless one kept before is as good in every respect; drops those it beats (`add_path`).
pub fn add_path(paths: &mut Vec<Rc<Path>>, new: Path) {
    use CostComparison::*;
    // Parameterised paths are only good below a nested loop: their order does not count.
    let no_keys: &[PathKey] = &[];
    let keys_of = |path: &Path| -> Vec<PathKey> {
        if path.required_outer.is_empty() { path.pathkeys.clone() } else { no_keys.to_vec() }
    };
    let new_keys = keys_of(&new);
    let mut accept = true;
    paths.retain(|old| {
        if !accept {
            return true;
        }
        let comparison = compare_costs(&new, old);
        if comparison == Different {
            return true;
        }
        let old_keys = keys_of(old);
        let new_covers = order_satisfies(&new_keys, &old_keys);
        let old_covers = order_satisfies(&old_keys, &new_keys);
        let new_outer_fits = new.required_outer.is_subset_of(&old.required_outer);
        let old_outer_fits = old.required_outer.is_subset_of(&new.required_outer);
        let new_wins = new_covers && new_outer_fits && new.rows <= old.rows;
        let old_wins = old_covers && old_outer_fits && old.rows <= new.rows;
        match comparison {
            FirstBetter => !new_wins,
            SecondBetter => {
                accept = !old_wins;
                true
            }
            Equal if new_wins && old_wins => {
                // Equal in everything: the smaller exact cost decides, then the first come.
                let better = new.cost.total < old.cost.total * (1.0 - 1e-10);
                accept = better;
                !better
            }
            Equal if new_wins => false,
            Equal => {
                accept = !old_wins;
                true
            }
            Different => true,
        }
    });
    if accept {
        let at = paths
            .iter()
            .position(|old| (old.disabled_nodes, old.cost.total) > (new.disabled_nodes, new.cost.total))
            .unwrap_or(paths.len());
        paths.insert(at, Rc::new(new));
    }
}

/// Cheapest to the last row among those that need nothing from outside; else among all.
pub fn cheapest_total(paths: &[Rc<Path>]) -> Option<Rc<Path>> {
    let better = |a: &&Rc<Path>, b: &&Rc<Path>| {
        a.disabled_nodes
            .cmp(&b.disabled_nodes)
            .then(a.cost.total.total_cmp(&b.cost.total))
            .then(a.cost.startup.total_cmp(&b.cost.startup))
    };
    paths.iter().filter(|path| path.required_outer.is_empty()).min_by(better).cloned()
}

/// Cheapest for fetching a fraction of the rows (`compare_fractional_path_costs`).
pub fn cheapest_fractional<'a>(paths: impl Iterator<Item = &'a Rc<Path>>, fraction: f64) -> Option<Rc<Path>> {
    let price = |path: &Path| {
        if fraction <= 0.0 || fraction >= 1.0 {
            path.cost.total
        } else {
            path.cost.startup + fraction * path.cost.run()
        }
    };
    paths
        .filter(|path| path.required_outer.is_empty())
        .min_by(|a, b| a.disabled_nodes.cmp(&b.disabled_nodes).then(price(a).total_cmp(&price(b))))
        .cloned()
}

impl Path {
    /// True if the node computes target lists itself (`is_projection_capable_path`).
    pub fn can_project(&self) -> bool {
        !matches!(
            self.kind,
            PathKind::Material { .. }
                | PathKind::Sort { .. }
                | PathKind::Unique { .. }
                | PathKind::LockRows { .. }
                | PathKind::Limit { .. }
                | PathKind::ProjectSet { .. }
                | PathKind::Append { .. }
                | PathKind::SetOp { .. }
        )
    }
}
