//! Definitions as PostgreSQL's catalogs show them: the expected rows were taken from PostgreSQL 18.

mod session;

use kokkiri_catalog::lookup::Lookup;
use kokkiri_catalog::rows::*;
use kokkiri_catalog::testing::{TestClient, TestCluster};
use kokkiri_primitives::Oid;
use kokkiri_types::ValueRef;
use session::{fails, ok, run};

fn oid_of(client: &TestClient, relation: &str) -> Oid {
    client.run(|view| Ok(view.find_relation(None, relation)?.expect(relation))).expect(relation)
}

fn key(oid: Oid) -> ValueRef<'static> {
    ValueRef::Int32(oid.0 as i32)
}

fn constraints(client: &TestClient, relation: &str) -> Vec<String> {
    let oid = oid_of(client, relation);
    let rows = client.run(|view| view.rows::<PgConstraint>(Lookup::ConstraintByRelation, &[key(oid)]));
    let mut rows = rows.expect("readable").to_vec();
    rows.sort_by_key(|row| row.oid);
    let columns = |row: &PgConstraint| row.conkey.as_ref().map_or(Vec::new(), |key| key.0.clone());
    rows.iter().map(|row| format!("{} {} {:?}", row.conname, row.contype as char, columns(row))).collect()
}

fn class(client: &TestClient, relation: &str) -> PgClass {
    let oid = oid_of(client, relation);
    let rows = client.run(|view| view.rows::<PgClass>(Lookup::RelationByOid, &[key(oid)]));
    rows.expect("readable")[0].clone()
}

#[test]
fn a_table_is_described_as_postgresql_does() {
    let client = TestCluster::shared().client();
    ok(&client, "create table t(id int primary key, b bigint not null, c char(84) unique, d text)");
    assert_eq!(
        constraints(&client, "t"),
        ["t_id_not_null n [1]", "t_b_not_null n [2]", "t_pkey p [1]", "t_c_key u [3]"]
    );
    let row = class(&client, "t");
    assert_eq!((row.relpages, row.reltuples, row.relhasindex, row.relnatts), (0, -1.0, true, 4));
    assert!(row.reltoastrelid.is_valid() && row.reltype.is_valid());
    let index = class(&client, "t_pkey");
    assert_eq!((index.relpages, index.reltuples, index.relam, index.relkind), (1, 0.0, Oid(403), b'i'));
    // No row of the second table is too long for a page.
    ok(&client, "create table small(a int, b char(22)) with (fillfactor=70)");
    let small = class(&client, "small");
    assert!(!small.reltoastrelid.is_valid());
    assert_eq!(small.reloptions.map(|options| options.0), Some(vec!["fillfactor=70".to_owned()]));
}

#[test]
fn dependencies_are_postgresqls() {
    use kokkiri_catalog::dependency::{ObjectAddress, class, references_of};
    let client = TestCluster::shared().client();
    ok(&client, "create table dep(id int primary key); create table dep2(x int references dep, y text)");
    let (table, index) = (oid_of(&client, "dep"), oid_of(&client, "dep_pkey"));
    client
        .run(|view| {
            let rows = references_of(view, ObjectAddress::relation(index))?;
            assert_eq!(rows.len(), 1, "an index needs its constraint only");
            assert_eq!((rows[0].refclassid, rows[0].deptype), (class::CONSTRAINT, b'i'));
            let rows = references_of(view, ObjectAddress::relation(table))?;
            assert_eq!((rows[0].refclassid, rows[0].refobjid), (class::NAMESPACE, Oid(2200)));
            let entry = view.expect_relation(table)?;
            assert_eq!(entry.referenced_by.len(), 1);
            let rows = view.rows::<PgTrigger>(Lookup::TriggerByRelation, &[key(table)])?;
            let functions: Vec<(u32, i16)> = rows.iter().map(|row| (row.tgfoid.0, row.tgtype)).collect();
            assert_eq!(functions, [(1654, 9), (1655, 17)]);
            Ok(())
        })
        .expect("readable");
}

#[test]
fn dropping_asks_who_else_needs_it() {
    let client = TestCluster::shared().client();
    ok(&client, "create table parent(id int primary key); create table child(x int references parent)");
    assert_eq!(
        fails(&client, "drop table parent"),
        (
            "2BP01".to_owned(),
            "cannot drop table parent because other objects depend on it".to_owned(),
            Some("constraint child_x_fkey on table child depends on table parent".to_owned())
        )
    );
    let notices = ok(&client, "drop table parent cascade");
    assert_eq!(notices, ["drop cascades to constraint child_x_fkey on table child"]);
    assert!(constraints(&client, "child").is_empty());
    let notices = ok(&client, "drop table if exists parent, child");
    assert_eq!(notices, ["table \"parent\" does not exist, skipping"]);
    assert_eq!(fails(&client, "drop table child").0, "42P01");
    ok(&client, "create table it(a int unique)");
    let (_, message, _) = fails(&client, "drop index it_a_key");
    assert_eq!(message, "cannot drop index it_a_key because constraint it_a_key on table it requires it");
    assert_eq!(fails(&client, "drop index it").1, "\"it\" is not an index");
}

