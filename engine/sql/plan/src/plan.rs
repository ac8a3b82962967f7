//! The plan tree: what the planner hands to the executor.
//!
//! Realises: PostgreSQL's `plannodes.h`. A [`Plan`] is what every node has (costs, target list, quals)
//! with a [`PlanNode`] for what is particular to its kind; names and meanings are PostgreSQL's, so that
//! EXPLAIN is a walk over this tree.
//!
//! Variables. In a scan's expressions a `Var` names a range-table entry (its `varno`) and a column. In
//! every other node it names a column of an input's target list: `varno` is [`OUTER_VAR`] or
//! [`INNER_VAR`] and `varattno` counts from one. An index-only scan's expressions name index columns with
//! [`INDEX_VAR`].
//!
//! Parameters. `Param`s of kind Exec are slots of an array that init plans, nested loops and correlated
//! subplans fill while the plan runs. [`Plan::parameters`] says which of them a subtree reads, so that a
//! rescan knows what it must compute again.

use kokkiri_analyze::tree::{CommandType, Expression, OnConflictExpr, RangeTblEntry, TargetEntry};
use kokkiri_primitives::Oid;

use crate::cost::Cost;
use crate::expression::is_never_true;

/// `varno` of a column of the left (outer, only) input.
pub const OUTER_VAR: u32 = u32::MAX;
/// `varno` of a column of the right (inner) input.
pub const INNER_VAR: u32 = u32::MAX - 1;
/// `varno` of a column of the index of an index-only scan.
pub const INDEX_VAR: u32 = u32::MAX - 2;

/// A statement ready to be run.
#[derive(Clone, Debug)]
pub struct PlannedStatement {
    pub command_type: CommandType,
    pub plan: Plan,
    /// The range table of all levels of the query, flattened. Entry `n` is `range_table[n - 1]`.
    pub range_table: Vec<RangeTblEntry>,
    /// Plans of SubPlan expressions and init plans, by `plan_id` from zero.
    pub subplans: Vec<Plan>,
    /// Slots for parameters of kind Exec.
    pub parameter_count: usize,
    /// A data-modifying statement returns rows.
    pub has_returning: bool,
    /// Relations the plan depends on: it is replaced when one of them changes.
    pub relations: Vec<Oid>,
    /// The plan depends on the current transaction's time or settings and must not be kept.
    pub transient: bool,
    /// Plan nodes, numbered from zero.
    pub node_count: usize,
    /// Columns of the result: entries of the plan's target list that are not junk.
    pub result_columns: usize,
}

/// What every plan node has.
#[derive(Clone, Debug)]
pub struct Plan {
    pub node: PlanNode,
    /// Number of the node within its statement, for instrumentation.
    pub id: usize,
    pub cost: Cost,
    /// Rows that the node is expected to return.
    pub rows: f64,
    /// Average width of a row, bytes.
    pub width: i32,
    /// Disabled node types in this subtree.
    pub disabled_nodes: usize,
    pub target_list: Vec<TargetEntry>,
    /// Conditions on a row, all of which must be true, cheapest first.
    pub qual: Vec<Expression>,
    /// Subplans (by plan id) to be run once, before or when their parameter is first read.
    pub init_plans: Vec<InitPlan>,
    /// Exec parameters that this subtree reads and does not set itself, rising.
    pub parameters: Vec<u32>,
}

/// An uncorrelated subquery evaluated at most once for each start of its plan.
#[derive(Clone, Debug)]
pub struct InitPlan {
    pub plan_id: usize,
    /// `InitPlan 1`, as EXPLAIN names it.
    pub name: String,
    /// EXISTS: the parameter becomes a boolean.
    pub exists: bool,
    /// ARRAY(...): the parameter becomes an array of this element type.
    pub array_of: Option<Oid>,
    /// Parameters it sets.
    pub set_parameters: Vec<u32>,
}

