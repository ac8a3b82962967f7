//! GRANT and REVOKE of privileges on objects.
//!
//! Realises: aclchk.c's `ExecuteGrantStmt` and the `ExecGrant_...` functions. A statement names
//! privileges, objects and grantees. For each object the current user must be able to grant: as the
//! owner, or by a grant option that it, or a role it inherits from, was given. What was passed on under a
//! grant option hangs on it, and goes with it only with CASCADE.

mod object;
mod privilege;
mod relation;

use std::collections::BTreeSet;

use kokkiri_catalog::dependency::{self, ObjectAddress, class};
use kokkiri_catalog::privilege::{Acl, ObjectKind, Privileges};
use kokkiri_parse::tree::{AccessPriv, DropBehavior, GrantStmt, GrantTarget, ObjectType, RoleName};
use kokkiri_primitives::{Error, Oid, Result, SqlState, error};

use crate::context::{CommandContext, CommandOutcome};

/// What a statement wants, objects aside.
pub(crate) struct Grant<'s> {
    pub is_grant: bool,
    pub grant_option: bool,
    pub cascade: bool,
    /// `None` is everybody.
    pub grantees: Vec<Option<Oid>>,
    /// Empty for ALL.
    pub privileges: &'s [AccessPriv],
}

pub fn execute(context: &mut CommandContext<'_>, statement: &GrantStmt) -> Result<CommandOutcome> {
    if let Some(spec) = &statement.grantor
        && context.role_meant(spec)? != context.role()
    {
        return Err(error!(FEATURE_NOT_SUPPORTED, "grantor must be current user"));
    }
    let grant = Grant::read(context, statement)?;
    match &statement.target {
        GrantTarget::Relations(relations) => {
            for name in relations {
                relation::grant(context, &grant, name, false)?;
                context.advance()?;
            }
        }
        GrantTarget::Sequences(sequences) => {
            for name in sequences {
                relation::grant(context, &grant, name, true)?;
                context.advance()?;
            }
        }
        GrantTarget::Objects { object, names } => {
            for name in names {
                object::grant(context, &grant, *object, name)?;
                context.advance()?;
            }
        }
        GrantTarget::Functions { functions, .. } => {
            for function in functions {
                object::grant_on_function(context, &grant, function)?;
                context.advance()?;
            }
        }
        GrantTarget::AllInSchema { object, schemas } => {
            for schema in schemas {
                all_in_schema(context, &grant, *object, schema)?;
            }
        }
        GrantTarget::LargeObjects(_) => return Err(Error::not_supported("GRANT on large objects")),
        GrantTarget::Parameters(_) => return Err(Error::not_supported("GRANT on parameters")),
        GrantTarget::Defaults { .. } => return Err(Error::not_supported("ALTER DEFAULT PRIVILEGES")),
    }
    Ok(CommandOutcome::done(if statement.is_grant { "GRANT" } else { "REVOKE" }))
}

fn all_in_schema(
    context: &mut CommandContext<'_>,
    grant: &Grant<'_>,
    object: ObjectType,
    schema: &str,
) -> Result<()> {
    let namespace = context.view.namespace_for_lookup(schema)?;
    let namespace =
        namespace.ok_or_else(|| error!(INVALID_SCHEMA_NAME, "schema \"{schema}\" does not exist"))?;
    match object {
        ObjectType::Table | ObjectType::Sequence => {
            let sequences = object == ObjectType::Sequence;
            for oid in relation::all_in(context, namespace, sequences)? {
                relation::grant_on_oid(context, grant, oid, sequences)?;
                context.advance()?;
            }
            Ok(())
        }
        _ => object::grant_on_functions_of(context, grant, namespace, object),
    }
}

impl<'s> Grant<'s> {
    fn read(context: &CommandContext<'_>, statement: &'s GrantStmt) -> Result<Self> {
        let mut grantees = Vec::with_capacity(statement.grantees.len());
        for spec in &statement.grantees {
            grantees.push(match spec.role {
                RoleName::Public => None,
                _ => Some(context.role_meant(spec)?),
            });
        }
        if statement.is_grant && statement.grant_option && grantees.contains(&None) {
            return Err(error!(INVALID_GRANT_OPERATION, "grant options can only be granted to roles"));
        }
        Ok(Self {
            is_grant: statement.is_grant,
            grant_option: statement.grant_option,
            cascade: statement.behavior == DropBehavior::Cascade,
            grantees,
            privileges: &statement.privileges,
        })
    }

