//! Functions, procedures, triggers, DO and CALL.

use kokkiri_primitives::{Result, error};
use sqlparser::tokenizer::Token;

use crate::keyword::Keyword as K;
use crate::location::AtLocation;
use crate::parser::Parser;
use crate::tree::*;

impl Parser<'_> {
    /// Behind CREATE [OR REPLACE].
    pub fn create_function(&mut self, replace: bool) -> Result<Statement> {
        let procedure = self.is(K::Procedure);
        self.advance();
        let name = self.function_name()?;
        self.expect_token(&Token::LParen)?;
        let mut parameters = Vec::new();
        if !self.at(&Token::RParen) {
            parameters = self.comma_list(Self::function_parameter)?;
        }
        self.expect_token(&Token::RParen)?;
        let mut return_type = None;
        if !procedure && self.accept(K::Returns) {
            if self.is(K::Table) {
                self.advance();
                parameters.extend(self.paren_list(|parser| {
                    let location = parser.location();
                    let name = Some(parser.type_function_name()?);
                    let type_name = parser.func_type()?;
                    let mode = ParameterMode::Table;
                    Ok(FunctionParameter { name, type_name, mode, default: None, location })
                })?);
            } else {
                return_type = Some(self.func_type()?);
            }
        }
        let mut options = Vec::new();
        while let Some(option) = self.function_option(true)? {
            options.push(option);
        }
        let sql_body = self.routine_body()?;
        let stmt =
            CreateFunctionStmt { procedure, replace, name, parameters, return_type, options, sql_body };
        Ok(Statement::CreateFunction(Box::new(stmt)))
    }

    /// `func_arg_with_default`.
    fn function_parameter(&mut self) -> Result<FunctionParameter> {
        let location = self.location();
        let mut mode = self.parameter_mode();
        let mut name = None;
        // A name if a type or a mode follows it.
        let named = self.is_name_at(0, TYPE_FUNCTION_NAME)
            && (self.is_name_at(1, NON_RESERVED) || self.is_at(1, K::Setof) || self.at_mode(1))
            && !self.at_const_type_name();
        if named {
            name = Some(self.type_function_name()?);
            if mode.is_none() {
                mode = self.parameter_mode();
            }
        }
        let type_name = self.func_type()?;
        let default = if self.accept(K::Default) || self.accept_token(&Token::Eq) {
            Some(self.expression()?)
        } else {
            None
        };
        Ok(FunctionParameter { name, type_name, mode: mode.unwrap_or_default(), default, location })
    }

    fn at_mode(&self, offset: usize) -> bool {
        matches!(self.keyword_at(offset), Some(K::In | K::Out | K::Inout | K::Variadic))
    }

    fn parameter_mode(&mut self) -> Option<ParameterMode> {
        if !self.at_mode(0) {
            return None;
        }
        let keyword = self.keyword();
        self.advance();
        Some(match keyword {
            Some(K::In) if self.accept(K::Out) => ParameterMode::InOut,
            Some(K::In) => ParameterMode::In,
            Some(K::Out) => ParameterMode::Out,
            Some(K::Inout) => ParameterMode::InOut,
            _ => ParameterMode::Variadic,
        })
    }

    /// `aggr_args`: `(*)`, or parameters, perhaps with ORDER BY between direct and aggregated ones.
    pub fn aggregate_parameters(&mut self) -> Result<Vec<FunctionParameter>> {
        self.expect_token(&Token::LParen)?;
        if self.accept_token(&Token::Mul) {
            self.expect_token(&Token::RParen)?;
            return Ok(Vec::new());
        }
        let mut parameters = Vec::new();
        if !self.is(K::Order) {
            parameters = self.comma_list(Self::function_parameter)?;
        }
        if self.accept(K::Order) {
            self.expect(K::By)?;
            parameters.extend(self.comma_list(Self::function_parameter)?);
        }
        self.expect_token(&Token::RParen)?;
        Ok(parameters)
    }

    /// `createfunc_opt_item`, or `common_func_opt_item` of ALTER FUNCTION.
    fn function_option(&mut self, create: bool) -> Result<Option<DefElem>> {
        let location = self.location();
        let Some(keyword) = self.keyword() else { return Ok(None) };
        let text = |name: &str, value: &str| {
            Ok(Some(DefElem::new(name, Some(DefArg::String(value.to_owned())), location)))
        };
        let flag = |name: &str, value: bool| Ok(Some(DefElem::flag(name, value, location)));
        match keyword {
            K::As if create => {
                self.advance();
                let mut parts = vec![DefArg::String(self.string()?)];
                if self.accept_token(&Token::Comma) {
                    parts.push(DefArg::String(self.string()?));
                }
                Ok(Some(DefElem::new("as", Some(DefArg::List(parts)), location)))
            }
            K::Language if create => {
                self.advance();
                let name = if self.at_string() { self.string()? } else { self.non_reserved_word()? };
                text("language", &name)
            }
            K::Transform if create => {
                self.advance();
                let types = self.comma_list(|parser| {
                    parser.expect_all(&[K::For, K::Type])?;
                    parser.type_name().map(DefArg::TypeName)
                })?;
                Ok(Some(DefElem::new("transform", Some(DefArg::List(types)), location)))
            }
            K::Window if create => {
                self.advance();
                flag("window", true)
            }
            K::Called => {
                self.advance();
                self.expect_all(&[K::On, K::Null, K::Input])?;
                flag("strict", false)
            }
            K::Returns => {
                self.advance();
                self.expect_all(&[K::Null, K::On, K::Null, K::Input])?;
                flag("strict", true)
            }
            K::Strict => {
                self.advance();
                flag("strict", true)
            }
            K::Immutable | K::Stable | K::Volatile => {
                self.advance();
                text("volatility", keyword.name())
            }
            K::External | K::Security => {
                self.advance();
                if keyword == K::External {
                    self.expect(K::Security)?;
                }
                let definer = self.accept(K::Definer);
                if !definer {
                    self.expect(K::Invoker)?;
                }
                flag("security", definer)
            }
            K::Leakproof => {
                self.advance();
                flag("leakproof", true)
            }
            K::Not if self.is_at(1, K::Leakproof) => {
                self.advance();
                self.advance();
                flag("leakproof", false)
            }
            K::Cost | K::Rows => {
                self.advance();
                Ok(Some(DefElem::new(keyword.name(), Some(self.numeric_only()?), location)))
            }
            K::Support => {
                self.advance();
                Ok(Some(DefElem::new("support", Some(DefArg::Name(self.any_name()?)), location)))
            }
            K::Parallel => {
                self.advance();
                let value = self.col_id()?;
                text("parallel", &value)
            }
            K::Set | K::Reset => {
                let set = self.set_reset_clause()?;
                Ok(Some(DefElem::new("set", Some(DefArg::VariableSet(Box::new(set))), location)))
            }
            _ => Ok(None),
        }
    }

    /// `opt_routine_body`.
    fn routine_body(&mut self) -> Result<Option<Vec<Statement>>> {
        if self.accept(K::Return) {
            let location = self.location();
            let value = Some(TargetValue::Expr(self.expression()?));
            let target = ResTarget { name: None, indirection: Vec::new(), value, location };
            let select = SelectStmt { targets: vec![target], location, ..SelectStmt::default() };
            return Ok(Some(vec![Statement::Select(Box::new(select))]));
        }
        if !self.accept_all(&[K::Begin, K::Atomic]) {
            return Ok(None);
        }
        let mut statements = Vec::new();
        while !self.is(K::End) {
            if self.accept_token(&Token::SemiColon) {
                continue;
            }
            statements.push(self.statement()?);
            self.expect_token(&Token::SemiColon)?;
        }
        self.advance();
        Ok(Some(statements))
    }

    /// Behind ALTER FUNCTION name: actions.
    pub fn alter_function_options(
        &mut self,
        object: ObjectType,
        function: ObjectWithArgs,
    ) -> Result<Statement> {
        let mut actions = Vec::new();
        while let Some(action) = self.function_option(false)? {
            actions.push(action);
        }
        if actions.is_empty() {
            return Err(self.syntax_error());
        }
        self.accept(K::Restrict);
        Ok(Statement::AlterFunction(Box::new(AlterFunctionStmt { object, function, actions })))
    }

    /// `function_with_argtypes`.
    pub fn function_with_args(&mut self) -> Result<ObjectWithArgs> {
        let name = self.function_name()?;
        if !self.at(&Token::LParen) {
            return Ok(ObjectWithArgs { name, args: None });
        }
        self.advance();
        let mut args = Vec::new();
        if !self.at(&Token::RParen) {
            let parameters = self.comma_list(Self::function_parameter)?;
            args = parameters
                .into_iter()
                .filter(|parameter| !matches!(parameter.mode, ParameterMode::Out | ParameterMode::Table))
                .map(|parameter| Some(parameter.type_name))
                .collect();
        }
        self.expect_token(&Token::RParen)?;
        Ok(ObjectWithArgs { name, args: Some(args) })
    }

    /// `aggregate_with_argtypes`.
    pub fn aggregate_with_args(&mut self) -> Result<ObjectWithArgs> {
        let name = self.function_name()?;
        let parameters = self.aggregate_parameters()?;
        let args = parameters.into_iter().map(|parameter| Some(parameter.type_name)).collect();
        Ok(ObjectWithArgs { name, args: Some(args) })
    }

    /// `operator_with_argtypes`.
    pub fn operator_with_args(&mut self) -> Result<ObjectWithArgs> {
        let name = self.any_operator()?;
        self.expect_token(&Token::LParen)?;
        let side = |parser: &mut Self| {
            if parser.accept(K::None) { Ok(None) } else { parser.type_name().map(Some) }
        };
        let left = side(self)?;
        if self.at(&Token::RParen) {
            return Err(error!(SYNTAX_ERROR, "missing argument")
                .hint("Use NONE to denote the missing argument of a unary operator.")
                .at(self.offset()));
        }
        self.expect_token(&Token::Comma)?;
        let right = side(self)?;
        self.expect_token(&Token::RParen)?;
        Ok(ObjectWithArgs { name, args: Some(vec![left, right]) })
    }

    pub fn do_block(&mut self) -> Result<Statement> {
        self.advance();
        let mut args = Vec::new();
        loop {
            let location = self.location();
            if self.at_string() {
                args.push(DefElem::new("as", Some(DefArg::String(self.string()?)), location));
            } else if self.accept(K::Language) {
                let name = if self.at_string() { self.string()? } else { self.non_reserved_word()? };
                args.push(DefElem::new("language", Some(DefArg::String(name)), location));
            } else if args.is_empty() {
                return Err(self.syntax_error());
            } else {
                return Ok(Statement::Do(DoStmt { args }));
            }
        }
    }

    pub fn call(&mut self) -> Result<Statement> {
        self.advance();
        let location = self.location();
        let name = self.function_name()?;
        let function = self.function_application(name, location)?;
        Ok(Statement::Call(Box::new(CallStmt { function })))
    }

    /// Behind CREATE [OR REPLACE].
    pub fn create_trigger(&mut self, replace: bool) -> Result<Statement> {
        let constraint = self.accept(K::Constraint);
        self.expect(K::Trigger)?;
        let name = self.col_id()?;
        let timing = if self.accept(K::After) {
            TriggerTiming::After
        } else if !constraint && self.accept(K::Before) {
            TriggerTiming::Before
        } else if !constraint && self.accept_all(&[K::Instead, K::Of]) {
            TriggerTiming::InsteadOf
        } else {
            return Err(self.syntax_error());
        };
        let mut events = vec![self.trigger_event()?];
        while self.accept(K::Or) {
            let location = self.location();
            let event = self.trigger_event()?;
            let same = |other: &TriggerEvent| std::mem::discriminant(other) == std::mem::discriminant(&event);
            if events.iter().any(same) {
                return Err(error!(SYNTAX_ERROR, "duplicate trigger events specified").at_location(location));
            }
            events.push(event);
        }
        self.expect(K::On)?;
        let relation = self.qualified_name()?;
        let mut stmt = CreateTriggerStmt {
            replace,
            constraint,
            name,
            relation,
            timing,
            events,
            row: constraint,
            transitions: Vec::new(),
            when: None,
            function: Vec::new(),
            args: Vec::new(),
            deferrable: false,
            initially_deferred: false,
            constrained: None,
        };
        if constraint {
            self.constraint_trigger(&mut stmt)?;
        } else {
            if self.accept(K::Referencing) {
                while self.is_any(&[K::Old, K::New]) {
                    let new = self.is(K::New);
                    self.advance();
                    let table = self.accept(K::Table);
                    if !table {
                        self.expect(K::Row)?;
                    }
                    self.accept(K::As);
                    stmt.transitions.push(TriggerTransition { name: self.col_id()?, new, table });
                }
            }
            if self.accept(K::For) {
                self.accept(K::Each);
                stmt.row = self.accept(K::Row);
                if !stmt.row {
                    self.expect(K::Statement)?;
                }
            }
        }
        if self.accept(K::When) {
            stmt.when = Some(self.parenthesised_expression()?);
        }
        self.expect(K::Execute)?;
        if !self.accept(K::Function) {
            self.expect(K::Procedure)?;
        }
        stmt.function = self.function_name()?;
        self.expect_token(&Token::LParen)?;
        if !self.at(&Token::RParen) {
            stmt.args = self.comma_list(|parser| match parser.token() {
                Token::Number(..) | Token::SingleQuotedString(_) => match parser.take() {
                    Token::Number(text, _) | Token::SingleQuotedString(text) => Ok(text),
                    _ => Err(parser.syntax_error()),
                },
                _ => parser.col_label(),
            })?;
        }
        self.expect_token(&Token::RParen)?;
        Ok(Statement::CreateTrigger(Box::new(stmt)))
    }

    fn constraint_trigger(&mut self, stmt: &mut CreateTriggerStmt) -> Result<()> {
        if self.accept(K::From) {
            stmt.constrained = Some(self.qualified_name()?);
        }
        loop {
            if self.accept_all(&[K::Not, K::Deferrable]) {
                stmt.deferrable = false;
            } else if self.accept(K::Deferrable) {
                stmt.deferrable = true;
            } else if self.accept(K::Initially) {
                stmt.initially_deferred = self.accept(K::Deferred);
                stmt.deferrable |= stmt.initially_deferred;
                if !stmt.initially_deferred {
                    self.expect(K::Immediate)?;
                }
            } else {
                break;
            }
        }
        self.expect_all(&[K::For, K::Each, K::Row])
    }

    fn trigger_event(&mut self) -> Result<TriggerEvent> {
        let keyword = self.keyword();
        let event = match keyword {
            Some(K::Insert) => TriggerEvent::Insert,
            Some(K::Delete) => TriggerEvent::Delete,
            Some(K::Truncate) => TriggerEvent::Truncate,
            Some(K::Update) => {
                self.advance();
                let columns = if self.accept(K::Of) { self.name_list()? } else { Vec::new() };
                return Ok(TriggerEvent::Update(columns));
            }
            _ => return Err(self.syntax_error()),
        };
        self.advance();
        Ok(event)
    }
}

const TYPE_FUNCTION_NAME: &[crate::Category] = &[crate::Category::Unreserved, crate::Category::TypeFuncName];
const NON_RESERVED: &[crate::Category] =
    &[crate::Category::Unreserved, crate::Category::ColName, crate::Category::TypeFuncName];
