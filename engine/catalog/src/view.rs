//! Looking things up: the catalog as one statement of one session sees it.
//!
//! Realises: lsyscache.c, namespace.c's lookups, and the relcache as callers know it. A [`CatalogView`]
//! is made for a statement and borrows what it needs: the shared cache, the session's overlay and the
//! running transaction. Every answer is an entry behind an `Arc`, good for as long as its holder keeps
//! the locks that PostgreSQL would keep.
//!
//! Invariant: a name is resolved under the lock it needs ([`CatalogView::lock_relation`]) or not at all,
//! so that between look-up and lock nobody drops and recreates the thing.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::sync::Arc;

use kokkiri_primitives::settings::Settings;
use kokkiri_primitives::{Error, Oid, Result, SqlState};
use kokkiri_transaction::{Cluster, LockMode, LockOutcome, LockTag, Transaction, WaitPolicy};
use kokkiri_types::{Value, ValueRef};

use crate::cache::{Cache, Question, Stale};
use crate::database::{Catalog, DatabaseState};
use crate::entries::*;
use crate::lookup::{Key, Lookup};
use crate::overlay::Overlay;
use crate::row::{CatalogRow, Name};
use crate::rows::*;
use crate::search_path::KnownPath;
use crate::shapes;

/// What a session keeps about catalogs between statements.
pub struct CatalogSession {
    pub catalog: Arc<Catalog>,
    pub database: Arc<DatabaseState>,
    pub(crate) overlay: RefCell<Overlay>,
    pub(crate) path: KnownPath,
    /// The session's pg_temp_N and pg_toast_temp_N, once it has made a temporary object.
    temp_namespace: Cell<Option<(Oid, Oid)>>,
    /// Temporary tables that are emptied or dropped when a transaction commits.
    on_commit: RefCell<Vec<(Oid, OnCommitAction)>>,
    /// The role that logged in, and the one that SET SESSION AUTHORIZATION has put in its place.
    authenticated_role: Cell<Oid>,
    session_role: Cell<Oid>,
}

/// What ON COMMIT says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnCommitAction {
    DeleteRows,
    Drop,
}

impl CatalogSession {
    pub fn new(catalog: Arc<Catalog>, database: Arc<DatabaseState>) -> Self {
        Self {
            catalog,
            database,
            overlay: RefCell::default(),
            path: KnownPath::default(),
            temp_namespace: Cell::new(None),
            on_commit: RefCell::default(),
            authenticated_role: Cell::new(Oid::INVALID),
            session_role: Cell::new(Oid::INVALID),
        }
    }

    /// A role has logged in.
    pub fn set_authenticated_role(&self, role: Oid) {
        self.authenticated_role.set(role);
        self.session_role.set(role);
    }

    pub fn authenticated_role(&self) -> Oid {
        self.authenticated_role.get()
    }

    pub fn session_role(&self) -> Oid {
        self.session_role.get()
    }

    pub fn set_session_role(&self, role: Oid) {
        self.session_role.set(role);
    }

    pub fn temp_namespace(&self) -> Option<Oid> {
        self.temp_namespace.get().map(|(namespace, _)| namespace)
    }

    pub fn temp_toast_namespace(&self) -> Option<Oid> {
        self.temp_namespace.get().map(|(_, toast)| toast)
    }

    pub fn set_temp_namespace(&self, namespaces: Option<(Oid, Oid)>) {
        self.temp_namespace.set(namespaces);
    }

    /// The tables that a commit empties or drops.
    pub fn on_commit(&self) -> &RefCell<Vec<(Oid, OnCommitAction)>> {
        &self.on_commit
    }

    /// New rows have become visible to the session's own snapshots.
    pub fn command_ended(&self) {
        self.overlay.borrow_mut().forget_answers();
    }

    /// A subtransaction has aborted: what is left of the transaction's changes are its pending messages.
    pub fn sub_transaction_aborted(&self, transaction: &Transaction) {
        let pending = transaction.pending_invalidations();
        let changes = pending.iter().filter_map(Stale::from_message).map(|(_, stale)| stale);
        self.overlay.borrow_mut().reset(changes);
    }

    /// The transaction has ended, and if it has committed, its changes have been delivered.
    pub fn transaction_ended(&self) {
        self.overlay.borrow_mut().reset([]);
    }

