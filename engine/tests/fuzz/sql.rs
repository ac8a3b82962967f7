//! SQL text. The statements are those of `integration-tests/sql`, damaged, and calls of every function and
//! operator there is. Whatever a client sends: it is answered by rows or by an SQLSTATE other than
//! "internal error", in bounded time, and the session is usable behind it.
//!
//! Sessions belong to a role without superuser rights, so that no statement gets at the machine's files.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kokkiri_engine::TransactionState;
use kokkiri_engine::activity::Interrupt;
use kokkiri_fuzzing::{Dice, Limits, mutate_in_place, run};

use crate::server::{Client, Server};
use crate::values::literal;
use crate::{as_the_server_does, is_usable, lives_on};

/// Statements are canceled after this; what doesn't heed that hangs.
const STATEMENT_TIMEOUT: Duration = Duration::from_millis(400);
const LIMITS: Limits = Limits { input: Duration::from_secs(40), memory: 6 << 30 };

/// The scripts, each as its statements. Lines for psql alone are left out.
fn scripts() -> Vec<Vec<String>> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../integration-tests/sql");
    let mut paths: Vec<_> = std::fs::read_dir(directory)
        .expect("the scripts are there")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sql"))
        .collect();
    paths.sort();
    let statements = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).expect("readable");
        let lines: Vec<_> =
            text.lines().filter(|line| !line.starts_with('\\') && !line.starts_with("--")).collect();
        let statements = lines.join("\n");
        let statements = statements.split_inclusive(";\n").map(|text| text.trim().to_owned());
        statements.filter(|text| !text.is_empty() && text.len() < 4000).collect::<Vec<_>>()
    };
    paths.iter().map(statements).filter(|script| !script.is_empty()).collect()
}

/// Words, numbers, strings, white space and single signs, as a lexer without ambitions sees them.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let word = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
        let len = match first {
            '\'' | '"' => rest[1..].find(first).map_or(rest.len(), |end| end + 2),
            c if word(c) => rest.find(|c| !word(c)).unwrap_or(rest.len()),
            c if c.is_whitespace() => rest.find(|c: char| !c.is_whitespace()).unwrap_or(rest.len()),
            c => c.len_utf8(),
        };
        tokens.push(rest[..len].to_owned());
        rest = &rest[len..];
    }
    tokens
}

const TYPES: &[&str] = &[
    "smallint",
    "integer",
    "bigint",
    "numeric",
    "real",
    "double precision",
    "text",
    "date",
    "interval",
    "bytea",
    "timestamp with time zone",
    "boolean",
    "integer[]",
    "jsonb",
    "name",
    "bit varying",
    "oid",
];

const PHRASES: &[&str] = &[
    " order by 1 ",
    " limit 1 ",
    " offset 3 ",
    " group by 1 ",
    " having true ",
    " union all select 1 ",
    " returning * ",
    " where false ",
    " distinct ",
    " is null ",
    " between 1 and 2 ",
    " in (1, 2) ",
    " and ",
    " or ",
    " not ",
    " over () ",
    " within group (order by 1) ",
    " filter (where true) ",
    " lateral ",
    " for update ",
    " cascade ",
    " if exists ",
    " collate \"C\" ",
    " at time zone 'UTC' ",
    " with ordinality ",
    " tablesample system (1) ",
    " :: ",
    " [1] ",
    " [1:2] ",
    " . ",
    " * ",
    " ( ",
    " ) ",
    " , ",
    " ; ",
    " $1 ",
    " -- ",
    " /* ",
    " $$ ",
    " ' ",
    " \" ",
    " E'\\",
    " U&'\\",
    " x'1F' ",
    " b'101' ",
    " 1e ",
    " 0x ",
    " 1_000 ",
    " \u{e4}\u{20ac} ",
    " \u{0} ",
];

