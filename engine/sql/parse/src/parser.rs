//! The cursor every grammar rule works on, and the rules all others share: names, lists, errors.
//!
//! PostgreSQL's grammar is LALR(1): it reports the first token that can't continue any rule. A rule here
//! therefore never backtracks; it decides by looking ahead and fails at the token it can't use.

use kokkiri_primitives::{Error, Result, error, stack};
use sqlparser::tokenizer::Token;

use crate::keyword::{Category, Keyword};
use crate::lexer::{self, Lexeme, ScanOptions};
use crate::location::Location;

/// Longest chain of left-deep operators (`1 + 1 + ...`): they nest without the parser recursing.
const CHAIN_MAX: usize = 4000;

pub(crate) struct Parser<'a> {
    text: &'a str,
    lexemes: Vec<Lexeme>,
    position: usize,
    lexer_error: Option<Error>,
}

impl<'a> Parser<'a> {
    pub fn new(text: &'a str, options: ScanOptions) -> (Self, Vec<Error>) {
        let lexed = lexer::lex(text, options);
        let parser = Self { text, lexemes: lexed.lexemes, position: 0, lexer_error: lexed.error };
        (parser, lexed.notices)
    }

    // Looking ahead.

    /// The token `offset` tokens on; `EOF` at and behind the end.
    pub fn peek_at(&self, offset: usize) -> &Lexeme {
        let index = (self.position + offset).min(self.lexemes.len() - 1);
        &self.lexemes[index]
    }

    pub fn token(&self) -> &Token {
        &self.lexemes[self.position].token
    }

    pub fn keyword(&self) -> Option<Keyword> {
        self.lexemes[self.position].keyword
    }

    pub fn keyword_at(&self, offset: usize) -> Option<Keyword> {
        self.peek_at(offset).keyword
    }

    pub fn is(&self, keyword: Keyword) -> bool {
        self.keyword() == Some(keyword)
    }

    pub fn is_at(&self, offset: usize, keyword: Keyword) -> bool {
        self.keyword_at(offset) == Some(keyword)
    }

    pub fn is_any(&self, keywords: &[Keyword]) -> bool {
        self.keyword().is_some_and(|keyword| keywords.contains(&keyword))
    }

    pub fn at(&self, token: &Token) -> bool {
        self.token() == token
    }

    pub fn at_offset(&self, offset: usize, token: &Token) -> bool {
        self.peek_at(offset).token == *token
    }

    pub fn at_end(&self) -> bool {
        self.at(&Token::EOF)
    }

    pub fn at_string(&self) -> bool {
        matches!(self.token(), Token::SingleQuotedString(_))
    }

    /// Byte offset of the current token.
    pub fn offset(&self) -> usize {
        self.lexemes[self.position].start as usize
    }

    pub fn location(&self) -> Location {
        Location::new(self.offset())
    }

    /// End of the last consumed token.
    pub fn previous_end(&self) -> usize {
        self.position.checked_sub(1).map_or(0, |index| self.lexemes[index].end as usize)
    }

    /// How many opening parentheses stand here, and the keyword behind them.
    pub fn behind_parens(&self) -> (usize, Option<Keyword>) {
        let mut count = 0;
        while self.at_offset(count, &Token::LParen) {
            count += 1;
        }
        (count, self.keyword_at(count))
    }

    // Consuming.

    pub fn advance(&mut self) {
        if self.position + 1 < self.lexemes.len() {
            self.position += 1;
        }
    }

    /// Consumes the current token and hands it out.
    pub fn take(&mut self) -> Token {
        let index = self.position;
        self.advance();
        if index == self.position {
            return Token::EOF;
        }
        std::mem::replace(&mut self.lexemes[index].token, Token::EOF)
    }

    pub fn accept(&mut self, keyword: Keyword) -> bool {
        let found = self.is(keyword);
        if found {
            self.advance();
        }
        found
    }

