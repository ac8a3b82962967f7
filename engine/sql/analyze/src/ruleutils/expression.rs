//! Expressions: `get_rule_expr`, `get_variable`, `get_const_expr`, `get_sublink_expr`.

use kokkiri_catalog::entries::TypeKind;
use kokkiri_parse::quote_identifier;
use kokkiri_primitives::{Error, Oid, Result, stack};
use kokkiri_types::builtin::oid;

use super::simple::is_simple;
use super::{INDENT_ITEM, Printer, constant_text, quote_literal};
use crate::tree::*;

/// Names of the system columns, from -1 down.
const SYSTEM_COLUMNS: [&str; 6] = ["ctid", "xmin", "cmin", "xmax", "cmax", "tableoid"];

impl<'a> Printer<'a> {
    /// `show_implicit` shows implicit casts: where they decide what is meant.
    pub fn expression(&mut self, expr: &'a Expression, show_implicit: bool) -> Result<()> {
        stack::check_depth()?;
        if let Some(text) = self.name.and_then(|name| name(expr)) {
            self.push(&text);
            return Ok(());
        }
        let pretty = self.layout.pretty;
        match expr {
            Expression::Var(var) => self.variable(var, 0, false).map(drop)?,
            Expression::Const(constant) => self.constant(constant, Label::IfNeeded)?,
            Expression::Param(param) => self.push(&format!("${}", param.id)),
            Expression::Aggref(agg) => self.aggregate(agg)?,
            Expression::GroupingFunc(grouping) => {
                self.push("GROUPING(");
                self.list(&grouping.args, true)?;
                self.push(")");
            }
            Expression::WindowFunc(func) => self.window_function(func)?,
            Expression::SubscriptingRef(subscript) => self.subscript(subscript, show_implicit)?,
            Expression::FuncExpr(func) => self.function(expr, func, show_implicit)?,
            Expression::OpExpr(operator) => self.operator(expr, operator)?,
            Expression::DistinctExpr(operator) => {
                self.open(!pretty);
                self.operands(expr, &operator.args, " IS DISTINCT FROM ")?;
                self.close(!pretty);
            }
            Expression::NullIfExpr(operator) => {
                self.push("NULLIF(");
                self.list(&operator.args, true)?;
                self.push(")");
            }
            Expression::ScalarArrayOpExpr(operator) => self.array_operator(expr, operator)?,
            Expression::BoolExpr(logic) => self.logic(expr, logic)?,
            Expression::SubLink(link) => self.sub_link(link)?,
            Expression::FieldSelect(select) => self.field(select)?,
            Expression::RelabelType(cast) => {
                let shown = show_implicit || cast.form != CoercionForm::ImplicitCast;
                self.coercion(expr, &cast.arg, cast.result_type, cast.typmod, shown)?;
            }
            Expression::CoerceViaIo(cast) => {
                let shown = show_implicit || cast.form != CoercionForm::ImplicitCast;
                self.coercion(expr, &cast.arg, cast.result_type, -1, shown)?;
            }
            Expression::ArrayCoerceExpr(cast) => {
                let shown = show_implicit || cast.form != CoercionForm::ImplicitCast;
                self.coercion(expr, &cast.arg, cast.result_type, cast.typmod, shown)?;
            }
            Expression::ConvertRowtypeExpr(cast) => {
                let shown = show_implicit || cast.form != CoercionForm::ImplicitCast;
                self.coercion(expr, &cast.arg, cast.result_type, -1, shown)?;
            }
            Expression::CoerceToDomain(cast) => {
                let shown = show_implicit || cast.form != CoercionForm::ImplicitCast;
                self.coercion(expr, &cast.arg, cast.result_type, cast.typmod, shown)?;
            }
            Expression::CollateExpr(collate) => {
                self.open(!pretty);
                self.operand(&collate.arg, expr, show_implicit)?;
                let name = self.catalog.collation_name(collate.collation)?.unwrap_or_default();
                self.push(&format!(" COLLATE {}", quote_identifier(&name)));
                self.close(!pretty);
            }
            Expression::CaseExpr(case) => self.case(case)?,
            Expression::CaseTestExpr(_) => self.push("CASE_TEST_EXPR"),
            Expression::ArrayExpr(array) => {
                self.push("ARRAY[");
                self.list(&array.elements, true)?;
                self.push("]");
                if array.elements.is_empty() {
                    let name = self.type_name(array.array_type, -1);
                    self.push(&format!("::{name}"));
                }
            }
            Expression::RowExpr(row) => {
                self.push("ROW(");
                for (at, arg) in row.args.iter().enumerate() {
                    if at > 0 {
                        self.push(", ");
                    }
                    self.top_level(arg, true)?;
                }
                self.push(")");
                if row.form == CoercionForm::ExplicitCast {
                    let name = self.type_name(row.row_type, -1);
                    self.push(&format!("::{name}"));
                }
            }
            Expression::RowCompareExpr(row) => {
                self.push("(ROW(");
                self.list(&row.left, true)?;
                let operator = row.opnos.first().copied().unwrap_or_default();
                let name = self.operator_name(operator)?;
                self.push(&format!(") {name} ROW("));
                self.list(&row.right, true)?;
                self.push("))");
            }
            Expression::CoalesceExpr(coalesce) => {
                self.push("COALESCE(");
                self.list(&coalesce.args, true)?;
                self.push(")");
            }
            Expression::MinMaxExpr(minmax) => {
                self.push(if minmax.op == MinMaxOp::Greatest { "GREATEST(" } else { "LEAST(" });
                self.list(&minmax.args, true)?;
                self.push(")");
            }
            Expression::SqlValueFunction(function) => self.push(&value_function(function)),
            Expression::NullTest(test) => {
                self.open(!pretty);
                self.operand(&test.arg, expr, true)?;
                self.push(self.null_test(test)?);
                self.close(!pretty);
            }
            Expression::BooleanTest(test) => {
                self.open(!pretty);
                self.operand(&test.arg, expr, false)?;
                self.push(match test.test {
                    BoolTest::IsTrue => " IS TRUE",
                    BoolTest::IsNotTrue => " IS NOT TRUE",
                    BoolTest::IsFalse => " IS FALSE",
                    BoolTest::IsNotFalse => " IS NOT FALSE",
                    BoolTest::IsUnknown => " IS UNKNOWN",
                    BoolTest::IsNotUnknown => " IS NOT UNKNOWN",
                });
                self.close(!pretty);
            }
            Expression::CoerceToDomainValue(_) => self.push("VALUE"),
            Expression::SetToDefault(_) => self.push("DEFAULT"),
            Expression::CurrentOf(current) => {
                self.push(&format!("CURRENT OF {}", quote_identifier(&current.cursor)));
            }
            Expression::NextValue(next) => {
                let name = self.relation_name(next.sequence)?;
                self.push(&format!("nextval({}::regclass)", quote_literal(&name)));
            }
            Expression::PlaceHolderVar(placeholder) => self.expression(&placeholder.expr, show_implicit)?,
            Expression::SubPlan(_) | Expression::FieldStore(_) => {
                return Err(Error::not_supported("printing this expression"));
            }
        }
        Ok(())
    }

