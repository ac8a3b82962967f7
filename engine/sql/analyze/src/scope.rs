//! The state of analysing one statement: PostgreSQL's `ParseState`.
//!
//! Queries nest; the innermost is the last of [`Analyzer::scopes`], and how far out a name was found is its
//! Var's `varlevelsup`.

use std::rc::Rc;

use kokkiri_parse::Location;
use kokkiri_parse::tree as raw;
use kokkiri_primitives::{Oid, Result, error};
use kokkiri_types::builtin::oid;
use kokkiri_types::io::IoSettings;

use crate::catalog::Catalog;
use crate::tree::*;

/// Types of a statement's parameters.
#[derive(Clone, Debug, Default)]
pub struct Parameters {
    /// Known types; 0 for those to be inferred.
    pub types: Vec<Oid>,
    /// Whether unknown types are inferred, and more parameters than given may be used.
    pub infer: bool,
}

impl Parameters {
    /// For statements that may not use parameters.
    pub fn none() -> Self {
        Self::default()
    }

    pub fn inferred(types: Vec<Oid>) -> Self {
        Self { types, infer: true }
    }

    pub fn fixed(types: Vec<Oid>) -> Self {
        Self { types, infer: false }
    }
}

pub(crate) struct Analyzer<'a> {
    pub catalog: Catalog<'a>,
    pub io: &'a IoSettings,
    pub parameters: Parameters,
    pub scopes: Vec<Scope>,
}

/// What clause is being analysed: decides what may appear in it. PostgreSQL's `ParseExprKind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clause {
    None,
    JoinOn,
    FromSubselect,
    FromFunction,
    Where,
    Having,
    Filter,
    WindowPartition,
    WindowOrder,
    WindowFrame,
    SelectTarget,
    UpdateSource,
    Group,
    Order,
    DistinctOn,
    Limit,
    Offset,
    Returning,
    Values,
    CheckConstraint,
    ColumnDefault,
    IndexExpression,
    IndexPredicate,
    AlterColumnTransform,
    ExecuteParameter,
    CallArgument,
    CopyWhere,
}

impl Clause {
    /// PostgreSQL's `ParseExprKindName`.
    pub fn name(self) -> &'static str {
        match self {
            Clause::None => "invalid expression context",
            Clause::JoinOn => "JOIN/ON",
            Clause::FromSubselect => "sub-SELECT in FROM",
            Clause::FromFunction => "function in FROM",
            Clause::Where => "WHERE",
            Clause::Having => "HAVING",
            Clause::Filter => "FILTER",
            Clause::WindowPartition => "window PARTITION BY",
            Clause::WindowOrder => "window ORDER BY",
            Clause::WindowFrame => "window RANGE",
            Clause::SelectTarget => "SELECT",
            Clause::UpdateSource => "UPDATE",
            Clause::Group => "GROUP BY",
            Clause::Order => "ORDER BY",
            Clause::DistinctOn => "DISTINCT ON",
            Clause::Limit => "LIMIT",
            Clause::Offset => "OFFSET",
            Clause::Returning => "RETURNING",
            Clause::Values => "VALUES",
            Clause::CheckConstraint => "CHECK",
            Clause::ColumnDefault => "DEFAULT",
            Clause::IndexExpression => "index expression",
            Clause::IndexPredicate => "index predicate",
            Clause::AlterColumnTransform => "USING",
            Clause::ExecuteParameter => "EXECUTE",
            Clause::CallArgument => "CALL",
            Clause::CopyWhere => "WHERE",
        }
    }

    /// Where a kind of function is not allowed, as errors name the place.
    pub fn expressions(self) -> &'static str {
        match self {
            Clause::JoinOn => "JOIN conditions",
            Clause::FromFunction => "functions in FROM",
            Clause::CheckConstraint => "check constraints",
            Clause::ColumnDefault => "DEFAULT expressions",
            Clause::IndexExpression => "index expressions",
            Clause::IndexPredicate => "index predicates",
            Clause::AlterColumnTransform => "transform expressions",
            Clause::ExecuteParameter => "EXECUTE parameters",
            Clause::CallArgument => "CALL arguments",
            Clause::CopyWhere => "COPY FROM WHERE conditions",
            other => other.name(),
        }
    }

    pub fn is_of_window(self) -> bool {
        matches!(self, Clause::WindowPartition | Clause::WindowOrder | Clause::WindowFrame)
    }
}

/// One level of query.
#[derive(Default)]
pub(crate) struct Scope {
    pub rtable: Vec<RangeTblEntry>,
    pub perm_infos: Vec<RtePermissionInfo>,
    /// For each range table entry, the outer joins above it that may null it.
    pub nulling: Vec<Relids>,
    pub namespace: Vec<NamespaceItem>,
    /// CTEs that may be referred to here.
    pub ctes: Vec<CommonTableExpr>,
    /// CTE being defined with WITH RECURSIVE; its columns once its first part is known.
    pub recursive_cte: Option<(String, Option<RecursiveColumns>)>,
    /// Names of CTEs of this WITH that stand later, for the error about them.
    pub future_ctes: Vec<String>,
    pub clause: Option<Clause>,
    pub has_aggs: bool,
    pub has_window_funcs: bool,
    pub has_target_srfs: bool,
    /// Where the set-returning function analyzed last stands.
    pub last_set_call: Option<Location>,
    pub has_sub_links: bool,
    pub has_modifying_cte: bool,
    pub windows: Vec<raw::WindowDef>,
    /// Lateral references are allowed: a sub-select or function in FROM is analysed with LATERAL.
    pub lateral_active: bool,
    /// Unknown literals of the target list stay unknown (the branches of a set operation decide together).
    pub keep_unknowns: bool,
    /// The value `VALUE` stands for in a domain's constraint.
    pub domain_value: Option<CaseTestExpr>,
}

