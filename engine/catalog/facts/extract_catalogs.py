#!/usr/bin/env python3
"""Take the initial contents of the system catalogs, as facts, from a fresh PostgreSQL 18 cluster.

    extract_catalogs.py --psql PATH [--port N] [--user U] --out engine/catalog/facts/initial

Writes one file a catalog in COPY text format with a header line of column names. Only rows with
assigned oids (below 12000) are taken: what PostgreSQL's init makes beyond them (system views,
information_schema, text-search configurations) is code, and Kokkiri has its own. Bodies of SQL-language
functions are code as well and are left out; everything the running cluster has changed since its
bootstrap (relation sizes, freeze horizons, file numbers) is put back.
"""

import argparse
import os
import subprocess

# Which rows of a catalog were assigned their oids; default: "oid < 12000" where there is an oid.
FILTERS = {
    "pg_attribute": "attrelid < 12000",
    "pg_aggregate": "aggfnoid < 12000",
    "pg_index": "indexrelid < 12000",
    "pg_range": "rngtypid < 12000",
    "pg_description": "objoid < 12000 and classoid <> 2606",
    "pg_shdescription": "objoid < 12000",
    "pg_init_privs": "objoid < 12000",
    "pg_constraint": "conrelid < 12000 and contype in ('p', 'u')",
    "pg_auth_members": "true",
    "pg_database": "oid = 1",
    "pg_ts_config_map": "mapcfg < 12000",
    "pg_shdepend": "false", "pg_depend": "false", "pg_statistic": "false", "pg_rewrite": "false",
}
# Values that a running cluster has changed.
COLUMNS = {
    ("pg_class", "relfilenode"): "case when relfilenode = 0 then 0::oid else oid end",
    ("pg_class", "relpages"): "0", ("pg_class", "reltuples"): "-1", ("pg_class", "relallvisible"): "0",
    ("pg_class", "relallfrozen"): "0",
    ("pg_class", "relfrozenxid"): "case when relkind in ('r', 't') then 3 else 0 end",
    ("pg_class", "relminmxid"): "case when relkind in ('r', 't') then 1 else 0 end",
    ("pg_class", "relhassubclass"): "false",
    ("pg_database", "datfrozenxid"): "3", ("pg_database", "datminmxid"): "1",
    ("pg_database", "datcollate"): "'C'", ("pg_database", "datctype"): "'C'",
    ("pg_database", "datlocale"): "null", ("pg_database", "datlocprovider"): "'c'",
    ("pg_database", "datcollversion"): "null", ("pg_database", "encoding"): "6",
    ("pg_collation", "collversion"): "null",
    ("pg_authid", "rolpassword"): "null",
    ("pg_proc", "prosrc"): "case when prolang = 14 then '' else prosrc end",
    ("pg_proc", "prosqlbody"): "null", ("pg_proc", "proargdefaults"): "null",
    ("pg_constraint", "conbin"): "null",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--psql", required=True)
    parser.add_argument("--port", default="5432")
    parser.add_argument("--user", default="postgres")
    parser.add_argument("--out", required=True)
    options = parser.parse_args()
    os.makedirs(options.out, exist_ok=True)

    def ask(query):
        return subprocess.run(
            [options.psql, "-h", "127.0.0.1", "-p", options.port, "-U", options.user, "-d", "template1",
             "-AtXqc", query], check=True, capture_output=True, text=True).stdout

    catalogs = ask("""select relname from pg_class where relkind = 'r' and oid < 12000
        and relnamespace = 'pg_catalog'::regnamespace order by 1""").split()
    for catalog in catalogs:
        columns = [line.split("|") for line in ask(
            f"""select attname, atttypid::regtype from pg_attribute
                where attrelid = '{catalog}'::regclass and attnum > 0 order by attnum""").splitlines()]
        names = [name for name, _ in columns]
        rows = FILTERS.get(catalog, "oid < 12000" if "oid" in names else "true")
        expressions = []
        for name, kind in columns:
            expression = COLUMNS.get((catalog, name), f'"{name}"')
            if kind.startswith("reg") and not kind.endswith("[]"):
                expression = f"({expression})::oid"
            expressions.append(expression)
        order = 't."oid"' if "oid" in names else ", ".join(f't."{name}"' for name in names[:3])
        text = ask(f"copy (select {', '.join(expressions)} from {catalog} t where {rows} order by {order}) to stdout")
        if not text:
            continue
        with open(os.path.join(options.out, catalog + ".tsv"), "w") as out:
            out.write("\t".join(names) + "\n" + text)
    defaults = ask("""select p.oid, pg_get_function_arguments(p.oid) from pg_proc p
        where p.oid < 12000 and p.pronargdefaults > 0 order by 1""").replace("|", "\t")
    with open(os.path.join(options.out, "proargdefaults.tsv"), "w") as out:
        out.write("oid\targuments\n" + defaults)


if __name__ == "__main__":
    main()
