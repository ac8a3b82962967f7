//! What depends on what, and what must go when something is dropped.
//!
//! Realises: dependency.c, pg_depend.c and the recording half of pg_shdepend.c. Objects are named by
//! [`ObjectAddress`]; rows of pg_depend say that one needs another and how badly. [`Deletion::plan`] finds
//! everything that hangs on the objects to be dropped and refuses or announces it, in PostgreSQL's words;
//! the caller then drops the objects in the order of the plan, each followed by [`forget`].
//!
//! Invariants:
//!  1. What init made (an oid below [`Oid::FIRST_UNPINNED`]) is pinned: nothing is recorded of it, and it
//!     can't be dropped. The schema public and databases are the exceptions.
//!  2. In a plan, what depends on an object stands before it.
//!  3. Every object of a plan was locked before its dependents were looked for, so none can appear.

use kokkiri_primitives::{Error, Oid, Result, SqlState};
use kokkiri_transaction::{LockMode, LockTag, WaitPolicy};
use kokkiri_types::ValueRef;

use crate::row::CatalogRow;
use crate::rows::{PgDepend, PgDescription, PgShdepend};
use crate::shapes;
use crate::view::{CatalogView, PUBLIC, oid_ref};

/// Oids of the catalogs that objects live in.
pub mod class {
    use kokkiri_primitives::Oid;

    pub const TYPE: Oid = Oid(1247);
    pub const FUNCTION: Oid = Oid(1255);
    pub const RELATION: Oid = Oid(1259);
    pub const ROLE: Oid = Oid(1260);
    pub const DATABASE: Oid = Oid(1262);
    pub const TABLESPACE: Oid = Oid(1213);
    pub const DEFAULT: Oid = Oid(2604);
    pub const CAST: Oid = Oid(2605);
    pub const CONSTRAINT: Oid = Oid(2606);
    pub const OPCLASS: Oid = Oid(2616);
    pub const OPERATOR: Oid = Oid(2617);
    pub const REWRITE: Oid = Oid(2618);
    pub const NAMESPACE: Oid = Oid(2615);
    pub const LANGUAGE: Oid = Oid(2612);
    pub const MEMBERSHIP: Oid = Oid(1261);
    pub const DEFAULT_ACL: Oid = Oid(826);
    pub const TRIGGER: Oid = Oid(2620);
    pub const COLLATION: Oid = Oid(3456);
    pub const LARGE_OBJECT: Oid = Oid(2613);
    pub const EXTENSION: Oid = Oid(3079);
}

const PG_DEPEND_DEPENDER_INDEX: Oid = Oid(2673);
const PG_DEPEND_REFERENCE_INDEX: Oid = Oid(2674);
const PG_SHDEPEND_DEPENDER_INDEX: Oid = Oid(1232);
const PG_DESCRIPTION_INDEX: Oid = Oid(2675);

/// An object of a database: its catalog, its oid and, for a column, its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ObjectAddress {
    pub class: Oid,
    pub object: Oid,
    /// 0 for the whole object.
    pub sub: i32,
}

impl ObjectAddress {
    pub fn new(class: Oid, object: Oid) -> Self {
        Self { class, object, sub: 0 }
    }

    pub fn relation(oid: Oid) -> Self {
        Self::new(class::RELATION, oid)
    }

    pub fn column(relation: Oid, number: i16) -> Self {
        Self { class: class::RELATION, object: relation, sub: i32::from(number) }
    }

    /// Made by init, and there for good.
    pub fn is_pinned(self) -> bool {
        self.object < Oid::FIRST_UNPINNED
            && !(self.class == class::NAMESPACE && self.object == PUBLIC)
            && !matches!(self.class, class::DATABASE | class::LARGE_OBJECT)
    }

    fn same_object(self, other: Self) -> bool {
        self.class == other.class && self.object == other.object
    }
}

/// How one object needs another: pg_depend.deptype.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum DependencyKind {
    /// The other can go only with CASCADE.
    Normal = b'n',
    /// Goes silently with the other.
    Auto = b'a',
    /// Is part of the other's implementation, and goes only with it.
    Internal = b'i',
    /// Was made by the other, an extension, and goes only with it.
    Extension = b'e',
}

