//! The initial contents of the system catalogs.
//!
//! Each catalog's rows stand in `facts/initial/<catalog>.tsv` in COPY text format under a header of
//! column names; `facts/extract_catalogs.py` made them by query from a fresh PostgreSQL 18. They serve
//! twice: `init` fills the catalogs from them, and the shapes of the catalogs themselves, without which
//! nothing in a catalog can be read, are taken from the facts of pg_class, pg_attribute and pg_index.

use std::borrow::Cow;
use std::sync::LazyLock;

use kokkiri_primitives::{Error, Oid, Result};
use kokkiri_types::Value;

use crate::privilege::{Acl, AclItem};
use crate::row::{Array, Field, Int2Vector, OidVector};

macro_rules! fact_files {
    ($($name:literal),+ $(,)?) => {
        /// Every catalog with initial rows, with the text of its file.
        const FILES: &[(&str, &str)] = &[
            $(($name, include_str!(concat!("../facts/initial/", $name, ".tsv")))),+
        ];
    };
}

fact_files!(
    "pg_aggregate",
    "pg_am",
    "pg_amop",
    "pg_amproc",
    "pg_attribute",
    "pg_auth_members",
    "pg_authid",
    "pg_cast",
    "pg_class",
    "pg_collation",
    "pg_constraint",
    "pg_conversion",
    "pg_database",
    "pg_description",
    "pg_index",
    "pg_init_privs",
    "pg_language",
    "pg_namespace",
    "pg_opclass",
    "pg_operator",
    "pg_opfamily",
    "pg_proc",
    "pg_range",
    "pg_shdescription",
    "pg_tablespace",
    "pg_ts_config",
    "pg_ts_config_map",
    "pg_ts_dict",
    "pg_ts_parser",
    "pg_ts_template",
    "pg_type",
);

/// Arguments of built-in functions that have defaults, as text.
const FUNCTION_DEFAULTS: &str = include_str!("../facts/initial/proargdefaults.tsv");

/// The definitions of the system views.
const SYSTEM_VIEWS: &str = include_str!("../facts/system_views.sql");

/// The statements that make the system views, in the order to run them in.
pub fn system_views() -> impl Iterator<Item = &'static str> {
    let statements = SYSTEM_VIEWS.split_inclusive(";\n");
    statements.filter_map(|text| text.find("CREATE ").map(|start| text[start..].trim_end()))
}

/// The name of the view that such a statement makes.
pub fn system_view_name(statement: &str) -> Option<&str> {
    statement.strip_prefix("CREATE VIEW pg_catalog.")?.split_once(" AS\n").map(|(name, _)| name)
}

/// The initial rows of one catalog.
pub struct FactTable {
    pub name: &'static str,
    pub columns: Vec<&'static str>,
    pub rows: Vec<Vec<&'static str>>,
}

impl FactTable {
    fn read(name: &'static str, text: &'static str) -> Self {
        let mut lines = text.lines();
        let columns = lines.next().map_or_else(Vec::new, |header| header.split('\t').collect());
        let rows = lines.map(|line| line.split('\t').collect()).collect();
        Self { name, columns, rows }
    }

    /// Place of the column called `name`.
    ///
    /// # Panics
    /// If the facts have no such column.
    pub fn column(&self, name: &str) -> usize {
        self.columns.iter().position(|column| *column == name).expect("the facts have the column")
    }
}

static TABLES: LazyLock<Vec<FactTable>> =
    LazyLock::new(|| FILES.iter().map(|(name, text)| FactTable::read(name, text)).collect());

/// All catalogs that have initial rows.
pub fn tables() -> &'static [FactTable] {
    &TABLES
}

/// The initial rows of the catalog called `name`.
pub fn table(name: &str) -> Option<&'static FactTable> {
    TABLES.iter().find(|table| table.name == name)
}

/// Oids of the built-in functions some of whose arguments have defaults, with their argument lists.
pub fn function_defaults() -> impl Iterator<Item = (Oid, &'static str)> {
    FUNCTION_DEFAULTS.lines().skip(1).filter_map(|line| {
        let (oid, arguments) = line.split_once('\t')?;
        Some((Oid(oid.parse().ok()?), arguments))
    })
}

/// Reads a field of the facts as a value of the type with oid `type_oid`.
///
/// # Errors
/// XX000 if the facts hold something that is no such value: the file was damaged.
pub fn value(type_oid: Oid, field: &str) -> Result<Value> {
    if field == "\\N" {
        return Ok(Value::Null);
    }
    let text = unescape(field);
    let bad =
        || Error::internal(format!("initial catalog contents: \"{text}\" is no value of type {type_oid}"));
    let number = || text.parse::<i64>().map_err(|_| bad());
    Ok(match type_oid.0 {
        16 => Value::Bool(text == "t"),
        18 => Value::Char(text.bytes().next().unwrap_or(0)),
        21 => Value::Int16(number()? as i16),
        // Oids, xids and regprocs are unsigned; their bits are what is stored.
        23 | 24 | 26 | 28 => Value::Int32(number()? as i32),
        20 => Value::Int64(number()?),
        700 => Value::Float32(text.parse().map_err(|_| bad())?),
        19 | 25 | 194 => Value::bytes(text.as_bytes()),
        22 => Int2Vector(numbers(&text, ' ')?).into_value(),
        30 => OidVector(numbers(&text, ' ')?.into_iter().map(Oid).collect()).into_value(),
        1005 => Array::<i16>(numbers(braced(&text), ',')?).into_value(),
        1028 => Array(numbers(braced(&text), ',')?.into_iter().map(Oid).collect()).into_value(),
        1002 => Array(elements(&text).map(|e| e.bytes().next().unwrap_or(0)).collect()).into_value(),
        1009 => Array(elements(&text).map(Cow::into_owned).collect::<Vec<String>>()).into_value(),
        1034 => {
            Acl(elements(&text).map(|item| AclItem::parse(&item, role)).collect::<Result<_>>()?).into_value()
        }
        _ => return Err(bad()),
    })
}

