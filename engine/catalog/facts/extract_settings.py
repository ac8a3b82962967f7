#!/usr/bin/env python3
"""Take the facts about PostgreSQL 18's parameters from a running server.

    extract_settings.py --psql PATH [--port N] [--user U] > engine/primitives/src/settings/parameters.rs

Names, types, units, bounds, defaults and descriptions are facts of PostgreSQL's interface. Defaults that
the build or the machine decides (paths, locale) are replaced by ours below.
"""

import argparse
import json
import subprocess

# Reported to the client whenever they change (GUC_REPORT): documented with the ParameterStatus message.
REPORTED = {
    "application_name", "client_encoding", "DateStyle", "default_transaction_read_only", "in_hot_standby",
    "integer_datetimes", "IntervalStyle", "is_superuser", "scram_iterations", "search_path",
    "server_encoding", "server_version", "session_authorization", "standard_conforming_strings", "TimeZone",
}
# Lists of names, quoted element by element when shown in SET statements.
LISTS = {"DateStyle", "search_path", "session_preload_libraries", "shared_preload_libraries",
         "local_preload_libraries", "temp_tablespaces", "unix_socket_directories", "debug_io_direct",
         "log_destination", "wal_consistency_checking", "createrole_self_grant", "listen_addresses",
         "synchronous_standby_names", "synchronized_standby_slots", "restrict_nonsystem_relation_kind",
         "log_connections"}
# Parameters that exist but that pg_settings does not list.
HIDDEN = [
    dict(name="is_superuser", vartype="bool", unit=None, category="Reporting and Logging / What to Log",
         short_desc="Shows whether the current user is a superuser.", extra_desc=None, context="internal",
         min_val=None, max_val=None, enumvals=None, boot_val="off", flags=["NO_SHOW_ALL", "NO_RESET_ALL"]),
    dict(name="role", vartype="string", unit=None, category="Client Connection Defaults / Other Defaults",
         short_desc="Sets the current role.", extra_desc=None, context="user", min_val=None, max_val=None,
         enumvals=None, boot_val="none", flags=["NO_SHOW_ALL", "NO_RESET_ALL"]),
    dict(name="session_authorization", vartype="string", unit=None,
         category="Client Connection Defaults / Other Defaults",
         short_desc="Sets the session user name.", extra_desc=None, context="user", min_val=None, max_val=None,
         enumvals=None, boot_val="", flags=["NO_SHOW_ALL", "NO_RESET_ALL"]),
    dict(name="seed", vartype="real", unit=None, category="Client Connection Defaults / Other Defaults",
         short_desc="Sets the seed for random-number generation.", extra_desc=None, context="user",
         min_val="-1", max_val="1", enumvals=None, boot_val="0", flags=["NO_SHOW_ALL", "NO_RESET_ALL"]),
]
DEFAULTS = {"server_version": "18.4 (Kokkiri 0.1.0)", "server_version_num": "180004", "lc_messages": "C",
            "unix_socket_directories": "/tmp", "krb_server_keyfile": "", "ssl_library": "rustls"}
# Words that depend on what a PostgreSQL was built with.
WORDS = {"wal_compression": ["pglz", "lz4", "on", "off"], "default_toast_compression": ["pglz", "lz4"]}


def quoted(text):
    return json.dumps(text, ensure_ascii=False)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--psql", required=True)
    parser.add_argument("--port", default="5432")
    parser.add_argument("--user", default="postgres")
    options = parser.parse_args()
    query = """select json_agg(s) from (select name, vartype, unit, category, short_desc, extra_desc, context,
        min_val, max_val, enumvals, boot_val, pg_settings_get_flags(name) as flags from pg_settings) s"""
    answer = subprocess.run(
        [options.psql, "-h", "127.0.0.1", "-p", options.port, "-U", options.user, "-AtXc", query],
        check=True, capture_output=True, text=True).stdout
    rows = sorted(json.loads(answer) + HIDDEN, key=lambda row: row["name"].lower())
    print("""//! PostgreSQL 18's parameters, as facts: made by `engine/catalog/facts/extract_settings.py`.
//!
//! Each parameter has a typed constant, its index in [`PARAMETERS`], which is sorted by lower-case name.

use super::parameter::{Bool, Context, Enum, Int, Kind, Parameter, Real, Text, Unit};
""")
    kinds = {"bool": "Bool", "integer": "Int", "real": "Real", "string": "Text", "enum": "Enum"}
    for index, row in enumerate(rows):
        print(f"pub const {row['name'].upper()}: {kinds[row['vartype']]} = {kinds[row['vartype']]}({index});")
    print("\n#[rustfmt::skip]\npub static PARAMETERS: &[Parameter] = &[")
    units = {None: "None", "B": "Bytes", "kB": "Kilobytes", "MB": "Megabytes", "8kB": "Blocks",
             "ms": "Milliseconds", "s": "Seconds", "min": "Minutes"}
    for row in rows:
        kind = row["vartype"]
        boot = DEFAULTS.get(row["name"], row["boot_val"] or "")
        if kind == "integer":
            text = f"Kind::Int {{ min: {row['min_val']}, max: {row['max_val']} }}"
        elif kind == "real":
            low, high = (repr(float(row[key])) for key in ("min_val", "max_val"))
            if high == "1.79769e+308":
                high = "f64::MAX"
            text = f"Kind::Real {{ min: {low}, max: {high} }}"
        elif kind == "enum":
            text = "Kind::Enum { values: &[" + ", ".join(quoted(v) for v in WORDS.get(row["name"], row["enumvals"])) + "] }"
        else:
            text = {"bool": "Kind::Bool", "string": "Kind::Text"}[kind]
        context = "".join(part.capitalize() for part in row["context"].split("-"))
        flags = row["flags"]
        fields = [
            f"name: {quoted(row['name'])}", f"kind: {text}", f"unit: Unit::{units[row['unit']]}",
            f"context: Context::{context}", f"boot: {quoted(boot)}", f"category: {quoted(row['category'])}",
            f"description: {quoted(row['short_desc'])}", f"extra: {quoted(row['extra_desc'] or '')}",
            f"reported: {str(row['name'] in REPORTED).lower()}",
            f"explain: {str('EXPLAIN' in flags).lower()}",
            f"resettable: {str('NO_RESET' not in flags).lower()}",
            f"reset_all: {str('NO_RESET_ALL' not in flags).lower()}",
            f"listed: {str('NO_SHOW_ALL' not in flags).lower()}",
            f"list: {str(row['name'] in LISTS).lower()}",
        ]
        print("    Parameter { " + ", ".join(fields) + " },")
    print("];")


if __name__ == "__main__":
    main()