/// Records that `depender` needs each of `referenced`: `recordMultipleDependencies`.
pub fn record(
    view: &CatalogView<'_>,
    depender: ObjectAddress,
    referenced: impl IntoIterator<Item = ObjectAddress>,
    kind: DependencyKind,
) -> Result<()> {
    let needed = referenced.into_iter().filter(|address| !address.is_pinned());
    view.insert_rows(needed.map(|other| PgDepend {
        classid: depender.class,
        objid: depender.object,
        objsubid: depender.sub,
        refclassid: other.class,
        refobjid: other.object,
        refobjsubid: other.sub,
        deptype: kind as u8,
    }))
}

/// Records an object's owner: `recordDependencyOnOwner`.
pub fn record_owner(view: &CatalogView<'_>, object: ObjectAddress, owner: Oid) -> Result<()> {
    record_role(view, object, owner, b'o')
}

/// Records that an ACL or the like names a role: `SHARED_DEPENDENCY_ACL` and its kin. The role can't be
/// dropped before the transaction has ended.
///
/// # Errors
/// 42704 if somebody has just dropped it.
pub fn record_role(view: &CatalogView<'_>, object: ObjectAddress, role: Oid, deptype: u8) -> Result<()> {
    let address = ObjectAddress::new(class::ROLE, role);
    if address.is_pinned() {
        return Ok(());
    }
    lock_object(view, address, LockMode::AccessShare)?;
    if view.role(role)?.is_none() {
        let message = format!("role {role} was concurrently dropped");
        return Err(Error::new(SqlState::UNDEFINED_OBJECT, message));
    }
    view.insert_row(PgShdepend {
        dbid: database_of(view, object),
        classid: object.class,
        objid: object.object,
        objsubid: object.sub,
        refclassid: class::ROLE,
        refobjid: role,
        deptype,
    })
    .map(drop)
}

/// Forgets that an object's ACL names a role.
pub fn forget_role(view: &CatalogView<'_>, object: ObjectAddress, role: Oid, deptype: u8) -> Result<()> {
    let key = [oid_ref(database_of(view, object)), oid_ref(object.class), oid_ref(object.object)];
    for found in view.scan_rows::<PgShdepend>(PG_SHDEPEND_DEPENDER_INDEX, &[1, 2, 3], &key)? {
        let row = &found.row;
        if row.objsubid == object.sub && row.deptype == deptype && row.refobjid == role {
            found.delete(view)?;
        }
    }
    Ok(())
}

/// Forgets who an object's ACL names.
pub fn forget_roles(view: &CatalogView<'_>, object: ObjectAddress, deptype: u8) -> Result<()> {
    let key = [oid_ref(database_of(view, object)), oid_ref(object.class), oid_ref(object.object)];
    for found in view.scan_rows::<PgShdepend>(PG_SHDEPEND_DEPENDER_INDEX, &[1, 2, 3], &key)? {
        if found.row.objsubid == object.sub && found.row.deptype == deptype {
            found.delete(view)?;
        }
    }
    Ok(())
}

/// An object has another owner: `changeDependencyOnOwner`.
pub fn change_owner(view: &CatalogView<'_>, object: ObjectAddress, owner: Oid) -> Result<()> {
    forget_roles(view, object, b'o')?;
    // A role is mentioned once: as the owner rather than in the ACL.
    let key = [oid_ref(database_of(view, object)), oid_ref(object.class), oid_ref(object.object)];
    for found in view.scan_rows::<PgShdepend>(PG_SHDEPEND_DEPENDER_INDEX, &[1, 2, 3], &key)? {
        if found.row.objsubid == object.sub && found.row.deptype == b'a' && found.row.refobjid == owner {
            found.delete(view)?;
        }
    }
    record_owner(view, object, owner)
}

/// What a database's objects need of shared ones, a copy's need as well: `copyTemplateDependencies`.
pub fn copy_shared(view: &CatalogView<'_>, template: Oid, copy: Oid) -> Result<()> {
    let rows = view.scan_rows::<PgShdepend>(PG_SHDEPEND_DEPENDER_INDEX, &[1], &[oid_ref(template)])?;
    view.insert_rows(rows.into_iter().map(|found| PgShdepend { dbid: copy, ..found.row }))
}

/// A database goes: so does what its objects and it itself need of shared objects.
/// `dropDatabaseDependencies`.
pub fn forget_database(view: &CatalogView<'_>, database: Oid) -> Result<()> {
    let inside = view.scan_rows::<PgShdepend>(PG_SHDEPEND_DEPENDER_INDEX, &[1], &[oid_ref(database)])?;
    let key = [oid_ref(Oid::INVALID), oid_ref(class::DATABASE), oid_ref(database)];
    let own = view.scan_rows::<PgShdepend>(PG_SHDEPEND_DEPENDER_INDEX, &[1, 2, 3], &key)?;
    inside.into_iter().chain(own).try_for_each(|found| found.delete(view))
}

