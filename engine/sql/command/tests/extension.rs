//! Extensions: what their scripts make belongs to them.

mod session;

use kokkiri_catalog::dependency::{ObjectAddress, class, references_of};
use kokkiri_catalog::testing::TestCluster;
use session::{fails, ok};

#[test]
fn what_an_extension_makes_goes_only_with_it() {
    let client = TestCluster::shared().client();
    ok(&client, "create schema buffers; create extension pg_buffercache schema buffers version '1.6'");
    let members = client.run(|view| {
        let function = view.functions_by_name(Some("buffers"), "pg_buffercache_evict")?.remove(0).1;
        let relation = view.find_relation(Some("buffers"), "pg_buffercache")?.expect("the view is there");
        let addresses =
            [ObjectAddress::new(class::FUNCTION, function.oid), ObjectAddress::relation(relation)];
        addresses.iter().map(|address| references_of(view, *address)).collect::<Result<Vec<_>, _>>()
    });
    for needs in members.expect("readable") {
        assert!(needs.iter().any(|row| row.deptype == b'e' && row.refclassid == class::EXTENSION));
    }
    let (_, error, _) = fails(&client, "drop view buffers.pg_buffercache");
    assert_eq!(error, "cannot drop view buffers.pg_buffercache because extension pg_buffercache requires it");
    let (_, error, _) = fails(&client, "create extension pg_buffercache");
    assert_eq!(error, "extension \"pg_buffercache\" already exists");
    let (_, error, _) = fails(&client, "create extension nothing_of_that_name");
    assert_eq!(error, "extension \"nothing_of_that_name\" is not available");
    ok(&client, "drop extension pg_buffercache");
    let left = client.run(|view| view.functions_by_name(Some("buffers"), "pg_buffercache_evict"));
    assert!(left.expect("readable").is_empty());
    ok(&client, "drop schema buffers");
}