/// Damages one statement. `others` lend words.
fn damage(dice: &mut Dice, statement: &str, others: &[String]) -> String {
    let mut tokens = tokens(statement);
    for _ in 0..1 + dice.below(3) {
        let at = dice.below(tokens.len());
        if tokens.is_empty() {
            break;
        }
        match dice.below(14) {
            0 => {
                tokens.remove(at);
            }
            1 => {
                let other = dice.below(tokens.len());
                tokens.swap(at, other);
            }
            2 => tokens.insert(at, (*dice.pick(PHRASES)).to_owned()),
            3 | 4 => {
                let words = self::tokens(dice.pick(others).as_str());
                if !words.is_empty() {
                    tokens[at] = dice.pick(&words).clone();
                }
            }
            5 => {
                let of = *dice.pick(TYPES);
                tokens[at] = literal(dice, of);
            }
            6 => tokens[at].push_str(&format!("::{}", dice.pick(TYPES))),
            7 => {
                let times = *dice.pick(&[1, 2, 10, 300]);
                let end = (at + 1 + dice.below(4)).min(tokens.len());
                let piece: Vec<_> = tokens[at..end].to_vec();
                let repeated: Vec<_> = (0..times).flat_map(|_| piece.clone()).collect();
                tokens.splice(at..at, repeated);
            }
            8 => {
                let times = *dice.pick(&[1, 3, 100, 3000]);
                tokens[at] = format!("{}{}{}", "(".repeat(times), tokens[at], ")".repeat(times));
            }
            9 => tokens.truncate(at),
            10 => {
                let other = self::tokens(dice.pick(others).as_str());
                let from = dice.below(other.len());
                tokens.truncate(at);
                tokens.extend_from_slice(&other[from.min(other.len())..]);
            }
            11 => tokens[at] = format!("(select {} from {})", tokens[at], literal(dice, "integer")),
            12 => tokens[at] = format!("coalesce({}, {})", tokens[at], literal(dice, "text")),
            _ => {
                let mut bytes = tokens.concat().into_bytes();
                mutate_in_place(dice, &mut bytes);
                return String::from_utf8_lossy(&bytes).into_owned();
            }
        }
    }
    tokens.concat()
}

/// A server with a role for the inputs' sessions.
fn server(name: &str) -> Server {
    let server = Server::new(name);
    let mut owner = server.connect();
    for statement in [
        "create role fuzz login createrole",
        "grant create, temporary on database postgres to fuzz",
        "grant create on schema public to fuzz",
        "alter role fuzz set synchronous_commit = off",
    ] {
        assert!(!owner.query(statement).contains("ERROR"), "{statement}");
    }
    server
}

fn connect(server: &Server) -> Client {
    let mut client = server.connect_as("fuzz");
    let answer = client.query(&format!("set statement_timeout = {}", STATEMENT_TIMEOUT.as_millis()));
    assert_eq!(answer, "SET\n");
    client
}

/// One statement of an input; false if it was the session's last.
fn answered(client: &mut Client, statement: &str) -> bool {
    // A statement can switch its timeout off, but not this.
    let backend = Arc::clone(client.session.backend());
    let cancel = tokio::spawn(async move {
        tokio::time::sleep(2 * STATEMENT_TIMEOUT).await;
        backend.interrupt(Interrupt::Cancel);
    });
    let (_, outcome) = client.ask(statement);
    cancel.abort();
    if let Err(error) = &outcome {
        let code = error.sqlstate().to_string();
        let ours = code.starts_with("XX") && !is_known(error.message());
        assert!(!ours, "{code} {}\n{statement}", error.message());
    }
    lives_on(statement, &outcome)
}

/// The answer of [`kokkiri_engine::NoPasswords`], which stands in for the server here.
fn is_known(message: &str) -> bool {
    message == "no passwords are set here"
}

