//! Expressions with every type, function and collation resolved.

use kokkiri_parse::Location;
pub use kokkiri_parse::tree::{BoolOp, BoolTest, CoercionForm, MinMaxOp, SqlValueFunctionOp, SubLinkType};
use kokkiri_primitives::Oid;
use kokkiri_types::Value;
use serde::{Deserialize, Serialize};

use super::query::{Query, SortGroupClause, TargetEntry};
use super::relids::Relids;

/// An expression node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Expression {
    Var(Var),
    Const(Const),
    Param(Param),
    Aggref(Box<Aggref>),
    GroupingFunc(Box<GroupingFunc>),
    WindowFunc(Box<WindowFunc>),
    SubscriptingRef(Box<SubscriptingRef>),
    FuncExpr(Box<FuncExpr>),
    OpExpr(Box<OpExpr>),
    /// `a IS DISTINCT FROM b`; the operator is `=`.
    DistinctExpr(Box<OpExpr>),
    /// `NULLIF(a, b)`; the operator is `=`, the result type that of `a`.
    NullIfExpr(Box<OpExpr>),
    ScalarArrayOpExpr(Box<ScalarArrayOpExpr>),
    BoolExpr(Box<BoolExpr>),
    SubLink(Box<SubLink>),
    /// Made by the planner from a SubLink.
    SubPlan(Box<SubPlan>),
    FieldSelect(Box<FieldSelect>),
    FieldStore(Box<FieldStore>),
    RelabelType(Box<RelabelType>),
    CoerceViaIo(Box<CoerceViaIo>),
    ArrayCoerceExpr(Box<ArrayCoerceExpr>),
    ConvertRowtypeExpr(Box<ConvertRowtypeExpr>),
    CollateExpr(Box<CollateExpr>),
    CaseExpr(Box<CaseExpr>),
    /// The value of the innermost CASE's argument (or of the element under ArrayCoerceExpr).
    CaseTestExpr(CaseTestExpr),
    ArrayExpr(Box<ArrayExpr>),
    RowExpr(Box<RowExpr>),
    RowCompareExpr(Box<RowCompareExpr>),
    CoalesceExpr(Box<CoalesceExpr>),
    MinMaxExpr(Box<MinMaxExpr>),
    SqlValueFunction(SqlValueFunction),
    NullTest(Box<NullTest>),
    BooleanTest(Box<BooleanTest>),
    CoerceToDomain(Box<CoerceToDomain>),
    /// The value a domain's CHECK constraint looks at.
    CoerceToDomainValue(CaseTestExpr),
    SetToDefault(SetToDefault),
    CurrentOf(CurrentOfExpr),
    /// nextval of an identity column's sequence.
    NextValue(NextValueExpr),
    /// Made by the planner: an expression evaluated below outer joins.
    PlaceHolderVar(Box<PlaceHolderVar>),
}

/// A column of a range table entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Var {
    /// 1-based index into the range table (of the query `varlevelsup` levels up).
    pub varno: u32,
    /// 1-based column; 0 the whole row; negative a system column.
    pub varattno: i16,
    pub vartype: Oid,
    pub vartypmod: i32,
    pub varcollid: Oid,
    /// Outer joins that may null this value.
    pub varnullingrels: Relids,
    pub varlevelsup: u32,
    /// OLD or NEW of RETURNING.
    pub returning: VarReturning,
    pub location: Location,
}

/// What a [`Var`] of the planner may stand for instead of a column's value: how a table has it stored. Its
/// type is `internal`, as values have no such form outside of tuples; its number is that of no column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredForm {
    /// The bytes in the tuple.
    Bytes,
    /// A compressed value, inline; null where the value is not compressed.
    Compressed,
}

impl StoredForm {
    /// Below the numbers of the system columns.
    const FIRST: i16 = -7;
    /// Most columns that a table has: `MaxHeapAttributeNumber`.
    const COLUMNS_MAX: i16 = 1600;

    /// The attribute number of this form of a column (1-based).
    pub fn attribute(self, column: i16) -> i16 {
        match self {
            StoredForm::Bytes => Self::FIRST - column,
            StoredForm::Compressed => Self::FIRST - Self::COLUMNS_MAX - column,
        }
    }

