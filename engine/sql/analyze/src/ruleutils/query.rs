//! Queries: `get_query_def` and the printers of their clauses.

use kokkiri_parse::quote_identifier;
use kokkiri_primitives::{Error, Result, stack};

use super::expression::Label;
use super::{INDENT, INDENT_ITEM, Printer, Scope, looks_like_call};
use crate::tree::*;

impl<'a> Printer<'a> {
    /// Prints a query. `result` names its columns if they are not called as in the target list;
    /// `names_visible` says whether anybody refers to them.
    pub fn query(
        &mut self,
        query: &'a Query,
        result: Option<Vec<String>>,
        names_visible: bool,
        indent: i32,
    ) -> Result<()> {
        stack::check_depth()?;
        let scope = Scope {
            prefixed: !self.namespaces.is_empty() || query.rtable.len() != 1,
            result_names: result,
            names_visible,
            in_group_by: false,
            in_order_by: false,
            target_list: &query.target_list,
            windows: &query.window_clause,
        };
        let namespace = self.namespace(query)?;
        self.namespaces.push(namespace);
        let saved = (std::mem::replace(&mut self.scope, scope), std::mem::replace(&mut self.indent, indent));
        let printed = match query.command_type {
            CommandType::Select => self.select(query),
            _ => Err(Error::not_supported("printing this kind of statement")),
        };
        (self.scope, self.indent) = saved;
        self.namespaces.pop();
        printed
    }

    fn select(&mut self, query: &'a Query) -> Result<()> {
        self.with_clause(query)?;
        let by_number = match query.set_operations.as_deref() {
            Some(tree) => {
                self.set_operation(tree, query)?;
                true
            }
            None => {
                self.plain_select(query)?;
                false
            }
        };
        if !query.sort_clause.is_empty() {
            self.keyword(" ORDER BY ", -INDENT, INDENT, 1);
            self.order_by(&query.sort_clause, &query.target_list, by_number)?;
        }
        if let Some(offset) = &query.limit_offset {
            self.keyword(" OFFSET ", -INDENT, INDENT, 0);
            self.expression(offset, false)?;
        }
        match &query.limit_count {
            None => {}
            Some(count) if query.limit_option == LimitOption::WithTies => {
                self.keyword(" FETCH FIRST ", -INDENT, INDENT, 0);
                self.push("(");
                self.expression(count, false)?;
                self.push(") ROWS WITH TIES");
            }
            Some(count) => {
                self.keyword(" LIMIT ", -INDENT, INDENT, 0);
                match count {
                    Expression::Const(constant) if constant.value.is_null() => self.push("ALL"),
                    _ => self.expression(count, false)?,
                }
            }
        }
        if query.has_for_update {
            self.row_marks(query);
        }
        Ok(())
    }

    fn row_marks(&mut self, query: &Query) {
        for mark in query.row_marks.iter().filter(|mark| !mark.pushed_down) {
            let words = match mark.strength {
                LockStrength::ForKeyShare => " FOR KEY SHARE",
                LockStrength::ForShare => " FOR SHARE",
                LockStrength::ForNoKeyUpdate => " FOR NO KEY UPDATE",
                LockStrength::ForUpdate => " FOR UPDATE",
            };
            self.keyword(words, -INDENT, INDENT, 0);
            let name = self.entry_name(mark.rti);
            self.push(&format!(" OF {}", quote_identifier(&name)));
            match mark.wait {
                LockWait::Block => {}
                LockWait::Skip => self.push(" SKIP LOCKED"),
                LockWait::Error => self.push(" NOWAIT"),
            }
        }
    }

    fn entry_name(&self, index: u32) -> String {
        let names = self.namespaces.last().and_then(|namespace| namespace.entries.get(index as usize - 1));
        names.and_then(|names| names.name.clone()).unwrap_or_default()
    }

