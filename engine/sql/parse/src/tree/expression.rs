//! Raw expressions: what the grammar's `a_expr` yields, before any name means anything.

use super::query::{SelectStmt, SortBy};
use crate::location::Location;

/// A raw expression node.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    ColumnRef(ColumnRef),
    /// `$n`.
    ParamRef {
        number: i32,
        location: Location,
    },
    Const(AConst),
    AExpr(Box<AExpr>),
    /// AND, OR and NOT; chains of AND or OR are one flat node.
    Bool {
        op: BoolOp,
        args: Vec<Expr>,
        location: Location,
    },
    FuncCall(Box<FuncCall>),
    TypeCast(Box<TypeCast>),
    Collate(Box<CollateClause>),
    SubLink(Box<SubLink>),
    Case(Box<CaseExpr>),
    Coalesce {
        args: Vec<Expr>,
        location: Location,
    },
    MinMax {
        op: MinMaxOp,
        args: Vec<Expr>,
        location: Location,
    },
    Row {
        args: Vec<Expr>,
        format: RowFormat,
        location: Location,
    },
    NullTest {
        arg: Box<Expr>,
        is_null: bool,
        location: Location,
    },
    BooleanTest {
        arg: Box<Expr>,
        test: BoolTest,
        location: Location,
    },
    /// `ARRAY[...]`; `end` is where the closing bracket stands.
    Array {
        elements: Vec<Expr>,
        location: Location,
        end: Location,
    },
    /// Subscripts and field selections on a value: `(x).a[1].b`.
    Indirection {
        arg: Box<Expr>,
        indirection: Vec<Indirection>,
    },
    SqlValueFunction {
        op: SqlValueFunctionOp,
        typmod: i32,
        location: Location,
    },
    Grouping {
        args: Vec<Expr>,
        location: Location,
    },
    SetToDefault {
        location: Location,
    },
    CurrentOf {
        cursor: String,
        location: Location,
    },
    /// `name => value` in an argument list.
    NamedArg {
        name: String,
        arg: Box<Expr>,
        location: Location,
    },
    MergeAction {
        location: Location,
    },
}

impl Expr {
    /// Where the expression starts for error messages: PostgreSQL's `exprLocation` on raw nodes.
    pub fn location(&self) -> Location {
        match self {
            Expr::ColumnRef(column) => column.location,
            Expr::ParamRef { location, .. } => *location,
            Expr::Const(constant) => constant.location,
            Expr::AExpr(expr) => match &expr.left {
                Some(left) => left.location().leftmost(expr.location),
                None => expr.location,
            },
            Expr::Bool { op, args, location } => match op {
                BoolOp::Not => *location,
                _ => args.first().map_or(*location, |first| first.location().leftmost(*location)),
            },
            Expr::FuncCall(call) => call.location,
            Expr::TypeCast(cast) => {
                cast.arg.location().leftmost(cast.type_name.location).leftmost(cast.location)
            }
            Expr::Collate(clause) => clause.arg.location().leftmost(clause.location),
            Expr::SubLink(link) => match &link.test {
                Some(test) => test.location().leftmost(link.location),
                None => link.location,
            },
            Expr::Case(case) => case.location,
            Expr::NullTest { arg, location, .. } | Expr::BooleanTest { arg, location, .. } => {
                arg.location().leftmost(*location)
            }
            Expr::Indirection { arg, .. } => arg.location(),
            Expr::Coalesce { location, .. }
            | Expr::MinMax { location, .. }
            | Expr::Row { location, .. }
            | Expr::Array { location, .. }
            | Expr::SqlValueFunction { location, .. }
            | Expr::Grouping { location, .. }
            | Expr::SetToDefault { location }
            | Expr::CurrentOf { location, .. }
            | Expr::NamedArg { location, .. }
            | Expr::MergeAction { location } => *location,
        }
    }
}

/// `a`, `t.a`, `s.t.a`, `t.*`, and whatever dots follow.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnRef {
    pub fields: Vec<Field>,
    pub location: Location,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Field {
    Name(String),
    Star,
}

/// A literal as written.
#[derive(Clone, Debug, PartialEq)]
pub struct AConst {
    pub value: Literal,
    pub location: Location,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    Null,
    Boolean(bool),
    /// Fits an int4.
    Integer(i32),
    /// Any other number, as written without underscores: int8 or numeric.
    Float(String),
    String(String),
    /// `b'...'` keeps its leading `b`, `x'...'` its leading `x`.
    BitString(String),
}