#[derive(Clone, Debug)]
pub enum PlanNode {
    Result(ResultNode),
    ProjectSet {
        input: Box<Plan>,
    },
    SeqScan {
        scan_relid: u32,
    },
    IndexScan(IndexScan),
    IndexOnlyScan(IndexOnlyScan),
    BitmapHeapScan(BitmapHeapScan),
    BitmapIndexScan(BitmapIndexScan),
    BitmapAnd {
        inputs: Vec<Plan>,
    },
    TidScan {
        scan_relid: u32,
        tid_quals: Vec<Expression>,
    },
    SubqueryScan {
        scan_relid: u32,
        input: Box<Plan>,
    },
    FunctionScan {
        scan_relid: u32,
        functions: Vec<Expression>,
        with_ordinality: bool,
    },
    ValuesScan {
        scan_relid: u32,
        rows: Vec<Vec<Expression>>,
    },
    NestLoop(NestLoop),
    MergeJoin(MergeJoin),
    HashJoin(HashJoin),
    Hash {
        input: Box<Plan>,
    },
    Material {
        input: Box<Plan>,
    },
    Sort {
        input: Box<Plan>,
        keys: Vec<SortKey>,
    },
    IncrementalSort {
        input: Box<Plan>,
        keys: Vec<SortKey>,
        presorted: usize,
    },
    Agg(Agg),
    Unique {
        input: Box<Plan>,
        columns: Vec<GroupColumn>,
    },
    Limit {
        input: Box<Plan>,
        offset: Option<Expression>,
        count: Option<Expression>,
        /// WITH TIES: rows that equal the last one in these columns follow it.
        ties: Vec<GroupColumn>,
    },
    LockRows {
        input: Box<Plan>,
        row_marks: Vec<PlanRowMark>,
    },
    Append {
        inputs: Vec<Plan>,
    },
    SetOp(SetOp),
    ModifyTable(Box<ModifyTable>),
}

/// Rows without an input, or an input's rows under a condition that is the same for all of them.
#[derive(Clone, Debug)]
pub struct ResultNode {
    pub input: Option<Box<Plan>>,
    pub constant_qual: Vec<Expression>,
}