#[test]
fn damaged_statements_are_answered() {
    as_the_server_does(|| {
        let (server, scripts) = (server("fuzz-sql"), scripts());
        let mut owner = server.connect();
        run("damaged_statements_are_answered", LIMITS, |dice| {
            let mut client = connect(&server);
            // A few statements of one script in order, so that there are tables; some are damaged.
            let script = dice.pick(&scripts);
            let first = if dice.once_in(2) { 0 } else { dice.below(script.len()) };
            let lender = dice.pick(&scripts);
            for statement in script.iter().skip(first).take(25) {
                let statement =
                    if dice.once_in(2) { damage(dice, statement, lender) } else { statement.clone() };
                if !answered(&mut client, &statement) || !is_usable(&mut client, &statement) {
                    break;
                }
                if client.session.state() == TransactionState::Failed && dice.once_in(2) {
                    client.query("rollback");
                }
            }
            drop(client);
            for statement in
                ["drop schema if exists public cascade", "create schema public authorization fuzz"]
            {
                let answer = owner.query(statement);
                assert!(!answer.contains("ERROR"), "{statement}: {answer}");
            }
        });
        drop(owner);
    });
}

/// A query's rows of two columns; the first may have any sign in it.
fn pairs(client: &mut Client, query: &str) -> Vec<(String, String)> {
    let answer = client.query(query);
    let lines: Vec<_> = answer.lines().collect();
    assert!(lines.len() > 100, "{answer}");
    let rows = lines[1..lines.len() - 1].iter();
    rows.map(|line| line.rsplit_once('|').expect("two columns"))
        .map(|(one, other)| (one.to_owned(), other.to_owned()))
        .collect()
}

/// Names and argument types of what can be called.
fn callables(client: &mut Client, query: &str) -> Vec<(String, Vec<String>)> {
    let types: HashMap<_, _> = pairs(client, "select format_type(oid, null), oid from pg_type")
        .into_iter()
        .map(|(name, oid)| (oid, name))
        .collect();
    let arguments = |oids: &str| oids.split_whitespace().map(|oid| types[oid].clone()).collect();
    pairs(client, query)
        .into_iter()
        .map(|(name, oids)| (name, arguments(&oids)))
        .filter(|(_, types): &(_, Vec<String>)| {
            !types.iter().any(|name| name == "internal" || name == "cstring")
        })
        .collect()
}

const FUNCTIONS: &str = "select proname, proargtypes from pg_proc
where prokind in ('f', 'a', 'w') and proname not like 'pg\\_sleep%' and proname not like 'binary\\_upgrade%'
  and proname not in ('pg_terminate_backend', 'pg_cancel_backend') and prorettype <> 2279
order by oid";

const OPERATORS: &str = "select oprname, oprleft::text || ' ' || oprright::text from pg_operator
where oprleft <> 0 order by oid";

#[test]
fn functions_take_any_value() {
    as_the_server_does(|| {
        let server = server("fuzz-functions");
        let mut client = connect(&server);
        let functions = callables(&mut client, FUNCTIONS);
        let operators = callables(&mut client, OPERATORS);
        run("functions_take_any_value", LIMITS, |dice| {
            let call = |dice: &mut Dice| {
                if dice.once_in(3) {
                    let (name, types) = dice.pick(&operators);
                    let (left, right) = (literal(dice, &types[0]), literal(dice, &types[1]));
                    return format!("{left} operator(pg_catalog.{name}) {right}");
                }
                let (name, types) = dice.pick(&functions);
                let arguments: Vec<_> = types.iter().map(|name| literal(dice, name)).collect();
                format!("{name}({})", arguments.join(", "))
            };
            let expression = call(dice);
            let statement = match dice.below(5) {
                0 => format!("select ({expression})::text from generate_series(1, 3)"),
                1 => format!("select 1 where ({expression}) is not null"),
                2 => format!("select ({expression}) = ({})", call(dice)),
                _ => format!("select {expression}"),
            };
            if !answered(&mut client, &statement) || !is_usable(&mut client, &statement) {
                client = connect(&server);
            }
        });
        drop(client);
    });
}
