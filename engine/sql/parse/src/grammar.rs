//! PostgreSQL's grammar (gram.y) by recursive descent over [`Parser`].
//!
//! One file a family of rules; [`expression`] has the precedences. [`statement`](Parser::statement) is where a
//! statement's first word is looked at.

mod alter;
mod constant;
mod copy;
mod create;
mod expression;
mod from;
mod function_call;
mod modify;
mod name;
mod object;
mod relation;
mod role;
mod routine;
mod select;
mod setting;
mod type_name;
mod utility;

use kokkiri_primitives::{Result, stack};
use sqlparser::tokenizer::Token;

use crate::keyword::Keyword as K;
use crate::parser::Parser;
use crate::tree::*;

impl Parser<'_> {
    /// `parse_toplevel`: statements separated by semicolons.
    pub fn statements(&mut self) -> Result<Vec<RawStatement>> {
        let mut statements = Vec::new();
        loop {
            while self.accept_token(&Token::SemiColon) {}
            if self.at_end() {
                self.finish()?;
                return Ok(statements);
            }
            let location = self.offset();
            let statement = self.statement()?;
            if !self.at_end() && !self.at(&Token::SemiColon) {
                return Err(self.syntax_error());
            }
            let length = self.previous_end() - location;
            statements.push(RawStatement { statement, location, length });
        }
    }

    /// `stmt`, not empty.
    pub fn statement(&mut self) -> Result<Statement> {
        stack::check_depth()?;
        if self.at(&Token::LParen) {
            return Ok(Statement::Select(Box::new(self.select_statement(None)?)));
        }
        let Some(keyword) = self.keyword() else { return Err(self.syntax_error()) };
        match keyword {
            K::Select | K::Values | K::Table => Ok(Statement::Select(Box::new(self.select_statement(None)?))),
            K::With => self.with_statement(),
            K::Insert | K::Update | K::Delete | K::Merge => self.modify_statement(None),
            K::Begin | K::Start | K::Commit | K::End | K::Rollback | K::Abort | K::Savepoint | K::Release => {
                self.transaction_statement()
            }
            K::Prepare => self.prepare(),
            K::Execute => self.execute(),
            K::Deallocate => self.deallocate(),
            K::Set => self.set_statement(),
            K::Reset => Ok(Statement::VariableSet(self.reset()?)),
            K::Show => self.show(),
            K::Discard => self.discard(),
            K::Declare => self.declare_cursor(),
            K::Fetch | K::Move => self.fetch(),
            K::Close => self.close_portal(),
            K::Explain => self.explain(),
            K::Vacuum | K::Analyze | K::Analyse => self.vacuum(),
            K::Checkpoint => self.checkpoint(),
            K::Reindex => self.reindex(),
            K::Cluster => self.cluster(),
            K::Lock => self.lock(),
            K::Truncate => self.truncate(),
            K::Copy => self.copy(),
            K::Listen | K::Unlisten | K::Notify => self.notification(),
            K::Load => {
                self.advance();
                Ok(Statement::Load(self.string()?))
            }
            K::Do => self.do_block(),
            K::Call => self.call(),
            K::Create => self.create(),
            K::Alter => self.alter(),
            K::Drop => self.drop(),
            K::Comment => self.comment(),
            K::Grant => self.grant(),
            K::Revoke => self.revoke(),
            K::Reassign => self.reassign_owned(),
            K::Refresh => self.refresh(),
            _ => Err(self.syntax_error()),
        }
    }
}
