//! Tables whose pages are damaged on disk, with and without a checksum that tells. Sessions read and change
//! them in every way there is; what they meet is an error of a statement, never a panic, a hang or a crash of
//! the engine.
//!
//! Each input damages one or two pages of a table, its TOAST table, their indexes, maps or a sequence, runs a
//! few statements, and puts everything back.

use std::sync::Arc;
use std::time::Duration;

use kokkiri_engine::Instance;
use kokkiri_fuzzing::{Dice, Limits, mutate_in_place, run};
use kokkiri_primitives::{BLOCK_SIZE, BlockNumber, Fork, Oid, RelFileLocator, RelFileNumber};
use kokkiri_storage::page::PAGE_HEADER_SIZE;
use kokkiri_storage::{Page, RelationFile};

use crate::server::{Client, Server};
use crate::{as_the_server_does, is_usable, lives_on};

const LIMITS: Limits = Limits { input: Duration::from_secs(60), memory: 4 << 30 };
const FORKS: [Fork; 3] = [Fork::Main, Fork::FreeSpaceMap, Fork::VisibilityMap];

/// Rows of all widths: in line, compressed, moved out of line; HOT chains, dead and deleted rows, posting
/// lists, a tree of two levels, pages that all can see.
const SCHEMA: &[&str] = &[
    "create table t (id int primary key, a text, n numeric, at timestamptz, big text, flags bit(5), list int[])",
    "insert into t select g, 'row ' || g % 40, g * 1.25, '2000-01-01'::timestamptz + g * interval '1 hour',
         case g % 20 when 0 then repeat(md5(g::text), 200) when 1 then repeat('ab', 3000) end,
         (g % 32)::bit(5), array[g, null, g * 2] from generate_series(1, 1500) g",
    "alter table t alter big set storage external",
    "insert into t select g, 'outside', g, null, repeat(md5(g::text), 150), null, null
         from generate_series(2001, 2030) g",
    "create index t_a on t (a)",
    "create index t_n on t (n, id desc)",
    "create index t_at on t (at)",
    "delete from t where id % 7 = 0",
    "vacuum t",
    "update t set n = n + 1 where id % 11 = 0",
    "update t set n = n + 1 where id % 22 = 0",
    "update t set a = a || '!' where id % 13 = 0",
    "delete from t where id % 17 = 0",
    "create sequence s",
    "select nextval('s')",
    "analyze t",
    "checkpoint",
];

/// Everything that reads or changes pages. Those that can't run in a block stand alone.
const STATEMENTS: &[&str] = &[
    "select count(*), sum(id), min(a), max(n), max(at), sum(length(big)), count(flags), max(list[3]) from t",
    "select * from t",
    "select ctid, xmin, xmax, cmin, cmax, tableoid, t.* from t where id < 300",
    "select md5(big), pg_column_size(big), substr(big, 3000, 50) from t where big is not null",
    "set enable_seqscan = off; select a, count(*) from t where a >= 'row 2' and a < 'row 3' group by a; reset enable_seqscan",
    "set enable_seqscan = off; select id from t where id between 200 and 900 order by id desc; reset enable_seqscan",
    "set enable_seqscan = off; select * from t where id in (1, 500, 1000, 1499, 2010); reset enable_seqscan",
    "set enable_seqscan = off; select n, id from t where n > 300 order by n, id desc limit 200; reset enable_seqscan",
    "set enable_seqscan = off; select at from t where at is not null order by at; reset enable_seqscan",
    "select * from t x join t y on x.id = y.id + 1 where x.a = 'row 5'",
    "select id from t where id % 5 = 0 for update",
    "select id from t where id < 100 for key share",
    "update t set n = n + 1 where id % 3 = 0",
    "update t set a = 'moved ' || id where id between 100 and 400",
    "update t set big = repeat(md5(a), 100) where id % 50 = 0",
    "update t set id = id + 100000 where id > 1400",
    "delete from t where id % 2 = 0",
    "delete from t",
    "insert into t select g, 'new ' || g % 9, g, now(), repeat('n', g % 3000), null, array[g]
         from generate_series(10000, 10300) g",
    "insert into t values (500, 'there', 1), (70, 'gone', 2) on conflict (id) do update set a = excluded.a",
    "insert into t values (77777, 'x', 1, null, repeat('y', 100000), b'10101', '{1}')",
    "select nextval('s'), nextval('s')",
    "select last_value, is_called from s",
    "select setval('s', 77)",
    "vacuum t",
    "vacuum (freeze) t",
    "vacuum (disable_page_skipping, truncate false) t",
    "analyze t",
    "reindex index t_a",
    "reindex table t",
    "create index t_new on t (id, a)",
    "copy t to stdout",
    "select pg_relation_size('t', 'fsm'), pg_table_size('t'), pg_indexes_size('t')",
    "checkpoint",
];