    /// An expression that stands alone, where a whole row must show its type.
    pub fn top_level(&mut self, expr: &'a Expression, show_implicit: bool) -> Result<()> {
        match expr {
            Expression::Var(var) if self.name.is_none() => self.variable(var, 0, true).map(drop),
            _ => self.expression(expr, show_implicit),
        }
    }

    pub fn list(&mut self, exprs: &'a [Expression], show_implicit: bool) -> Result<()> {
        for (at, expr) in exprs.iter().enumerate() {
            if at > 0 {
                self.push(", ");
            }
            self.expression(expr, show_implicit)?;
        }
        Ok(())
    }

    /// An operand of `parent`, in parentheses if it needs some: `get_rule_expr_paren`.
    pub fn operand(
        &mut self,
        expr: &'a Expression,
        parent: &'a Expression,
        show_implicit: bool,
    ) -> Result<()> {
        let needed = self.layout.pretty && !is_simple(self.catalog, expr, parent);
        self.open(needed);
        self.expression(expr, show_implicit)?;
        self.close(needed);
        Ok(())
    }

    fn operands(&mut self, parent: &'a Expression, args: &'a [Expression], between: &str) -> Result<()> {
        for (at, arg) in args.iter().enumerate() {
            if at > 0 {
                self.push(between);
            }
            self.operand(arg, parent, true)?;
        }
        Ok(())
    }

