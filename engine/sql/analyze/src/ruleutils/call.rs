//! Calls: functions, aggregates, window functions, SQL's special forms; and names that may need a schema.

use kokkiri_parse::quote_identifier;
use kokkiri_primitives::{Oid, Result};
use kokkiri_types::Value;

use super::Printer;
use crate::catalog::Catalog;
use crate::tree::*;

impl<'a> Printer<'a> {
    /// `get_func_expr`.
    pub fn function(&mut self, expr: &'a Expression, func: &'a FuncExpr, show_implicit: bool) -> Result<()> {
        if let (CoercionForm::ExplicitCast | CoercionForm::ImplicitCast, Some(arg)) =
            (func.form, func.args.first())
        {
            let shown = show_implicit || func.form == CoercionForm::ExplicitCast;
            let typmod = func.length_coercion_typmod().unwrap_or(-1);
            return self.coercion(expr, arg, func.result_type, typmod, shown);
        }
        if func.form == CoercionForm::SqlSyntax && self.sql_syntax(func)? {
            return Ok(());
        }
        let name = self.function_name(func.funcid)?;
        self.push(&format!("{name}("));
        for (at, arg) in func.args.iter().enumerate() {
            if at > 0 {
                self.push(", ");
            }
            if func.variadic && at + 1 == func.args.len() {
                self.push("VARIADIC ");
            }
            self.expression(arg, true)?;
        }
        self.push(")");
        Ok(())
    }