fn is_alone(statement: &str) -> bool {
    ["vacuum", "checkpoint", "set "].iter().any(|word| statement.starts_with(word))
}

/// A relation's files as they were before anything was damaged.
struct Files {
    file: RelationFile,
    forks: Vec<(Fork, Vec<Box<Page>>)>,
}

struct Tables {
    instance: Arc<Instance>,
    relations: Vec<Files>,
}

impl Tables {
    /// Reads the files of all that [`SCHEMA`] has made.
    fn remember(server: &Server, owner: &mut Client) -> Self {
        let instance = server.engine.instance().expect("it runs");
        let database: u32 = number(owner, "select oid from pg_database where datname = 'postgres'");
        let answer = owner.query(
            "select relfilenode from pg_class where oid in ('t'::regclass, 's'::regclass)
                 or oid = (select reltoastrelid from pg_class where oid = 't'::regclass)
                 or oid in (select indexrelid from pg_index where indrelid = 't'::regclass or indrelid =
                     (select reltoastrelid from pg_class where oid = 't'::regclass))",
        );
        let nodes = answer.lines().filter_map(|line| line.parse().ok());
        let storage = &instance.cluster.storage;
        let relations: Vec<_> = nodes
            .map(|node| {
                let file = RelationFile::permanent(RelFileLocator {
                    tablespace: RelFileLocator::DEFAULT_TABLESPACE,
                    database: Oid(database),
                    number: RelFileNumber(node),
                });
                let pages = |fork| -> Vec<Box<Page>> {
                    let blocks = storage.blocks_if_exists(file, fork).expect("the disk works");
                    (0..blocks).map(|block| read(&instance, file, fork, BlockNumber(block))).collect()
                };
                Files { file, forks: FORKS.map(|fork| (fork, pages(fork))).into() }
            })
            .collect();
        assert_eq!(relations.len(), 8, "{answer}");
        Self { instance, relations }
    }

    /// Damages a page on disk, behind the back of the pool, which must not have it.
    fn damage(&self, dice: &mut Dice) {
        let Files { file, forks } = dice.pick(&self.relations);
        let (fork, pages) = dice.pick(forks);
        if pages.is_empty() {
            return;
        }
        let block = BlockNumber(dice.below(pages.len()) as u32);
        let mut page = pages[block.0 as usize].clone();
        match dice.below(20) {
            // A page of another place.
            0 => page = dice.pick(pages).clone(),
            1 => {
                let other = dice.pick(&self.relations);
                if let Some(other) = other.forks[0].1.first() {
                    page = other.clone();
                }
            }
            2 => page.zero(),
            3 => {
                self.instance.cluster.storage.truncate(*file, *fork, block.0).expect("the disk works");
                return;
            }
            4 => {
                mutate_in_place(dice, page.bytes_mut());
            }
            5 | 6 => {
                mutate_in_place(dice, &mut page.bytes_mut()[8..PAGE_HEADER_SIZE]);
            }
            7 | 8 => {
                let lower = page.lower().clamp(PAGE_HEADER_SIZE + 1, BLOCK_SIZE);
                mutate_in_place(dice, &mut page.bytes_mut()[PAGE_HEADER_SIZE..lower]);
            }
            9..12 => {
                let special = page.special_offset().min(BLOCK_SIZE - 1);
                mutate_in_place(dice, &mut page.bytes_mut()[special..]);
            }
            // Tuples: their headers, where lengths and flags are, and their data.
            _ => {
                for _ in 0..1 + dice.below(3) {
                    let items: Vec<_> = page.item_ids().map(|(_, item_id)| item_id).collect();
                    if items.is_empty() {
                        mutate_in_place(dice, page.bytes_mut());
                        break;
                    }
                    let item = dice.pick(&items);
                    let from = item.offset().min(BLOCK_SIZE - 1);
                    let reach = if dice.once_in(3) { item.len().max(1) } else { item.len().clamp(1, 40) };
                    let to = (from + reach).min(BLOCK_SIZE);
                    mutate_in_place(dice, &mut page.bytes_mut()[from..to]);
                }
            }
        }
        if !dice.once_in(5) {
            page.set_checksum(block);
        }
        self.instance.cluster.storage.write(*file, *fork, block, &page).expect("the disk works");
    }

