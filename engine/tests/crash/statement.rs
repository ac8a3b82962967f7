//! Statements by chance, each with what it changes in the model.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use kokkiri_fuzzing::{Check, Dice, ensure};

use crate::model::{Change, Column, Kind, Row, State, Table};

const TABLES_MAX: usize = 5;
const ROWS_MAX: usize = 600;
/// More than one page of the heap can hold of them, if they are incompressible.
const LONG_MAX: usize = 9000;

/// What is to be done with a statement's answer.
pub enum Then {
    Nothing,
    /// The tag must tell of so many rows.
    Count(usize),
    /// It is the next value of this sequence.
    NextValue(String),
    /// It is all rows of this table.
    Compare(String),
}

pub struct Statement {
    pub text: String,
    /// What COPY FROM STDIN gets.
    pub data: String,
    pub changes: Vec<Change>,
    pub then: Then,
}

impl Statement {
    fn new(text: String, changes: Vec<Change>) -> Self {
        Self { text, data: String::new(), changes, then: Then::Nothing }
    }

    fn counted(text: String, changes: Vec<Change>) -> Self {
        let then = Then::Count(changes.len());
        Self { then, ..Self::new(text, changes) }
    }
}

/// Makes statements; keeps names and ids apart.
pub struct Generator {
    next: i64,
    /// Largest value taken from each sequence, by whomever.
    taken: BTreeMap<String, i64>,
}

