//! WHERE, GROUP BY, ORDER BY, DISTINCT, LIMIT and WINDOW: parse_clause.c.

use kokkiri_parse::tree as raw;
use kokkiri_parse::{AtLocation, Location};
use kokkiri_primitives::{Oid, Result, error};
use kokkiri_types::builtin::oid;

use crate::coerce::Coercion;
use crate::scope::{Analyzer, Clause};
use crate::tree::*;

impl Analyzer<'_> {
    pub fn where_clause(&mut self, expr: &raw::Expr, clause: Clause, construct: &str) -> Result<Expression> {
        let expr = self.within(clause, |analyzer| analyzer.expression(expr))?;
        self.coerce_to_boolean(expr, construct)
    }

    /// LIMIT or OFFSET.
    pub fn limit_clause(
        &mut self,
        expr: Option<&raw::Expr>,
        clause: Clause,
        with_ties: bool,
    ) -> Result<Option<Expression>> {
        let Some(expr) = expr else { return Ok(None) };
        let construct = clause.name();
        let value = self.within(clause, |analyzer| analyzer.expression(expr))?;
        let value = self.coerce_to_specific(value, oid::INT8, construct)?;
        let own = |node: &Expression| matches!(node, Expression::Var(var) if var.varlevelsup == 0);
        if value.contains(own) {
            return Err(error!(
                INVALID_COLUMN_REFERENCE,
                "argument of {construct} must not contain variables"
            )
            .at_location(value.location()));
        }
        if with_ties && clause == Clause::Limit && value.is_null_const() {
            return Err(error!(
                INVALID_ROW_COUNT_IN_LIMIT_CLAUSE,
                "row count cannot be null in FETCH FIRST ... WITH TIES clause"
            ));
        }
        Ok(Some(value))
    }

    /// The entry of the target list that a GROUP BY, ORDER BY or DISTINCT ON item means, by SQL92's rules:
    /// a label, a number, or else an expression. Answers its index; adds a junk entry if there is none.
    pub fn find_target(
        &mut self,
        expr: &raw::Expr,
        targets: &mut Vec<TargetEntry>,
        clause: Clause,
        sql99: bool,
    ) -> Result<usize> {
        let construct = clause.name();
        if !sql99
            && let raw::Expr::ColumnRef(column) = expr
            && let [raw::Field::Name(name)] = column.fields.as_slice()
        {
            // In GROUP BY a column of the tables takes precedence over a label.
            let hidden = clause == Clause::Group && self.find_column_here(name)?;
            if !hidden {
                let mut found: Option<usize> = None;
                for (index, target) in targets.iter().enumerate() {
                    if target.resjunk || target.resname.as_deref() != Some(name) {
                        continue;
                    }
                    if found.is_some_and(|found| targets[found].expr != target.expr) {
                        return Err(error!(AMBIGUOUS_COLUMN, "{construct} \"{name}\" is ambiguous")
                            .at_location(column.location));
                    }
                    found = found.or(Some(index));
                }
                if let Some(found) = found {
                    return Ok(found);
                }
            }
        }
        if !sql99 && let raw::Expr::Const(constant) = expr {
            let raw::Literal::Integer(number) = &constant.value else {
                return Err(error!(SYNTAX_ERROR, "non-integer constant in {construct}")
                    .at_location(constant.location));
            };
            let mut visible = targets.iter().enumerate().filter(|(_, target)| !target.resjunk);
            let wanted = usize::try_from(*number).ok().and_then(|number| number.checked_sub(1));
            return match wanted.and_then(|wanted| visible.nth(wanted)) {
                Some((index, _)) => Ok(index),
                None => Err(error!(
                    INVALID_COLUMN_REFERENCE,
                    "{construct} position {number} is not in select list"
                )
                .at_location(constant.location)),
            };
        }
        let value = self.within(clause, |analyzer| analyzer.expression(expr))?;
        if let Some(index) = targets.iter().position(|target| target.expr == value) {
            return Ok(index);
        }
        targets.push(TargetEntry::new(value, targets.len() as i16 + 1, None, true));
        Ok(targets.len() - 1)
    }

    /// True if the innermost query has a column of that name.
    fn find_column_here(&mut self, name: &str) -> Result<bool> {
        let here = |item: &crate::scope::NamespaceItem| {
            item.columns_visible && item.names.columns.iter().any(|column| column == name)
        };
        Ok(self.scope().namespace.iter().any(here))
    }

    /// PostgreSQL's `assignSortGroupRef`.
    pub fn sort_group_ref(targets: &mut [TargetEntry], index: usize) -> u32 {
        if targets[index].ressortgroupref == 0 {
            let highest = targets.iter().map(|target| target.ressortgroupref).max().unwrap_or(0);
            targets[index].ressortgroupref = highest + 1;
        }
        targets[index].ressortgroupref
    }

    fn resolve_unknown_target(&mut self, targets: &mut [TargetEntry], index: usize) -> Result<()> {
        if targets[index].expr.result_type() == oid::UNKNOWN {
            self.resolve_unknowns(&mut targets[index..=index])?;
        }
        Ok(())
    }

    /// ORDER BY: PostgreSQL's `transformSortClause`.
    pub fn sort_clause(
        &mut self,
        sort: &[raw::SortBy],
        targets: &mut Vec<TargetEntry>,
        clause: Clause,
        sql99: bool,
    ) -> Result<Vec<SortGroupClause>> {
        let mut clauses = Vec::new();
        for item in sort {
            let index = self.find_target(&item.expr, targets, clause, sql99)?;
            self.add_to_sort_list(item, targets, index, &mut clauses)?;
        }
        Ok(clauses)
    }

    fn add_to_sort_list(
        &mut self,
        item: &raw::SortBy,
        targets: &mut [TargetEntry],
        index: usize,
        clauses: &mut Vec<SortGroupClause>,
    ) -> Result<()> {
        self.resolve_unknown_target(targets, index)?;
        let type_oid = targets[index].expr.result_type();
        let operators = self.catalog.sort_operators(type_oid)?;
        let location = item.expr.location();
        let (sortop, eqop, reverse) = match &item.direction {
            raw::SortDirection::Descending => (operators.greater, operators.equal, true),
            raw::SortDirection::Using(name) => {
                let operator = self.find_operator(name, Some(type_oid), type_oid, item.location)?;
                let members = self.catalog.btree_interpretations(operator.oid)?;
                let Some((_, strategy)) = members.iter().find(|(_, strategy)| matches!(strategy, 1 | 5))
                else {
                    let shown = name.join(".");
                    return Err(error!(
                        WRONG_OBJECT_TYPE,
                        "operator {shown} is not a valid ordering operator"
                    )
                    .hint("Ordering operators must be \"<\" or \">\" members of btree operator families.")
                    .at_location(item.location));
                };
                (Some(operator.oid), operators.equal, *strategy == 5)
            }
            _ => (operators.less, operators.equal, false),
        };
        let (Some(sortop), Some(eqop)) = (sortop, eqop) else {
            let name = self.catalog.type_name(type_oid);
            return Err(error!(
                UNDEFINED_FUNCTION,
                "could not identify an ordering operator for type {name}"
            )
            .hint("Use an explicit ordering operator or modify the query.")
            .at_location(location));
        };
        let nulls_first = match item.nulls {
            raw::SortNulls::Default => reverse,
            raw::SortNulls::First => true,
            raw::SortNulls::Last => false,
        };
        let reference = Self::sort_group_ref(targets, index);
        // The same item with another direction adds nothing.
        if clauses.iter().any(|clause| clause.tle_sort_group_ref == reference) {
            return Ok(());
        }
        clauses.push(SortGroupClause {
            tle_sort_group_ref: reference,
            eqop,
            sortop,
            reverse_sort: reverse,
            nulls_first,
            hashable: operators.hashable,
        });
        Ok(())
    }

    /// A grouping clause over one target entry, ordered as `like` says if that sorts by it.
    pub fn group_clause_for(
        &mut self,
        targets: &mut [TargetEntry],
        index: usize,
        like: &[SortGroupClause],
        location: Location,
    ) -> Result<SortGroupClause> {
        self.resolve_unknown_target(targets, index)?;
        let reference = Self::sort_group_ref(targets, index);
        if let Some(clause) = like.iter().find(|clause| clause.tle_sort_group_ref == reference) {
            return Ok(clause.clone());
        }
        let type_oid = targets[index].expr.result_type();
        let operators = self.catalog.sort_operators(type_oid)?;
        let Some(eqop) = operators.equal else {
            let name = self.catalog.type_name(type_oid);
            return Err(error!(
                UNDEFINED_FUNCTION,
                "could not identify an equality operator for type {name}"
            )
            .at_location(location));
        };
        Ok(SortGroupClause {
            tle_sort_group_ref: reference,
            eqop,
            sortop: operators.less.unwrap_or(Oid::INVALID),
            reverse_sort: false,
            nulls_first: false,
            hashable: operators.hashable,
        })
    }

    /// GROUP BY, with its grouping sets.
    pub fn group_clause(
        &mut self,
        items: &[raw::GroupItem],
        targets: &mut Vec<TargetEntry>,
        sort: &[SortGroupClause],
        query: &mut Query,
    ) -> Result<()> {
        let plain = items.iter().all(|item| matches!(item, raw::GroupItem::Expr(_)));
        let mut sets = Vec::new();
        for item in items {
            let set = self.group_item(item, targets, sort, &mut query.group_clause)?;
            sets.push(set);
        }
        if !plain {
            query.grouping_sets = sets;
        }
        Ok(())
    }

    fn group_item(
        &mut self,
        item: &raw::GroupItem,
        targets: &mut Vec<TargetEntry>,
        sort: &[SortGroupClause],
        clauses: &mut Vec<SortGroupClause>,
    ) -> Result<GroupingSet> {
        let mut nested = |analyzer: &mut Self, items: &[raw::GroupItem]| {
            items
                .iter()
                .map(|item| analyzer.group_item(item, targets, sort, clauses))
                .collect::<Result<Vec<_>>>()
        };
        Ok(match item {
            raw::GroupItem::Empty { .. } => GroupingSet::Empty,
            raw::GroupItem::Rollup { items, .. } => GroupingSet::Rollup(nested(self, items)?),
            raw::GroupItem::Cube { items, .. } => GroupingSet::Cube(nested(self, items)?),
            raw::GroupItem::Sets { items, .. } => GroupingSet::Sets(nested(self, items)?),
            // A parenthesised list is several columns.
            raw::GroupItem::Expr(raw::Expr::Row { args, format: raw::RowFormat::Implicit, .. }) => {
                let mut references = Vec::new();
                for arg in args {
                    references.push(self.group_expression(arg, targets, sort, clauses)?);
                }
                GroupingSet::Simple(references)
            }
            raw::GroupItem::Expr(expr) => {
                GroupingSet::Simple(vec![self.group_expression(expr, targets, sort, clauses)?])
            }
        })
    }

    fn group_expression(
        &mut self,
        expr: &raw::Expr,
        targets: &mut Vec<TargetEntry>,
        sort: &[SortGroupClause],
        clauses: &mut Vec<SortGroupClause>,
    ) -> Result<u32> {
        let index = self.find_target(expr, targets, Clause::Group, false)?;
        let clause = self.group_clause_for(targets, index, sort, expr.location())?;
        let reference = clause.tle_sort_group_ref;
        if !clauses.iter().any(|known| known.tle_sort_group_ref == reference) {
            clauses.push(clause);
        }
        Ok(reference)
    }

    /// SELECT DISTINCT: every column, in ORDER BY's order as far as that goes.
    pub fn distinct_clause(
        &mut self,
        targets: &mut [TargetEntry],
        sort: &[SortGroupClause],
    ) -> Result<Vec<SortGroupClause>> {
        let mut clauses: Vec<SortGroupClause> = Vec::new();
        for clause in sort {
            if let Some(target) = sort_group_target(clause.tle_sort_group_ref, targets)
                && target.resjunk
            {
                let message = "for SELECT DISTINCT, ORDER BY expressions must appear in select list";
                return Err(error!(INVALID_COLUMN_REFERENCE, "{message}").at_location(target.expr.location()));
            }
            clauses.push(clause.clone());
        }
        for index in 0..targets.len() {
            if targets[index].resjunk {
                continue;
            }
            let location = targets[index].expr.location();
            let clause = self.group_clause_for(targets, index, sort, location)?;
            if !clauses.iter().any(|known| known.tle_sort_group_ref == clause.tle_sort_group_ref) {
                clauses.push(clause);
            }
        }
        if clauses.is_empty() {
            return Err(error!(SYNTAX_ERROR, "SELECT DISTINCT must have at least one column"));
        }
        Ok(clauses)
    }

    /// SELECT DISTINCT ON: its expressions must lead ORDER BY.
    pub fn distinct_on_clause(
        &mut self,
        exprs: &[raw::Expr],
        targets: &mut Vec<TargetEntry>,
        sort: &[SortGroupClause],
    ) -> Result<Vec<SortGroupClause>> {
        let mut references = Vec::new();
        for expr in exprs {
            let index = self.find_target(expr, targets, Clause::DistinctOn, false)?;
            references.push((Self::sort_group_ref(targets, index), index, expr.location()));
        }
        let mut clauses: Vec<SortGroupClause> = Vec::new();
        let mut skipped: Option<&SortGroupClause> = None;
        for clause in sort {
            let wanted = references.iter().find(|(reference, ..)| *reference == clause.tle_sort_group_ref);
            match (wanted, skipped) {
                (Some((.., location)), Some(_)) => {
                    let message = "SELECT DISTINCT ON expressions must match initial ORDER BY expressions";
                    return Err(error!(INVALID_COLUMN_REFERENCE, "{message}").at_location(*location));
                }
                (Some(_), None) => clauses.push(clause.clone()),
                (None, _) => skipped = Some(clause),
            }
        }
        for (reference, index, location) in references {
            if clauses.iter().any(|clause| clause.tle_sort_group_ref == reference) {
                continue;
            }
            if skipped.is_some() {
                let message = "SELECT DISTINCT ON expressions must match initial ORDER BY expressions";
                return Err(error!(INVALID_COLUMN_REFERENCE, "{message}").at_location(location));
            }
            clauses.push(self.group_clause_for(targets, index, sort, location)?);
        }
        Ok(clauses)
    }

    /// WINDOW clauses and those OVER made: PostgreSQL's `transformWindowDefinitions`.
    pub fn window_clauses(&mut self, targets: &mut Vec<TargetEntry>) -> Result<Vec<WindowClause>> {
        let definitions = std::mem::take(&mut self.scope_mut().windows);
        let mut clauses: Vec<WindowClause> = Vec::new();
        for (index, definition) in definitions.iter().enumerate() {
            let location = definition.location;
            if let Some(name) = &definition.name
                && clauses.iter().any(|clause| clause.name.as_ref() == Some(name))
            {
                return Err(
                    error!(WINDOWING_ERROR, "window \"{name}\" is already defined").at_location(location)
                );
            }
            let base = match &definition.refname {
                Some(refname) => {
                    let base = clauses.iter().find(|clause| clause.name.as_ref() == Some(refname)).cloned();
                    Some(base.ok_or_else(|| {
                        error!(UNDEFINED_OBJECT, "window \"{refname}\" does not exist").at_location(location)
                    })?)
                }
                None => None,
            };
            let order = self.sort_clause(&definition.order, targets, Clause::WindowOrder, true)?;
            let mut partition = Vec::new();
            for expr in &definition.partition {
                let index = self.find_target(expr, targets, Clause::WindowPartition, true)?;
                let clause = self.group_clause_for(targets, index, &order, expr.location())?;
                if !partition.contains(&clause) {
                    partition.push(clause);
                }
            }
            let (mut partition_clause, mut order_clause, mut copied_order) = (partition, order, false);
            if let Some(base) = base {
                let name = base.name.clone().unwrap_or_default();
                let fail = |what: String| Err(error!(WINDOWING_ERROR, "{what}").at_location(location));
                if !partition_clause.is_empty() {
                    return fail(format!("cannot override PARTITION BY clause of window \"{name}\""));
                }
                partition_clause = base.partition_clause;
                if !order_clause.is_empty() && !base.order_clause.is_empty() {
                    return fail(format!("cannot override ORDER BY clause of window \"{name}\""));
                }
                if order_clause.is_empty() {
                    order_clause = base.order_clause;
                    copied_order = true;
                }
                if base.frame.explicit {
                    return fail(format!("cannot copy window \"{name}\" because it has a frame clause"));
                }
            }
            let frame = self.window_frame(definition, &order_clause)?;
            clauses.push(WindowClause {
                name: definition.name.clone(),
                refname: definition.refname.clone(),
                partition_clause,
                order_clause,
                frame,
                winref: index as u32 + 1,
                copied_order,
            });
        }
        Ok(clauses)
    }

    fn window_frame(
        &mut self,
        definition: &raw::WindowDef,
        order: &[SortGroupClause],
    ) -> Result<WindowFrame> {
        let mut frame = WindowFrame {
            explicit: definition.frame.is_some(),
            between: false,
            mode: FrameMode::Range,
            start: FrameBound::UnboundedPreceding,
            end: FrameBound::CurrentRow,
            exclusion: FrameExclusion::NoOthers,
            start_in_range_func: Oid::INVALID,
            end_in_range_func: Oid::INVALID,
            in_range_collation: Oid::INVALID,
            in_range_ascending: true,
            in_range_nulls_first: false,
        };
        let Some(written) = &definition.frame else { return Ok(frame) };
        frame.between = written.end.is_some();
        frame.mode = written.mode;
        frame.exclusion = written.exclusion;
        if written.mode == FrameMode::Groups && order.is_empty() {
            return Err(error!(WINDOWING_ERROR, "GROUPS mode requires an ORDER BY clause")
                .at_location(definition.location));
        }
        let offset = |bound: &raw::FrameBound| {
            matches!(bound, raw::FrameBound::Preceding(_) | raw::FrameBound::Following(_))
        };
        if written.mode == FrameMode::Range
            && (offset(&written.start) || written.end.as_ref().is_some_and(offset))
        {
            if order.len() != 1 {
                let message = "RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY column";
                return Err(error!(WINDOWING_ERROR, "{message}").at_location(definition.location));
            }
            return Err(crate::catalog::not_supported(
                "RANGE with offset PRECEDING/FOLLOWING",
                definition.location,
            ));
        }
        frame.start = self.frame_bound(&written.start, written.mode)?;
        if let Some(end) = &written.end {
            frame.end = self.frame_bound(end, written.mode)?;
        }
        Ok(frame)
    }

    fn frame_bound(&mut self, bound: &raw::FrameBound, mode: FrameMode) -> Result<FrameBound> {
        let construct = if mode == FrameMode::Rows { "ROWS" } else { "GROUPS" };
        let mut offset = |expr: &raw::Expr| {
            let value = self.within(Clause::WindowFrame, |analyzer| analyzer.expression(expr))?;
            self.coerce_to_specific(value, oid::INT8, construct)
        };
        Ok(match bound {
            raw::FrameBound::UnboundedPreceding => FrameBound::UnboundedPreceding,
            raw::FrameBound::CurrentRow => FrameBound::CurrentRow,
            raw::FrameBound::UnboundedFollowing => FrameBound::UnboundedFollowing,
            raw::FrameBound::Preceding(expr) => FrameBound::Preceding(offset(expr)?),
            raw::FrameBound::Following(expr) => FrameBound::Following(offset(expr)?),
        })
    }

    /// Coerces for assignment to a column, with PostgreSQL's error.
    pub fn coerce_for_assignment(
        &mut self,
        expr: Expression,
        column: &str,
        info: ColumnInfo,
        location: Location,
    ) -> Result<Expression> {
        let from = expr.result_type();
        let at = expr.location();
        let coerced = self.coerce_to_target(expr, info.type_oid, info.typmod, Coercion::ASSIGNMENT)?;
        coerced.ok_or_else(|| {
            let (to, from) = (self.catalog.type_name(info.type_oid), self.catalog.type_name(from));
            let location = if at.offset().is_some() { at } else { location };
            error!(DATATYPE_MISMATCH, "column \"{column}\" is of type {to} but expression is of type {from}")
                .hint("You will need to rewrite or cast the expression.")
                .at_location(location)
        })
    }
}
