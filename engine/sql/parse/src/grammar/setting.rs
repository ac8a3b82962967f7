//! SET, RESET, SHOW, DISCARD, and SET clauses of other statements.

use kokkiri_primitives::{Result, error};
use sqlparser::tokenizer::Token;

use super::type_name::system_type;
use crate::keyword::Keyword as K;
use crate::location::Location;
use crate::parser::Parser;
use crate::tree::*;

impl Parser<'_> {
    pub fn set_statement(&mut self) -> Result<Statement> {
        self.expect(K::Set)?;
        if self.accept(K::Constraints) {
            return self.set_constraints();
        }
        let followed = !matches!(self.peek_at(1).token, Token::Eq | Token::Period) && !self.is_at(1, K::To);
        let local = followed && self.is(K::Local);
        if local || (followed && self.is(K::Session) && !self.is_at(1, K::Authorization)) {
            self.advance();
            if !local && self.is(K::Characteristics) {
                let location = self.location();
                self.expect_all(&[K::Characteristics, K::As, K::Transaction])?;
                let modes = SetValue::TransactionModes(self.transaction_modes()?);
                return Ok(set("SESSION CHARACTERISTICS", modes, false, location));
            }
        }
        if self.is(K::Transaction) && (self.at_mode_behind() || self.is_at(1, K::Snapshot)) {
            let location = self.location();
            self.advance();
            if self.accept(K::Snapshot) {
                let id = SetValue::TransactionSnapshot(self.string()?);
                return Ok(set("TRANSACTION SNAPSHOT", id, local, location));
            }
            let modes = SetValue::TransactionModes(self.transaction_modes()?);
            return Ok(set("TRANSACTION", modes, local, location));
        }
        let mut stmt = self.set_rest_more()?;
        stmt.local = local;
        Ok(Statement::VariableSet(stmt))
    }

    fn at_mode_behind(&self) -> bool {
        matches!(self.keyword_at(1), Some(K::Isolation | K::Read | K::Deferrable | K::Not))
    }

    /// `set_rest_more`: one setting, by its name or in one of the standard's forms.
    pub fn set_rest_more(&mut self) -> Result<VariableSetStmt> {
        let location = self.location();
        let plain = matches!(self.peek_at(1).token, Token::Eq | Token::Period) || self.is_at(1, K::To);
        let make = |name: &str, value: SetValue| {
            Ok(VariableSetStmt { name: name.to_owned(), value, local: false, location })
        };
        match self.keyword() {
            Some(K::Time) if !plain => {
                self.advance();
                self.expect(K::Zone)?;
                let value = self.zone_value()?;
                make("timezone", value)
            }
            Some(K::Catalog) if !plain => {
                self.advance();
                let at = self.offset();
                self.string()?;
                Err(error!(FEATURE_NOT_SUPPORTED, "current database cannot be changed").at(at))
            }
            Some(K::Schema) if !plain => {
                self.advance();
                let value = self.string_value()?;
                make("search_path", value)
            }
            Some(K::Names) if !plain => {
                self.advance();
                if self.at_string() {
                    let value = self.string_value()?;
                    return make("client_encoding", value);
                }
                self.accept(K::Default);
                make("client_encoding", SetValue::Default)
            }
            Some(K::Role) if !plain => {
                self.advance();
                let value = self.word_value()?;
                make("role", value)
            }
            Some(K::Session) if !plain => {
                self.advance();
                self.expect(K::Authorization)?;
                if self.accept(K::Default) {
                    return make("session_authorization", SetValue::Default);
                }
                let value = self.word_value()?;
                make("session_authorization", value)
            }
            Some(K::Xml) if !plain => {
                self.advance();
                self.expect(K::Option)?;
                let location = self.location();
                let Some(option @ (K::Document | K::Content)) = self.keyword() else {
                    return Err(self.syntax_error());
                };
                self.advance();
                let name = option.name().to_ascii_uppercase();
                make("xmloption", SetValue::Values(vec![literal(Literal::String(name), location)]))
            }
            _ => self.generic_set(),
        }
    }

    /// `generic_set`, and FROM CURRENT.
    pub fn generic_set(&mut self) -> Result<VariableSetStmt> {
        let location = self.location();
        let name = self.variable_name()?;
        if self.is(K::From) {
            self.advance();
            self.expect(K::Current)?;
            return Ok(VariableSetStmt { name, value: SetValue::Current, local: false, location });
        }
        if !self.accept_token(&Token::Eq) {
            self.expect(K::To)?;
        }
        let location = self.location();
        let value = if self.accept(K::Default) {
            SetValue::Default
        } else {
            SetValue::Values(self.comma_list(Self::set_arg)?)
        };
        Ok(VariableSetStmt { name, value, local: false, location })
    }

    /// `var_name`.
    pub fn variable_name(&mut self) -> Result<String> {
        let mut name = self.col_id()?;
        while self.accept_token(&Token::Period) {
            name.push('.');
            name.push_str(&self.col_id()?);
        }
        Ok(name)
    }

    /// `var_value`.
    fn set_arg(&mut self) -> Result<SetArg> {
        let location = self.location();
        if self.at_numeric() {
            let value = match self.numeric_only()? {
                DefArg::Integer(value) => Literal::Integer(value),
                DefArg::Float(text) => Literal::Float(text),
                _ => return Err(self.syntax_error()),
            };
            return Ok(literal(value, location));
        }
        Ok(literal(Literal::String(self.boolean_or_string()?), location))
    }

    fn string_value(&mut self) -> Result<SetValue> {
        let location = self.location();
        let text = self.string()?;
        Ok(SetValue::Values(vec![literal(Literal::String(text), location)]))
    }

    fn word_value(&mut self) -> Result<SetValue> {
        let location = self.location();
        let text = if self.at_string() { self.string()? } else { self.non_reserved_word()? };
        Ok(SetValue::Values(vec![literal(Literal::String(text), location)]))
    }

    /// `zone_value`.
    fn zone_value(&mut self) -> Result<SetValue> {
        let location = self.location();
        if self.is_any(&[K::Default, K::Local]) {
            self.advance();
            return Ok(SetValue::Default);
        }
        if self.accept(K::Interval) {
            let mut type_name = system_type("interval", location);
            if self.at(&Token::LParen) {
                self.interval_qualifier(&mut type_name)?;
            }
            let at = self.offset();
            let text = self.string()?;
            if type_name.typmods.is_empty() {
                type_name.typmods = self.interval_fields()?;
            }
            let typmod = match type_name.typmods.first() {
                Some(Expr::Const(AConst { value: Literal::Integer(mask), .. })) => *mask,
                _ => -1,
            };
            const HOUR_AND_MINUTE: i32 = 1 << 10 | 1 << 11;
            if typmod != -1 && typmod != 0x7fff && typmod & !HOUR_AND_MINUTE != 0 {
                let message = "time zone interval must be HOUR or HOUR TO MINUTE";
                return Err(error!(SYNTAX_ERROR, "{message}").at(at));
            }
            return Ok(SetValue::Values(vec![SetArg {
                value: SetArgValue::Interval { text, typmod },
                location,
            }]));
        }
        if self.at_string() || self.at_numeric() {
            return Ok(SetValue::Values(vec![self.set_arg()?]));
        }
        if self.keyword().is_none() && !self.at_end() {
            let text = self.col_id()?;
            return Ok(SetValue::Values(vec![literal(Literal::String(text), location)]));
        }
        Err(self.syntax_error())
    }

    /// RESET.
    pub fn reset(&mut self) -> Result<VariableSetStmt> {
        self.expect(K::Reset)?;
        let location = self.location();
        let make = |name: &str, value: SetValue| {
            Ok(VariableSetStmt { name: name.to_owned(), value, local: false, location })
        };
        match (self.keyword(), self.keyword_at(1)) {
            (Some(K::All), _) => {
                self.advance();
                make("all", SetValue::ResetAll)
            }
            (Some(K::Time), Some(K::Zone)) => {
                self.expect_all(&[K::Time, K::Zone])?;
                make("timezone", SetValue::Reset)
            }
            (Some(K::Transaction), Some(K::Isolation)) => {
                self.expect_all(&[K::Transaction, K::Isolation, K::Level])?;
                make("transaction_isolation", SetValue::Reset)
            }
            (Some(K::Session), Some(K::Authorization)) => {
                self.expect_all(&[K::Session, K::Authorization])?;
                make("session_authorization", SetValue::Reset)
            }
            _ => {
                let name = self.variable_name()?;
                make(&name, SetValue::Reset)
            }
        }
    }

    /// `SetResetClause` of ALTER ROLE, DATABASE and SYSTEM.
    pub fn set_reset_clause(&mut self) -> Result<VariableSetStmt> {
        if self.is(K::Reset) {
            return self.reset();
        }
        self.expect(K::Set)?;
        self.set_rest_more()
    }

    pub fn show(&mut self) -> Result<Statement> {
        self.advance();
        let name = match (self.keyword(), self.keyword_at(1)) {
            (Some(K::All), _) => {
                self.advance();
                "all".to_owned()
            }
            (Some(K::Time), Some(K::Zone)) => {
                self.expect_all(&[K::Time, K::Zone])?;
                "timezone".to_owned()
            }
            (Some(K::Transaction), Some(K::Isolation)) => {
                self.expect_all(&[K::Transaction, K::Isolation, K::Level])?;
                "transaction_isolation".to_owned()
            }
            (Some(K::Session), Some(K::Authorization)) => {
                self.expect_all(&[K::Session, K::Authorization])?;
                "session_authorization".to_owned()
            }
            _ => self.variable_name()?,
        };
        Ok(Statement::VariableShow(VariableShowStmt { name }))
    }

    pub fn discard(&mut self) -> Result<Statement> {
        self.advance();
        let target = match self.keyword() {
            Some(K::All) => DiscardTarget::All,
            Some(K::Plans) => DiscardTarget::Plans,
            Some(K::Sequences) => DiscardTarget::Sequences,
            Some(K::Temp | K::Temporary) => DiscardTarget::Temp,
            _ => return Err(self.syntax_error()),
        };
        self.advance();
        Ok(Statement::Discard(target))
    }
}

fn set(name: &str, value: SetValue, local: bool, location: Location) -> Statement {
    Statement::VariableSet(VariableSetStmt { name: name.to_owned(), value, local, location })
}

fn literal(value: Literal, location: Location) -> SetArg {
    SetArg { value: SetArgValue::Literal(value), location }
}