impl Generator {
    /// Goes on where the names and ids of `state` end.
    pub fn after(state: &State) -> Self {
        let ids = state.tables.values().filter_map(|table| table.rows.keys().next_back().copied());
        let objects = state.tables.iter().flat_map(|(name, table)| {
            let columns = table.columns.iter().map(|column| column.name.as_str());
            std::iter::once(name.as_str())
                .chain(columns)
                .chain(table.indexes.keys().map(String::as_str))
                .chain(table.constraints.iter().map(String::as_str))
        });
        let names = objects
            .chain(state.schemas.iter().map(String::as_str))
            .chain(state.views.keys().map(String::as_str))
            .chain(state.sequences.keys().map(String::as_str))
            .chain(state.roles.iter().map(String::as_str))
            .chain(state.databases.iter().map(String::as_str));
        let numbers = names.flat_map(|name| {
            name.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok())
        });
        let next = ids.chain(numbers).max().unwrap_or(0) + 1;
        Self { next, taken: state.sequences.clone() }
    }

    fn number(&mut self) -> i64 {
        self.next += 1;
        self.next
    }

    fn name(&mut self, kind: &str) -> String {
        format!("{kind}{}", self.number())
    }

    /// Notes a value that a sequence has given out.
    pub fn taken(&mut self, sequence: &str, value: i64) -> Check {
        let last = self.taken.entry(sequence.to_owned()).or_insert(0);
        ensure!(value > *last, "{sequence} gives out {value} after {last}");
        *last = value;
        Ok(())
    }

    /// Any statement that may stand in a transaction block.
    pub fn statement(&mut self, dice: &mut Dice, state: &State) -> Statement {
        if state.tables.is_empty() || dice.once_in(6) {
            return self.definition(dice, state);
        }
        let name = dice.choose(state.tables.keys()).expect("there is one").clone();
        let table = &state.tables[&name];
        match dice.below(32) {
            0..9 => self.insert(dice, &name, table),
            9..11 => self.copy(dice, &name, table),
            11..13 => self.insert_series(dice, &name, table),
            13..20 => update(dice, &name, table),
            20..26 => delete(dice, &name, table),
            26..28 => lock_rows(dice, &name, table),
            28..30 => self.next_value(dice, state),
            _ => Statement {
                then: Then::Compare(name.clone()),
                ..Statement::new(format!("select * from {name}"), Vec::new())
            },
        }
    }

    /// A statement that is no part of a transaction block.
    pub fn maintenance(&mut self, dice: &mut Dice, state: &State) -> Statement {
        let name = dice.choose(state.tables.keys());
        let text = match (dice.below(6), name) {
            (0, _) => "checkpoint".to_owned(),
            (1, Some(name)) => format!("vacuum (freeze) {name}"),
            (2, Some(name)) => format!("vacuum (index_cleanup on, analyze) {name}"),
            (3, Some(name)) => format!("analyze {name}"),
            (_, Some(name)) => format!("vacuum {name}"),
            (_, None) => "vacuum pg_class".to_owned(),
        };
        Statement::new(text, Vec::new())
    }

    /// CREATE or DROP DATABASE.
    pub fn database(&mut self, dice: &mut Dice, state: &State) -> Statement {
        if let Some(name) = dice.choose(state.databases.iter()) {
            let change = Change::DropDatabase(name.clone());
            return Statement::new(format!("drop database {name}"), vec![change]);
        }
        let name = self.name("d");
        let strategy = ["wal_log", "file_copy"][dice.below(2)];
        let text = format!("create database {name} strategy {strategy}");
        Statement::new(text, vec![Change::CreateDatabase(name)])
    }

    fn next_value(&mut self, dice: &mut Dice, state: &State) -> Statement {
        let Some(name) = dice.choose(state.sequences.keys()).cloned() else {
            return self.create_sequence(dice, state);
        };
        let text = format!("select nextval('{name}')");
        Statement { then: Then::NextValue(name), ..Statement::new(text, Vec::new()) }
    }

    fn row(&mut self, dice: &mut Dice, table: &Table) -> Row {
        table.columns.iter().map(|column| value(dice, column.kind)).collect()
    }

    fn insert(&mut self, dice: &mut Dice, name: &str, table: &Table) -> Statement {
        let count = if table.rows.len() > ROWS_MAX { 1 } else { 1 + dice.below(30) };
        let mut changes = Vec::new();
        let mut tuples = Vec::new();
        for _ in 0..count {
            let (id, row) = (self.number(), self.row(dice, table));
            let values: Vec<String> =
                std::iter::once(id.to_string()).chain(row.iter().map(literal)).collect();
            tuples.push(format!("({})", values.join(", ")));
            changes.push(Change::Put(name.to_owned(), id, row));
        }
        Statement::counted(format!("insert into {name} values {}", tuples.join(", ")), changes)
    }

    fn copy(&mut self, dice: &mut Dice, name: &str, table: &Table) -> Statement {
        let count = if table.rows.len() > ROWS_MAX { 1 } else { 1 + dice.below(80) };
        let mut data = String::new();
        let mut changes = Vec::new();
        for _ in 0..count {
            let (id, row) = (self.number(), self.row(dice, table));
            write!(data, "{id}").expect("a string takes all");
            for value in &row {
                write!(data, "\t{}", value.as_deref().unwrap_or("\\N")).expect("a string takes all");
            }
            data.push('\n');
            changes.push(Change::Put(name.to_owned(), id, row));
        }
        Statement { data, ..Statement::counted(format!("copy {name} from stdin"), changes) }
    }

    /// Rows enough to split index pages.
    fn insert_series(&mut self, dice: &mut Dice, name: &str, table: &Table) -> Statement {
        if table.rows.len() > ROWS_MAX {
            return delete(dice, name, table);
        }
        let (first, count) = (self.number(), 100 + dice.below(300) as i64);
        self.next += count;
        let expressions: String = table
            .columns
            .iter()
            .map(|column| match column.kind {
                Kind::Int | Kind::Big => ", g % 11",
                Kind::Short => ", 'series number ' || g",
                Kind::Long => ", repeat('long ', (g % 7 * 10)::int)",
            })
            .collect();
        let last = first + count - 1;
        let changes = (first..=last).map(|g| {
            let value = |column: &Column| match column.kind {
                Kind::Int | Kind::Big => (g % 11).to_string(),
                Kind::Short => format!("series number {g}"),
                Kind::Long => "long ".repeat((g % 7 * 10) as usize),
            };
            let row = table.columns.iter().map(|column| Some(Arc::from(value(column)))).collect();
            Change::Put(name.to_owned(), g, row)
        });
        let changes = changes.collect();
        let text = format!(
            "insert into {name} select g{expressions} from generate_series({first}::bigint, {last}) g"
        );
        Statement::counted(text, changes)
    }

    fn create_sequence(&mut self, dice: &mut Dice, state: &State) -> Statement {
        let name = format!("{}.{}", schema(dice, state), self.name("q"));
        let change = Change::CreateSequence(name.clone());
        Statement::new(format!("create sequence {name}"), vec![change])
    }

    fn create_table(&mut self, dice: &mut Dice, state: &State) -> Statement {
        let local = self.name("t");
        let name = format!("{}.{local}", schema(dice, state));
        let mut table = Table { unlogged: dice.once_in(6), ..Table::default() };
        for _ in 0..1 + dice.below(4) {
            table.columns.push(self.column(dice));
        }
        table.indexes.insert(format!("{local}_pkey"), "id".to_owned());
        table.constraints.insert(format!("{local}_pkey"));
        let columns: String =
            table.columns.iter().map(|c| format!(", {} {}", c.name, c.kind.sql())).collect();
        let unlogged = if table.unlogged { "unlogged " } else { "" };
        let text = format!("create {unlogged}table {name} (id bigint primary key{columns})");
        Statement::new(text, vec![Change::CreateTable(name, table)])
    }

    /// A copy, without what hangs on the table.
    fn create_table_as(&mut self, dice: &mut Dice, state: &State, from: &str, table: &Table) -> Statement {
        let name = format!("{}.{}", schema(dice, state), self.name("t"));
        let copy = Table { columns: table.columns.clone(), ..Table::default() };
        let mut changes = vec![Change::CreateTable(name.clone(), copy)];
        changes.extend(table.rows.iter().map(|(id, row)| Change::Put(name.clone(), *id, row.clone())));
        let text = format!("create table {name} as select * from {from}");
        Statement { then: Then::Count(table.rows.len()), ..Statement::new(text, changes) }
    }

    /// A table that is its session's alone, and that a crash must take away as if it had never been.
    fn temporary_table(&mut self, dice: &mut Dice, state: &State) -> Statement {
        let name = self.name("temporary");
        let ending = ["drop", "delete rows", "preserve rows"][dice.below(3)];
        let text = match dice.choose(state.tables.keys()) {
            Some(from) => format!("create temp table {name} on commit {ending} as select * from {from}"),
            None => format!("create temp table {name} (a integer primary key, b text) on commit {ending}"),
        };
        Statement::new(text, Vec::new())
    }

    fn column(&mut self, dice: &mut Dice) -> Column {
        let kind = [Kind::Int, Kind::Short, Kind::Long][dice.below(3)];
        Column { name: self.name("c"), kind }
    }

    /// DDL.
    fn definition(&mut self, dice: &mut Dice, state: &State) -> Statement {
        let room = state.tables.len() < TABLES_MAX;
        if room && (state.tables.is_empty() || dice.once_in(4)) {
            return match dice.choose(state.tables.iter()).filter(|_| dice.once_in(4)) {
                Some((name, table)) => self.create_table_as(dice, state, name, table),
                None => self.create_table(dice, state),
            };
        }
        match dice.below(13) {
            12 => self.temporary_table(dice, state),
            0 => self.create_sequence(dice, state),
            1 | 2 => self.of_schemas_and_roles(dice, state),
            3 if !room => drop_something(dice, state),
            4 => drop_something(dice, state),
            _ => match dice.choose(state.tables.keys()).cloned() {
                Some(name) => self.alter(dice, state, &name),
                None => self.create_table(dice, state),
            },
        }
    }

    fn of_schemas_and_roles(&mut self, dice: &mut Dice, state: &State) -> Statement {
        let schema = dice.choose(state.schemas.iter());
        let reads = |role: &String| state.tables.values().any(|table| table.readers.contains(role));
        let idle: Vec<&String> = state.roles.iter().filter(|role| !reads(role)).collect();
        match (dice.below(4), schema) {
            (0, Some(schema)) => {
                let change = Change::DropSchema(schema.clone());
                Statement::new(format!("drop schema {schema} cascade"), vec![change])
            }
            (1, _) if !idle.is_empty() => {
                let role = idle[dice.below(idle.len())];
                Statement::new(format!("drop role {role}"), vec![Change::DropRole(role.clone())])
            }
            (0 | 2, _) if state.schemas.len() < 3 => {
                let name = self.name("n");
                Statement::new(format!("create schema {name}"), vec![Change::CreateSchema(name)])
            }
            _ => {
                let name = self.name("r");
                Statement::new(format!("create role {name}"), vec![Change::CreateRole(name)])
            }
        }
    }

    fn alter(&mut self, dice: &mut Dice, state: &State, name: &str) -> Statement {
        let table = &state.tables[name];
        let (schema, local) = name.split_once('.').expect("a qualified name");
        let one = |change| vec![change];
        let column = dice.choose(table.columns.iter()).cloned();
        let role = dice.choose(state.roles.iter()).cloned();
        match (dice.below(15), column, role) {
            (0 | 1, ..) if table.columns.len() < 6 => {
                let column = self.column(dice);
                // pg_attribute has to take it, and has no TOAST table.
                let kind = if column.kind == Kind::Long { Kind::Short } else { column.kind };
                let default = if dice.once_in(2) { value(dice, kind) } else { None };
                let clause = match &default {
                    Some(_) => format!(" default {}", literal(&default)),
                    None => String::new(),
                };
                let text = format!("alter table {name} add {} {}{clause}", column.name, column.kind.sql());
                Statement::new(text, one(Change::AddColumn(name.to_owned(), column, default)))
            }
            (2, Some(column), _) if table.columns.len() > 1 => {
                let text = format!("alter table {name} drop column {}", column.name);
                Statement::new(text, one(Change::DropColumn(name.to_owned(), column.name)))
            }
            (3, Some(column), _) => {
                let to = self.name("c");
                let text = format!("alter table {name} rename column {} to {to}", column.name);
                Statement::new(text, one(Change::RenameColumn(name.to_owned(), column.name, to)))
            }
            (13, Some(column), _) if column.kind == Kind::Int => {
                let text = format!("alter table {name} alter column {} type bigint", column.name);
                Statement::new(text, one(Change::Retype(name.to_owned(), column.name, Kind::Big)))
            }
            (4, ..) if dice.once_in(2) && !state.schemas.is_empty() => {
                let schema = self::schema(dice, state);
                let text = format!("alter table {name} set schema {schema}");
                Statement::new(text, one(Change::RenameTable(name.to_owned(), format!("{schema}.{local}"))))
            }
            (4, ..) => {
                let to = self.name("t");
                let text = format!("alter table {name} rename to {to}");
                Statement::new(text, one(Change::RenameTable(name.to_owned(), format!("{schema}.{to}"))))
            }
            (5..8, Some(column), _) if column.kind != Kind::Long => {
                let index = self.name("i");
                let text = format!("create index {index} on {name} ({})", column.name);
                Statement::new(text, one(Change::AddIndex(name.to_owned(), index, column.name)))
            }
            (8, ..) => {
                let index = dice.choose(table.indexes.keys()).cloned();
                match index.filter(|index| !table.constraints.contains(index)) {
                    Some(index) => {
                        let change = Change::DropIndex(name.to_owned(), index.clone());
                        Statement::new(format!("drop index {schema}.{index}"), one(change))
                    }
                    None => {
                        Statement::new(format!("truncate {name}"), one(Change::Truncate(name.to_owned())))
                    }
                }
            }
            (9, ..) => {
                let constraint = self.name("k");
                let change = Change::AddConstraint(name.to_owned(), constraint.clone());
                if dice.once_in(2) {
                    let text = format!("alter table {name} add constraint {constraint} check (id > 0)");
                    return Statement::new(text, one(change));
                }
                let text = format!("alter table {name} add constraint {constraint} unique (id)");
                let index = Change::AddIndex(name.to_owned(), constraint, "id".to_owned());
                Statement::new(text, vec![change, index])
            }
            (10, ..) => {
                let extra = table.constraints.iter().filter(|name| !name.ends_with("_pkey"));
                match dice.choose(extra.cloned().collect::<Vec<_>>().into_iter()) {
                    Some(constraint) => {
                        let text = format!("alter table {name} drop constraint {constraint}");
                        Statement::new(text, one(Change::DropConstraint(name.to_owned(), constraint)))
                    }
                    None => {
                        Statement::new(format!("truncate {name}"), one(Change::Truncate(name.to_owned())))
                    }
                }
            }
            (11, _, Some(role)) => {
                if table.readers.contains(&role) {
                    let text = format!("revoke select on {name} from {role}");
                    return Statement::new(text, one(Change::Revoke(name.to_owned(), role)));
                }
                let text = format!("grant select on {name} to {role}");
                Statement::new(text, one(Change::Grant(name.to_owned(), role)))
            }
            (12, ..) => {
                let view = format!("{schema}.{}", self.name("v"));
                let text = format!("create view {view} as select id from {name}");
                Statement::new(text, one(Change::CreateView(view, name.to_owned())))
            }
            _ => Statement::new(format!("truncate {name}"), one(Change::Truncate(name.to_owned()))),
        }
    }
}

