//! Column references and function calls, the standard's special call forms among them.

use kokkiri_primitives::{Result, error};
use sqlparser::tokenizer::Token;

use super::constant::system_cast;
use super::expression::string_const;
use crate::keyword::{Category, Keyword as K};
use crate::location::Location;
use crate::parser::Parser;
use crate::tree::*;

impl FuncCall {
    fn new(name: Vec<String>, args: Vec<Expr>, form: CoercionForm, location: Location) -> Self {
        Self {
            name,
            args,
            order: Vec::new(),
            filter: None,
            over: None,
            within_group: false,
            star: false,
            distinct: false,
            variadic: false,
            form,
            location,
        }
    }

    /// A call the grammar puts in for a construct of the standard.
    pub(crate) fn system(name: &str, args: Vec<Expr>, form: CoercionForm, location: Location) -> Expr {
        let name = vec!["pg_catalog".to_owned(), name.to_owned()];
        Expr::FuncCall(Box::new(Self::new(name, args, form, location)))
    }
}

impl Parser<'_> {
    /// What starts with a name: a column, a call, or a typed literal.
    pub fn name_primary(&mut self, location: Location) -> Result<Expr> {
        let category = self.keyword().map(Keyword::category);
        match category {
            Some(Category::Reserved) => return Err(self.syntax_error()),
            Some(Category::TypeFuncName) => {
                let name = vec![self.take_name()];
                return self.function_or_literal(name, location);
            }
            Some(Category::ColName) if !self.at_offset(1, &Token::Period) => {
                // Names of columns only: a parenthesis or a string behind is a syntax error there.
                let name = self.take_name();
                return self.column_ref(name, Vec::new(), location);
            }
            _ => {}
        }
        let name = self.take_name();
        if !self.at(&Token::Period) {
            if self.at(&Token::LParen) || self.at_string() {
                return self.function_or_literal(vec![name], location);
            }
            return self.column_ref(name, Vec::new(), location);
        }
        let mut names = vec![name];
        while self.at(&Token::Period) && self.is_name_at(1, ALL) {
            self.advance();
            names.push(self.col_label()?);
        }
        if self.at(&Token::LParen) || self.at_string() {
            return self.function_or_literal(names, location);
        }
        let mut rest = names.into_iter();
        let first = rest.next().unwrap_or_default();
        self.column_ref(first, rest.map(Field::Name).collect(), location)
    }

    /// `columnref`: fields up to the first subscript belong to the name.
    fn column_ref(&mut self, first: String, more: Vec<Field>, location: Location) -> Result<Expr> {
        let mut fields = vec![Field::Name(first)];
        fields.extend(more);
        let mut steps = self.indirection()?.into_iter().peekable();
        while let Some(step) = steps.next_if(|step| matches!(step, Indirection::Field(_) | Indirection::Star))
        {
            match step {
                Indirection::Field(name) => fields.push(Field::Name(name)),
                _ => {
                    fields.push(Field::Star);
                    if steps.peek().is_some() {
                        return Err(
                            error!(SYNTAX_ERROR, "improper use of \"*\"").at(location.offset().unwrap_or(0))
                        );
                    }
                }
            }
        }
        let column = Expr::ColumnRef(ColumnRef { fields, location });
        let indirection: Vec<Indirection> = steps.collect();
        if indirection.is_empty() {
            return Ok(column);
        }
        Ok(Expr::Indirection { arg: Box::new(column), indirection })
    }

    /// Behind a function's or a type's name.
    fn function_or_literal(&mut self, name: Vec<String>, location: Location) -> Result<Expr> {
        if self.at_string() {
            return self.generic_typed_literal(name, Vec::new(), location);
        }
        let call = self.function_application(name, location)?;
        if self.at_string() {
            // `type(modifier) 'literal'`.
            return self.literal_of_call(call);
        }
        self.function_tail(call)
    }

    fn literal_of_call(&mut self, call: FuncCall) -> Result<Expr> {
        let at = call.location.offset().unwrap_or(0);
        if call.star || call.distinct || call.variadic {
            return Err(self.syntax_error());
        }
        if call.args.iter().any(|arg| matches!(arg, Expr::NamedArg { .. })) {
            return Err(error!(SYNTAX_ERROR, "type modifier cannot have parameter name").at(at));
        }
        if !call.order.is_empty() {
            return Err(error!(SYNTAX_ERROR, "type modifier cannot have ORDER BY").at(at));
        }
        self.generic_typed_literal(call.name, call.args, call.location)
    }

    /// `func_application`. Position is at the opening parenthesis.
    pub fn function_application(&mut self, name: Vec<String>, location: Location) -> Result<FuncCall> {
        let mut call = FuncCall::new(name, Vec::new(), CoercionForm::ExplicitCall, location);
        self.expect_token(&Token::LParen)?;
        if self.accept_token(&Token::RParen) {
            return Ok(call);
        }
        if self.at(&Token::Mul) && self.at_offset(1, &Token::RParen) {
            self.advance();
            self.advance();
            call.star = true;
            return Ok(call);
        }
        let quantified = if self.accept(K::Distinct) {
            call.distinct = true;
            true
        } else {
            self.accept(K::All)
        };
        loop {
            if !quantified && self.accept(K::Variadic) {
                call.variadic = true;
                call.args.push(self.function_arg()?);
                break;
            }
            call.args.push(self.function_arg()?);
            if !self.accept_token(&Token::Comma) {
                break;
            }
        }
        call.order = self.optional_order_by()?;
        self.expect_token(&Token::RParen)?;
        Ok(call)
    }

    /// `func_arg_expr`: an expression, perhaps with its parameter's name.
    fn function_arg(&mut self) -> Result<Expr> {
        let named = matches!(self.peek_at(1).token, Token::RArrow | Token::Assignment);
        if named && self.is_name_at(0, TYPE_FUNCTION_NAME) {
            let location = self.location();
            let name = self.type_function_name()?;
            self.advance();
            let arg = Box::new(self.expression()?);
            return Ok(Expr::NamedArg { name, arg, location });
        }
        self.expression()
    }

    /// WITHIN GROUP, FILTER and OVER behind a call.
    pub fn function_tail(&mut self, mut call: FuncCall) -> Result<Expr> {
        if self.is(K::Within) && self.is_at(1, K::Group) {
            let at = self.offset();
            self.advance();
            self.advance();
            self.expect_token(&Token::LParen)?;
            let order = self.order_by()?;
            self.expect_token(&Token::RParen)?;
            let conflict = if !call.order.is_empty() {
                Some("cannot use multiple ORDER BY clauses with WITHIN GROUP")
            } else if call.distinct {
                Some("cannot use DISTINCT with WITHIN GROUP")
            } else if call.variadic {
                Some("cannot use VARIADIC with WITHIN GROUP")
            } else {
                None
            };
            if let Some(message) = conflict {
                return Err(error!(SYNTAX_ERROR, "{message}").at(at));
            }
            call.order = order;
            call.within_group = true;
        }
        if self.is(K::Filter) && self.at_offset(1, &Token::LParen) {
            self.advance();
            self.advance();
            self.expect(K::Where)?;
            call.filter = Some(self.expression()?);
            self.expect_token(&Token::RParen)?;
        }
        if self.accept(K::Over) {
            call.over = Some(Box::new(self.over_clause()?));
        }
        Ok(Expr::FuncCall(Box::new(call)))
    }

    /// A call in FROM or an index: no aggregates' decorations.
    pub fn function_without_tail(&mut self) -> Result<Expr> {
        let location = self.location();
        if let Some(keyword) = self.keyword()
            && let Some(call) = self.special_function(keyword, location)?
        {
            return Ok(call);
        }
        let name = self.function_name()?;
        if !self.at(&Token::LParen) {
            return Err(self.syntax_error());
        }
        Ok(Expr::FuncCall(Box::new(self.function_application(name, location)?)))
    }

    /// True before a function call that can stand in FROM or as an index column.
    pub fn at_function(&self) -> bool {
        if let Some(keyword) = self.keyword() {
            if NO_PARENS.contains(&keyword) && (keyword != K::Collation || self.is_at(1, K::For)) {
                return true;
            }
            if SPECIAL.contains(&keyword) {
                return self.at_offset(1, &Token::LParen);
            }
        }
        let mut offset = 0;
        if self.is_col_id() {
            while self.at_offset(offset + 1, &Token::Period) && self.is_name_at(offset + 2, ALL) {
                offset += 2;
            }
        }
        if offset == 0 && !self.is_name_at(0, TYPE_FUNCTION_NAME) {
            return false;
        }
        self.at_offset(offset + 1, &Token::LParen)
    }

    /// `func_expr_common_subexpr`: calls with a syntax of their own.
    pub fn special_function(&mut self, keyword: K, location: Location) -> Result<Option<Expr>> {
        if NO_PARENS.contains(&keyword) && (keyword != K::Collation || self.is_at(1, K::For)) {
            return self.value_function(keyword, location).map(Some);
        }
        if !SPECIAL.contains(&keyword) || !self.at_offset(1, &Token::LParen) {
            return Ok(None);
        }
        if keyword == K::Grouping {
            self.advance();
            let args = self.paren_list(Self::expression)?;
            return Ok(Some(Expr::Grouping { args, location }));
        }
        self.advance();
        self.advance();
        let expr = match keyword {
            K::Cast => {
                let arg = self.expression()?;
                self.expect(K::As)?;
                let type_name = self.type_name()?;
                Expr::TypeCast(Box::new(TypeCast { arg, type_name, location }))
            }
            K::Coalesce => Expr::Coalesce { args: self.expression_list()?, location },
            K::Greatest => Expr::MinMax { op: MinMaxOp::Greatest, args: self.expression_list()?, location },
            K::Least => Expr::MinMax { op: MinMaxOp::Least, args: self.expression_list()?, location },
            K::Nullif => {
                let left = self.expression()?;
                self.expect_token(&Token::Comma)?;
                let right = AExprRight::Expr(self.expression()?);
                let name = vec!["=".to_owned()];
                Expr::AExpr(Box::new(AExpr {
                    kind: AExprKind::NullIf,
                    name,
                    left: Some(left),
                    right,
                    location,
                }))
            }
            K::Extract => {
                let at = self.location();
                let field = if self.at_string() { self.string()? } else { self.extract_field()? };
                self.expect(K::From)?;
                let args = vec![string_const(field, at), self.expression()?];
                FuncCall::system("extract", args, CoercionForm::SqlSyntax, location)
            }
            K::Position => {
                let needle = self.restricted_expression()?;
                self.expect(K::In)?;
                let haystack = self.restricted_expression()?;
                FuncCall::system("position", vec![haystack, needle], CoercionForm::SqlSyntax, location)
            }
            K::Overlay => self.overlay(location)?,
            K::Substring => self.substring(location)?,
            K::Trim => self.trim(location)?,
            K::Normalize => {
                let mut args = vec![self.expression()?];
                if self.accept_token(&Token::Comma) {
                    let at = self.location();
                    let Some(form @ (K::Nfc | K::Nfd | K::Nfkc | K::Nfkd)) = self.keyword() else {
                        return Err(self.syntax_error());
                    };
                    self.advance();
                    args.push(string_const(form.name().to_ascii_uppercase(), at));
                }
                FuncCall::system("normalize", args, CoercionForm::SqlSyntax, location)
            }
            K::Treat => {
                let arg = self.expression()?;
                self.expect(K::As)?;
                let type_name = self.type_name()?;
                let name = type_name.names.last().cloned().unwrap_or_default();
                FuncCall::system(&name, vec![arg], CoercionForm::ExplicitCall, location)
            }
            K::MergeAction => Expr::MergeAction { location },
            _ => return Err(self.syntax_error()),
        };
        self.expect_token(&Token::RParen)?;
        // The forms that call a function by name take FILTER and OVER as any call does.
        match expr {
            Expr::FuncCall(call) => self.function_tail(*call).map(Some),
            expr => Ok(Some(expr)),
        }
    }

    fn extract_field(&mut self) -> Result<String> {
        match self.keyword() {
            None if matches!(self.token(), Token::Word(_)) => Ok(self.take_name()),
            Some(K::Year | K::Month | K::Day | K::Hour | K::Minute | K::Second) => Ok(self.take_name()),
            _ => Err(self.syntax_error()),
        }
    }

    /// OVERLAY, in the standard's form or as a plain call.
    fn overlay(&mut self, location: Location) -> Result<Expr> {
        if self.at(&Token::RParen) {
            return Ok(plain_call("overlay", Vec::new(), location));
        }
        let mut args = vec![self.function_arg()?];
        if !self.is(K::Placing) {
            self.more_args(&mut args)?;
            return Ok(plain_call("overlay", args, location));
        }
        self.advance();
        args.push(self.expression()?);
        self.expect(K::From)?;
        args.push(self.expression()?);
        if self.accept(K::For) {
            args.push(self.expression()?);
        }
        Ok(FuncCall::system("overlay", args, CoercionForm::SqlSyntax, location))
    }

    fn more_args(&mut self, args: &mut Vec<Expr>) -> Result<()> {
        while self.accept_token(&Token::Comma) {
            args.push(self.function_arg()?);
        }
        Ok(())
    }

    fn substring(&mut self, location: Location) -> Result<Expr> {
        if self.at(&Token::RParen) {
            return Ok(plain_call("substring", Vec::new(), location));
        }
        let mut args = vec![self.function_arg()?];
        let name = "substring";
        match self.keyword() {
            Some(K::From) => {
                self.advance();
                args.push(self.expression()?);
                if self.accept(K::For) {
                    args.push(self.expression()?);
                }
            }
            Some(K::For) => {
                self.advance();
                let length = self.expression()?;
                if self.accept(K::From) {
                    args.push(self.expression()?);
                    args.push(length);
                } else {
                    // Without FROM the length is cast, lest a call with a pattern be chosen.
                    args.push(super::type_name::integer_const(1, Location::UNKNOWN));
                    args.push(system_cast(length, "int4", Location::UNKNOWN));
                }
            }
            Some(K::Similar) => {
                self.advance();
                args.push(self.expression()?);
                self.expect(K::Escape)?;
                args.push(self.expression()?);
            }
            _ => {
                self.more_args(&mut args)?;
                return Ok(plain_call(name, args, location));
            }
        }
        Ok(FuncCall::system(name, args, CoercionForm::SqlSyntax, location))
    }

    fn trim(&mut self, location: Location) -> Result<Expr> {
        let name = match self.keyword() {
            Some(K::Leading) => "ltrim",
            Some(K::Trailing) => "rtrim",
            _ => "btrim",
        };
        if self.is_any(&[K::Leading, K::Trailing, K::Both]) {
            self.advance();
        }
        let mut args = Vec::new();
        if self.accept(K::From) {
            args = self.expression_list()?;
        } else {
            let first = self.expression()?;
            if self.accept(K::From) {
                args = self.expression_list()?;
                args.push(first);
            } else {
                args.push(first);
                while self.accept_token(&Token::Comma) {
                    args.push(self.expression()?);
                }
            }
        }
        Ok(FuncCall::system(name, args, CoercionForm::SqlSyntax, location))
    }

    /// CURRENT_TIMESTAMP and its kin.
    fn value_function(&mut self, keyword: K, location: Location) -> Result<Expr> {
        use SqlValueFunctionOp::*;
        self.advance();
        let (op, precise) = match keyword {
            K::CurrentDate => (CurrentDate, None),
            K::CurrentTime => (CurrentTime, Some(CurrentTimeN)),
            K::CurrentTimestamp => (CurrentTimestamp, Some(CurrentTimestampN)),
            K::Localtime => (LocalTime, Some(LocalTimeN)),
            K::Localtimestamp => (LocalTimestamp, Some(LocalTimestampN)),
            K::CurrentRole => (CurrentRole, None),
            K::CurrentUser => (CurrentUser, None),
            K::SessionUser => (SessionUser, None),
            K::User => (User, None),
            K::CurrentCatalog => (CurrentCatalog, None),
            K::CurrentSchema => {
                if self.at(&Token::LParen) {
                    let call = self.function_application(vec!["current_schema".to_owned()], location)?;
                    return self.function_tail(call);
                }
                (CurrentSchema, None)
            }
            K::SystemUser => {
                return Ok(FuncCall::system("system_user", Vec::new(), CoercionForm::SqlSyntax, location));
            }
            _ => {
                // COLLATION FOR (x).
                self.expect(K::For)?;
                self.expect_token(&Token::LParen)?;
                let arg = self.expression()?;
                self.expect_token(&Token::RParen)?;
                return Ok(FuncCall::system(
                    "pg_collation_for",
                    vec![arg],
                    CoercionForm::SqlSyntax,
                    location,
                ));
            }
        };
        if let Some(op) = precise
            && self.accept_token(&Token::LParen)
        {
            let typmod = self.integer()?;
            self.expect_token(&Token::RParen)?;
            return Ok(Expr::SqlValueFunction { op, typmod, location });
        }
        Ok(Expr::SqlValueFunction { op, typmod: -1, location })
    }
}