    fn with_clause(&mut self, query: &'a Query) -> Result<()> {
        if query.cte_list.is_empty() {
            return Ok(());
        }
        if self.layout.indented {
            self.indent += INDENT;
            self.push(" ");
        }
        for (at, cte) in query.cte_list.iter().enumerate() {
            self.push(match at {
                0 if query.has_recursive => "WITH RECURSIVE ",
                0 => "WITH ",
                _ => ", ",
            });
            self.push(&quote_identifier(&cte.name));
            let own_names = cte.query.result_columns().map(|target| target.resname.as_deref());
            // Names that the query gives by itself need not be written.
            if !own_names.eq(cte.column_names.iter().map(|name| Some(name.as_str()))) {
                let names: Vec<_> = cte.column_names.iter().map(|name| quote_identifier(name)).collect();
                self.push(&format!("({})", names.join(", ")));
            }
            self.push(match cte.materialized {
                CteMaterialize::Default => " AS (",
                CteMaterialize::Always => " AS MATERIALIZED (",
                CteMaterialize::Never => " AS NOT MATERIALIZED (",
            });
            if self.layout.indented {
                self.keyword("", 0, 0, 0);
            }
            self.query(&cte.query, None, true, self.indent)?;
            if self.layout.indented {
                self.keyword("", 0, 0, 0);
            }
            self.push(")");
        }
        if self.layout.indented {
            self.indent -= INDENT;
            self.keyword("", 0, 0, 0);
        } else {
            self.push(" ");
        }
        Ok(())
    }

    fn plain_select(&mut self, query: &'a Query) -> Result<()> {
        if self.layout.indented {
            self.indent += INDENT;
            self.push(" ");
        }
        if let Some(lists) = self.plain_values(query) {
            return self.values(lists);
        }
        self.push("SELECT");
        if query.has_distinct_on {
            self.push(" DISTINCT ON (");
            for (at, clause) in query.distinct_clause.iter().enumerate() {
                if at > 0 {
                    self.push(", ");
                }
                self.sort_group_item(clause.tle_sort_group_ref, &query.target_list, false)?;
            }
            self.push(")");
        } else if !query.distinct_clause.is_empty() {
            self.push(" DISTINCT");
        }
        self.target_list(&query.target_list)?;
        self.write_from_clause(query)?;
        if let Some(quals) = &query.jointree.quals {
            self.keyword(" WHERE ", -INDENT, INDENT, 1);
            self.expression(quals, false)?;
        }
        self.group_by(query)?;
        if let Some(having) = &query.having_qual {
            self.keyword(" HAVING ", -INDENT, INDENT, 0);
            self.expression(having, false)?;
        }
        self.window_clause(query)
    }

    fn group_by(&mut self, query: &'a Query) -> Result<()> {
        if query.group_clause.is_empty() && query.grouping_sets.is_empty() {
            return Ok(());
        }
        self.keyword(" GROUP BY ", -INDENT, INDENT, 1);
        if query.group_distinct {
            self.push("DISTINCT ");
        }
        let saved = std::mem::replace(&mut self.scope.in_group_by, true);
        if query.grouping_sets.is_empty() {
            for (at, clause) in query.group_clause.iter().enumerate() {
                if at > 0 {
                    self.push(", ");
                }
                self.sort_group_item(clause.tle_sort_group_ref, &query.target_list, false)?;
            }
        } else {
            for (at, set) in query.grouping_sets.iter().enumerate() {
                if at > 0 {
                    self.push(", ");
                }
                self.grouping_set(set, &query.target_list, true)?;
            }
        }
        self.scope.in_group_by = saved;
        Ok(())
    }

    fn grouping_set(
        &mut self,
        set: &GroupingSet,
        targets: &'a [TargetEntry],
        omit_parentheses: bool,
    ) -> Result<()> {
        let (word, sets, omit) = match set {
            GroupingSet::Empty => {
                self.push("()");
                return Ok(());
            }
            GroupingSet::Simple(references) => {
                let needed = !omit_parentheses || references.len() != 1;
                self.open(needed);
                for (at, reference) in references.iter().enumerate() {
                    if at > 0 {
                        self.push(", ");
                    }
                    self.sort_group_item(*reference, targets, false)?;
                }
                self.close(needed);
                return Ok(());
            }
            GroupingSet::Rollup(sets) => ("ROLLUP(", sets, true),
            GroupingSet::Cube(sets) => ("CUBE(", sets, true),
            GroupingSet::Sets(sets) => ("GROUPING SETS (", sets, false),
        };
        self.push(word);
        for (at, inner) in sets.iter().enumerate() {
            if at > 0 {
                self.push(", ");
            }
            self.grouping_set(inner, targets, omit)?;
        }
        self.push(")");
        Ok(())
    }

    fn window_clause(&mut self, query: &'a Query) -> Result<()> {
        let mut first = true;
        for window in &query.window_clause {
            // Those without a name stand in their OVER.
            let Some(name) = &window.name else { continue };
            if first {
                self.keyword(" WINDOW ", -INDENT, INDENT, 1);
            } else {
                self.push(", ");
            }
            first = false;
            self.push(&format!("{} AS ", quote_identifier(name)));
            self.window(window)?;
        }
        Ok(())
    }

