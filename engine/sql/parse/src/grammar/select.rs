//! SELECT: set operations, clauses, target lists, windows, WITH.

use kokkiri_primitives::{Error, Result, error, stack};
use sqlparser::tokenizer::Token;

use super::expression::Parenthesised;
use crate::keyword::Keyword as K;
use crate::location::Location;
use crate::parser::Parser;
use crate::tree::*;

impl Parser<'_> {
    /// `select_no_parens`: with everything that may stand around a simple select. `first` is a select in
    /// parentheses that was read already.
    pub fn select_statement(&mut self, first: Option<Box<SelectStmt>>) -> Result<SelectStmt> {
        stack::check_depth()?;
        let location = self.location();
        let with = match first {
            None if self.is(K::With) => Some(self.with_clause()?),
            _ => None,
        };
        let body = self.set_operations(first, SetStrength::Union)?;
        self.select_tail(body, with, location)
    }

    /// A select behind a WITH that was read already.
    pub fn select_behind_with(&mut self, with: WithClause, location: Location) -> Result<SelectStmt> {
        let body = self.set_operations(None, SetStrength::Union)?;
        self.select_tail(body, Some(with), location)
    }

    /// Sort, locking and limit clauses: PostgreSQL's `insertSelectOptions`.
    fn select_tail(
        &mut self,
        mut stmt: SelectStmt,
        with: Option<WithClause>,
        location: Location,
    ) -> Result<SelectStmt> {
        if self.is(K::Order) {
            let at = self.offset();
            let sort = self.optional_order_by()?;
            if !stmt.sort.is_empty() {
                return Err(multiple("ORDER BY").at(at));
            }
            stmt.sort = sort;
        }
        let mut locking = Vec::new();
        if self.is(K::For) {
            locking = self.locking_clauses()?;
        }
        let mut limit_seen = false;
        let mut ties_at = None;
        let mut offset_seen = false;
        loop {
            let at = self.offset();
            match self.keyword() {
                Some(K::Limit | K::Fetch) if !limit_seen => {
                    limit_seen = true;
                    let (limit, option, ties) = self.limit()?;
                    ties_at = ties;
                    if stmt.limit.is_some() {
                        return Err(multiple("LIMIT").at(at));
                    }
                    stmt.limit = limit;
                    stmt.limit_option = option;
                }
                Some(K::Offset) if !offset_seen => {
                    offset_seen = true;
                    self.advance();
                    let offset = self.expression()?;
                    if self.is_any(&[K::Row, K::Rows]) {
                        self.advance();
                    }
                    if stmt.offset.is_some() {
                        return Err(multiple("OFFSET").at(at));
                    }
                    stmt.offset = Some(offset);
                }
                _ => break,
            }
        }
        if self.is(K::For) && locking.is_empty() {
            locking = self.locking_clauses()?;
        }
        if stmt.limit_option == LimitOption::WithTies {
            if stmt.sort.is_empty() {
                let error = error!(SYNTAX_ERROR, "WITH TIES cannot be specified without ORDER BY clause");
                return Err(ties_at.into_iter().fold(error, Error::at));
            }
            if locking.iter().any(|clause| clause.wait == LockWait::Skip) {
                return Err(error!(
                    SYNTAX_ERROR,
                    "SKIP LOCKED and WITH TIES options cannot be used together"
                ));
            }
        }
        stmt.locking.extend(locking);
        if let Some(with) = with {
            if stmt.with.is_some() {
                return Err(multiple("WITH").at(with.location.offset().unwrap_or(0)));
            }
            stmt.with = Some(with);
            stmt.location = location;
        }
        Ok(stmt)
    }

    fn set_operations(
        &mut self,
        first: Option<Box<SelectStmt>>,
        strength: SetStrength,
    ) -> Result<SelectStmt> {
        let mut left = match (first, strength) {
            (first, SetStrength::Union) => self.set_operations(first, SetStrength::Intersect)?,
            (Some(first), SetStrength::Intersect) => *first,
            (None, SetStrength::Intersect) => self.select_primary()?,
        };
        let mut length = 0;
        loop {
            let op = match (self.keyword(), strength) {
                (Some(K::Union), SetStrength::Union) => SetOp::Union,
                (Some(K::Except), SetStrength::Union) => SetOp::Except,
                (Some(K::Intersect), SetStrength::Intersect) => SetOp::Intersect,
                _ => return Ok(left),
            };
            self.advance();
            let all = self.accept(K::All);
            if !all {
                self.accept(K::Distinct);
            }
            let right = match strength {
                SetStrength::Union => self.set_operations(None, SetStrength::Intersect)?,
                SetStrength::Intersect => self.select_primary()?,
            };
            length += 1;
            // The analyzer recurses along the left side.
            self.check_chain(length)?;
            let location = left.location;
            let operation = SetOperation { op, all, left, right };
            left = SelectStmt { set_operation: Some(Box::new(operation)), location, ..SelectStmt::default() };
        }
    }

    /// `simple_select`, or a select in parentheses.
    fn select_primary(&mut self) -> Result<SelectStmt> {
        let location = self.location();
        match self.keyword() {
            Some(K::Select) => self.simple_select(location),
            Some(K::Values) => {
                self.advance();
                let values = self.comma_list(|parser| parser.paren_list(Self::expression))?;
                Ok(SelectStmt { values, location, ..SelectStmt::default() })
            }
            Some(K::Table) => {
                self.advance();
                let relation = self.relation_expr()?;
                let star = ColumnRef { fields: vec![Field::Star], location: Location::UNKNOWN };
                let target = ResTarget {
                    name: None,
                    indirection: Vec::new(),
                    value: Some(TargetValue::Expr(Expr::ColumnRef(star))),
                    location: Location::UNKNOWN,
                };
                let from = vec![TableExpr::Relation(relation)];
                Ok(SelectStmt { targets: vec![target], from, location, ..SelectStmt::default() })
            }
            _ if self.at(&Token::LParen) => self.subselect(),
            _ => Err(self.syntax_error()),
        }
    }

    fn simple_select(&mut self, location: Location) -> Result<SelectStmt> {
        self.advance();
        let mut stmt = SelectStmt { location, ..SelectStmt::default() };
        if self.accept(K::Distinct) {
            stmt.distinct =
                Some(if self.accept(K::On) { self.paren_list(Self::expression)? } else { Vec::new() });
        } else {
            self.accept(K::All);
        }
        let ends = self.at_end() || self.at(&Token::SemiColon) || self.at(&Token::RParen);
        let clause = self.is_any(&[
            K::Into,
            K::From,
            K::Where,
            K::Group,
            K::Having,
            K::Window,
            K::Union,
            K::Intersect,
            K::Except,
            K::Order,
            K::Limit,
            K::Offset,
            K::Fetch,
            K::For,
        ]);
        if !ends && (!clause || stmt.distinct.is_some()) {
            stmt.targets = self.target_list()?;
        }
        if self.accept(K::Into) {
            stmt.into = Some(self.select_into()?);
        }
        if self.accept(K::From) {
            stmt.from = self.comma_list(Self::table_reference)?;
        }
        if self.accept(K::Where) {
            stmt.where_clause = Some(self.expression()?);
        }
        if self.accept(K::Group) {
            self.expect(K::By)?;
            stmt.group_distinct = self.accept(K::Distinct);
            if !stmt.group_distinct {
                self.accept(K::All);
            }
            stmt.group_by = self.comma_list(Self::group_item)?;
        }
        if self.accept(K::Having) {
            stmt.having = Some(self.expression()?);
        }
        if self.accept(K::Window) {
            stmt.windows = self.comma_list(|parser| {
                let name = parser.col_id()?;
                parser.expect(K::As)?;
                let mut window = parser.window_specification()?;
                window.name = Some(name);
                Ok(window)
            })?;
        }
        Ok(stmt)
    }

    /// `OptTempTableName` of SELECT INTO.
    fn select_into(&mut self) -> Result<IntoClause> {
        let persistence = match self.keyword() {
            Some(K::Temporary | K::Temp) => Persistence::Temporary,
            Some(K::Local | K::Global) if matches!(self.keyword_at(1), Some(K::Temporary | K::Temp)) => {
                self.advance();
                Persistence::Temporary
            }
            Some(K::Unlogged) => Persistence::Unlogged,
            _ => Persistence::Permanent,
        };
        if persistence != Persistence::Permanent {
            self.advance();
        }
        self.accept(K::Table);
        let mut relation = self.qualified_name()?;
        relation.persistence = persistence;
        Ok(IntoClause {
            relation,
            columns: Vec::new(),
            access_method: None,
            options: Vec::new(),
            on_commit: OnCommit::None,
            tablespace: None,
            skip_data: false,
        })
    }

    /// `target_list`.
    pub fn target_list(&mut self) -> Result<Vec<ResTarget>> {
        self.comma_list(Self::target)
    }

    fn target(&mut self) -> Result<ResTarget> {
        let location = self.location();
        let mut target = ResTarget { name: None, indirection: Vec::new(), value: None, location };
        if self.at(&Token::Mul) {
            self.advance();
            let star = ColumnRef { fields: vec![Field::Star], location };
            target.value = Some(TargetValue::Expr(Expr::ColumnRef(star)));
            return Ok(target);
        }
        target.value = Some(TargetValue::Expr(self.expression()?));
        if self.accept(K::As) {
            target.name = Some(self.col_label()?);
        } else if self.is_bare_label() {
            target.name = Some(self.take_name());
        }
        Ok(target)
    }

    fn group_item(&mut self) -> Result<GroupItem> {
        stack::check_depth()?;
        let location = self.location();
        match self.keyword() {
            Some(keyword @ (K::Rollup | K::Cube)) if self.at_offset(1, &Token::LParen) => {
                self.advance();
                let items = self.paren_list(|parser| parser.expression().map(GroupItem::Expr))?;
                Ok(if keyword == K::Rollup {
                    GroupItem::Rollup { items, location }
                } else {
                    GroupItem::Cube { items, location }
                })
            }
            Some(K::Grouping) if self.is_at(1, K::Sets) => {
                self.advance();
                self.advance();
                Ok(GroupItem::Sets { items: self.paren_list(Self::group_item)?, location })
            }
            _ if self.at(&Token::LParen) && self.at_offset(1, &Token::RParen) => {
                self.advance();
                self.advance();
                Ok(GroupItem::Empty { location })
            }
            _ => Ok(GroupItem::Expr(self.expression()?)),
        }
    }

    // ORDER BY and limits.

    pub fn optional_order_by(&mut self) -> Result<Vec<SortBy>> {
        if self.is(K::Order) { self.order_by() } else { Ok(Vec::new()) }
    }

    pub fn order_by(&mut self) -> Result<Vec<SortBy>> {
        self.expect_all(&[K::Order, K::By])?;
        self.comma_list(|parser| {
            let expr = parser.expression()?;
            let mut location = Location::UNKNOWN;
            let direction = match parser.keyword() {
                Some(K::Using) => {
                    parser.advance();
                    location = parser.location();
                    SortDirection::Using(parser.qualified_operator()?)
                }
                _ => parser.sort_direction(),
            };
            let nulls = parser.sort_nulls()?;
            Ok(SortBy { expr, direction, nulls, location })
        })
    }

    pub fn sort_direction(&mut self) -> SortDirection {
        if self.accept(K::Asc) {
            SortDirection::Ascending
        } else if self.accept(K::Desc) {
            SortDirection::Descending
        } else {
            SortDirection::Default
        }
    }

    pub fn sort_nulls(&mut self) -> Result<SortNulls> {
        if self.is(K::Nulls) && matches!(self.keyword_at(1), Some(K::First | K::Last)) {
            let first = self.is_at(1, K::First);
            self.advance();
            self.advance();
            return Ok(if first { SortNulls::First } else { SortNulls::Last });
        }
        Ok(SortNulls::Default)
    }

    /// The count, whether ties are wanted, and where that is said.
    fn limit(&mut self) -> Result<(Option<Expr>, LimitOption, Option<usize>)> {
        let limit_at = self.offset();
        if self.accept(K::Limit) {
            let location = self.location();
            let limit = if self.accept(K::All) {
                Expr::Const(AConst { value: Literal::Null, location })
            } else {
                self.expression()?
            };
            if self.at(&Token::Comma) {
                self.advance();
                self.expression()?;
                return Err(error!(SYNTAX_ERROR, "LIMIT #,# syntax is not supported")
                    .hint("Use separate LIMIT and OFFSET clauses.")
                    .at(limit_at));
            }
            return Ok((Some(limit), LimitOption::Count, None));
        }
        self.expect(K::Fetch)?;
        if !self.accept(K::First) {
            self.expect(K::Next)?;
        }
        let limit = if self.is_any(&[K::Row, K::Rows]) {
            super::type_name::integer_const(1, Location::UNKNOWN)
        } else {
            self.fetch_count()?
        };
        if !self.accept(K::Row) {
            self.expect(K::Rows)?;
        }
        let at = self.offset();
        if self.accept(K::With) {
            self.expect(K::Ties)?;
            return Ok((Some(limit), LimitOption::WithTies, Some(at)));
        }
        self.expect(K::Only)?;
        Ok((Some(limit), LimitOption::Count, None))
    }

    /// `select_fetch_first_value`: a signed number or a primary.
    fn fetch_count(&mut self) -> Result<Expr> {
        self.restricted_expression()
    }

    fn locking_clauses(&mut self) -> Result<Vec<LockingClause>> {
        let mut clauses = Vec::new();
        while self.accept(K::For) {
            if self.accept_all(&[K::Read, K::Only]) {
                return Ok(clauses);
            }
            let strength = match self.keyword() {
                Some(K::Update) => LockStrength::ForUpdate,
                Some(K::Share) => LockStrength::ForShare,
                Some(K::No) => {
                    self.advance();
                    self.expect(K::Key)?;
                    if !self.is(K::Update) {
                        return Err(self.syntax_error());
                    }
                    LockStrength::ForNoKeyUpdate
                }
                Some(K::Key) => {
                    self.advance();
                    if !self.is(K::Share) {
                        return Err(self.syntax_error());
                    }
                    LockStrength::ForKeyShare
                }
                _ => return Err(self.syntax_error()),
            };
            self.advance();
            let relations =
                if self.accept(K::Of) { self.comma_list(Self::qualified_name)? } else { Vec::new() };
            let wait = if self.accept(K::Nowait) {
                LockWait::Error
            } else if self.accept(K::Skip) {
                self.expect(K::Locked)?;
                LockWait::Skip
            } else {
                LockWait::Block
            };
            clauses.push(LockingClause { relations, strength, wait });
        }
        Ok(clauses)
    }

    // Windows.

    /// Behind OVER: a name or a specification.
    pub fn over_clause(&mut self) -> Result<WindowDef> {
        if self.at(&Token::LParen) {
            return self.window_specification();
        }
        let location = self.location();
        let name = self.col_id()?;
        Ok(WindowDef {
            name: Some(name),
            refname: None,
            partition: Vec::new(),
            order: Vec::new(),
            frame: None,
            location,
        })
    }

    fn window_specification(&mut self) -> Result<WindowDef> {
        let location = self.location();
        self.expect_token(&Token::LParen)?;
        // These words open a clause here, though they could be names.
        let clause = self.is_any(&[K::Partition, K::Range, K::Rows, K::Groups]);
        let refname = if !clause && self.is_col_id() { Some(self.col_id()?) } else { None };
        let partition = if self.accept(K::Partition) {
            self.expect(K::By)?;
            self.expression_list()?
        } else {
            Vec::new()
        };
        let order = self.optional_order_by()?;
        let frame = match self.keyword() {
            Some(K::Range) => Some(FrameMode::Range),
            Some(K::Rows) => Some(FrameMode::Rows),
            Some(K::Groups) => Some(FrameMode::Groups),
            _ => None,
        };
        let frame = match frame {
            Some(mode) => {
                self.advance();
                Some(self.window_frame(mode)?)
            }
            None => None,
        };
        self.expect_token(&Token::RParen)?;
        Ok(WindowDef { name: None, refname, partition, order, frame, location })
    }

    fn window_frame(&mut self, mode: FrameMode) -> Result<WindowFrame> {
        let error = |message: &str, at: usize| error!(WINDOWING_ERROR, "{message}").at(at);
        let between = self.accept(K::Between);
        let start_at = self.offset();
        let start = self.frame_bound()?;
        let mut end = None;
        if between {
            self.expect(K::And)?;
            let end_at = self.offset();
            let bound = self.frame_bound()?;
            match (&start, &bound) {
                (FrameBound::UnboundedFollowing, _) => {
                    return Err(error("frame start cannot be UNBOUNDED FOLLOWING", start_at));
                }
                (_, FrameBound::UnboundedPreceding) => {
                    return Err(error("frame end cannot be UNBOUNDED PRECEDING", end_at));
                }
                (FrameBound::CurrentRow, FrameBound::Preceding(_)) => {
                    return Err(error("frame starting from current row cannot have preceding rows", end_at));
                }
                (FrameBound::Following(_), FrameBound::Preceding(_) | FrameBound::CurrentRow) => {
                    return Err(error(
                        "frame starting from following row cannot have preceding rows",
                        end_at,
                    ));
                }
                _ => {}
            }
            end = Some(bound);
        } else {
            match start {
                FrameBound::UnboundedFollowing => {
                    return Err(error("frame start cannot be UNBOUNDED FOLLOWING", start_at));
                }
                FrameBound::Following(_) => {
                    let message = "frame starting from following row cannot end with current row";
                    return Err(error(message, start_at));
                }
                _ => {}
            }
        }
        let exclusion =
            if self.accept(K::Exclude) { self.frame_exclusion()? } else { FrameExclusion::NoOthers };
        Ok(WindowFrame { mode, start, end, exclusion })
    }

    fn frame_exclusion(&mut self) -> Result<FrameExclusion> {
        if self.accept_all(&[K::Current, K::Row]) {
            return Ok(FrameExclusion::CurrentRow);
        }
        if self.accept_all(&[K::No, K::Others]) {
            return Ok(FrameExclusion::NoOthers);
        }
        if self.accept(K::Group) {
            return Ok(FrameExclusion::Group);
        }
        self.expect(K::Ties)?;
        Ok(FrameExclusion::Ties)
    }

    fn frame_bound(&mut self) -> Result<FrameBound> {
        if self.is(K::Unbounded) && matches!(self.keyword_at(1), Some(K::Preceding | K::Following)) {
            let preceding = self.is_at(1, K::Preceding);
            self.advance();
            self.advance();
            return Ok(if preceding {
                FrameBound::UnboundedPreceding
            } else {
                FrameBound::UnboundedFollowing
            });
        }
        if self.accept_all(&[K::Current, K::Row]) {
            return Ok(FrameBound::CurrentRow);
        }
        let offset = self.expression()?;
        if self.accept(K::Preceding) {
            return Ok(FrameBound::Preceding(offset));
        }
        self.expect(K::Following)?;
        Ok(FrameBound::Following(offset))
    }

    // WITH.

    pub fn with_clause(&mut self) -> Result<WithClause> {
        let location = self.location();
        self.expect(K::With)?;
        let recursive = self.accept(K::Recursive);
        let ctes = self.comma_list(Self::common_table_expr)?;
        Ok(WithClause { recursive, ctes, location })
    }

    fn common_table_expr(&mut self) -> Result<CommonTableExpr> {
        let location = self.location();
        let name = self.col_id()?;
        let columns = self.optional_paren_list(Self::col_id)?;
        self.expect(K::As)?;
        let materialized = if self.accept(K::Materialized) {
            CteMaterialize::Always
        } else if self.is(K::Not) {
            self.advance();
            self.expect(K::Materialized)?;
            CteMaterialize::Never
        } else {
            CteMaterialize::Default
        };
        let query = self.statement_in_parens()?;
        let search = if self.is(K::Search) { Some(self.search_clause()?) } else { None };
        let cycle = if self.is(K::Cycle) { Some(self.cycle_clause()?) } else { None };
        Ok(CommonTableExpr { name, columns, materialized, query, search, cycle, location })
    }

    /// `( PreparableStmt )`.
    pub fn statement_in_parens(&mut self) -> Result<Statement> {
        if !self.at(&Token::LParen) {
            return Err(self.syntax_error());
        }
        if matches!(self.keyword_at(1), Some(K::Insert | K::Update | K::Delete | K::Merge | K::With)) {
            self.advance();
            let statement = self.statement()?;
            self.expect_token(&Token::RParen)?;
            return Ok(statement);
        }
        match self.parenthesised_select()? {
            Parenthesised::Select(select) => Ok(Statement::Select(select)),
            _ => Err(self.syntax_error()),
        }
    }

    fn parenthesised_select(&mut self) -> Result<Parenthesised> {
        Ok(Parenthesised::Select(Box::new(self.subselect()?)))
    }

    fn search_clause(&mut self) -> Result<CteSearch> {
        let location = self.location();
        self.advance();
        let breadth_first = self.accept(K::Breadth);
        if !breadth_first {
            self.expect(K::Depth)?;
        }
        self.expect_all(&[K::First, K::By])?;
        let columns = self.name_list()?;
        self.expect(K::Set)?;
        let sequence_column = self.col_id()?;
        Ok(CteSearch { columns, breadth_first, sequence_column, location })
    }

    fn cycle_clause(&mut self) -> Result<CteCycle> {
        let location = self.location();
        self.advance();
        let columns = self.name_list()?;
        self.expect(K::Set)?;
        let mark_column = self.col_id()?;
        let (mut mark_value, mut mark_default) = (None, None);
        if self.accept(K::To) {
            mark_value = Some(self.restricted_expression()?);
            self.expect(K::Default)?;
            mark_default = Some(self.restricted_expression()?);
        }
        self.expect(K::Using)?;
        let path_column = self.col_id()?;
        Ok(CteCycle { columns, mark_column, mark_value, mark_default, path_column, location })
    }
}

/// INTERSECT binds tighter than UNION and EXCEPT.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SetStrength {
    Union,
    Intersect,
}

fn multiple(clause: &str) -> Error {
    error!(SYNTAX_ERROR, "multiple {clause} clauses not allowed")
}