    /// Accepts several keywords in a row, all or none.
    pub fn accept_all(&mut self, keywords: &[Keyword]) -> bool {
        let found = keywords.iter().enumerate().all(|(offset, keyword)| self.is_at(offset, *keyword));
        if found {
            keywords.iter().for_each(|_| self.advance());
        }
        found
    }

    pub fn accept_token(&mut self, token: &Token) -> bool {
        let found = self.at(token);
        if found {
            self.advance();
        }
        found
    }

    pub fn expect(&mut self, keyword: Keyword) -> Result<()> {
        if self.accept(keyword) { Ok(()) } else { Err(self.syntax_error()) }
    }

    pub fn expect_all(&mut self, keywords: &[Keyword]) -> Result<()> {
        keywords.iter().try_for_each(|keyword| self.expect(*keyword))
    }

    pub fn expect_token(&mut self, token: &Token) -> Result<()> {
        if self.accept_token(token) { Ok(()) } else { Err(self.syntax_error()) }
    }

    // Errors.

    /// "syntax error at or near" the current token, or what the lexer met there.
    #[cold]
    pub fn syntax_error(&self) -> Error {
        self.error_here("syntax error")
    }

    #[cold]
    pub fn error_here(&self, message: &str) -> Error {
        self.error_at_token(self.position, message)
    }

    /// The same about the token `offset` tokens on.
    #[cold]
    pub fn syntax_error_at(&self, offset: usize) -> Error {
        self.error_at_token((self.position + offset).min(self.lexemes.len() - 1), "syntax error")
    }

    /// The same about the token just consumed.
    #[cold]
    pub fn syntax_error_behind(&self) -> Error {
        self.error_at_token(self.position.saturating_sub(1), "syntax error")
    }

    fn error_at_token(&self, index: usize, message: &str) -> Error {
        let lexeme = &self.lexemes[index];
        if index + 1 == self.lexemes.len()
            && let Some(error) = &self.lexer_error
        {
            return error.clone();
        }
        lexer::scan_error(self.text, lexeme.start as usize, lexeme.end as usize, message)
    }