    /// True if the running transaction has changed the catalogs.
    pub fn has_changes(&self) -> bool {
        !self.overlay.borrow().is_empty()
    }
}

/// The catalog as a statement sees it.
#[derive(Clone, Copy)]
pub struct CatalogView<'a> {
    pub session: &'a CatalogSession,
    pub transaction: &'a Transaction,
    pub settings: &'a Settings,
    /// The role whose privileges count.
    pub role: Oid,
}

/// What [`CatalogView::lock_relation`] found.
pub enum LockedRelation {
    Found(Arc<RelationEntry>),
    Missing,
    /// Somebody else holds a conflicting lock and the caller would not wait.
    NotAvailable,
}

impl<'a> CatalogView<'a> {
    pub fn cluster(&self) -> &'a Arc<Cluster> {
        self.session.catalog.cluster()
    }

    pub fn database_oid(&self) -> Oid {
        self.session.database.oid()
    }

    pub(crate) fn cache_of(&self, catalog: Oid) -> &'a Cache {
        if shapes::is_shared(catalog) {
            self.session.catalog.shared_cache()
        } else {
            self.session.database.cache()
        }
    }

    /// Answers a question from the overlay or the cache, or by `load`.
    pub(crate) fn answer<T: Any + Send + Sync>(
        &self,
        cache: &Cache,
        question: Question,
        load: impl FnOnce() -> Result<T>,
    ) -> Result<Arc<T>> {
        let downcast = |answer: crate::cache::Answer| {
            answer.downcast::<T>().map_err(|_| Error::internal("a cached catalog answer is of another type"))
        };
        let own = self.session.overlay.borrow().concerns(&question);
        if own {
            if let Some(answer) = self.session.overlay.borrow().get(&question) {
                return downcast(answer);
            }
            let answer = Arc::new(load()?);
            self.session.overlay.borrow_mut().put(question, answer.clone());
            return Ok(answer);
        }
        if let Some(answer) = cache.get(&question) {
            return downcast(answer);
        }
        let version = cache.version();
        let answer = Arc::new(load()?);
        cache.put(question, answer.clone(), version);
        Ok(answer)
    }

    /// The rows that a lookup finds, as structs.
    pub fn rows<R: CatalogRow + Send + Sync + 'static>(
        &self,
        lookup: Lookup,
        key: &[ValueRef<'_>],
    ) -> Result<Arc<Vec<R>>> {
        debug_assert_eq!(R::CATALOG, lookup.catalog());
        let question = Question::Rows(lookup, Key::new(key.iter().copied()));
        self.answer(self.cache_of(lookup.catalog()), question, || {
            let rows = self.scan(lookup.catalog(), lookup.index(), lookup.columns(), key)?;
            rows.into_iter().map(|(_, values)| R::from_values(&values)).collect()
        })
    }

    fn row<R: CatalogRow + Clone + Send + Sync + 'static>(
        &self,
        lookup: Lookup,
        key: &[ValueRef<'_>],
    ) -> Result<Option<R>> {
        Ok(self.rows::<R>(lookup, key)?.first().cloned())
    }

    /// The answer to a lookup, put together from its first row once and then shared.
    fn entry<R, E>(
        &self,
        lookup: Lookup,
        key: &[ValueRef<'_>],
        build: impl FnOnce(R) -> Result<E>,
    ) -> Result<Option<Arc<E>>>
    where
        R: CatalogRow,
        E: Send + Sync + 'static,
    {
        let question = Question::Rows(lookup, Key::new(key.iter().copied()));
        let answer = self.answer(self.cache_of(lookup.catalog()), question, || {
            let rows = self.scan(lookup.catalog(), lookup.index(), lookup.columns(), key)?;
            match rows.into_iter().next() {
                Some((_, values)) => Ok(Some(Arc::new(build(R::from_values(&values)?)?))),
                None => Ok(None::<Arc<E>>),
            }
        })?;
        Ok((*answer).clone())
    }

    // Relations.

    /// Schema and name of a relation, which need not be locked for that.
    pub fn relation_name(&self, relation: Oid) -> Result<Option<(Oid, Name)>> {
        let rows = self.rows::<PgClass>(Lookup::RelationByOid, &[oid_ref(relation)])?;
        Ok(rows.first().map(|row| (row.relnamespace, Name::clone(&row.relname))))
    }

    /// The oid of the relation called `name` in `namespace`.
    pub fn relation_oid(&self, namespace: Oid, name: &str) -> Result<Option<Oid>> {
        let rows = self.rows::<PgClass>(
            Lookup::RelationByName,
            &[ValueRef::Bytes(name.as_bytes()), oid_ref(namespace)],
        )?;
        Ok(rows.first().map(|row| row.oid))
    }

    /// Resolves a possibly qualified relation name along the search path, without locking.
    ///
    /// # Errors
    /// 42501 without USAGE on the schema.
    pub fn find_relation(&self, schema: Option<&str>, name: &str) -> Result<Option<Oid>> {
        match schema {
            Some(schema) => {
                // A schema that does not exist has no such relation.
                if schema != "pg_temp" && self.namespace_by_name(schema)?.is_none() {
                    return Ok(None);
                }
                match self.namespace_for_lookup(schema)? {
                    Some(namespace) => self.relation_oid(namespace, name),
                    None => Ok(None),
                }
            }
            None => {
                for namespace in self.search_path()?.iter().copied() {
                    if let Some(oid) = self.relation_oid(namespace, name)? {
                        return Ok(Some(oid));
                    }
                }
                Ok(None)
            }
        }
    }

    /// Resolves a relation name and locks what it names, again if the name came to mean something else
    /// while waiting: PostgreSQL's `RangeVarGetRelidExtended`.
    pub fn lock_relation(
        &self,
        schema: Option<&str>,
        name: &str,
        mode: LockMode,
        policy: WaitPolicy,
    ) -> Result<LockedRelation> {
        loop {
            let Some(oid) = self.find_relation(schema, name)? else { return Ok(LockedRelation::Missing) };
            let outcome = self.lock_relation_oid(oid, mode, policy)?;
            if outcome == LockOutcome::NotAvailable {
                return Ok(LockedRelation::NotAvailable);
            }
            if self.find_relation(schema, name)? == Some(oid)
                && let Some(entry) = self.relation(oid)?
            {
                return Ok(LockedRelation::Found(entry));
            }
        }
    }

    /// Takes a lock on a relation for the rest of the transaction.
    pub fn lock_relation_oid(&self, oid: Oid, mode: LockMode, policy: WaitPolicy) -> Result<LockOutcome> {
        let database = if shapes::is_shared(oid) { Oid::INVALID } else { self.database_oid() };
        self.transaction.lock(LockTag::relation(database, oid), mode, policy)
    }

    /// A relation with all that hangs on it. The caller holds a lock on it.
    pub fn relation(&self, oid: Oid) -> Result<Option<Arc<RelationEntry>>> {
        let cache = self.cache_of(oid);
        let answer = self.answer(cache, Question::Relation(oid), || self.load_relation(oid))?;
        Ok((*answer).clone())
    }

    /// [`CatalogView::relation`] for one that must exist: it was found and locked before.
    pub fn expect_relation(&self, oid: Oid) -> Result<Arc<RelationEntry>> {
        self.relation(oid)?.ok_or_else(|| {
            Error::new(SqlState::UNDEFINED_TABLE, format!("could not open relation with OID {oid}"))
        })
    }

    /// True for a temporary relation of another session: `RELATION_IS_OTHER_TEMP`.
    pub fn is_others_temporary(&self, entry: &RelationEntry) -> bool {
        let own = [self.session.temp_namespace(), self.session.temp_toast_namespace()];
        entry.relation.is_temporary() && !own.contains(&Some(entry.namespace))
    }

    // Types.

    pub fn type_entry(&self, oid: Oid) -> Result<Option<Arc<TypeEntry>>> {
        self.entry(Lookup::TypeByOid, &[oid_ref(oid)], crate::convert::type_entry)
    }

    /// A type that must exist: its oid came from the catalogs.
    ///
    /// # Errors
    /// 42704 "type with OID n does not exist".
    pub fn expect_type(&self, oid: Oid) -> Result<Arc<TypeEntry>> {
        self.type_entry(oid)?.ok_or_else(|| {
            Error::new(SqlState::UNDEFINED_OBJECT, format!("type with OID {oid} does not exist"))
        })
    }

    /// A possibly qualified type name, resolved along the search path.
    pub fn type_by_name(&self, schema: Option<&str>, name: &str) -> Result<Option<Arc<TypeEntry>>> {
        let namespaces = self.namespaces_for_lookup(schema)?;
        for namespace in namespaces.iter().copied() {
            let key = [ValueRef::Bytes(name.as_bytes()), oid_ref(namespace)];
            if let Some(row) = self.rows::<PgType>(Lookup::TypeByName, &key)?.first() {
                return self.type_entry(row.oid);
            }
        }
        Ok(None)
    }

    // Functions.

    pub fn function(&self, oid: Oid) -> Result<Option<Arc<FunctionEntry>>> {
        self.entry(Lookup::FunctionByOid, &[oid_ref(oid)], crate::convert::function_entry)
    }

    /// Every function of that name, in any schema.
    fn functions_called(&self, name: &str) -> Result<Arc<Vec<Arc<FunctionEntry>>>> {
        let key = [ValueRef::Bytes(name.as_bytes())];
        let question = Question::Rows(Lookup::FunctionByName, Key::new(key));
        self.answer(self.session.database.cache(), question, || {
            let rows = self.scan(Oid(1255), Lookup::FunctionByName.index(), &[2], &key)?;
            rows.into_iter()
                .map(|(_, v)| Ok(Arc::new(crate::convert::function_entry(PgProc::from_values(&v)?)?)))
                .collect()
        })
    }

    /// The functions that a call may mean: those of the schema, or of all schemas on the search path.
    /// Each comes with its schema's place on the path (0 if the name was qualified): of two with the
    /// same arguments the one that stands earlier hides the other.
    pub fn functions_by_name(
        &self,
        schema: Option<&str>,
        name: &str,
    ) -> Result<Vec<(usize, Arc<FunctionEntry>)>> {
        let functions = self.functions_called(name)?;
        let path = self.namespaces_without_temp(schema)?;
        let mut found: Vec<_> = functions
            .iter()
            .filter_map(|f| {
                Some((path.iter().position(|namespace| *namespace == f.namespace)?, Arc::clone(f)))
            })
            .collect();
        found.sort_by_key(|(place, function)| (*place, function.oid));
        Ok(found)
    }

    pub fn aggregate(&self, function: Oid) -> Result<Option<Arc<AggregateEntry>>> {
        self.entry(Lookup::AggregateByFunction, &[oid_ref(function)], crate::convert::aggregate_entry)
    }

    // Operators and casts.

    pub fn operator(&self, oid: Oid) -> Result<Option<Arc<OperatorEntry>>> {
        self.entry(Lookup::OperatorByOid, &[oid_ref(oid)], crate::convert::operator_entry)
    }

    /// Every operator of that name, in any schema.
    fn operators_called(&self, name: &str) -> Result<Arc<Vec<Arc<OperatorEntry>>>> {
        let key = [ValueRef::Bytes(name.as_bytes())];
        let question = Question::Rows(Lookup::OperatorByName, Key::new(key));
        self.answer(self.session.database.cache(), question, || {
            let rows = self.scan(Oid(2617), Lookup::OperatorByName.index(), &[2], &key)?;
            rows.into_iter()
                .map(|(_, v)| Ok(Arc::new(crate::convert::operator_entry(PgOperator::from_values(&v)?)?)))
                .collect()
        })
    }

    /// The operators that an expression may mean, with their schemas' places on the search path as in
    /// [`CatalogView::functions_by_name`].
    pub fn operators_by_name(
        &self,
        schema: Option<&str>,
        name: &str,
    ) -> Result<Vec<(usize, Arc<OperatorEntry>)>> {
        let operators = self.operators_called(name)?;
        let path = self.namespaces_without_temp(schema)?;
        let mut found: Vec<_> = operators
            .iter()
            .filter_map(|o| {
                Some((path.iter().position(|namespace| *namespace == o.namespace)?, Arc::clone(o)))
            })
            .collect();
        found.sort_by_key(|(place, operator)| (*place, operator.oid));
        Ok(found)
    }

    /// The operator for exactly these operands, the first along the search path: `OpernameGetOprid`.
    pub fn operator_for(
        &self,
        schema: Option<&str>,
        name: &str,
        left: Option<Oid>,
        right: Oid,
    ) -> Result<Option<Arc<OperatorEntry>>> {
        let operators = self.operators_called(name)?;
        let path = self.namespaces_without_temp(schema)?;
        let place = |operator: &OperatorEntry| path.iter().position(|it| *it == operator.namespace);
        let first = operators
            .iter()
            .filter(|operator| operator.right == right && operator.left == left)
            .filter_map(|operator| Some((place(operator)?, operator)))
            .min_by_key(|(place, _)| *place);
        Ok(first.map(|(_, operator)| Arc::clone(operator)))
    }

    pub fn cast(&self, source: Oid, target: Oid) -> Result<Option<Arc<CastEntry>>> {
        self.entry(Lookup::CastByTypes, &[oid_ref(source), oid_ref(target)], crate::convert::cast_entry)
    }

    // Operator classes and families.

    pub fn opclass(&self, oid: Oid) -> Result<Option<Arc<OpclassEntry>>> {
        self.entry(Lookup::OpclassByOid, &[oid_ref(oid)], crate::convert::opclass_entry)
    }

    /// The operator classes of an access method.
    pub fn opclasses(&self, method: Oid) -> Result<Arc<Vec<PgOpclass>>> {
        self.rows(Lookup::OpclassByMethod, &[oid_ref(method)])
    }

    /// The families an operator belongs to, with its strategy in each.
    pub fn families_of_operator(&self, operator: Oid) -> Result<Arc<Vec<PgAmop>>> {
        self.rows(Lookup::AmopByOperator, &[oid_ref(operator)])
    }

    /// The operators of a family.
    pub fn family_operators(&self, family: Oid) -> Result<Arc<Vec<PgAmop>>> {
        self.rows(Lookup::AmopByFamily, &[oid_ref(family)])
    }

    /// The operator of a family for a strategy and a pair of types.
    pub fn family_operator(&self, family: Oid, left: Oid, right: Oid, strategy: i16) -> Result<Option<Oid>> {
        let operators = self.family_operators(family)?;
        let same = |row: &&PgAmop| {
            row.amoplefttype == left && row.amoprighttype == right && row.amopstrategy == strategy
        };
        Ok(operators.iter().find(same).map(|row| row.amopopr))
    }

    /// The support function of a family for a number and a pair of types.
    pub fn family_function(&self, family: Oid, left: Oid, right: Oid, number: i16) -> Result<Option<Oid>> {
        let functions = self.rows::<PgAmproc>(Lookup::AmprocByFamily, &[oid_ref(family)])?;
        let same = |row: &&PgAmproc| {
            row.amproclefttype == left && row.amprocrighttype == right && row.amprocnum == number
        };
        Ok(functions.iter().find(same).map(|row| row.amproc))
    }

    // Names of other kinds.

    pub fn collation(&self, oid: Oid) -> Result<Option<Arc<CollationEntry>>> {
        self.entry(Lookup::CollationByOid, &[oid_ref(oid)], crate::convert::collation_entry)
    }

    /// A collation by name, for the database's encoding or any.
    pub fn collation_by_name(&self, schema: Option<&str>, name: &str) -> Result<Option<Arc<CollationEntry>>> {
        let rows = self.rows::<PgCollation>(Lookup::CollationByName, &[ValueRef::Bytes(name.as_bytes())])?;
        let path = self.namespaces_for_lookup(schema)?;
        let usable = |row: &&PgCollation| row.collencoding == -1 || row.collencoding == UTF8;
        for namespace in path.iter().copied() {
            if let Some(row) = rows.iter().filter(usable).find(|row| row.collnamespace == namespace) {
                return self.collation(row.oid);
            }
        }
        Ok(None)
    }

    pub fn namespace(&self, oid: Oid) -> Result<Option<Arc<NamespaceEntry>>> {
        self.entry(Lookup::NamespaceByOid, &[oid_ref(oid)], crate::convert::namespace_entry)
    }

    pub fn namespace_by_name(&self, name: &str) -> Result<Option<Arc<NamespaceEntry>>> {
        let rows = self.rows::<PgNamespace>(Lookup::NamespaceByName, &[ValueRef::Bytes(name.as_bytes())])?;
        match rows.first() {
            Some(row) => self.namespace(row.oid),
            None => Ok(None),
        }
    }

    pub fn role(&self, oid: Oid) -> Result<Option<Arc<RoleEntry>>> {
        self.entry(Lookup::RoleByOid, &[oid_ref(oid)], crate::convert::role_entry)
    }

    pub fn role_by_name(&self, name: &str) -> Result<Option<Arc<RoleEntry>>> {
        let rows = self.rows::<PgAuthid>(Lookup::RoleByName, &[ValueRef::Bytes(name.as_bytes())])?;
        match rows.first() {
            Some(row) => self.role(row.oid),
            None => Ok(None),
        }
    }

    pub fn database(&self, oid: Oid) -> Result<Option<Arc<DatabaseEntry>>> {
        self.entry(Lookup::DatabaseByOid, &[oid_ref(oid)], crate::convert::database_entry)
    }

    pub fn database_by_name(&self, name: &str) -> Result<Option<Arc<DatabaseEntry>>> {
        let rows = self.rows::<PgDatabase>(Lookup::DatabaseByName, &[ValueRef::Bytes(name.as_bytes())])?;
        match rows.first() {
            Some(row) => self.database(row.oid),
            None => Ok(None),
        }
    }

    pub fn tablespace(&self, oid: Oid) -> Result<Option<PgTablespace>> {
        self.row(Lookup::TablespaceByOid, &[oid_ref(oid)])
    }

    pub fn tablespace_by_name(&self, name: &str) -> Result<Option<PgTablespace>> {
        self.row(Lookup::TablespaceByName, &[ValueRef::Bytes(name.as_bytes())])
    }

    pub fn sequence(&self, relation: Oid) -> Result<Option<PgSequence>> {
        self.row(Lookup::SequenceByRelation, &[oid_ref(relation)])
    }

    pub fn statistics(&self, relation: Oid, attribute: i16) -> Result<Option<Arc<StatisticEntry>>> {
        let key = [oid_ref(relation), ValueRef::Int16(attribute)];
        self.entry(Lookup::StatisticByColumn, &key, crate::convert::statistic_entry)
    }

    // Name spaces.

    /// The schema of a qualified name, `pg_temp` being the session's own.
    ///
    /// # Errors
    /// 3F000 if there is none of that name; 42501 without USAGE on it.
    pub fn namespace_for_lookup(&self, name: &str) -> Result<Option<Oid>> {
        if name == "pg_temp" {
            return Ok(self.session.temp_namespace());
        }
        match self.namespace_by_name(name)? {
            Some(namespace) => {
                self.check_schema_usage(&namespace)?;
                Ok(Some(namespace.oid))
            }
            None => {
                Err(Error::new(SqlState::INVALID_SCHEMA_NAME, format!("schema \"{name}\" does not exist")))
            }
        }
    }

    /// True if an unqualified `name` finds this relation: what `pg_table_is_visible` asks.
    pub fn relation_is_visible(&self, relation: Oid, name: &str) -> Result<bool> {
        Ok(self.find_relation(None, name)? == Some(relation))
    }

    /// Notes that the running transaction has made answers stale.
    pub fn mark_stale(&self, shared: bool, stale: Stale) {
        let database = if shared { Oid::INVALID } else { self.database_oid() };
        self.transaction.add_invalidation(stale.to_message(database));
        self.session.overlay.borrow_mut().add(stale);
    }
}

/// Oid of the schema pg_catalog.
pub const PG_CATALOG: Oid = Oid(11);
/// Oid of the schema pg_toast.
pub const PG_TOAST: Oid = Oid(99);
/// Oid of the schema public.
pub const PUBLIC: Oid = Oid(2200);
/// The number of UTF8 among PostgreSQL's encodings.
pub const UTF8: i32 = 6;

pub(crate) fn oid_ref(oid: Oid) -> ValueRef<'static> {
    ValueRef::Int32(oid.0 as i32)
}

/// A row's values where a lookup wants references.
pub(crate) fn refs(values: &[Value]) -> Vec<ValueRef<'_>> {
    values.iter().map(Value::as_ref).collect()
}