fn database_of(view: &CatalogView<'_>, object: ObjectAddress) -> Oid {
    if shapes::is_shared(object.class) { Oid::INVALID } else { view.database_oid() }
}

/// Removes what is recorded about an object that is being dropped: its dependencies, owner and comment.
/// With a whole object its columns' go too.
pub fn forget(view: &CatalogView<'_>, object: ObjectAddress) -> Result<()> {
    let concerned = |sub: i32| object.sub == 0 || sub == object.sub;
    let key = [oid_ref(object.class), oid_ref(object.object)];
    for found in view.scan_rows::<PgDepend>(PG_DEPEND_DEPENDER_INDEX, &[1, 2], &key)? {
        if concerned(found.row.objsubid) {
            found.delete(view)?;
        }
    }
    let shared_key = [oid_ref(database_of(view, object)), key[0], key[1]];
    for found in view.scan_rows::<PgShdepend>(PG_SHDEPEND_DEPENDER_INDEX, &[1, 2, 3], &shared_key)? {
        if concerned(found.row.objsubid) {
            found.delete(view)?;
        }
    }
    for found in view.scan_rows::<PgDescription>(PG_DESCRIPTION_INDEX, &[1, 2], &[key[1], key[0]])? {
        if concerned(found.row.objsubid) {
            found.delete(view)?;
        }
    }
    Ok(())
}

/// Removes the dependencies of an object on objects of one catalog:
/// `deleteDependencyRecordsForClass`.
pub fn forget_references(
    view: &CatalogView<'_>,
    object: ObjectAddress,
    class: Oid,
    kind: DependencyKind,
) -> Result<()> {
    let key = [oid_ref(object.class), oid_ref(object.object)];
    for found in view.scan_rows::<PgDepend>(PG_DEPEND_DEPENDER_INDEX, &[1, 2], &key)? {
        if found.row.refclassid == class && found.row.deptype == kind as u8 {
            found.delete(view)?;
        }
    }
    Ok(())
}

/// The rows of pg_depend that name an object as needed.
pub fn dependents_of(view: &CatalogView<'_>, object: ObjectAddress) -> Result<Vec<PgDepend>> {
    let key = [oid_ref(object.class), oid_ref(object.object), ValueRef::Int32(object.sub)];
    let used = if object.sub == 0 { 2 } else { 3 };
    let rows = view.scan_rows(PG_DEPEND_REFERENCE_INDEX, &[4, 5, 6][..used], &key[..used])?;
    Ok(rows.into_iter().map(|found| found.row).collect())
}

/// The rows of pg_depend that say what an object needs.
pub fn references_of(view: &CatalogView<'_>, object: ObjectAddress) -> Result<Vec<PgDepend>> {
    let key = [oid_ref(object.class), oid_ref(object.object), ValueRef::Int32(object.sub)];
    let used = if object.sub == 0 { 2 } else { 3 };
    let rows = view.scan_rows(PG_DEPEND_DEPENDER_INDEX, &[1, 2, 3][..used], &key[..used])?;
    Ok(rows.into_iter().map(|found| found.row).collect())
}

/// Names an object in a message, as `getObjectDescription` does. The caller's, for only the grammar knows
/// which names need quotes.
pub type Describe<'a> = &'a dyn Fn(ObjectAddress) -> Result<String>;

/// RESTRICT or CASCADE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behavior {
    Restrict,
    Cascade,
}

/// How an object came to be among those to be dropped: PostgreSQL's DEPFLAGs.
#[derive(Clone, Copy, Debug, Default)]
struct Reached {
    original: bool,
    normal: bool,
    /// Silently: an automatic or internal dependency.
    quietly: bool,
    /// Only part of an object that goes as a whole.
    part: bool,
}

impl Reached {
    fn add(&mut self, more: Reached) {
        self.original |= more.original;
        self.normal |= more.normal;
        self.quietly |= more.quietly;
        self.part |= more.part;
    }
}

struct Target {
    address: ObjectAddress,
    reached: Reached,
    /// What it was reached from.
    dependee: Option<ObjectAddress>,
}

struct Ancestor {
    address: ObjectAddress,
    reached: Reached,
}

