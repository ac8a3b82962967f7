//! FROM: relations, functions, sub-selects and joins.

use kokkiri_primitives::{Result, stack};
use sqlparser::tokenizer::Token;

use crate::keyword::Keyword as K;
use crate::location::Location;
use crate::parser::Parser;
use crate::tree::*;

impl Parser<'_> {
    /// `table_ref`: a primary and the joins behind it.
    pub fn table_reference(&mut self) -> Result<TableExpr> {
        stack::check_depth()?;
        let left = self.table_primary()?;
        self.joins(left)
    }

    fn joins(&mut self, mut left: TableExpr) -> Result<TableExpr> {
        let mut length = 0;
        loop {
            let location = self.location();
            let natural = self.is(K::Natural);
            let keyword = self.keyword_at(usize::from(natural));
            let join_type = match keyword {
                Some(K::Join | K::Inner) => JoinType::Inner,
                Some(K::Cross) if !natural => JoinType::Inner,
                Some(K::Left) => JoinType::Left,
                Some(K::Right) => JoinType::Right,
                Some(K::Full) => JoinType::Full,
                _ if natural => return Err(self.syntax_error_at(1)),
                _ => return Ok(left),
            };
            length += 1;
            self.check_chain(length)?;
            if natural {
                self.advance();
            }
            self.advance();
            if matches!(keyword, Some(K::Left | K::Right | K::Full)) {
                self.accept(K::Outer);
            }
            if keyword != Some(K::Join) {
                self.expect(K::Join)?;
            }
            let mut join = JoinExpr {
                join_type,
                natural,
                left,
                right: self.join_operand(natural || keyword == Some(K::Cross))?,
                using: Vec::new(),
                using_alias: None,
                quals: None,
                alias: None,
                location,
            };
            if !natural && keyword != Some(K::Cross) {
                self.join_qualification(&mut join)?;
            }
            left = TableExpr::Join(Box::new(join));
        }
    }

    /// The right side of a join. Without a qualification of its own a join takes just one table; with one, further
    /// joins before it nest: `a JOIN b JOIN c ON x ON y`.
    fn join_operand(&mut self, unqualified: bool) -> Result<TableExpr> {
        stack::check_depth()?;
        let right = self.table_primary()?;
        if unqualified || self.is(K::On) || self.is(K::Using) {
            return Ok(right);
        }
        self.joins(right)
    }

    fn join_qualification(&mut self, join: &mut JoinExpr) -> Result<()> {
        if self.accept(K::On) {
            join.quals = Some(self.expression()?);
            return Ok(());
        }
        self.expect(K::Using)?;
        join.using = self.paren_list(Self::col_id)?;
        if self.accept(K::As) {
            join.using_alias = Some(Alias { name: self.col_id()?, columns: Vec::new() });
        }
        Ok(())
    }

    /// A table, function, sub-select or parenthesised join, with its alias.
    fn table_primary(&mut self) -> Result<TableExpr> {
        let location = self.location();
        let lateral = self.accept(K::Lateral);
        if self.at(&Token::LParen) {
            let (_, first) = self.behind_parens();
            let selects = matches!(first, Some(K::Select | K::Values | K::Table | K::With));
            if lateral && !selects {
                let (parens, _) = self.behind_parens();
                return Err(self.syntax_error_at(parens));
            }
            let inner = if selects {
                self.parenthesised_table()?
            } else {
                self.advance();
                let join = self.table_reference()?;
                if !matches!(join, TableExpr::Join(_)) {
                    return Err(self.syntax_error());
                }
                self.expect_token(&Token::RParen)?;
                ParenthesisedTable::Table(join)
            };
            return match inner {
                ParenthesisedTable::Select(query) => self.aliased_select(query, lateral, location),
                ParenthesisedTable::Table(table) => self.aliased_join(table),
            };
        }
        if self.is(K::Rows) && self.is_at(1, K::From) && self.at_offset(2, &Token::LParen) {
            return self.rows_from(lateral, location);
        }
        if lateral || self.at_function() {
            return self.range_function(lateral, location);
        }
        let mut relation = self.relation_expr()?;
        relation.alias = self.optional_alias()?;
        if !self.is(K::Tablesample) {
            return Ok(TableExpr::Relation(relation));
        }
        let location = self.location();
        self.advance();
        let method = self.function_name()?;
        let args = self.paren_list(Self::expression)?;
        let repeatable = if self.accept(K::Repeatable) {
            self.expect_token(&Token::LParen)?;
            let seed = self.expression()?;
            self.expect_token(&Token::RParen)?;
            Some(seed)
        } else {
            None
        };
        let relation = TableExpr::Relation(relation);
        Ok(TableExpr::TableSample(Box::new(RangeTableSample {
            relation,
            method,
            args,
            repeatable,
            location,
        })))
    }

    fn aliased_select(
        &mut self,
        query: Box<SelectStmt>,
        lateral: bool,
        location: Location,
    ) -> Result<TableExpr> {
        let alias = self.optional_alias()?;
        Ok(TableExpr::Subselect { lateral, query, alias, location })
    }

    fn aliased_join(&mut self, mut table: TableExpr) -> Result<TableExpr> {
        if let Some(alias) = self.optional_alias()? {
            match &mut table {
                TableExpr::Join(join) if join.alias.is_none() => join.alias = Some(alias),
                _ => return Err(self.syntax_error()),
            }
        }
        Ok(table)
    }

    /// Parentheses that start with a select: the select itself, or a join whose first table it is.
    fn parenthesised_table(&mut self) -> Result<ParenthesisedTable> {
        stack::check_depth()?;
        let location = self.location();
        let (parens, _) = self.behind_parens();
        if parens == 1 {
            return Ok(ParenthesisedTable::Select(Box::new(self.subselect()?)));
        }
        self.advance();
        let table = match self.parenthesised_table()? {
            ParenthesisedTable::Select(select) if self.continues_select() => {
                let select = self.select_statement(Some(select))?;
                self.expect_token(&Token::RParen)?;
                return Ok(ParenthesisedTable::Select(Box::new(select)));
            }
            ParenthesisedTable::Select(select) => self.aliased_select(select, false, location)?,
            ParenthesisedTable::Table(table) => self.aliased_join(table)?,
        };
        let join = self.joins(table)?;
        if !matches!(join, TableExpr::Join(_)) {
            return Err(self.syntax_error());
        }
        self.expect_token(&Token::RParen)?;
        Ok(ParenthesisedTable::Table(join))
    }

    /// `opt_alias_clause`.
    pub fn optional_alias(&mut self) -> Result<Option<Alias>> {
        if !self.accept(K::As) && !self.is_col_id() {
            return Ok(None);
        }
        let name = self.col_id()?;
        let columns = self.optional_paren_list(Self::col_id)?;
        Ok(Some(Alias { name, columns }))
    }

    fn range_function(&mut self, lateral: bool, location: Location) -> Result<TableExpr> {
        let function = self.function_without_tail()?;
        let mut range = RangeFunction {
            lateral,
            ordinality: self.accept_all(&[K::With, K::Ordinality]),
            rows_from: false,
            functions: vec![(function, Vec::new())],
            alias: None,
            columns: Vec::new(),
            location,
        };
        self.function_alias(&mut range)?;
        Ok(TableExpr::Function(Box::new(range)))
    }

    fn rows_from(&mut self, lateral: bool, location: Location) -> Result<TableExpr> {
        self.advance();
        self.advance();
        let functions = self.paren_list(|parser| {
            let function = parser.function_without_tail()?;
            let columns =
                if parser.accept(K::As) { parser.paren_list(Self::function_column)? } else { Vec::new() };
            Ok((function, columns))
        })?;
        let mut range = RangeFunction {
            lateral,
            ordinality: self.accept_all(&[K::With, K::Ordinality]),
            rows_from: true,
            functions,
            alias: None,
            columns: Vec::new(),
            location,
        };
        self.function_alias(&mut range)?;
        Ok(TableExpr::Function(Box::new(range)))
    }

    /// `func_alias_clause`: an alias, column definitions, or both.
    fn function_alias(&mut self, range: &mut RangeFunction) -> Result<()> {
        let with_as = self.accept(K::As);
        if with_as && self.at(&Token::LParen) {
            range.columns = self.paren_list(Self::function_column)?;
            return Ok(());
        }
        if !with_as && !self.is_col_id() {
            return Ok(());
        }
        let name = self.col_id()?;
        let mut columns = Vec::new();
        if self.at(&Token::LParen) {
            // A list of names, or of names with types.
            if matches!(self.peek_at(2).token, Token::Comma | Token::RParen) {
                columns = self.paren_list(Self::col_id)?;
            } else {
                range.columns = self.paren_list(Self::function_column)?;
            }
        }
        range.alias = Some(Alias { name, columns });
        Ok(())
    }

    /// `TableFuncElement`.
    fn function_column(&mut self) -> Result<ColumnDef> {
        let location = self.location();
        let name = self.col_id()?;
        let type_name = Some(self.type_name()?);
        let collation = self.optional_collation()?;
        Ok(ColumnDef {
            name,
            type_name,
            compression: None,
            storage: None,
            collation,
            constraints: Vec::new(),
            fdw_options: Vec::new(),
            location,
        })
    }

    /// COLLATE name, or nothing.
    pub fn optional_collation(&mut self) -> Result<Option<(Vec<String>, Location)>> {
        let location = self.location();
        if !self.accept(K::Collate) {
            return Ok(None);
        }
        Ok(Some((self.any_name()?, location)))
    }
}

enum ParenthesisedTable {
    Select(Box<SelectStmt>),
    Table(TableExpr),
}