fn plain_call(name: &str, args: Vec<Expr>, location: Location) -> Expr {
    let call = FuncCall::new(vec![name.to_owned()], args, CoercionForm::ExplicitCall, location);
    Expr::FuncCall(Box::new(call))
}

use crate::keyword::Keyword;

const ALL: &[Category] =
    &[Category::Unreserved, Category::ColName, Category::TypeFuncName, Category::Reserved];
const TYPE_FUNCTION_NAME: &[Category] = &[Category::Unreserved, Category::TypeFuncName];

/// Functions the standard writes without parentheses, and COLLATION FOR.
const NO_PARENS: &[K] = &[
    K::CurrentDate,
    K::CurrentTime,
    K::CurrentTimestamp,
    K::Localtime,
    K::Localtimestamp,
    K::CurrentRole,
    K::CurrentUser,
    K::SessionUser,
    K::SystemUser,
    K::User,
    K::CurrentCatalog,
    K::CurrentSchema,
    K::Collation,
];

/// Keywords that start a call with a syntax of its own when a parenthesis follows.
const SPECIAL: &[K] = &[
    K::Cast,
    K::Coalesce,
    K::Greatest,
    K::Least,
    K::Nullif,
    K::Extract,
    K::Position,
    K::Overlay,
    K::Substring,
    K::Trim,
    K::Normalize,
    K::Treat,
    K::Grouping,
    K::MergeAction,
];
