//! CREATE: which object, and the smaller ones.

use kokkiri_primitives::Result;
use sqlparser::tokenizer::Token;

use crate::keyword::Keyword as K;
use crate::parser::Parser;
use crate::tree::*;

impl Parser<'_> {
    pub fn create(&mut self) -> Result<Statement> {
        self.expect(K::Create)?;
        if self.accept_all(&[K::Or, K::Replace]) {
            return match self.keyword() {
                Some(K::View | K::Recursive | K::Temp | K::Temporary | K::Local | K::Global) => {
                    self.create_temporary(true)
                }
                Some(K::Function | K::Procedure) => self.create_function(true),
                Some(K::Trigger | K::Constraint) => self.create_trigger(true),
                Some(K::Aggregate) => self.create_definition(true),
                _ => Err(self.syntax_error()),
            };
        }
        let Some(keyword) = self.keyword() else { return Err(self.syntax_error()) };
        match keyword {
            K::Table
            | K::Temp
            | K::Temporary
            | K::Local
            | K::Global
            | K::Unlogged
            | K::Materialized
            | K::Sequence
            | K::View
            | K::Recursive => self.create_temporary(false),
            K::Index => {
                self.advance();
                self.create_index(false)
            }
            K::Unique => {
                self.advance();
                self.expect(K::Index)?;
                self.create_index(true)
            }
            K::Schema => self.create_schema(),
            K::Role | K::User | K::Group => {
                self.advance();
                self.create_role(match keyword {
                    K::Role => RoleStmtType::Role,
                    K::User => RoleStmtType::User,
                    _ => RoleStmtType::Group,
                })
            }
            K::Database => self.create_database(),
            K::Tablespace => self.create_tablespace(),
            K::Extension => self.create_extension(),
            K::Type => self.create_type(),
            K::Domain => self.create_domain(),
            K::Aggregate | K::Operator | K::Collation => self.create_definition(false),
            K::Function | K::Procedure => self.create_function(false),
            K::Trigger | K::Constraint => self.create_trigger(false),
            K::Statistics => self.create_statistics(),
            K::Cast => self.create_cast(),
            _ => Err(self.syntax_error()),
        }
    }

    /// `OptTemp`, and UNLOGGED.
    pub fn persistence(&mut self) -> Result<Persistence> {
        if self.is_any(&[K::Local, K::Global]) {
            self.advance();
            if !self.is_any(&[K::Temp, K::Temporary]) {
                return Err(self.syntax_error());
            }
        }
        let persistence = match self.keyword() {
            Some(K::Temp | K::Temporary) => Persistence::Temporary,
            Some(K::Unlogged) => Persistence::Unlogged,
            _ => return Ok(Persistence::Permanent),
        };
        self.advance();
        Ok(persistence)
    }

    /// What may be temporary: tables, sequences, views.
    fn create_temporary(&mut self, replace: bool) -> Result<Statement> {
        let persistence = self.persistence()?;
        match self.keyword() {
            Some(K::Table) if !replace => {
                self.advance();
                self.create_table(persistence)
            }
            Some(K::Materialized) if persistence != Persistence::Temporary => {
                self.advance();
                self.expect(K::View)?;
                let if_not_exists = self.if_not_exists()?;
                let mut relation = self.qualified_name()?;
                relation.persistence = persistence;
                self.create_table_as(relation, if_not_exists, true)
            }
            Some(K::Sequence) if !replace => {
                self.advance();
                let if_not_exists = self.if_not_exists()?;
                let mut sequence = self.qualified_name()?;
                sequence.persistence = persistence;
                let options = self.sequence_options()?;
                Ok(Statement::CreateSeq(CreateSeqStmt { sequence, options, if_not_exists }))
            }
            Some(K::View | K::Recursive) => self.create_view(persistence, replace),
            _ => Err(self.syntax_error()),
        }
    }

    fn create_view(&mut self, persistence: Persistence, replace: bool) -> Result<Statement> {
        let recursive = self.accept(K::Recursive);
        self.expect(K::View)?;
        let location = self.location();
        let mut view = self.qualified_name()?;
        view.persistence = persistence;
        let columns =
            if recursive { self.paren_list(Self::col_id)? } else { self.optional_paren_list(Self::col_id)? };
        let options = self.optional_reloptions()?;
        self.expect(K::As)?;
        let mut query = self.select_statement(None)?;
        if recursive {
            query = recursive_view(&view.name, &columns, query, location);
        }
        let mut check_option = None;
        if self.accept(K::With) {
            check_option = Some(if self.accept(K::Local) {
                ViewCheckOption::Local
            } else {
                self.accept(K::Cascaded);
                ViewCheckOption::Cascaded
            });
            self.expect_all(&[K::Check, K::Option])?;
        }
        Ok(Statement::View(Box::new(ViewStmt { view, columns, query, replace, options, check_option })))
    }

    /// `SeqOptList`.
    pub fn sequence_options(&mut self) -> Result<Vec<DefElem>> {
        let mut options = Vec::new();
        loop {
            let location = self.location();
            let Some(keyword) = self.keyword() else { return Ok(options) };
            let option = match keyword {
                K::As => {
                    self.advance();
                    DefElem::new("as", Some(DefArg::TypeName(self.type_name()?)), location)
                }
                K::Cache | K::Maxvalue | K::Minvalue => {
                    self.advance();
                    DefElem::new(keyword.name(), Some(self.numeric_only()?), location)
                }
                K::Cycle => {
                    self.advance();
                    DefElem::flag("cycle", true, location)
                }
                K::No => {
                    self.advance();
                    let Some(which @ (K::Cycle | K::Maxvalue | K::Minvalue)) = self.keyword() else {
                        return Err(self.syntax_error());
                    };
                    self.advance();
                    let arg = (which == K::Cycle).then_some(DefArg::Boolean(false));
                    DefElem::new(which.name(), arg, location)
                }
                K::Increment => {
                    self.advance();
                    self.accept(K::By);
                    DefElem::new("increment", Some(self.numeric_only()?), location)
                }
                K::Owned => {
                    self.advance();
                    self.expect(K::By)?;
                    DefElem::new("owned_by", Some(DefArg::Name(self.any_name()?)), location)
                }
                K::Sequence => {
                    self.advance();
                    self.expect(K::Name)?;
                    DefElem::new("sequence_name", Some(DefArg::Name(self.any_name()?)), location)
                }
                K::Start => {
                    self.advance();
                    self.accept(K::With);
                    DefElem::new("start", Some(self.numeric_only()?), location)
                }
                K::Restart => {
                    self.advance();
                    let with = self.accept(K::With);
                    let arg = if with || self.at_numeric() { Some(self.numeric_only()?) } else { None };
                    DefElem::new("restart", arg, location)
                }
                K::Logged | K::Unlogged => {
                    self.advance();
                    DefElem::new(keyword.name(), None, location)
                }
                _ => return Ok(options),
            };
            options.push(option);
        }
    }

    fn create_schema(&mut self) -> Result<Statement> {
        self.advance();
        let if_not_exists = self.if_not_exists()?;
        let name = if self.is(K::Authorization) { None } else { Some(self.col_id()?) };
        let authorization = if self.accept(K::Authorization) { Some(self.role_spec()?) } else { None };
        let mut elements = Vec::new();
        while self.is_any(&[K::Create, K::Grant]) {
            let at = self.syntax_error();
            let element = self.statement()?;
            match element {
                Statement::Create(_)
                | Statement::Index(_)
                | Statement::CreateSeq(_)
                | Statement::CreateTrigger(_)
                | Statement::Grant(_)
                | Statement::View(_) => elements.push(element),
                _ => return Err(at),
            }
        }
        Ok(Statement::CreateSchema(CreateSchemaStmt { name, authorization, elements, if_not_exists }))
    }

    fn create_database(&mut self) -> Result<Statement> {
        self.advance();
        let name = self.col_id()?;
        self.accept(K::With);
        let options = self.database_options()?;
        Ok(Statement::Createdb(CreatedbStmt { name, options }))
    }

    /// `createdb_opt_items`.
    pub fn database_options(&mut self) -> Result<Vec<DefElem>> {
        let mut options = Vec::new();
        loop {
            let location = self.location();
            let name = match self.keyword() {
                Some(K::Connection) => {
                    self.advance();
                    self.expect(K::Limit)?;
                    "connection_limit".to_owned()
                }
                Some(K::Encoding | K::Location | K::Owner | K::Tablespace | K::Template) => self.take_name(),
                None if matches!(self.token(), Token::Word(_)) => self.take_name(),
                _ => return Ok(options),
            };
            self.accept_token(&Token::Eq);
            let arg = if self.accept(K::Default) {
                None
            } else if self.at_numeric() {
                Some(self.numeric_only()?)
            } else {
                Some(DefArg::String(self.boolean_or_string()?))
            };
            options.push(DefElem { namespace: None, name, arg, location });
        }
    }

    fn create_tablespace(&mut self) -> Result<Statement> {
        self.advance();
        let name = self.col_id()?;
        let owner = if self.accept(K::Owner) { Some(self.role_spec()?) } else { None };
        self.expect(K::Location)?;
        let location = self.string()?;
        let options = self.optional_reloptions()?;
        Ok(Statement::CreateTablespace(CreateTablespaceStmt { name, owner, location, options }))
    }

    fn create_extension(&mut self) -> Result<Statement> {
        self.advance();
        let if_not_exists = self.if_not_exists()?;
        let name = self.col_id()?;
        self.accept(K::With);
        let mut options = Vec::new();
        loop {
            let location = self.location();
            let option = match self.keyword() {
                Some(K::Schema) => {
                    self.advance();
                    DefElem::new("schema", Some(DefArg::String(self.col_id()?)), location)
                }
                Some(K::Version) => {
                    self.advance();
                    let version = if self.at_string() { self.string()? } else { self.non_reserved_word()? };
                    DefElem::new("new_version", Some(DefArg::String(version)), location)
                }
                Some(K::Cascade) => {
                    self.advance();
                    DefElem::flag("cascade", true, location)
                }
                _ => break,
            };
            options.push(option);
        }
        Ok(Statement::CreateExtension(CreateExtensionStmt { name, if_not_exists, options }))
    }

    fn create_type(&mut self) -> Result<Statement> {
        self.advance();
        let location = self.location();
        let name = self.any_name()?;
        if self.accept(K::As) {
            if self.accept(K::Enum) {
                self.expect_token(&Token::LParen)?;
                let values =
                    if self.at(&Token::RParen) { Vec::new() } else { self.comma_list(Self::string)? };
                self.expect_token(&Token::RParen)?;
                return Ok(Statement::CreateEnum(CreateEnumStmt { name, values }));
            }
            if self.accept(K::Range) {
                let params = self.definition()?;
                return Ok(Statement::CreateRange(CreateRangeStmt { name, params }));
            }
            let name = self.range_var(name, location)?;
            self.expect_token(&Token::LParen)?;
            let columns = if self.at(&Token::RParen) {
                Vec::new()
            } else {
                self.comma_list(|parser| {
                    let location = parser.location();
                    let mut column = super::relation::empty_column(parser.col_id()?, location);
                    column.type_name = Some(parser.type_name()?);
                    column.collation = parser.optional_collation()?;
                    Ok(column)
                })?
            };
            self.expect_token(&Token::RParen)?;
            return Ok(Statement::CompositeType(Box::new(CompositeTypeStmt { name, columns })));
        }
        let definition = if self.at(&Token::LParen) { self.definition()? } else { Vec::new() };
        Ok(Statement::Define(Box::new(DefineStmt {
            object: ObjectType::Type,
            name,
            args: Vec::new(),
            definition,
            if_not_exists: false,
            replace: false,
        })))
    }

    fn create_domain(&mut self) -> Result<Statement> {
        self.advance();
        let name = self.any_name()?;
        self.accept(K::As);
        let type_name = self.type_name()?;
        let mut column = super::relation::empty_column(String::new(), self.location());
        self.column_qualifiers(&mut column)?;
        Ok(Statement::CreateDomain(Box::new(CreateDomainStmt {
            name,
            type_name,
            collation: column.collation,
            constraints: column.constraints,
        })))
    }

    /// CREATE AGGREGATE, OPERATOR and COLLATION.
    fn create_definition(&mut self, replace: bool) -> Result<Statement> {
        let keyword = self.keyword();
        self.advance();
        let mut stmt = DefineStmt {
            object: ObjectType::Operator,
            name: Vec::new(),
            args: Vec::new(),
            definition: Vec::new(),
            if_not_exists: false,
            replace,
        };
        match keyword {
            Some(K::Aggregate) => {
                stmt.object = ObjectType::Aggregate;
                stmt.name = self.function_name()?;
                // The old form has no arguments in front of its definition.
                let old = self.at_offset(2, &Token::Eq);
                if !old {
                    stmt.args = self.aggregate_parameters()?;
                }
                stmt.definition = self.definition()?;
            }
            Some(K::Collation) => {
                stmt.object = ObjectType::Collation;
                stmt.if_not_exists = self.if_not_exists()?;
                stmt.name = self.any_name()?;
                let location = self.location();
                if self.accept(K::From) {
                    let from = DefArg::Name(self.any_name()?);
                    stmt.definition = vec![DefElem::new("from", Some(from), location)];
                } else {
                    stmt.definition = self.definition()?;
                }
            }
            _ => {
                stmt.name = self.any_operator()?;
                stmt.definition = self.definition()?;
            }
        }
        Ok(Statement::Define(Box::new(stmt)))
    }

    fn create_statistics(&mut self) -> Result<Statement> {
        self.advance();
        let if_not_exists = self.if_not_exists()?;
        let name = if self.is_col_id() { self.any_name()? } else { Vec::new() };
        let kinds = self.optional_paren_list(Self::col_id)?;
        self.expect(K::On)?;
        let expressions = self.comma_list(|parser| Ok(parser.index_elem()?.key))?;
        self.expect(K::From)?;
        let relations = self.comma_list(Self::table_reference)?;
        let stmt = CreateStatsStmt { name, kinds, expressions, relations, if_not_exists };
        Ok(Statement::CreateStats(Box::new(stmt)))
    }

    fn create_cast(&mut self) -> Result<Statement> {
        self.advance();
        self.expect_token(&Token::LParen)?;
        let source = self.type_name()?;
        self.expect(K::As)?;
        let target = self.type_name()?;
        self.expect_token(&Token::RParen)?;
        let method = if self.accept(K::Without) {
            self.expect(K::Function)?;
            CastMethod::Binary
        } else {
            self.expect(K::With)?;
            if self.accept(K::Inout) {
                CastMethod::InOut
            } else {
                self.expect(K::Function)?;
                CastMethod::Function(self.function_with_args()?)
            }
        };
        let context = if self.accept_all(&[K::As, K::Implicit]) {
            CastContext::Implicit
        } else if self.accept_all(&[K::As, K::Assignment]) {
            CastContext::Assignment
        } else {
            CastContext::Explicit
        };
        Ok(Statement::CreateCast(Box::new(CreateCastStmt { source, target, method, context })))
    }
}

