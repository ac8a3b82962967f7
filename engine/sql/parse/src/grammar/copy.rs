//! COPY, with the options of today in parentheses and those of before 9.0 as bare words.

use kokkiri_primitives::{Result, error};
use sqlparser::tokenizer::Token;

use crate::keyword::Keyword as K;
use crate::parser::Parser;
use crate::tree::*;

impl Parser<'_> {
    pub fn copy(&mut self) -> Result<Statement> {
        self.advance();
        if self.at(&Token::LParen) {
            return self.copy_query();
        }
        let mut options = Vec::new();
        let location = self.location();
        if self.is(K::Binary) && self.is_col_id_at(1) && !self.is_at(1, K::From) {
            self.advance();
            options.push(DefElem::new("format", Some(DefArg::String("binary".to_owned())), location));
        }
        let relation = self.qualified_name()?;
        let columns = self.optional_paren_list(Self::col_id)?;
        let is_from = self.accept(K::From);
        if !is_from {
            self.expect(K::To)?;
        }
        let is_program = self.accept(K::Program);
        let filename = self.copy_file(is_program)?;
        let location = self.location();
        self.accept(K::Using);
        if self.is(K::Delimiters) {
            self.advance();
            let delimiter = DefArg::String(self.string()?);
            options.push(DefElem::new("delimiter", Some(delimiter), location));
        }
        self.copy_options(&mut options)?;
        let at = self.offset();
        let where_clause = self.optional_where()?;
        if where_clause.is_some() && !is_from {
            return Err(error!(SYNTAX_ERROR, "WHERE clause not allowed with COPY TO").at(at));
        }
        if is_program && filename.is_none() {
            return Err(error!(SYNTAX_ERROR, "STDIN/STDOUT not allowed with PROGRAM").at(at));
        }
        let source = CopySource::Relation { relation, columns };
        let stmt = CopyStmt { source, is_from, is_program, filename, options, where_clause };
        Ok(Statement::Copy(Box::new(stmt)))
    }

    fn copy_query(&mut self) -> Result<Statement> {
        let query = self.statement_in_parens()?;
        self.expect(K::To)?;
        let is_program = self.accept(K::Program);
        let filename = self.copy_file(is_program)?;
        let mut options = Vec::new();
        self.copy_options(&mut options)?;
        let source = CopySource::Query(query);
        let stmt = CopyStmt { source, is_from: false, is_program, filename, options, where_clause: None };
        Ok(Statement::Copy(Box::new(stmt)))
    }

    fn copy_file(&mut self, is_program: bool) -> Result<Option<String>> {
        if !is_program && self.is_any(&[K::Stdin, K::Stdout]) {
            self.advance();
            return Ok(None);
        }
        self.string().map(Some)
    }

    fn copy_options(&mut self, options: &mut Vec<DefElem>) -> Result<()> {
        self.accept(K::With);
        if self.at(&Token::LParen) {
            options.extend(self.copy_generic_options()?);
            return Ok(());
        }
        while let Some(option) = self.copy_old_option()? {
            options.push(option);
        }
        Ok(())
    }

    fn copy_generic_options(&mut self) -> Result<Vec<DefElem>> {
        self.paren_list(|parser| {
            let location = parser.location();
            let name = parser.col_label()?;
            let arg = if parser.at(&Token::Comma) || parser.at(&Token::RParen) {
                None
            } else if parser.at_numeric() {
                Some(parser.numeric_only()?)
            } else if parser.accept_token(&Token::Mul) {
                Some(DefArg::Star)
            } else if parser.accept(K::Default) {
                Some(DefArg::String("default".to_owned()))
            } else if parser.at(&Token::LParen) {
                Some(DefArg::List(
                    parser.paren_list(|parser| parser.boolean_or_string().map(DefArg::String))?,
                ))
            } else {
                Some(DefArg::String(parser.boolean_or_string()?))
            };
            Ok(DefElem { namespace: None, name, arg, location })
        })
    }

    /// `copy_opt_item`.
    fn copy_old_option(&mut self) -> Result<Option<DefElem>> {
        let location = self.location();
        let Some(keyword) = self.keyword() else { return Ok(None) };
        let text = |value: &str| Some(DefArg::String(value.to_owned()));
        let (name, arg) = match keyword {
            K::Binary => ("format", text("binary")),
            K::Csv => ("format", text("csv")),
            K::Freeze => ("freeze", Some(DefArg::Boolean(true))),
            K::Header => ("header", Some(DefArg::Boolean(true))),
            K::Delimiter | K::Null | K::Quote | K::Escape | K::Encoding => {
                self.advance();
                if keyword != K::Encoding {
                    self.accept(K::As);
                }
                let value = DefArg::String(self.string()?);
                return Ok(Some(DefElem::new(keyword.name(), Some(value), location)));
            }
            K::Force => {
                self.advance();
                return self.copy_force(location).map(Some);
            }
            _ => return Ok(None),
        };
        self.advance();
        Ok(Some(DefElem::new(name, arg, location)))
    }

    fn copy_force(&mut self, location: crate::Location) -> Result<DefElem> {
        let name = if self.accept(K::Quote) {
            if self.accept_token(&Token::Mul) {
                return Ok(DefElem::new("force_quote", Some(DefArg::Star), location));
            }
            "force_quote"
        } else if self.accept(K::Not) {
            self.expect(K::Null)?;
            "force_not_null"
        } else {
            self.expect(K::Null)?;
            "force_null"
        };
        if name != "force_quote" && self.accept_token(&Token::Mul) {
            return Ok(DefElem::new(name, Some(DefArg::Star), location));
        }
        let columns = self.comma_list(|parser| parser.col_id().map(DefArg::String))?;
        Ok(DefElem::new(name, Some(DefArg::List(columns)), location))
    }
}
