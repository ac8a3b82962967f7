//! Expressions: `a_expr`, `b_expr` and `c_expr`, with gram.y's precedences.
//!
//! Lowest first: OR, AND, NOT, IS (and ISNULL, NOTNULL), comparisons, BETWEEN/IN/LIKE/ILIKE/SIMILAR, other operators,
//! `+ -`, `* / %`, `^`, AT, COLLATE, unary minus, subscripts, `::`. IS, the comparisons and the BETWEEN group do not
//! associate: `1 < 2 < 3` is a syntax error at the second `<`.

use kokkiri_primitives::{Result, stack};
use sqlparser::tokenizer::Token;

use crate::keyword::Keyword as K;
use crate::location::Location;
use crate::parser::Parser;
use crate::tree::*;

/// Binding strengths.
mod precedence {
    pub const LOWEST: u8 = 0;
    pub const OR: u8 = 1;
    pub const AND: u8 = 2;
    pub const NOT: u8 = 3;
    pub const IS: u8 = 4;
    pub const COMPARISON: u8 = 5;
    pub const LIKE: u8 = 6;
    pub const ESCAPE: u8 = 7;
    pub const OPERATOR: u8 = 9;
    pub const ADDITIVE: u8 = 10;
    pub const MULTIPLICATIVE: u8 = 11;
    pub const CARET: u8 = 12;
    pub const AT: u8 = 13;
    pub const COLLATE: u8 = 14;
    pub const UNARY: u8 = 15;
    pub const CAST: u8 = 18;
}
use precedence as p;

/// Which of PostgreSQL's two expression rules applies.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// `a_expr`: everything.
    Full,
    /// `b_expr`: no AND, OR, NOT, LIKE, IN, BETWEEN, IS NULL, AT, COLLATE, where those would be ambiguous.
    Restricted,
}

/// What stands behind the left operand.
enum Infix {
    Operator(String),
    Keyword(K),
    Cast,
}

/// Whether another operator of the same strength may follow.
enum Follows {
    Anything,
    /// The rule ended with an operand and its operator does not associate.
    NotSame,
}