#[test]
fn what_is_rolled_back_leaves_no_file() {
    let cluster = TestCluster::shared();
    let client = cluster.client();
    let error = run(&client, "create table gone(a int primary key); create table gone(a int)");
    assert_eq!(error.expect_err("twice").message(), "relation \"gone\" already exists");
    client
        .run(|view| {
            assert_eq!(view.find_relation(None, "gone")?, None);
            Ok(())
        })
        .expect("readable");
    ok(&client, "create table gone(a int)");
}

#[test]
fn tables_are_altered_and_truncated() {
    let client = TestCluster::shared().client();
    ok(
        &client,
        "create table pgbench_branches(bid int not null, bbalance int, filler char(88)) with (fillfactor=100);
         create table pgbench_tellers(tid int not null, bid int, tbalance int, filler char(84))",
    );
    ok(&client, "alter table pgbench_branches add primary key (bid)");
    ok(
        &client,
        "alter table pgbench_tellers add constraint pgbench_tellers_bid_fkey foreign key (bid) references pgbench_branches",
    );
    let before = class(&client, "pgbench_branches").relfilenode;
    assert_eq!(
        fails(&client, "truncate pgbench_branches").1,
        "cannot truncate a table referenced in a foreign key constraint"
    );
    ok(&client, "truncate table pgbench_branches, pgbench_tellers");
    let after = class(&client, "pgbench_branches");
    assert_ne!(after.relfilenode, before);
    assert_eq!(
        constraints(&client, "pgbench_branches"),
        ["pgbench_branches_bid_not_null n [1]", "pgbench_branches_pkey p [1]"]
    );
    ok(&client, "alter table pgbench_tellers add column extra text, drop column tbalance");
    ok(
        &client,
        "alter table pgbench_tellers rename column extra to more; alter table pgbench_tellers rename to t2",
    );
    client
        .run(|view| {
            let entry = view.expect_relation(view.find_relation(None, "t2")?.expect("renamed"))?;
            let names: Vec<String> = entry.relation.tuple_desc.iter().map(|a| a.name.to_string()).collect();
            assert_eq!(names, ["tid", "bid", "........pg.dropped.3........", "filler", "more"]);
            assert!(view.type_by_name(None, "_t2")?.is_some());
            Ok(())
        })
        .expect("readable");
    assert_eq!(fails(&client, "alter table t2 drop column nope").0, "42703");
}

#[test]
fn temporary_and_unlogged_tables_have_their_places() {
    let client = TestCluster::shared().client();
    ok(&client, "create temp table tt(a int unique, b text); create unlogged table ul(a int primary key)");
    let temp = class(&client, "tt");
    assert_eq!((temp.relpersistence, class(&client, "ul").relpersistence), (b't', b'u'));
    client
        .run(|view| {
            let namespace = view.namespace(temp.relnamespace)?.expect("a schema");
            assert!(namespace.name.starts_with("pg_temp_"));
            Ok(())
        })
        .expect("readable");
    ok(&client, "drop table tt");
}

#[test]
fn settings_are_set_and_shown() {
    let client = TestCluster::shared().client();
    ok(&client, "set work_mem = '8MB'");
    let (outcome, _) = run(&client, "show work_mem").expect("it is a setting");
    let rows = outcome.rows.expect("one row");
    assert_eq!((rows.columns, rows.rows), (vec!["work_mem".to_owned()], vec![vec![Some("8MB".to_owned())]]));
}

#[test]
fn a_schema_goes_with_what_is_in_it() {
    let client = TestCluster::shared().client();
    ok(&client, "create schema s1; create table s1.a(x int); create table s1.b(x int)");
    assert_eq!(fails(&client, "create schema s1").1, "schema \"s1\" already exists");
    assert_eq!(
        fails(&client, "drop schema s1"),
        (
            "2BP01".to_owned(),
            "cannot drop schema s1 because other objects depend on it".to_owned(),
            Some("table s1.a depends on schema s1\ntable s1.b depends on schema s1".to_owned())
        )
    );
    assert_eq!(ok(&client, "drop schema s1 cascade"), ["drop cascades to 2 other objects"]);
    assert_eq!(fails(&client, "drop schema s1").0, "3F000");
}
