//! ALTER.

use kokkiri_primitives::{Result, error};
use sqlparser::tokenizer::Token;

use super::relation::empty_column;
use super::role::routine_type;
use crate::keyword::Keyword as K;
use crate::location::Location;
use crate::parser::Parser;
use crate::tree::*;

impl Parser<'_> {
    pub fn alter(&mut self) -> Result<Statement> {
        self.expect(K::Alter)?;
        let Some(keyword) = self.keyword() else { return Err(self.syntax_error()) };
        match keyword {
            K::Table | K::Index | K::View | K::Sequence | K::Materialized => self.alter_relation(),
            K::Role | K::User => {
                self.advance();
                self.alter_role()
            }
            K::Group => {
                self.advance();
                self.alter_group()
            }
            K::Database => self.alter_database(),
            K::System => {
                self.advance();
                let set = match self.keyword() {
                    Some(K::Reset) => {
                        self.advance();
                        let location = self.location();
                        let (name, value) = if self.accept(K::All) {
                            ("all".to_owned(), SetValue::ResetAll)
                        } else {
                            (self.variable_name()?, SetValue::Reset)
                        };
                        VariableSetStmt { name, value, local: false, location }
                    }
                    _ => {
                        self.expect(K::Set)?;
                        self.generic_set()?
                    }
                };
                Ok(Statement::AlterSystem(set))
            }
            K::Default => {
                self.advance();
                self.expect(K::Privileges)?;
                self.alter_default_privileges()
            }
            K::Type => self.alter_type(),
            K::Domain => self.alter_domain(),
            K::Extension => self.alter_extension(),
            K::Function | K::Procedure | K::Routine => {
                self.advance();
                let object = routine_type(keyword);
                let function = self.function_with_args()?;
                if self.is_any(&[K::Rename, K::Owner]) || (self.is(K::Set) && self.is_at(1, K::Schema)) {
                    return self.alter_named(object, ObjectName::WithArgs(function));
                }
                self.alter_function_options(object, function)
            }
            K::Aggregate => {
                self.advance();
                let name = ObjectName::WithArgs(self.aggregate_with_args()?);
                self.alter_named(ObjectType::Aggregate, name)
            }
            K::Tablespace => {
                self.advance();
                let name = ObjectName::Name(vec![self.col_id()?]);
                self.alter_named(ObjectType::Tablespace, name)
            }
            K::Trigger | K::Rule | K::Policy => self.alter_part(keyword),
            _ => match self.plain_object_type() {
                Some(object) => {
                    let name = ObjectName::Name(self.any_name()?);
                    self.alter_named(object, name)
                }
                None => Err(self.syntax_error()),
            },
        }
    }

    /// RENAME TO, OWNER TO, SET SCHEMA of what is no relation.
    fn alter_named(&mut self, object: ObjectType, name: ObjectName) -> Result<Statement> {
        if self.accept(K::Rename) {
            self.expect(K::To)?;
            let new_name = self.col_id()?;
            return Ok(Statement::Rename(Box::new(RenameStmt {
                object,
                relation_type: object,
                relation: None,
                name: Some(name),
                subname: None,
                new_name,
                behavior: DropBehavior::Restrict,
                missing_ok: false,
            })));
        }
        if self.accept(K::Owner) {
            self.expect(K::To)?;
            let new_owner = self.role_spec()?;
            return Ok(Statement::AlterOwner(Box::new(AlterOwnerStmt { object, name, new_owner })));
        }
        self.expect_all(&[K::Set, K::Schema])?;
        let new_schema = self.col_id()?;
        Ok(Statement::AlterObjectSchema(Box::new(AlterObjectSchemaStmt {
            object,
            relation: None,
            name: Some(name),
            new_schema,
            missing_ok: false,
        })))
    }

    /// ALTER TRIGGER, RULE or POLICY name ON relation RENAME TO.
    fn alter_part(&mut self, keyword: K) -> Result<Statement> {
        self.advance();
        let object = match keyword {
            K::Trigger => ObjectType::Trigger,
            K::Rule => ObjectType::Rule,
            _ => ObjectType::Policy,
        };
        let missing_ok = keyword == K::Policy && self.if_exists()?;
        let name = self.col_id()?;
        self.expect(K::On)?;
        let relation = self.qualified_name()?;
        self.expect_all(&[K::Rename, K::To])?;
        let new_name = self.col_id()?;
        Ok(Statement::Rename(Box::new(RenameStmt {
            object,
            relation_type: ObjectType::Table,
            relation: Some(relation),
            name: None,
            subname: Some(name),
            new_name,
            behavior: DropBehavior::Restrict,
            missing_ok,
        })))
    }

    /// ALTER TABLE, INDEX, VIEW, SEQUENCE, MATERIALIZED VIEW.
    fn alter_relation(&mut self) -> Result<Statement> {
        let object = self.plain_object_type().unwrap_or(ObjectType::Table);
        let missing_ok = self.if_exists()?;
        let relation =
            if object == ObjectType::Table { self.relation_expr()? } else { self.qualified_name()? };
        if self.accept(K::Rename) {
            return self.rename_in_relation(object, relation, missing_ok);
        }
        if self.is(K::Set) && self.is_at(1, K::Schema) {
            self.advance();
            self.advance();
            let new_schema = self.col_id()?;
            return Ok(Statement::AlterObjectSchema(Box::new(AlterObjectSchemaStmt {
                object,
                relation: Some(relation),
                name: None,
                new_schema,
                missing_ok,
            })));
        }
        if object == ObjectType::Sequence && !self.is_any(&[K::Owner, K::Set]) {
            let options = self.sequence_options()?;
            if options.is_empty() {
                return Err(self.syntax_error());
            }
            return Ok(Statement::AlterSeq(AlterSeqStmt { sequence: relation, options, missing_ok }));
        }
        let commands = self.comma_list(Self::alter_command)?;
        let stmt = AlterTableStmt { object, relation, commands, missing_ok };
        Ok(Statement::AlterTable(Box::new(stmt)))
    }

    fn rename_in_relation(
        &mut self,
        object: ObjectType,
        relation: RangeVar,
        missing_ok: bool,
    ) -> Result<Statement> {
        let mut stmt = RenameStmt {
            object,
            relation_type: object,
            relation: Some(relation),
            name: None,
            subname: None,
            new_name: String::new(),
            behavior: DropBehavior::Restrict,
            missing_ok,
        };
        if !self.accept(K::To) {
            if self.accept(K::Constraint) {
                stmt.object = ObjectType::TableConstraint;
            } else {
                self.accept(K::Column);
                stmt.object = ObjectType::Column;
            }
            stmt.subname = Some(self.col_id()?);
            self.expect(K::To)?;
        }
        stmt.new_name = self.col_id()?;
        Ok(Statement::Rename(Box::new(stmt)))
    }

    /// `alter_table_cmd`.
    fn alter_command(&mut self) -> Result<AlterTableCmd> {
        use AlterTableAction::*;
        let mut command =
            AlterTableCmd { action: DropCluster, behavior: DropBehavior::Restrict, missing_ok: false };
        let Some(keyword) = self.keyword() else { return Err(self.syntax_error()) };
        self.advance();
        command.action = match keyword {
            K::Add => return self.alter_add(command),
            K::Drop => return self.alter_drop(command),
            K::Alter => return self.alter_column(command),
            K::Validate => {
                self.expect(K::Constraint)?;
                ValidateConstraint(self.col_id()?)
            }
            K::Owner => {
                self.expect(K::To)?;
                ChangeOwner(self.role_spec()?)
            }
            K::Cluster => {
                self.expect(K::On)?;
                ClusterOn(self.col_id()?)
            }
            K::Set => self.alter_set()?,
            K::Reset => ResetRelOptions(self.reloptions()?),
            K::Enable | K::Disable => self.alter_enable(keyword == K::Enable)?,
            K::Inherit => AddInherit(self.qualified_name()?),
            K::No if self.accept(K::Inherit) => DropInherit(self.qualified_name()?),
            K::No => {
                self.expect_all(&[K::Force, K::Row, K::Level, K::Security])?;
                RowSecurity(crate::tree::RowSecurity::NoForce)
            }
            K::Force => {
                self.expect_all(&[K::Row, K::Level, K::Security])?;
                RowSecurity(crate::tree::RowSecurity::Force)
            }
            K::Of => {
                let location = self.location();
                let names = self.any_name()?;
                AddOf(TypeName { names, typmod: -1, location, ..TypeName::default() })
            }
            K::Not => {
                self.expect(K::Of)?;
                DropOf
            }
            K::Replica => {
                self.expect(K::Identity)?;
                ReplicaIdentity(self.replica_identity()?)
            }
            K::Attach => {
                self.expect(K::Partition)?;
                let relation = self.qualified_name()?;
                let bound =
                    if self.is_any(&[K::For, K::Default]) { Some(self.partition_bound()?) } else { None };
                AttachPartition { relation, bound }
            }
            K::Detach => {
                self.expect(K::Partition)?;
                let relation = self.qualified_name()?;
                if self.accept(K::Finalize) {
                    DetachPartitionFinalize(relation)
                } else {
                    DetachPartition { relation, concurrent: self.accept(K::Concurrently) }
                }
            }
            _ => return Err(self.syntax_error_behind()),
        };
        Ok(command)
    }

    fn alter_add(&mut self, mut command: AlterTableCmd) -> Result<AlterTableCmd> {
        let constraint =
            matches!(self.keyword(), Some(K::Constraint | K::Check | K::Unique | K::Primary | K::Foreign))
                || (self.is(K::Not) && self.is_at(1, K::Null))
                || (self.is(K::Exclude) && (self.is_at(1, K::Using) || self.at_offset(1, &Token::LParen)));
        if constraint {
            command.action = AlterTableAction::AddConstraint(self.table_constraint()?);
            return Ok(command);
        }
        self.accept(K::Column);
        command.missing_ok = self.if_not_exists()?;
        command.action = AlterTableAction::AddColumn(self.column_def()?);
        Ok(command)
    }

    fn alter_drop(&mut self, mut command: AlterTableCmd) -> Result<AlterTableCmd> {
        let constraint = self.accept(K::Constraint);
        if !constraint {
            self.accept(K::Column);
        }
        command.missing_ok = self.if_exists()?;
        let name = self.col_id()?;
        command.action = if constraint {
            AlterTableAction::DropConstraint(name)
        } else {
            AlterTableAction::DropColumn(name)
        };
        command.behavior = self.drop_behavior();
        Ok(command)
    }

    /// Behind ALTER [COLUMN].
    fn alter_column(&mut self, mut command: AlterTableCmd) -> Result<AlterTableCmd> {
        use AlterTableAction::*;
        if self.accept(K::Constraint) {
            let location = self.location();
            let name = Some(self.col_id()?);
            command.action = AlterConstraint(self.altered_constraint(name, location)?);
            return Ok(command);
        }
        self.accept(K::Column);
        if self.is_integer() {
            let number = Some(self.integer()? as i16);
            self.expect_all(&[K::Set, K::Statistics])?;
            command.action =
                SetStatistics { column: String::new(), number, target: Some(self.signed_integer()?) };
            return Ok(command);
        }
        let location = self.location();
        let column = self.col_id()?;
        let Some(keyword) = self.keyword() else { return Err(self.syntax_error()) };
        self.advance();
        command.action = match keyword {
            K::Type => self.alter_column_type(column, location)?,
            K::Drop => match self.keyword() {
                Some(K::Default) => {
                    self.advance();
                    ColumnDefault { column, default: None }
                }
                Some(K::Not) => {
                    self.expect_all(&[K::Not, K::Null])?;
                    DropNotNull(column)
                }
                Some(K::Expression) => {
                    self.advance();
                    command.missing_ok = self.if_exists()?;
                    DropExpression(column)
                }
                _ => {
                    self.expect(K::Identity)?;
                    command.missing_ok = self.if_exists()?;
                    DropIdentity(column)
                }
            },
            K::Add => {
                let at = self.location();
                self.expect(K::Generated)?;
                let always = self.accept(K::Always);
                if !always {
                    self.expect_all(&[K::By, K::Default])?;
                }
                self.expect_all(&[K::As, K::Identity])?;
                let mut options = Vec::new();
                if self.accept_token(&Token::LParen) {
                    options = self.sequence_options()?;
                    self.expect_token(&Token::RParen)?;
                }
                AddIdentity { column, always, options, location: at }
            }
            K::Restart => SetIdentity { column, options: self.identity_options(true)? },
            K::Reset => ResetColumnOptions { column, options: self.reloptions()? },
            K::Set => self.alter_column_set(column, location)?,
            _ => return Err(self.syntax_error_behind()),
        };
        Ok(command)
    }

    fn altered_constraint(&mut self, name: Option<String>, location: Location) -> Result<Constraint> {
        let mut column = empty_column(String::new(), location);
        column.constraints.push(Constraint {
            name,
            kind: ConstraintKind::Null,
            deferrable: None,
            initially_deferred: None,
            not_valid: false,
            enforced: None,
            no_inherit: false,
            location,
        });
        self.column_qualifiers(&mut column)?;
        if column.constraints.len() > 1 {
            return Err(self.syntax_error());
        }
        column.constraints.pop().ok_or_else(|| error!(INTERNAL_ERROR, "constraint vanished"))
    }

    fn alter_column_type(&mut self, column: String, location: Location) -> Result<AlterTableAction> {
        let mut definition = empty_column(column, location);
        definition.type_name = Some(self.type_name()?);
        definition.collation = self.optional_collation()?;
        let using = if self.accept(K::Using) { Some(self.expression()?) } else { None };
        Ok(AlterTableAction::AlterColumnType(definition, using))
    }

    fn alter_column_set(&mut self, column: String, location: Location) -> Result<AlterTableAction> {
        use AlterTableAction::*;
        if self.at(&Token::LParen) {
            return Ok(SetColumnOptions { column, options: self.reloptions()? });
        }
        Ok(match self.keyword() {
            Some(K::Default) => {
                self.advance();
                ColumnDefault { column, default: Some(self.expression()?) }
            }
            Some(K::Not) => {
                self.expect_all(&[K::Not, K::Null])?;
                SetNotNull(column)
            }
            Some(K::Expression) => {
                self.expect_all(&[K::Expression, K::As])?;
                SetExpression { column, expr: self.parenthesised_expression()? }
            }
            Some(K::Statistics) => {
                self.advance();
                let target = if self.accept(K::Default) { None } else { Some(self.signed_integer()?) };
                SetStatistics { column, number: None, target }
            }
            Some(K::Storage) => {
                self.advance();
                let storage = if self.accept(K::Default) { "default".to_owned() } else { self.col_id()? };
                SetStorage { column, storage }
            }
            Some(K::Compression) => {
                self.advance();
                let method = if self.accept(K::Default) { "default".to_owned() } else { self.col_id()? };
                SetCompression { column, method }
            }
            Some(K::Data) => {
                self.expect_all(&[K::Data, K::Type])?;
                self.alter_column_type(column, location)?
            }
            _ => SetIdentity { column, options: self.identity_options(false)? },
        })
    }

    /// `alter_identity_column_option_list`; RESTART or SET of the first were consumed already.
    fn identity_options(&mut self, restarted: bool) -> Result<Vec<DefElem>> {
        let mut options = Vec::new();
        let mut restart = restarted;
        loop {
            let location = self.location();
            if restart {
                let with = self.accept(K::With);
                let arg = if with || self.at_numeric() { Some(self.numeric_only()?) } else { None };
                options.push(DefElem::new("restart", arg, location));
            } else if self.accept(K::Generated) {
                let always = self.accept(K::Always);
                if !always {
                    self.expect_all(&[K::By, K::Default])?;
                }
                let arg = DefArg::String(if always { "always" } else { "default" }.to_owned());
                options.push(DefElem::new("generated", Some(arg), location));
            } else {
                let more = self.sequence_options()?;
                if more.is_empty() {
                    return Err(self.syntax_error());
                }
                options.extend(more);
            }
            restart = self.accept(K::Restart);
            if !restart && !self.accept(K::Set) {
                return Ok(options);
            }
        }
    }

    /// Behind SET of a relation.
    fn alter_set(&mut self) -> Result<AlterTableAction> {
        use AlterTableAction::*;
        if self.at(&Token::LParen) {
            return Ok(SetRelOptions(self.reloptions()?));
        }
        let keyword = self.keyword();
        self.advance();
        Ok(match keyword {
            Some(K::Logged) => SetLogged,
            Some(K::Unlogged) => SetUnlogged,
            Some(K::Tablespace) => SetTablespace(self.col_id()?),
            Some(K::Access) => {
                self.expect(K::Method)?;
                SetAccessMethod(if self.accept(K::Default) { None } else { Some(self.col_id()?) })
            }
            Some(K::Without) if self.accept(K::Cluster) => DropCluster,
            _ => return Err(self.syntax_error_behind()),
        })
    }

    fn alter_enable(&mut self, enable: bool) -> Result<AlterTableAction> {
        if self.accept_all(&[K::Row, K::Level, K::Security]) {
            return Ok(AlterTableAction::RowSecurity(if enable {
                RowSecurity::Enable
            } else {
                RowSecurity::Disable
            }));
        }
        let state = if !enable {
            TriggerState::Disable
        } else if self.accept(K::Always) {
            TriggerState::EnableAlways
        } else if self.accept(K::Replica) {
            TriggerState::EnableReplica
        } else {
            TriggerState::Enable
        };
        if self.accept(K::Rule) {
            return Ok(AlterTableAction::Rule { name: self.col_id()?, state });
        }
        self.expect(K::Trigger)?;
        let name = if self.accept(K::All) {
            TriggerName::All
        } else if self.accept(K::User) {
            TriggerName::User
        } else {
            TriggerName::Named(self.col_id()?)
        };
        Ok(AlterTableAction::Trigger { name, state })
    }

    fn replica_identity(&mut self) -> Result<ReplicaIdentity> {
        let keyword = self.keyword();
        self.advance();
        Ok(match keyword {
            Some(K::Nothing) => ReplicaIdentity::Nothing,
            Some(K::Full) => ReplicaIdentity::Full,
            Some(K::Default) => ReplicaIdentity::Default,
            Some(K::Using) => {
                self.expect(K::Index)?;
                ReplicaIdentity::Index(self.col_id()?)
            }
            _ => return Err(self.syntax_error()),
        })
    }

    fn alter_database(&mut self) -> Result<Statement> {
        self.advance();
        let name = self.col_id()?;
        match (self.keyword(), self.keyword_at(1)) {
            (Some(K::Rename | K::Owner), _) => {
                self.alter_named(ObjectType::Database, ObjectName::Name(vec![name]))
            }
            (Some(K::Set), Some(K::Tablespace)) => {
                let location = self.location();
                self.advance();
                self.advance();
                let arg = DefArg::String(self.col_id()?);
                let options = vec![DefElem::new("tablespace", Some(arg), location)];
                Ok(Statement::AlterDatabase(AlterDatabaseStmt {
                    name,
                    options,
                    refresh_collation_version: false,
                }))
            }
            (Some(K::Refresh), _) => {
                self.expect_all(&[K::Refresh, K::Collation, K::Version])?;
                Ok(Statement::AlterDatabase(AlterDatabaseStmt {
                    name,
                    options: Vec::new(),
                    refresh_collation_version: true,
                }))
            }
            (Some(K::Set | K::Reset), _) => {
                let set = self.set_reset_clause()?;
                Ok(Statement::AlterDatabaseSet(AlterDatabaseSetStmt { name, set }))
            }
            _ => {
                self.accept(K::With);
                let options = self.database_options()?;
                Ok(Statement::AlterDatabase(AlterDatabaseStmt {
                    name,
                    options,
                    refresh_collation_version: false,
                }))
            }
        }
    }

    fn alter_type(&mut self) -> Result<Statement> {
        self.advance();
        let location = self.location();
        let name = self.any_name()?;
        match (self.keyword(), self.keyword_at(1)) {
            (Some(K::Add), Some(K::Value)) => {
                self.advance();
                self.advance();
                let if_not_exists = self.if_not_exists()?;
                let value = self.string()?;
                let neighbor = if self.is_any(&[K::Before, K::After]) {
                    let after = self.is(K::After);
                    self.advance();
                    Some((after, self.string()?))
                } else {
                    None
                };
                let action = AlterEnumAction::Add { value, if_not_exists, neighbor };
                Ok(Statement::AlterEnum(AlterEnumStmt { name, action }))
            }
            (Some(K::Rename), Some(K::Value)) => {
                self.advance();
                self.advance();
                let from = self.string()?;
                self.expect(K::To)?;
                let action = AlterEnumAction::Rename { from, to: self.string()? };
                Ok(Statement::AlterEnum(AlterEnumStmt { name, action }))
            }
            (Some(K::Rename), Some(K::Attribute)) => {
                self.advance();
                self.advance();
                let subname = Some(self.col_id()?);
                self.expect(K::To)?;
                let new_name = self.col_id()?;
                let behavior = self.drop_behavior();
                Ok(Statement::Rename(Box::new(RenameStmt {
                    object: ObjectType::Attribute,
                    relation_type: ObjectType::Type,
                    relation: Some(self.range_var(name, location)?),
                    name: None,
                    subname,
                    new_name,
                    behavior,
                    missing_ok: false,
                })))
            }
            (Some(K::Rename | K::Owner), _) | (Some(K::Set), Some(K::Schema)) => {
                let type_name = TypeName { names: name, typmod: -1, location, ..TypeName::default() };
                self.alter_named(ObjectType::Type, ObjectName::Type(type_name))
            }
            _ => {
                let relation = self.range_var(name, location)?;
                let commands = self.comma_list(Self::alter_attribute)?;
                let object = ObjectType::Type;
                let stmt = AlterTableStmt { object, relation, commands, missing_ok: false };
                Ok(Statement::AlterTable(Box::new(stmt)))
            }
        }
    }

    /// `alter_type_cmd`.
    fn alter_attribute(&mut self) -> Result<AlterTableCmd> {
        let mut missing_ok = false;
        let keyword = self.keyword();
        if !matches!(keyword, Some(K::Add | K::Drop | K::Alter)) {
            return Err(self.syntax_error());
        }
        self.advance();
        self.expect(K::Attribute)?;
        let action = match keyword {
            Some(K::Drop) => {
                missing_ok = self.if_exists()?;
                AlterTableAction::DropColumn(self.col_id()?)
            }
            Some(K::Alter) => {
                let location = self.location();
                let name = self.col_id()?;
                self.accept_all(&[K::Set, K::Data]);
                self.expect(K::Type)?;
                self.alter_column_type(name, location)?
            }
            _ => {
                let location = self.location();
                let mut column = empty_column(self.col_id()?, location);
                column.type_name = Some(self.type_name()?);
                column.collation = self.optional_collation()?;
                AlterTableAction::AddColumn(column)
            }
        };
        Ok(AlterTableCmd { action, behavior: self.drop_behavior(), missing_ok })
    }

    fn alter_domain(&mut self) -> Result<Statement> {
        self.advance();
        let location = self.location();
        let name = self.any_name()?;
        let mut missing_ok = false;
        let mut behavior = DropBehavior::Restrict;
        let action = match (self.keyword(), self.keyword_at(1)) {
            (Some(K::Rename | K::Owner), Some(K::To)) => {
                let type_name = TypeName { names: name, typmod: -1, location, ..TypeName::default() };
                return self.alter_named(ObjectType::Domain, ObjectName::Type(type_name));
            }
            (Some(K::Set), Some(K::Schema)) => {
                let type_name = TypeName { names: name, typmod: -1, location, ..TypeName::default() };
                return self.alter_named(ObjectType::Domain, ObjectName::Type(type_name));
            }
            (Some(K::Set), Some(K::Default)) => {
                self.advance();
                self.advance();
                AlterDomainAction::Default(Some(self.expression()?))
            }
            (Some(K::Drop), Some(K::Default)) => {
                self.advance();
                self.advance();
                AlterDomainAction::Default(None)
            }
            (Some(K::Set), _) => {
                self.expect_all(&[K::Set, K::Not, K::Null])?;
                AlterDomainAction::SetNotNull
            }
            (Some(K::Drop), Some(K::Not)) => {
                self.expect_all(&[K::Drop, K::Not, K::Null])?;
                AlterDomainAction::DropNotNull
            }
            (Some(K::Drop), _) => {
                self.expect_all(&[K::Drop, K::Constraint])?;
                missing_ok = self.if_exists()?;
                let name = self.col_id()?;
                behavior = self.drop_behavior();
                AlterDomainAction::DropConstraint(name)
            }
            (Some(K::Validate), _) => {
                self.expect_all(&[K::Validate, K::Constraint])?;
                AlterDomainAction::ValidateConstraint(self.col_id()?)
            }
            _ => {
                self.expect(K::Add)?;
                AlterDomainAction::AddConstraint(Box::new(self.table_constraint()?))
            }
        };
        Ok(Statement::AlterDomain(Box::new(AlterDomainStmt { name, action, behavior, missing_ok })))
    }

    fn alter_extension(&mut self) -> Result<Statement> {
        self.advance();
        let name = self.col_id()?;
        if self.is(K::Set) {
            return self.alter_named(ObjectType::Extension, ObjectName::Name(vec![name]));
        }
        self.expect(K::Update)?;
        let mut options = Vec::new();
        let location = self.location();
        if self.accept(K::To) {
            let version = if self.at_string() { self.string()? } else { self.non_reserved_word()? };
            options.push(DefElem::new("new_version", Some(DefArg::String(version)), location));
        }
        Ok(Statement::AlterExtension(AlterExtensionStmt { name, options }))
    }
}