impl Parser<'_> {
    /// `a_expr`.
    pub fn expression(&mut self) -> Result<Expr> {
        self.expression_above(p::LOWEST, Rule::Full)
    }

    /// `b_expr`.
    pub fn restricted_expression(&mut self) -> Result<Expr> {
        self.expression_above(p::LOWEST, Rule::Restricted)
    }

    /// `expr_list`.
    pub fn expression_list(&mut self) -> Result<Vec<Expr>> {
        self.comma_list(Self::expression)
    }

    fn expression_above(&mut self, lowest: u8, rule: Rule) -> Result<Expr> {
        stack::check_depth()?;
        let left = self.prefix(rule)?;
        self.continue_expression(left, lowest, rule)
    }

    /// Carries an `a_expr` on whose first operand is there already.
    pub fn expression_from(&mut self, left: Expr) -> Result<Expr> {
        self.continue_expression(left, p::LOWEST, Rule::Full)
    }

    fn continue_expression(&mut self, mut left: Expr, lowest: u8, rule: Rule) -> Result<Expr> {
        let mut forbidden = None;
        let mut length = 0;
        while let Some((strength, infix)) = self.infix(rule) {
            if strength < lowest {
                break;
            }
            if forbidden == Some(strength) {
                return Err(self.syntax_error());
            }
            // AND and OR make flat nodes; everything else nests.
            if !matches!(infix, Infix::Keyword(K::And | K::Or)) {
                length += 1;
                self.check_chain(length)?;
            }
            let follows;
            (left, follows) = self.apply(left, strength, infix, rule)?;
            forbidden = match follows {
                Follows::NotSame => Some(strength),
                Follows::Anything => None,
            };
        }
        Ok(left)
    }

    fn prefix(&mut self, rule: Rule) -> Result<Expr> {
        let location = self.location();
        match self.token() {
            Token::Minus => {
                self.advance();
                let operand = self.expression_above(p::UNARY, rule)?;
                Ok(negate(operand, location))
            }
            Token::Plus => {
                self.advance();
                let operand = self.expression_above(p::UNARY, rule)?;
                Ok(prefix_operator(vec!["+".to_owned()], operand, location))
            }
            Token::CustomBinaryOperator(name) if name != ".." => {
                let name = vec![name.clone()];
                self.advance();
                let operand = self.expression_above(p::OPERATOR + 1, rule)?;
                Ok(prefix_operator(name, operand, location))
            }
            _ => match self.keyword() {
                Some(K::Not) if rule == Rule::Full => {
                    self.advance();
                    let operand = self.expression_above(p::NOT, rule)?;
                    Ok(Expr::Bool { op: BoolOp::Not, args: vec![operand], location })
                }
                Some(K::Operator) if self.at_offset(1, &Token::LParen) => {
                    let name = self.qualified_operator()?;
                    let operand = self.expression_above(p::OPERATOR + 1, rule)?;
                    Ok(prefix_operator(name, operand, location))
                }
                Some(K::Default) if rule == Rule::Full => {
                    self.advance();
                    Ok(Expr::SetToDefault { location })
                }
                Some(K::Unique) => Err(self
                    .error_here("UNIQUE predicate is not yet implemented")
                    .with_sqlstate_not_supported()),
                _ => self.primary(),
            },
        }
    }

    /// The operator here and its strength; nothing is consumed.
    fn infix(&self, rule: Rule) -> Option<(u8, Infix)> {
        let operator = |name: &str, strength| Some((strength, Infix::Operator(name.to_owned())));
        match self.token() {
            Token::EOF | Token::Comma | Token::RParen => None,
            Token::Eq => operator("=", p::COMPARISON),
            Token::Lt => operator("<", p::COMPARISON),
            Token::Gt => operator(">", p::COMPARISON),
            Token::LtEq => operator("<=", p::COMPARISON),
            Token::GtEq => operator(">=", p::COMPARISON),
            Token::Neq => operator("<>", p::COMPARISON),
            Token::Plus => operator("+", p::ADDITIVE),
            Token::Minus => operator("-", p::ADDITIVE),
            Token::Mul => operator("*", p::MULTIPLICATIVE),
            Token::Div => operator("/", p::MULTIPLICATIVE),
            Token::Mod => operator("%", p::MULTIPLICATIVE),
            Token::Caret => operator("^", p::CARET),
            Token::DoubleColon => Some((p::CAST, Infix::Cast)),
            Token::CustomBinaryOperator(name) if name != ".." => operator(name, p::OPERATOR),
            _ => self.infix_keyword(rule),
        }
    }

    fn infix_keyword(&self, rule: Rule) -> Option<(u8, Infix)> {
        let keyword = self.keyword()?;
        let strength = match keyword {
            K::Operator => p::OPERATOR,
            K::Is => p::IS,
            _ if rule == Rule::Restricted => return None,
            K::Or => p::OR,
            K::And => p::AND,
            K::Isnull | K::Notnull => p::IS,
            K::Between | K::In | K::Like | K::Ilike => p::LIKE,
            // Without TO it belongs to SUBSTRING.
            K::Similar if self.is_at(1, K::To) => p::LIKE,
            K::Not
                if matches!(
                    self.keyword_at(1),
                    Some(K::Between | K::In | K::Like | K::Ilike | K::Similar)
                ) =>
            {
                p::LIKE
            }
            K::At => p::AT,
            K::Collate => p::COLLATE,
            K::Overlaps => p::OPERATOR,
            _ => return None,
        };
        Some((strength, Infix::Keyword(keyword)))
    }

    fn apply(&mut self, left: Expr, strength: u8, infix: Infix, rule: Rule) -> Result<(Expr, Follows)> {
        let location = self.location();
        match infix {
            Infix::Cast => {
                self.advance();
                let type_name = self.type_name()?;
                let cast = TypeCast { arg: left, type_name, location };
                Ok((Expr::TypeCast(Box::new(cast)), Follows::Anything))
            }
            Infix::Operator(name) => {
                self.advance();
                self.operator(left, vec![name], strength, location, rule)
            }
            Infix::Keyword(K::Operator) => {
                let name = self.qualified_operator()?;
                self.operator(left, name, strength, location, rule)
            }
            Infix::Keyword(keyword) => self.apply_keyword(left, keyword, location, rule),
        }
    }

    /// `left op right`, or `left op ANY (...)`.
    fn operator(
        &mut self,
        left: Expr,
        name: Vec<String>,
        strength: u8,
        location: Location,
        rule: Rule,
    ) -> Result<(Expr, Follows)> {
        if rule == Rule::Full && self.is_any(&[K::Any, K::Some, K::All]) {
            return Ok((self.quantified(left, name, location)?, Follows::Anything));
        }
        let right = self.expression_above(strength + 1, rule)?;
        let follows = if strength == p::COMPARISON { Follows::NotSame } else { Follows::Anything };
        Ok((binary(AExprKind::Op, name, left, right, location), follows))
    }

    /// ANY, SOME or ALL with a sub-select or an array.
    fn quantified(&mut self, left: Expr, name: Vec<String>, location: Location) -> Result<Expr> {
        let all = self.is(K::All);
        self.advance();
        if !self.at(&Token::LParen) {
            return Err(self.syntax_error());
        }
        match self.parenthesised()? {
            Parenthesised::Select(subselect) => {
                let kind = if all { SubLinkType::All } else { SubLinkType::Any };
                let link =
                    SubLink { kind, test: Some(left), operator: name, subselect: *subselect, location };
                Ok(Expr::SubLink(Box::new(link)))
            }
            Parenthesised::Expr(right) => {
                let kind = if all { AExprKind::OpAll } else { AExprKind::OpAny };
                Ok(binary(kind, name, left, right, location))
            }
            Parenthesised::Row(..) => Err(self.syntax_error()),
        }
    }

    fn apply_keyword(
        &mut self,
        left: Expr,
        keyword: K,
        location: Location,
        rule: Rule,
    ) -> Result<(Expr, Follows)> {
        match keyword {
            K::And | K::Or => {
                self.advance();
                let (op, strength) =
                    if keyword == K::And { (BoolOp::And, p::AND) } else { (BoolOp::Or, p::OR) };
                let right = self.expression_above(strength + 1, rule)?;
                Ok((chain(op, left, right, location), Follows::Anything))
            }
            K::Isnull | K::Notnull => {
                self.advance();
                let is_null = keyword == K::Isnull;
                Ok((Expr::NullTest { arg: Box::new(left), is_null, location }, Follows::Anything))
            }
            K::Is => self.is_predicate(left, location, rule),
            K::At => {
                self.advance();
                Ok((self.at_time_zone(left, location)?, Follows::Anything))
            }
            K::Collate => {
                self.advance();
                let collation = self.any_name()?;
                let clause = CollateClause { arg: left, collation, location };
                Ok((Expr::Collate(Box::new(clause)), Follows::Anything))
            }
            K::Overlaps => {
                self.advance();
                let right = self.expression_above(p::OPERATOR + 1, rule)?;
                match (left, right) {
                    (Expr::Row { args: mut first, .. }, Expr::Row { args: second, location: at, .. }) => {
                        if first.len() != 2 || second.len() != 2 {
                            let (side, at) =
                                if first.len() != 2 { ("left", location) } else { ("right", at) };
                            let message =
                                format!("wrong number of parameters on {side} side of OVERLAPS expression");
                            return Err(kokkiri_primitives::error!(SYNTAX_ERROR, "{message}")
                                .at(at.offset().unwrap_or(0)));
                        }
                        first.extend(second);
                        let call = FuncCall::system("overlaps", first, CoercionForm::SqlSyntax, location);
                        Ok((call, Follows::Anything))
                    }
                    _ => Err(self.syntax_error()),
                }
            }
            _ => self.like_group(left, location),
        }
    }

    fn at_time_zone(&mut self, left: Expr, location: Location) -> Result<Expr> {
        if self.accept(K::Local) {
            return Ok(FuncCall::system("timezone", vec![left], CoercionForm::SqlSyntax, Location::UNKNOWN));
        }
        self.expect_all(&[K::Time, K::Zone])?;
        let zone = self.expression_above(p::AT + 1, Rule::Full)?;
        Ok(FuncCall::system("timezone", vec![zone, left], CoercionForm::SqlSyntax, location))
    }

    /// Behind IS.
    fn is_predicate(&mut self, left: Expr, location: Location, rule: Rule) -> Result<(Expr, Follows)> {
        self.advance();
        let not = self.accept(K::Not);
        let arg = Box::new(left);
        let boolean = |arg, positive, negative| {
            let test = if not { negative } else { positive };
            Ok((Expr::BooleanTest { arg, test, location }, Follows::Anything))
        };
        if self.accept(K::Distinct) {
            self.expect(K::From)?;
            let right = self.expression_above(p::IS + 1, rule)?;
            let kind = if not { AExprKind::NotDistinct } else { AExprKind::Distinct };
            return Ok((binary(kind, vec!["=".to_owned()], *arg, right, location), Follows::NotSame));
        }
        if rule == Rule::Restricted {
            return Err(self.syntax_error());
        }
        match self.keyword() {
            Some(K::Null) => {
                self.advance();
                Ok((Expr::NullTest { arg, is_null: !not, location }, Follows::Anything))
            }
            Some(K::True) => {
                self.advance();
                boolean(arg, BoolTest::IsTrue, BoolTest::IsNotTrue)
            }
            Some(K::False) => {
                self.advance();
                boolean(arg, BoolTest::IsFalse, BoolTest::IsNotFalse)
            }
            Some(K::Unknown) => {
                self.advance();
                boolean(arg, BoolTest::IsUnknown, BoolTest::IsNotUnknown)
            }
            Some(form @ (K::Normalized | K::Nfc | K::Nfd | K::Nfkc | K::Nfkd)) => {
                let at = self.location();
                self.advance();
                let mut args = vec![*arg];
                if form != K::Normalized {
                    self.expect(K::Normalized)?;
                    args.push(string_const(form.name().to_ascii_uppercase(), at));
                }
                let call = FuncCall::system("is_normalized", args, CoercionForm::SqlSyntax, location);
                let call =
                    if not { Expr::Bool { op: BoolOp::Not, args: vec![call], location } } else { call };
                Ok((call, Follows::Anything))
            }
            _ => Err(self.syntax_error()),
        }
    }

    /// `[NOT] BETWEEN, IN, LIKE, ILIKE, SIMILAR TO`.
    fn like_group(&mut self, left: Expr, location: Location) -> Result<(Expr, Follows)> {
        let not = self.accept(K::Not);
        let keyword = self.keyword();
        self.advance();
        match keyword {
            Some(K::In) => Ok((self.in_list(left, not, location)?, Follows::Anything)),
            Some(K::Between) => {
                let symmetric = self.accept(K::Symmetric);
                if !symmetric {
                    self.accept(K::Asymmetric);
                }
                let low = self.restricted_expression()?;
                self.expect(K::And)?;
                let high = self.expression_above(p::LIKE + 1, Rule::Full)?;
                let (kind, name) = match (symmetric, not) {
                    (false, false) => (AExprKind::Between, "BETWEEN"),
                    (false, true) => (AExprKind::NotBetween, "NOT BETWEEN"),
                    (true, false) => (AExprKind::BetweenSymmetric, "BETWEEN SYMMETRIC"),
                    (true, true) => (AExprKind::NotBetweenSymmetric, "NOT BETWEEN SYMMETRIC"),
                };
                let right = AExprRight::List(vec![low, high]);
                let expr = AExpr { kind, name: vec![name.to_owned()], left: Some(left), right, location };
                Ok((Expr::AExpr(Box::new(expr)), Follows::NotSame))
            }
            Some(K::Similar) => {
                self.expect(K::To)?;
                let pattern = self.expression_above(p::ESCAPE, Rule::Full)?;
                let mut args = vec![pattern];
                if self.accept(K::Escape) {
                    args.push(self.expression_above(p::ESCAPE, Rule::Full)?);
                }
                let pattern =
                    FuncCall::system("similar_to_escape", args, CoercionForm::ExplicitCall, location);
                let name = if not { "!~" } else { "~" };
                Ok((
                    binary(AExprKind::Similar, vec![name.to_owned()], left, pattern, location),
                    Follows::NotSame,
                ))
            }
            keyword => {
                let (kind, name) = match (keyword == Some(K::Like), not) {
                    (true, false) => (AExprKind::Like, "~~"),
                    (true, true) => (AExprKind::Like, "!~~"),
                    (false, false) => (AExprKind::ILike, "~~*"),
                    (false, true) => (AExprKind::ILike, "!~~*"),
                };
                let name = vec![name.to_owned()];
                if self.is_any(&[K::Any, K::Some, K::All]) {
                    return Ok((self.quantified(left, name, location)?, Follows::Anything));
                }
                let mut pattern = self.expression_above(p::ESCAPE, Rule::Full)?;
                if self.accept(K::Escape) {
                    let escape = self.expression_above(p::ESCAPE, Rule::Full)?;
                    let args = vec![pattern, escape];
                    pattern = FuncCall::system("like_escape", args, CoercionForm::ExplicitCall, location);
                }
                Ok((binary(kind, name, left, pattern, location), Follows::NotSame))
            }
        }
    }

    fn in_list(&mut self, left: Expr, not: bool, location: Location) -> Result<Expr> {
        if !self.at(&Token::LParen) {
            return Err(self.syntax_error());
        }
        let list = match self.parenthesised()? {
            Parenthesised::Select(subselect) => {
                let kind = SubLinkType::Any;
                let link =
                    SubLink { kind, test: Some(left), operator: Vec::new(), subselect: *subselect, location };
                let link = Expr::SubLink(Box::new(link));
                return Ok(if not {
                    Expr::Bool { op: BoolOp::Not, args: vec![link], location }
                } else {
                    link
                });
            }
            Parenthesised::Expr(expr) => vec![expr],
            Parenthesised::Row(list) => list,
        };
        let name = if not { "<>" } else { "=" };
        let expr = AExpr {
            kind: AExprKind::In,
            name: vec![name.to_owned()],
            left: Some(left),
            right: AExprRight::List(list),
            location,
        };
        Ok(Expr::AExpr(Box::new(expr)))
    }

    /// What stands in parentheses: a select, one expression, or several. Position is at the opening one.
    ///
    /// A select in parentheses may turn out to be the first operand of an expression, or the left side of a
    /// set operation: `((SELECT 1) + 2)`, `((SELECT 1) UNION SELECT 2)`. So the inner part is read
    /// first and judged by what follows it.
    pub(super) fn parenthesised(&mut self) -> Result<Parenthesised> {
        stack::check_depth()?;
        let (parens, first) = self.behind_parens();
        self.expect_token(&Token::LParen)?;
        let selects = matches!(first, Some(K::Select | K::Values | K::Table | K::With));
        let mut first = if selects && parens > 1 {
            match self.parenthesised()? {
                Parenthesised::Select(select) if self.continues_select() => {
                    let select = self.select_statement(Some(select))?;
                    self.expect_token(&Token::RParen)?;
                    return Ok(Parenthesised::Select(Box::new(select)));
                }
                inner => {
                    // Its location is that of its parenthesis, which stands directly before.
                    let operand = self.parenthesised_operand(inner, Location::UNKNOWN)?;
                    self.expression_from(operand)?
                }
            }
        } else if selects {
            let select = self.select_statement(None)?;
            self.expect_token(&Token::RParen)?;
            return Ok(Parenthesised::Select(Box::new(select)));
        } else {
            self.expression()?
        };
        if !self.at(&Token::Comma) {
            self.expect_token(&Token::RParen)?;
            return Ok(Parenthesised::Expr(first));
        }
        let mut list = Vec::new();
        loop {
            list.push(first);
            if !self.accept_token(&Token::Comma) {
                break;
            }
            first = self.expression()?;
        }
        self.expect_token(&Token::RParen)?;
        Ok(Parenthesised::Row(list))
    }

    /// True if a select in parentheses goes on as a select: a set operation, or clauses of its own.
    pub(super) fn continues_select(&self) -> bool {
        self.at(&Token::RParen)
            || self.is_any(&[
                K::Union,
                K::Intersect,
                K::Except,
                K::Order,
                K::Limit,
                K::Offset,
                K::Fetch,
                K::For,
            ])
    }

    /// Makes an operand of what stood in parentheses, with the indirection behind it.
    pub(super) fn parenthesised_operand(&mut self, inner: Parenthesised, location: Location) -> Result<Expr> {
        match inner {
            Parenthesised::Select(subselect) => {
                let link = SubLink {
                    kind: SubLinkType::Expr,
                    test: None,
                    operator: Vec::new(),
                    subselect: *subselect,
                    location,
                };
                self.indirect(Expr::SubLink(Box::new(link)))
            }
            Parenthesised::Expr(expr) => self.indirect(expr),
            Parenthesised::Row(args) => Ok(Expr::Row { args, format: RowFormat::Implicit, location }),
        }
    }

    /// `opt_indirection` behind a value.
    pub(super) fn indirect(&mut self, arg: Expr) -> Result<Expr> {
        let indirection = self.indirection()?;
        if indirection.is_empty() {
            return Ok(arg);
        }
        Ok(Expr::Indirection { arg: Box::new(arg), indirection })
    }

    /// `opt_indirection`: fields, stars and subscripts.
    pub fn indirection(&mut self) -> Result<Vec<Indirection>> {
        let mut steps = Vec::new();
        loop {
            if self.accept_token(&Token::Period) {
                steps.push(if self.accept_token(&Token::Mul) {
                    Indirection::Star
                } else {
                    Indirection::Field(self.col_label()?)
                });
            } else if self.accept_token(&Token::LBracket) {
                steps.push(self.subscript()?);
            } else {
                return Ok(steps);
            }
            self.check_chain(steps.len())?;
        }
    }

    fn subscript(&mut self) -> Result<Indirection> {
        let lower = if self.at(&Token::Colon) { None } else { Some(self.expression()?) };
        if self.accept_token(&Token::Colon) {
            let upper = if self.at(&Token::RBracket) { None } else { Some(self.expression()?) };
            self.expect_token(&Token::RBracket)?;
            return Ok(Indirection::Slice { lower, upper });
        }
        self.expect_token(&Token::RBracket)?;
        match lower {
            Some(index) => Ok(Indirection::Subscript(index)),
            None => Err(self.syntax_error()),
        }
    }

    /// `c_expr`.
    fn primary(&mut self) -> Result<Expr> {
        let location = self.location();
        match self.token() {
            Token::LParen => {
                let inner = self.parenthesised()?;
                self.parenthesised_operand(inner, location)
            }
            Token::Placeholder(_) => {
                let Token::Placeholder(digits) = self.take() else { return Err(self.syntax_error()) };
                let number = digits.parse().unwrap_or(i32::MAX);
                self.indirect(Expr::ParamRef { number, location })
            }
            Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::SingleQuotedByteStringLiteral(_)
            | Token::HexStringLiteral(_) => self.literal(),
            Token::Word(_) => match self.keyword() {
                Some(keyword) => self.keyword_primary(keyword, location),
                None => self.name_primary(location),
            },
            _ => Err(self.syntax_error()),
        }
    }

    fn keyword_primary(&mut self, keyword: K, location: Location) -> Result<Expr> {
        match keyword {
            K::True | K::False | K::Null => self.literal(),
            K::Case => self.case(location),
            K::Exists if self.at_offset(1, &Token::LParen) => {
                self.advance();
                let subselect = self.subselect()?;
                let link = SubLink {
                    kind: SubLinkType::Exists,
                    test: None,
                    operator: Vec::new(),
                    subselect,
                    location,
                };
                Ok(Expr::SubLink(Box::new(link)))
            }
            K::Array => self.array(location),
            K::Row if self.at_offset(1, &Token::LParen) => {
                self.advance();
                self.advance();
                let args = if self.at(&Token::RParen) { Vec::new() } else { self.expression_list()? };
                self.expect_token(&Token::RParen)?;
                Ok(Expr::Row { args, format: RowFormat::Explicit, location })
            }
            _ => {
                if let Some(call) = self.special_function(keyword, location)? {
                    return Ok(call);
                }
                if self.at_const_type_name() && !self.at_offset(1, &Token::Period) {
                    return self.typed_literal(location);
                }
                self.name_primary(location)
            }
        }
    }

    /// A sub-select in its own parentheses: `select_with_parens`.
    pub fn subselect(&mut self) -> Result<SelectStmt> {
        if !self.at(&Token::LParen) {
            return Err(self.syntax_error());
        }
        let (parens, keyword) = self.behind_parens();
        if !matches!(keyword, Some(K::Select | K::Values | K::Table | K::With)) {
            return Err(self.syntax_error_at(parens));
        }
        match self.parenthesised()? {
            Parenthesised::Select(select) => Ok(*select),
            _ => Err(self.syntax_error()),
        }
    }

    fn case(&mut self, location: Location) -> Result<Expr> {
        self.advance();
        let arg = if self.is(K::When) { None } else { Some(self.expression()?) };
        let mut whens = Vec::new();
        while self.is(K::When) || whens.is_empty() {
            let at = self.location();
            self.expect(K::When)?;
            let condition = self.expression()?;
            self.expect(K::Then)?;
            let result = self.expression()?;
            whens.push(CaseWhen { condition, result, location: at });
        }
        let default = if self.accept(K::Else) { Some(self.expression()?) } else { None };
        self.expect(K::End)?;
        Ok(Expr::Case(Box::new(CaseExpr { arg, whens, default, location })))
    }

    /// Behind ARRAY: brackets or a sub-select.
    fn array(&mut self, location: Location) -> Result<Expr> {
        self.advance();
        if self.at(&Token::LParen) {
            let subselect = self.subselect()?;
            let link =
                SubLink { kind: SubLinkType::Array, test: None, operator: Vec::new(), subselect, location };
            return Ok(Expr::SubLink(Box::new(link)));
        }
        if !self.at(&Token::LBracket) {
            return Err(self.syntax_error());
        }
        let Expr::Array { elements, end, .. } = self.array_brackets()? else {
            return Err(self.syntax_error());
        };
        Ok(Expr::Array { elements, location, end })
    }

    /// `array_expr`: brackets, whose elements may be brackets again.
    fn array_brackets(&mut self) -> Result<Expr> {
        stack::check_depth()?;
        let location = self.location();
        self.expect_token(&Token::LBracket)?;
        let elements = if self.at(&Token::RBracket) {
            Vec::new()
        } else if self.at(&Token::LBracket) {
            self.comma_list(Self::array_brackets)?
        } else {
            self.expression_list()?
        };
        let end = self.location();
        self.expect_token(&Token::RBracket)?;
        Ok(Expr::Array { elements, location, end })
    }
}