    /// Fails with the lexer's error if that is why the tokens end.
    pub fn finish(&mut self) -> Result<()> {
        match self.lexer_error.take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// A link more of a chain; see [`CHAIN_MAX`].
    pub fn check_chain(&self, length: usize) -> Result<()> {
        if length > CHAIN_MAX { Err(stack::depth_exceeded()) } else { Ok(()) }
    }

    // Lists.

    /// One or more items separated by commas.
    pub fn comma_list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let mut items = vec![item(self)?];
        while self.accept_token(&Token::Comma) {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// A comma list in parentheses.
    pub fn paren_list<T>(&mut self, item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        self.expect_token(&Token::LParen)?;
        let items = self.comma_list(item)?;
        self.expect_token(&Token::RParen)?;
        Ok(items)
    }

    /// A comma list in parentheses, or nothing.
    pub fn optional_paren_list<T>(&mut self, item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        if self.at(&Token::LParen) { self.paren_list(item) } else { Ok(Vec::new()) }
    }

    // Names.

    /// True if the token `offset` on is an identifier or a keyword of one of the categories.
    pub fn is_name_at(&self, offset: usize, categories: &[Category]) -> bool {
        let lexeme = self.peek_at(offset);
        match lexeme.keyword {
            Some(keyword) => categories.contains(&keyword.category()),
            None => matches!(lexeme.token, Token::Word(_)),
        }
    }

    fn name_of(&mut self, categories: &[Category]) -> Result<String> {
        if !self.is_name_at(0, categories) {
            return Err(self.syntax_error());
        }
        Ok(self.take_name())
    }

    /// The current word or keyword as a name.
    pub fn take_name(&mut self) -> String {
        let keyword = self.keyword();
        let token = self.take();
        match (keyword, token) {
            (Some(keyword), _) => keyword.name().to_owned(),
            (None, Token::Word(word)) => word.value,
            _ => String::new(),
        }
    }

    pub fn is_col_id(&self) -> bool {
        self.is_col_id_at(0)
    }

    pub fn is_col_id_at(&self, offset: usize) -> bool {
        self.is_name_at(offset, COL_ID)
    }

    /// `ColId`: names of columns, tables and most objects.
    pub fn col_id(&mut self) -> Result<String> {
        self.name_of(COL_ID)
    }

    /// `type_function_name`.
    pub fn type_function_name(&mut self) -> Result<String> {
        self.name_of(TYPE_FUNCTION_NAME)
    }

    /// `NonReservedWord`.
    pub fn non_reserved_word(&mut self) -> Result<String> {
        self.name_of(NON_RESERVED)
    }

    /// `ColLabel`: any word at all.
    pub fn col_label(&mut self) -> Result<String> {
        self.name_of(ANY_WORD)
    }

    /// `BareColLabel`.
    pub fn is_bare_label(&self) -> bool {
        match self.keyword() {
            Some(keyword) => keyword.is_bare_label(),
            None => matches!(self.token(), Token::Word(_)),
        }
    }

    pub fn name_list(&mut self) -> Result<Vec<String>> {
        self.comma_list(Self::col_id)
    }

    /// `any_name`: `ColId attrs`.
    pub fn any_name(&mut self) -> Result<Vec<String>> {
        let mut names = vec![self.col_id()?];
        self.attributes(&mut names)?;
        Ok(names)
    }

    /// `attrs`: `.label` any number of times.
    pub fn attributes(&mut self, names: &mut Vec<String>) -> Result<()> {
        while self.accept_token(&Token::Period) {
            names.push(self.col_label()?);
        }
        Ok(())
    }

    pub fn string(&mut self) -> Result<String> {
        if !self.at_string() {
            return Err(self.syntax_error());
        }
        match self.take() {
            Token::SingleQuotedString(value) => Ok(value),
            _ => Ok(String::new()),
        }
    }

    /// `Iconst`.
    pub fn is_integer(&self) -> bool {
        matches!(self.token(), Token::Number(_, true))
    }

    pub fn integer(&mut self) -> Result<i32> {
        match self.token() {
            Token::Number(digits, true) => {
                let value = digits.parse().unwrap_or(i32::MAX);
                self.advance();
                Ok(value)
            }
            _ => Err(self.syntax_error()),
        }
    }

    /// `SignedIconst`.
    pub fn signed_integer(&mut self) -> Result<i32> {
        if self.accept_token(&Token::Minus) {
            return Ok(-self.integer()?);
        }
        self.accept_token(&Token::Plus);
        self.integer()
    }

    /// IF EXISTS, or nothing.
    pub fn if_exists(&mut self) -> Result<bool> {
        if !self.accept(Keyword::If) {
            return Ok(false);
        }
        self.expect(Keyword::Exists)?;
        Ok(true)
    }

    /// IF NOT EXISTS, or nothing.
    pub fn if_not_exists(&mut self) -> Result<bool> {
        if !self.accept(Keyword::If) {
            return Ok(false);
        }
        self.expect_all(&[Keyword::Not, Keyword::Exists])?;
        Ok(true)
    }

    /// The text of a range of the statement.
    pub fn error_improper_name(&self, names: &[String], what: &str, location: Location) -> Error {
        let error = error!(SYNTAX_ERROR, "improper {what} (too many dotted names): {}", names.join("."));
        match location.offset() {
            Some(offset) => error.at(offset),
            None => error,
        }
    }
}

const COL_ID: &[Category] = &[Category::Unreserved, Category::ColName];
const TYPE_FUNCTION_NAME: &[Category] = &[Category::Unreserved, Category::TypeFuncName];
const NON_RESERVED: &[Category] = &[Category::Unreserved, Category::ColName, Category::TypeFuncName];
const ANY_WORD: &[Category] =
    &[Category::Unreserved, Category::ColName, Category::TypeFuncName, Category::Reserved];
