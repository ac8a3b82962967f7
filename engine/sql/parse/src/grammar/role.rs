//! Roles and privileges.

use kokkiri_primitives::{Result, error};
use sqlparser::tokenizer::Token;

use crate::keyword::Keyword as K;
use crate::location::{AtLocation, Location};
use crate::parser::Parser;
use crate::tree::*;

impl Parser<'_> {
    /// `RoleSpec`.
    pub fn role_spec(&mut self) -> Result<RoleSpec> {
        let location = self.location();
        let role = match self.keyword() {
            Some(K::CurrentRole) => RoleName::CurrentRole,
            Some(K::CurrentUser) => RoleName::CurrentUser,
            Some(K::SessionUser) => RoleName::SessionUser,
            _ => {
                let name = self.non_reserved_word()?;
                return match name.as_str() {
                    // "public" and "none" are no keywords, but reserved all the same, even quoted.
                    "public" => Ok(RoleSpec { role: RoleName::Public, location }),
                    "none" => {
                        Err(error!(RESERVED_NAME, "role name \"none\" is reserved").at_location(location))
                    }
                    _ => Ok(RoleSpec { role: RoleName::Named(name), location }),
                };
            }
        };
        self.advance();
        Ok(RoleSpec { role, location })
    }

    /// `RoleId`: a role by its own name.
    pub fn role_id(&mut self) -> Result<String> {
        let spec = self.role_spec()?;
        let reserved = |condition: &str| Err(error!(RESERVED_NAME, "{condition}").at_location(spec.location));
        match spec.role {
            RoleName::Named(name) => Ok(name),
            RoleName::Public => reserved("role name \"public\" is reserved"),
            RoleName::CurrentRole => reserved("CURRENT_ROLE cannot be used as a role name here"),
            RoleName::CurrentUser => reserved("CURRENT_USER cannot be used as a role name here"),
            RoleName::SessionUser => reserved("SESSION_USER cannot be used as a role name here"),
        }
    }

    pub fn role_list(&mut self) -> Result<Vec<RoleSpec>> {
        self.comma_list(Self::role_spec)
    }

    /// Behind CREATE ROLE, USER or GROUP.
    pub fn create_role(&mut self, kind: RoleStmtType) -> Result<Statement> {
        let name = self.role_id()?;
        self.accept(K::With);
        let mut options = Vec::new();
        while let Some(option) = self.role_option(true)? {
            options.push(option);
        }
        Ok(Statement::CreateRole(CreateRoleStmt { kind, name, options }))
    }

    /// Behind ALTER ROLE or USER.
    pub fn alter_role(&mut self) -> Result<Statement> {
        if self.accept(K::All) {
            let database = self.in_database()?;
            let set = self.set_reset_clause()?;
            return Ok(Statement::AlterRoleSet(AlterRoleSetStmt { role: None, database, set }));
        }
        let role = self.role_spec()?;
        if self.accept_all(&[K::Rename, K::To]) {
            return self.rename_role(role);
        }
        let database = self.in_database()?;
        if database.is_some() || self.is_any(&[K::Set, K::Reset]) {
            let set = self.set_reset_clause()?;
            return Ok(Statement::AlterRoleSet(AlterRoleSetStmt { role: Some(role), database, set }));
        }
        self.accept(K::With);
        let mut options = Vec::new();
        while let Some(option) = self.role_option(false)? {
            options.push(option);
        }
        Ok(Statement::AlterRole(AlterRoleStmt { role, options, add_members: None }))
    }

    fn rename_role(&mut self, role: RoleSpec) -> Result<Statement> {
        let RoleName::Named(name) = role.role else { return Err(self.syntax_error()) };
        let new_name = self.role_id()?;
        Ok(Statement::Rename(Box::new(RenameStmt {
            object: ObjectType::Role,
            relation_type: ObjectType::Role,
            relation: None,
            name: Some(ObjectName::Name(vec![name])),
            subname: None,
            new_name,
            behavior: DropBehavior::Restrict,
            missing_ok: false,
        })))
    }

    /// Behind ALTER GROUP.
    pub fn alter_group(&mut self) -> Result<Statement> {
        let role = self.role_spec()?;
        if self.accept_all(&[K::Rename, K::To]) {
            return self.rename_role(role);
        }
        let add = self.accept(K::Add);
        if !add {
            self.expect(K::Drop)?;
        }
        self.expect(K::User)?;
        let at = self.location();
        let members = self.role_list()?.into_iter().map(DefArg::Role).collect();
        let options = vec![DefElem::new("rolemembers", Some(DefArg::List(members)), at)];
        Ok(Statement::AlterRole(AlterRoleStmt { role, options, add_members: Some(add) }))
    }

    fn in_database(&mut self) -> Result<Option<String>> {
        if !self.accept(K::In) {
            return Ok(None);
        }
        self.expect(K::Database)?;
        self.col_id().map(Some)
    }

    /// `AlterOptRoleElem` and, for CREATE, `CreateOptRoleElem`.
    fn role_option(&mut self, create: bool) -> Result<Option<DefElem>> {
        let location = self.location();
        let list = |roles: Vec<RoleSpec>| Some(DefArg::List(roles.into_iter().map(DefArg::Role).collect()));
        let option = match self.keyword() {
            Some(K::Password) => {
                self.advance();
                let arg = if self.accept(K::Null) { None } else { Some(DefArg::String(self.string()?)) };
                DefElem::new("password", arg, location)
            }
            Some(K::Encrypted) => {
                self.advance();
                self.expect(K::Password)?;
                DefElem::new("password", Some(DefArg::String(self.string()?)), location)
            }
            Some(K::Unencrypted) => {
                return Err(error!(FEATURE_NOT_SUPPORTED, "UNENCRYPTED PASSWORD is no longer supported")
                    .hint("Remove UNENCRYPTED to store the password in encrypted form instead.")
                    .at_location(location));
            }
            Some(K::Inherit) => {
                self.advance();
                DefElem::flag("inherit", true, location)
            }
            Some(K::Connection) => {
                self.advance();
                self.expect(K::Limit)?;
                DefElem::new("connectionlimit", Some(DefArg::Integer(self.signed_integer()?)), location)
            }
            Some(K::Valid) => {
                self.advance();
                self.expect(K::Until)?;
                DefElem::new("validUntil", Some(DefArg::String(self.string()?)), location)
            }
            Some(K::User) => {
                self.advance();
                DefElem::new("rolemembers", list(self.role_list()?), location)
            }
            Some(K::Sysid) if create => {
                self.advance();
                DefElem::new("sysid", Some(DefArg::Integer(self.integer()?)), location)
            }
            Some(K::Admin) if create => {
                self.advance();
                DefElem::new("adminmembers", list(self.role_list()?), location)
            }
            Some(K::Role) if create => {
                self.advance();
                DefElem::new("rolemembers", list(self.role_list()?), location)
            }
            Some(K::In) if create => {
                self.advance();
                if !self.accept(K::Role) {
                    self.expect(K::Group)?;
                }
                DefElem::new("addroleto", list(self.role_list()?), location)
            }
            None if matches!(self.token(), Token::Word(_)) => return self.role_flag(location).map(Some),
            _ => return Ok(None),
        };
        Ok(Some(option))
    }

    /// Options that are no keywords.
    fn role_flag(&mut self, location: Location) -> Result<DefElem> {
        let (name, value) = match self.token() {
            Token::Word(word) => match word.value.as_str() {
                "superuser" => ("superuser", true),
                "nosuperuser" => ("superuser", false),
                "createrole" => ("createrole", true),
                "nocreaterole" => ("createrole", false),
                "replication" => ("isreplication", true),
                "noreplication" => ("isreplication", false),
                "createdb" => ("createdb", true),
                "nocreatedb" => ("createdb", false),
                "login" => ("canlogin", true),
                "nologin" => ("canlogin", false),
                "bypassrls" => ("bypassrls", true),
                "nobypassrls" => ("bypassrls", false),
                "noinherit" => ("inherit", false),
                other => {
                    return Err(
                        error!(SYNTAX_ERROR, "unrecognized role option \"{other}\"").at_location(location)
                    );
                }
            },
            _ => return Err(self.syntax_error()),
        };
        self.advance();
        Ok(DefElem::flag(name, value, location))
    }

    /// Behind DROP ROLE, USER or GROUP.
    pub fn drop_role(&mut self) -> Result<Statement> {
        let missing_ok = self.if_exists()?;
        Ok(Statement::DropRole(DropRoleStmt { roles: self.role_list()?, missing_ok }))
    }

    pub fn reassign_owned(&mut self) -> Result<Statement> {
        self.expect_all(&[K::Reassign, K::Owned, K::By])?;
        let roles = self.role_list()?;
        self.expect(K::To)?;
        Ok(Statement::ReassignOwned { roles, new_role: self.role_spec()? })
    }

    // Privileges.

    pub fn grant(&mut self) -> Result<Statement> {
        self.expect(K::Grant)?;
        let privileges = self.privileges()?;
        if self.is(K::To) && !privileges.is_empty() {
            return self.grant_role(privileges);
        }
        self.expect(K::On)?;
        let target = self.privilege_target()?;
        self.expect(K::To)?;
        let grantees = self.grantees()?;
        let grant_option = self.accept_all(&[K::With, K::Grant, K::Option]);
        let grantor = self.granted_by()?;
        Ok(Statement::Grant(Box::new(GrantStmt {
            is_grant: true,
            target,
            privileges,
            grantees,
            grant_option,
            grantor,
            behavior: DropBehavior::Restrict,
        })))
    }

    fn grant_role(&mut self, granted: Vec<AccessPriv>) -> Result<Statement> {
        self.expect(K::To)?;
        let grantees = self.role_list()?;
        let mut options = Vec::new();
        if self.accept(K::With) {
            options = self.comma_list(|parser| {
                let location = parser.location();
                let name = parser.col_label()?;
                let value = if parser.accept(K::True) || parser.accept(K::Option) {
                    true
                } else {
                    parser.expect(K::False)?;
                    false
                };
                Ok(DefElem::flag(&name, value, location))
            })?;
        }
        let grantor = self.granted_by()?;
        Ok(Statement::GrantRole(GrantRoleStmt {
            granted,
            grantees,
            is_grant: true,
            options,
            grantor,
            behavior: DropBehavior::Restrict,
        }))
    }

    pub fn revoke(&mut self) -> Result<Statement> {
        self.expect(K::Revoke)?;
        let grant_option = self.accept_all(&[K::Grant, K::Option, K::For]);
        let mut role_option = None;
        if !grant_option && self.is_at(1, K::Option) && self.is_at(2, K::For) {
            let location = self.location();
            role_option = Some(DefElem::flag(&self.col_label()?, false, location));
            self.advance();
            self.advance();
        }
        let privileges = self.privileges()?;
        if self.accept(K::From) {
            let grantees = self.role_list()?;
            let grantor = self.granted_by()?;
            return Ok(Statement::GrantRole(GrantRoleStmt {
                granted: privileges,
                grantees,
                is_grant: false,
                options: role_option.into_iter().collect(),
                grantor,
                behavior: self.drop_behavior(),
            }));
        }
        self.expect(K::On)?;
        let target = self.privilege_target()?;
        self.expect(K::From)?;
        let grantees = self.grantees()?;
        let grantor = self.granted_by()?;
        Ok(Statement::Grant(Box::new(GrantStmt {
            is_grant: false,
            target,
            privileges,
            grantees,
            grant_option,
            grantor,
            behavior: self.drop_behavior(),
        })))
    }

    fn granted_by(&mut self) -> Result<Option<RoleSpec>> {
        if !self.accept(K::Granted) {
            return Ok(None);
        }
        self.expect(K::By)?;
        self.role_spec().map(Some)
    }

    fn grantees(&mut self) -> Result<Vec<RoleSpec>> {
        self.comma_list(|parser| {
            if parser.is(K::Group) && parser.is_name_at(1, NON_RESERVED) {
                parser.advance();
            }
            parser.role_spec()
        })
    }

    /// `privileges`: empty for ALL without columns.
    fn privileges(&mut self) -> Result<Vec<AccessPriv>> {
        if self.accept(K::All) {
            self.accept(K::Privileges);
            if self.at(&Token::LParen) {
                let columns = self.paren_list(Self::col_id)?;
                return Ok(vec![AccessPriv { name: None, columns }]);
            }
            return Ok(Vec::new());
        }
        self.comma_list(|parser| {
            let name = match parser.keyword() {
                Some(keyword @ (K::Select | K::References | K::Create)) => {
                    parser.advance();
                    keyword.name().to_owned()
                }
                Some(K::Alter) => {
                    parser.advance();
                    parser.expect(K::System)?;
                    "alter system".to_owned()
                }
                _ => parser.col_id()?,
            };
            let columns = parser.optional_paren_list(Self::col_id)?;
            Ok(AccessPriv { name: Some(name), columns })
        })
    }

    fn privilege_target(&mut self) -> Result<GrantTarget> {
        let objects = |object, names: Vec<String>| GrantTarget::Objects {
            object,
            names: names.into_iter().map(|name| vec![name]).collect(),
        };
        let Some(keyword) = self.keyword() else {
            return Ok(GrantTarget::Relations(self.comma_list(Self::qualified_name)?));
        };
        let next_is_name = self.is_name_at(1, NON_RESERVED);
        match keyword {
            K::Table => {
                self.advance();
                Ok(GrantTarget::Relations(self.comma_list(Self::qualified_name)?))
            }
            K::Sequence if next_is_name => {
                self.advance();
                Ok(GrantTarget::Sequences(self.comma_list(Self::qualified_name)?))
            }
            K::Foreign => {
                self.advance();
                if self.accept_all(&[K::Data, K::Wrapper]) {
                    return Ok(objects(ObjectType::ForeignDataWrapper, self.name_list()?));
                }
                self.expect(K::Server)?;
                Ok(objects(ObjectType::ForeignServer, self.name_list()?))
            }
            K::Function | K::Procedure | K::Routine if next_is_name => {
                self.advance();
                let object = routine_type(keyword);
                Ok(GrantTarget::Functions { object, functions: self.comma_list(Self::function_with_args)? })
            }
            K::Database if next_is_name => {
                self.advance();
                Ok(objects(ObjectType::Database, self.name_list()?))
            }
            K::Language if next_is_name => {
                self.advance();
                Ok(objects(ObjectType::Language, self.name_list()?))
            }
            K::Schema if next_is_name => {
                self.advance();
                Ok(objects(ObjectType::Schema, self.name_list()?))
            }
            K::Tablespace if next_is_name => {
                self.advance();
                Ok(objects(ObjectType::Tablespace, self.name_list()?))
            }
            K::Domain | K::Type if next_is_name => {
                self.advance();
                let object = if keyword == K::Type { ObjectType::Type } else { ObjectType::Domain };
                Ok(GrantTarget::Objects { object, names: self.comma_list(Self::any_name)? })
            }
            K::Large if self.is_at(1, K::Object) => {
                self.advance();
                self.advance();
                let numbers = self.comma_list(Self::large_object_id)?;
                Ok(GrantTarget::LargeObjects(numbers))
            }
            K::Parameter if next_is_name => {
                self.advance();
                Ok(GrantTarget::Parameters(self.comma_list(Self::variable_name)?))
            }
            K::All => self.all_in_schema(),
            _ => Ok(GrantTarget::Relations(self.comma_list(Self::qualified_name)?)),
        }
    }

    pub fn large_object_id(&mut self) -> Result<i64> {
        match self.numeric_only()? {
            DefArg::Integer(number) => Ok(i64::from(number)),
            DefArg::Float(text) => text.parse().map_err(|_| self.syntax_error()),
            _ => Err(self.syntax_error()),
        }
    }

    fn all_in_schema(&mut self) -> Result<GrantTarget> {
        self.expect(K::All)?;
        let object = match self.keyword() {
            Some(K::Tables) => ObjectType::Table,
            Some(K::Sequences) => ObjectType::Sequence,
            Some(K::Functions) => ObjectType::Function,
            Some(K::Procedures) => ObjectType::Procedure,
            Some(K::Routines) => ObjectType::Routine,
            _ => return Err(self.syntax_error()),
        };
        self.advance();
        self.expect_all(&[K::In, K::Schema])?;
        Ok(GrantTarget::AllInSchema { object, schemas: self.name_list()? })
    }

    /// Behind ALTER DEFAULT PRIVILEGES.
    pub fn alter_default_privileges(&mut self) -> Result<Statement> {
        let (mut schemas, mut roles) = (Vec::new(), Vec::new());
        loop {
            if self.accept_all(&[K::In, K::Schema]) {
                schemas = self.name_list()?;
            } else if self.accept(K::For) {
                if !self.accept(K::Role) {
                    self.expect(K::User)?;
                }
                roles = self.role_list()?;
            } else {
                break;
            }
        }
        let is_grant = self.accept(K::Grant);
        if !is_grant {
            self.expect(K::Revoke)?;
        }
        let mut grant_option = !is_grant && self.accept_all(&[K::Grant, K::Option, K::For]);
        let privileges = self.privileges()?;
        self.expect(K::On)?;
        let object = match self.keyword() {
            Some(K::Tables) => ObjectType::Table,
            Some(K::Functions | K::Routines) => ObjectType::Function,
            Some(K::Sequences) => ObjectType::Sequence,
            Some(K::Types) => ObjectType::Type,
            Some(K::Schemas) => ObjectType::Schema,
            Some(K::Large) if self.is_at(1, K::Objects) => {
                self.advance();
                ObjectType::LargeObject
            }
            _ => return Err(self.syntax_error()),
        };
        self.advance();
        self.expect(if is_grant { K::To } else { K::From })?;
        let grantees = self.grantees()?;
        if is_grant {
            grant_option = self.accept_all(&[K::With, K::Grant, K::Option]);
        }
        let behavior = if is_grant { DropBehavior::Restrict } else { self.drop_behavior() };
        let target = GrantTarget::Defaults { object };
        let action =
            GrantStmt { is_grant, target, privileges, grantees, grant_option, grantor: None, behavior };
        let stmt = AlterDefaultPrivilegesStmt { schemas, roles, action };
        Ok(Statement::AlterDefaultPrivileges(Box::new(stmt)))
    }
}

pub(super) fn routine_type(keyword: K) -> ObjectType {
    match keyword {
        K::Procedure => ObjectType::Procedure,
        K::Routine => ObjectType::Routine,
        K::Aggregate => ObjectType::Aggregate,
        _ => ObjectType::Function,
    }
}

const NON_RESERVED: &[crate::Category] =
    &[crate::Category::Unreserved, crate::Category::ColName, crate::Category::TypeFuncName];
