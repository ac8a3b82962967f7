//! Expressions as SQL text, variables by their names.
//!
//! Realises: the part of `ruleutils.c` that EXPLAIN uses. A variable of an input is followed through the
//! target lists below until it is a table's column or an expression of its own.

use std::cell::Cell;

use kokkiri_analyze::tree::{
    BoolOp, BoolTest, CoercionForm, Const, Expression, MinMaxOp, Param, ParamKind, RteKind, StoredForm,
    SubLinkType, SubPlan, Var,
};
use kokkiri_plan::lookup::CatalogFacts;
use kokkiri_plan::plan::{INDEX_VAR, INNER_VAR, OUTER_VAR, Plan, PlanNode, PlannedStatement};
use kokkiri_primitives::{Oid, Result, stack};
use kokkiri_types::Value;
use kokkiri_types::io::{self, IoSettings};

use super::quote;

pub struct Deparser<'a> {
    statement: &'a PlannedStatement,
    pub facts: &'a dyn CatalogFacts,
    /// Columns are shown with their table's name: set for each line, as the lines differ in it.
    pub prefixed: bool,
    /// The same for an expression within the line that belongs to another node.
    forced: Cell<bool>,
    /// Of each entry of the range table, all different.
    names: Vec<String>,
    /// Plans from the top to the one being printed.
    path: Vec<&'a Plan>,
    io: IoSettings,
}

impl<'a> Deparser<'a> {
    pub fn new(statement: &'a PlannedStatement, facts: &'a dyn CatalogFacts) -> Self {
        let names = relation_names(statement);
        Self {
            statement,
            facts,
            prefixed: false,
            forced: Cell::new(false),
            names,
            path: Vec::new(),
            io: IoSettings::default(),
        }
    }

    /// What a relation of the range table is called in this plan.
    pub fn relation_name(&self, relid: u32) -> String {
        self.names.get(relid as usize - 1).map(|name| quote(name)).unwrap_or_default()
    }

    pub fn enter(&mut self, plan: &'a Plan) {
        self.path.push(plan);
    }

    pub fn leave(&mut self) {
        self.path.pop();
    }

