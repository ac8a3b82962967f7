//! Transactions, prepared statements, cursors, EXPLAIN, maintenance, notifications.

use kokkiri_primitives::Result;
use sqlparser::tokenizer::Token;

use crate::keyword::Keyword as K;
use crate::location::Location;
use crate::parser::Parser;
use crate::tree::*;

impl Parser<'_> {
    pub fn transaction_statement(&mut self) -> Result<Statement> {
        let Some(keyword) = self.keyword() else { return Err(self.syntax_error()) };
        self.advance();
        Ok(Statement::Transaction(match keyword {
            K::Begin => {
                self.optional_transaction_word();
                TransactionStmt::Begin(self.optional_transaction_modes()?)
            }
            K::Start => {
                self.expect(K::Transaction)?;
                TransactionStmt::Start(self.optional_transaction_modes()?)
            }
            K::Commit if self.is(K::Prepared) => {
                let (gid, location) = self.prepared_id()?;
                TransactionStmt::CommitPrepared { gid, location }
            }
            K::Rollback if self.is(K::Prepared) => {
                let (gid, location) = self.prepared_id()?;
                TransactionStmt::RollbackPrepared { gid, location }
            }
            K::Commit | K::End => {
                self.optional_transaction_word();
                TransactionStmt::Commit { chain: self.chain()? }
            }
            K::Rollback | K::Abort => {
                self.optional_transaction_word();
                if keyword == K::Rollback && self.accept(K::To) {
                    self.accept(K::Savepoint);
                    let location = self.location();
                    TransactionStmt::RollbackTo { name: self.col_id()?, location }
                } else {
                    TransactionStmt::Rollback { chain: self.chain()? }
                }
            }
            K::Savepoint => {
                let location = self.location();
                TransactionStmt::Savepoint { name: self.col_id()?, location }
            }
            _ => {
                self.accept(K::Savepoint);
                let location = self.location();
                TransactionStmt::Release { name: self.col_id()?, location }
            }
        }))
    }

    fn optional_transaction_word(&mut self) {
        if self.is_any(&[K::Work, K::Transaction]) {
            self.advance();
        }
    }

    fn prepared_id(&mut self) -> Result<(String, Location)> {
        self.expect(K::Prepared)?;
        let location = self.location();
        Ok((self.string()?, location))
    }

    fn chain(&mut self) -> Result<bool> {
        if !self.accept(K::And) {
            return Ok(false);
        }
        let no = self.accept(K::No);
        self.expect(K::Chain)?;
        Ok(!no)
    }

    fn optional_transaction_modes(&mut self) -> Result<Vec<TransactionMode>> {
        if self.at_transaction_mode() { self.transaction_modes() } else { Ok(Vec::new()) }
    }

    fn at_transaction_mode(&self) -> bool {
        self.is_any(&[K::Isolation, K::Read, K::Deferrable])
            || (self.is(K::Not) && self.is_at(1, K::Deferrable))
    }

    /// `transaction_mode_list`, with or without commas.
    pub fn transaction_modes(&mut self) -> Result<Vec<TransactionMode>> {
        let mut modes = vec![self.transaction_mode()?];
        loop {
            if self.accept_token(&Token::Comma) || self.at_transaction_mode() {
                modes.push(self.transaction_mode()?);
            } else {
                return Ok(modes);
            }
        }
    }

    fn transaction_mode(&mut self) -> Result<TransactionMode> {
        if self.accept(K::Isolation) {
            self.expect(K::Level)?;
            return Ok(TransactionMode::Isolation(self.isolation_level()?));
        }
        if self.accept(K::Read) {
            if self.accept(K::Only) {
                return Ok(TransactionMode::ReadOnly(true));
            }
            self.expect(K::Write)?;
            return Ok(TransactionMode::ReadOnly(false));
        }
        let not = self.accept(K::Not);
        self.expect(K::Deferrable)?;
        Ok(TransactionMode::Deferrable(!not))
    }

    fn isolation_level(&mut self) -> Result<TransactionIsolation> {
        if self.accept(K::Read) {
            if self.accept(K::Uncommitted) {
                return Ok(TransactionIsolation::ReadUncommitted);
            }
            self.expect(K::Committed)?;
            return Ok(TransactionIsolation::ReadCommitted);
        }
        if self.accept(K::Repeatable) {
            self.expect(K::Read)?;
            return Ok(TransactionIsolation::RepeatableRead);
        }
        self.expect(K::Serializable)?;
        Ok(TransactionIsolation::Serializable)
    }

    // Prepared statements and cursors.

    pub fn prepare(&mut self) -> Result<Statement> {
        self.advance();
        if self.is(K::Transaction) && matches!(self.peek_at(1).token, Token::SingleQuotedString(_)) {
            self.advance();
            let location = self.location();
            return Ok(Statement::Transaction(TransactionStmt::Prepare { gid: self.string()?, location }));
        }
        let name = self.col_id()?;
        let arg_types = self.optional_paren_list(Self::type_name)?;
        self.expect(K::As)?;
        let query = self.preparable_statement()?;
        Ok(Statement::Prepare(Box::new(PrepareStmt { name, arg_types, query })))
    }

    pub fn execute(&mut self) -> Result<Statement> {
        self.expect(K::Execute)?;
        let name = self.col_id()?;
        let params = self.optional_paren_list(Self::expression)?;
        Ok(Statement::Execute(ExecuteStmt { name, params }))
    }

    pub fn deallocate(&mut self) -> Result<Statement> {
        self.advance();
        self.accept(K::Prepare);
        let location = self.location();
        let name = if self.accept(K::All) { None } else { Some(self.col_id()?) };
        Ok(Statement::Deallocate(DeallocateStmt { name, location }))
    }

    pub fn declare_cursor(&mut self) -> Result<Statement> {
        self.advance();
        let name = self.col_id()?;
        let mut options = CursorOptions::default();
        loop {
            match self.keyword() {
                Some(K::Binary) => options.binary = true,
                Some(K::Scroll) => options.scroll = true,
                Some(K::Insensitive) => options.insensitive = true,
                Some(K::Asensitive) => options.asensitive = true,
                Some(K::No) => {
                    self.advance();
                    if !self.is(K::Scroll) {
                        return Err(self.syntax_error());
                    }
                    options.no_scroll = true;
                }
                _ => break,
            }
            self.advance();
        }
        self.expect(K::Cursor)?;
        if self.accept(K::With) {
            self.expect(K::Hold)?;
            options.hold = true;
        } else if self.accept(K::Without) {
            self.expect(K::Hold)?;
        }
        self.expect(K::For)?;
        let query = self.select_statement(None)?;
        Ok(Statement::DeclareCursor(Box::new(DeclareCursorStmt { name, options, query })))
    }

    pub fn fetch(&mut self) -> Result<Statement> {
        let is_move = self.is(K::Move);
        self.advance();
        let location = self.location();
        let (direction, count) = self.fetch_direction()?;
        if self.is_any(&[K::From, K::In]) {
            self.advance();
        }
        let portal = self.col_id()?;
        Ok(Statement::Fetch(FetchStmt { direction, count, portal, is_move, location }))
    }

    fn fetch_direction(&mut self) -> Result<(FetchDirection, Option<i64>)> {
        use FetchDirection::*;
        if self.at_numeric() {
            return Ok((Forward, Some(i64::from(self.signed_integer()?))));
        }
        // These words may name the cursor itself.
        let named = !(self.is_col_id_at(1)
            || self.is_at(1, K::From)
            || self.is_at(1, K::In)
            || self.is_at(1, K::All)
            || matches!(self.peek_at(1).token, Token::Number(..) | Token::Minus | Token::Plus));
        let keyword = match self.keyword() {
            Some(K::All) => K::All,
            Some(keyword) if !named => keyword,
            _ => return Ok((Forward, Some(1))),
        };
        let (direction, count) = match keyword {
            K::Next => (Forward, Some(1)),
            K::Prior => (Backward, Some(1)),
            K::First => (Absolute, Some(1)),
            K::Last => (Absolute, Some(-1)),
            K::All => (Forward, None),
            K::Absolute | K::Relative => {
                self.advance();
                let direction = if keyword == K::Absolute { Absolute } else { Relative };
                return Ok((direction, Some(i64::from(self.signed_integer()?))));
            }
            K::Forward | K::Backward => {
                self.advance();
                let direction = if keyword == K::Forward { Forward } else { Backward };
                if self.accept(K::All) {
                    return Ok((direction, None));
                }
                let count = if self.at_numeric() { i64::from(self.signed_integer()?) } else { 1 };
                return Ok((direction, Some(count)));
            }
            _ => return Ok((Forward, Some(1))),
        };
        self.advance();
        Ok((direction, count))
    }

    pub fn close_portal(&mut self) -> Result<Statement> {
        self.advance();
        let name = if self.accept(K::All) { None } else { Some(self.col_id()?) };
        Ok(Statement::ClosePortal(name))
    }

    // EXPLAIN.

    pub fn explain(&mut self) -> Result<Statement> {
        self.advance();
        let mut options = Vec::new();
        let paren = self.at(&Token::LParen);
        let (_, first) = self.behind_parens();
        if paren && !matches!(first, Some(K::Select | K::Values | K::Table | K::With)) {
            options = self.utility_options()?;
        } else if !paren {
            let location = self.location();
            if self.is_any(&[K::Analyze, K::Analyse]) {
                self.advance();
                options.push(DefElem::new("analyze", None, location));
            }
            let location = self.location();
            if self.accept(K::Verbose) {
                options.push(DefElem::new("verbose", None, location));
            }
        }
        let query = match self.keyword() {
            Some(K::Declare) => self.declare_cursor()?,
            Some(K::Execute) => self.execute()?,
            Some(K::Create) => self.create_as_for_explain()?,
            Some(K::Refresh) => self.refresh()?,
            _ => self.preparable_statement()?,
        };
        Ok(Statement::Explain(Box::new(ExplainStmt { query, options })))
    }

    // Maintenance.

    pub fn vacuum(&mut self) -> Result<Statement> {
        let is_vacuum = self.is(K::Vacuum);
        self.advance();
        let mut options = Vec::new();
        if self.at(&Token::LParen) {
            options = self.utility_options()?;
        } else {
            let words: &[(K, &str)] = if is_vacuum {
                &[(K::Full, "full"), (K::Freeze, "freeze"), (K::Verbose, "verbose")]
            } else {
                &[(K::Verbose, "verbose")]
            };
            for (keyword, name) in words {
                let location = self.location();
                if self.accept(*keyword) {
                    options.push(DefElem::new(name, None, location));
                }
            }
            let location = self.location();
            if is_vacuum && self.is_any(&[K::Analyze, K::Analyse]) {
                self.advance();
                options.push(DefElem::new("analyze", None, location));
            }
        }
        let relations = if self.is_col_id() || self.is(K::Only) {
            self.comma_list(|parser| {
                let relation = parser.relation_expr()?;
                let columns = parser.optional_paren_list(Self::col_id)?;
                Ok(VacuumRelation { relation, columns })
            })?
        } else {
            Vec::new()
        };
        Ok(Statement::Vacuum(VacuumStmt { is_vacuum, options, relations }))
    }

    pub fn checkpoint(&mut self) -> Result<Statement> {
        self.advance();
        Ok(Statement::CheckPoint(Vec::new()))
    }

    pub fn reindex(&mut self) -> Result<Statement> {
        self.advance();
        let mut options = if self.at(&Token::LParen) { self.utility_options()? } else { Vec::new() };
        let kind = match self.keyword() {
            Some(K::Index) => ReindexKind::Index,
            Some(K::Table) => ReindexKind::Table,
            Some(K::Schema) => ReindexKind::Schema,
            Some(K::System) => ReindexKind::System,
            Some(K::Database) => ReindexKind::Database,
            _ => return Err(self.syntax_error()),
        };
        self.advance();
        let location = self.location();
        if self.accept(K::Concurrently) {
            options.push(DefElem::new("concurrently", None, location));
        }
        let (mut relation, mut name) = (None, None);
        match kind {
            ReindexKind::Index | ReindexKind::Table => relation = Some(self.qualified_name()?),
            ReindexKind::Schema => name = Some(self.col_id()?),
            ReindexKind::System | ReindexKind::Database => {
                if self.is_col_id() {
                    name = Some(self.col_id()?);
                }
            }
        }
        Ok(Statement::Reindex(ReindexStmt { kind, relation, name, options }))
    }

    pub fn cluster(&mut self) -> Result<Statement> {
        self.advance();
        let mut options = Vec::new();
        if self.at(&Token::LParen) {
            options = self.utility_options()?;
        } else {
            let location = self.location();
            if self.accept(K::Verbose) {
                options.push(DefElem::new("verbose", None, location));
            }
        }
        if !self.is_col_id() {
            return Ok(Statement::Cluster(ClusterStmt { relation: None, index: None, options }));
        }
        let mut relation = self.qualified_name()?;
        let mut index = None;
        if self.accept(K::Using) {
            index = Some(self.col_id()?);
        } else if self.accept(K::On) {
            // The old form names the index first.
            index = Some(relation.name);
            relation = self.qualified_name()?;
        }
        Ok(Statement::Cluster(ClusterStmt { relation: Some(relation), index, options }))
    }

    pub fn lock(&mut self) -> Result<Statement> {
        self.advance();
        self.accept(K::Table);
        let relations = self.comma_list(Self::relation_expr)?;
        let mut mode = TableLockMode::AccessExclusive;
        if self.accept(K::In) {
            mode = self.lock_mode()?;
            self.expect(K::Mode)?;
        }
        let nowait = self.accept(K::Nowait);
        Ok(Statement::Lock(LockStmt { relations, mode, nowait }))
    }

    fn lock_mode(&mut self) -> Result<TableLockMode> {
        let modes: &[(&[K], TableLockMode)] = &[
            (&[K::Access, K::Share], TableLockMode::AccessShare),
            (&[K::Row, K::Share], TableLockMode::RowShare),
            (&[K::Row, K::Exclusive], TableLockMode::RowExclusive),
            (&[K::Share, K::Update, K::Exclusive], TableLockMode::ShareUpdateExclusive),
            (&[K::Share, K::Row, K::Exclusive], TableLockMode::ShareRowExclusive),
            (&[K::Share], TableLockMode::Share),
            (&[K::Exclusive], TableLockMode::Exclusive),
            (&[K::Access, K::Exclusive], TableLockMode::AccessExclusive),
        ];
        match modes.iter().find(|(words, _)| self.accept_all(words)) {
            Some((_, mode)) => Ok(*mode),
            None => Err(self.syntax_error()),
        }
    }

    pub fn truncate(&mut self) -> Result<Statement> {
        self.advance();
        self.accept(K::Table);
        let relations = self.comma_list(Self::relation_expr)?;
        let mut restart_seqs = false;
        if self.accept(K::Restart) {
            self.expect(K::Identity)?;
            restart_seqs = true;
        } else if self.accept(K::Continue) {
            self.expect(K::Identity)?;
        }
        let behavior = self.drop_behavior();
        Ok(Statement::Truncate(TruncateStmt { relations, restart_seqs, behavior }))
    }

    pub fn refresh(&mut self) -> Result<Statement> {
        self.advance();
        self.expect_all(&[K::Materialized, K::View])?;
        let concurrent = self.accept(K::Concurrently);
        let relation = self.qualified_name()?;
        let skip_data = self.with_no_data()?;
        Ok(Statement::RefreshMatView(RefreshMatViewStmt { relation, concurrent, skip_data }))
    }

    /// WITH [NO] DATA, or nothing; true for NO DATA.
    pub fn with_no_data(&mut self) -> Result<bool> {
        if !self.accept(K::With) {
            return Ok(false);
        }
        let no = self.accept(K::No);
        self.expect(K::Data)?;
        Ok(no)
    }

    // Notifications.

    pub fn notification(&mut self) -> Result<Statement> {
        let Some(keyword) = self.keyword() else { return Err(self.syntax_error()) };
        self.advance();
        match keyword {
            K::Listen => Ok(Statement::Listen(self.col_id()?)),
            K::Unlisten if self.accept_token(&Token::Mul) => Ok(Statement::Unlisten(None)),
            K::Unlisten => Ok(Statement::Unlisten(Some(self.col_id()?))),
            _ => {
                let channel = self.col_id()?;
                let payload = if self.accept_token(&Token::Comma) { Some(self.string()?) } else { None };
                Ok(Statement::Notify(NotifyStmt { channel, payload }))
            }
        }
    }

    /// Behind SET CONSTRAINTS.
    pub fn set_constraints(&mut self) -> Result<Statement> {
        let constraints =
            if self.accept(K::All) { Vec::new() } else { self.comma_list(Self::qualified_name)? };
        let deferred = self.accept(K::Deferred);
        if !deferred {
            self.expect(K::Immediate)?;
        }
        Ok(Statement::ConstraintsSet(ConstraintsSetStmt { constraints, deferred }))
    }
}