/// `WITH RECURSIVE name (columns) AS (query) SELECT columns FROM name`.
fn recursive_view(
    name: &str,
    columns: &[String],
    query: SelectStmt,
    location: crate::Location,
) -> SelectStmt {
    let targets = columns
        .iter()
        .map(|column| ResTarget {
            name: None,
            indirection: Vec::new(),
            value: Some(TargetValue::Expr(Expr::ColumnRef(ColumnRef {
                fields: vec![Field::Name(column.clone())],
                location: crate::Location::UNKNOWN,
            }))),
            location: crate::Location::UNKNOWN,
        })
        .collect();
    let relation = RangeVar {
        catalog: None,
        schema: None,
        name: name.to_owned(),
        inherit: true,
        persistence: Persistence::Permanent,
        alias: None,
        location: crate::Location::UNKNOWN,
    };
    let cte = CommonTableExpr {
        name: name.to_owned(),
        columns: columns.to_vec(),
        materialized: CteMaterialize::Default,
        query: Statement::Select(Box::new(query)),
        search: None,
        cycle: None,
        location,
    };
    SelectStmt {
        targets,
        from: vec![TableExpr::Relation(relation)],
        with: Some(WithClause { recursive: true, ctes: vec![cte], location }),
        location,
        ..SelectStmt::default()
    }
}
