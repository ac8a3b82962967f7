//! Statements that neither query nor define relations: transactions, settings, roles, maintenance, COPY.

use super::Statement;
use super::ddl::{DropBehavior, ObjectType, ObjectWithArgs};
use super::expression::{Expr, Literal, TypeName};
use super::query::{RangeVar, SelectStmt};
use crate::location::Location;

/// A generic `name = value` option.
#[derive(Clone, Debug, PartialEq)]
pub struct DefElem {
    pub namespace: Option<String>,
    pub name: String,
    pub arg: Option<DefArg>,
    pub location: Location,
}

#[derive(Clone, Debug, PartialEq)]
pub enum DefArg {
    String(String),
    Integer(i32),
    /// A number that is no int4, as written.
    Float(String),
    Boolean(bool),
    Star,
    /// A type, or any bare word: the reader of the option knows which it wants.
    TypeName(TypeName),
    /// A qualified operator or object name.
    Name(Vec<String>),
    List(Vec<DefArg>),
    Role(RoleSpec),
    Expr(Box<Expr>),
    VariableSet(Box<VariableSetStmt>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TransactionIsolation {
    ReadUncommitted,
    ReadCommitted,
    RepeatableRead,
    Serializable,
}

/// A mode of BEGIN, START TRANSACTION, SET TRANSACTION and SET SESSION CHARACTERISTICS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionMode {
    Isolation(TransactionIsolation),
    ReadOnly(bool),
    Deferrable(bool),
}

#[derive(Clone, Debug, PartialEq)]
pub enum TransactionStmt {
    Begin(Vec<TransactionMode>),
    /// START TRANSACTION: as BEGIN, with its own command tag.
    Start(Vec<TransactionMode>),
    Commit {
        chain: bool,
    },
    Rollback {
        chain: bool,
    },
    Savepoint {
        name: String,
        location: Location,
    },
    Release {
        name: String,
        location: Location,
    },
    RollbackTo {
        name: String,
        location: Location,
    },
    Prepare {
        gid: String,
        location: Location,
    },
    CommitPrepared {
        gid: String,
        location: Location,
    },
    RollbackPrepared {
        gid: String,
        location: Location,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub struct VariableSetStmt {
    pub name: String,
    pub value: SetValue,
    pub local: bool,
    pub location: Location,
}

#[derive(Clone, Debug, PartialEq)]
pub enum SetValue {
    /// `SET name = list`.
    Values(Vec<SetArg>),
    /// `SET name TO DEFAULT`.
    Default,
    /// `SET name FROM CURRENT`.
    Current,
    /// SET TRANSACTION (name TRANSACTION) and SET SESSION CHARACTERISTICS (name SESSION CHARACTERISTICS).
    TransactionModes(Vec<TransactionMode>),
    /// SET TRANSACTION SNAPSHOT.
    TransactionSnapshot(String),
    /// RESET name.
    Reset,
    /// RESET ALL.
    ResetAll,
}

#[derive(Clone, Debug, PartialEq)]
pub struct SetArg {
    pub value: SetArgValue,
    pub location: Location,
}

#[derive(Clone, Debug, PartialEq)]
pub enum SetArgValue {
    Literal(Literal),
    /// `INTERVAL '...' HOUR TO MINUTE` of SET TIME ZONE.
    Interval {
        text: String,
        typmod: i32,
    },
}

/// SHOW. The name of SHOW ALL is `all`.
#[derive(Clone, Debug, PartialEq)]
pub struct VariableShowStmt {
    pub name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DiscardTarget {
    All,
    Plans,
    Sequences,
    Temp,
}

#[derive(Clone, Debug, PartialEq)]
pub struct PrepareStmt {
    pub name: String,
    pub arg_types: Vec<TypeName>,
    pub query: Statement,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ExecuteStmt {
    pub name: String,
    pub params: Vec<Expr>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct DeallocateStmt {
    /// Absent for ALL.
    pub name: Option<String>,
    pub location: Location,
}

#[derive(Clone, Debug, PartialEq)]
pub struct DeclareCursorStmt {
    pub name: String,
    pub options: CursorOptions,
    pub query: SelectStmt,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct CursorOptions {
    pub binary: bool,
    pub scroll: bool,
    pub no_scroll: bool,
    pub insensitive: bool,
    pub asensitive: bool,
    pub hold: bool,
}

/// FETCH and MOVE.
#[derive(Clone, Debug, PartialEq)]
pub struct FetchStmt {
    pub direction: FetchDirection,
    /// `None` means ALL.
    pub count: Option<i64>,
    pub portal: String,
    pub is_move: bool,
    pub location: Location,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FetchDirection {
    Forward,
    Backward,
    Absolute,
    Relative,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ExplainStmt {
    pub query: Statement,
    pub options: Vec<DefElem>,
}

/// VACUUM and ANALYZE.
#[derive(Clone, Debug, PartialEq)]
pub struct VacuumStmt {
    pub is_vacuum: bool,
    pub options: Vec<DefElem>,
    pub relations: Vec<VacuumRelation>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct VacuumRelation {
    pub relation: RangeVar,
    pub columns: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReindexKind {
    Index,
    Table,
    Schema,
    System,
    Database,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ReindexStmt {
    pub kind: ReindexKind,
    /// Index or table.
    pub relation: Option<RangeVar>,
    /// Schema or database.
    pub name: Option<String>,
    pub options: Vec<DefElem>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ClusterStmt {
    pub relation: Option<RangeVar>,
    pub index: Option<String>,
    pub options: Vec<DefElem>,
}

/// The eight table lock modes, as LOCK TABLE writes them; rising.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TableLockMode {
    AccessShare,
    RowShare,
    RowExclusive,
    ShareUpdateExclusive,
    Share,
    ShareRowExclusive,
    Exclusive,
    AccessExclusive,
}

#[derive(Clone, Debug, PartialEq)]
pub struct LockStmt {
    pub relations: Vec<RangeVar>,
    pub mode: TableLockMode,
    pub nowait: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CopyStmt {
    pub source: CopySource,
    pub is_from: bool,
    pub is_program: bool,
    /// Absent for STDIN and STDOUT.
    pub filename: Option<String>,
    pub options: Vec<DefElem>,
    pub where_clause: Option<Expr>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum CopySource {
    Relation {
        relation: RangeVar,
        columns: Vec<String>,
    },
    /// SELECT, VALUES or a data-modifying statement with RETURNING.
    Query(Statement),
}

#[derive(Clone, Debug, PartialEq)]
pub struct RoleSpec {
    pub role: RoleName,
    pub location: Location,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RoleName {
    Named(String),
    CurrentRole,
    CurrentUser,
    SessionUser,
    Public,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RoleStmtType {
    Role,
    User,
    Group,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CreateRoleStmt {
    pub kind: RoleStmtType,
    pub name: String,
    pub options: Vec<DefElem>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct AlterRoleStmt {
    pub role: RoleSpec,
    pub options: Vec<DefElem>,
    /// ADD members (true) or DROP members (false) of ALTER GROUP.
    pub add_members: Option<bool>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct AlterRoleSetStmt {
    /// Absent for ALL.
    pub role: Option<RoleSpec>,
    pub database: Option<String>,
    pub set: VariableSetStmt,
}

#[derive(Clone, Debug, PartialEq)]
pub struct DropRoleStmt {
    pub roles: Vec<RoleSpec>,
    pub missing_ok: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct GrantRoleStmt {
    pub granted: Vec<AccessPriv>,
    pub grantees: Vec<RoleSpec>,
    pub is_grant: bool,
    pub options: Vec<DefElem>,
    pub grantor: Option<RoleSpec>,
    pub behavior: DropBehavior,
}

#[derive(Clone, Debug, PartialEq)]
pub struct AccessPriv {
    /// Absent for ALL.
    pub name: Option<String>,
    pub columns: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct GrantStmt {
    pub is_grant: bool,
    pub target: GrantTarget,
    /// Empty for ALL PRIVILEGES.
    pub privileges: Vec<AccessPriv>,
    pub grantees: Vec<RoleSpec>,
    pub grant_option: bool,
    pub grantor: Option<RoleSpec>,
    pub behavior: DropBehavior,
}

#[derive(Clone, Debug, PartialEq)]
pub enum GrantTarget {
    Relations(Vec<RangeVar>),
    Sequences(Vec<RangeVar>),
    /// Databases, schemas, tablespaces, languages, types, domains ....
    Objects {
        object: ObjectType,
        names: Vec<Vec<String>>,
    },
    Functions {
        object: ObjectType,
        functions: Vec<ObjectWithArgs>,
    },
    AllInSchema {
        object: ObjectType,
        schemas: Vec<String>,
    },
    LargeObjects(Vec<i64>),
    Parameters(Vec<String>),
    /// Of ALTER DEFAULT PRIVILEGES.
    Defaults {
        object: ObjectType,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub struct AlterDefaultPrivilegesStmt {
    pub schemas: Vec<String>,
    pub roles: Vec<RoleSpec>,
    pub action: GrantStmt,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CreatedbStmt {
    pub name: String,
    pub options: Vec<DefElem>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct AlterDatabaseStmt {
    pub name: String,
    pub options: Vec<DefElem>,
    /// REFRESH COLLATION VERSION, without options.
    pub refresh_collation_version: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct AlterDatabaseSetStmt {
    pub name: String,
    pub set: VariableSetStmt,
}

#[derive(Clone, Debug, PartialEq)]
pub struct DropdbStmt {
    pub name: String,
    pub missing_ok: bool,
    pub options: Vec<DefElem>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct DoStmt {
    pub args: Vec<DefElem>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ConstraintsSetStmt {
    /// Empty for ALL.
    pub constraints: Vec<RangeVar>,
    pub deferred: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct NotifyStmt {
    pub channel: String,
    pub payload: Option<String>,
}
