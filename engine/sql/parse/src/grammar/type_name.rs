//! Type names: PostgreSQL's `Typename`, with the standard's multi-word types.

use kokkiri_primitives::{Result, error, stack};
use sqlparser::tokenizer::Token;

use crate::keyword::Keyword as K;
use crate::location::Location;
use crate::parser::Parser;
use crate::tree::*;

// Bits of an interval's range, PostgreSQL's INTERVAL_MASK.
const MONTH: i32 = 1 << 1;
const YEAR: i32 = 1 << 2;
const DAY: i32 = 1 << 3;
const HOUR: i32 = 1 << 10;
const MINUTE: i32 = 1 << 11;
const SECOND: i32 = 1 << 12;
const FULL_RANGE: i32 = 0x7fff;

pub(crate) fn integer_const(value: i32, location: Location) -> Expr {
    Expr::Const(AConst { value: Literal::Integer(value), location })
}

/// A type of pg_catalog.
pub(crate) fn system_type(name: &str, location: Location) -> TypeName {
    TypeName {
        names: vec!["pg_catalog".to_owned(), name.to_owned()],
        typmod: -1,
        location,
        ..TypeName::default()
    }
}

impl Parser<'_> {
    /// `Typename`.
    pub fn type_name(&mut self) -> Result<TypeName> {
        stack::check_depth()?;
        let setof = self.accept(K::Setof);
        let mut type_name = self.simple_type_name()?;
        type_name.setof = setof;
        self.array_bounds(&mut type_name)?;
        Ok(type_name)
    }

    /// `func_type`: also `name%TYPE`.
    pub fn func_type(&mut self) -> Result<TypeName> {
        let mut type_name = self.type_name()?;
        if self.at(&Token::Mod) && self.is_at(1, K::Type) && type_name.array_bounds.is_empty() {
            self.advance();
            self.advance();
            type_name.percent_type = true;
        }
        Ok(type_name)
    }

    fn array_bounds(&mut self, type_name: &mut TypeName) -> Result<()> {
        if self.accept(K::Array) {
            let mut bound = -1;
            if self.accept_token(&Token::LBracket) {
                bound = self.integer()?;
                self.expect_token(&Token::RBracket)?;
            }
            type_name.array_bounds.push(bound);
            return Ok(());
        }
        while self.accept_token(&Token::LBracket) {
            let bound = if self.at(&Token::RBracket) { -1 } else { self.integer()? };
            self.expect_token(&Token::RBracket)?;
            type_name.array_bounds.push(bound);
        }
        Ok(())
    }

    /// `SimpleTypename`.
    fn simple_type_name(&mut self) -> Result<TypeName> {
        let location = self.location();
        if let Some(mut type_name) = self.const_type_name(true)? {
            if type_name.names.last().is_some_and(|name| name == "interval") {
                self.interval_qualifier(&mut type_name)?;
            }
            return Ok(type_name);
        }
        let mut names = vec![self.type_function_name()?];
        self.attributes(&mut names)?;
        let typmods = self.optional_paren_list(Self::expression)?;
        Ok(TypeName { names, typmods, typmod: -1, location, ..TypeName::default() })
    }

    /// True before a type that starts with a keyword of its own.
    pub fn at_const_type_name(&self) -> bool {
        self.is_any(&[
            K::Int,
            K::Integer,
            K::Smallint,
            K::Bigint,
            K::Real,
            K::Float,
            K::Double,
            K::Decimal,
            K::Dec,
            K::Numeric,
            K::Boolean,
            K::Bit,
            K::Character,
            K::Char,
            K::Varchar,
            K::National,
            K::Nchar,
            K::Timestamp,
            K::Time,
            K::Interval,
            K::Json,
        ]) && (!self.is(K::Double) || self.is_at(1, K::Precision))
    }

    /// Types spelled with keywords. `typename` tells a type from the head of a typed literal: there,
    /// `char` means `char(1)` and bit without length `bit(1)`. Interval's fields are left to the caller.
    pub fn const_type_name(&mut self, typename: bool) -> Result<Option<TypeName>> {
        if !self.at_const_type_name() {
            return Ok(None);
        }
        let location = self.location();
        let Some(keyword) = self.keyword() else { return Ok(None) };
        self.advance();
        let mut type_name = match keyword {
            K::Int | K::Integer => system_type("int4", location),
            K::Smallint => system_type("int2", location),
            K::Bigint => system_type("int8", location),
            K::Real => system_type("float4", location),
            K::Float => self.float_type(location)?,
            K::Double => {
                self.advance();
                system_type("float8", location)
            }
            K::Boolean => system_type("bool", location),
            K::Decimal | K::Dec | K::Numeric => {
                let mut type_name = system_type("numeric", location);
                type_name.typmods = self.optional_paren_list(Self::expression)?;
                type_name
            }
            K::Json => system_type("json", location),
            K::Bit => self.bit_type(location, typename)?,
            K::Timestamp | K::Time => self.datetime_type(keyword, location)?,
            K::Interval => system_type("interval", location),
            _ => self.character_type(keyword, location, typename)?,
        };
        type_name.location = location;
        Ok(Some(type_name))
    }

    fn float_type(&mut self, location: Location) -> Result<TypeName> {
        if !self.at(&Token::LParen) {
            return Ok(system_type("float8", location));
        }
        self.advance();
        let at = self.offset();
        let precision = self.integer()?;
        self.expect_token(&Token::RParen)?;
        match precision {
            ..1 => {
                Err(error!(INVALID_PARAMETER_VALUE, "precision for type float must be at least 1 bit").at(at))
            }
            1..=24 => Ok(system_type("float4", location)),
            25..=53 => Ok(system_type("float8", location)),
            _ => {
                Err(error!(INVALID_PARAMETER_VALUE, "precision for type float must be less than 54 bits")
                    .at(at))
            }
        }
    }

    fn bit_type(&mut self, location: Location, typename: bool) -> Result<TypeName> {
        let varying = self.accept(K::Varying);
        let mut type_name = system_type(if varying { "varbit" } else { "bit" }, location);
        if self.at(&Token::LParen) {
            type_name.typmods = self.paren_list(Self::expression)?;
        } else if !varying && typename {
            type_name.typmods = vec![integer_const(1, Location::UNKNOWN)];
        }
        Ok(type_name)
    }

    fn character_type(&mut self, keyword: K, location: Location, typename: bool) -> Result<TypeName> {
        if keyword == K::National && !self.accept(K::Character) {
            self.expect(K::Char)?;
        }
        let varying = keyword == K::Varchar || self.accept(K::Varying);
        let mut type_name = system_type(if varying { "varchar" } else { "bpchar" }, location);
        if self.at(&Token::LParen) {
            self.advance();
            let at = self.location();
            type_name.typmods = vec![integer_const(self.integer()?, at)];
            self.expect_token(&Token::RParen)?;
        } else if !varying && typename {
            type_name.typmods = vec![integer_const(1, Location::UNKNOWN)];
        }
        Ok(type_name)
    }

    fn datetime_type(&mut self, keyword: K, location: Location) -> Result<TypeName> {
        let mut typmods = Vec::new();
        if self.accept_token(&Token::LParen) {
            let at = self.location();
            typmods.push(integer_const(self.integer()?, at));
            self.expect_token(&Token::RParen)?;
        }
        let zoned = self.accept_all(&[K::With, K::Time, K::Zone]);
        if !zoned {
            self.accept_all(&[K::Without, K::Time, K::Zone]);
        }
        let name = match (keyword, zoned) {
            (K::Timestamp, true) => "timestamptz",
            (K::Timestamp, false) => "timestamp",
            (_, true) => "timetz",
            (_, false) => "time",
        };
        Ok(TypeName { typmods, ..system_type(name, location) })
    }

    /// What may follow INTERVAL: fields, or a precision.
    pub fn interval_qualifier(&mut self, type_name: &mut TypeName) -> Result<()> {
        if self.accept_token(&Token::LParen) {
            let at = self.location();
            let precision = self.integer()?;
            self.expect_token(&Token::RParen)?;
            type_name.typmods =
                vec![integer_const(FULL_RANGE, Location::UNKNOWN), integer_const(precision, at)];
            return Ok(());
        }
        type_name.typmods = self.interval_fields()?;
        Ok(())
    }

    /// `opt_interval`: the typmods of the fields named.
    pub fn interval_fields(&mut self) -> Result<Vec<Expr>> {
        let location = self.location();
        let (mut mask, ends): (i32, &[(K, i32)]) = match self.keyword() {
            Some(K::Year) => (YEAR, &[(K::Month, YEAR | MONTH)]),
            Some(K::Month) => (MONTH, &[]),
            Some(K::Day) => (
                DAY,
                &[
                    (K::Hour, DAY | HOUR),
                    (K::Minute, DAY | HOUR | MINUTE),
                    (K::Second, DAY | HOUR | MINUTE | SECOND),
                ],
            ),
            Some(K::Hour) => (HOUR, &[(K::Minute, HOUR | MINUTE), (K::Second, HOUR | MINUTE | SECOND)]),
            Some(K::Minute) => (MINUTE, &[(K::Second, MINUTE | SECOND)]),
            Some(K::Second) => (SECOND, &[]),
            _ => return Ok(Vec::new()),
        };
        let mut seconds = self.is(K::Second);
        self.advance();
        if !ends.is_empty() && self.accept(K::To) {
            let Some((end, both)) = ends.iter().find(|(keyword, _)| self.is(*keyword)) else {
                return Err(self.syntax_error());
            };
            mask = *both;
            seconds = *end == K::Second;
            self.advance();
        }
        let mut typmods = vec![integer_const(mask, location)];
        if seconds && self.accept_token(&Token::LParen) {
            let at = self.location();
            typmods.push(integer_const(self.integer()?, at));
            self.expect_token(&Token::RParen)?;
        }
        Ok(typmods)
    }
}