/// Objects to be dropped, found and reported.
pub struct Deletion {
    /// In the order in which they are to be dropped.
    pub objects: Vec<ObjectAddress>,
    /// "drop cascades to ...".
    pub notice: Option<Error>,
}

/// At most so many dependent objects are named to the client.
const REPORTED_MAX: usize = 100;

impl Deletion {
    /// Finds and locks everything that must go with `originals`.
    ///
    /// # Errors
    /// 2BP01 if something stands in the way.
    pub fn plan(
        view: &CatalogView<'_>,
        originals: &[ObjectAddress],
        behavior: Behavior,
        describe: Describe<'_>,
    ) -> Result<Self> {
        let mut search = Search { view, describe, originals, targets: Vec::new(), ancestors: Vec::new() };
        for object in originals {
            lock(view, *object)?;
            search.find(*object, Reached { original: true, ..Reached::default() })?;
        }
        let notice = report(describe, &search.targets, originals, behavior)?;
        Ok(Self { objects: search.targets.into_iter().map(|target| target.address).collect(), notice })
    }
}

/// Locks an object that may be dropped: `AcquireDeletionLock`.
fn lock(view: &CatalogView<'_>, object: ObjectAddress) -> Result<()> {
    let (mode, policy) = (LockMode::AccessExclusive, WaitPolicy::Block);
    if object.class == class::RELATION {
        return view.lock_relation_oid(object.object, mode, policy).map(drop);
    }
    lock_object(view, object, mode)
}

/// Locks an object that is no relation until the transaction ends: `LockDatabaseObject`.
pub fn lock_object(view: &CatalogView<'_>, object: ObjectAddress, mode: LockMode) -> Result<()> {
    view.transaction.lock(object_tag(view, object), mode, WaitPolicy::Block).map(drop)
}

/// Gives back a lock of [`lock_object`] before the end of the transaction.
pub fn unlock_object(view: &CatalogView<'_>, object: ObjectAddress, mode: LockMode) {
    view.transaction.unlock(object_tag(view, object), mode);
}

fn object_tag(view: &CatalogView<'_>, object: ObjectAddress) -> LockTag {
    LockTag::Object {
        database: database_of(view, object),
        class: object.class,
        object: object.object,
        sub_object: 0,
    }
}

struct Search<'a> {
    view: &'a CatalogView<'a>,
    describe: Describe<'a>,
    originals: &'a [ObjectAddress],
    targets: Vec<Target>,
    /// The way from an original to the object in hand.
    ancestors: Vec<Ancestor>,
}

