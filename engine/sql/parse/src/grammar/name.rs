//! Names of relations, functions, operators; options in parentheses.

use kokkiri_primitives::Result;
use sqlparser::tokenizer::Token;

use crate::keyword::Keyword as K;
use crate::location::Location;
use crate::parser::Parser;
use crate::tree::*;

impl Parser<'_> {
    /// `qualified_name`.
    pub fn qualified_name(&mut self) -> Result<RangeVar> {
        let location = self.location();
        let names = self.any_name()?;
        self.range_var(names, location)
    }

    /// A range variable from a dotted name: PostgreSQL's `makeRangeVarFromAnyName`.
    pub fn range_var(&self, mut names: Vec<String>, location: Location) -> Result<RangeVar> {
        if names.len() > 3 {
            return Err(self.error_improper_name(&names, "qualified name", location));
        }
        let name = names.pop().unwrap_or_default();
        let schema = names.pop();
        let catalog = names.pop();
        let persistence = Persistence::Permanent;
        Ok(RangeVar { catalog, schema, name, inherit: true, persistence, alias: None, location })
    }

    /// `relation_expr`: with ONLY or a star.
    pub fn relation_expr(&mut self) -> Result<RangeVar> {
        if self.accept(K::Only) {
            let parens = self.accept_token(&Token::LParen);
            let mut relation = self.qualified_name()?;
            if parens {
                self.expect_token(&Token::RParen)?;
            }
            relation.inherit = false;
            return Ok(relation);
        }
        let relation = self.qualified_name()?;
        self.accept_token(&Token::Mul);
        Ok(relation)
    }

    /// `all_Op`: an operator that stands here, without consuming it.
    pub fn operator_here(&self) -> Option<String> {
        Some(match self.token() {
            Token::Plus => "+".to_owned(),
            Token::Minus => "-".to_owned(),
            Token::Mul => "*".to_owned(),
            Token::Div => "/".to_owned(),
            Token::Mod => "%".to_owned(),
            Token::Caret => "^".to_owned(),
            Token::Lt => "<".to_owned(),
            Token::Gt => ">".to_owned(),
            Token::Eq => "=".to_owned(),
            Token::LtEq => "<=".to_owned(),
            Token::GtEq => ">=".to_owned(),
            Token::Neq => "<>".to_owned(),
            Token::CustomBinaryOperator(name) if name != ".." => name.clone(),
            _ => return None,
        })
    }

    /// `any_operator`: possibly qualified.
    pub fn any_operator(&mut self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        while self.is_col_id() {
            names.push(self.col_id()?);
            self.expect_token(&Token::Period)?;
        }
        match self.operator_here() {
            Some(name) => {
                self.advance();
                names.push(name);
                Ok(names)
            }
            None => Err(self.syntax_error()),
        }
    }

    /// `qual_all_Op`: an operator, or OPERATOR(...).
    pub fn qualified_operator(&mut self) -> Result<Vec<String>> {
        if self.accept(K::Operator) {
            self.expect_token(&Token::LParen)?;
            let name = self.any_operator()?;
            self.expect_token(&Token::RParen)?;
            return Ok(name);
        }
        match self.operator_here() {
            Some(name) => {
                self.advance();
                Ok(vec![name])
            }
            None => Err(self.syntax_error()),
        }
    }

    /// `func_name` in statements about functions.
    pub fn function_name(&mut self) -> Result<Vec<String>> {
        if self.is_col_id() && self.at_offset(1, &Token::Period) {
            return self.any_name();
        }
        Ok(vec![self.type_function_name()?])
    }

    /// `definition`: `(name = value, ...)`.
    pub fn definition(&mut self) -> Result<Vec<DefElem>> {
        self.paren_list(|parser| {
            let location = parser.location();
            let name = parser.col_label()?;
            let arg = if parser.accept_token(&Token::Eq) { Some(parser.def_arg()?) } else { None };
            Ok(DefElem { namespace: None, name, arg, location })
        })
    }

    /// `reloptions`: as a definition, with namespaces.
    pub fn reloptions(&mut self) -> Result<Vec<DefElem>> {
        self.paren_list(|parser| {
            let location = parser.location();
            let mut name = parser.col_label()?;
            let mut namespace = None;
            if parser.accept_token(&Token::Period) {
                namespace = Some(std::mem::replace(&mut name, parser.col_label()?));
            }
            let arg = if parser.accept_token(&Token::Eq) { Some(parser.def_arg()?) } else { None };
            Ok(DefElem { namespace, name, arg, location })
        })
    }

    /// WITH (...) or nothing.
    pub fn optional_reloptions(&mut self) -> Result<Vec<DefElem>> {
        if self.is(K::With) && self.at_offset(1, &Token::LParen) {
            self.advance();
            return self.reloptions();
        }
        Ok(Vec::new())
    }

    /// `def_arg`.
    pub fn def_arg(&mut self) -> Result<DefArg> {
        if self.at_string() {
            return Ok(DefArg::String(self.string()?));
        }
        if self.at_numeric() {
            return self.numeric_only();
        }
        if let Some(keyword) = self.keyword() {
            if keyword == K::None {
                self.advance();
                return Ok(DefArg::String("none".to_owned()));
            }
            if keyword == K::Operator || keyword == K::Setof {
                // Both start rules of their own below.
            } else if keyword.category() == crate::Category::Reserved {
                self.advance();
                return Ok(DefArg::String(keyword.name().to_owned()));
            }
        }
        if self.is(K::Operator) || self.operator_here().is_some() {
            return Ok(DefArg::Name(self.qualified_operator()?));
        }
        Ok(DefArg::TypeName(self.func_type()?))
    }

    /// True before `NumericOnly`.
    pub fn at_numeric(&self) -> bool {
        match self.token() {
            Token::Number(..) => true,
            Token::Plus | Token::Minus => matches!(self.peek_at(1).token, Token::Number(..)),
            _ => false,
        }
    }

    /// `NumericOnly`.
    pub fn numeric_only(&mut self) -> Result<DefArg> {
        let negative = self.accept_token(&Token::Minus);
        if !negative {
            self.accept_token(&Token::Plus);
        }
        if self.is_integer() {
            let value = self.integer()?;
            return Ok(DefArg::Integer(if negative { -value } else { value }));
        }
        match self.take() {
            Token::Number(text, _) => Ok(DefArg::Float(if negative { format!("-{text}") } else { text })),
            _ => Err(self.syntax_error()),
        }
    }

    /// `opt_boolean_or_string`, for options that take a word, a string or nothing.
    pub fn boolean_or_string(&mut self) -> Result<String> {
        if self.at_string() {
            return self.string();
        }
        if let Some(keyword @ (K::True | K::False | K::On)) = self.keyword() {
            self.advance();
            return Ok(keyword.name().to_owned());
        }
        self.non_reserved_word()
    }

    /// `utility_option_list`: `(name [value], ...)` of EXPLAIN, VACUUM, REINDEX and their kin.
    pub fn utility_options(&mut self) -> Result<Vec<DefElem>> {
        self.paren_list(|parser| {
            let location = parser.location();
            let name = match parser.keyword() {
                Some(keyword @ (K::Analyze | K::Analyse)) => {
                    parser.advance();
                    let _ = keyword;
                    "analyze".to_owned()
                }
                _ => parser.non_reserved_word()?,
            };
            let arg = if parser.at(&Token::Comma) || parser.at(&Token::RParen) {
                None
            } else if parser.at_numeric() {
                Some(parser.numeric_only()?)
            } else {
                Some(DefArg::String(parser.boolean_or_string()?))
            };
            Ok(DefElem { namespace: None, name, arg, location })
        })
    }

    /// CASCADE, RESTRICT or nothing.
    pub fn drop_behavior(&mut self) -> DropBehavior {
        if self.accept(K::Cascade) {
            return DropBehavior::Cascade;
        }
        self.accept(K::Restrict);
        DropBehavior::Restrict
    }
}

impl DefElem {
    pub(crate) fn new(name: &str, arg: Option<DefArg>, location: Location) -> Self {
        Self { namespace: None, name: name.to_owned(), arg, location }
    }

    pub(crate) fn flag(name: &str, value: bool, location: Location) -> Self {
        Self::new(name, Some(DefArg::Boolean(value)), location)
    }
}
