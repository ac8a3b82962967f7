//! Tables and indexes: columns, constraints, partitions.

use kokkiri_primitives::{Result, error};
use sqlparser::tokenizer::Token;

use crate::keyword::Keyword as K;
use crate::location::{AtLocation, Location};
use crate::parser::Parser;
use crate::tree::*;

impl Parser<'_> {
    /// Behind CREATE [TEMP] TABLE: a table, or one made by a query.
    pub fn create_table(&mut self, persistence: Persistence) -> Result<Statement> {
        let if_not_exists = self.if_not_exists()?;
        let mut relation = self.qualified_name()?;
        relation.persistence = persistence;
        if self.creates_as() {
            return self.create_table_as(relation, if_not_exists, false);
        }
        let mut stmt = CreateStmt {
            relation,
            elements: Vec::new(),
            inherits: Vec::new(),
            partition_bound: None,
            partition_by: None,
            of_type: None,
            options: Vec::new(),
            on_commit: OnCommit::None,
            tablespace: None,
            access_method: None,
            if_not_exists,
        };
        if self.accept(K::Of) {
            let location = self.location();
            let names = self.any_name()?;
            stmt.of_type = Some(TypeName { names, typmod: -1, location, ..TypeName::default() });
            stmt.elements = self.typed_table_elements()?;
        } else if self.accept_all(&[K::Partition, K::Of]) {
            stmt.inherits = vec![self.qualified_name()?];
            stmt.elements = self.typed_table_elements()?;
            stmt.partition_bound = Some(self.partition_bound()?);
        } else {
            self.expect_token(&Token::LParen)?;
            if !self.at(&Token::RParen) {
                stmt.elements = self.comma_list(Self::table_element)?;
            }
            self.expect_token(&Token::RParen)?;
            if self.accept(K::Inherits) {
                stmt.inherits = self.paren_list(Self::qualified_name)?;
            }
        }
        if self.is(K::Partition) {
            stmt.partition_by = Some(self.partition_spec()?);
        }
        if self.accept(K::Using) {
            stmt.access_method = Some(self.col_id()?);
        }
        stmt.options = self.table_options()?;
        stmt.on_commit = self.on_commit()?;
        if self.accept(K::Tablespace) {
            stmt.tablespace = Some(self.col_id()?);
        }
        Ok(Statement::Create(Box::new(stmt)))
    }

    /// `OptWith`.
    fn table_options(&mut self) -> Result<Vec<DefElem>> {
        if self.is(K::Without) && self.is_at(1, K::Oids) {
            self.advance();
            self.advance();
            return Ok(Vec::new());
        }
        self.optional_reloptions()
    }

    fn on_commit(&mut self) -> Result<OnCommit> {
        if !self.accept(K::On) {
            return Ok(OnCommit::None);
        }
        self.expect(K::Commit)?;
        if self.accept(K::Drop) {
            return Ok(OnCommit::Drop);
        }
        let delete = self.accept(K::Delete);
        if !delete {
            self.expect(K::Preserve)?;
        }
        self.expect(K::Rows)?;
        Ok(if delete { OnCommit::DeleteRows } else { OnCommit::PreserveRows })
    }

    /// True if what follows a table's name makes it CREATE TABLE AS: AS itself, or clauses that only that has
    /// before AS. A column list looks like names alone.
    fn creates_as(&self) -> bool {
        if self.at(&Token::LParen) {
            // `(a, b)` without types is the column list of CREATE TABLE AS.
            return self.is_col_id_at(1)
                && matches!(self.peek_at(2).token, Token::Comma | Token::RParen)
                && !self.is_at(1, K::Like);
        }
        self.is_any(&[K::As, K::Using, K::With, K::On, K::Tablespace]) || self.is(K::Without)
    }

    /// `create_as_target` and what follows it.
    pub fn create_table_as(
        &mut self,
        relation: RangeVar,
        if_not_exists: bool,
        materialized: bool,
    ) -> Result<Statement> {
        let columns = self.optional_paren_list(Self::col_id)?;
        let access_method = if self.accept(K::Using) { Some(self.col_id()?) } else { None };
        let options = if materialized { self.optional_reloptions()? } else { self.table_options()? };
        let on_commit = if materialized { OnCommit::None } else { self.on_commit()? };
        let tablespace = if self.accept(K::Tablespace) { Some(self.col_id()?) } else { None };
        self.expect(K::As)?;
        let query = if !materialized && self.is(K::Execute) {
            self.execute()?
        } else {
            match self.keyword() {
                Some(K::Select | K::Values | K::Table | K::With) => {}
                _ if self.at(&Token::LParen) => {}
                _ => return Err(self.syntax_error()),
            }
            Statement::Select(Box::new(self.select_statement(None)?))
        };
        let skip_data = self.with_no_data()?;
        let into = IntoClause { relation, columns, access_method, options, on_commit, tablespace, skip_data };
        let stmt = CreateTableAsStmt { query, into, materialized, if_not_exists };
        Ok(Statement::CreateTableAs(Box::new(stmt)))
    }

    /// CREATE TABLE AS and CREATE MATERIALIZED VIEW: all of CREATE that EXPLAIN takes.
    pub fn create_as_for_explain(&mut self) -> Result<Statement> {
        self.expect(K::Create)?;
        let persistence = self.persistence()?;
        let materialized = persistence != Persistence::Temporary && self.accept(K::Materialized);
        self.expect(if materialized { K::View } else { K::Table })?;
        let if_not_exists = self.if_not_exists()?;
        let mut relation = self.qualified_name()?;
        relation.persistence = persistence;
        self.create_table_as(relation, if_not_exists, materialized)
    }

    fn typed_table_elements(&mut self) -> Result<Vec<TableElement>> {
        self.optional_paren_list(|parser| {
            if parser.at_table_constraint() {
                return Ok(TableElement::Constraint(parser.table_constraint()?));
            }
            let location = parser.location();
            let name = parser.col_id()?;
            parser.accept_all(&[K::With, K::Options]);
            let mut column = empty_column(name, location);
            parser.column_qualifiers(&mut column)?;
            Ok(TableElement::Column(column))
        })
    }

    fn at_table_constraint(&self) -> bool {
        match self.keyword() {
            Some(K::Constraint | K::Check | K::Unique | K::Primary | K::Foreign) => true,
            Some(K::Exclude) => self.is_at(1, K::Using) || self.at_offset(1, &Token::LParen),
            Some(K::Not) => self.is_at(1, K::Null),
            _ => false,
        }
    }

    fn table_element(&mut self) -> Result<TableElement> {
        if self.at_table_constraint() {
            return Ok(TableElement::Constraint(self.table_constraint()?));
        }
        if self.accept(K::Like) {
            let relation = self.qualified_name()?;
            let mut options = Vec::new();
            while self.is_any(&[K::Including, K::Excluding]) {
                let including = self.is(K::Including);
                self.advance();
                options.push((including, self.like_option()?));
            }
            return Ok(TableElement::Like { relation, options });
        }
        Ok(TableElement::Column(self.column_def()?))
    }

    fn like_option(&mut self) -> Result<TableLikeOption> {
        let option = match self.keyword() {
            Some(K::Comments) => TableLikeOption::Comments,
            Some(K::Compression) => TableLikeOption::Compression,
            Some(K::Constraints) => TableLikeOption::Constraints,
            Some(K::Defaults) => TableLikeOption::Defaults,
            Some(K::Identity) => TableLikeOption::Identity,
            Some(K::Generated) => TableLikeOption::Generated,
            Some(K::Indexes) => TableLikeOption::Indexes,
            Some(K::Statistics) => TableLikeOption::Statistics,
            Some(K::Storage) => TableLikeOption::Storage,
            Some(K::All) => TableLikeOption::All,
            _ => return Err(self.syntax_error()),
        };
        self.advance();
        Ok(option)
    }

    /// `columnDef`.
    pub fn column_def(&mut self) -> Result<ColumnDef> {
        let location = self.location();
        let name = self.col_id()?;
        let mut column = empty_column(name, location);
        column.type_name = Some(self.type_name()?);
        if self.accept(K::Storage) {
            column.storage =
                Some(if self.accept(K::Default) { "default".to_owned() } else { self.col_id()? });
        }
        if self.accept(K::Compression) {
            column.compression =
                Some(if self.accept(K::Default) { "default".to_owned() } else { self.col_id()? });
        }
        self.column_qualifiers(&mut column)?;
        Ok(column)
    }

    /// `ColQualList`. DEFERRABLE and its kin apply to the constraint before them.
    pub fn column_qualifiers(&mut self, column: &mut ColumnDef) -> Result<()> {
        loop {
            let location = self.location();
            if let Some(collation) = self.optional_collation()? {
                if column.collation.is_some() {
                    return Err(
                        error!(SYNTAX_ERROR, "multiple COLLATE clauses not allowed").at_location(location)
                    );
                }
                column.collation = Some(collation);
                continue;
            }
            if let Some(last) = column.constraints.last_mut()
                && self.constraint_attribute(last)?
            {
                continue;
            }
            match self.column_constraint()? {
                Some(constraint) => column.constraints.push(constraint),
                None => return Ok(()),
            }
        }
    }

    pub fn column_constraint(&mut self) -> Result<Option<Constraint>> {
        let location = self.location();
        let name = if self.accept(K::Constraint) { Some(self.col_id()?) } else { None };
        let mut no_inherit = false;
        let kind = match self.keyword() {
            Some(K::Not) if self.is_at(1, K::Null) => {
                self.advance();
                self.advance();
                no_inherit = self.accept_all(&[K::No, K::Inherit]);
                ConstraintKind::NotNull { column: None }
            }
            Some(K::Null) => {
                self.advance();
                ConstraintKind::Null
            }
            Some(K::Unique) => {
                self.advance();
                let nulls_not_distinct = self.nulls_not_distinct()?;
                ConstraintKind::Unique { nulls_not_distinct, index: self.index_options(Vec::new())? }
            }
            Some(K::Primary) => {
                self.advance();
                self.expect(K::Key)?;
                ConstraintKind::Primary(self.index_options(Vec::new())?)
            }
            Some(K::Check) => {
                self.advance();
                let expr = self.parenthesised_expression()?;
                no_inherit = self.accept_all(&[K::No, K::Inherit]);
                ConstraintKind::Check(expr)
            }
            Some(K::Default) => {
                self.advance();
                ConstraintKind::Default(self.restricted_expression()?)
            }
            Some(K::Generated) => self.generated()?,
            Some(K::References) => {
                self.advance();
                ConstraintKind::Foreign(self.foreign_key(Vec::new(), false)?)
            }
            _ if name.is_some() => return Err(self.syntax_error()),
            _ => return Ok(None),
        };
        Ok(Some(Constraint {
            name,
            kind,
            deferrable: None,
            initially_deferred: None,
            not_valid: false,
            enforced: None,
            no_inherit,
            location,
        }))
    }

    fn generated(&mut self) -> Result<ConstraintKind> {
        self.advance();
        let at = self.location();
        let always = self.accept(K::Always);
        if !always {
            self.expect_all(&[K::By, K::Default])?;
        }
        self.expect(K::As)?;
        if self.accept(K::Identity) {
            let mut options = Vec::new();
            if self.accept_token(&Token::LParen) {
                options = self.sequence_options()?;
                self.expect_token(&Token::RParen)?;
            }
            return Ok(ConstraintKind::Identity { always, options });
        }
        let expr = self.parenthesised_expression()?;
        let stored = self.accept(K::Stored);
        if !stored {
            self.accept(K::Virtual);
        }
        if !always {
            let message = "for a generated column, GENERATED ALWAYS must be specified";
            return Err(error!(SYNTAX_ERROR, "{message}").at_location(at));
        }
        Ok(ConstraintKind::Generated { expr, stored })
    }

    pub fn parenthesised_expression(&mut self) -> Result<Expr> {
        self.expect_token(&Token::LParen)?;
        let expr = self.expression()?;
        self.expect_token(&Token::RParen)?;
        Ok(expr)
    }

    fn nulls_not_distinct(&mut self) -> Result<bool> {
        if self.is(K::Nulls) && matches!(self.keyword_at(1), Some(K::Not | K::Distinct)) {
            self.advance();
            let not = self.accept(K::Not);
            self.expect(K::Distinct)?;
            return Ok(not);
        }
        Ok(false)
    }

    /// One attribute of a constraint, if one stands here.
    fn constraint_attribute(&mut self, constraint: &mut Constraint) -> Result<bool> {
        let not = self.is(K::Not);
        let conflict =
            |location: Location, message: &str| Err(error!(SYNTAX_ERROR, "{message}").at_location(location));
        let location = self.location();
        match self.keyword_at(usize::from(not)) {
            Some(K::Deferrable) => {
                if constraint.deferrable.is_some_and(|deferrable| deferrable == not) {
                    return conflict(location, "conflicting constraint properties");
                }
                if not && constraint.initially_deferred == Some(true) {
                    let message = "constraint declared INITIALLY DEFERRED must be DEFERRABLE";
                    return conflict(location, message);
                }
                constraint.deferrable = Some(!not);
            }
            Some(K::Enforced) => constraint.enforced = Some(!not),
            Some(K::Valid) if not => constraint.not_valid = true,
            Some(K::Initially) if !not => {
                self.advance();
                if !self.is_any(&[K::Deferred, K::Immediate]) {
                    return Err(self.syntax_error());
                }
                let deferred = self.is(K::Deferred);
                if deferred {
                    if constraint.deferrable == Some(false) {
                        let message = "constraint declared INITIALLY DEFERRED must be DEFERRABLE";
                        return conflict(location, message);
                    }
                    constraint.deferrable = Some(true);
                }
                constraint.initially_deferred = Some(deferred);
            }
            Some(K::Inherit) if not => return Ok(false),
            _ => return Ok(false),
        }
        if not {
            self.advance();
        }
        self.advance();
        Ok(true)
    }

    /// `ConstraintElem` with its name and attributes.
    pub fn table_constraint(&mut self) -> Result<Constraint> {
        let location = self.location();
        let name = if self.accept(K::Constraint) { Some(self.col_id()?) } else { None };
        let kind = match self.keyword() {
            Some(K::Check) => {
                self.advance();
                ConstraintKind::Check(self.parenthesised_expression()?)
            }
            Some(K::Not) => {
                self.expect_all(&[K::Not, K::Null])?;
                ConstraintKind::NotNull { column: Some(self.col_id()?) }
            }
            Some(K::Unique) => {
                self.advance();
                let nulls_not_distinct = self.nulls_not_distinct()?;
                ConstraintKind::Unique { nulls_not_distinct, index: self.keyed_index()? }
            }
            Some(K::Primary) => {
                self.advance();
                self.expect(K::Key)?;
                ConstraintKind::Primary(self.keyed_index()?)
            }
            Some(K::Foreign) => {
                self.advance();
                self.expect(K::Key)?;
                let (columns, period) = self.key_columns(K::Period)?;
                self.expect(K::References)?;
                ConstraintKind::Foreign(self.foreign_key(columns, period)?)
            }
            Some(K::Exclude) => self.exclusion()?,
            _ => return Err(self.syntax_error()),
        };
        let mut constraint = Constraint {
            name,
            kind,
            deferrable: None,
            initially_deferred: None,
            not_valid: false,
            enforced: None,
            no_inherit: false,
            location,
        };
        loop {
            if self.accept_all(&[K::No, K::Inherit]) {
                constraint.no_inherit = true;
            } else if !self.constraint_attribute(&mut constraint)? {
                return Ok(constraint);
            }
        }
    }

    fn exclusion(&mut self) -> Result<ConstraintKind> {
        self.advance();
        let access_method = if self.accept(K::Using) { self.col_id()? } else { "gist".to_owned() };
        let elements = self.paren_list(|parser| {
            let element = parser.index_elem()?;
            parser.expect(K::With)?;
            let operator =
                if parser.is(K::Operator) { parser.qualified_operator()? } else { parser.any_operator()? };
            Ok((element, operator))
        })?;
        let index = self.index_options(Vec::new())?;
        let where_clause = if self.accept(K::Where) { Some(self.parenthesised_expression()?) } else { None };
        Ok(ConstraintKind::Exclusion { access_method, elements, index, where_clause })
    }

    /// Columns of a key, of which the last may be a period; `word` introduces it.
    fn key_columns(&mut self, word: K) -> Result<(Vec<String>, bool)> {
        let mut period = false;
        let columns = self.paren_list(|parser| {
            if parser.is(word) && parser.is_col_id_at(1) {
                parser.advance();
                period = true;
            }
            parser.col_id()
        })?;
        Ok((columns, period))
    }

    /// Behind PRIMARY KEY and UNIQUE of a table: columns, or an existing index.
    fn keyed_index(&mut self) -> Result<IndexConstraint> {
        if self.accept_all(&[K::Using, K::Index]) {
            return Ok(IndexConstraint { index_name: Some(self.col_id()?), ..IndexConstraint::default() });
        }
        let mut without_overlaps = false;
        let columns = self.paren_list(|parser| {
            let name = parser.col_id()?;
            without_overlaps |= parser.accept_all(&[K::Without, K::Overlaps]);
            Ok(name)
        })?;
        let mut index = self.index_options(columns)?;
        index.without_overlaps = without_overlaps;
        Ok(index)
    }

    fn index_options(&mut self, columns: Vec<String>) -> Result<IndexConstraint> {
        let mut index = IndexConstraint { columns, ..IndexConstraint::default() };
        if self.accept(K::Include) {
            index.including = self.paren_list(Self::col_id)?;
        }
        if self.is(K::With) && self.at_offset(1, &Token::LParen) {
            self.advance();
            index.options = self.definition()?;
        }
        if self.accept_all(&[K::Using, K::Index]) {
            self.expect(K::Tablespace)?;
            index.tablespace = Some(self.col_id()?);
        }
        Ok(index)
    }

    /// Behind REFERENCES.
    fn foreign_key(&mut self, columns: Vec<String>, period: bool) -> Result<ForeignKey> {
        let table = self.qualified_name()?;
        let (referenced, referenced_period) =
            if self.at(&Token::LParen) { self.key_columns(K::Period)? } else { (Vec::new(), false) };
        let mut key = ForeignKey {
            columns,
            period,
            table,
            referenced,
            referenced_period,
            match_type: FkMatch::Simple,
            on_update: FkAction::NoAction,
            on_delete: FkAction::NoAction,
            delete_columns: Vec::new(),
        };
        if self.accept(K::Match) {
            let location = self.location();
            key.match_type = match self.keyword() {
                Some(K::Full) => FkMatch::Full,
                Some(K::Simple) => FkMatch::Simple,
                Some(K::Partial) => {
                    return Err(error!(FEATURE_NOT_SUPPORTED, "MATCH PARTIAL not yet implemented")
                        .at_location(location));
                }
                _ => return Err(self.syntax_error()),
            };
            self.advance();
        }
        while self.is(K::On) && matches!(self.keyword_at(1), Some(K::Delete | K::Update)) {
            let update = self.is_at(1, K::Update);
            self.advance();
            self.advance();
            let action = self.key_action()?;
            if update {
                key.on_update = action;
            } else {
                key.on_delete = action;
            }
            if matches!(action, FkAction::SetNull | FkAction::SetDefault) && self.at(&Token::LParen) {
                let location = self.location();
                let columns = self.paren_list(Self::col_id)?;
                if update {
                    let word = if action == FkAction::SetNull { "SET NULL" } else { "SET DEFAULT" };
                    let message =
                        format!("a column list with {word} is only supported for ON DELETE actions");
                    return Err(error!(FEATURE_NOT_SUPPORTED, "{message}").at_location(location));
                }
                key.delete_columns = columns;
            }
        }
        Ok(key)
    }

    fn key_action(&mut self) -> Result<FkAction> {
        if self.accept(K::No) {
            self.expect(K::Action)?;
            return Ok(FkAction::NoAction);
        }
        if self.accept(K::Restrict) {
            return Ok(FkAction::Restrict);
        }
        if self.accept(K::Cascade) {
            return Ok(FkAction::Cascade);
        }
        self.expect(K::Set)?;
        if self.accept(K::Null) {
            return Ok(FkAction::SetNull);
        }
        self.expect(K::Default)?;
        Ok(FkAction::SetDefault)
    }

    // Partitions.

    fn partition_spec(&mut self) -> Result<PartitionSpec> {
        let location = self.location();
        self.expect_all(&[K::Partition, K::By])?;
        let strategy = self.col_id()?;
        let elements = self.paren_list(|parser| {
            let location = parser.location();
            let element = parser.index_elem()?;
            let (column, expr) = match element.key {
                IndexKey::Column(name) => (Some(name), None),
                IndexKey::Expr(expr) => (None, Some(expr)),
            };
            Ok(PartitionElem {
                column,
                expr,
                collation: element.collation,
                opclass: element.opclass,
                location,
            })
        })?;
        Ok(PartitionSpec { strategy, elements, location })
    }

    /// `PartitionBoundSpec`.
    pub fn partition_bound(&mut self) -> Result<PartitionBoundSpec> {
        if self.accept(K::Default) {
            return Ok(PartitionBoundSpec::Default);
        }
        self.expect_all(&[K::For, K::Values])?;
        if self.accept(K::In) {
            return Ok(PartitionBoundSpec::List(self.paren_list(Self::expression)?));
        }
        if self.accept(K::From) {
            let lower = self.paren_list(Self::expression)?;
            self.expect(K::To)?;
            return Ok(PartitionBoundSpec::Range { lower, upper: self.paren_list(Self::expression)? });
        }
        self.expect(K::With)?;
        let (mut modulus, mut remainder) = (0, 0);
        self.paren_list(|parser| {
            let at = parser.location();
            match parser.non_reserved_word()?.as_str() {
                "modulus" => modulus = parser.integer()?,
                "remainder" => remainder = parser.integer()?,
                other => {
                    let message = format!("unrecognized hash partition bound specification \"{other}\"");
                    return Err(error!(SYNTAX_ERROR, "{message}").at_location(at));
                }
            }
            Ok(())
        })?;
        Ok(PartitionBoundSpec::Hash { modulus, remainder })
    }

    /// Behind CREATE [UNIQUE] INDEX.
    pub fn create_index(&mut self, unique: bool) -> Result<Statement> {
        let concurrent = self.accept(K::Concurrently);
        let if_not_exists = self.if_not_exists()?;
        let name = if !self.is(K::On) || if_not_exists { Some(self.col_id()?) } else { None };
        self.expect(K::On)?;
        let relation = self.relation_expr()?;
        let access_method = if self.accept(K::Using) { self.col_id()? } else { "btree".to_owned() };
        let elements = self.paren_list(Self::index_elem)?;
        let including = if self.accept(K::Include) { self.paren_list(Self::index_elem)? } else { Vec::new() };
        let nulls_not_distinct = self.nulls_not_distinct()?;
        let options = self.optional_reloptions()?;
        let tablespace = if self.accept(K::Tablespace) { Some(self.col_id()?) } else { None };
        let where_clause = self.optional_where()?;
        Ok(Statement::Index(Box::new(IndexStmt {
            name,
            relation,
            access_method,
            elements,
            including,
            options,
            tablespace,
            where_clause,
            unique,
            nulls_not_distinct,
            concurrent,
            if_not_exists,
        })))
    }
}

pub(super) fn empty_column(name: String, location: Location) -> ColumnDef {
    ColumnDef {
        name,
        type_name: None,
        compression: None,
        storage: None,
        collation: None,
        constraints: Vec::new(),
        fdw_options: Vec::new(),
        location,
    }
}
