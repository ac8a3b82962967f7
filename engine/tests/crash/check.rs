//! Is a cluster whole: its contents as SQL shows them, catalogs against each other, indexes against their
//! tables, files against the catalogs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kokkiri_fuzzing::{Broken, Check, ensure};
use kokkiri_storage::file::FileSystem;

use crate::model::{Column, Kind, Row, State, Table};
use crate::server::{Answer, Client, Server};

/// Oids from here on are users'.
const FIRST_USER_OID: u32 = 16384;

/// Rows of catalogs that point to nothing.
const DANGLING: [&str; 15] = [
    "pg_attribute a where not exists (select 1 from pg_class c where c.oid = a.attrelid)",
    "pg_attrdef d where not exists (select 1 from pg_class c where c.oid = d.adrelid)",
    "pg_index x where not exists (select 1 from pg_class c where c.oid = x.indrelid)",
    "pg_index x where not exists (select 1 from pg_class c where c.oid = x.indexrelid)",
    "pg_class c where relkind = 'i' and not exists (select 1 from pg_index x where x.indexrelid = c.oid)",
    "pg_class t where reltoastrelid <> 0 and not exists (select 1 from pg_class c where c.oid = t.reltoastrelid)",
    "pg_class c where not exists (select 1 from pg_namespace n where n.oid = c.relnamespace)",
    "pg_class c where relnatts <> (select count(*) from pg_attribute a where attrelid = c.oid and attnum > 0)",
    "pg_constraint k where conrelid <> 0 and not exists (select 1 from pg_class c where c.oid = k.conrelid)",
    "pg_constraint k where conindid <> 0 and not exists (select 1 from pg_class c where c.oid = k.conindid)",
    "pg_type t where typrelid <> 0 and not exists (select 1 from pg_class c where c.oid = t.typrelid)",
    "pg_rewrite w where not exists (select 1 from pg_class c where c.oid = w.ev_class)",
    "pg_statistic s where not exists (select 1 from pg_class c where c.oid = s.starelid)",
    "pg_depend d where classid = 1259 and not exists (select 1 from pg_class c where c.oid = d.objid)",
    "pg_depend d where refclassid = 1259 and not exists (select 1 from pg_class c where c.oid = d.refobjid)",
];

/// Catalogs with an index and the columns it is on.
const CATALOGS: [(&str, &str); 7] = [
    ("pg_class", "oid"),
    ("pg_attribute", "attrelid, attnum"),
    ("pg_type", "oid"),
    ("pg_index", "indexrelid"),
    ("pg_constraint", "oid"),
    ("pg_depend", "classid, objid, objsubid"),
    ("pg_namespace", "oid"),
];

/// What an answer's fields are when none can be null.
fn texts(answer: &Answer) -> impl Iterator<Item = Vec<&str>> {
    answer.rows.iter().map(|row| row.iter().map(|value| value.as_deref().expect("no null")).collect())
}

fn names(client: &mut Client, text: &str) -> Check<BTreeSet<String>> {
    let answer = client.query(text)?;
    Ok(texts(&answer).map(|row| row[0].to_owned()).collect())
}

fn numbers(client: &mut Client, text: &str) -> Check<BTreeSet<u32>> {
    let answer = client.query(text)?;
    Ok(texts(&answer).map(|row| row[0].parse().expect("a number")).collect())
}

/// The relation files and the databases that users have made, as the catalogs tell now.
pub fn known_files(client: &mut Client) -> Check<(BTreeSet<u32>, BTreeSet<u32>)> {
    let files = format!(
        "select relfilenode from pg_class where oid >= {FIRST_USER_OID} and relfilenode <> 0 and relpersistence <> 't'"
    );
    let databases = format!("select oid from pg_database where oid >= {FIRST_USER_OID}");
    Ok((numbers(client, &files)?, numbers(client, &databases)?))
}

/// The rows of a table, whose first column is its id.
pub fn read_rows(answer: Answer) -> Check<BTreeMap<i64, Row>> {
    let mut rows = BTreeMap::new();
    for mut row in answer.rows {
        let id = row.remove(0).and_then(|id| id.parse().ok()).expect("an id");
        ensure!(rows.insert(id, row).is_none(), "row {id} is there twice");
    }
    Ok(rows)
}

/// Has tables read from one end to the other, or through their indexes.
fn prefer(client: &mut Client, indexes: bool) -> Check {
    let (index, other) = if indexes { ("on", "off") } else { ("off", "on") };
    for setting in ["enable_indexscan", "enable_indexonlyscan"] {
        client.query(&format!("set {setting} = {index}"))?;
    }
    for setting in ["enable_seqscan", "enable_sort"] {
        client.query(&format!("set {setting} = {other}"))?;
    }
    client.query("set enable_bitmapscan = off")?;
    Ok(())
}