    /// `get_rule_windowspec`.
    pub fn window(&mut self, window: &'a WindowClause) -> Result<()> {
        self.push("(");
        let mut space = "";
        if let Some(refname) = &window.refname {
            self.push(&quote_identifier(refname));
            space = " ";
        }
        let targets = self.scope.target_list;
        // What is taken over from the window referred to is not written again.
        if !window.partition_clause.is_empty() && window.refname.is_none() {
            self.push(&format!("{space}PARTITION BY "));
            for (at, clause) in window.partition_clause.iter().enumerate() {
                if at > 0 {
                    self.push(", ");
                }
                self.sort_group_item(clause.tle_sort_group_ref, targets, false)?;
            }
            space = " ";
        }
        if !window.order_clause.is_empty() && !window.copied_order {
            self.push(&format!("{space}ORDER BY "));
            self.order_by(&window.order_clause, targets, false)?;
            space = " ";
        }
        if window.frame.explicit {
            self.push(space);
            self.frame(&window.frame)?;
        }
        self.push(")");
        Ok(())
    }

    fn frame(&mut self, frame: &'a WindowFrame) -> Result<()> {
        self.push(match frame.mode {
            FrameMode::Range => "RANGE ",
            FrameMode::Rows => "ROWS ",
            FrameMode::Groups => "GROUPS ",
        });
        if frame.between {
            self.push("BETWEEN ");
        }
        self.frame_bound(&frame.start)?;
        if frame.between {
            self.push(" AND ");
            self.frame_bound(&frame.end)?;
        }
        self.push(match frame.exclusion {
            FrameExclusion::NoOthers => "",
            FrameExclusion::CurrentRow => " EXCLUDE CURRENT ROW",
            FrameExclusion::Group => " EXCLUDE GROUP",
            FrameExclusion::Ties => " EXCLUDE TIES",
        });
        Ok(())
    }

    fn frame_bound(&mut self, bound: &'a FrameBound) -> Result<()> {
        match bound {
            FrameBound::UnboundedPreceding => self.push("UNBOUNDED PRECEDING"),
            FrameBound::CurrentRow => self.push("CURRENT ROW"),
            FrameBound::UnboundedFollowing => self.push("UNBOUNDED FOLLOWING"),
            FrameBound::Preceding(offset) => {
                self.expression(offset, false)?;
                self.push(" PRECEDING");
            }
            FrameBound::Following(offset) => {
                self.expression(offset, false)?;
                self.push(" FOLLOWING");
            }
        }
        Ok(())
    }

