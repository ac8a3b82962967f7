//! May this role do that? Memberships, ownership and privileges as a statement asks for them.
//!
//! Realises: `has_privs_of_role`, `pg_class_aclcheck` and their kin (acl.c, aclchk.c).

use std::collections::{BTreeSet, HashSet};

use kokkiri_access::relation::RelationKind;
use kokkiri_primitives::{Error, Oid, Result, SqlState};

use crate::entries::NamespaceEntry;
use crate::lookup::Lookup;
use crate::privilege::{Acl, ObjectKind, Privileges};
use crate::rows::{PgAttribute, PgAuthMembers};
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

    /// True if `role` may pass `other` on, by itself or any role it is a member of: `is_admin_of_role`.
    pub fn is_admin_of(&self, role: Oid, other: Oid) -> Result<bool> {
        if self.is_superuser(role)? {
            return Ok(true);
        }
        for member in self.is_member_of(role)? {
            if role != other && self.has_admin_grant(member, other)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The role in whose name `role` passes `other` on: itself, or one it inherits from.
    /// `select_best_admin`.
    pub fn best_admin(&self, role: Oid, other: Oid) -> Result<Option<Oid>> {
        if role == other {
            return Ok(None);
        }
        let mut candidates: Vec<Oid> = self.roles_of(role)?.into_iter().collect();
        candidates.sort_by_key(|candidate| (*candidate != role, *candidate));
        for candidate in candidates {
            if self.has_admin_grant(candidate, other)? {
                return Ok(Some(candidate));
            }
        }
        Ok(None)
    }

    fn has_admin_grant(&self, member: Oid, role: Oid) -> Result<bool> {
        let rows = self.rows::<PgAuthMembers>(Lookup::MembershipByMember, &[oid_ref(member)])?;
        Ok(rows.iter().any(|row| row.roleid == role && row.admin_option))
    }

    /// Whether the session may set `role` or `session_authorization` to this; any other parameter is not
    /// looked at. `check_role`, `check_session_authorization`.
    ///
    /// # Errors
    /// 22023 if there is no such role, 42501 if the session may not become it.
    pub fn check_identity(&self, parameter: &str, value: &str) -> Result<()> {
        let is_role = parameter.eq_ignore_ascii_case("role");
        if !is_role && !parameter.eq_ignore_ascii_case("session_authorization") || is_role && value == "none"
        {
            return Ok(());
        }
        let Some(role) = self.role_by_name(value)? else {
            let message = format!("role \"{value}\" does not exist");
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
        };
        let session = self.session;
        let (allowed, what) = if is_role {
            (self.can_set_role(session.session_role(), role.oid)?, "role")
        } else {
            let authenticated = session.authenticated_role();
            (role.oid == authenticated || self.is_superuser(authenticated)?, "session authorization")
        };
        if allowed {
            return Ok(());
        }
        let message = format!("permission denied to set {what} \"{value}\"");
        Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message))
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
        let granted = match acl {
            Some(acl) => acl.granted(&roles, wanted),
            None => Acl::default_for(kind, owner).granted(&roles, wanted),
        };
        Ok(granted.union(predefined(kind, &roles).intersection(wanted)))
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

/// What predefined roles may do with every object of a kind.
fn predefined(kind: ObjectKind, roles: &HashSet<Oid>) -> Privileges {
    const READ_ALL_DATA: Oid = Oid(6181);
    const WRITE_ALL_DATA: Oid = Oid(6182);
    const MAINTAIN: Oid = Oid(6337);
    let (reads, writes) = (roles.contains(&READ_ALL_DATA), roles.contains(&WRITE_ALL_DATA));
    let mut all = Privileges::NONE;
    let mut add = |has: bool, privileges: Privileges| {
        if has {
            all = all.union(privileges);
        }
    };
    match kind {
        ObjectKind::Table | ObjectKind::Sequence => {
            let writing = Privileges::INSERT.union(Privileges::UPDATE).union(Privileges::DELETE);
            add(reads, Privileges::SELECT);
            add(writes, if kind == ObjectKind::Table { writing } else { Privileges::UPDATE });
            add(kind == ObjectKind::Table && roles.contains(&MAINTAIN), Privileges::MAINTAIN);
        }
        ObjectKind::Schema => add(reads || writes, Privileges::USAGE),
        _ => {}
    }
    all
}

/// How a query uses a relation.
pub struct RelationUse<'a> {
    pub relation: Oid,
    pub role: Oid,
    pub required: Privileges,
    /// Numbers of the columns; 0 is the whole row.
    pub selected: &'a BTreeSet<i16>,
    pub inserted: &'a BTreeSet<i16>,
    pub updated: &'a BTreeSet<i16>,
}

impl CatalogView<'_> {
    /// Whether a query may use a relation so: by a privilege on the whole or on each column it touches.
    /// `ExecCheckOneRelPerms`.
    pub fn may_use_relation(&self, usage: &RelationUse<'_>) -> Result<bool> {
        if self.is_superuser(usage.role)? {
            return Ok(true);
        }
        let entry = self.expect_relation(usage.relation)?;
        let kind = match entry.relation.kind {
            RelationKind::Sequence => ObjectKind::Sequence,
            _ => ObjectKind::Table,
        };
        let mut granted =
            self.privileges(usage.role, kind, entry.owner, entry.acl.as_ref(), usage.required)?;
        if entry.relation.is_catalog && entry.relation.kind != RelationKind::View {
            // Only superusers change catalogs by hand.
            granted = granted.intersection(Privileges::SELECT);
        }
        let missing = usage.required.without(granted);
        let parts = [
            (Privileges::SELECT, usage.selected),
            (Privileges::INSERT, usage.inserted),
            (Privileges::UPDATE, usage.updated),
        ];
        if parts.iter().fold(missing, |left, (privilege, _)| left.without(*privilege)) != Privileges::NONE {
            return Ok(false);
        }
        for (privilege, columns) in parts {
            if missing.contains(privilege)
                && !self.may_use_columns(usage.role, usage.relation, privilege, columns)?
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether columns' own ACLs allow what the relation's does not. Without a column any will do.
    fn may_use_columns(
        &self,
        role: Oid,
        relation: Oid,
        wanted: Privileges,
        columns: &BTreeSet<i16>,
    ) -> Result<bool> {
        let roles = self.roles_of(role)?;
        let rows = self.rows::<PgAttribute>(Lookup::AttributeByRelation, &[oid_ref(relation)])?;
        let allowed = |row: &PgAttribute| {
            row.attacl.as_ref().is_some_and(|acl| acl.granted(&roles, wanted).contains(wanted))
        };
        let mut own = rows.iter().filter(|row| row.attnum > 0 && !row.attisdropped);
        if columns.is_empty() {
            return Ok(own.any(allowed));
        }
        if columns.contains(&0) {
            return Ok(own.all(allowed));
        }
        Ok(columns.iter().all(|number| rows.iter().any(|row| row.attnum == *number && allowed(row))))
    }
}