/// Everything that users have made, as the catalogs and sequential scans show it.
pub fn read_state(client: &mut Client) -> Check<State> {
    prefer(client, false)?;
    let from_user = format!("oid >= {FIRST_USER_OID}");
    let of_tables = format!(
        "join pg_namespace n on n.oid = c.relnamespace where c.relkind = 'r' and c.relpersistence <> 't' and c.{from_user}"
    );
    let mut state = State {
        schemas: names(
            client,
            &format!("select nspname from pg_namespace where {from_user} and nspname !~ '^pg_'"),
        )?,
        roles: names(client, &format!("select rolname from pg_roles where {from_user}"))?,
        databases: names(
            client,
            &format!("select datname from pg_database where {from_user} and datconnlimit <> -2"),
        )?,
        ..State::default()
    };
    let mut tables: BTreeMap<String, Table> = BTreeMap::new();
    let answer = client.query(&format!(
        "select n.nspname || '.' || c.relname, c.relpersistence from pg_class c {of_tables}"
    ))?;
    for row in texts(&answer) {
        tables.insert(row[0].to_owned(), Table { unlogged: row[1] == "u", ..Table::default() });
    }
    let answer = client.query(&format!(
        "select n.nspname || '.' || c.relname, a.attname, format_type(a.atttypid, a.atttypmod) from pg_class c \
         join pg_attribute a on a.attrelid = c.oid and a.attnum > 1 and not a.attisdropped {of_tables} \
         order by c.oid, a.attnum"
    ))?;
    for row in texts(&answer) {
        let Some(kind) = Kind::named(row[2]) else { return Err(Broken(format!("type {}", row[2]))) };
        tables.entry(row[0].to_owned()).or_default().columns.push(Column { name: row[1].to_owned(), kind });
    }
    let answer = client.query(&format!(
        "select n.nspname || '.' || c.relname, i.relname, a.attname from pg_class c \
         join pg_index x on x.indrelid = c.oid and x.indisvalid and x.indisready \
         join pg_class i on i.oid = x.indexrelid \
         join pg_attribute a on a.attrelid = c.oid and a.attnum::text = x.indkey::text {of_tables}"
    ))?;
    for row in texts(&answer) {
        let table = tables.entry(row[0].to_owned()).or_default();
        table.indexes.insert(row[1].to_owned(), row[2].to_owned());
    }
    let answer = client.query(&format!(
        "select n.nspname || '.' || c.relname, k.conname from pg_class c \
         join pg_constraint k on k.conrelid = c.oid and k.contype <> 'n' {of_tables}"
    ))?;
    for row in texts(&answer) {
        tables.entry(row[0].to_owned()).or_default().constraints.insert(row[1].to_owned());
    }
    // An entry of the list is role=privileges/grantor.
    let answer = client.query(&format!(
        "select n.nspname || '.' || c.relname, c.relacl::text from pg_class c {of_tables} and c.relacl is not null"
    ))?;
    for row in texts(&answer) {
        let readers =
            row[1].trim_matches(['{', '}']).split(',').filter_map(|entry| entry.strip_suffix("=r/postgres"));
        tables.entry(row[0].to_owned()).or_default().readers.extend(readers.map(str::to_owned));
    }
    for (name, table) in &mut tables {
        table.rows = read_rows(client.query(&format!("select * from {name}"))?)?;
    }
    let answer = client.query(&format!(
        "select m.nspname || '.' || v.relname, n.nspname || '.' || c.relname from pg_class c \
         join pg_depend d on d.classid = 2618 and d.refclassid = 1259 and d.refobjid = c.oid and d.refobjsubid = 1 \
         join pg_rewrite w on w.oid = d.objid join pg_class v on v.oid = w.ev_class \
         join pg_namespace m on m.oid = v.relnamespace {of_tables}"
    ))?;
    for row in texts(&answer) {
        state.views.insert(row[0].to_owned(), row[1].to_owned());
    }
    let sequences = names(
        client,
        &format!(
            "select n.nspname || '.' || c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace \
             where c.relkind = 'S' and c.{from_user}"
        ),
    )?;
    for name in sequences {
        let text = format!("select case when is_called then last_value else last_value - 1 end from {name}");
        let taken = client.query(&text)?.value().parse().expect("a number");
        state.sequences.insert(name, taken);
    }
    state.tables = tables.into_iter().map(|(name, table)| (name, Arc::new(table))).collect();
    Ok(state)
}

