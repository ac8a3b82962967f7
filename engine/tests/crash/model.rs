//! What the databases must show: the model that runs beside them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;

/// The values of a row after its id, in text form.
pub type Row = Vec<Option<Arc<str>>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Int,
    /// What an [`Kind::Int`] can be turned into: every row is written anew.
    Big,
    /// Short enough for an index.
    Short,
    /// May be long enough for TOAST.
    Long,
}

impl Kind {
    pub fn sql(self) -> &'static str {
        match self {
            Kind::Int => "integer",
            Kind::Big => "bigint",
            Kind::Short => "character varying(60)",
            Kind::Long => "text",
        }
    }

    pub fn named(sql: &str) -> Option<Self> {
        [Kind::Int, Kind::Big, Kind::Short, Kind::Long].into_iter().find(|kind| kind.sql() == sql)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub kind: Kind,
}

/// A table whose first column is `id bigint`, by which its rows are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// After `id`.
    pub columns: Vec<Column>,
    pub rows: BTreeMap<i64, Row>,
    /// Indexes and the columns they are on, the primary key's among them.
    pub indexes: BTreeMap<String, String>,
    pub constraints: BTreeSet<String>,
    /// Roles that may read it.
    pub readers: BTreeSet<String>,
    pub unlogged: bool,
}

impl Table {
    pub fn position(&self, column: &str) -> usize {
        self.columns.iter().position(|known| known.name == column).expect("a column of the table")
    }
}

/// A change of the contents, by the transaction that makes it. Tables, sequences and views are named with
/// their schema.
#[derive(Clone, Debug)]
pub enum Change {
    CreateSchema(String),
    DropSchema(String),
    CreateTable(String, Table),
    DropTable(String),
    RenameTable(String, String),
    AddColumn(String, Column, Option<Arc<str>>),
    DropColumn(String, String),
    RenameColumn(String, String, String),
    Retype(String, String, Kind),
    AddIndex(String, String, String),
    DropIndex(String, String),
    AddConstraint(String, String),
    DropConstraint(String, String),
    Grant(String, String),
    Revoke(String, String),
    Truncate(String),
    Put(String, i64, Row),
    Remove(String, i64),
    CreateView(String, String),
    DropView(String),
    CreateSequence(String),
    DropSequence(String),
    /// A value taken from a sequence.
    Taken(String, i64),
    CreateRole(String),
    DropRole(String),
    CreateDatabase(String),
    DropDatabase(String),
}

/// The contents of a cluster.
#[derive(Clone, Debug, Default)]
pub struct State {
    pub schemas: BTreeSet<String>,
    pub tables: BTreeMap<String, Arc<Table>>,
    /// Views and the tables they read.
    pub views: BTreeMap<String, String>,
    /// Sequences and the largest value taken from each.
    pub sequences: BTreeMap<String, i64>,
    pub roles: BTreeSet<String>,
    pub databases: BTreeSet<String>,
}

fn schema_of(name: &str) -> &str {
    name.split_once('.').expect("a qualified name").0
}

impl State {
    fn table(&mut self, name: &str) -> &mut Table {
        Arc::make_mut(self.tables.get_mut(name).unwrap_or_else(|| panic!("no table {name} in the model")))
    }

