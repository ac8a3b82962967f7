//! May this role do that? Memberships, ownership and privileges as a statement asks for them.
//!
//! Realises: `has_privs_of_role`, `pg_class_aclcheck` and their kin (acl.c, aclchk.c).

use std::collections::HashSet;

use kokkiri_primitives::{Error, Oid, Result, SqlState};

use crate::entries::NamespaceEntry;
use crate::lookup::Lookup;
use crate::privilege::{Acl, ObjectKind, Privileges};
use crate::rows::PgAuthMembers;
use crate::view::{CatalogView, oid_ref};

impl CatalogView<'_> {
    pub fn is_superuser(&self, role: Oid) -> Result<bool> {
        Ok(self.role(role)?.is_some_and(|role| role.superuser))
    }

    /// The role itself and all roles whose privileges it has by inheritance.
    pub fn roles_of(&self, role: Oid) -> Result<HashSet<Oid>> {
        self.memberships(role, |membership| membership.inherit_option)
    }

    /// The role itself and all roles it is a member of, directly or not, whatever the options.
    pub fn is_member_of(&self, role: Oid) -> Result<HashSet<Oid>> {
        self.memberships(role, |_| true)
    }

    /// True if `role` may SET ROLE to `other`: `member_can_set_role`.
    pub fn can_set_role(&self, role: Oid, other: Oid) -> Result<bool> {
        Ok(role == other
            || self.is_superuser(role)?
            || self.memberships(role, |membership| membership.set_option)?.contains(&other))
    }

    fn memberships(&self, role: Oid, follow: impl Fn(&PgAuthMembers) -> bool) -> Result<HashSet<Oid>> {
        let mut roles = HashSet::from([role]);
        let mut pending = vec![role];
        while let Some(member) = pending.pop() {
            let memberships = self.rows::<PgAuthMembers>(Lookup::MembershipByMember, &[oid_ref(member)])?;
            for membership in memberships.iter().filter(|membership| follow(membership)) {
                if roles.insert(membership.roleid) {
                    pending.push(membership.roleid);
                }
            }
        }
        // The owner of the database is a member of pg_database_owner without a row that says so.
        const DATABASE_OWNER: Oid = Oid(6171);
        if let Some(database) = self.database(self.database_oid())?
            && roles.contains(&database.owner)
        {
            roles.insert(DATABASE_OWNER);
        }
        Ok(roles)
    }

    /// True if the role owns what `owner` owns: it is that role, inherits from it, or is a superuser.
    pub fn owns(&self, role: Oid, owner: Oid) -> Result<bool> {
        Ok(role == owner || self.is_superuser(role)? || self.roles_of(role)?.contains(&owner))
    }

    /// Which of the wanted privileges the role has on an object.
    pub fn privileges(
        &self,
        role: Oid,
        kind: ObjectKind,
        owner: Oid,
        acl: Option<&Acl>,
        wanted: Privileges,
    ) -> Result<Privileges> {
        if role == owner && acl.is_none() {
            return Ok(wanted);
        }
        if self.is_superuser(role)? {
            return Ok(wanted);
        }
        let roles = self.roles_of(role)?;
        match acl {
            Some(acl) => Ok(acl.granted(&roles, wanted)),
            None => Ok(Acl::default_for(kind, owner).granted(&roles, wanted)),
        }
    }

    /// # Errors
    /// 42501 "permission denied for schema ..." without USAGE.
    pub fn check_schema_usage(&self, namespace: &NamespaceEntry) -> Result<()> {
        self.check_schema(namespace, Privileges::USAGE)
    }

    /// # Errors
    /// 42501 "permission denied for schema ..." without CREATE.
    pub fn check_schema_create(&self, namespace: &NamespaceEntry) -> Result<()> {
        self.check_schema(namespace, Privileges::CREATE)
    }

    fn check_schema(&self, namespace: &NamespaceEntry, wanted: Privileges) -> Result<()> {
        if Some(namespace.oid) == self.session.temp_namespace() {
            return Ok(());
        }
        let acl = namespace.acl.as_ref();
        let granted = self.privileges(self.role, ObjectKind::Schema, namespace.owner, acl, wanted)?;
        if granted.contains(wanted) {
            return Ok(());
        }
        Err(Error::new(
            SqlState::INSUFFICIENT_PRIVILEGE,
            format!("permission denied for schema {}", namespace.name),
        ))
    }
}