    fn plan(&self) -> Option<&'a Plan> {
        self.path.last().copied()
    }

    pub fn text(&self, expr: &Expression) -> Result<String> {
        self.expression(expr, self.plan())
    }

    /// Conditions joined by AND, as one text.
    pub fn conjunction(&self, conditions: &[Expression]) -> Result<String> {
        let texts = conditions.iter().map(|condition| self.text(condition)).collect::<Result<Vec<_>>>()?;
        Ok(if texts.len() == 1 { texts.concat() } else { format!("({})", texts.join(" AND ")) })
    }

    /// A column of a plan's target list, for sort and group keys.
    pub fn column_of(&self, plan: &Plan, column: usize) -> Result<String> {
        match plan.target_list.get(column - 1) {
            Some(target) => self.expression(&target.expr, Some(plan)),
            None => Ok(String::new()),
        }
    }

    /// True of a column that comes along only for how its value is compressed: PostgreSQL has no such.
    pub fn is_compressed_form(&self, expr: &Expression, plan: &Plan) -> bool {
        let Expression::Var(var) = expr else { return false };
        let child = match var.varno {
            OUTER_VAR => plan.children().first().copied(),
            INNER_VAR => plan.children().get(1).copied(),
            _ => match &plan.node {
                PlanNode::SubqueryScan { input, .. } => Some(&**input),
                _ => return matches!(StoredForm::of(var.varattno), Some((StoredForm::Compressed, _))),
            },
        };
        child.is_some_and(|child| {
            let target = child.target_list.get((var.varattno as usize).wrapping_sub(1));
            target.is_some_and(|target| self.is_compressed_form(&target.expr, child))
        })
    }

    /// What a variable of an input stands for: an expression of its own goes into parentheses.
    fn followed(&self, expr: &Expression, plan: Option<&Plan>) -> Result<String> {
        let text = self.expression(expr, plan)?;
        Ok(if matches!(expr, Expression::Var(_)) { text } else { format!("({text})") })
    }

    fn variable(&self, var: &Var, plan: Option<&Plan>) -> Result<String> {
        let input = match (var.varno, plan) {
            (OUTER_VAR, Some(plan)) => plan.children().first().copied(),
            (INNER_VAR, Some(plan)) => plan.children().get(1).copied(),
            (INDEX_VAR, Some(Plan { node: PlanNode::IndexOnlyScan(scan), .. })) => {
                return match scan.index_target_list.get(var.varattno as usize - 1) {
                    Some(column) => self.followed(column, plan),
                    None => Ok(String::new()),
                };
            }
            _ => None,
        };
        if matches!(var.varno, OUTER_VAR | INNER_VAR) {
            let target = input.and_then(|input| input.target_list.get(var.varattno as usize - 1));
            return match target {
                Some(target) => self.followed(&target.expr, input),
                None => Ok(String::new()),
            };
        }
        let Some(entry) = self.statement.range_table.get(var.varno as usize - 1) else {
            return Ok(String::new());
        };
        let attribute = StoredForm::of(var.varattno).map_or(var.varattno, |(_, column)| column);
        let column = match attribute {
            -1 => "ctid".to_owned(),
            -2 => "xmin".to_owned(),
            -3 => "cmin".to_owned(),
            -4 => "xmax".to_owned(),
            -5 => "cmax".to_owned(),
            -6 => "tableoid".to_owned(),
            0 => "*".to_owned(),
            number => {
                let at = number as usize - 1;
                match (&entry.kind, entry.eref.columns.get(at)) {
                    (_, Some(name)) => quote(name),
                    (RteKind::Relation { relid, .. }, None) => {
                        let table = self.facts.relation(*relid)?;
                        table.relation.tuple_desc.get(at).map(|a| quote(&a.name)).unwrap_or_default()
                    }
                    _ => format!("column{number}"),
                }
            }
        };
        Ok(if self.prefixed || self.forced.get() {
            format!("{}.{column}", self.relation_name(var.varno))
        } else {
            column
        })
    }

    /// What a parameter stands for: an outer column of a nested loop, an init plan, an argument.
    fn parameter(&self, param: &Param, plan: Option<&Plan>) -> Result<String> {
        if param.kind == ParamKind::Extern {
            return Ok(format!("${}", param.id));
        }
        let _ = plan;
        for ancestor in self.path.iter().rev() {
            if let PlanNode::NestLoop(nest) = &ancestor.node
                && let Some(found) = nest.parameters.iter().find(|parameter| parameter.id == param.id)
            {
                return self.prefixed_expression(&found.value, ancestor);
            }
        }
        let everything = std::iter::once(&self.statement.plan).chain(&self.statement.subplans);
        for top in everything {
            if let Some(name) = init_plan_name(top, param.id) {
                return Ok(format!("({name}).col1"));
            }
        }
        Ok(format!("${}", param.id))
    }

    /// An expression of another node: its columns always have their table's name.
    fn prefixed_expression(&self, expr: &Expression, plan: &'a Plan) -> Result<String> {
        let before = self.forced.replace(true);
        let text = self.expression(expr, Some(plan));
        self.forced.set(before);
        text
    }

    fn list(&self, exprs: &[Expression], plan: Option<&Plan>) -> Result<String> {
        let texts = exprs.iter().map(|expr| self.expression(expr, plan)).collect::<Result<Vec<_>>>()?;
        Ok(texts.join(", "))
    }

    fn operator_name(&self, oid: Oid) -> Result<String> {
        Ok(self.facts.operator(oid)?.name.to_string())
    }

    fn expression(&self, expr: &Expression, plan: Option<&Plan>) -> Result<String> {
        stack::check_depth()?;
        let text = |inner: &Expression| self.expression(inner, plan);
        Ok(match expr {
            Expression::Var(var) => self.variable(var, plan)?,
            Expression::Const(constant) => self.constant(constant)?,
            Expression::Param(param) => self.parameter(param, plan)?,
            Expression::OpExpr(operator) => match operator.args.as_slice() {
                [left, right] => {
                    format!("({} {} {})", text(left)?, self.operator_name(operator.opno)?, text(right)?)
                }
                [only] => format!("({} {})", self.operator_name(operator.opno)?, text(only)?),
                _ => String::new(),
            },
            Expression::DistinctExpr(operator) => match operator.args.as_slice() {
                [left, right] => format!("({} IS DISTINCT FROM {})", text(left)?, text(right)?),
                _ => String::new(),
            },
            Expression::NullIfExpr(operator) => format!("NULLIF({})", self.list(&operator.args, plan)?),
            Expression::FuncExpr(function) => {
                let args = &function.args;
                match (function.form, args.first()) {
                    (CoercionForm::ImplicitCast, Some(arg)) => text(arg)?,
                    (CoercionForm::ExplicitCast, Some(arg)) => self.cast(&text(arg)?, arg, expr),
                    _ => {
                        let name = quote(&self.facts.function(function.funcid)?.name);
                        format!("{name}({})", self.list(args, plan)?)
                    }
                }
            }
            Expression::Aggref(aggref) => {
                let name = quote(&self.facts.function(aggref.aggfnoid)?.name);
                let args: Vec<Expression> = aggref
                    .args
                    .iter()
                    .filter(|target| !target.resjunk)
                    .map(|target| target.expr.clone())
                    .collect();
                let inner = if aggref.aggstar { "*".to_owned() } else { self.list(&args, plan)? };
                let distinct = if aggref.aggdistinct.is_empty() { "" } else { "DISTINCT " };
                match &aggref.aggfilter {
                    Some(filter) => format!("{name}({distinct}{inner}) FILTER (WHERE {})", text(filter)?),
                    None => format!("{name}({distinct}{inner})"),
                }
            }
            Expression::BoolExpr(bool_expr) => match bool_expr.op {
                BoolOp::Not => format!("(NOT {})", self.list(&bool_expr.args, plan)?),
                op => {
                    let word = if op == BoolOp::And { " AND " } else { " OR " };
                    let parts = bool_expr.args.iter().map(text).collect::<Result<Vec<_>>>()?;
                    format!("({})", parts.join(word))
                }
            },
            Expression::ScalarArrayOpExpr(test) => format!(
                "({} {} {} ({}))",
                text(&test.scalar)?,
                self.operator_name(test.opno)?,
                if test.use_or { "ANY" } else { "ALL" },
                text(&test.array)?
            ),
            Expression::NullTest(test) => {
                format!("({} IS {})", text(&test.arg)?, if test.is_null { "NULL" } else { "NOT NULL" })
            }
            Expression::BooleanTest(test) => {
                let word = match test.test {
                    BoolTest::IsTrue => "TRUE",
                    BoolTest::IsNotTrue => "NOT TRUE",
                    BoolTest::IsFalse => "FALSE",
                    BoolTest::IsNotFalse => "NOT FALSE",
                    BoolTest::IsUnknown => "UNKNOWN",
                    BoolTest::IsNotUnknown => "NOT UNKNOWN",
                };
                format!("({} IS {word})", text(&test.arg)?)
            }
            Expression::RelabelType(relabel) => match relabel.form {
                CoercionForm::ImplicitCast => text(&relabel.arg)?,
                _ => self.cast(&text(&relabel.arg)?, &relabel.arg, expr),
            },
            Expression::CoerceViaIo(coerce) => self.cast(&text(&coerce.arg)?, &coerce.arg, expr),
            Expression::CollateExpr(collate) => text(&collate.arg)?,
            Expression::CaseExpr(case) => {
                let mut out = String::from("CASE");
                if let Some(arg) = &case.arg {
                    out.push_str(&format!(" {}", text(arg)?));
                }
                for when in &case.whens {
                    let condition = match (&case.arg, &when.condition) {
                        // `CASE x WHEN y` compares x, which stands for itself, with y.
                        (Some(_), Expression::OpExpr(op)) if op.args.len() == 2 => text(&op.args[1])?,
                        _ => text(&when.condition)?,
                    };
                    out.push_str(&format!(" WHEN {condition} THEN {}", text(&when.result)?));
                }
                format!("{out} ELSE {} END", text(&case.default)?)
            }
            Expression::CoalesceExpr(coalesce) => format!("COALESCE({})", self.list(&coalesce.args, plan)?),
            Expression::MinMaxExpr(minmax) => {
                let name = if minmax.op == MinMaxOp::Greatest { "GREATEST" } else { "LEAST" };
                format!("{name}({})", self.list(&minmax.args, plan)?)
            }
            Expression::ArrayExpr(array) => format!("ARRAY[{}]", self.list(&array.elements, plan)?),
            Expression::RowExpr(row) => format!("ROW({})", self.list(&row.args, plan)?),
            Expression::SqlValueFunction(function) => {
                let name = format!("{:?}", function.op);
                let mut out = String::new();
                for (at, c) in name.trim_end_matches('N').chars().enumerate() {
                    if c.is_ascii_uppercase() && at > 0 {
                        out.push('_');
                    }
                    out.push(c.to_ascii_uppercase());
                }
                out
            }
            Expression::SubPlan(subplan) => self.subplan(subplan, plan)?,
            Expression::CaseTestExpr(_) => "CASE_TEST_EXPR".into(),
            other => format!("{other:?}").split(['(', ' ']).next().unwrap_or_default().to_owned(),
        })
    }

    fn subplan(&self, subplan: &SubPlan, plan: Option<&Plan>) -> Result<String> {
        let hashed = if subplan.use_hash_table { "hashed " } else { "" };
        let name = format!("{hashed}{}", subplan.plan_name);
        let Some(test) = &subplan.testexpr else {
            return Ok(match subplan.kind {
                SubLinkType::Exists => format!("EXISTS({name})"),
                SubLinkType::Array => format!("ARRAY({name})"),
                _ => format!("({name})"),
            });
        };
        let mut shown = test.clone();
        let mut text = None;
        shown.walk_mut(&mut |node| {
            if let Expression::OpExpr(operator) = node
                && let [left, Expression::Param(param)] = operator.args.as_slice()
                && let Some(at) = subplan.param_ids.iter().position(|id| *id == param.id)
            {
                text.get_or_insert_with(Vec::new).push((left.clone(), operator.opno, at + 1));
            }
            true
        });
        let mut parts = Vec::new();
        for (left, operator, column) in text.unwrap_or_default() {
            let left = self.expression(&left, plan)?;
            parts.push(format!("({left} {} ({name}).col{column})", self.operator_name(operator)?));
        }
        let word = if subplan.kind == SubLinkType::All { "ALL" } else { "ANY" };
        Ok(format!("({word} {})", parts.join(" AND ")))
    }

    fn cast(&self, text: &str, arg: &Expression, whole: &Expression) -> String {
        let simple = matches!(arg, Expression::Var(_) | Expression::Param(_) | Expression::FuncExpr(_))
            && !text.starts_with('(');
        let shown = if simple || (text.starts_with('(') && text.ends_with(')')) {
            text.to_owned()
        } else {
            format!("({text})")
        };
        // PostgreSQL always puts a cast's argument in parentheses.
        let shown = if shown.starts_with('(') { shown } else { format!("({shown})") };
        format!("{shown}::{}", io::type_name(whole.result_type()))
    }

    fn constant(&self, constant: &Const) -> Result<String> {
        let name = io::type_name(constant.type_oid);
        if constant.value.is_null() {
            return Ok(format!("NULL::{name}"));
        }
        let mut out = Vec::new();
        io::output_text(constant.type_oid, constant.value.as_ref(), &self.io, &mut out)?;
        let text = String::from_utf8_lossy(&out).into_owned();
        Ok(match (constant.type_oid.0, &constant.value) {
            (16, Value::Bool(value)) => value.to_string(),
            (23, _) if !text.starts_with('-') => text,
            (1700, _) if text.starts_with(|c: char| c.is_ascii_digit()) && text.contains('.') => text,
            _ => format!("'{}'::{name}", text.replace('\'', "''")),
        })
    }
}