    pub fn apply(&mut self, change: &Change) {
        match change.clone() {
            Change::CreateSchema(name) => {
                self.schemas.insert(name);
            }
            Change::DropSchema(name) => {
                self.tables.retain(|table, _| schema_of(table) != name);
                self.sequences.retain(|sequence, _| schema_of(sequence) != name);
                let tables = &self.tables;
                self.views.retain(|view, of| schema_of(view) != name && tables.contains_key(of));
                self.schemas.remove(&name);
            }
            Change::CreateTable(name, table) => {
                self.tables.insert(name, Arc::new(table));
            }
            Change::DropTable(name) => {
                self.tables.remove(&name);
                self.views.retain(|_, of| *of != name);
            }
            Change::RenameTable(from, to) => {
                let table = self.tables.remove(&from).expect("a table of the model");
                self.tables.insert(to.clone(), table);
                self.views.values_mut().filter(|of| **of == from).for_each(|of| to.clone_into(of));
            }
            Change::AddColumn(name, column, default) => {
                let table = self.table(&name);
                table.columns.push(column);
                table.rows.values_mut().for_each(|row| row.push(default.clone()));
            }
            Change::DropColumn(name, column) => {
                let table = self.table(&name);
                let at = table.position(&column);
                table.columns.remove(at);
                table.indexes.retain(|_, of| *of != column);
                table.rows.values_mut().for_each(|row| drop(row.remove(at)));
            }
            Change::RenameColumn(name, from, to) => {
                let table = self.table(&name);
                let at = table.position(&from);
                table.columns[at].name.clone_from(&to);
                table.indexes.values_mut().filter(|of| **of == from).for_each(|of| to.clone_into(of));
            }
            Change::Retype(name, column, kind) => {
                let table = self.table(&name);
                let at = table.position(&column);
                table.columns[at].kind = kind;
            }
            Change::AddIndex(name, index, column) => {
                self.table(&name).indexes.insert(index, column);
            }
            Change::DropIndex(name, index) => {
                self.table(&name).indexes.remove(&index);
            }
            Change::AddConstraint(name, constraint) => {
                self.table(&name).constraints.insert(constraint);
            }
            Change::DropConstraint(name, constraint) => {
                let table = self.table(&name);
                table.constraints.remove(&constraint);
                table.indexes.remove(&constraint);
            }
            Change::Grant(name, role) => {
                self.table(&name).readers.insert(role);
            }
            Change::Revoke(name, role) => {
                self.table(&name).readers.remove(&role);
            }
            Change::Truncate(name) => self.table(&name).rows.clear(),
            Change::Put(name, id, row) => {
                self.table(&name).rows.insert(id, row);
            }
            Change::Remove(name, id) => {
                self.table(&name).rows.remove(&id);
            }
            Change::CreateView(name, of) => {
                self.views.insert(name, of);
            }
            Change::DropView(name) => {
                self.views.remove(&name);
            }
            Change::CreateSequence(name) => {
                self.sequences.insert(name, 0);
            }
            Change::DropSequence(name) => {
                self.sequences.remove(&name);
            }
            Change::Taken(name, value) => {
                let taken = self.sequences.get_mut(&name).expect("a sequence of the model");
                *taken = value.max(*taken);
            }
            Change::CreateRole(name) => {
                self.roles.insert(name);
            }
            Change::DropRole(name) => {
                self.roles.remove(&name);
            }
            Change::CreateDatabase(name) => {
                self.databases.insert(name);
            }
            Change::DropDatabase(name) => {
                self.databases.remove(&name);
            }
        }
    }

    /// What a crash leaves of it: unlogged tables are empty.
    pub fn after_crash(mut self) -> Self {
        for table in self.tables.values_mut().filter(|table| table.unlogged) {
            Arc::make_mut(table).rows.clear();
        }
        self
    }

    /// The first difference to what is `found`; sequences may be ahead.
    pub fn difference(&self, found: &State) -> Option<String> {
        differ("schemas", &self.schemas, &found.schemas)
            .or_else(|| differ("roles", &self.roles, &found.roles))
            .or_else(|| differ("databases", &self.databases, &found.databases))
            .or_else(|| differ("views", &self.views, &found.views))
            .or_else(|| {
                let names = |state: &State| state.tables.keys().cloned().collect::<Vec<_>>();
                differ("tables", &names(self), &names(found))
            })
            .or_else(|| {
                let names = |state: &State| state.sequences.keys().cloned().collect::<Vec<_>>();
                differ("sequences", &names(self), &names(found))
            })
            .or_else(|| {
                let mut behind =
                    self.sequences.iter().filter(|(name, taken)| found.sequences[*name] < **taken);
                behind.next().map(|(name, taken)| {
                    format!("{name} has given out {taken} and is at {} now", found.sequences[name])
                })
            })
            .or_else(|| {
                let mut tables = self.tables.iter().zip(found.tables.values());
                tables.find_map(|((name, expected), found)| table_difference(name, expected, found))
            })
    }
}

