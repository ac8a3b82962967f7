//! Query, its range table, join tree and clauses.

use std::collections::BTreeSet;

use kokkiri_parse::Location;
use kokkiri_parse::tree::Statement;
pub use kokkiri_parse::tree::{
    Alias, CteMaterialize, FrameExclusion, FrameMode, JoinType, LimitOption, LockStrength, LockWait,
    Overriding, SetOp,
};
use kokkiri_primitives::Oid;
use serde::{Deserialize, Serialize};

use super::expression::Expression;
use super::relids::Relids;

/// An analyzed statement.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Query {
    pub command_type: CommandType,
    /// The statement, if `command_type` is Utility. Never stored.
    #[serde(skip)]
    pub utility: Option<Box<Statement>>,
    /// 1-based index of the target of INSERT, UPDATE, DELETE or MERGE; 0 for SELECT.
    pub result_relation: u32,
    pub has_aggs: bool,
    pub has_window_funcs: bool,
    /// Set-returning functions in the target list.
    pub has_target_srfs: bool,
    pub has_sub_links: bool,
    pub has_distinct_on: bool,
    /// WITH RECURSIVE was written.
    pub has_recursive: bool,
    /// INSERT, UPDATE or DELETE in WITH.
    pub has_modifying_cte: bool,
    /// FOR UPDATE or its kin was written (not inherited).
    pub has_for_update: bool,
    pub cte_list: Vec<CommonTableExpr>,
    pub rtable: Vec<RangeTblEntry>,
    /// What each relation of the range table must allow; see [`RangeTblEntry::perminfo_index`].
    pub rte_perm_infos: Vec<RtePermissionInfo>,
    pub jointree: FromExpr,
    pub merge_action_list: Vec<MergeAction>,
    /// 1-based index of MERGE's target as the source of its join.
    pub merge_target_relation: u32,
    pub merge_join_condition: Option<Expression>,
    /// For INSERT and UPDATE: resno is the number of the target column.
    pub target_list: Vec<TargetEntry>,
    pub overriding: Overriding,
    pub on_conflict: Option<Box<OnConflictExpr>>,
    pub returning_old_alias: Option<String>,
    pub returning_new_alias: Option<String>,
    pub returning_list: Vec<TargetEntry>,
    pub group_clause: Vec<SortGroupClause>,
    pub group_distinct: bool,
    pub grouping_sets: Vec<GroupingSet>,
    pub having_qual: Option<Expression>,
    pub window_clause: Vec<WindowClause>,
    pub distinct_clause: Vec<SortGroupClause>,
    pub sort_clause: Vec<SortGroupClause>,
    pub limit_offset: Option<Expression>,
    pub limit_count: Option<Expression>,
    pub limit_option: LimitOption,
    pub row_marks: Vec<RowMarkClause>,
    pub set_operations: Option<Box<SetOperationTree>>,
    /// Where the statement starts in the query string and how long it is.
    #[serde(skip)]
    pub statement_location: usize,
    #[serde(skip)]
    pub statement_length: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum CommandType {
    #[default]
    Select,
    Update,
    Insert,
    Delete,
    Merge,
    Utility,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RangeTblEntry {
    pub kind: RteKind,
    /// As the user wrote it.
    pub alias: Option<Alias>,
    /// The name and the column names it goes by, dropped columns (empty names) included.
    pub eref: Alias,
    pub lateral: bool,
    /// Named in FROM (as opposed to a DML target or a rule's OLD and NEW).
    pub in_from_cl: bool,
    /// 1-based index into the query's `rte_perm_infos`; 0 if nothing is to be checked.
    pub perminfo_index: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum RteKind {
    Relation {
        relid: Oid,
        /// `r`, `v`, `m`, `p`, `S`, ...
        relkind: u8,
        /// Descend into children.
        inh: bool,
        tablesample: Option<Box<TableSampleClause>>,
    },
    Subquery {
        query: Box<Query>,
        /// The view this was expanded from.
        view: Option<Oid>,
        security_barrier: bool,
    },
    Join(Box<RteJoin>),
    Function {
        functions: Vec<RangeTblFunction>,
        ordinality: bool,
    },
    Values {
        lists: Vec<Vec<Expression>>,
        columns: Vec<ColumnInfo>,
    },
    Cte {
        name: String,
        levels_up: u32,
        /// A recursive reference to the CTE being defined.
        self_reference: bool,
        columns: Vec<ColumnInfo>,
    },
    /// No table at all: one empty row. Made by the planner.
    Result,
}

/// Type, typmod and collation of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ColumnInfo {
    pub type_oid: Oid,
    pub typmod: i32,
    pub collation: Oid,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RteJoin {
    pub join_type: JoinType,
    /// How many of the columns are merged by USING or NATURAL; they come first.
    pub merged_columns: usize,
    /// What each column of the join stands for.
    pub alias_vars: Vec<Expression>,
    /// For each column: its number on the left and on the right, 0 if it has none there.
    pub left_columns: Vec<i16>,
    pub right_columns: Vec<i16>,
    pub using_alias: Option<Alias>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RangeTblFunction {
    pub expr: Expression,
    pub column_count: usize,
    /// Of a column definition list.
    pub columns: Vec<(String, ColumnInfo)>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableSampleClause {
    pub method: Oid,
    pub args: Vec<Expression>,
    pub repeatable: Option<Expression>,
}

/// What must be allowed on a relation: PostgreSQL's `RTEPermissionInfo`.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct RtePermissionInfo {
    pub relid: Oid,
    pub inh: bool,
    /// Bits of [`Privilege`].
    pub required: u32,
    /// Whose privileges count, if not the current user's.
    pub check_as_user: Option<Oid>,
    pub selected_columns: BTreeSet<i16>,
    pub inserted_columns: BTreeSet<i16>,
    pub updated_columns: BTreeSet<i16>,
}

/// Bits of [`RtePermissionInfo::required`], PostgreSQL's `ACL_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Privilege {
    Insert = 1 << 0,
    Select = 1 << 1,
    Update = 1 << 2,
    Delete = 1 << 3,
}

#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct FromExpr {
    pub from_list: Vec<JoinTreeNode>,
    pub quals: Option<Expression>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum JoinTreeNode {
    /// 1-based index into the range table.
    RangeTblRef(u32),
    JoinExpr(Box<JoinExpr>),
    FromExpr(Box<FromExpr>),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JoinExpr {
    pub join_type: JoinType,
    pub natural: bool,
    pub left: JoinTreeNode,
    pub right: JoinTreeNode,
    pub using: Vec<String>,
    pub quals: Option<Expression>,
    pub alias: Option<Alias>,
    /// 1-based index of the join's own range table entry.
    pub rtindex: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetEntry {
    pub expr: Expression,
    /// 1-based.
    pub resno: i16,
    pub resname: Option<String>,
    /// Nonzero if a sort or group clause refers to it.
    pub ressortgroupref: u32,
    /// Table and column the value comes from, if it is plainly a column.
    pub resorigtbl: Oid,
    pub resorigcol: i16,
    /// Not part of the result.
    pub resjunk: bool,
}

/// A column to sort or group by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SortGroupClause {
    pub tle_sort_group_ref: u32,
    pub eqop: Oid,
    /// 0 if the type can only be hashed.
    pub sortop: Oid,
    pub reverse_sort: bool,
    pub nulls_first: bool,
    pub hashable: bool,
}

/// An item of GROUP BY, once there are grouping sets. Numbers are ressortgrouprefs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum GroupingSet {
    Empty,
    Simple(Vec<u32>),
    Rollup(Vec<GroupingSet>),
    Cube(Vec<GroupingSet>),
    Sets(Vec<GroupingSet>),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WindowClause {
    pub name: Option<String>,
    pub refname: Option<String>,
    pub partition_clause: Vec<SortGroupClause>,
    pub order_clause: Vec<SortGroupClause>,
    pub frame: WindowFrame,
    /// WindowFunc's `winref`.
    pub winref: u32,
    /// The order was taken over from the window referred to.
    pub copied_order: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WindowFrame {
    /// Written, as opposed to the default RANGE UNBOUNDED PRECEDING.
    pub explicit: bool,
    /// BETWEEN was written.
    pub between: bool,
    pub mode: FrameMode,
    pub start: FrameBound,
    pub end: FrameBound,
    pub exclusion: FrameExclusion,
    /// in_range support functions, for RANGE with offsets.
    pub start_in_range_func: Oid,
    pub end_in_range_func: Oid,
    pub in_range_collation: Oid,
    pub in_range_ascending: bool,
    pub in_range_nulls_first: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FrameBound {
    UnboundedPreceding,
    Preceding(Expression),
    CurrentRow,
    Following(Expression),
    UnboundedFollowing,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowMarkClause {
    /// 1-based.
    pub rti: u32,
    pub strength: LockStrength,
    pub wait: LockWait,
    /// Pushed down from an outer query.
    pub pushed_down: bool,
}

/// Tree of set operations over subqueries of the range table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum SetOperationTree {
    RangeTblRef(u32),
    Operation(Box<SetOperationStmt>),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SetOperationStmt {
    pub op: SetOp,
    pub all: bool,
    pub left: SetOperationTree,
    pub right: SetOperationTree,
    pub columns: Vec<ColumnInfo>,
    /// The columns of each branch brought to those types: expressions over variables of the branch, or of
    /// the leftmost branch of a nested operation.
    pub left_columns: Vec<Expression>,
    pub right_columns: Vec<Expression>,
    /// Empty for UNION ALL.
    pub group_clauses: Vec<SortGroupClause>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommonTableExpr {
    pub name: String,
    pub materialized: CteMaterialize,
    pub query: Query,
    pub recursive: bool,
    pub refcount: usize,
    pub column_names: Vec<String>,
    pub columns: Vec<ColumnInfo>,
    pub location: Location,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OnConflictExpr {
    /// DO UPDATE if true, DO NOTHING if false.
    pub update: bool,
    pub arbiter_elements: Vec<InferenceElem>,
    pub arbiter_where: Option<Expression>,
    /// ON CONSTRAINT.
    pub constraint: Option<Oid>,
    pub set: Vec<TargetEntry>,
    pub where_clause: Option<Expression>,
    /// 1-based index of `excluded` in the range table.
    pub excluded_rel_index: u32,
    /// Target list of the excluded row.
    pub excluded_target_list: Vec<TargetEntry>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InferenceElem {
    pub expr: Expression,
    pub collation: Option<Oid>,
    pub opclass: Option<Oid>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MergeAction {
    pub matched: MergeMatchKind,
    pub command_type: MergeCommand,
    pub overriding: Overriding,
    pub qual: Option<Expression>,
    pub target_list: Vec<TargetEntry>,
    pub update_columns: Vec<i16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MergeMatchKind {
    Matched,
    NotMatchedBySource,
    NotMatchedByTarget,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MergeCommand {
    Insert,
    Update,
    Delete,
    Nothing,
}

impl Query {
    /// The entry of a 1-based range table index.
    ///
    /// # Panics
    /// If the index is not one of this query's: analysis and planning make only valid ones.
    pub fn rte(&self, index: u32) -> &RangeTblEntry {
        &self.rtable[index as usize - 1]
    }

    pub fn rte_mut(&mut self, index: u32) -> &mut RangeTblEntry {
        &mut self.rtable[index as usize - 1]
    }

    /// The target entry a sort or group clause refers to.
    pub fn sort_group_target(&self, clause: &SortGroupClause) -> Option<&TargetEntry> {
        sort_group_target(clause.tle_sort_group_ref, &self.target_list)
    }

    /// The columns a client sees.
    pub fn result_columns(&self) -> impl Iterator<Item = &TargetEntry> {
        let list = match self.command_type {
            CommandType::Select => &self.target_list,
            _ => &self.returning_list,
        };
        list.iter().filter(|target| !target.resjunk)
    }

    /// True if running it yields rows.
    pub fn returns_rows(&self) -> bool {
        self.command_type == CommandType::Select || !self.returning_list.is_empty()
    }
}

/// The entry of a target list with a given ressortgroupref.
pub fn sort_group_target(reference: u32, targets: &[TargetEntry]) -> Option<&TargetEntry> {
    targets.iter().find(|target| target.ressortgroupref == reference)
}

impl TargetEntry {
    pub fn new(expr: Expression, resno: i16, resname: Option<String>, resjunk: bool) -> Self {
        Self { expr, resno, resname, ressortgroupref: 0, resorigtbl: Oid::INVALID, resorigcol: 0, resjunk }
    }
}

impl ColumnInfo {
    pub fn of(expr: &Expression) -> Self {
        Self { type_oid: expr.result_type(), typmod: expr.typmod(), collation: expr.collation() }
    }
}

impl JoinTreeNode {
    /// Range table indexes at and below this node; those of joins themselves included if asked.
    pub fn relids(&self, include_joins: bool) -> Relids {
        let mut set = Relids::new();
        self.collect(include_joins, &mut set);
        set
    }

    fn collect(&self, include_joins: bool, set: &mut Relids) {
        match self {
            JoinTreeNode::RangeTblRef(index) => set.insert(*index),
            JoinTreeNode::JoinExpr(join) => {
                join.left.collect(include_joins, set);
                join.right.collect(include_joins, set);
                if include_joins {
                    set.insert(join.rtindex);
                }
            }
            JoinTreeNode::FromExpr(from) => {
                for item in &from.from_list {
                    item.collect(include_joins, set);
                }
            }
        }
    }
}