    fn operator(&mut self, expr: &'a Expression, operator: &'a OpExpr) -> Result<()> {
        let name = self.operator_name(operator.opno)?;
        self.open(!self.layout.pretty);
        match operator.args.as_slice() {
            [only] => {
                self.push(&format!("{name} "));
                self.operand(only, expr, true)?;
            }
            args => self.operands(expr, args, &format!(" {name} "))?,
        }
        self.close(!self.layout.pretty);
        Ok(())
    }

    fn array_operator(&mut self, expr: &'a Expression, operator: &'a ScalarArrayOpExpr) -> Result<()> {
        self.open(!self.layout.pretty);
        self.operand(&operator.scalar, expr, true)?;
        let quantifier = if operator.use_or { "ANY" } else { "ALL" };
        let name = self.operator_name(operator.opno)?;
        self.push(&format!(" {name} {quantifier} ("));
        self.operand(&operator.array, expr, true)?;
        if let Expression::SubLink(link) = &operator.array
            && link.kind == SubLinkType::Expr
        {
            // A bare sub-select would be read as one whose rows are compared.
            let name = self.type_name(operator.array.result_type(), operator.array.typmod());
            self.push(&format!("::{name}"));
        }
        self.push(")");
        self.close(!self.layout.pretty);
        Ok(())
    }

    fn logic(&mut self, expr: &'a Expression, logic: &'a BoolExpr) -> Result<()> {
        self.open(!self.layout.pretty);
        let word = match logic.op {
            BoolOp::And => " AND ",
            BoolOp::Or => " OR ",
            BoolOp::Not => {
                self.push("NOT ");
                ""
            }
        };
        for (at, arg) in logic.args.iter().enumerate() {
            if at > 0 {
                self.push(word);
            }
            self.operand(arg, expr, false)?;
        }
        self.close(!self.layout.pretty);
        Ok(())
    }

    /// A value with a cast behind it, if the cast is shown.
    pub fn coercion(
        &mut self,
        expr: &'a Expression,
        arg: &'a Expression,
        target: Oid,
        typmod: i32,
        shown: bool,
    ) -> Result<()> {
        if !shown {
            return self.operand(arg, expr, false);
        }
        match arg {
            // What a length coercion does to a literal is shown as one cast, not as two.
            Expression::Const(constant) if constant.type_oid == target && constant.typmod == -1 => {
                self.constant(constant, Label::Never)?;
            }
            _ => {
                self.open(!self.layout.pretty);
                self.operand(arg, expr, false)?;
                self.close(!self.layout.pretty);
            }
        }
        let name = self.type_name(target, typmod);
        self.push(&format!("::{name}"));
        Ok(())
    }

    fn case(&mut self, case: &'a CaseExpr) -> Result<()> {
        let space = if self.layout.indented { "" } else { " " };
        self.keyword("CASE", 0, INDENT_ITEM, 0);
        if let Some(arg) = &case.arg {
            self.push(" ");
            self.expression(arg, true)?;
        }
        for when in &case.whens {
            // With an argument only the compared value was written.
            let condition = match (&case.arg, &when.condition) {
                (Some(_), Expression::OpExpr(operator)) if operator.args.len() == 2 => &operator.args[1],
                (_, condition) => condition,
            };
            self.push(space);
            self.keyword("WHEN ", 0, 0, 0);
            self.expression(condition, false)?;
            self.push(" THEN ");
            self.expression(&when.result, true)?;
        }
        self.push(space);
        self.keyword("ELSE ", 0, 0, 0);
        self.expression(&case.default, true)?;
        self.push(space);
        self.keyword("END", -INDENT_ITEM, 0, 0);
        Ok(())
    }

    fn subscript(&mut self, subscript: &'a SubscriptingRef, show_implicit: bool) -> Result<()> {
        let container = &subscript.container;
        let needed = !matches!(container, Expression::Var(_) | Expression::FieldSelect(_));
        self.open(needed);
        self.expression(container, show_implicit)?;
        self.close(needed);
        for (at, upper) in subscript.upper.iter().enumerate() {
            self.push("[");
            if let Some(lower) = subscript.lower.get(at) {
                if let Some(lower) = lower {
                    self.expression(lower, false)?;
                }
                self.push(":");
            }
            if let Some(upper) = upper {
                self.expression(upper, false)?;
            }
            self.push("]");
        }
        Ok(())
    }