impl ResultNode {
    /// True of the plan of a relation that is known to be empty: its columns are never computed, and there
    /// is nothing that they could be computed from.
    pub fn is_empty_relation(&self) -> bool {
        self.input.is_none() && self.constant_qual.iter().any(is_never_true)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanDirection {
    Forward,
    Backward,
}

#[derive(Clone, Debug)]
pub struct IndexScan {
    pub scan_relid: u32,
    pub index: Oid,
    /// Conditions that the index checks, index columns as [`INDEX_VAR`].
    pub index_quals: Vec<IndexQual>,
    /// The same conditions as written, for EXPLAIN and for rechecks.
    pub index_qual_original: Vec<Expression>,
    pub direction: ScanDirection,
}

#[derive(Clone, Debug)]
pub struct IndexOnlyScan {
    pub scan_relid: u32,
    pub index: Oid,
    pub index_quals: Vec<IndexQual>,
    pub index_qual_original: Vec<Expression>,
    pub direction: ScanDirection,
    /// What the index returns, as expressions over the scanned relation, in the index's column order.
    pub index_target_list: Vec<Expression>,
}

/// Reads the rows that its input's bitmap names.
#[derive(Clone, Debug)]
pub struct BitmapHeapScan {
    pub scan_relid: u32,
    pub input: Box<Plan>,
    /// The index conditions below, for rows that the bitmap names only as one of their page.
    pub recheck: Vec<Expression>,
}

/// Makes a bitmap of the places that an index has for its conditions.
#[derive(Clone, Debug)]
pub struct BitmapIndexScan {
    pub scan_relid: u32,
    pub index: Oid,
    pub index_quals: Vec<IndexQual>,
    pub index_qual_original: Vec<Expression>,
}

/// One condition on a column of an index.
#[derive(Clone, Debug)]
pub struct IndexQual {
    /// Index column, from zero.
    pub column: usize,
    pub comparison: IndexComparison,
}

#[derive(Clone, Debug)]
pub enum IndexComparison {
    /// `column <operator> argument`, by B-tree strategy 1..5 (<, <=, =, >=, >).
    Operator {
        operator: Oid,
        function: Oid,
        strategy: u16,
        argument: Expression,
    },
    /// `column = ANY (array)`, or an inequality with ANY.
    Any {
        operator: Oid,
        function: Oid,
        strategy: u16,
        array: Expression,
    },
    IsNull,
    IsNotNull,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JoinType {
    Inner,
    Left,
    Full,
    Right,
    /// Outer rows that have a match.
    Semi,
    /// Outer rows that have none.
    Anti,
    RightSemi,
    RightAnti,
}

#[derive(Clone, Debug)]
pub struct Join {
    pub join_type: JoinType,
    pub outer: Box<Plan>,
    pub inner: Box<Plan>,
    /// Each outer row has at most one match.
    pub inner_unique: bool,
    /// Conditions of the join itself; an outer row that fails them is null-extended. [`Plan::qual`] holds
    /// those applied after null extension.
    pub join_qual: Vec<Expression>,
}

#[derive(Clone, Debug)]
pub struct NestLoop {
    pub join: Join,
    /// Values of the outer row to be handed to the inner side before each rescan.
    pub parameters: Vec<NestLoopParameter>,
}

#[derive(Clone, Debug)]
pub struct NestLoopParameter {
    pub id: u32,
    /// An expression over the outer row.
    pub value: Expression,
}

#[derive(Clone, Debug)]
pub struct HashJoin {
    pub join: Join,
    /// Equalities, outer side on the left.
    pub hash_clauses: Vec<Expression>,
    /// Both sides of each of them.
    pub keys: Vec<JoinKey>,
    /// Batches the planner expected.
    pub batches: f64,
}

#[derive(Clone, Debug)]
pub struct MergeJoin {
    pub join: Join,
    /// Equalities, outer side on the left, in order of the sort.
    pub merge_clauses: Vec<Expression>,
    pub keys: Vec<JoinKey>,
    pub descending: Vec<bool>,
    pub nulls_first: Vec<bool>,
    /// No inner row is ever visited twice.
    pub skip_mark_restore: bool,
}

/// One column of an equality join.
#[derive(Clone, Debug)]
pub struct JoinKey {
    /// Over the outer input ([`OUTER_VAR`]).
    pub outer: Expression,
    /// Over the inner input ([`INNER_VAR`]).
    pub inner: Expression,
    pub equality: Oid,
    pub collation: Oid,
}

/// A column to sort by.
#[derive(Clone, Debug, PartialEq)]
pub struct SortKey {
    /// Column of the input's target list, from one.
    pub column: usize,
    pub operator: Oid,
    pub collation: Oid,
    pub descending: bool,
    pub nulls_first: bool,
}

/// A column to group or compare by.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupColumn {
    /// Column of the input's target list, from one.
    pub column: usize,
    pub equality: Oid,
    pub collation: Oid,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AggStrategy {
    /// One group: everything.
    Plain,
    /// Groups arrive together.
    Sorted,
    Hashed,
}

/// Aggregation. Aggrefs stand in the target list and the quals, their arguments over the input.
#[derive(Clone, Debug)]
pub struct Agg {
    pub input: Box<Plan>,
    pub strategy: AggStrategy,
    pub group_columns: Vec<GroupColumn>,
    pub groups: f64,
    /// There is no aggregate: EXPLAIN calls the sorted form Group.
    pub is_group: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetOpCommand {
    Intersect,
    IntersectAll,
    Except,
    ExceptAll,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetOpStrategy {
    Sorted,
    Hashed,
}

#[derive(Clone, Debug)]
pub struct SetOp {
    pub command: SetOpCommand,
    pub strategy: SetOpStrategy,
    pub left: Box<Plan>,
    pub right: Box<Plan>,
    pub columns: Vec<GroupColumn>,
    pub sort_keys: Vec<SortKey>,
    pub groups: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowMarkType {
    Exclusive,
    NoKeyExclusive,
    Share,
    KeyShare,
    /// Not locked, only remembered for EvalPlanQual.
    Reference,
    /// Not a table: the whole row is remembered.
    Copy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockWaitPolicy {
    Block,
    Skip,
    Error,
}

/// A relation whose rows are locked or re-fetched on a concurrent update.
#[derive(Clone, Debug)]
pub struct PlanRowMark {
    pub relid: u32,
    pub mark_type: RowMarkType,
    pub wait_policy: LockWaitPolicy,
    /// Column of the input's target list holding the ctid, from one.
    pub ctid_column: Option<usize>,
}

/// INSERT, UPDATE or DELETE on one table.
#[derive(Clone, Debug)]
pub struct ModifyTable {
    pub operation: CommandType,
    pub result_relation: u32,
    pub relation: Oid,
    pub input: Plan,
    /// For INSERT and UPDATE: where each column of the table comes from in the input's target list (from
    /// one); `None` keeps the old value.
    pub new_columns: Vec<Option<usize>>,
    /// Columns of the table (from zero) that the input also has as another table compressed them, with the
    /// columns of the input's target list (from one) for that.
    pub compressed_columns: Vec<(usize, usize)>,
    /// Column of the input's target list holding the ctid of the old row, from one.
    pub ctid_column: Option<usize>,
    pub returning: Vec<TargetEntry>,
    pub on_conflict: Option<OnConflictExpr>,
    /// Other relations of the query, to be re-fetched when a row turns out to be updated concurrently.
    pub row_marks: Vec<PlanRowMark>,
}

impl Plan {
    /// What all joins have.
    pub fn join(&self) -> Option<&Join> {
        match &self.node {
            PlanNode::NestLoop(NestLoop { join, .. })
            | PlanNode::MergeJoin(MergeJoin { join, .. })
            | PlanNode::HashJoin(HashJoin { join, .. }) => Some(join),
            _ => None,
        }
    }

    /// Inputs of the node, outer first.
    pub fn children(&self) -> Vec<&Plan> {
        match &self.node {
            PlanNode::Result(result) => result.input.as_deref().into_iter().collect(),
            PlanNode::SeqScan { .. }
            | PlanNode::IndexScan(_)
            | PlanNode::IndexOnlyScan(_)
            | PlanNode::BitmapIndexScan(_)
            | PlanNode::TidScan { .. }
            | PlanNode::FunctionScan { .. }
            | PlanNode::ValuesScan { .. } => Vec::new(),
            PlanNode::ProjectSet { input }
            | PlanNode::SubqueryScan { input, .. }
            | PlanNode::Hash { input }
            | PlanNode::Material { input }
            | PlanNode::Sort { input, .. }
            | PlanNode::IncrementalSort { input, .. }
            | PlanNode::Unique { input, .. }
            | PlanNode::Limit { input, .. }
            | PlanNode::LockRows { input, .. } => vec![input],
            PlanNode::NestLoop(NestLoop { join, .. })
            | PlanNode::MergeJoin(MergeJoin { join, .. })
            | PlanNode::HashJoin(HashJoin { join, .. }) => vec![&join.outer, &join.inner],
            PlanNode::Agg(agg) => vec![&agg.input],
            PlanNode::BitmapHeapScan(scan) => vec![&scan.input],
            PlanNode::BitmapAnd { inputs } | PlanNode::Append { inputs } => inputs.iter().collect(),
            PlanNode::SetOp(set_op) => vec![&set_op.left, &set_op.right],
            PlanNode::ModifyTable(modify) => vec![&modify.input],
        }
    }
}
