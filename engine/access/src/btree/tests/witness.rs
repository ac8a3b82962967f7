//! The same rows in the same order make the pages that PostgreSQL 18 makes of them, byte for byte.

use super::*;

/// FNV-1a.
fn digest(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Number of pages and a digest of all of them, without what differs from run to run: LSN, checksum, the
/// hole, and the xid of deleted pages.
fn digest_of_pages(tree: &Tree<'_>) -> (u32, u64) {
    let blocks = tree.block_count().unwrap();
    let mut digests = Vec::new();
    for block in 0..blocks {
        let guard = tree.pin(BlockNumber(block)).unwrap().read();
        let mut page: Page = Page::clone(&guard);
        page.set_lsn(Lsn::INVALID);
        page.clear_checksum();
        if !page.is_new() {
            let deleted = page.opaque().is_deleted();
            let (lower, upper) = (page.lower(), page.upper());
            let bytes = page.bytes_mut();
            if deleted {
                bytes[24..32].fill(0);
            }
            bytes[lower..upper].fill(0);
        }
        digests.extend_from_slice(&digest(page.bytes()).to_le_bytes());
    }
    (blocks, digest(&digests))
}

/// Rows inserted in order into a PostgreSQL 18 table, and digests of its index: after the insertions,
/// built over the full table, and after a DELETE of some rows and a VACUUM.
struct Witness {
    types: &'static [u32],
    rows: u32,
    rows_per_page: u32,
    row: fn(i32) -> (i32, String),
    dies: fn(i32, ItemPointer) -> bool,
    inserted: (u32, u64),
    built: (u32, u64),
    vacuumed: (u32, u64),
}

impl Witness {
    fn tid(&self, n: u32) -> ItemPointer {
        ItemPointer::new(
            BlockNumber(n / self.rows_per_page),
            OffsetNumber((n % self.rows_per_page) as u16 + 1),
        )
    }

    fn check(&self) {
        let fixture = Fixture::new();
        let index = fixture.index(descriptor(self.types, false));
        let tree = fixture.tree(&index);
        let mut built = descriptor(self.types, false);
        built.file = RelationFile::new(
            RelFileLocator { number: RelFileNumber(17_000), ..LOCATOR },
            FilePersistence::Permanent,
        );
        fixture.cluster.storage.create(built.file, Fork::Main, false).unwrap();
        let built_tree = fixture.tree(&built);
        let options = SortOptions { unique: false, nulls_not_distinct: false, memory: 64 << 20 };
        let mut spool = Spool::new(built_tree.shape(), fixture.directory.file_system(), options);
        let mut dead = BTreeSet::new();
        for n in 0..self.rows {
            let (key, text) = (self.row)(n as i32);
            let values = [ValueRef::Int32(key), ValueRef::Bytes(text.as_bytes())];
            let values = &values[..self.types.len()];
            insert(&tree, &Table::default(), values, self.tid(n), PLAIN).unwrap();
            spool.add(values, self.tid(n), true).unwrap();
            if (self.dies)(key, self.tid(n)) {
                dead.insert(self.tid(n));
            }
        }
        check(&tree).unwrap();
        assert_eq!(digest_of_pages(&tree), self.inserted, "inserted");
        build(&built_tree, spool).unwrap();
        assert_eq!(digest_of_pages(&built_tree), self.built, "built");
        let mut statistics = VacuumStatistics::default();
        vacuum::bulk_delete(&tree, None, &mut statistics, &mut |tid| dead.contains(&tid)).unwrap();
        vacuum::cleanup(&tree, None, Some(statistics), None).unwrap();
        check(&tree).unwrap();
        assert_eq!(digest_of_pages(&tree), self.vacuumed, "vacuumed");
    }
}

fn every_third(_: i32, tid: ItemPointer) -> bool {
    tid.offset.0.is_multiple_of(3)
}

#[test]
fn ascending_keys_make_postgresqls_pages() {
    Witness {
        types: &[23],
        rows: 20_000,
        rows_per_page: 226,
        row: |n| (n, String::new()),
        dies: |key, _| (3000..=9000).contains(&key),
        inserted: (57, 0x8cd8_3b6f_11b2_8f24),
        built: (57, 0x59db_851d_057b_9ca6),
        vacuumed: (57, 0xe7f0_6c41_c965_973f),
    }
    .check();
}

#[test]
fn scattered_keys_make_postgresqls_pages() {
    Witness {
        types: &[23],
        rows: 30_000,
        rows_per_page: 226,
        row: |n| (n * 7919 % 30_011, String::new()),
        dies: every_third,
        inserted: (139, 0x810c_3a01_c791_7ab1),
        built: (84, 0xf191_5a37_7e05_3ab1),
        vacuumed: (139, 0xfabb_8898_d473_0389),
    }
    .check();
}

#[test]
fn duplicates_make_postgresqls_pages() {
    Witness {
        types: &[23],
        rows: 30_000,
        rows_per_page: 226,
        row: |n| (n * 7919 % 10, String::new()),
        dies: every_third,
        inserted: (32, 0xd663_4f55_d8e7_0a25),
        built: (28, 0x17c9_db30_d496_e760),
        vacuumed: (32, 0x0164_1afa_2930_fe88),
    }
    .check();
}

#[test]
fn two_columns_make_postgresqls_pages() {
    Witness {
        types: &[23, 25],
        rows: 20_000,
        rows_per_page: 185,
        row: |n| (n * 7919 % 100, format!("row {:06}", n * 31 % 1000)),
        dies: every_third,
        inserted: (31, 0xf767_c531_0a02_17bd),
        built: (22, 0x6d71_f90c_676b_3c1f),
        vacuumed: (31, 0xf44c_3a17_8c04_6813),
    }
    .check();
}
