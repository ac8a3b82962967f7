//! The catalogs of a new cluster, filled and read back.

use kokkiri_catalog::facts;
use kokkiri_catalog::row::CatalogRow;
use kokkiri_catalog::rows::{PgClass, PgProc};
use kokkiri_catalog::shapes;
use kokkiri_catalog::testing::TestCluster;
use kokkiri_primitives::{Oid, Result};

#[test]
fn every_catalog_reads_back_what_was_put_in() {
    let cluster = TestCluster::shared();
    let client = cluster.client();
    client
        .run(|view| {
            for table in facts::tables() {
                let shape = shapes::shapes().find(|s| &*s.class.relname == table.name).expect("a catalog");
                let rows = view.scan_all(shape.class.oid)?;
                assert_eq!(rows.len(), table.rows.len(), "{}", table.name);
                let types = shapes::column_types(shape.class.oid, table);
                if table.name == "pg_authid" {
                    continue;
                }
                // A row may go to an earlier page that has room for it, so order says nothing.
                let mut found: Vec<String> = rows.iter().map(|(_, row)| format!("{row:?}")).collect();
                let expected = table.rows.iter().map(|row| {
                    let fields = row.iter().zip(&types);
                    let values = fields.map(|(field, type_oid)| facts::value(*type_oid, field));
                    values.collect::<Result<Vec<_>>>().map(|row| format!("{row:?}"))
                });
                let mut expected: Vec<String> = expected.collect::<Result<_>>()?;
                found.sort();
                expected.sort();
                assert!(found == expected, "{}", table.name);
            }
            Ok(())
        })
        .expect("the catalogs are readable");
}

#[test]
fn things_are_found_by_name_and_oid() {
    let cluster = TestCluster::shared();
    let client = cluster.client();
    client
        .run(|view| {
            assert_eq!(view.find_relation(None, "pg_class")?, Some(Oid(1259)));
            let class = view.expect_relation(Oid(1259))?;
            assert_eq!(class.indexes.len(), 3);
            assert_eq!(&*class.name, "pg_class");
            assert_eq!(class.relation.tuple_desc.len(), PgClass::COLUMNS.len());
            let int4 = view.type_by_name(None, "int4")?.expect("a type");
            assert_eq!((int4.oid, int4.length, int4.array), (Oid(23), 4, Some(Oid(1007))));
            let plus = view.operators_by_name(None, "+")?;
            assert!(plus.iter().any(|(_, operator)| operator.oid == Oid(551)));
            let functions = view.functions_by_name(None, "int4pl")?;
            assert_eq!(functions.len(), 1);
            assert_eq!(view.function(Oid(177))?.expect("int4pl").name, functions[0].1.name);
            assert!(PgProc::COLUMNS.contains(&"prosrc"));
            let role = view.role_by_name("postgres")?.expect("the superuser");
            assert!(role.superuser && role.oid == Oid(10));
            assert_eq!(view.namespace_by_name("public")?.expect("a schema").oid, Oid(2200));
            assert_eq!(view.relation(Oid(424_242))?.map(|r| r.oid), None);
            Ok(())
        })
        .expect("the catalogs are readable");
}