/// Names for the relations that the plan reads or changes, numbered where they would be the same
/// (`set_rtable_names`).
fn relation_names(statement: &PlannedStatement) -> Vec<String> {
    fn note(plan: &Plan, used: &mut Vec<u32>) {
        match &plan.node {
            PlanNode::SeqScan { scan_relid }
            | PlanNode::TidScan { scan_relid, .. }
            | PlanNode::SubqueryScan { scan_relid, .. }
            | PlanNode::FunctionScan { scan_relid, .. }
            | PlanNode::ValuesScan { scan_relid, .. } => used.push(*scan_relid),
            PlanNode::IndexScan(scan) => used.push(scan.scan_relid),
            PlanNode::IndexOnlyScan(scan) => used.push(scan.scan_relid),
            PlanNode::BitmapHeapScan(scan) => used.push(scan.scan_relid),
            PlanNode::ModifyTable(modify) => used.push(modify.result_relation),
            _ => {}
        }
        plan.children().into_iter().for_each(|child| note(child, used));
    }
    let mut used = Vec::new();
    note(&statement.plan, &mut used);
    statement.subplans.iter().for_each(|plan| note(plan, &mut used));
    let mut names: Vec<String> = Vec::with_capacity(statement.range_table.len());
    let mut taken: Vec<String> = Vec::new();
    for (at, entry) in statement.range_table.iter().enumerate() {
        let wanted = &entry.eref.name;
        if !used.contains(&(at as u32 + 1)) {
            names.push(wanted.clone());
            continue;
        }
        let numbered = (1..).map(|number| format!("{wanted}_{number}"));
        let name = std::iter::once(wanted.clone()).chain(numbered).find(|name| !taken.contains(name));
        let name = name.unwrap_or_default();
        taken.push(name.clone());
        names.push(name);
    }
    names
}

fn init_plan_name(plan: &Plan, id: u32) -> Option<String> {
    let own = plan.init_plans.iter().find(|init| init.set_parameters.contains(&id));
    own.map(|init| init.name.clone())
        .or_else(|| plan.children().into_iter().find_map(|child| init_plan_name(child, id)))
}