impl Search<'_> {
    /// `findDependentObjects`: appends the object to the targets, its dependents before it.
    fn find(&mut self, object: ObjectAddress, reached: Reached) -> Result<()> {
        kokkiri_primitives::stack::check_depth()?;
        if self.is_ancestor(object, reached) || self.is_target(object, reached) {
            return Ok(());
        }
        if object.is_pinned() {
            return Err(Error::new(
                SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                format!(
                    "cannot drop {} because it is required by the database system",
                    (self.describe)(object)?
                ),
            ));
        }
        if let Some(owner) = self.owning_object(object)? {
            lock(self.view, owner)?;
            return self.find(owner, Reached { quietly: false, normal: true, ..Reached::default() });
        }
        let mut dependents = Vec::new();
        for row in dependents_of(self.view, object)? {
            let other = ObjectAddress { class: row.classid, object: row.objid, sub: row.objsubid };
            if other.same_object(object) {
                continue;
            }
            lock(self.view, other)?;
            let still_there = references_of(self.view, other)?.contains(&row);
            if still_there {
                let quietly = row.deptype != DependencyKind::Normal as u8;
                dependents.push((other, Reached { normal: !quietly, quietly, ..Reached::default() }));
            }
        }
        // Newer objects first: mostly the right order anyway.
        dependents.sort_by_key(|(other, _)| (std::cmp::Reverse(other.object), other.class, other.sub as u32));
        self.ancestors.push(Ancestor { address: object, reached });
        for (other, reached) in dependents {
            self.find(other, reached)?;
        }
        let ancestor = self.ancestors.pop().expect("it was pushed above");
        let dependee = self.ancestors.last().map(|ancestor| ancestor.address);
        self.targets.push(Target { address: object, reached: ancestor.reached, dependee });
        Ok(())
    }

    /// The object whose implementation `object` is part of, if that is to be dropped in its place.
    ///
    /// # Errors
    /// 2BP01 if `object` itself was asked to be dropped.
    fn owning_object(&self, object: ObjectAddress) -> Result<Option<ObjectAddress>> {
        for row in references_of(self.view, object)? {
            let owner = ObjectAddress { class: row.refclassid, object: row.refobjid, sub: row.refobjsubid };
            let is_part = [DependencyKind::Internal, DependencyKind::Extension]
                .iter()
                .any(|kind| *kind as u8 == row.deptype);
            if !is_part || owner.same_object(object) {
                continue;
            }
            if self.ancestors.is_empty() {
                if self.originals.contains(&owner) {
                    // It will be reached through its owner.
                    return Ok(Some(owner));
                }
                let (described, owner) = ((self.describe)(object)?, (self.describe)(owner)?);
                return Err(Error::new(
                    SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                    format!("cannot drop {described} because {owner} requires it"),
                )
                .hint(format!("You can drop {owner} instead.")));
            }
            let includes = |ancestor: &Ancestor| {
                ancestor.address == owner || ancestor.address.same_object(owner) && ancestor.address.sub == 0
            };
            if !self.ancestors.iter().any(includes) {
                return Ok(Some(owner));
            }
        }
        Ok(None)
    }

    /// True if the object, or the whole it is part of, is being worked on already.
    fn is_ancestor(&mut self, object: ObjectAddress, reached: Reached) -> bool {
        let mut found = false;
        for ancestor in self.ancestors.iter_mut().rev() {
            if ancestor.address == object {
                ancestor.reached.add(reached);
                found = true;
            } else if ancestor.address.same_object(object) {
                if ancestor.address.sub == 0 {
                    found = true;
                } else if object.sub == 0 {
                    ancestor.reached.add(Reached { part: true, ..reached });
                }
            }
        }
        found
    }

    fn is_target(&mut self, object: ObjectAddress, reached: Reached) -> bool {
        let mut found = false;
        for target in &mut self.targets {
            if target.address == object {
                target.reached.add(reached);
                found = true;
            } else if target.address.same_object(object) {
                if target.address.sub == 0 {
                    found = true;
                } else if object.sub == 0 {
                    target.reached.add(Reached { part: true, ..reached });
                }
            }
        }
        found
    }
}

/// `reportDependentObjects`.
fn report(
    describe: Describe<'_>,
    targets: &[Target],
    originals: &[ObjectAddress],
    behavior: Behavior,
) -> Result<Option<Error>> {
    let concerned: Vec<&Target> = targets
        .iter()
        .rev()
        .filter(|target| {
            let Reached { original, quietly, part, .. } = target.reached;
            !original && !quietly && !part
        })
        .collect();
    if concerned.is_empty() {
        return Ok(None);
    }
    let mut lines = Vec::new();
    for target in concerned.iter().take(REPORTED_MAX) {
        let described = describe(target.address)?;
        lines.push(match (behavior, target.dependee) {
            (Behavior::Restrict, Some(dependee)) => {
                format!("{described} depends on {}", describe(dependee)?)
            }
            _ => format!("drop cascades to {described}"),
        });
    }
    let unnamed = concerned.len().saturating_sub(REPORTED_MAX);
    let count = lines.len() + unnamed;
    if unnamed > 0 {
        let objects = if unnamed == 1 { "object" } else { "objects" };
        lines.push(format!("and {unnamed} other {objects} (see server log for list)"));
    }
    if behavior == Behavior::Restrict {
        let message = match originals {
            [object] => {
                format!("cannot drop {} because other objects depend on it", describe(*object)?)
            }
            _ => "cannot drop desired object(s) because other objects depend on them".to_owned(),
        };
        return Err(Error::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
            .detail(lines.join("\n"))
            .hint("Use DROP ... CASCADE to drop the dependent objects too."));
    }
    Ok(Some(if count == 1 {
        Error::notice(lines.remove(0))
    } else {
        Error::notice(format!("drop cascades to {count} other objects")).detail(lines.join("\n"))
    }))
}

impl CatalogView<'_> {
    /// Rows of a catalog that no lookup is cached for, to be read fresh and perhaps changed.
    pub fn scan_rows<R: CatalogRow>(
        &self,
        index: Oid,
        columns: &[i16],
        key: &[ValueRef<'_>],
    ) -> Result<Vec<crate::write::RowToChange<R>>> {
        let found = self.scan(R::CATALOG, index, columns, key)?;
        found
            .into_iter()
            .map(|(tid, values)| Ok(crate::write::RowToChange { tid, row: R::from_values(&values)?, values }))
            .collect()
    }
}