/// The predefined roles by the names they have in the facts.
fn role(name: &str) -> Result<Oid> {
    let roles = table("pg_authid").expect("the facts have roles");
    let (oid, rolname) = (roles.column("oid"), roles.column("rolname"));
    let row = roles.rows.iter().find(|row| row[rolname] == name);
    row.and_then(|row| row[oid].parse().ok().map(Oid))
        .ok_or_else(|| Error::internal(format!("initial catalog contents name a role \"{name}\"")))
}

/// Undoes COPY's backslash escapes.
fn unescape(field: &str) -> Cow<'_, str> {
    if !field.contains('\\') {
        return Cow::Borrowed(field);
    }
    let mut text = String::with_capacity(field.len());
    let mut chars = field.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            text.push(c);
            continue;
        }
        match chars.next() {
            Some('t') => text.push('\t'),
            Some('n') => text.push('\n'),
            Some('r') => text.push('\r'),
            Some(other) => text.push(other),
            None => text.push('\\'),
        }
    }
    Cow::Owned(text)
}

fn braced(text: &str) -> &str {
    text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(text)
}

fn numbers<T: std::str::FromStr>(text: &str, separator: char) -> Result<Vec<T>> {
    let parts = text.split(separator).filter(|part| !part.is_empty());
    parts
        .map(|part| {
            part.parse().map_err(|_| Error::internal(format!("initial catalog contents: \"{text}\"")))
        })
        .collect()
}

/// The elements of an array's text form, quotes removed.
fn elements(text: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let mut rest = braced(text);
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut element = String::new();
        let mut quoted = false;
        let mut chars = rest.char_indices();
        let end = loop {
            match chars.next() {
                None => break rest.len(),
                Some((_, '"')) => quoted = !quoted,
                Some((_, '\\')) => element.extend(chars.next().map(|(_, c)| c)),
                Some((at, ',')) if !quoted => break at,
                Some((_, c)) => element.push(c),
            }
        };
        rest = rest[end..].strip_prefix(',').unwrap_or(&rest[end..]);
        Some(Cow::Owned(element))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_initial_row_reads_as_values_of_its_columns() {
        let attributes = table("pg_attribute").expect("pg_attribute has rows");
        let classes = table("pg_class").expect("pg_class has rows");
        let at = |name| attributes.column(name);
        for catalog in tables() {
            let class = classes.rows.iter().find(|row| row[classes.column("relname")] == catalog.name);
            let oid = class.expect("every catalog is in pg_class")[classes.column("oid")];
            for (index, column) in catalog.columns.iter().enumerate() {
                let attribute = attributes
                    .rows
                    .iter()
                    .find(|row| row[at("attrelid")] == oid && row[at("attname")] == *column);
                let type_oid =
                    Oid(attribute.expect("every column is known")[at("atttypid")].parse().expect("an oid"));
                for row in &catalog.rows {
                    assert_eq!(row.len(), catalog.columns.len(), "{}: {row:?}", catalog.name);
                    value(type_oid, row[index]).unwrap_or_else(|e| panic!("{}.{column}: {e}", catalog.name));
                }
            }
        }
    }

    #[test]
    fn every_system_view_is_one_statement() {
        let views: Vec<&str> = system_views().collect();
        let name = |view: &'static str| {
            let rest = view.strip_prefix("CREATE VIEW pg_catalog.").expect("a view in pg_catalog");
            rest.split_once(" AS\nSELECT ").expect("a query").0
        };
        let mut names: Vec<&str> = views.iter().map(|view| name(view)).collect();
        assert!(views.iter().all(|view| view.ends_with(';') && view.matches(';').count() == 1));
        for wanted in ["pg_stat_activity", "pg_locks", "pg_settings", "pg_stat_wal"] {
            assert!(names.contains(&wanted), "{wanted}");
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), views.len());
        assert_eq!(SYSTEM_VIEWS.matches("CREATE VIEW").count(), views.len());
    }

    #[test]
    fn quoted_elements_and_escapes_are_read() {
        let read: Vec<_> = elements(r#"{a,"b,c","d\"e",""}"#).collect();
        assert_eq!(read, ["a", "b,c", "d\"e", ""]);
        assert_eq!(unescape(r"a\tb\\c"), "a\tb\\c");
    }
}