    fn field(&mut self, select: &'a FieldSelect) -> Result<()> {
        let needed = !matches!(select.arg, Expression::SubscriptingRef(_) | Expression::FieldSelect(_));
        self.open(needed);
        self.expression(&select.arg, true)?;
        self.close(needed);
        let composite = select.arg.result_type();
        let named =
            if composite == oid::RECORD { None } else { self.catalog.type_entry(composite)?.relation };
        let relation = match named {
            Some(relation) => self.catalog.relation_by_oid(relation)?,
            None => None,
        };
        let at = select.field as usize - 1;
        let name = match &relation {
            Some(entry) => entry.relation.tuple_desc.get(at).map(|attribute| attribute.name.to_string()),
            None => None,
        };
        let name = name.unwrap_or_else(|| format!("f{}", select.field));
        self.push(&format!(".{}", quote_identifier(&name)));
        Ok(())
    }

    /// A row is null if all its fields are; printed plainly only where that is meant.
    fn null_test(&self, test: &NullTest) -> Result<&'static str> {
        let is_row = match test.arg.result_type() {
            oid::RECORD => true,
            other => self.catalog.type_entry(other)?.kind == TypeKind::Composite,
        };
        Ok(match (test.is_null, is_row && !test.arg_is_row) {
            (true, false) => " IS NULL",
            (false, false) => " IS NOT NULL",
            (true, true) => " IS NOT DISTINCT FROM NULL",
            (false, true) => " IS DISTINCT FROM NULL",
        })
    }

    /// A column by its name; answers the bare name, if it is one column. `top_level` is for a whole row that is
    /// the item of a list.
    pub fn variable(&mut self, var: &'a Var, levels_up: u32, top_level: bool) -> Result<Option<String>> {
        let level = self.namespaces.len().checked_sub(1 + (var.varlevelsup + levels_up) as usize);
        let at = (var.varno as usize).wrapping_sub(1);
        let Some((level, rte)) =
            level.and_then(|level| Some((level, self.namespaces[level].query.rtable.get(at)?)))
        else {
            return Err(Error::internal(format!("bogus varno: {}", var.varno)));
        };
        if let RteKind::Join(join) = &rte.kind
            && rte.alias.is_none()
            && let Some(Expression::Var(below)) = join.alias_vars.get((var.varattno as usize).wrapping_sub(1))
        {
            return self.variable(below, var.varlevelsup + levels_up, top_level);
        }
        let names = &self.namespaces[level].entries[at];
        let column = match var.varattno {
            0 => None,
            number @ 1.. => Some(match names.columns.get(number as usize - 1) {
                Some(Some(name)) => name.clone(),
                Some(None) => "?dropped?column?".to_owned(),
                None => return Err(Error::internal(format!("bogus varattno: {number}"))),
            }),
            number => {
                Some(SYSTEM_COLUMNS.get(-i32::from(number) as usize - 1).copied().unwrap_or("?").to_owned())
            }
        };
        let prefix = match &names.name {
            Some(name) if self.scope.prefixed || column.is_none() => Some(name.clone()),
            Some(name) if self.clashes_with_output(column.as_deref(), var) => Some(name.clone()),
            _ => None,
        };
        if let Some(prefix) = prefix {
            self.push(&format!("{}.", quote_identifier(&prefix)));
        }
        match &column {
            Some(column) => self.push(&quote_identifier(column)),
            None => {
                self.push("*");
                if top_level {
                    let name = self.type_name(var.vartype, var.vartypmod);
                    self.push(&format!("::{name}"));
                }
            }
        }
        Ok(column)
    }

    /// True if the name, in ORDER BY, would be read as that of another column of the result.
    fn clashes_with_output(&self, column: Option<&str>, var: &Var) -> bool {
        if !self.scope.in_order_by || self.scope.in_group_by {
            return false;
        }
        let targets = self.scope.target_list.iter().filter(|target| !target.resjunk);
        targets.enumerate().any(|(at, target)| {
            let given = self.scope.result_names.as_ref().and_then(|names| names.get(at));
            let name = given.map(String::as_str).or(target.resname.as_deref());
            name.is_some()
                && name == column
                && !matches!(&target.expr, Expression::Var(other) if other == var)
        })
    }

    /// A literal, labelled with its type unless it is read as one of that type anyway.
    pub fn constant(&mut self, constant: &Const, label: Label) -> Result<()> {
        if constant.value.is_null() {
            self.push("NULL");
            if label != Label::Never {
                let name = self.type_name(constant.type_oid, constant.typmod);
                self.push(&format!("::{name}"));
            }
            return Ok(());
        }
        let text = constant_text(self.catalog, self.io, constant.type_oid, &constant.value)?;
        let starts_with_digit = text.starts_with(|c: char| c.is_ascii_digit());
        let (shown, needed) = match constant.type_oid {
            oid::BOOL => ((if text == "t" { "true" } else { "false" }).to_owned(), false),
            oid::UNKNOWN => (quote_literal(&text), false),
            // A sign would be read as an operator.
            oid::INT4 if !text.starts_with('-') => (text, false),
            oid::NUMERIC if starts_with_digit && text.contains(['e', 'E', '.']) => {
                (text, constant.typmod >= 0)
            }
            _ => (quote_literal(&text), true),
        };
        self.push(&shown);
        if label == Label::Always || needed && label == Label::IfNeeded {
            let name = self.type_name(constant.type_oid, constant.typmod);
            self.push(&format!("::{name}"));
        }
        if label != Label::Never
            && constant.collation.is_valid()
            && self.catalog.type_collation(constant.type_oid)? != constant.collation
        {
            let name = self.catalog.collation_name(constant.collation)?.unwrap_or_default();
            self.push(&format!(" COLLATE {}", quote_identifier(&name)));
        }
        Ok(())
    }

    fn sub_link(&mut self, link: &'a SubLink) -> Result<()> {
        self.push(if link.kind == SubLinkType::Array { "ARRAY(" } else { "(" });
        let mut operator = String::new();
        match &link.testexpr {
            Some(Expression::BoolExpr(logic)) => {
                self.push("(");
                for (at, arg) in logic.args.iter().enumerate() {
                    if let Expression::OpExpr(test) = arg {
                        if at > 0 {
                            self.push(", ");
                        }
                        self.expression(&test.args[0], true)?;
                        operator = self.operator_name(test.opno)?;
                    }
                }
                self.push(")");
            }
            Some(Expression::OpExpr(test)) => {
                self.expression(&test.args[0], true)?;
                operator = self.operator_name(test.opno)?;
            }
            Some(Expression::RowCompareExpr(row)) => {
                self.push("(");
                self.list(&row.left, true)?;
                self.push(")");
                operator = self.operator_name(row.opnos.first().copied().unwrap_or_default())?;
            }
            _ => {}
        }
        let in_parentheses = match link.kind {
            SubLinkType::Exists => {
                self.push("EXISTS ");
                true
            }
            SubLinkType::Any if operator == "=" => {
                self.push(" IN ");
                true
            }
            SubLinkType::Any | SubLinkType::All => {
                let word = if link.kind == SubLinkType::Any { "ANY" } else { "ALL" };
                self.push(&format!(" {operator} {word} "));
                true
            }
            SubLinkType::RowCompare => {
                self.push(&format!(" {operator} "));
                true
            }
            _ => false,
        };
        self.open(in_parentheses);
        self.query(&link.subselect, None, false, self.indent)?;
        self.close(in_parentheses);
        self.push(")");
        Ok(())
    }
}

/// When a literal shows its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Label {
    Never,
    IfNeeded,
    Always,
}

fn value_function(function: &SqlValueFunction) -> String {
    use SqlValueFunctionOp::*;
    let name = match function.op {
        CurrentDate => "CURRENT_DATE",
        CurrentTime | CurrentTimeN => "CURRENT_TIME",
        CurrentTimestamp | CurrentTimestampN => "CURRENT_TIMESTAMP",
        LocalTime | LocalTimeN => "LOCALTIME",
        LocalTimestamp | LocalTimestampN => "LOCALTIMESTAMP",
        CurrentRole => "CURRENT_ROLE",
        CurrentUser => "CURRENT_USER",
        User => "USER",
        SessionUser => "SESSION_USER",
        CurrentCatalog => "CURRENT_CATALOG",
        CurrentSchema => "CURRENT_SCHEMA",
    };
    if function.typmod < 0 { name.to_owned() } else { format!("{name}({})", function.typmod) }
}
