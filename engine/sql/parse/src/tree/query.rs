//! SELECT, INSERT, UPDATE, DELETE, MERGE and their clauses.

use super::expression::{Expr, Indirection};
use crate::location::Location;

/// A whole select: a plain one, a VALUES list, or a set operation of two.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct SelectStmt {
    /// Absent for plain SELECT; DISTINCT has an empty list, DISTINCT ON its expressions.
    pub distinct: Option<Vec<Expr>>,
    pub into: Option<IntoClause>,
    pub targets: Vec<ResTarget>,
    pub from: Vec<TableExpr>,
    pub where_clause: Option<Expr>,
    pub group_by: Vec<GroupItem>,
    pub group_distinct: bool,
    pub having: Option<Expr>,
    pub windows: Vec<WindowDef>,
    /// Rows of a VALUES clause; empty unless this is one.
    pub values: Vec<Vec<Expr>>,
    pub sort: Vec<SortBy>,
    pub offset: Option<Expr>,
    pub limit: Option<Expr>,
    /// LIMIT ALL and LIMIT NULL are `limit: Some(NULL constant)`.
    pub limit_option: LimitOption,
    pub locking: Vec<LockingClause>,
    pub with: Option<WithClause>,
    pub set_operation: Option<Box<SetOperation>>,
    /// Where SELECT, VALUES, TABLE or the opening WITH stands.
    pub location: Location,
}

