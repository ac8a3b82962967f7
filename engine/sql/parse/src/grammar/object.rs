//! DROP, COMMENT, and how both name their objects.

use kokkiri_primitives::Result;
use sqlparser::tokenizer::Token;

use super::role::routine_type;
use crate::keyword::Keyword as K;
use crate::parser::Parser;
use crate::tree::*;

impl Parser<'_> {
    /// The words of an object type whose names are plain and possibly qualified.
    pub fn plain_object_type(&mut self) -> Option<ObjectType> {
        let types: &[(&[K], ObjectType)] = &[
            (&[K::Table], ObjectType::Table),
            (&[K::Sequence], ObjectType::Sequence),
            (&[K::View], ObjectType::View),
            (&[K::Materialized, K::View], ObjectType::MaterializedView),
            (&[K::Index], ObjectType::Index),
            (&[K::Foreign, K::Table], ObjectType::ForeignTable),
            (&[K::Collation], ObjectType::Collation),
            (&[K::Conversion], ObjectType::Conversion),
            (&[K::Statistics], ObjectType::Statistics),
            (&[K::Text, K::Search, K::Parser], ObjectType::TextSearchParser),
            (&[K::Text, K::Search, K::Dictionary], ObjectType::TextSearchDictionary),
            (&[K::Text, K::Search, K::Template], ObjectType::TextSearchTemplate),
            (&[K::Text, K::Search, K::Configuration], ObjectType::TextSearchConfiguration),
            (&[K::Access, K::Method], ObjectType::AccessMethod),
            (&[K::Event, K::Trigger], ObjectType::EventTrigger),
            (&[K::Extension], ObjectType::Extension),
            (&[K::Foreign, K::Data, K::Wrapper], ObjectType::ForeignDataWrapper),
            (&[K::Publication], ObjectType::Publication),
            (&[K::Schema], ObjectType::Schema),
            (&[K::Server], ObjectType::ForeignServer),
            (&[K::Language], ObjectType::Language),
            (&[K::Procedural, K::Language], ObjectType::Language),
        ];
        types.iter().find(|(words, _)| self.accept_all(words)).map(|(_, object)| *object)
    }

    pub fn drop(&mut self) -> Result<Statement> {
        self.expect(K::Drop)?;
        let Some(keyword) = self.keyword() else { return Err(self.syntax_error()) };
        match keyword {
            K::Role | K::User | K::Group if !(keyword == K::User && self.is_at(1, K::Mapping)) => {
                self.advance();
                return self.drop_role();
            }
            K::Database => return self.drop_database(),
            K::Tablespace => {
                self.advance();
                let missing_ok = self.if_exists()?;
                return Ok(Statement::DropTablespace { name: self.col_id()?, missing_ok });
            }
            K::Owned => {
                self.advance();
                self.expect(K::By)?;
                let roles = self.role_list()?;
                return Ok(Statement::DropOwned { roles, behavior: self.drop_behavior() });
            }
            _ => {}
        }
        let mut stmt = DropStmt {
            object: ObjectType::Table,
            names: Vec::new(),
            behavior: DropBehavior::Restrict,
            missing_ok: false,
            concurrent: false,
        };
        if let Some(object) = self.plain_object_type() {
            stmt.object = object;
            stmt.concurrent = object == ObjectType::Index && self.accept(K::Concurrently);
            stmt.missing_ok = self.if_exists()?;
            stmt.names = self.comma_list(|parser| parser.any_name().map(ObjectName::Name))?;
        } else {
            self.advance();
            self.drop_other(keyword, &mut stmt)?;
        }
        stmt.behavior = self.drop_behavior();
        Ok(Statement::Drop(stmt))
    }

    fn drop_other(&mut self, keyword: K, stmt: &mut DropStmt) -> Result<()> {
        match keyword {
            K::Type | K::Domain => {
                stmt.object = if keyword == K::Type { ObjectType::Type } else { ObjectType::Domain };
                stmt.missing_ok = self.if_exists()?;
                stmt.names = self.comma_list(|parser| parser.type_name().map(ObjectName::Type))?;
            }
            K::Function | K::Procedure | K::Routine => {
                stmt.object = routine_type(keyword);
                stmt.missing_ok = self.if_exists()?;
                stmt.names =
                    self.comma_list(|parser| parser.function_with_args().map(ObjectName::WithArgs))?;
            }
            K::Aggregate => {
                stmt.object = ObjectType::Aggregate;
                stmt.missing_ok = self.if_exists()?;
                stmt.names =
                    self.comma_list(|parser| parser.aggregate_with_args().map(ObjectName::WithArgs))?;
            }
            K::Operator if self.is_any(&[K::Class, K::Family]) => {
                stmt.object =
                    if self.is(K::Class) { ObjectType::OperatorClass } else { ObjectType::OperatorFamily };
                self.advance();
                stmt.missing_ok = self.if_exists()?;
                stmt.names = vec![self.operator_class_name()?];
            }
            K::Operator => {
                stmt.object = ObjectType::Operator;
                stmt.missing_ok = self.if_exists()?;
                stmt.names =
                    self.comma_list(|parser| parser.operator_with_args().map(ObjectName::WithArgs))?;
            }
            K::Cast => {
                stmt.object = ObjectType::Cast;
                stmt.missing_ok = self.if_exists()?;
                stmt.names = vec![self.cast_name()?];
            }
            K::Trigger | K::Rule | K::Policy => {
                stmt.object = part_type(keyword);
                stmt.missing_ok = self.if_exists()?;
                stmt.names = vec![self.part_of_relation()?];
            }
            _ => return Err(self.syntax_error_behind()),
        }
        Ok(())
    }

    /// `name ON relation`, as the relation's parts with the name behind.
    fn part_of_relation(&mut self) -> Result<ObjectName> {
        let name = self.col_id()?;
        self.expect(K::On)?;
        let mut names = self.any_name()?;
        names.push(name);
        Ok(ObjectName::Name(names))
    }

    fn operator_class_name(&mut self) -> Result<ObjectName> {
        let name = self.any_name()?;
        self.expect(K::Using)?;
        Ok(ObjectName::OperatorClass { access_method: self.col_id()?, name })
    }

    fn cast_name(&mut self) -> Result<ObjectName> {
        self.expect_token(&Token::LParen)?;
        let source = self.type_name()?;
        self.expect(K::As)?;
        let target = self.type_name()?;
        self.expect_token(&Token::RParen)?;
        Ok(ObjectName::Cast { source, target })
    }

    fn drop_database(&mut self) -> Result<Statement> {
        self.advance();
        let missing_ok = self.if_exists()?;
        let name = self.col_id()?;
        let mut options = Vec::new();
        if self.accept(K::With) || self.at(&Token::LParen) {
            options = self.paren_list(|parser| {
                let location = parser.location();
                parser.expect(K::Force)?;
                Ok(DefElem::new("force", None, location))
            })?;
        }
        Ok(Statement::Dropdb(DropdbStmt { name, missing_ok, options }))
    }

    pub fn comment(&mut self) -> Result<Statement> {
        self.advance();
        self.expect(K::On)?;
        let (object, name) = self.commented_object()?;
        self.expect(K::Is)?;
        let comment = if self.accept(K::Null) { None } else { Some(self.string()?) };
        Ok(Statement::Comment(Box::new(CommentStmt { object, name, comment })))
    }

    fn commented_object(&mut self) -> Result<(ObjectType, ObjectName)> {
        if let Some(object) = self.plain_object_type() {
            return Ok((object, ObjectName::Name(self.any_name()?)));
        }
        let Some(keyword) = self.keyword() else { return Err(self.syntax_error()) };
        self.advance();
        Ok(match keyword {
            K::Column => (ObjectType::Column, ObjectName::Name(self.any_name()?)),
            K::Database => (ObjectType::Database, ObjectName::Name(vec![self.col_id()?])),
            K::Role => (ObjectType::Role, ObjectName::Name(vec![self.col_id()?])),
            K::Tablespace => (ObjectType::Tablespace, ObjectName::Name(vec![self.col_id()?])),
            K::Type => (ObjectType::Type, ObjectName::Type(self.type_name()?)),
            K::Domain => (ObjectType::Domain, ObjectName::Type(self.type_name()?)),
            K::Function | K::Procedure | K::Routine => {
                (routine_type(keyword), ObjectName::WithArgs(self.function_with_args()?))
            }
            K::Aggregate => (ObjectType::Aggregate, ObjectName::WithArgs(self.aggregate_with_args()?)),
            K::Operator if self.accept(K::Class) => (ObjectType::OperatorClass, self.operator_class_name()?),
            K::Operator if self.accept(K::Family) => {
                (ObjectType::OperatorFamily, self.operator_class_name()?)
            }
            K::Operator => (ObjectType::Operator, ObjectName::WithArgs(self.operator_with_args()?)),
            K::Constraint => {
                let name = self.col_id()?;
                self.expect(K::On)?;
                if self.accept(K::Domain) {
                    let domain = self.type_name()?;
                    (ObjectType::DomainConstraint, ObjectName::DomainConstraint { domain, name })
                } else {
                    let mut names = self.any_name()?;
                    names.push(name);
                    (ObjectType::TableConstraint, ObjectName::Name(names))
                }
            }
            K::Trigger | K::Rule | K::Policy => (part_type(keyword), self.part_of_relation()?),
            K::Cast => (ObjectType::Cast, self.cast_name()?),
            K::Large => {
                self.expect(K::Object)?;
                (ObjectType::LargeObject, ObjectName::LargeObject(self.large_object_id()?))
            }
            _ => return Err(self.syntax_error_behind()),
        })
    }
}

fn part_type(keyword: K) -> ObjectType {
    match keyword {
        K::Trigger => ObjectType::Trigger,
        K::Rule => ObjectType::Rule,
        _ => ObjectType::Policy,
    }
}
