//! Values at the edge of their types, as SQL writes them.

use kokkiri_fuzzing::Dice;

const INTEGERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "7",
    "63",
    "64",
    "100",
    "1000",
    "32767",
    "-32768",
    "65536",
    "2147483647",
    "-2147483648",
    "2147483648",
    "9223372036854775807",
    "-9223372036854775808",
];
const NUMERICS: &[&str] = &[
    "0",
    "0.5",
    "-1",
    "1e-20",
    "-0.00000001",
    "99999999999999999999999999.99",
    "1e1000",
    "1e131071",
    "1e-16383",
    "123456789.987654321",
    "NaN",
    "Infinity",
    "-Infinity",
];
const FLOATS: &[&str] = &[
    "0",
    "-0",
    "1",
    "-1.5",
    "1e308",
    "-1e308",
    "1e-307",
    "4e-320",
    "9.3e18",
    "NaN",
    "Infinity",
    "-Infinity",
];
const TEXTS: &[&str] = &[
    "",
    "a",
    "abc",
    "ä€𐍈",
    "%",
    "_%\\_",
    "\\",
    "a,b,,c",
    " x ",
    "(a|b)*",
    "[[:alpha:]]",
    "(",
    "\\1",
    "x{1,1000}",
    "YYYY-MM-DD HH24:MI:SS.US TZ",
    "FM999,999.00S",
    "9EEEE",
    "RN",
    "IYYY-IW-ID J Q CC",
    "utf8",
    "hex",
    "base64",
    "escape",
    "day",
    "epoch",
    "century",
    "isodow",
    "UTC",
    "Europe/Berlin",
    "%s %I %L %1$s %",
    "pg_class",
    "public",
    "on",
    "1",
    "-1",
    "0x1F",
    "1e5",
    "NaN",
    "{1,2,NULL}",
    "[1,2)",
    "{\"a\": [1, 2]}",
    "2001-02-29",
];
const DATES: &[&str] =
    &["2000-01-01", "4713-01-01 BC", "4714-11-24 BC", "5874897-12-31", "infinity", "-infinity", "2024-02-29"];
const TIMESTAMPS: &[&str] = &[
    "2000-01-01 00:00:00",
    "4714-11-24 00:00:00 BC",
    "294276-12-31 23:59:59.999999",
    "infinity",
    "-infinity",
    "2024-02-29 23:59:59.5",
    "1970-01-01",
];
const TIMES: &[&str] = &["00:00:00", "24:00:00", "23:59:59.999999", "12:34:56.5"];
const INTERVALS: &[&str] = &[
    "0",
    "1 day",
    "-1 month",
    "178000000 years",
    "-178000000 years",
    "2147483647 days",
    "9223372036854775807 microseconds",
    "1 mon 1 day -1 us",
    "infinity",
    "-infinity",
];
const BITS: &[&str] =
    &["", "0", "1", "10101010101", "1111111111111111111111111111111111111111111111111111111111111111"];
const BYTES: &[&str] = &["", "\\\\x", "\\\\x00", "\\\\xdeadbeef", "abc", "\\\\000"];
const JSON: &[&str] =
    &["{}", "[]", "null", "1e400", "\"a\\u0000\"", "{\"a\":{\"b\":[1,null,{\"c\":\"d\"}]}}", "[[[[1]]]]"];

/// A literal of the type, or of something else now and then, with or without saying which.
pub fn literal(dice: &mut Dice, type_name: &str) -> String {
    if dice.once_in(12) {
        return "null".to_owned();
    }
    if let Some(element) = type_name.strip_suffix("[]") {
        return array(dice, element);
    }
    let of: &[&str] = match type_name {
        "smallint" | "integer" | "bigint" | "oid" | "xid" | "cid" | "xid8" => INTEGERS,
        "numeric" => NUMERICS,
        "real" | "double precision" => FLOATS,
        "date" => DATES,
        "time without time zone" | "time with time zone" => TIMES,
        "timestamp without time zone" | "timestamp with time zone" => TIMESTAMPS,
        "interval" => INTERVALS,
        "bit" | "bit varying" => BITS,
        "bytea" => BYTES,
        "json" | "jsonb" => JSON,
        "boolean" => &["true", "false"],
        "tid" => &["(0,0)", "(0,1)", "(4294967295,65535)"],
        "pg_lsn" => &["0/0", "FFFFFFFF/FFFFFFFF", "0/1"],
        "name" | "text" | "character varying" | "character" | "\"char\"" | "cstring" | "unknown" => TEXTS,
        "anyelement" | "anycompatible" | "any" | "\"any\"" | "anynonarray" => {
            let of = *dice.pick(&["integer", "numeric", "text", "boolean", "date", "double precision"]);
            return literal(dice, of);
        }
        "anyarray" | "anycompatiblearray" => {
            let of = *dice.pick(&["integer", "text", "numeric"]);
            return array(dice, of);
        }
        _ if dice.once_in(2) => TEXTS,
        _ => INTEGERS,
    };
    let mut text = dice.pick(of).replace('\'', "''");
    if type_name == "text" && dice.once_in(20) {
        text = text.repeat(1 + dice.below(3000));
    }
    match dice.below(8) {
        0 => format!("'{text}'"),
        1 if of == INTEGERS => text,
        _ => format!("'{text}'::{type_name}"),
    }
}

fn array(dice: &mut Dice, element: &str) -> String {
    match dice.below(8) {
        0 => format!("'{{}}'::{element}[]"),
        1 => format!("'{{NULL}}'::{element}[]"),
        2 => format!("'[-2147483648:-2147483647]={{1,2}}'::{element}[]"),
        3 => format!("'{{{{1,2}},{{3,4}}}}'::{element}[]"),
        4 => format!("'[2147483646:2147483647]={{1,2}}'::{element}[]"),
        _ => {
            let elements: Vec<_> = (0..1 + dice.below(4)).map(|_| literal(dice, element)).collect();
            format!("array[{}]::{element}[]", elements.join(", "))
        }
    }
}
