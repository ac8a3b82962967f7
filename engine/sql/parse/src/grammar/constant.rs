//! Literals: `AexprConst`.

use kokkiri_primitives::Result;
use sqlparser::tokenizer::Token;

use super::expression::string_const;
use super::type_name::system_type;
use crate::keyword::Keyword as K;
use crate::location::Location;
use crate::parser::Parser;
use crate::tree::*;

impl Parser<'_> {
    /// A number, string, bit string, TRUE, FALSE or NULL.
    pub fn literal(&mut self) -> Result<Expr> {
        let location = self.location();
        let keyword = self.keyword();
        let value = match (keyword, self.take()) {
            (Some(K::True), _) => Literal::Boolean(true),
            (Some(K::False), _) => Literal::Boolean(false),
            (Some(K::Null), _) => Literal::Null,
            (_, Token::Number(text, true)) => Literal::Integer(text.parse().unwrap_or(i32::MAX)),
            (_, Token::Number(text, false)) => {
                Literal::Float(if text.contains('_') { text.replace('_', "") } else { text })
            }
            (_, Token::SingleQuotedString(text)) => Literal::String(text),
            (_, Token::SingleQuotedByteStringLiteral(text) | Token::HexStringLiteral(text)) => {
                Literal::BitString(text)
            }
            _ => return Err(self.syntax_error()),
        };
        // TRUE and FALSE are casts of strings in PostgreSQL's tree; here they are constants of their own.
        Ok(Expr::Const(AConst { value, location }))
    }

    /// `timestamp '...'` and its kin: a type spelled with keywords, then a string.
    pub fn typed_literal(&mut self, location: Location) -> Result<Expr> {
        let Some(mut type_name) = self.const_type_name(false)? else { return Err(self.syntax_error()) };
        let is_interval = type_name.names.last().is_some_and(|name| name == "interval");
        if is_interval && self.at(&Token::LParen) {
            self.interval_qualifier(&mut type_name)?;
        }
        let at = self.location();
        let text = self.string()?;
        if is_interval && type_name.typmods.is_empty() {
            type_name.typmods = self.interval_fields()?;
        }
        type_name.location = location;
        Ok(cast(string_const(text, at), type_name))
    }

    /// A string literal behind a type's plain name.
    pub fn generic_typed_literal(
        &mut self,
        names: Vec<String>,
        typmods: Vec<Expr>,
        location: Location,
    ) -> Result<Expr> {
        let at = self.location();
        let text = self.string()?;
        let type_name = TypeName { names, typmods, typmod: -1, location, ..TypeName::default() };
        Ok(cast(string_const(text, at), type_name))
    }
}

/// `makeStringConstCast`: no location of its own.
fn cast(arg: Expr, type_name: TypeName) -> Expr {
    Expr::TypeCast(Box::new(TypeCast { arg, type_name, location: Location::UNKNOWN }))
}

/// A cast the grammar puts in: `makeTypeCast` to a system type.
pub(super) fn system_cast(arg: Expr, name: &str, location: Location) -> Expr {
    let type_name = system_type(name, Location::UNKNOWN);
    Expr::TypeCast(Box::new(TypeCast { arg, type_name, location }))
}
