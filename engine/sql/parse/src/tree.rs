//! The raw tree: what was written, in PostgreSQL's node vocabulary, before any name means anything.
//!
//! Node names are those of PostgreSQL's `parsenodes.h` and `primnodes.h`; C's tagged lists are enums here.
//! Every node that an error may point at carries its [`Location`](crate::Location). Identifiers are folded and
//! truncated already; type names written as keywords are already `pg_catalog` names.

pub mod ddl;
pub mod expression;
pub mod query;
pub mod utility;

pub use ddl::*;
pub use expression::*;
pub use query::*;
pub use utility::*;

/// One statement of a query string, with the bytes it stands for.
#[derive(Clone, Debug, PartialEq)]
pub struct RawStatement {
    pub statement: Statement,
    /// Byte offset of its first token.
    pub location: usize,
    /// Bytes up to the semicolon or the end.
    pub length: usize,
}

/// A statement.
#[derive(Clone, Debug, PartialEq)]
pub enum Statement {
    Select(Box<SelectStmt>),
    Insert(Box<InsertStmt>),
    Update(Box<UpdateStmt>),
    Delete(Box<DeleteStmt>),
    Merge(Box<MergeStmt>),

    Transaction(TransactionStmt),
    VariableSet(VariableSetStmt),
    VariableShow(VariableShowStmt),
    Discard(DiscardTarget),
    AlterSystem(VariableSetStmt),
    Prepare(Box<PrepareStmt>),
    Execute(ExecuteStmt),
    Deallocate(DeallocateStmt),
    DeclareCursor(Box<DeclareCursorStmt>),
    Fetch(FetchStmt),
    /// CLOSE; absent name for ALL.
    ClosePortal(Option<String>),
    Explain(Box<ExplainStmt>),
    Vacuum(VacuumStmt),
    CheckPoint(Vec<DefElem>),
    Reindex(ReindexStmt),
    Cluster(ClusterStmt),
    Lock(LockStmt),
    Truncate(TruncateStmt),
    Copy(Box<CopyStmt>),
    Listen(String),
    /// Absent channel for `*`.
    Unlisten(Option<String>),
    Notify(NotifyStmt),
    Load(String),
    Do(DoStmt),
    Call(Box<CallStmt>),
    ConstraintsSet(ConstraintsSetStmt),

    Create(Box<CreateStmt>),
    CreateTableAs(Box<CreateTableAsStmt>),
    View(Box<ViewStmt>),
    Index(Box<IndexStmt>),
    CreateSeq(CreateSeqStmt),
    AlterSeq(AlterSeqStmt),
    CreateSchema(CreateSchemaStmt),
    AlterTable(Box<AlterTableStmt>),
    Rename(Box<RenameStmt>),
    AlterObjectSchema(Box<AlterObjectSchemaStmt>),
    AlterOwner(Box<AlterOwnerStmt>),
    Drop(DropStmt),
    Comment(Box<CommentStmt>),
    CreateEnum(CreateEnumStmt),
    AlterEnum(AlterEnumStmt),
    CreateRange(CreateRangeStmt),
    CompositeType(Box<CompositeTypeStmt>),
    Define(Box<DefineStmt>),
    CreateDomain(Box<CreateDomainStmt>),
    AlterDomain(Box<AlterDomainStmt>),
    CreateFunction(Box<CreateFunctionStmt>),
    AlterFunction(Box<AlterFunctionStmt>),
    CreateTrigger(Box<CreateTriggerStmt>),
    CreateExtension(CreateExtensionStmt),
    AlterExtension(AlterExtensionStmt),
    CreateStats(Box<CreateStatsStmt>),
    CreateCast(Box<CreateCastStmt>),
    RefreshMatView(RefreshMatViewStmt),

    CreateRole(CreateRoleStmt),
    AlterRole(AlterRoleStmt),
    AlterRoleSet(AlterRoleSetStmt),
    DropRole(DropRoleStmt),
    GrantRole(GrantRoleStmt),
    Grant(Box<GrantStmt>),
    AlterDefaultPrivileges(Box<AlterDefaultPrivilegesStmt>),
    DropOwned {
        roles: Vec<RoleSpec>,
        behavior: DropBehavior,
    },
    ReassignOwned {
        roles: Vec<RoleSpec>,
        new_role: RoleSpec,
    },
    Createdb(CreatedbStmt),
    AlterDatabase(AlterDatabaseStmt),
    AlterDatabaseSet(AlterDatabaseSetStmt),
    Dropdb(DropdbStmt),
    CreateTablespace(CreateTablespaceStmt),
    DropTablespace {
        name: String,
        missing_ok: bool,
    },
}