#[derive(Clone, Debug)]
pub(crate) struct RecursiveColumns {
    pub names: Vec<String>,
    pub columns: Vec<ColumnInfo>,
}

/// A range table entry as names see it.
#[derive(Clone, Debug)]
pub(crate) struct NamespaceItem {
    pub rtindex: u32,
    /// The name it goes by, and those of its columns.
    pub names: Rc<Alias>,
    pub columns: Rc<Vec<NamespaceColumn>>,
    /// Its name may qualify columns.
    pub relation_visible: bool,
    /// Its columns may be named without it.
    pub columns_visible: bool,
    /// Only for lateral references.
    pub lateral_only: bool,
    /// And those are allowed.
    pub lateral_ok: bool,
    pub returning: VarReturning,
}

/// A column as names see it; of a join's, the column it stands for.
#[derive(Clone, Debug)]
pub(crate) struct NamespaceColumn {
    pub varno: u32,
    pub varattno: i16,
    pub info: ColumnInfo,
    /// Not part of `*`: a dropped column.
    pub hidden: bool,
}

impl<'a> Analyzer<'a> {
    pub fn new(catalog: Catalog<'a>, io: &'a IoSettings, parameters: Parameters) -> Self {
        Self { catalog, io, parameters, scopes: Vec::new() }
    }

    pub fn scope(&self) -> &Scope {
        self.scopes.last().expect("analysis happens within a query")
    }

    pub fn scope_mut(&mut self) -> &mut Scope {
        self.scopes.last_mut().expect("analysis happens within a query")
    }

    pub fn clause(&self) -> Clause {
        self.scope().clause.unwrap_or(Clause::None)
    }

    /// Analyses something as part of a clause.
    pub fn within<T>(&mut self, clause: Clause, body: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let before = self.scope_mut().clause.replace(clause);
        let result = body(self);
        self.scope_mut().clause = before;
        result
    }

    /// Analyses something one level further in.
    pub fn nested<T>(
        &mut self,
        scope: Scope,
        body: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<(T, Scope)> {
        self.scopes.push(scope);
        let result = body(self);
        let scope = self.scopes.pop().expect("the scope just pushed");
        Ok((result?, scope))
    }

    /// The entry a Var refers to.
    pub fn rte_of(&self, varno: u32, levels_up: u32) -> &RangeTblEntry {
        let scope = &self.scopes[self.scopes.len() - 1 - levels_up as usize];
        &scope.rtable[varno as usize - 1]
    }

    /// A reference to `$n`.
    pub fn parameter(&mut self, number: i32, location: Location) -> Result<Expression> {
        use kokkiri_parse::AtLocation;
        let missing = || error!(UNDEFINED_PARAMETER, "there is no parameter ${number}").at_location(location);
        let id = u32::try_from(number).ok().filter(|id| *id >= 1 && *id <= 65535).ok_or_else(missing)?;
        let index = id as usize - 1;
        if index >= self.parameters.types.len() {
            if !self.parameters.infer {
                return Err(missing());
            }
            self.parameters.types.resize(index + 1, Oid::INVALID);
        }
        let known = self.parameters.types[index];
        let type_oid = match known.valid() {
            Some(known) => known,
            None if self.parameters.infer => {
                self.parameters.types[index] = oid::UNKNOWN;
                oid::UNKNOWN
            }
            None => return Err(missing()),
        };
        let collation = self.catalog.type_collation(type_oid)?;
        Ok(Expression::Param(Param {
            kind: ParamKind::Extern,
            id,
            type_oid,
            typmod: -1,
            collation,
            location,
        }))
    }

    /// Gives a parameter of unknown type the type its context wants: `variable_coerce_param_hook`.
    pub fn coerce_parameter(
        &mut self,
        param: &Param,
        target: Oid,
        location: Location,
    ) -> Result<Option<Expression>> {
        use kokkiri_parse::AtLocation;
        if !self.parameters.infer || param.kind != ParamKind::Extern || param.type_oid != oid::UNKNOWN {
            return Ok(None);
        }
        let slot = &mut self.parameters.types[param.id as usize - 1];
        if *slot == oid::UNKNOWN {
            *slot = target;
        } else if *slot != target {
            let (before, now) = (self.catalog.type_name(*slot), self.catalog.type_name(target));
            return Err(error!(
                AMBIGUOUS_PARAMETER,
                "inconsistent types deduced for parameter ${}", param.id
            )
            .detail(format!("{before} versus {now}"))
            .at_location(param.location));
        }
        let collation = self.catalog.type_collation(target)?;
        let location = param.location.leftmost(location);
        let param = Param { type_oid: target, typmod: -1, collation, location, ..param.clone() };
        Ok(Some(Expression::Param(param)))
    }
}
