//! SQL text to raw tree: PostgreSQL-exact lexer and grammar; no catalog.
//!
//! Realises PostgreSQL's raw parser (scan.l, gram.y). The tree holds what was written, nothing that a catalog
//! would have to say; `analyze` gives it meaning. See [`tree`] for the nodes.
#![forbid(unsafe_code)]

mod grammar;
mod keyword;
mod lexer;
pub mod location;
mod parser;
pub mod tree;

pub use keyword::{Category, Keyword, needs_quotes, quote_identifier};
pub use lexer::ScanOptions;
pub use location::{AtLocation, Location};

use kokkiri_primitives::{Error, Result, error};
use tree::{Expr, RawStatement, TypeName};

/// The statements of a query string: PostgreSQL's `raw_parser`.
pub fn parse(text: &str) -> Result<Vec<RawStatement>> {
    parse_with_notices(text, ScanOptions::default(), &mut Vec::new())
}

/// As [`parse`], by the session's settings; notices of the lexer are appended even if parsing fails.
pub fn parse_with_notices(
    text: &str,
    options: ScanOptions,
    notices: &mut Vec<Error>,
) -> Result<Vec<RawStatement>> {
    let (mut parser, found) = parser::Parser::new(text, options);
    notices.extend(found);
    parser.statements()
}

/// A type's name alone, as `regtype` and the like take it: PostgreSQL's `typeStringToTypeName`.
pub fn parse_type_name(text: &str) -> Result<TypeName> {
    let (mut parser, _) = parser::Parser::new(text, ScanOptions::default());
    let type_name = parser.type_name().and_then(|type_name| match parser.at_end() {
        true => parser.finish().map(|()| type_name),
        false => Err(parser.syntax_error()),
    });
    match type_name {
        Ok(type_name) if type_name.setof => Err(error!(SYNTAX_ERROR, "invalid type name \"{text}\"")),
        other => other,
    }
}

/// An expression alone, for callers that hold one as text.
pub fn parse_expression(text: &str) -> Result<Expr> {
    let (mut parser, _) = parser::Parser::new(text, ScanOptions::default());
    let expr = parser.expression()?;
    if !parser.at_end() {
        return Err(parser.syntax_error());
    }
    parser.finish()?;
    Ok(expr)
}

#[cfg(test)]
mod tests;