    /// The form and the column (1-based) that an attribute number names.
    pub fn of(attribute: i16) -> Option<(Self, i16)> {
        match Self::FIRST.checked_sub(attribute)? {
            column @ 1..=Self::COLUMNS_MAX => Some((StoredForm::Bytes, column)),
            column if (1..=Self::COLUMNS_MAX).contains(&(column - Self::COLUMNS_MAX)) => {
                Some((StoredForm::Compressed, column - Self::COLUMNS_MAX))
            }
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum VarReturning {
    #[default]
    Default,
    Old,
    New,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Const {
    pub type_oid: Oid,
    pub typmod: i32,
    pub collation: Oid,
    #[serde(with = "stored_value")]
    pub value: Value,
    pub location: Location,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Param {
    pub kind: ParamKind,
    /// `$n` counts from 1, executor parameters from 0.
    pub id: u32,
    pub type_oid: Oid,
    pub typmod: i32,
    pub collation: Oid,
    pub location: Location,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ParamKind {
    /// From the client or from a function's caller.
    Extern,
    /// Within the executor: set by a nested loop or a subplan.
    Exec,
    /// Column `id` of the subquery of the SubLink in whose test this stands.
    Sublink,
    /// Column `id & 0xffff` of the `id >> 16`th sub-select of an UPDATE's multi-assignments.
    MultiExpr,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Aggref {
    pub aggfnoid: Oid,
    pub aggtype: Oid,
    pub aggcollid: Oid,
    pub inputcollid: Oid,
    /// Type of the transition state: settled by the planner, 0 until then.
    pub aggtranstype: Oid,
    /// Actual types of the direct and aggregated arguments.
    pub aggargtypes: Vec<Oid>,
    /// Direct arguments of an ordered-set aggregate.
    pub aggdirectargs: Vec<Expression>,
    pub args: Vec<TargetEntry>,
    pub aggorder: Vec<SortGroupClause>,
    pub aggdistinct: Vec<SortGroupClause>,
    pub aggfilter: Option<Expression>,
    pub aggstar: bool,
    pub aggvariadic: bool,
    /// `n`ormal, `o`rdered-set, `h`ypothetical.
    pub aggkind: u8,
    pub agglevelsup: u32,
    pub location: Location,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupingFunc {
    pub args: Vec<Expression>,
    /// ressortgroupref of each argument.
    pub refs: Vec<u32>,
    pub agglevelsup: u32,
    pub location: Location,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WindowFunc {
    pub winfnoid: Oid,
    pub wintype: Oid,
    pub wincollid: Oid,
    pub inputcollid: Oid,
    pub args: Vec<Expression>,
    pub aggfilter: Option<Expression>,
    /// Index into the query's window clauses, from 1.
    pub winref: u32,
    pub winstar: bool,
    /// An ordinary aggregate used as a window function.
    pub winagg: bool,
    pub location: Location,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SubscriptingRef {
    pub container_type: Oid,
    pub element_type: Oid,
    pub result_type: Oid,
    pub typmod: i32,
    pub collation: Oid,
    pub upper: Vec<Option<Expression>>,
    /// Empty unless a slice is fetched or stored.
    pub lower: Vec<Option<Expression>>,
    pub container: Expression,
    /// Source of an assignment.
    pub assignment: Option<Expression>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FuncExpr {
    pub funcid: Oid,
    pub result_type: Oid,
    pub returns_set: bool,
    pub variadic: bool,
    pub form: CoercionForm,
    pub collation: Oid,
    pub inputcollid: Oid,
    pub args: Vec<Expression>,
    pub location: Location,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpExpr {
    pub opno: Oid,
    pub opfuncid: Oid,
    pub result_type: Oid,
    pub returns_set: bool,
    pub collation: Oid,
    pub inputcollid: Oid,
    /// One or two.
    pub args: Vec<Expression>,
    pub location: Location,
}

/// `scalar op ANY/ALL (array)`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScalarArrayOpExpr {
    pub opno: Oid,
    pub opfuncid: Oid,
    /// ANY (or IN) if true, ALL if false.
    pub use_or: bool,
    pub inputcollid: Oid,
    pub scalar: Expression,
    pub array: Expression,
    pub location: Location,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BoolExpr {
    pub op: BoolOp,
    pub args: Vec<Expression>,
    pub location: Location,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SubLink {
    pub kind: SubLinkType,
    /// For MULTIEXPR: its number within the target list, from 1; 0 otherwise.
    pub sub_link_id: u32,
    /// For ANY, ALL and row comparisons: the test, with Param nodes for the sub-select's columns.
    pub testexpr: Option<Expression>,
    /// Operator's name as written, for printing.
    pub oper_name: Vec<String>,
    pub subselect: Query,
    pub location: Location,
}

/// A subplan: see the planner.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SubPlan {
    pub kind: SubLinkType,
    pub testexpr: Option<Expression>,
    pub param_ids: Vec<u32>,
    /// Index into the plan's subplans, from 0.
    pub plan_id: usize,
    pub plan_name: String,
    /// Type, typmod and collation of its first output column.
    pub first_column: (Oid, i32, Oid),
    pub use_hash_table: bool,
    /// A null from the test may count as false.
    pub unknown_eq_false: bool,
    /// Parameters an init plan sets.
    pub set_param: Vec<u32>,
    /// Parameters handed in, computed from `args`.
    pub par_param: Vec<u32>,
    pub args: Vec<Expression>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FieldSelect {
    pub arg: Expression,
    /// 1-based.
    pub field: i16,
    pub result_type: Oid,
    pub typmod: i32,
    pub collation: Oid,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FieldStore {
    pub arg: Expression,
    pub values: Vec<(i16, Expression)>,
    pub result_type: Oid,
}

/// A binary-compatible cast: nothing happens at run time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RelabelType {
    pub arg: Expression,
    pub result_type: Oid,
    pub typmod: i32,
    pub collation: Oid,
    pub form: CoercionForm,
    pub location: Location,
}

/// A cast through the types' text forms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CoerceViaIo {
    pub arg: Expression,
    pub result_type: Oid,
    pub collation: Oid,
    pub form: CoercionForm,
    pub location: Location,
}

/// Coerces each element of an array; `element` works on a CaseTestExpr.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArrayCoerceExpr {
    pub arg: Expression,
    pub element: Expression,
    pub result_type: Oid,
    pub typmod: i32,
    pub collation: Oid,
    pub form: CoercionForm,
    pub location: Location,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConvertRowtypeExpr {
    pub arg: Expression,
    pub result_type: Oid,
    pub form: CoercionForm,
    pub location: Location,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CollateExpr {
    pub arg: Expression,
    pub collation: Oid,
    pub location: Location,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaseExpr {
    pub result_type: Oid,
    pub collation: Oid,
    /// With an argument, each condition compares a CaseTestExpr.
    pub arg: Option<Expression>,
    pub whens: Vec<CaseWhen>,
    pub default: Expression,
    pub location: Location,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaseWhen {
    pub condition: Expression,
    pub result: Expression,
    pub location: Location,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CaseTestExpr {
    pub type_oid: Oid,
    pub typmod: i32,
    pub collation: Oid,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArrayExpr {
    pub array_type: Oid,
    pub collation: Oid,
    pub element_type: Oid,
    pub elements: Vec<Expression>,
    /// The elements are arrays themselves.
    pub multidims: bool,
    pub location: Location,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RowExpr {
    pub args: Vec<Expression>,
    /// RECORD or a named composite type.
    pub row_type: Oid,
    /// ImplicitCast for `(a, b)`, ExplicitCall for `ROW(a, b)`.
    pub form: CoercionForm,
    /// Column names, for RECORD.
    pub colnames: Vec<String>,
    pub location: Location,
}

/// `(a, b) < (c, d)`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RowCompareExpr {
    pub compare: RowCompareType,
    pub opnos: Vec<Oid>,
    pub opfamilies: Vec<Oid>,
    pub inputcollids: Vec<Oid>,
    pub left: Vec<Expression>,
    pub right: Vec<Expression>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RowCompareType {
    Lt,
    Le,
    Ge,
    Gt,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CoalesceExpr {
    pub result_type: Oid,
    pub collation: Oid,
    pub args: Vec<Expression>,
    pub location: Location,
}

/// GREATEST and LEAST.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MinMaxExpr {
    pub op: MinMaxOp,
    pub result_type: Oid,
    pub collation: Oid,
    pub inputcollid: Oid,
    pub args: Vec<Expression>,
    pub location: Location,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SqlValueFunction {
    pub op: SqlValueFunctionOp,
    pub result_type: Oid,
    pub typmod: i32,
    pub location: Location,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NullTest {
    pub arg: Expression,
    /// IS NULL if true, IS NOT NULL if false.
    pub is_null: bool,
    /// The argument is a row: the test looks at its fields.
    pub arg_is_row: bool,
    pub location: Location,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BooleanTest {
    pub arg: Expression,
    pub test: BoolTest,
    pub location: Location,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CoerceToDomain {
    pub arg: Expression,
    pub result_type: Oid,
    pub typmod: i32,
    pub collation: Oid,
    pub form: CoercionForm,
    pub location: Location,
}

/// DEFAULT in an INSERT's VALUES or an UPDATE's SET, until rewrite replaces it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SetToDefault {
    pub type_oid: Oid,
    pub typmod: i32,
    pub collation: Oid,
    pub location: Location,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CurrentOfExpr {
    pub varno: u32,
    pub cursor: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NextValueExpr {
    pub sequence: Oid,
    pub type_oid: Oid,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlaceHolderVar {
    pub expr: Expression,
    pub rels: Relids,
    pub nulling_rels: Relids,
    pub id: u32,
    pub levels_up: u32,
}

/// BOOLOID, INT8OID and RECORDOID: result types that the node kind fixes.
const BOOL: Oid = Oid(16);
const INT4: Oid = Oid(23);
const NAME_COLLATION: Oid = Oid(950);

impl Expression {
    /// Type of the value: PostgreSQL's `exprType`.
    pub fn result_type(&self) -> Oid {
        match self {
            Expression::Var(var) => var.vartype,
            Expression::Const(constant) => constant.type_oid,
            Expression::Param(param) => param.type_oid,
            Expression::Aggref(agg) => agg.aggtype,
            Expression::GroupingFunc(_) => INT4,
            Expression::WindowFunc(func) => func.wintype,
            Expression::SubscriptingRef(subscript) => subscript.result_type,
            Expression::FuncExpr(func) => func.result_type,
            Expression::OpExpr(op) | Expression::DistinctExpr(op) | Expression::NullIfExpr(op) => {
                op.result_type
            }
            Expression::SubLink(link) => match link.kind {
                SubLinkType::Expr => link.first_column().map_or(Oid::INVALID, |column| column.0),
                SubLinkType::Array => link.array_type(),
                _ => BOOL,
            },
            Expression::SubPlan(plan) => match plan.kind {
                SubLinkType::Expr => plan.first_column.0,
                SubLinkType::Array => array_type_of(plan.first_column.0),
                _ => BOOL,
            },
            Expression::FieldSelect(select) => select.result_type,
            Expression::FieldStore(store) => store.result_type,
            Expression::RelabelType(relabel) => relabel.result_type,
            Expression::CoerceViaIo(coerce) => coerce.result_type,
            Expression::ArrayCoerceExpr(coerce) => coerce.result_type,
            Expression::ConvertRowtypeExpr(convert) => convert.result_type,
            Expression::CollateExpr(collate) => collate.arg.result_type(),
            Expression::CaseExpr(case) => case.result_type,
            Expression::CaseTestExpr(test) | Expression::CoerceToDomainValue(test) => test.type_oid,
            Expression::ArrayExpr(array) => array.array_type,
            Expression::RowExpr(row) => row.row_type,
            Expression::CoalesceExpr(coalesce) => coalesce.result_type,
            Expression::MinMaxExpr(minmax) => minmax.result_type,
            Expression::SqlValueFunction(function) => function.result_type,
            Expression::CoerceToDomain(coerce) => coerce.result_type,
            Expression::SetToDefault(default) => default.type_oid,
            Expression::NextValue(next) => next.type_oid,
            Expression::PlaceHolderVar(placeholder) => placeholder.expr.result_type(),
            Expression::ScalarArrayOpExpr(_)
            | Expression::BoolExpr(_)
            | Expression::RowCompareExpr(_)
            | Expression::NullTest(_)
            | Expression::BooleanTest(_)
            | Expression::CurrentOf(_) => BOOL,
        }
    }

    /// Type modifier of the value, -1 if none is known: PostgreSQL's `exprTypmod`.
    pub fn typmod(&self) -> i32 {
        match self {
            Expression::Var(var) => var.vartypmod,
            Expression::Const(constant) => constant.typmod,
            Expression::Param(param) => param.typmod,
            Expression::SubscriptingRef(subscript) => subscript.typmod,
            Expression::FuncExpr(func) => func.length_coercion_typmod().unwrap_or(-1),
            Expression::NullIfExpr(op) => op.args.first().map_or(-1, Expression::typmod),
            Expression::SubLink(link) => match link.kind {
                SubLinkType::Expr | SubLinkType::Array => link.first_column().map_or(-1, |column| column.1),
                _ => -1,
            },
            Expression::SubPlan(plan) => match plan.kind {
                SubLinkType::Expr | SubLinkType::Array => plan.first_column.1,
                _ => -1,
            },
            Expression::FieldSelect(select) => select.typmod,
            Expression::RelabelType(relabel) => relabel.typmod,
            Expression::ArrayCoerceExpr(coerce) => coerce.typmod,
            Expression::CollateExpr(collate) => collate.arg.typmod(),
            Expression::CaseExpr(case) => common_typmod(
                case.result_type,
                case.whens.iter().map(|when| &when.result).chain([&case.default]),
            ),
            Expression::CaseTestExpr(test) | Expression::CoerceToDomainValue(test) => test.typmod,
            Expression::ArrayExpr(array) => {
                let expected = if array.multidims { array.array_type } else { array.element_type };
                common_typmod(expected, array.elements.iter())
            }
            Expression::CoalesceExpr(coalesce) => common_typmod(coalesce.result_type, coalesce.args.iter()),
            Expression::MinMaxExpr(minmax) => common_typmod(minmax.result_type, minmax.args.iter()),
            Expression::SqlValueFunction(function) => function.typmod,
            Expression::CoerceToDomain(coerce) => coerce.typmod,
            Expression::SetToDefault(default) => default.typmod,
            Expression::PlaceHolderVar(placeholder) => placeholder.expr.typmod(),
            _ => -1,
        }
    }

    /// Collation of the value, 0 for types without: PostgreSQL's `exprCollation`.
    pub fn collation(&self) -> Oid {
        match self {
            Expression::Var(var) => var.varcollid,
            Expression::Const(constant) => constant.collation,
            Expression::Param(param) => param.collation,
            Expression::Aggref(agg) => agg.aggcollid,
            Expression::WindowFunc(func) => func.wincollid,
            Expression::SubscriptingRef(subscript) => subscript.collation,
            Expression::FuncExpr(func) => func.collation,
            Expression::OpExpr(op) | Expression::DistinctExpr(op) | Expression::NullIfExpr(op) => {
                op.collation
            }
            Expression::SubLink(link) => match link.kind {
                SubLinkType::Expr | SubLinkType::Array => {
                    link.first_column().map_or(Oid::INVALID, |column| column.2)
                }
                _ => Oid::INVALID,
            },
            Expression::SubPlan(plan) => match plan.kind {
                SubLinkType::Expr | SubLinkType::Array => plan.first_column.2,
                _ => Oid::INVALID,
            },
            Expression::FieldSelect(select) => select.collation,
            Expression::RelabelType(relabel) => relabel.collation,
            Expression::CoerceViaIo(coerce) => coerce.collation,
            Expression::ArrayCoerceExpr(coerce) => coerce.collation,
            Expression::CollateExpr(collate) => collate.collation,
            Expression::CaseExpr(case) => case.collation,
            Expression::CaseTestExpr(test) | Expression::CoerceToDomainValue(test) => test.collation,
            Expression::ArrayExpr(array) => array.collation,
            Expression::CoalesceExpr(coalesce) => coalesce.collation,
            Expression::MinMaxExpr(minmax) => minmax.collation,
            // The functions that yield a name have the collation of that type.
            Expression::SqlValueFunction(function) if function.result_type == Oid(19) => NAME_COLLATION,
            Expression::CoerceToDomain(coerce) => coerce.collation,
            Expression::SetToDefault(default) => default.collation,
            Expression::PlaceHolderVar(placeholder) => placeholder.expr.collation(),
            _ => Oid::INVALID,
        }
    }

    /// Where the expression starts in the statement: PostgreSQL's `exprLocation`.
    pub fn location(&self) -> Location {
        fn first(own: Location, args: &[Expression]) -> Location {
            args.iter().fold(own, |location, arg| location.leftmost(arg.location()))
        }
        match self {
            Expression::Var(var) => var.location,
            Expression::Const(constant) => constant.location,
            Expression::Param(param) => param.location,
            Expression::Aggref(agg) => agg.location,
            Expression::GroupingFunc(func) => func.location,
            Expression::WindowFunc(func) => func.location,
            Expression::SubscriptingRef(subscript) => subscript.container.location(),
            Expression::FuncExpr(func) => first(func.location, &func.args),
            Expression::OpExpr(op) | Expression::DistinctExpr(op) | Expression::NullIfExpr(op) => {
                first(op.location, &op.args)
            }
            Expression::ScalarArrayOpExpr(op) => {
                op.location.leftmost(op.scalar.location()).leftmost(op.array.location())
            }
            Expression::BoolExpr(expr) => first(expr.location, &expr.args),
            Expression::SubLink(link) => match &link.testexpr {
                Some(test) => test.location().leftmost(link.location),
                None => link.location,
            },
            Expression::FieldSelect(select) => select.arg.location(),
            Expression::FieldStore(store) => store.arg.location(),
            Expression::RelabelType(relabel) => relabel.location.leftmost(relabel.arg.location()),
            Expression::CoerceViaIo(coerce) => coerce.location.leftmost(coerce.arg.location()),
            Expression::ArrayCoerceExpr(coerce) => coerce.location.leftmost(coerce.arg.location()),
            Expression::ConvertRowtypeExpr(convert) => convert.location.leftmost(convert.arg.location()),
            Expression::CollateExpr(collate) => collate.arg.location(),
            Expression::CaseExpr(case) => case.location,
            Expression::ArrayExpr(array) => array.location,
            Expression::RowExpr(row) => row.location,
            Expression::RowCompareExpr(row) => first(Location::UNKNOWN, &row.left),
            Expression::CoalesceExpr(coalesce) => coalesce.location,
            Expression::MinMaxExpr(minmax) => minmax.location,
            Expression::SqlValueFunction(function) => function.location,
            Expression::NullTest(test) => test.location.leftmost(test.arg.location()),
            Expression::BooleanTest(test) => test.location.leftmost(test.arg.location()),
            Expression::CoerceToDomain(coerce) => coerce.location.leftmost(coerce.arg.location()),
            Expression::SetToDefault(default) => default.location,
            Expression::PlaceHolderVar(placeholder) => placeholder.expr.location(),
            Expression::SubPlan(_)
            | Expression::CaseTestExpr(_)
            | Expression::CoerceToDomainValue(_)
            | Expression::CurrentOf(_)
            | Expression::NextValue(_) => Location::UNKNOWN,
        }
    }

    pub fn is_null_const(&self) -> bool {
        matches!(self, Expression::Const(Const { value: Value::Null, .. }))
    }
}

/// The array type over a built-in type, or nothing.
fn array_type_of(element: Oid) -> Oid {
    kokkiri_types::builtin::type_info(element).map_or(Oid::INVALID, |info| info.array)
}

/// A typmod that all alternatives of the given type agree on.
fn common_typmod<'a>(expected: Oid, mut alternatives: impl Iterator<Item = &'a Expression>) -> i32 {
    let Some(first) = alternatives.next() else { return -1 };
    let typmod = first.typmod();
    let agrees = |expr: &Expression| expr.result_type() == expected && expr.typmod() == typmod;
    if typmod >= 0 && agrees(first) && alternatives.all(agrees) { typmod } else { -1 }
}

impl FuncExpr {
    /// The typmod this call forces, if it is the call of a length-coercion function
    /// (PostgreSQL's `exprIsLengthCoercion`).
    pub fn length_coercion_typmod(&self) -> Option<i32> {
        if !matches!(self.form, CoercionForm::ExplicitCast | CoercionForm::ImplicitCast) {
            return None;
        }
        match self.args.as_slice() {
            [_, Expression::Const(Const { type_oid: INT4, value: Value::Int32(typmod), .. }), ..] => {
                Some(*typmod)
            }
            _ => None,
        }
    }
}

impl SubLink {
    /// Type, typmod and collation of the sub-select's first column.
    pub fn first_column(&self) -> Option<(Oid, i32, Oid)> {
        let target = self.subselect.target_list.iter().find(|target| !target.resjunk)?;
        Some((target.expr.result_type(), target.expr.typmod(), target.expr.collation()))
    }

    fn array_type(&self) -> Oid {
        self.first_column().map_or(Oid::INVALID, |column| array_type_of(column.0))
    }
}

/// How a constant is stored in a `pg_node_tree`.
mod stored_value {
    use kokkiri_primitives::ItemPointer;
    use kokkiri_types::Value;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    enum Stored {
        Null,
        Bool(bool),
        Char(u8),
        Int16(i16),
        Int32(i32),
        Int64(i64),
        /// Floats by their bits: JSON knows neither NaN nor infinity.
        Float32(u32),
        Float64(u64),
        Fixed16([u8; 16]),
        Tid(u64),
        Bytes(Vec<u8>),
    }

    pub fn serialize<S: Serializer>(value: &Value, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Value::Null => Stored::Null,
            Value::Bool(value) => Stored::Bool(*value),
            Value::Char(value) => Stored::Char(*value),
            Value::Int16(value) => Stored::Int16(*value),
            Value::Int32(value) => Stored::Int32(*value),
            Value::Int64(value) => Stored::Int64(*value),
            Value::Float32(value) => Stored::Float32(value.to_bits()),
            Value::Float64(value) => Stored::Float64(value.to_bits()),
            Value::Fixed16(value) => Stored::Fixed16(*value),
            Value::Tid(value) => Stored::Tid(value.to_u64()),
            Value::Bytes(value) => Stored::Bytes(value.to_vec()),
        }
        .serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
        Ok(match Stored::deserialize(deserializer)? {
            Stored::Null => Value::Null,
            Stored::Bool(value) => Value::Bool(value),
            Stored::Char(value) => Value::Char(value),
            Stored::Int16(value) => Value::Int16(value),
            Stored::Int32(value) => Value::Int32(value),
            Stored::Int64(value) => Value::Int64(value),
            Stored::Float32(value) => Value::Float32(f32::from_bits(value)),
            Stored::Float64(value) => Value::Float64(f64::from_bits(value)),
            Stored::Fixed16(value) => Value::Fixed16(value),
            Stored::Tid(value) => Value::Tid(ItemPointer::from_u64(value)),
            Stored::Bytes(value) => Value::Bytes(value.into()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::StoredForm;

    #[test]
    fn stored_forms_have_numbers_of_their_own() {
        for form in [StoredForm::Bytes, StoredForm::Compressed] {
            for column in [1, 2, 1599, 1600] {
                assert_eq!(StoredForm::of(form.attribute(column)), Some((form, column)));
            }
        }
        for attribute in (-7..=2).chain([i16::MAX, i16::MIN]) {
            assert_eq!(StoredForm::of(attribute), None, "{attribute}");
        }
    }
}
