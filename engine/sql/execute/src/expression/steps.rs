//! Steps of a compiled expression.

use kokkiri_analyze::tree::{BoolTest, ParamKind, RowCompareType};
use kokkiri_functions::Builtin;
use kokkiri_primitives::Oid;
use kokkiri_types::builtin::TypeInfo;
use kokkiri_types::compare::Comparator;
use kokkiri_types::{PhysicalType, TupleDesc, Value};

/// Where a step finds an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// A column of the input batch.
    Input(usize),
    Register(usize),
}

/// What a function call depends on besides its arguments.
#[derive(Debug)]
pub struct CallInfo {
    pub builtin: &'static Builtin,
    pub collation: Oid,
    pub result_type: Oid,
    pub argument_types: Box<[Oid]>,
    pub variadic: bool,
}

/// One step: what to do, for which selection.
#[derive(Debug)]
pub struct Step {
    pub kind: StepKind,
    /// Index of the selection whose rows are computed.
    pub selection: usize,
}

#[derive(Debug)]
pub enum StepKind {
    Call {
        call: CallInfo,
        args: Box<[Operand]>,
        out: usize,
    },
    /// A cast of arrays: which of the program's, and where to.
    CoerceArray {
        coercion: usize,
        out: usize,
    },
    /// An element of an array; null where there is none.
    Subscript {
        array: Operand,
        subscripts: Box<[Operand]>,
        element: &'static TypeInfo,
        out: usize,
        physical: PhysicalType,
    },
    /// A call of a function that is not built: an error for the first row, none if there are no rows.
    NotBuilt {
        name: String,
    },
    /// The value of a parameter, the same for all rows.
    Parameter {
        kind: ParamKind,
        id: u32,
        out: usize,
        physical: PhysicalType,
    },
    /// Prepares a register that later steps fill piece by piece.
    Begin {
        out: usize,
        physical: PhysicalType,
    },
    /// Takes an argument of AND or OR in; rows still open go to `rest`.
    Combine {
        and: bool,
        first: bool,
        arg: Operand,
        out: usize,
        rest: usize,
    },
    Not {
        arg: Operand,
        out: usize,
    },
    /// Rows where the condition is true, and the others.
    Split {
        condition: Operand,
        yes: usize,
        no: usize,
    },
    /// Copies rows into a register begun before.
    Copy {
        from: Operand,
        out: usize,
    },
    /// Copies rows that are not null; the others go to `rest`.
    CopyNotNull {
        from: Operand,
        out: usize,
        rest: usize,
    },
    NullTest {
        arg: Operand,
        is_null: bool,
        out: usize,
    },
    BooleanTest {
        arg: Operand,
        test: BoolTest,
        out: usize,
    },
    /// `left IS DISTINCT FROM right`, `equal` being their equality.
    Distinct {
        left: Operand,
        right: Operand,
        equal: Operand,
        out: usize,
    },
    /// `left`, or null where `equal`.
    NullIf {
        left: Operand,
        equal: Operand,
        out: usize,
        physical: PhysicalType,
    },
    /// GREATEST or LEAST.
    Extreme {
        args: Box<[Operand]>,
        greatest: bool,
        compare: Comparator,
        out: usize,
        physical: PhysicalType,
    },
    /// `scalar op ANY/ALL (array)`; elements of a constant array are known.
    ArrayTest {
        call: CallInfo,
        scalar: Operand,
        array: Operand,
        elements: Option<Vec<Value>>,
        use_or: bool,
        out: usize,
    },
    /// `(a, b) < (c, d)`: the first pair that differs decides; a null before that leaves it open.
    RowCompare {
        pairs: Box<[(Operand, Operand, Comparator)]>,
        compare: RowCompareType,
        out: usize,
    },
    CoerceViaIo {
        arg: Operand,
        from: Oid,
        to: Oid,
        out: usize,
        physical: PhysicalType,
    },
    /// nextval of an identity column's sequence: no privilege on it is asked for.
    NextValue {
        sequence: Oid,
        out: usize,
    },
    MakeArray {
        args: Box<[Operand]>,
        element: Oid,
        out: usize,
    },
    MakeRow {
        args: Box<[Operand]>,
        columns: TupleDesc,
        row_type: Oid,
        out: usize,
    },
    SubPlan {
        subplan: usize,
        out: usize,
    },
}
