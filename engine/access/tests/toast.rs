//! Values out of line: stored, read back, kept by updates, deleted.

use std::cmp::Ordering;
use std::sync::Arc;

use kokkiri_access::btree::{Tree, build::build_empty};
use kokkiri_access::heap::{Heap, InsertOptions, NewValue, Scan, ScanOptions};
use kokkiri_access::relation::{
    AttributeSet, IndexColumn, IndexDescriptor, IndexKey, IndexOptions, InsertTargets, Persistence, Relation,
    RelationFile, RelationKind, RelationOptions,
};
use kokkiri_primitives::{Fork, Oid, RelFileLocator, RelFileNumber};
use kokkiri_transaction::Visibility;
use kokkiri_transaction::testing::{Client, Directory};
use kokkiri_types::{Attribute, AttributeStorage, Batch, TupleDesc, ValueRef};

fn file(number: u32) -> RelationFile {
    RelationFile::permanent(RelFileLocator {
        tablespace: Oid(1663),
        database: Oid(5),
        number: RelFileNumber(number),
    })
}

fn table(oid: u32, kind: RelationKind, attributes: Vec<Attribute>) -> Relation {
    Relation {
        oid: Oid(oid),
        name: format!("t{oid}"),
        namespace: Oid(2200),
        namespace_name: "public".into(),
        kind,
        persistence: Persistence::Permanent,
        file: file(oid),
        tuple_desc: TupleDesc::new(attributes),
        options: RelationOptions::default(),
        toast: None,
        indexes: Vec::new(),
        is_catalog: false,
        insert_targets: InsertTargets::default(),
    }
}

fn compare(a: ValueRef<'_>, b: ValueRef<'_>) -> Ordering {
    (a.int32() as u32).cmp(&(b.int32() as u32))
}

fn chunk_index() -> IndexDescriptor {
    let column = |attribute: u16, oid: u32| IndexColumn {
        key: IndexKey::Attribute(attribute),
        opclass: Oid(0),
        opfamily: Oid(0),
        input_type: Oid(oid),
        collation: Oid(0),
        comparator: Some(compare),
        descending: false,
        nulls_first: false,
        equal_is_image: true,
    };
    IndexDescriptor {
        oid: Oid(16402),
        name: "chunks".into(),
        heap: Oid(16401),
        heap_name: "t16401".into(),
        namespace_name: "pg_toast".into(),
        persistence: Persistence::Permanent,
        file: file(16402),
        access_method: IndexDescriptor::BTREE,
        tuple_desc: TupleDesc::new(vec![
            Attribute::builtin("chunk_id", 1, Oid(26)),
            Attribute::builtin("chunk_seq", 2, Oid(23)),
        ]),
        columns: vec![column(0, 26), column(1, 23)],
        key_count: 2,
        unique: true,
        primary: true,
        nulls_not_distinct: false,
        immediate: true,
        is_exclusion: false,
        has_predicate: false,
        is_valid: true,
        is_ready: true,
        check_xmin: false,
        options: IndexOptions::default(),
        attributes_used: AttributeSet::default(),
        is_catalog: false,
        btree: Default::default(),
    }
}

fn notes(heap: &Heap<'_>) -> Vec<Vec<u8>> {
    let snapshot = heap.transaction.snapshot();
    let mut scan = Scan::new(heap, &ScanOptions { columns: vec![1], ..ScanOptions::default() }).unwrap();
    let mut batch = Batch::new(scan.physical_types());
    let mut found = Vec::new();
    while scan.next(heap, &Visibility::Mvcc(&snapshot), &mut batch, 100).unwrap() > 0 {
        found.extend((0..batch.rows()).map(|row| batch.columns[0].get(row).bytes().to_vec()));
    }
    found
}

#[test]
fn wide_values_come_back() {
    let directory = Directory::new("toast");
    let cluster = directory.create();
    let client = Client::new(&cluster);
    let _entered = client.registration.backend().enter();
    let mut data = Attribute::builtin("chunk_data", 3, Oid(17));
    data.storage = AttributeStorage::Plain;
    let keys = [Attribute::builtin("chunk_id", 1, Oid(26)), Attribute::builtin("chunk_seq", 2, Oid(23))];
    let index = Arc::new(chunk_index());
    let mut toast = table(16401, RelationKind::Toast, keys.into_iter().chain([data]).collect());
    toast.indexes.push(Arc::clone(&index));
    let columns = vec![Attribute::builtin("id", 1, Oid(23)), Attribute::builtin("note", 2, Oid(25))];
    let mut relation = table(16400, RelationKind::Table, columns);
    relation.toast = Some(Arc::new(toast.clone()));

    let transaction = client.begin();
    for number in [16400, 16401, 16402] {
        transaction.create_storage(file(number), true).unwrap();
    }
    build_empty(&Tree::new(&cluster, &index, None), Fork::Main).unwrap();
    let heap = Heap::new(&relation, &transaction);
    let noise: Vec<u8> =
        (0..50_000u64).map(|i| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as u8).collect();
    let packed = b"all work and no play ".repeat(3000);
    let row = |text| [ValueRef::Int32(1), ValueRef::Bytes(text)];
    let first = heap.insert(&row(&noise), InsertOptions::default()).unwrap();
    heap.insert(&row(&packed), InsertOptions::default()).unwrap();
    transaction.advance_command().unwrap();
    assert_eq!(notes(&heap), [noise.clone(), packed.clone()]);

    // An update of another column leaves the chunks alone; a new value replaces them.
    let chunks = || {
        let table = Heap::new(&toast, &transaction);
        let snapshot = transaction.snapshot();
        let mut scan =
            Scan::new(&table, &ScanOptions { columns: vec![1], ..ScanOptions::default() }).unwrap();
        let mut batch = Batch::new(scan.physical_types());
        let mut count = 0;
        loop {
            match scan.next(&table, &Visibility::Mvcc(&snapshot), &mut batch, 1000).unwrap() {
                0 => return count,
                rows => count += rows,
            }
        }
    };
    let before = chunks();
    assert!(before > 1, "one value needs several chunks, even compressed; the other is compressed in line");
    let second =
        heap.update(first, &[NewValue::Set(ValueRef::Int32(2)), NewValue::Unchanged]).unwrap().unwrap().tid;
    transaction.advance_command().unwrap();
    assert_eq!(chunks(), before);
    assert!(notes(&heap).contains(&noise));
    let third = heap
        .update(second, &[NewValue::Unchanged, NewValue::Set(ValueRef::Bytes(b"short"))])
        .unwrap()
        .unwrap()
        .tid;
    transaction.advance_command().unwrap();
    assert_eq!(chunks(), 0);
    heap.delete(third, false).unwrap().unwrap();
    transaction.advance_command().unwrap();
    assert_eq!(notes(&heap), std::slice::from_ref(&packed));
    // A number whose first byte looks like a pointer's is none.
    let plain = heap.insert(&row(b"in line"), InsertOptions::default()).unwrap();
    transaction.advance_command().unwrap();
    heap.delete(plain, false).unwrap().unwrap();
    transaction.commit().unwrap();
}