fn differ<T: PartialEq + Debug>(what: &str, expected: &T, found: &T) -> Option<String> {
    (expected != found).then(|| format!("{what}: expected {expected:?}, found {found:?}"))
}

fn table_difference(name: &str, expected: &Table, found: &Table) -> Option<String> {
    differ("columns", &expected.columns, &found.columns)
        .or_else(|| differ("indexes", &expected.indexes, &found.indexes))
        .or_else(|| differ("constraints", &expected.constraints, &found.constraints))
        .or_else(|| differ("readers", &expected.readers, &found.readers))
        .or_else(|| differ("unlogged", &expected.unlogged, &found.unlogged))
        .or_else(|| row_difference(&expected.rows, &found.rows))
        .map(|difference| format!("{name}: {difference}"))
}

fn row_difference(expected: &BTreeMap<i64, Row>, found: &BTreeMap<i64, Row>) -> Option<String> {
    let ids: BTreeSet<_> = expected.keys().chain(found.keys()).collect();
    let wrong: Vec<_> = ids.into_iter().filter(|id| expected.get(id) != found.get(id)).collect();
    let id = *wrong.first()?;
    let short = |row: Option<&Row>| {
        let value = |value: &Option<Arc<str>>| match value {
            Some(text) => format!("{:.30} ({})", text, text.len()),
            None => "null".to_owned(),
        };
        row.map(|row| row.iter().map(value).collect::<Vec<_>>())
    };
    Some(format!(
        "{} of {} rows are wrong; row {id}: expected {:?}, found {:?}",
        wrong.len(),
        expected.len(),
        short(expected.get(id)),
        short(found.get(id))
    ))
}

/// A commit of which the client knows.
#[derive(Clone, Debug)]
pub struct Commit {
    /// The disk's operations before the statement that committed, and after its answer.
    pub before: u64,
    pub after: u64,
    /// The answer came only when the commit was durable.
    pub synchronous: bool,
    /// Relation files and databases that there were after it.
    pub files: Arc<BTreeSet<u32>>,
    pub databases: Arc<BTreeSet<u32>>,
}

/// What a run did from a known state on.
#[derive(Clone, Debug, Default)]
pub struct History {
    pub commits: Vec<Commit>,
    /// One more than commits: the state before each, and after the last.
    pub states: Vec<State>,
    /// Files and databases that were known when it began.
    pub files: BTreeSet<u32>,
    pub databases: BTreeSet<u32>,
}

impl History {
    pub fn new(state: State, files: BTreeSet<u32>, databases: BTreeSet<u32>) -> Self {
        Self { commits: Vec::new(), states: vec![state], files, databases }
    }

    /// How many commits there must be, and may be, after a crash in an operation of the disk.
    pub fn bounds(&self, operation: u64) -> (usize, usize) {
        let acknowledged = |commit: &Commit| commit.synchronous && commit.after < operation;
        let least = self.commits.iter().rposition(acknowledged).map_or(0, |at| at + 1);
        let most = self.commits.partition_point(|commit| commit.before < operation);
        (least, most.max(least))
    }

    /// Files and databases that were there, for others to see, at some time in the first `commits`.
    pub fn known_after(&self, commits: usize) -> (BTreeSet<u32>, BTreeSet<u32>) {
        let (mut files, mut databases) = (self.files.clone(), self.databases.clone());
        for commit in &self.commits[..commits] {
            files.extend(commit.files.iter());
            databases.extend(commit.databases.iter());
        }
        (files, databases)
    }
}