    /// The forms that SQL has for some functions; false for one that has none.
    fn sql_syntax(&mut self, func: &'a FuncExpr) -> Result<bool> {
        let function = self.catalog.function(func.funcid)?;
        let args = &func.args[..];
        match (&*function.name, args) {
            ("timezone", [zone, value]) => {
                self.push("(");
                self.operand_in_parentheses(value)?;
                self.push(" AT TIME ZONE ");
                self.operand_in_parentheses(zone)?;
                self.push(")");
            }
            ("timezone", [value]) => {
                self.push("(");
                self.operand_in_parentheses(value)?;
                self.push(" AT LOCAL)");
            }
            ("overlaps", [a, b, c, d]) => {
                self.push("((");
                self.expression(a, false)?;
                self.push(", ");
                self.expression(b, false)?;
                self.push(") OVERLAPS (");
                self.expression(c, false)?;
                self.push(", ");
                self.expression(d, false)?;
                self.push("))");
            }
            ("extract", [field, value]) => {
                let Some(field) = literal(field) else { return Ok(false) };
                self.push(&format!("EXTRACT({field} FROM "));
                self.expression(value, false)?;
                self.push(")");
            }
            ("normalize", [value, rest @ ..]) => {
                self.push("NORMALIZE(");
                self.expression(value, false)?;
                if let Some(form) = rest.first().and_then(literal) {
                    self.push(&format!(", {form}"));
                }
                self.push(")");
            }
            ("is_normalized", [value, rest @ ..]) => {
                self.push("(");
                self.operand_in_parentheses(value)?;
                self.push(" IS");
                if let Some(form) = rest.first().and_then(literal) {
                    self.push(&format!(" {form}"));
                }
                self.push(" NORMALIZED)");
            }
            ("overlay", [value, with, from, rest @ ..]) => {
                self.push("OVERLAY(");
                self.expression(value, false)?;
                self.push(" PLACING ");
                self.expression(with, false)?;
                self.push(" FROM ");
                self.expression(from, false)?;
                if let Some(count) = rest.first() {
                    self.push(" FOR ");
                    self.expression(count, false)?;
                }
                self.push(")");
            }
            ("position", [value, wanted]) => {
                self.push("POSITION(");
                self.operand_in_parentheses(wanted)?;
                self.push(" IN ");
                self.operand_in_parentheses(value)?;
                self.push(")");
            }
            ("substring", [value, from, rest @ ..]) => {
                // The regular expression form has FROM and FOR as well, with text behind them.
                self.push("SUBSTRING(");
                self.expression(value, false)?;
                self.push(" FROM ");
                self.expression(from, false)?;
                if let Some(count) = rest.first() {
                    self.push(" FOR ");
                    self.expression(count, false)?;
                }
                self.push(")");
            }
            ("btrim" | "ltrim" | "rtrim", [value, rest @ ..]) => {
                self.push(match &*function.name {
                    "btrim" => "TRIM(BOTH",
                    "ltrim" => "TRIM(LEADING",
                    _ => "TRIM(TRAILING",
                });
                if let Some(characters) = rest.first() {
                    self.push(" ");
                    self.expression(characters, false)?;
                }
                self.push(" FROM ");
                self.expression(value, false)?;
                self.push(")");
            }
            ("system_user", []) => self.push("SYSTEM_USER"),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// An operand that the grammar takes only without operators of its own.
    fn operand_in_parentheses(&mut self, expr: &'a Expression) -> Result<()> {
        self.push("(");
        self.expression(expr, false)?;
        self.push(")");
        Ok(())
    }

    /// `get_agg_expr`.
    pub fn aggregate(&mut self, agg: &'a Aggref) -> Result<()> {
        let name = self.function_name(agg.aggfnoid)?;
        self.push(&format!("{name}({}", if agg.aggdistinct.is_empty() { "" } else { "DISTINCT " }));
        if agg.aggkind == b'n' {
            if agg.aggstar {
                self.push("*");
            }
            let args: Vec<_> = agg.args.iter().filter(|target| !target.resjunk).collect();
            for (at, target) in args.iter().enumerate() {
                if at > 0 {
                    self.push(", ");
                }
                if agg.aggvariadic && at + 1 == args.len() {
                    self.push("VARIADIC ");
                }
                self.expression(&target.expr, true)?;
            }
            if !agg.aggorder.is_empty() {
                self.push(" ORDER BY ");
                self.order_by(&agg.aggorder, &agg.args, false)?;
            }
        } else {
            self.list(&agg.aggdirectargs, true)?;
            self.push(") WITHIN GROUP (ORDER BY ");
            self.order_by(&agg.aggorder, &agg.args, false)?;
        }
        if let Some(filter) = &agg.aggfilter {
            self.push(") FILTER (WHERE ");
            self.expression(filter, false)?;
        }
        self.push(")");
        Ok(())
    }

    /// `get_windowfunc_expr`.
    pub fn window_function(&mut self, func: &'a WindowFunc) -> Result<()> {
        let name = self.function_name(func.winfnoid)?;
        self.push(&format!("{name}("));
        if func.winstar {
            self.push("*");
        } else {
            self.list(&func.args, true)?;
        }
        if let Some(filter) = &func.aggfilter {
            self.push(") FILTER (WHERE ");
            self.expression(filter, false)?;
        }
        self.push(") OVER ");
        let windows = self.scope.windows;
        let Some(window) = windows.iter().find(|window| window.winref == func.winref) else {
            self.push("(?)");
            return Ok(());
        };
        match &window.name {
            Some(name) => self.push(&quote_identifier(name)),
            None => self.window(window)?,
        }
        Ok(())
    }

    /// A function's name, with its schema if the search path does not lead to it.
    pub fn function_name(&self, oid: Oid) -> Result<String> {
        let function = self.catalog.function(oid)?;
        let name = quote_identifier(&function.name);
        // In GROUP BY these two words would be grouping sets.
        let misread = self.scope.in_group_by && matches!(&*function.name, "cube" | "rollup");
        let named = self.catalog.functions(None, &function.name)?;
        let same = named.iter().find(|(_, other)| other.arguments == function.arguments);
        if !misread && same.is_some_and(|(_, found)| found.oid == oid) {
            return Ok(name.into_owned());
        }
        Ok(self.with_schema(function.namespace, &name))
    }

    /// An operator's name, written `OPERATOR(schema.name)` if the search path does not lead to it.
    pub fn operator_name(&self, oid: Oid) -> Result<String> {
        let operator = self.catalog.operator(oid)?;
        let named = self.catalog.operators(None, &operator.name)?;
        let same =
            named.iter().find(|(_, other)| (other.left, other.right) == (operator.left, operator.right));
        if same.is_some_and(|(_, found)| found.oid == oid) {
            return Ok(operator.name.to_string());
        }
        Ok(format!("OPERATOR({})", self.with_schema(operator.namespace, &operator.name)))
    }

    /// A relation's name, with its schema if the search path or a WITH item leads elsewhere.
    pub fn relation_name(&self, oid: Oid) -> Result<String> {
        let Some(entry) = self.catalog.relation_by_oid(oid)? else { return Ok(oid.to_string()) };
        let name = quote_identifier(&entry.name);
        let hidden = self.namespaces.iter().any(|namespace| namespace.ctes.contains(&&*entry.name));
        let visible = match self.catalog {
            Catalog::View(view) => view.relation_is_visible(oid, &entry.name)?,
            #[cfg(test)]
            Catalog::Facts(_) => true,
        };
        Ok(if visible && !hidden { name.into_owned() } else { self.with_schema(entry.namespace, &name) })
    }

    fn with_schema(&self, namespace: Oid, name: &str) -> String {
        match self.catalog.namespace_name(namespace) {
            Some(schema) => format!("{}.{name}", quote_identifier(&schema)),
            None => name.to_owned(),
        }
    }
}

/// The text of a literal that stands for a keyword.
fn literal(expr: &Expression) -> Option<String> {
    match expr {
        Expression::Const(Const { value: value @ Value::Bytes(_), .. }) => {
            Some(value.as_ref().text().into_owned())
        }
        _ => None,
    }
}