/// Checks what must be so whatever the contents are.
pub fn check_whole(
    server: &Server,
    client: &mut Client,
    state: &State,
    known: &(BTreeSet<u32>, BTreeSet<u32>),
) -> Check {
    check_catalogs(client)?;
    check_files(server, client, known)?;
    check_indexes(client, state)?;
    for (view, table) in &state.views {
        let count = client.query(&format!("select count(*) from {view}"))?;
        let expected = state.tables[table].rows.len().to_string();
        ensure!(count.value() == expected, "{view} shows {} rows of {expected}", count.value());
    }
    // A new database is a whole copy of the template, as this one was.
    let built_in = format!("select count(*) from pg_class where oid < {FIRST_USER_OID}");
    let expected = client.query(&built_in)?;
    for database in &state.databases {
        let count = server.connect(database)?.query(&built_in)?;
        ensure!(count.value() == expected.value(), "{database} has {} relations", count.value());
    }
    Ok(())
}

fn check_catalogs(client: &mut Client) -> Check {
    prefer(client, false)?;
    for dangling in DANGLING {
        let count = client.query(&format!("select count(*) from {dangling}"))?;
        ensure!(count.value() == "0", "{} of {dangling}", count.value());
    }
    for (catalog, key) in CATALOGS {
        let text = format!("select {key} from {catalog} order by {key}");
        prefer(client, false)?;
        let sequential = client.query(&text)?.rows;
        prefer(client, true)?;
        let plan = client.query(&format!("explain (costs off) {text}"))?;
        ensure!(mentions_index(&plan), "{text} does not use an index: {:?}", plan.rows);
        let indexed = client.query(&text)?.rows;
        ensure!(
            sequential == indexed,
            "{catalog}: {} rows, {} by its index",
            sequential.len(),
            indexed.len()
        );
    }
    Ok(())
}

fn mentions_index(plan: &Answer) -> bool {
    texts(plan).any(|row| row[0].contains("Index"))
}

fn check_indexes(client: &mut Client, state: &State) -> Check {
    prefer(client, true)?;
    for (name, table) in &state.tables {
        for (index, column) in &table.indexes {
            let text = format!("select id from {name} order by {column}");
            let plan = client.query(&format!("explain (costs off) {text}"))?;
            ensure!(mentions_index(&plan), "{text} does not use {index}: {:?}", plan.rows);
            let answer = client.query(&text)?;
            let found: Vec<i64> = texts(&answer).map(|row| row[0].parse().expect("an id")).collect();
            let distinct: BTreeSet<i64> = found.iter().copied().collect();
            ensure!(distinct.len() == found.len(), "{index} of {name} shows a row twice");
            let missing: Vec<&i64> = table.rows.keys().filter(|id| !distinct.contains(id)).collect();
            ensure!(missing.is_empty(), "{index} of {name} misses {missing:?}");
            ensure!(distinct.len() == table.rows.len(), "{index} of {name} shows rows that are not there");
            if column == "id" {
                ensure!(found.is_sorted(), "{index} of {name} is out of order");
            }
        }
    }
    Ok(())
}

fn check_files(server: &Server, client: &mut Client, known: &(BTreeSet<u32>, BTreeSet<u32>)) -> Check {
    let disk = &server.disk;
    let answer = client.query(
        "select oid, pg_relation_filepath(oid), relpersistence from pg_class \
         where relkind in ('r', 'i', 't', 'S', 'm') and relpersistence <> 't'",
    )?;
    let there = |path: &str| disk.exists(path).expect("the disk works");
    for row in texts(&answer) {
        ensure!(there(row[1]), "relation {} has no file {}", row[0], row[1]);
        ensure!(row[2] != "u" || there(&format!("{}_init", row[1])), "{} has no init fork", row[0]);
    }
    let (files, databases) = known_files(client)?;
    let own = client.query("select oid from pg_database where datname = current_database()")?;
    for entry in disk.list(&format!("base/{}", own.value())).expect("readable") {
        let digits: String = entry.name.chars().take_while(char::is_ascii_digit).collect();
        let Ok(number) = digits.parse::<u32>() else { continue };
        if files.contains(&number) || !known.0.contains(&number) {
            continue;
        }
        let path = format!("base/{}/{}", own.value(), entry.name);
        let metadata = disk.metadata(&path).expect("the disk works").expect("it is listed");
        ensure!(metadata.len == 0, "{path} of a dropped relation has {} bytes", metadata.len);
    }
    for entry in disk.list("base").expect("readable") {
        let Ok(number) = entry.name.parse::<u32>() else { continue };
        let gone = known.1.contains(&number) && !databases.contains(&number);
        ensure!(!gone, "base/{number} of a dropped database is there");
    }
    Ok(())
}