fn drop_something(dice: &mut Dice, state: &State) -> Statement {
    let view = dice.choose(state.views.keys()).cloned();
    let sequence = dice.choose(state.sequences.keys()).cloned();
    let table = dice.choose(state.tables.keys()).cloned();
    match (dice.below(5), view, sequence, table) {
        (0, Some(view), ..) => Statement::new(format!("drop view {view}"), vec![Change::DropView(view)]),
        (1, _, Some(name), _) => {
            Statement::new(format!("drop sequence {name}"), vec![Change::DropSequence(name)])
        }
        (.., Some(name)) => {
            Statement::new(format!("drop table {name} cascade"), vec![Change::DropTable(name)])
        }
        _ => Statement::new("select 1".to_owned(), Vec::new()),
    }
}

/// The schema of a new object.
fn schema(dice: &mut Dice, state: &State) -> String {
    let others = state.schemas.iter();
    let other = dice.choose(others).filter(|_| dice.once_in(2));
    other.cloned().unwrap_or_else(|| "public".to_owned())
}

fn value(dice: &mut Dice, kind: Kind) -> Option<Arc<str>> {
    if dice.once_in(8) {
        return None;
    }
    Some(match kind {
        Kind::Int | Kind::Big => Arc::from((dice.below(50) as i64 - 10).to_string()),
        Kind::Short => Arc::from(letters(dice, 40)),
        Kind::Long if dice.once_in(4) => Arc::from(letters(dice, LONG_MAX)),
        Kind::Long if dice.once_in(4) => {
            let piece = letters(dice, 20);
            Arc::from(piece.repeat(1 + dice.below(400)))
        }
        Kind::Long => Arc::from(letters(dice, 200)),
    })
}