/// An operator or operator-like construct.
#[derive(Clone, Debug, PartialEq)]
pub struct AExpr {
    pub kind: AExprKind,
    /// The operator's name, qualified or not.
    pub name: Vec<String>,
    /// Absent for a prefix operator.
    pub left: Option<Expr>,
    pub right: AExprRight,
    /// Where the operator stands.
    pub location: Location,
}

#[derive(Clone, Debug, PartialEq)]
pub enum AExprRight {
    Expr(Expr),
    /// The list of `IN (...)`, or the two bounds of BETWEEN.
    List(Vec<Expr>),
}

/// PostgreSQL's `A_Expr_Kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AExprKind {
    /// A normal operator.
    Op,
    /// `scalar op ANY (array)`.
    OpAny,
    /// `scalar op ALL (array)`.
    OpAll,
    Distinct,
    NotDistinct,
    NullIf,
    /// Name is `=` or `<>`.
    In,
    /// Name is `~~` or `!~~`.
    Like,
    ILike,
    /// Name is `~` or `!~`; the right side calls `similar_to_escape`.
    Similar,
    Between,
    NotBetween,
    BetweenSymmetric,
    NotBetweenSymmetric,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum BoolOp {
    And,
    Or,
    Not,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum MinMaxOp {
    Greatest,
    Least,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum BoolTest {
    IsTrue,
    IsNotTrue,
    IsFalse,
    IsNotFalse,
    IsUnknown,
    IsNotUnknown,
}

/// How a call or row was written; decides how it is printed back. PostgreSQL's `CoercionForm`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum CoercionForm {
    /// `f(x)`.
    ExplicitCall,
    /// `CAST(x AS t)` or `x::t`.
    ExplicitCast,
    /// Not written at all.
    ImplicitCast,
    /// `EXTRACT(x FROM y)` and its kin.
    SqlSyntax,
}

/// `ROW(...)` or `(a, b)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RowFormat {
    Explicit,
    Implicit,
}

#[derive(Clone, Debug, PartialEq)]
pub struct FuncCall {
    pub name: Vec<String>,
    pub args: Vec<Expr>,
    /// ORDER BY within the parentheses, or of WITHIN GROUP.
    pub order: Vec<SortBy>,
    pub filter: Option<Expr>,
    pub over: Option<Box<super::query::WindowDef>>,
    /// `order` came from WITHIN GROUP.
    pub within_group: bool,
    /// `count(*)`.
    pub star: bool,
    pub distinct: bool,
    /// The last argument is VARIADIC.
    pub variadic: bool,
    pub form: CoercionForm,
    pub location: Location,
}

#[derive(Clone, Debug, PartialEq)]
pub struct TypeCast {
    pub arg: Expr,
    pub type_name: TypeName,
    /// Of `CAST` or `::`; unknown for `type 'literal'`.
    pub location: Location,
}

/// A type as written. `int` and its kin are already `pg_catalog.int4`.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct TypeName {
    pub names: Vec<String>,
    pub setof: bool,
    /// `%TYPE`.
    pub percent_type: bool,
    pub typmods: Vec<Expr>,
    /// Typmod computed by the grammar (interval fields), used when `typmods` is empty; -1 for none.
    pub typmod: i32,
    /// One entry per pair of brackets: the written bound or -1.
    pub array_bounds: Vec<i32>,
    pub location: Location,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CollateClause {
    pub arg: Expr,
    pub collation: Vec<String>,
    pub location: Location,
}

#[derive(Clone, Debug, PartialEq)]
pub struct SubLink {
    pub kind: SubLinkType,
    pub test: Option<Expr>,
    /// Operator of `x op ANY (SELECT ...)`; empty for IN.
    pub operator: Vec<String>,
    pub subselect: SelectStmt,
    pub location: Location,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum SubLinkType {
    Exists,
    All,
    Any,
    RowCompare,
    Expr,
    Array,
    Cte,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CaseExpr {
    pub arg: Option<Expr>,
    pub whens: Vec<CaseWhen>,
    pub default: Option<Expr>,
    pub location: Location,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CaseWhen {
    pub condition: Expr,
    pub result: Expr,
    pub location: Location,
}

/// One step of a value's indirection.
#[derive(Clone, Debug, PartialEq)]
pub enum Indirection {
    Field(String),
    Star,
    Subscript(Expr),
    Slice { lower: Option<Expr>, upper: Option<Expr> },
}

/// Parameterless functions the standard writes without parentheses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum SqlValueFunctionOp {
    CurrentDate,
    CurrentTime,
    CurrentTimeN,
    CurrentTimestamp,
    CurrentTimestampN,
    LocalTime,
    LocalTimeN,
    LocalTimestamp,
    LocalTimestampN,
    CurrentRole,
    CurrentUser,
    User,
    SessionUser,
    CurrentCatalog,
    CurrentSchema,
}