/// `left op right`, held by the select whose own target list is empty.
#[derive(Clone, Debug, PartialEq)]
pub struct SetOperation {
    pub op: SetOp,
    pub all: bool,
    pub left: SelectStmt,
    pub right: SelectStmt,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum SetOp {
    Union,
    Intersect,
    Except,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
pub enum LimitOption {
    #[default]
    Count,
    WithTies,
}

/// `INTO t` of SELECT, or the head of CREATE TABLE AS.
#[derive(Clone, Debug, PartialEq)]
pub struct IntoClause {
    pub relation: RangeVar,
    pub columns: Vec<String>,
    pub access_method: Option<String>,
    pub options: Vec<super::utility::DefElem>,
    pub on_commit: super::ddl::OnCommit,
    pub tablespace: Option<String>,
    pub skip_data: bool,
}

/// An item of a target list, of SET, of an INSERT's columns or of RETURNING.
#[derive(Clone, Debug, PartialEq)]
pub struct ResTarget {
    /// Column label, or the column assigned to.
    pub name: Option<String>,
    /// Subscripts and fields of the column assigned to.
    pub indirection: Vec<Indirection>,
    /// Absent in an INSERT's column list.
    pub value: Option<TargetValue>,
    pub location: Location,
}

#[derive(Clone, Debug, PartialEq)]
pub enum TargetValue {
    Expr(Expr),
    /// One column of `(a, b) = source`; every column of the list carries the shared source.
    MultiAssign {
        source: Box<Expr>,
        column: usize,
        columns: usize,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub struct RangeVar {
    pub catalog: Option<String>,
    pub schema: Option<String>,
    pub name: String,
    /// Descend into children (no ONLY).
    pub inherit: bool,
    pub persistence: Persistence,
    pub alias: Option<Alias>,
    pub location: Location,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Persistence {
    #[default]
    Permanent,
    Unlogged,
    Temporary,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Alias {
    pub name: String,
    pub columns: Vec<String>,
}

/// An item of FROM.
#[derive(Clone, Debug, PartialEq)]
pub enum TableExpr {
    Relation(RangeVar),
    Subselect { lateral: bool, query: Box<SelectStmt>, alias: Option<Alias>, location: Location },
    Function(Box<RangeFunction>),
    Join(Box<JoinExpr>),
    TableSample(Box<RangeTableSample>),
}

/// `f(...)`, or `ROWS FROM (f(...), g(...))`.
#[derive(Clone, Debug, PartialEq)]
pub struct RangeFunction {
    pub lateral: bool,
    pub ordinality: bool,
    pub rows_from: bool,
    /// Each with its own column definitions.
    pub functions: Vec<(Expr, Vec<super::ddl::ColumnDef>)>,
    pub alias: Option<Alias>,
    pub columns: Vec<super::ddl::ColumnDef>,
    pub location: Location,
}

#[derive(Clone, Debug, PartialEq)]
pub struct RangeTableSample {
    pub relation: TableExpr,
    pub method: Vec<String>,
    pub args: Vec<Expr>,
    pub repeatable: Option<Expr>,
    pub location: Location,
}

#[derive(Clone, Debug, PartialEq)]
pub struct JoinExpr {
    pub join_type: JoinType,
    pub natural: bool,
    pub left: TableExpr,
    pub right: TableExpr,
    pub using: Vec<String>,
    pub using_alias: Option<Alias>,
    pub quals: Option<Expr>,
    /// Of the whole parenthesised join.
    pub alias: Option<Alias>,
    pub location: Location,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum JoinType {
    /// CROSS JOIN is an inner join without quals.
    Inner,
    Left,
    Full,
    Right,
}

#[derive(Clone, Debug, PartialEq)]
pub enum GroupItem {
    Expr(Expr),
    Empty { location: Location },
    Rollup { items: Vec<GroupItem>, location: Location },
    Cube { items: Vec<GroupItem>, location: Location },
    Sets { items: Vec<GroupItem>, location: Location },
}

#[derive(Clone, Debug, PartialEq)]
pub struct SortBy {
    pub expr: Expr,
    pub direction: SortDirection,
    pub nulls: SortNulls,
    /// Of the USING operator.
    pub location: Location,
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum SortDirection {
    #[default]
    Default,
    Ascending,
    Descending,
    /// `USING operator`.
    Using(Vec<String>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SortNulls {
    #[default]
    Default,
    First,
    Last,
}

#[derive(Clone, Debug, PartialEq)]
pub struct WindowDef {
    /// Of a WINDOW clause.
    pub name: Option<String>,
    /// An existing window this one extends, or names with OVER w.
    pub refname: Option<String>,
    pub partition: Vec<Expr>,
    pub order: Vec<SortBy>,
    pub frame: Option<WindowFrame>,
    pub location: Location,
}

#[derive(Clone, Debug, PartialEq)]
pub struct WindowFrame {
    pub mode: FrameMode,
    pub start: FrameBound,
    /// Absent without BETWEEN.
    pub end: Option<FrameBound>,
    pub exclusion: FrameExclusion,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum FrameMode {
    Range,
    Rows,
    Groups,
}

#[derive(Clone, Debug, PartialEq)]
pub enum FrameBound {
    UnboundedPreceding,
    Preceding(Expr),
    CurrentRow,
    Following(Expr),
    UnboundedFollowing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
pub enum FrameExclusion {
    #[default]
    NoOthers,
    CurrentRow,
    Group,
    Ties,
}

#[derive(Clone, Debug, PartialEq)]
pub struct LockingClause {
    /// Empty: all of FROM.
    pub relations: Vec<RangeVar>,
    pub strength: LockStrength,
    pub wait: LockWait,
}

/// Rising strength.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum LockStrength {
    ForKeyShare,
    ForShare,
    ForNoKeyUpdate,
    ForUpdate,
}

/// Rising: the strongest of several clauses wins.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default, serde::Serialize, serde::Deserialize,
)]
pub enum LockWait {
    #[default]
    Block,
    Skip,
    Error,
}

#[derive(Clone, Debug, PartialEq)]
pub struct WithClause {
    pub recursive: bool,
    pub ctes: Vec<CommonTableExpr>,
    pub location: Location,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CommonTableExpr {
    pub name: String,
    pub columns: Vec<String>,
    pub materialized: CteMaterialize,
    /// SELECT or a data-modifying statement.
    pub query: super::Statement,
    pub search: Option<CteSearch>,
    pub cycle: Option<CteCycle>,
    pub location: Location,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
pub enum CteMaterialize {
    #[default]
    Default,
    Always,
    Never,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CteSearch {
    pub columns: Vec<String>,
    pub breadth_first: bool,
    pub sequence_column: String,
    pub location: Location,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CteCycle {
    pub columns: Vec<String>,
    pub mark_column: String,
    pub mark_value: Option<Expr>,
    pub mark_default: Option<Expr>,
    pub path_column: String,
    pub location: Location,
}

#[derive(Clone, Debug, PartialEq)]
pub struct InsertStmt {
    pub relation: RangeVar,
    pub columns: Vec<ResTarget>,
    /// Absent for DEFAULT VALUES.
    pub source: Option<SelectStmt>,
    pub on_conflict: Option<OnConflictClause>,
    pub returning: Option<ReturningClause>,
    pub with: Option<WithClause>,
    pub overriding: Overriding,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
pub enum Overriding {
    #[default]
    NotSet,
    UserValue,
    SystemValue,
}

#[derive(Clone, Debug, PartialEq)]
pub struct OnConflictClause {
    pub infer: Option<InferClause>,
    pub action: ConflictAction,
    pub location: Location,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ConflictAction {
    Nothing,
    Update { set: Vec<ResTarget>, where_clause: Option<Expr> },
}

#[derive(Clone, Debug, PartialEq)]
pub struct InferClause {
    pub elements: Vec<super::ddl::IndexElem>,
    pub where_clause: Option<Expr>,
    pub constraint: Option<String>,
    pub location: Location,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ReturningClause {
    /// `WITH (OLD AS o, NEW AS n)`.
    pub options: Vec<(ReturningOption, String, Location)>,
    pub targets: Vec<ResTarget>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReturningOption {
    Old,
    New,
}

#[derive(Clone, Debug, PartialEq)]
pub struct UpdateStmt {
    pub relation: RangeVar,
    pub targets: Vec<ResTarget>,
    pub from: Vec<TableExpr>,
    pub where_clause: Option<Expr>,
    pub returning: Option<ReturningClause>,
    pub with: Option<WithClause>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct DeleteStmt {
    pub relation: RangeVar,
    pub using: Vec<TableExpr>,
    pub where_clause: Option<Expr>,
    pub returning: Option<ReturningClause>,
    pub with: Option<WithClause>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct MergeStmt {
    pub relation: RangeVar,
    pub source: TableExpr,
    pub condition: Expr,
    pub whens: Vec<MergeWhen>,
    pub returning: Option<ReturningClause>,
    pub with: Option<WithClause>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct MergeWhen {
    pub matched: MergeMatch,
    pub condition: Option<Expr>,
    pub action: MergeActionStmt,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergeMatch {
    Matched,
    NotMatchedBySource,
    NotMatchedByTarget,
}

#[derive(Clone, Debug, PartialEq)]
pub enum MergeActionStmt {
    Update(Vec<ResTarget>),
    Delete,
    Insert { columns: Vec<ResTarget>, overriding: Overriding, values: Vec<Expr> },
    DoNothing,
}
