//! COPY in and out; messages and contexts are PostgreSQL 18's.

mod session;

use kokkiri_catalog::testing::{TestClient, TestCluster};
use kokkiri_command::copy::{Copy, begin};
use kokkiri_command::execute;
use kokkiri_parse::tree::Statement;
use kokkiri_primitives::Result;
use kokkiri_types::io::IoSettings;
use session::{context, ok};

/// Runs statements of which the COPY ones are fed with `data` or give what they wrote.
fn copy(client: &TestClient, text: &str, chunks: &[&str]) -> Result<(String, String)> {
    let io = IoSettings::default();
    client.run(|view| {
        let mut context = context(view, &io);
        let (mut tag, mut written) = (String::new(), Vec::new());
        for statement in kokkiri_parse::parse(text)? {
            match &statement.statement {
                Statement::Copy(copy) => match begin(&mut context, copy)? {
                    Copy::In(mut copy) => {
                        for chunk in chunks {
                            copy.data(&context, chunk.as_bytes())?;
                        }
                        tag = copy.finish(&context)?.tag;
                    }
                    Copy::Out(copy) => {
                        let mut sink = |line: &[u8]| {
                            written.extend_from_slice(line);
                            Ok(())
                        };
                        tag = copy.run(&context, &mut sink)?.tag;
                    }
                },
                other => tag = execute(&mut context, other)?.tag,
            }
            context.advance()?;
        }
        Ok((tag, String::from_utf8_lossy(&written).into_owned()))
    })
}

fn fails(client: &TestClient, text: &str, chunks: &[&str]) -> (String, Option<String>, Option<String>) {
    let error = copy(client, text, chunks).expect_err(text);
    let fields = error.fields();
    (fields.message.clone(), fields.detail.clone(), fields.context.clone())
}

#[test]
fn rows_go_in_and_come_out() {
    let client = TestCluster::shared().client();
    ok(&client, "create table c1(a int primary key, b text, c char(4), d timestamp)");
    let rows = ["1\tone\tab\t2024-01-02 03:04:05\n2\t\\N\t\\N", "\t\\N\n3\ttab\\there\tx\t\\N\n"];
    assert_eq!(copy(&client, "copy c1 from stdin", &rows).expect("well formed").0, "COPY 3");
    let (tag, written) = copy(&client, "copy c1 to stdout", &[]).expect("readable");
    assert_eq!(tag, "COPY 3");
    assert_eq!(written, "1\tone\tab  \t2024-01-02 03:04:05\n2\t\\N\t\\N\t\\N\n3\ttab\\there\tx   \t\\N\n");
    let (_, written) =
        copy(&client, "copy c1(b, a) to stdout (delimiter '|', null '-')", &[]).expect("readable");
    assert_eq!(written, "one|1\n-|2\ntab\\there|3\n");
}

#[test]
fn errors_tell_where_they_are() {
    let client = TestCluster::shared().client();
    ok(&client, "create table c2(a int primary key, b text not null)");
    let text = "copy c2 from stdin";
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        fails(&client, text, &["1\ta\nx\tb\n"]),
        (
            "invalid input syntax for type integer: \"x\"".to_owned(),
            None,
            some("COPY c2, line 2, column a: \"x\"")
        )
    );
    assert_eq!(
        fails(&client, text, &["1\n"]),
        ("missing data for column \"b\"".to_owned(), None, some("COPY c2, line 1: \"1\""))
    );
    assert_eq!(
        fails(&client, text, &["1\ta\tb\n"]),
        ("extra data after last expected column".to_owned(), None, some("COPY c2, line 1: \"1\ta\tb\""))
    );
    assert_eq!(
        fails(&client, text, &["1\t\\N\n"]),
        (
            "null value in column \"b\" of relation \"c2\" violates not-null constraint".to_owned(),
            some("Failing row contains (1, null)."),
            some("COPY c2, line 1: \"1\t\\N\"")
        )
    );
    assert_eq!(
        fails(&client, text, &["1\ta\n2\tb\n1\tc\n"]),
        (
            "duplicate key value violates unique constraint \"c2_pkey\"".to_owned(),
            some("Key (a)=(1) already exists."),
            some("COPY c2, line 3")
        )
    );
}

#[test]
fn pgbench_loads_its_tables() {
    let client = TestCluster::shared().client();
    ok(
        &client,
        "create table pa(aid int not null, bid int, abalance int, filler char(84)) with (fillfactor=100);
         create table pb(bid int not null, bbalance int)",
    );
    let lines: String = (1..=5000).map(|aid| format!("{aid}\t{}\t0\t\n", aid % 3 + 1)).collect();
    let loaded = copy(&client, "truncate pa; copy pa from stdin with (freeze on)", &[&lines]);
    assert_eq!(loaded.expect("well formed").0, "COPY 5000");
    copy(&client, "copy pb from stdin", &["1\t0\n2\t0\n"]).expect("well formed");
    let (message, _, _) = fails(&client, "copy pb from stdin (freeze)", &[]);
    assert!(message.starts_with("cannot perform COPY FREEZE because the table was not created"), "{message}");
    ok(&client, "alter table pa add primary key (aid); alter table pb add primary key (bid)");
    let text = "alter table pa add constraint pa_bid_fkey foreign key (bid) references pb";
    assert_eq!(
        fails(&client, text, &[]),
        (
            "insert or update on table \"pa\" violates foreign key constraint \"pa_bid_fkey\"".to_owned(),
            Some("Key (bid)=(3) is not present in table \"pb\".".to_owned()),
            None
        )
    );
    let duplicate = fails(&client, "create unique index on pa(bid)", &[]);
    assert_eq!(duplicate.0, "could not create unique index \"pa_bid_idx\"");
    assert_eq!(duplicate.1, Some("Key (bid)=(1) is duplicated.".to_owned()));
    copy(&client, "copy pb from stdin", &["3\t0\n"]).expect("well formed");
    ok(&client, text);
    let (_, written) = copy(&client, "copy pa(aid) to stdout", &[]).expect("readable");
    assert_eq!(written.lines().count(), 5000);
    let io = IoSettings::default();
    client
        .run(|view| {
            let mut context = context(view, &io);
            context.in_transaction_block = false;
            for statement in kokkiri_parse::parse("vacuum analyze pa")? {
                assert_eq!(execute(&mut context, &statement.statement)?.tag, "VACUUM");
            }
            Ok(())
        })
        .expect("it can be vacuumed");
    client
        .run(|view| {
            let oid = view.find_relation(None, "pa")?.expect("a table");
            let entry = view.expect_relation(oid)?;
            // PostgreSQL has 61 rows of this kind on a page.
            assert_eq!((entry.pages, entry.tuples, entry.all_visible), (82, 5000.0, 82));
            let aid = view.statistics(oid, 1)?.expect("analyzed");
            assert_eq!((aid.distinct, aid.null_fraction, aid.width), (-1.0, 0.0, 4));
            let bid = view.statistics(oid, 2)?.expect("analyzed");
            assert_eq!((bid.distinct, bid.slots.len()), (3.0, 2));
            Ok(())
        })
        .expect("readable");
}