fn letters(dice: &mut Dice, length_max: usize) -> String {
    let length = 1 + dice.below(length_max);
    (0..length).map(|_| char::from(b'a' + dice.below(26) as u8)).collect()
}

fn literal(value: &Option<Arc<str>>) -> String {
    value.as_ref().map_or_else(|| "null".to_owned(), |text| format!("'{text}'"))
}

/// A range of ids, often with rows in it.
fn range(dice: &mut Dice, table: &Table) -> (i64, i64) {
    let first = dice.choose(table.rows.keys()).copied().unwrap_or(1);
    let width = [1, 1, 5, 40, 400][dice.below(5)];
    (first, first + width - 1)
}

fn update(dice: &mut Dice, name: &str, table: &Table) -> Statement {
    let (first, last) = range(dice, table);
    let Some(column) = dice.choose(table.columns.iter()) else { return delete(dice, name, table) };
    let at = table.position(&column.name);
    let new = value(dice, column.kind);
    let changes = table.rows.range(first..=last).map(|(id, row)| {
        let mut row = row.clone();
        row[at].clone_from(&new);
        Change::Put(name.to_owned(), *id, row)
    });
    let changes = changes.collect();
    let condition = format!("id between {first} and {last}");
    let text = format!("update {name} set {} = {} where {condition}", column.name, literal(&new));
    Statement::counted(text, changes)
}

fn delete(dice: &mut Dice, name: &str, table: &Table) -> Statement {
    let (first, last) = range(dice, table);
    let all = table.rows.len() > ROWS_MAX / 2 && dice.once_in(3);
    let (first, last) = if all { (0, i64::MAX) } else { (first, last) };
    let changes = table.rows.range(first..=last).map(|(id, _)| Change::Remove(name.to_owned(), *id));
    let changes = changes.collect();
    Statement::counted(format!("delete from {name} where id between {first} and {last}"), changes)
}

fn lock_rows(dice: &mut Dice, name: &str, table: &Table) -> Statement {
    let (first, last) = range(dice, table);
    let strength = ["update", "no key update", "share", "key share"][dice.below(4)];
    let text = format!("select id from {name} where id between {first} and {last} for {strength}");
    Statement::new(text, Vec::new())
}
