//! Statements that define, change and drop objects.

use super::Statement;
use super::expression::{Expr, FuncCall, TypeName};
use super::query::{IntoClause, RangeVar, SelectStmt, SortDirection, SortNulls};
use super::utility::{DefElem, RoleSpec};
use crate::location::Location;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum OnCommit {
    #[default]
    None,
    PreserveRows,
    DeleteRows,
    Drop,
}

/// CREATE TABLE.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateStmt {
    pub relation: RangeVar,
    pub elements: Vec<TableElement>,
    /// INHERITS, or the one parent of PARTITION OF.
    pub inherits: Vec<RangeVar>,
    pub partition_bound: Option<PartitionBoundSpec>,
    pub partition_by: Option<PartitionSpec>,
    /// OF type.
    pub of_type: Option<TypeName>,
    pub options: Vec<DefElem>,
    pub on_commit: OnCommit,
    pub tablespace: Option<String>,
    pub access_method: Option<String>,
    pub if_not_exists: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub enum TableElement {
    Column(ColumnDef),
    Like { relation: RangeVar, options: Vec<(bool, TableLikeOption)> },
    Constraint(Constraint),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TableLikeOption {
    Comments,
    Compression,
    Constraints,
    Defaults,
    Identity,
    Generated,
    Indexes,
    Statistics,
    Storage,
    All,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ColumnDef {
    pub name: String,
    /// Absent in typed tables and partitions.
    pub type_name: Option<TypeName>,
    pub compression: Option<String>,
    pub storage: Option<String>,
    pub collation: Option<(Vec<String>, Location)>,
    pub constraints: Vec<Constraint>,
    pub fdw_options: Vec<DefElem>,
    pub location: Location,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Constraint {
    pub name: Option<String>,
    pub kind: ConstraintKind,
    pub deferrable: Option<bool>,
    pub initially_deferred: Option<bool>,
    /// NOT VALID was given.
    pub not_valid: bool,
    /// ENFORCED or NOT ENFORCED.
    pub enforced: Option<bool>,
    pub no_inherit: bool,
    pub location: Location,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ConstraintKind {
    Null,
    /// Column is given for the table-level form.
    NotNull {
        column: Option<String>,
    },
    Default(Expr),
    Check(Expr),
    Identity {
        always: bool,
        options: Vec<DefElem>,
    },
    Generated {
        expr: Expr,
        stored: bool,
    },
    Primary(IndexConstraint),
    Unique {
        nulls_not_distinct: bool,
        index: IndexConstraint,
    },
    Exclusion {
        access_method: String,
        elements: Vec<(IndexElem, Vec<String>)>,
        index: IndexConstraint,
        where_clause: Option<Expr>,
    },
    Foreign(ForeignKey),
}

/// What PRIMARY KEY, UNIQUE and EXCLUDE say of their index.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct IndexConstraint {
    /// Empty for a column constraint.
    pub columns: Vec<String>,
    pub without_overlaps: bool,
    pub including: Vec<String>,
    /// USING INDEX name.
    pub index_name: Option<String>,
    pub options: Vec<DefElem>,
    pub tablespace: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ForeignKey {
    /// Empty for a column constraint.
    pub columns: Vec<String>,
    pub period: bool,
    pub table: RangeVar,
    pub referenced: Vec<String>,
    pub referenced_period: bool,
    pub match_type: FkMatch,
    pub on_update: FkAction,
    pub on_delete: FkAction,
    pub delete_columns: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum FkMatch {
    #[default]
    Simple,
    Full,
    Partial,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum FkAction {
    #[default]
    NoAction,
    Restrict,
    Cascade,
    SetNull,
    SetDefault,
}

#[derive(Clone, Debug, PartialEq)]
pub struct PartitionSpec {
    pub strategy: String,
    pub elements: Vec<PartitionElem>,
    pub location: Location,
}

#[derive(Clone, Debug, PartialEq)]
pub struct PartitionElem {
    pub column: Option<String>,
    pub expr: Option<Expr>,
    pub collation: Vec<String>,
    pub opclass: Vec<String>,
    pub location: Location,
}

#[derive(Clone, Debug, PartialEq)]
pub enum PartitionBoundSpec {
    Default,
    List(Vec<Expr>),
    Range { lower: Vec<Expr>, upper: Vec<Expr> },
    Hash { modulus: i32, remainder: i32 },
}

/// CREATE TABLE AS and CREATE MATERIALIZED VIEW.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateTableAsStmt {
    /// SELECT or EXECUTE.
    pub query: Statement,
    pub into: IntoClause,
    pub materialized: bool,
    pub if_not_exists: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ViewStmt {
    pub view: RangeVar,
    pub columns: Vec<String>,
    pub query: SelectStmt,
    pub replace: bool,
    pub options: Vec<DefElem>,
    pub check_option: Option<ViewCheckOption>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ViewCheckOption {
    Local,
    Cascaded,
}

#[derive(Clone, Debug, PartialEq)]
pub struct IndexStmt {
    pub name: Option<String>,
    pub relation: RangeVar,
    pub access_method: String,
    pub elements: Vec<IndexElem>,
    pub including: Vec<IndexElem>,
    pub options: Vec<DefElem>,
    pub tablespace: Option<String>,
    pub where_clause: Option<Expr>,
    pub unique: bool,
    pub nulls_not_distinct: bool,
    pub concurrent: bool,
    pub if_not_exists: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct IndexElem {
    pub key: IndexKey,
    pub collation: Vec<String>,
    pub opclass: Vec<String>,
    pub opclass_options: Vec<DefElem>,
    pub direction: SortDirection,
    pub nulls: SortNulls,
    pub location: Location,
}

#[derive(Clone, Debug, PartialEq)]
pub enum IndexKey {
    Column(String),
    Expr(Expr),
}

#[derive(Clone, Debug, PartialEq)]
pub struct CreateSeqStmt {
    pub sequence: RangeVar,
    pub options: Vec<DefElem>,
    pub if_not_exists: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct AlterSeqStmt {
    pub sequence: RangeVar,
    pub options: Vec<DefElem>,
    pub missing_ok: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CreateSchemaStmt {
    pub name: Option<String>,
    pub authorization: Option<RoleSpec>,
    pub elements: Vec<Statement>,
    pub if_not_exists: bool,
}

/// What a DROP, COMMENT, RENAME, OWNER TO ... is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ObjectType {
    AccessMethod,
    Aggregate,
    Attribute,
    Cast,
    Collation,
    Column,
    Conversion,
    Database,
    Domain,
    DomainConstraint,
    EventTrigger,
    Extension,
    ForeignDataWrapper,
    ForeignServer,
    ForeignTable,
    Function,
    Index,
    Language,
    LargeObject,
    MaterializedView,
    OperatorClass,
    Operator,
    OperatorFamily,
    Policy,
    Procedure,
    Publication,
    Role,
    Routine,
    Rule,
    Schema,
    Sequence,
    Statistics,
    Subscription,
    TableConstraint,
    Table,
    Tablespace,
    TextSearchConfiguration,
    TextSearchDictionary,
    TextSearchParser,
    TextSearchTemplate,
    Transform,
    Trigger,
    Type,
    View,
}

/// How an object is named in DROP, COMMENT and their kin.
#[derive(Clone, Debug, PartialEq)]
pub enum ObjectName {
    /// A possibly qualified name; for a column, trigger, rule, policy or constraint the last part is its own.
    Name(Vec<String>),
    /// Function, procedure, aggregate.
    WithArgs(ObjectWithArgs),
    Type(TypeName),
    /// Operator class or family: access method and name.
    OperatorClass {
        access_method: String,
        name: Vec<String>,
    },
    Cast {
        source: TypeName,
        target: TypeName,
    },
    /// Constraint of a domain.
    DomainConstraint {
        domain: TypeName,
        name: String,
    },
    LargeObject(i64),
}

#[derive(Clone, Debug, PartialEq)]
pub struct ObjectWithArgs {
    pub name: Vec<String>,
    /// Absent when the parentheses were left out.
    pub args: Option<Vec<Option<TypeName>>>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct DropStmt {
    pub object: ObjectType,
    pub names: Vec<ObjectName>,
    pub behavior: DropBehavior,
    pub missing_ok: bool,
    pub concurrent: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum DropBehavior {
    #[default]
    Restrict,
    Cascade,
}

#[derive(Clone, Debug, PartialEq)]
pub struct TruncateStmt {
    pub relations: Vec<RangeVar>,
    pub restart_seqs: bool,
    pub behavior: DropBehavior,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CommentStmt {
    pub object: ObjectType,
    pub name: ObjectName,
    /// Absent for IS NULL.
    pub comment: Option<String>,
}

/// ALTER TABLE, INDEX, SEQUENCE, VIEW, MATERIALIZED VIEW, TYPE (composite).
#[derive(Clone, Debug, PartialEq)]
pub struct AlterTableStmt {
    pub object: ObjectType,
    pub relation: RangeVar,
    pub commands: Vec<AlterTableCmd>,
    pub missing_ok: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct AlterTableCmd {
    pub action: AlterTableAction,
    pub behavior: DropBehavior,
    /// IF EXISTS or IF NOT EXISTS of the subcommand.
    pub missing_ok: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub enum AlterTableAction {
    AddColumn(ColumnDef),
    ColumnDefault {
        column: String,
        default: Option<Expr>,
    },
    DropNotNull(String),
    SetNotNull(String),
    SetExpression {
        column: String,
        expr: Expr,
    },
    DropExpression(String),
    /// By name, or by number for indexes.
    SetStatistics {
        column: String,
        number: Option<i16>,
        target: Option<i32>,
    },
    SetColumnOptions {
        column: String,
        options: Vec<DefElem>,
    },
    ResetColumnOptions {
        column: String,
        options: Vec<DefElem>,
    },
    SetStorage {
        column: String,
        storage: String,
    },
    SetCompression {
        column: String,
        method: String,
    },
    DropColumn(String),
    AddConstraint(Constraint),
    AlterConstraint(Constraint),
    ValidateConstraint(String),
    DropConstraint(String),
    AlterColumnType(ColumnDef, Option<Expr>),
    ChangeOwner(RoleSpec),
    ClusterOn(String),
    DropCluster,
    SetLogged,
    SetUnlogged,
    SetAccessMethod(Option<String>),
    SetTablespace(String),
    SetRelOptions(Vec<DefElem>),
    ResetRelOptions(Vec<DefElem>),
    /// ENABLE or DISABLE TRIGGER.
    Trigger {
        name: TriggerName,
        state: TriggerState,
    },
    Rule {
        name: String,
        state: TriggerState,
    },
    AddInherit(RangeVar),
    DropInherit(RangeVar),
    AddOf(TypeName),
    DropOf,
    ReplicaIdentity(ReplicaIdentity),
    RowSecurity(RowSecurity),
    AddIdentity {
        column: String,
        always: bool,
        options: Vec<DefElem>,
        location: Location,
    },
    SetIdentity {
        column: String,
        options: Vec<DefElem>,
    },
    DropIdentity(String),
    AttachPartition {
        relation: RangeVar,
        bound: Option<PartitionBoundSpec>,
    },
    DetachPartition {
        relation: RangeVar,
        concurrent: bool,
    },
    DetachPartitionFinalize(RangeVar),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TriggerName {
    Named(String),
    All,
    User,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TriggerState {
    Enable,
    EnableAlways,
    EnableReplica,
    Disable,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplicaIdentity {
    Nothing,
    Full,
    Default,
    Index(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowSecurity {
    Enable,
    Disable,
    Force,
    NoForce,
}

#[derive(Clone, Debug, PartialEq)]
pub struct RenameStmt {
    /// What is renamed.
    pub object: ObjectType,
    /// For columns, attributes and constraints: what contains it.
    pub relation_type: ObjectType,
    /// Relation, or what contains the column, constraint, trigger, rule or policy.
    pub relation: Option<RangeVar>,
    /// Objects that are no relations.
    pub name: Option<ObjectName>,
    /// Column, attribute, constraint, trigger, rule, policy.
    pub subname: Option<String>,
    pub new_name: String,
    pub behavior: DropBehavior,
    pub missing_ok: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct AlterObjectSchemaStmt {
    pub object: ObjectType,
    pub relation: Option<RangeVar>,
    pub name: Option<ObjectName>,
    pub new_schema: String,
    pub missing_ok: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct AlterOwnerStmt {
    pub object: ObjectType,
    pub name: ObjectName,
    pub new_owner: RoleSpec,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CreateEnumStmt {
    pub name: Vec<String>,
    pub values: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct AlterEnumStmt {
    pub name: Vec<String>,
    pub action: AlterEnumAction,
}

#[derive(Clone, Debug, PartialEq)]
pub enum AlterEnumAction {
    Add { value: String, if_not_exists: bool, neighbor: Option<(bool, String)> },
    Rename { from: String, to: String },
}

#[derive(Clone, Debug, PartialEq)]
pub struct CreateRangeStmt {
    pub name: Vec<String>,
    pub params: Vec<DefElem>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CompositeTypeStmt {
    pub name: RangeVar,
    pub columns: Vec<ColumnDef>,
}

/// CREATE TYPE with a definition, a shell type, CREATE AGGREGATE, OPERATOR, COLLATION, TEXT SEARCH ....
#[derive(Clone, Debug, PartialEq)]
pub struct DefineStmt {
    pub object: ObjectType,
    pub name: Vec<String>,
    /// Of an aggregate in the new syntax.
    pub args: Vec<FunctionParameter>,
    pub definition: Vec<DefElem>,
    pub if_not_exists: bool,
    pub replace: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CreateDomainStmt {
    pub name: Vec<String>,
    pub type_name: TypeName,
    pub collation: Option<(Vec<String>, Location)>,
    pub constraints: Vec<Constraint>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct AlterDomainStmt {
    pub name: Vec<String>,
    pub action: AlterDomainAction,
    pub behavior: DropBehavior,
    pub missing_ok: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub enum AlterDomainAction {
    Default(Option<Expr>),
    SetNotNull,
    DropNotNull,
    AddConstraint(Box<Constraint>),
    DropConstraint(String),
    ValidateConstraint(String),
}

#[derive(Clone, Debug, PartialEq)]
pub struct CreateFunctionStmt {
    pub procedure: bool,
    pub replace: bool,
    pub name: Vec<String>,
    pub parameters: Vec<FunctionParameter>,
    /// RETURNS; RETURNS TABLE yields parameters of mode Table.
    pub return_type: Option<TypeName>,
    pub options: Vec<DefElem>,
    /// RETURN expression, or BEGIN ATOMIC statements.
    pub sql_body: Option<Vec<Statement>>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct FunctionParameter {
    pub name: Option<String>,
    pub type_name: TypeName,
    pub mode: ParameterMode,
    pub default: Option<Expr>,
    pub location: Location,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum ParameterMode {
    #[default]
    Default,
    In,
    Out,
    InOut,
    Variadic,
    Table,
}

#[derive(Clone, Debug, PartialEq)]
pub struct AlterFunctionStmt {
    pub object: ObjectType,
    pub function: ObjectWithArgs,
    pub actions: Vec<DefElem>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CreateTriggerStmt {
    pub replace: bool,
    pub constraint: bool,
    pub name: String,
    pub relation: RangeVar,
    pub timing: TriggerTiming,
    pub events: Vec<TriggerEvent>,
    pub row: bool,
    pub transitions: Vec<TriggerTransition>,
    pub when: Option<Expr>,
    pub function: Vec<String>,
    pub args: Vec<String>,
    pub deferrable: bool,
    pub initially_deferred: bool,
    pub constrained: Option<RangeVar>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TriggerTiming {
    Before,
    After,
    InsteadOf,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TriggerEvent {
    Insert,
    Delete,
    Update(Vec<String>),
    Truncate,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TriggerTransition {
    pub name: String,
    pub new: bool,
    pub table: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CreateExtensionStmt {
    pub name: String,
    pub if_not_exists: bool,
    pub options: Vec<DefElem>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct AlterExtensionStmt {
    pub name: String,
    pub options: Vec<DefElem>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CreateStatsStmt {
    pub name: Vec<String>,
    pub kinds: Vec<String>,
    pub expressions: Vec<IndexKey>,
    pub relations: Vec<super::query::TableExpr>,
    pub if_not_exists: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CreateTablespaceStmt {
    pub name: String,
    pub owner: Option<RoleSpec>,
    pub location: String,
    pub options: Vec<DefElem>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CreateCastStmt {
    pub source: TypeName,
    pub target: TypeName,
    pub method: CastMethod,
    pub context: CastContext,
}

#[derive(Clone, Debug, PartialEq)]
pub enum CastMethod {
    Function(ObjectWithArgs),
    Binary,
    InOut,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CastContext {
    Explicit,
    Implicit,
    Assignment,
}

#[derive(Clone, Debug, PartialEq)]
pub struct RefreshMatViewStmt {
    pub relation: RangeVar,
    pub concurrent: bool,
    pub skip_data: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CallStmt {
    pub function: FuncCall,
}