    /// Forgets what the pool has of the files, and puts them back on disk.
    fn restore(&self) {
        let cluster = &self.instance.cluster;
        for Files { file, forks } in &self.relations {
            for (fork, pages) in forks {
                cluster.buffers.drop_fork(*file, *fork, BlockNumber(0)).expect("nobody uses it");
                let blocks = cluster.storage.blocks_if_exists(*file, *fork).expect("the disk works");
                if blocks > pages.len() as u32 {
                    cluster.storage.truncate(*file, *fork, pages.len() as u32).expect("the disk works");
                }
                for (block, page) in pages.iter().enumerate() {
                    let block_number = BlockNumber(block as u32);
                    if block_number.0 < blocks {
                        cluster.storage.write(*file, *fork, block_number, page).expect("the disk works");
                    } else {
                        cluster.storage.append(*file, *fork, &[&**page]).expect("the disk works");
                    }
                }
            }
        }
    }
}

fn number(client: &mut Client, query: &str) -> u32 {
    let answer = client.query(query);
    answer.lines().nth(1).and_then(|line| line.parse().ok()).unwrap_or_else(|| panic!("{query}: {answer}"))
}

/// A page as it is on disk.
fn read(instance: &Instance, file: RelationFile, fork: Fork, block: BlockNumber) -> Box<Page> {
    let mut page = Page::boxed();
    let mut slices = [std::io::IoSliceMut::new(page.bytes_mut())];
    instance.cluster.storage.read(file, fork, block, &mut slices).expect("the disk works");
    page
}

/// A server with the tables, and a session that owns them.
fn server(name: &str) -> (Server, Client) {
    let server = Server::new(name);
    let mut owner = server.connect();
    for statement in SCHEMA {
        let answer = owner.query(statement);
        assert!(!answer.contains("ERROR"), "{statement}: {answer}");
    }
    (server, owner)
}

/// Whoever follows such a link with the page locked would wait for himself.
#[test]
fn an_index_page_that_is_its_own_sibling_is_refused() {
    as_the_server_does(|| {
        let (server, mut owner) = server("fuzz-sibling");
        let tables = Tables::remember(&server, &mut owner);
        tables.restore();
        let leftmost = BlockNumber(1);
        for Files { file, forks } in &tables.relations {
            let Some(page) = forks[0].1.get(1).filter(|page| page.special().len() == 16) else { continue };
            let mut page = page.clone();
            page.special_mut()[4..8].copy_from_slice(&leftmost.0.to_le_bytes());
            page.set_checksum(leftmost);
            tables
                .instance
                .cluster
                .storage
                .write(*file, Fork::Main, leftmost, &page)
                .expect("the disk works");
        }
        let (_, outcome) = owner.ask("insert into t select -g from generate_series(1, 500) g");
        let error = outcome.expect_err("the index is damaged");
        assert_eq!(error.sqlstate().to_string(), "XX002");
        assert_eq!(error.message(), "index \"t_pkey\" contains corrupted page at block 1");
        tables.restore();
        drop(owner);
    });
}