/// What a pair of parentheses held.
pub(super) enum Parenthesised {
    Select(Box<SelectStmt>),
    Expr(Expr),
    Row(Vec<Expr>),
}

fn binary(kind: AExprKind, name: Vec<String>, left: Expr, right: Expr, location: Location) -> Expr {
    Expr::AExpr(Box::new(AExpr { kind, name, left: Some(left), right: AExprRight::Expr(right), location }))
}

fn prefix_operator(name: Vec<String>, operand: Expr, location: Location) -> Expr {
    let right = AExprRight::Expr(operand);
    Expr::AExpr(Box::new(AExpr { kind: AExprKind::Op, name, left: None, right, location }))
}

/// AND and OR with more of the same on the left make one flat node.
fn chain(op: BoolOp, left: Expr, right: Expr, location: Location) -> Expr {
    match left {
        Expr::Bool { op: left_op, mut args, location } if left_op == op => {
            args.push(right);
            Expr::Bool { op, args, location }
        }
        left => Expr::Bool { op, args: vec![left, right], location },
    }
}

/// PostgreSQL's `doNegate`: the minus of a number becomes part of it.
fn negate(operand: Expr, location: Location) -> Expr {
    match operand {
        Expr::Const(AConst { value: Literal::Integer(value), .. }) => {
            Expr::Const(AConst { value: Literal::Integer(value.wrapping_neg()), location })
        }
        Expr::Const(AConst { value: Literal::Float(text), .. }) => {
            let text = match text.strip_prefix('-') {
                Some(positive) => positive.to_owned(),
                None => format!("-{text}"),
            };
            Expr::Const(AConst { value: Literal::Float(text), location })
        }
        operand => prefix_operator(vec!["-".to_owned()], operand, location),
    }
}

pub(super) fn string_const(value: String, location: Location) -> Expr {
    Expr::Const(AConst { value: Literal::String(value), location })
}

/// Errors the grammar itself raises about what PostgreSQL does not implement either.
trait NotImplemented {
    fn with_sqlstate_not_supported(self) -> Self;
}

impl NotImplemented for kokkiri_primitives::Error {
    fn with_sqlstate_not_supported(mut self) -> Self {
        let fields = self.fields_mut();
        fields.sqlstate = kokkiri_primitives::SqlState::FEATURE_NOT_SUPPORTED;
        if let Some(end) = fields.message.find(" at or near ") {
            fields.message.truncate(end);
        }
        self
    }
}