    /// The lists of a query that is nothing but VALUES.
    fn plain_values(&self, query: &'a Query) -> Option<&'a [Vec<Expression>]> {
        let [rte] = query.rtable.as_slice() else { return None };
        let RteKind::Values { lists, .. } = &rte.kind else { return None };
        if query.target_list.len() != rte.eref.columns.len() {
            return None;
        }
        for (at, (target, column)) in query.target_list.iter().zip(&rte.eref.columns).enumerate() {
            let given = self.scope.result_names.as_ref().and_then(|names| names.get(at));
            let name = given.map(String::as_str).or(target.resname.as_deref());
            if target.resjunk || name != Some(column) {
                return None;
            }
        }
        Some(lists)
    }

    fn values(&mut self, lists: &'a [Vec<Expression>]) -> Result<()> {
        self.push("VALUES ");
        for (at, list) in lists.iter().enumerate() {
            self.push(if at > 0 { ", (" } else { "(" });
            for (at, value) in list.iter().enumerate() {
                if at > 0 {
                    self.push(",");
                }
                self.top_level(value, false)?;
            }
            self.push(")");
        }
        Ok(())
    }

    fn set_operation(&mut self, tree: &'a SetOperationTree, query: &'a Query) -> Result<()> {
        stack::check_depth()?;
        let operation = match tree {
            SetOperationTree::RangeTblRef(index) => {
                let RteKind::Subquery { query: leaf, .. } = &query.rte(*index).kind else {
                    return Err(Error::internal("a set operation's leaf is no subquery"));
                };
                let needed = !leaf.cte_list.is_empty()
                    || !leaf.sort_clause.is_empty()
                    || !leaf.row_marks.is_empty()
                    || leaf.limit_offset.is_some()
                    || leaf.limit_count.is_some()
                    || leaf.set_operations.is_some();
                self.open(needed);
                let (names, visible) = (self.scope.result_names.clone(), self.scope.names_visible);
                self.query(leaf, names, visible, self.indent)?;
                self.close(needed);
                return Ok(());
            }
            SetOperationTree::Operation(operation) => operation,
        };
        // The same operation on the left needs no parentheses.
        let needed = match &operation.left {
            SetOperationTree::Operation(left) => (left.op, left.all) != (operation.op, operation.all),
            SetOperationTree::RangeTblRef(_) => false,
        };
        let indent = if needed { INDENT } else { 0 };
        if needed {
            self.push("(");
            self.keyword("", indent, 0, 0);
        }
        self.set_operation(&operation.left, query)?;
        if needed {
            self.keyword(") ", -indent, 0, 0);
        } else if self.layout.indented {
            self.keyword("", -indent, 0, 0);
        } else {
            self.push(" ");
        }
        self.push(match operation.op {
            SetOp::Union => "UNION ",
            SetOp::Intersect => "INTERSECT ",
            SetOp::Except => "EXCEPT ",
        });
        if operation.all {
            self.push("ALL ");
        }
        let needed = matches!(operation.right, SetOperationTree::Operation(_));
        let indent = if needed { INDENT } else { 0 };
        self.open(needed);
        self.keyword("", indent, 0, 0);
        // The result's names are the left side's.
        let visible = std::mem::replace(&mut self.scope.names_visible, false);
        self.set_operation(&operation.right, query)?;
        self.scope.names_visible = visible;
        if self.layout.indented {
            self.indent -= indent;
        }
        if needed {
            self.keyword(")", 0, 0, 0);
        }
        Ok(())
    }

    fn target_list(&mut self, targets: &'a [TargetEntry]) -> Result<()> {
        let mut last_was_multiline = false;
        for (at, target) in targets.iter().filter(|target| !target.resjunk).enumerate() {
            self.push(if at == 0 { " " } else { ", " });
            let mut own_name = None;
            let mut item = self.apart(|printer| {
                own_name = match &target.expr {
                    Expression::Var(var) => printer.variable(var, 0, true)?,
                    expr => {
                        printer.expression(expr, true)?;
                        // Where nobody looks at the name it needs none.
                        (!printer.scope.names_visible).then(|| "?column?".to_owned())
                    }
                };
                Ok(())
            })?;
            let given = self.scope.result_names.as_ref().and_then(|names| names.get(at));
            if let Some(name) = given.or(target.resname.as_ref())
                && own_name.as_ref() != Some(name)
            {
                item += &format!(" AS {}", quote_identifier(name));
            }
            let mut lines = item.as_str();
            if self.layout.indented && self.layout.wrap >= 0 {
                if let Some(rest) = item.strip_prefix('\n') {
                    self.remove_trailing_spaces();
                    lines = rest;
                } else if at > 0
                    && (self.line_length() + item.len() > self.layout.wrap as usize || last_was_multiline)
                {
                    self.keyword("", -INDENT, INDENT, INDENT_ITEM);
                }
                last_was_multiline = lines.contains('\n');
            }
            self.push(&item);
        }
        Ok(())
    }

    fn write_from_clause(&mut self, query: &'a Query) -> Result<()> {
        let mut first = true;
        for node in &query.jointree.from_list {
            if let JoinTreeNode::RangeTblRef(index) = node
                && !query.rte(*index).in_from_cl
            {
                continue;
            }
            if first {
                self.keyword(" FROM ", -INDENT, INDENT, 2);
                self.write_from_item(node, query)?;
                first = false;
                continue;
            }
            self.push(", ");
            let item = self.apart(|printer| printer.write_from_item(node, query))?;
            if self.layout.indented && self.layout.wrap >= 0 {
                if item.starts_with('\n') {
                    self.remove_trailing_spaces();
                } else if self.line_length() + item.len() > self.layout.wrap as usize {
                    self.keyword("", -INDENT, INDENT, INDENT_ITEM);
                }
            }
            self.push(&item);
        }
        Ok(())
    }

    fn write_from_item(&mut self, node: &'a JoinTreeNode, query: &'a Query) -> Result<()> {
        stack::check_depth()?;
        match node {
            JoinTreeNode::RangeTblRef(index) => self.write_from_entry(*index, query),
            JoinTreeNode::JoinExpr(join) => self.join(join, query),
            JoinTreeNode::FromExpr(_) => Err(Error::internal("a FROM list within FROM")),
        }
    }

    fn write_from_entry(&mut self, index: u32, query: &'a Query) -> Result<()> {
        let rte = query.rte(index);
        if rte.lateral {
            self.push("LATERAL ");
        }
        let mut definitions: &[(String, ColumnInfo)] = &[];
        match &rte.kind {
            RteKind::Relation { relid, inh, .. } => {
                let name = self.relation_name(*relid)?;
                // ONLY is meant for tables that may have children.
                self.push(&format!("{}{name}", if *inh { "" } else { "ONLY " }));
            }
            RteKind::Subquery { query, .. } => {
                self.push("(");
                self.query(query, None, true, self.indent)?;
                self.push(")");
            }
            RteKind::Function { functions, ordinality } => {
                match functions.as_slice() {
                    [only] if only.columns.is_empty() || !ordinality => {
                        definitions = &only.columns;
                        self.function_in_from(&only.expr)?;
                    }
                    _ => {
                        self.push("ROWS FROM(");
                        for (at, function) in functions.iter().enumerate() {
                            if at > 0 {
                                self.push(", ");
                            }
                            self.function_in_from(&function.expr)?;
                            if !function.columns.is_empty() {
                                self.push(" AS ");
                                self.column_definitions(&function.columns);
                            }
                        }
                        self.push(")");
                    }
                }
                if *ordinality {
                    self.push(" WITH ORDINALITY");
                }
            }
            RteKind::Values { lists, .. } => {
                self.push("(");
                self.values(lists)?;
                self.push(")");
            }
            RteKind::Cte { name, .. } => self.push(&quote_identifier(name)),
            RteKind::Join(_) | RteKind::Result => {
                return Err(Error::internal("an entry that no FROM can have"));
            }
        }
        self.alias(index, rte, false)?;
        if definitions.is_empty() {
            self.column_aliases(index);
        } else {
            self.column_definitions(definitions);
        }
        if let RteKind::Relation { tablesample: Some(sample), .. } = &rte.kind {
            self.table_sample(sample)?;
        }
        Ok(())
    }

    /// A function of FROM; what does not look like a call there is written as a cast.
    fn function_in_from(&mut self, expr: &'a Expression) -> Result<()> {
        if looks_like_call(expr) {
            return self.expression(expr, true);
        }
        self.push("CAST(");
        self.expression(expr, false)?;
        let name = self.type_name(expr.result_type(), expr.typmod());
        self.push(&format!(" AS {name})"));
        Ok(())
    }

    fn join(&mut self, join: &'a JoinExpr, query: &'a Query) -> Result<()> {
        let pretty = self.layout.pretty;
        let around = !pretty || join.alias.is_some();
        let around_right = match &join.right {
            JoinTreeNode::RangeTblRef(_) => false,
            JoinTreeNode::JoinExpr(right) => pretty && right.alias.is_none(),
            JoinTreeNode::FromExpr(_) => pretty,
        };
        self.open(around);
        self.write_from_item(&join.left, query)?;
        let words = match join.join_type {
            JoinType::Inner if join.quals.is_none() && join.using.is_empty() => " CROSS JOIN ",
            JoinType::Inner => " JOIN ",
            JoinType::Left => " LEFT JOIN ",
            JoinType::Full => " FULL JOIN ",
            JoinType::Right => " RIGHT JOIN ",
        };
        self.keyword(words, -INDENT, INDENT, INDENT_ITEM);
        self.open(around_right);
        self.write_from_item(&join.right, query)?;
        self.close(around_right);
        let own = join.rtindex as usize - 1;
        if !join.using.is_empty() {
            let names = self.namespaces.last().map(|namespace| namespace.entries[own].using.clone());
            let names = names.unwrap_or_default();
            let names: Vec<_> = names.iter().map(|name| quote_identifier(name).into_owned()).collect();
            self.push(&format!(" USING ({})", names.join(", ")));
            if let RteKind::Join(rte) = &query.rtable[own].kind
                && let Some(alias) = &rte.using_alias
            {
                self.push(&format!(" AS {}", quote_identifier(&alias.name)));
            }
        } else if let Some(quals) = &join.quals {
            self.push(" ON ");
            self.open(!pretty);
            self.expression(quals, false)?;
            self.close(!pretty);
        } else if join.join_type != JoinType::Inner {
            self.push(" ON TRUE");
        }
        self.close(around);
        if join.alias.is_some() {
            self.alias(join.rtindex, query.rte(join.rtindex), true)?;
            self.column_aliases(join.rtindex);
        }
        Ok(())
    }

    /// An entry's name behind it, unless it goes by that name anyway: `get_rte_alias`.
    fn alias(&mut self, index: u32, rte: &RangeTblEntry, with_as: bool) -> Result<()> {
        let name = self.entry_name(index);
        let lists_columns =
            self.namespaces.last().is_some_and(|n| n.entries[index as usize - 1].lists_columns);
        let needed = rte.alias.is_some()
            || lists_columns
            || match &rte.kind {
                RteKind::Relation { relid, .. } => {
                    self.catalog.relation_by_oid(*relid)?.is_none_or(|entry| *entry.name != *name)
                }
                RteKind::Cte { name: cte, .. } => *cte != name,
                _ => true,
            };
        if needed {
            self.push(&format!("{}{}", if with_as { " AS " } else { " " }, quote_identifier(&name)));
        }
        Ok(())
    }

    fn column_aliases(&mut self, index: u32) {
        let Some(namespace) = self.namespaces.last() else { return };
        let entry = &namespace.entries[index as usize - 1];
        if entry.lists_columns {
            let names: Vec<_> =
                entry.columns.iter().flatten().map(|name| quote_identifier(name).into_owned()).collect();
            if !names.is_empty() {
                self.push(&format!("({})", names.join(", ")));
            }
        }
    }

    /// The columns of a function that returns any record.
    fn column_definitions(&mut self, columns: &[(String, ColumnInfo)]) {
        self.push("(");
        for (at, (name, column)) in columns.iter().enumerate() {
            if at > 0 {
                self.push(", ");
            }
            let type_name = self.type_name(column.type_oid, column.typmod);
            self.push(&format!("{} {type_name}", quote_identifier(name)));
        }
        self.push(")");
    }

    fn table_sample(&mut self, sample: &'a TableSampleClause) -> Result<()> {
        let name = self.function_name(sample.method)?;
        self.push(&format!(" TABLESAMPLE {name} ("));
        self.list(&sample.args, false)?;
        self.push(")");
        if let Some(seed) = &sample.repeatable {
            self.push(" REPEATABLE (");
            self.expression(seed, false)?;
            self.push(")");
        }
        Ok(())
    }

    pub fn order_by(
        &mut self,
        clauses: &'a [SortGroupClause],
        targets: &'a [TargetEntry],
        by_number: bool,
    ) -> Result<()> {
        for (at, clause) in clauses.iter().enumerate() {
            if at > 0 {
                self.push(", ");
            }
            let type_oid = self.sort_group_item(clause.tle_sort_group_ref, targets, by_number)?;
            let operators = self.catalog.sort_operators(type_oid)?;
            if operators.less == Some(clause.sortop) {
                self.push(if clause.nulls_first { " NULLS FIRST" } else { "" });
            } else if operators.greater == Some(clause.sortop) {
                self.push(if clause.nulls_first { " DESC" } else { " DESC NULLS LAST" });
            } else {
                let name = self.operator_name(clause.sortop)?;
                let nulls = if clause.nulls_first { "FIRST" } else { "LAST" };
                self.push(&format!(" USING {name} NULLS {nulls}"));
            }
        }
        Ok(())
    }

    /// An item of ORDER BY, GROUP BY or DISTINCT ON; answers its type.
    fn sort_group_item(
        &mut self,
        reference: u32,
        targets: &'a [TargetEntry],
        by_number: bool,
    ) -> Result<kokkiri_primitives::Oid> {
        let Some(target) = sort_group_target(reference, targets) else {
            return Err(Error::internal("ORDER/GROUP BY expression not found in targetlist"));
        };
        match &target.expr {
            _ if by_number => self.push(&target.resno.to_string()),
            // A bare number would be read as that of a column.
            Expression::Const(constant) => self.constant(constant, Label::Always)?,
            Expression::Var(var) => {
                let saved = std::mem::replace(&mut self.scope.in_order_by, true);
                self.variable(var, 0, false)?;
                self.scope.in_order_by = saved;
            }
            expr => {
                // What looks like a call might be read as a grouping set.
                let needed = self.layout.pretty
                    || matches!(
                        expr,
                        Expression::FuncExpr(_) | Expression::Aggref(_) | Expression::WindowFunc(_)
                    );
                self.open(needed);
                self.expression(expr, true)?;
                self.close(needed);
            }
        }
        Ok(target.expr.result_type())
    }
}
