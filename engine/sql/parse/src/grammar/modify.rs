//! INSERT, UPDATE, DELETE and MERGE.

use kokkiri_primitives::Result;
use sqlparser::tokenizer::Token;

use crate::keyword::Keyword as K;
use crate::parser::Parser;
use crate::tree::*;

impl Parser<'_> {
    /// A statement that starts with WITH.
    pub fn with_statement(&mut self) -> Result<Statement> {
        let location = self.location();
        let with = self.with_clause()?;
        match self.keyword() {
            Some(K::Insert | K::Update | K::Delete | K::Merge) => self.modify_statement(Some(with)),
            _ => Ok(Statement::Select(Box::new(self.select_behind_with(with, location)?))),
        }
    }

    pub fn modify_statement(&mut self, with: Option<WithClause>) -> Result<Statement> {
        match self.keyword() {
            Some(K::Insert) => self.insert(with),
            Some(K::Update) => self.update(with),
            Some(K::Delete) => self.delete(with),
            _ => self.merge(with),
        }
    }

    /// `PreparableStmt`, for what embeds a statement.
    pub fn preparable_statement(&mut self) -> Result<Statement> {
        match self.keyword() {
            Some(
                K::Select | K::Values | K::Table | K::With | K::Insert | K::Update | K::Delete | K::Merge,
            ) => self.statement(),
            _ if self.at(&Token::LParen) => self.statement(),
            _ => Err(self.syntax_error()),
        }
    }

    fn insert(&mut self, with: Option<WithClause>) -> Result<Statement> {
        self.expect_all(&[K::Insert, K::Into])?;
        let mut relation = self.qualified_name()?;
        if self.accept(K::As) {
            relation.alias = Some(Alias { name: self.col_id()?, columns: Vec::new() });
        }
        let mut columns = Vec::new();
        if self.at(&Token::LParen) {
            let (_, first) = self.behind_parens();
            if !matches!(first, Some(K::Select | K::Values | K::Table | K::With)) {
                columns = self.paren_list(Self::insert_column)?;
            }
        }
        let mut overriding = Overriding::NotSet;
        if self.is(K::Overriding) {
            overriding = self.overriding()?;
        }
        let source = if self.accept(K::Default) {
            if !columns.is_empty() || overriding != Overriding::NotSet {
                return Err(self.syntax_error());
            }
            self.expect(K::Values)?;
            None
        } else {
            Some(self.select_statement(None)?)
        };
        let on_conflict = if self.is(K::On) { Some(self.on_conflict()?) } else { None };
        let returning = self.returning()?;
        let stmt = InsertStmt { relation, columns, source, on_conflict, returning, with, overriding };
        Ok(Statement::Insert(Box::new(stmt)))
    }

    fn overriding(&mut self) -> Result<Overriding> {
        self.expect(K::Overriding)?;
        let overriding = if self.accept(K::User) {
            Overriding::UserValue
        } else {
            self.expect(K::System)?;
            Overriding::SystemValue
        };
        self.expect(K::Value)?;
        Ok(overriding)
    }

    fn insert_column(&mut self) -> Result<ResTarget> {
        let location = self.location();
        let name = Some(self.col_id()?);
        let indirection = self.indirection()?;
        Ok(ResTarget { name, indirection, value: None, location })
    }

    fn on_conflict(&mut self) -> Result<OnConflictClause> {
        let location = self.location();
        self.expect_all(&[K::On, K::Conflict])?;
        let at = self.location();
        let infer = if self.at(&Token::LParen) {
            let elements = self.paren_list(Self::index_elem)?;
            let where_clause = self.optional_where()?;
            Some(InferClause { elements, where_clause, constraint: None, location: at })
        } else if self.accept(K::On) {
            self.expect(K::Constraint)?;
            let constraint = Some(self.col_id()?);
            Some(InferClause { elements: Vec::new(), where_clause: None, constraint, location: at })
        } else {
            None
        };
        self.expect(K::Do)?;
        let action = if self.accept(K::Nothing) {
            ConflictAction::Nothing
        } else {
            self.expect_all(&[K::Update, K::Set])?;
            let set = self.set_clauses()?;
            ConflictAction::Update { set, where_clause: self.optional_where()? }
        };
        Ok(OnConflictClause { infer, action, location })
    }

    pub fn optional_where(&mut self) -> Result<Option<Expr>> {
        if self.accept(K::Where) { self.expression().map(Some) } else { Ok(None) }
    }

    fn where_or_current_of(&mut self) -> Result<Option<Expr>> {
        if self.is(K::Where) && self.is_at(1, K::Current) && self.is_at(2, K::Of) {
            let location = self.location();
            (0..3).for_each(|_| self.advance());
            return Ok(Some(Expr::CurrentOf { cursor: self.col_id()?, location }));
        }
        self.optional_where()
    }

    fn returning(&mut self) -> Result<Option<ReturningClause>> {
        if !self.accept(K::Returning) {
            return Ok(None);
        }
        let mut options = Vec::new();
        if self.is(K::With) && self.at_offset(1, &Token::LParen) {
            self.advance();
            options = self.paren_list(|parser| {
                let location = parser.location();
                let option = if parser.accept(K::Old) {
                    ReturningOption::Old
                } else {
                    parser.expect(K::New)?;
                    ReturningOption::New
                };
                parser.expect(K::As)?;
                Ok((option, parser.col_id()?, location))
            })?;
        }
        Ok(Some(ReturningClause { options, targets: self.target_list()? }))
    }

    /// `set_clause_list`.
    fn set_clauses(&mut self) -> Result<Vec<ResTarget>> {
        let mut targets = Vec::new();
        loop {
            if self.at(&Token::LParen) {
                self.multi_assignment(&mut targets)?;
            } else {
                let mut target = self.insert_column()?;
                self.expect_token(&Token::Eq)?;
                target.value = Some(TargetValue::Expr(self.expression()?));
                targets.push(target);
            }
            if !self.accept_token(&Token::Comma) {
                return Ok(targets);
            }
        }
    }

    /// `(a, b) = source`.
    fn multi_assignment(&mut self, targets: &mut Vec<ResTarget>) -> Result<()> {
        let columns = self.paren_list(Self::insert_column)?;
        self.expect_token(&Token::Eq)?;
        let source = self.expression()?;
        let count = columns.len();
        for (column, mut target) in columns.into_iter().enumerate() {
            let source = Box::new(source.clone());
            target.value = Some(TargetValue::MultiAssign { source, column, columns: count });
            targets.push(target);
        }
        Ok(())
    }

    /// `relation_expr_opt_alias`: SET is no alias without AS.
    fn target_relation(&mut self) -> Result<RangeVar> {
        let mut relation = self.relation_expr()?;
        if self.accept(K::As) || (self.is_col_id() && !self.is(K::Set)) {
            relation.alias = Some(Alias { name: self.col_id()?, columns: Vec::new() });
        }
        Ok(relation)
    }

    fn update(&mut self, with: Option<WithClause>) -> Result<Statement> {
        self.expect(K::Update)?;
        let relation = self.target_relation()?;
        self.expect(K::Set)?;
        let targets = self.set_clauses()?;
        let from = if self.accept(K::From) { self.comma_list(Self::table_reference)? } else { Vec::new() };
        let where_clause = self.where_or_current_of()?;
        let returning = self.returning()?;
        let stmt = UpdateStmt { relation, targets, from, where_clause, returning, with };
        Ok(Statement::Update(Box::new(stmt)))
    }

    fn delete(&mut self, with: Option<WithClause>) -> Result<Statement> {
        self.expect_all(&[K::Delete, K::From])?;
        let relation = self.target_relation()?;
        let using = if self.accept(K::Using) { self.comma_list(Self::table_reference)? } else { Vec::new() };
        let where_clause = self.where_or_current_of()?;
        let returning = self.returning()?;
        let stmt = DeleteStmt { relation, using, where_clause, returning, with };
        Ok(Statement::Delete(Box::new(stmt)))
    }

    fn merge(&mut self, with: Option<WithClause>) -> Result<Statement> {
        self.expect_all(&[K::Merge, K::Into])?;
        let relation = self.target_relation()?;
        self.expect(K::Using)?;
        let source = self.table_reference()?;
        self.expect(K::On)?;
        let condition = self.expression()?;
        let mut whens = Vec::new();
        while self.is(K::When) || whens.is_empty() {
            whens.push(self.merge_when()?);
        }
        let returning = self.returning()?;
        let stmt = MergeStmt { relation, source, condition, whens, returning, with };
        Ok(Statement::Merge(Box::new(stmt)))
    }

    fn merge_when(&mut self) -> Result<MergeWhen> {
        self.expect(K::When)?;
        let not = self.accept(K::Not);
        self.expect(K::Matched)?;
        let matched = if !not {
            MergeMatch::Matched
        } else if self.accept(K::By) {
            if self.accept(K::Source) {
                MergeMatch::NotMatchedBySource
            } else {
                self.expect(K::Target)?;
                MergeMatch::NotMatchedByTarget
            }
        } else {
            MergeMatch::NotMatchedByTarget
        };
        let condition = if self.accept(K::And) { Some(self.expression()?) } else { None };
        self.expect(K::Then)?;
        let inserts = matched == MergeMatch::NotMatchedByTarget;
        let action = match self.keyword() {
            Some(K::Do) => {
                self.advance();
                self.expect(K::Nothing)?;
                MergeActionStmt::DoNothing
            }
            Some(K::Update) if !inserts => {
                self.advance();
                self.expect(K::Set)?;
                MergeActionStmt::Update(self.set_clauses()?)
            }
            Some(K::Delete) if !inserts => {
                self.advance();
                MergeActionStmt::Delete
            }
            Some(K::Insert) if inserts => self.merge_insert()?,
            _ => return Err(self.syntax_error()),
        };
        Ok(MergeWhen { matched, condition, action })
    }

    fn merge_insert(&mut self) -> Result<MergeActionStmt> {
        self.advance();
        let columns = self.optional_paren_list(Self::insert_column)?;
        let overriding = if self.is(K::Overriding) { self.overriding()? } else { Overriding::NotSet };
        if columns.is_empty() && overriding == Overriding::NotSet && self.accept(K::Default) {
            self.expect(K::Values)?;
            return Ok(MergeActionStmt::Insert { columns, overriding, values: Vec::new() });
        }
        self.expect(K::Values)?;
        let values = self.paren_list(Self::expression)?;
        Ok(MergeActionStmt::Insert { columns, overriding, values })
    }

    /// `index_elem` of CREATE INDEX and ON CONFLICT.
    pub fn index_elem(&mut self) -> Result<IndexElem> {
        let location = self.location();
        let key = if self.at(&Token::LParen) {
            self.advance();
            let expr = self.expression()?;
            self.expect_token(&Token::RParen)?;
            IndexKey::Expr(expr)
        } else if self.at_function() {
            IndexKey::Expr(self.function_without_tail()?)
        } else {
            IndexKey::Column(self.col_id()?)
        };
        let collation = self.optional_collation()?.map(|(name, _)| name).unwrap_or_default();
        let mut opclass = Vec::new();
        let mut opclass_options = Vec::new();
        if self.is_col_id() && !(self.is(K::Nulls) && matches!(self.keyword_at(1), Some(K::First | K::Last)))
        {
            opclass = self.any_name()?;
            if self.at(&Token::LParen) {
                opclass_options = self.reloptions()?;
            }
        }
        let direction = self.sort_direction();
        let nulls = self.sort_nulls()?;
        Ok(IndexElem { key, collation, opclass, opclass_options, direction, nulls, location })
    }
}
