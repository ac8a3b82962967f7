//! Roles as statements name them: by name or as CURRENT_USER and its kin.
//!
//! Realises: `get_rolespec_oid`, `check_can_set_role` (acl.c).

use kokkiri_parse::tree::{RoleName, RoleSpec};
use kokkiri_primitives::{Oid, Result, error};

use crate::context::CommandContext;

impl CommandContext<'_> {
    /// The role of that name.
    ///
    /// # Errors
    /// 42704 if there is none.
    pub fn role_called(&self, name: &str) -> Result<Oid> {
        match self.view.role_by_name(name)? {
            Some(role) => Ok(role.oid),
            None => Err(error!(UNDEFINED_OBJECT, "role \"{name}\" does not exist")),
        }
    }

    /// The role that is meant.
    ///
    /// # Errors
    /// 42704 if there is none; PUBLIC is none.
    pub fn role_meant(&self, spec: &RoleSpec) -> Result<Oid> {
        match &spec.role {
            RoleName::CurrentRole | RoleName::CurrentUser => Ok(self.role()),
            RoleName::SessionUser => Ok(self.session_role),
            RoleName::Public => self.role_called("public"),
            RoleName::Named(name) => self.role_called(name),
        }
    }

    /// What a role is called in messages.
    pub fn role_name(&self, role: Oid) -> Result<String> {
        Ok(self.view.role(role)?.map_or_else(|| role.to_string(), |entry| entry.name.to_string()))
    }

    /// Whether the role may give objects to `other`.
    ///
    /// # Errors
    /// 42501 if it could not SET ROLE to it.
    pub fn check_can_set_role(&self, other: Oid) -> Result<()> {
        if self.view.can_set_role(self.role(), other)? {
            return Ok(());
        }
        let name = self.role_name(other)?;
        Err(error!(INSUFFICIENT_PRIVILEGE, "must be able to SET ROLE \"{name}\""))
    }
}