    /// The privileges meant for an object of a kind that has no columns.
    fn wanted(&self, kind: ObjectKind, noun: &str) -> Result<Privileges> {
        let mut wanted = Privileges::NONE;
        if self.privileges.is_empty() {
            return Ok(kind.all());
        }
        for given in self.privileges {
            if !given.columns.is_empty() {
                return Err(error!(
                    INVALID_GRANT_OPERATION,
                    "column privileges are only valid for relations"
                ));
            }
            let Some(name) = &given.name else { return Ok(kind.all()) };
            let privilege = privilege::named(name)?;
            if !kind.all().contains(privilege) {
                return Err(privilege::invalid(privilege, noun));
            }
            wanted = wanted.union(privilege);
        }
        Ok(wanted)
    }

    fn is_all(&self) -> bool {
        self.privileges.is_empty()
    }
}

/// An object on its way through a grant.
pub(crate) struct Target<'t> {
    pub address: ObjectAddress,
    pub kind: ObjectKind,
    pub owner: Oid,
    /// "table", "schema": what it is called when somebody may not.
    pub noun: &'t str,
    pub name: &'t str,
    /// The column's name, for privileges on one.
    pub column: Option<&'t str>,
    /// What the column's table allows, which counts for the column too.
    pub table_acl: Option<Acl>,
}

/// The ACL after a grant; `None` if nothing changes. Notes the roles it names.
pub(crate) fn changed_acl(
    context: &mut CommandContext<'_>,
    grant: &Grant<'_>,
    target: &Target<'_>,
    old: Option<Acl>,
    wanted: Privileges,
    is_all: bool,
) -> Result<Option<Acl>> {
    let before = old.clone().unwrap_or_else(|| Acl::default_for(target.kind, target.owner));
    let mut counting = before.clone();
    counting.0.extend(target.table_acl.iter().flat_map(|acl| acl.0.iter().copied()));
    let (grantor, grantable) = best_grantor(context, &counting, target.owner, wanted)?;
    let given = wanted.intersection(grantable);
    check_grantable(context, target, &counting, grantable)?;
    warn_of_partial(context, grant, target, wanted, given, is_all);
    let mut after = before.clone();
    for grantee in &grant.grantees {
        apply(&mut after, grant, *grantee, grantor, given, target.owner)?;
    }
    if old.as_ref() == Some(&after) {
        return Ok(None);
    }
    // The default ACL is nobody's doing: its roles are not recorded.
    let known = old.as_ref().map_or_else(BTreeSet::new, Acl::roles);
    record_roles(context, target.address, target.owner, &known, &after.roles())?;
    Ok(Some(after))
}

/// Keeps pg_shdepend in step with an ACL: `updateAclDependencies`. The owner is recorded as such.
pub(crate) fn record_roles(
    context: &CommandContext<'_>,
    object: ObjectAddress,
    owner: Oid,
    before: &BTreeSet<Oid>,
    after: &BTreeSet<Oid>,
) -> Result<()> {
    for role in before.difference(after).filter(|role| **role != owner) {
        dependency::forget_role(&context.view, object, *role, b'a')?;
    }
    for role in after.difference(before).filter(|role| **role != owner) {
        dependency::record_role(&context.view, object, *role, b'a')?;
    }
    Ok(())
}

/// Who grants, and what it may grant of what is wanted: `select_best_grantor`.
fn best_grantor(
    context: &CommandContext<'_>,
    acl: &Acl,
    owner: Oid,
    wanted: Privileges,
) -> Result<(Oid, Privileges)> {
    let own = context.role();
    let roles = context.view.roles_of(own)?;
    if own == owner || context.view.is_superuser(own)? || roles.contains(&owner) {
        return Ok((owner, wanted));
    }
    let mut candidates: Vec<Oid> = roles.into_iter().collect();
    // The role itself before those it inherits from.
    candidates.sort_by_key(|role| (*role != own, *role));
    let mut best = (own, Privileges::NONE);
    for role in candidates {
        let grantable = acl.grantable_by(role).intersection(wanted);
        if grantable == wanted {
            return Ok((role, grantable));
        }
        if grantable.count() > best.1.count() {
            best = (role, grantable);
        }
    }
    Ok(best)
}

/// # Errors
/// 42501 if the current user has no privilege on the object at all.
fn check_grantable(
    context: &CommandContext<'_>,
    target: &Target<'_>,
    acl: &Acl,
    grantable: Privileges,
) -> Result<()> {
    if grantable != Privileges::NONE {
        return Ok(());
    }
    let roles = context.view.roles_of(context.role())?;
    if acl.granted(&roles, target.kind.all().union(Privileges::COLUMN)) != Privileges::NONE {
        return Ok(());
    }
    Err(match target.column {
        Some(column) => error!(
            INSUFFICIENT_PRIVILEGE,
            "permission denied for column \"{column}\" of relation \"{}\"", target.name
        ),
        None => error!(INSUFFICIENT_PRIVILEGE, "permission denied for {} {}", target.noun, target.name),
    })
}