/// A page, half-dead or not, whose right link leads back: whoever walks right with the page before it locked
/// would wait for himself, and whoever locks none walks until he is interrupted.
#[test]
fn index_pages_in_a_circle_keep_nobody() {
    const HALF_DEAD: u8 = 1 << 4;
    as_the_server_does(|| {
        let (server, mut owner) = server("fuzz-circle");
        let tables = Tables::remember(&server, &mut owner);
        owner.query("set statement_timeout = '50ms'");
        for flags in [0, HALF_DEAD] {
            tables.restore();
            let (first, second) = (BlockNumber(1), BlockNumber(2));
            // Keys between the two pages: the high key of the first, read as that of an integer.
            let mut keys = Vec::new();
            for Files { file, forks } in &tables.relations {
                let Some(page) = forks[0].1.get(2).filter(|page| page.special().len() == 16) else {
                    continue;
                };
                let before = &forks[0].1[1];
                if let Some((_, high_key)) = before.item_ids().next() {
                    let key = &before.bytes()[high_key.offset() + 8..][..4];
                    keys.push(i32::from_le_bytes(key.try_into().expect("four bytes")));
                }
                let mut page = page.clone();
                page.special_mut()[4..8].copy_from_slice(&first.0.to_le_bytes());
                page.special_mut()[12] |= flags;
                page.set_checksum(second);
                tables
                    .instance
                    .cluster
                    .storage
                    .write(*file, Fork::Main, second, &page)
                    .expect("the disk works");
            }
            let mut codes = std::collections::BTreeSet::new();
            let inserts = keys.iter().map(|id| format!("insert into t values ({id}, 'row 1')"));
            let reads = [
                "set enable_seqscan = off; select count(*) from t where id > 0",
                "select count(*) from t where id > 0 and a > 'row'",
                "vacuum t",
            ];
            for statement in inserts.chain(reads.map(str::to_owned)) {
                if let (_, Err(error)) = owner.ask(&statement) {
                    codes.insert(error.sqlstate().to_string());
                    assert!(lives_on(&statement, &Err(error)));
                }
                assert!(is_usable(&mut owner, &statement));
            }
            let known = ["23505", "57014", "XX000", "XX002"];
            assert!(codes.iter().all(|code| known.contains(&&**code)), "{codes:?}");
        }
        tables.restore();
        drop(owner);
    });
}

#[test]
fn damaged_tables_are_answered() {
    as_the_server_does(|| {
        let (server, mut owner) = server("fuzz-pages");
        let tables = Tables::remember(&server, &mut owner);
        let mut client = server.connect();
        let mut refused = std::collections::BTreeMap::<String, u32>::new();
        run("damaged_tables_are_answered", LIMITS, |dice| {
            tables.restore();
            for _ in 0..1 + dice.below(2) {
                tables.damage(dice);
            }
            client.query("set statement_timeout = '2s'");
            for _ in 0..1 + dice.below(5) {
                let statement = *dice.pick(STATEMENTS);
                if !is_alone(statement) {
                    client.query("begin");
                }
                let (_, outcome) = client.ask(statement);
                if let Err(error) = &outcome {
                    *refused.entry(error.sqlstate().to_string()).or_default() += 1;
                }
                assert!(lives_on(statement, &outcome), "{outcome:?}");
                // New files would have to be remembered.
                let makes_files = ["reindex", "create"].iter().any(|word| statement.starts_with(word));
                let end = if !makes_files && dice.once_in(3) { "commit" } else { "rollback" };
                if !is_alone(statement) {
                    client.query(end);
                }
                assert!(is_usable(&mut client, statement));
                // The undamaged pages serve as before.
                let (answer, outcome) = client.ask("select count(*) from pg_class where relname = 't'");
                assert!(outcome.is_ok(), "{answer} {outcome:?} after {statement}");
            }
        });
        println!("refused: {refused:?}");
        tables.restore();
        drop(client);
        drop(owner);
    });
}
