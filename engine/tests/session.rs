//! A session from the outside, without a socket.

mod server;

use server::Server;

#[test]
fn queries_are_answered() {
    let server = Server::new("queries");
    let mut client = server.connect();
    for (text, expected) in [
        ("select 1 as one, 'a' || 'b'", "one|?column?\n1|ab\nSELECT 1\n"),
        ("", "empty\n"),
        ("select count(*) > 3000 from pg_proc", "?column?\nt\nSELECT 1\n"),
        ("select relname from pg_class where oid = 1259", "relname\npg_class\nSELECT 1\n"),
        (
            "select c.relname, a.attname from pg_class c join pg_attribute a on a.attrelid = c.oid \
             where c.relname = 'pg_am' and attnum > 0 order by attnum",
            "relname|attname\npg_am|oid\npg_am|amname\npg_am|amhandler\npg_am|amtype\nSELECT 4\n",
        ),
        ("select g, g * g from generate_series(1, 3) g", "g|?column?\n1|1\n2|4\n3|9\nSELECT 3\n"),
        ("select 1/0", "ERROR 22012: division by zero\n"),
        ("selec 1", "ERROR 42601: syntax error at or near \"selec\"\n"),
        ("select * from nothing", "ERROR 42P01: relation \"nothing\" does not exist\n"),
    ] {
        assert_eq!(client.query(text), expected, "{text}");
    }
}

#[test]
fn a_failed_block_waits_for_its_end() {
    let server = Server::new("block");
    let mut client = server.connect();
    for (text, expected) in [
        ("begin", "BEGIN\n"),
        ("select 1/0", "ERROR 22012: division by zero\n"),
        (
            "select 1",
            "ERROR 25P02: current transaction is aborted, commands ignored until end of transaction block\n",
        ),
        ("commit", "ROLLBACK\n"),
        ("commit", "WARNING: there is no transaction in progress\nCOMMIT\n"),
        ("begin; savepoint a", "BEGIN\nSAVEPOINT\n"),
        ("select 1/0", "ERROR 22012: division by zero\n"),
        ("rollback to a; select 2", "ROLLBACK\n?column?\n2\nSELECT 1\n"),
        ("rollback to a; select 3", "ROLLBACK\n?column?\n3\nSELECT 1\n"),
        ("release a; commit", "RELEASE\nCOMMIT\n"),
    ] {
        assert_eq!(client.query(text), expected, "{text}");
    }
}