fn warn_of_partial(
    context: &mut CommandContext<'_>,
    grant: &Grant<'_>,
    target: &Target<'_>,
    wanted: Privileges,
    given: Privileges,
    is_all: bool,
) {
    let place = match target.column {
        Some(column) => format!("column \"{column}\" of relation \"{}\"", target.name),
        None => format!("\"{}\"", target.name),
    };
    let (state, verb) = match grant.is_grant {
        true => (SqlState::WARNING_PRIVILEGE_NOT_GRANTED, "were granted"),
        false => (SqlState::WARNING_PRIVILEGE_NOT_REVOKED, "could be revoked"),
    };
    let amount = if given == Privileges::NONE {
        "no"
    } else if !is_all && given != wanted {
        "not all"
    } else {
        return;
    };
    context.notice(Error::warning(state, format!("{amount} privileges {verb} for {place}")));
}

/// Enters one grantee's change into an ACL: `aclupdate`.
fn apply(
    acl: &mut Acl,
    grant: &Grant<'_>,
    grantee: Option<Oid>,
    grantor: Oid,
    given: Privileges,
    owner: Oid,
) -> Result<()> {
    if grant.is_grant {
        if grant.grant_option && grantor != owner {
            check_no_circle(acl, grantee, grantor, given, owner)?;
        }
        acl.grant(grantee, grantor, given, grant.grant_option);
        return Ok(());
    }
    revoke(acl, grantee, grantor, given, grant.grant_option, grant.cascade)
}

/// Takes privileges away, or only their grant options, and what hangs on the latter.
fn revoke(
    acl: &mut Acl,
    grantee: Option<Oid>,
    grantor: Oid,
    privileges: Privileges,
    option_only: bool,
    cascade: bool,
) -> Result<()> {
    let before = grantee.map_or(Privileges::NONE, |role| acl.grantable_by(role));
    acl.revoke(grantee, grantor, privileges, option_only);
    let Some(role) = grantee else { return Ok(()) };
    let lost = before.without(acl.grantable_by(role)).intersection(privileges);
    if lost == Privileges::NONE {
        return Ok(());
    }
    let dependents: Vec<_> = acl
        .0
        .iter()
        .filter(|item| item.grantor == role && item.privileges.intersects(lost))
        .copied()
        .collect();
    for item in dependents {
        if !cascade {
            return Err(error!(DEPENDENT_OBJECTS_STILL_EXIST, "dependent privileges exist")
                .hint("Use CASCADE to revoke them too."));
        }
        revoke(acl, item.grantee, role, lost, false, cascade)?;
    }
    Ok(())
}

/// Whoever passes a grant option on must not come to owe it to whom it is passed: `check_circularity`.
fn check_no_circle(
    acl: &Acl,
    grantee: Option<Oid>,
    grantor: Oid,
    given: Privileges,
    owner: Oid,
) -> Result<()> {
    let mut without = acl.clone();
    if let Some(role) = grantee.filter(|role| *role != owner) {
        let granted: Vec<_> = without.0.iter().filter(|item| item.grantee == grantee).copied().collect();
        for item in granted {
            revoke(&mut without, Some(role), item.grantor, item.grantable, true, true)?;
        }
    }
    if without.grantable_by(grantor).contains(given) {
        return Ok(());
    }
    Err(error!(INVALID_GRANT_OPERATION, "grant options cannot be granted back to your own grantor"))
}

/// Objects of a class in pg_shdepend.
pub(crate) fn address(class_oid: Oid, object: Oid) -> ObjectAddress {
    ObjectAddress::new(class_oid, object)
}

/// The class of what has a kind's privileges.
pub(crate) fn class_of(kind: ObjectKind) -> Oid {
    match kind {
        ObjectKind::Table | ObjectKind::Sequence | ObjectKind::Column => class::RELATION,
        ObjectKind::Database => class::DATABASE,
        ObjectKind::Function => class::FUNCTION,
        ObjectKind::Language => class::LANGUAGE,
        ObjectKind::Schema => class::NAMESPACE,
        ObjectKind::Tablespace => class::TABLESPACE,
        ObjectKind::Type => class::TYPE,
    }
}
