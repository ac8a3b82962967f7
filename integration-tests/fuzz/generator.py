"""Random schemas and random valid statements over them, for the differential tester.

Every statement has one answer: a LIMIT stands only on rows ordered by all their columns, a scalar subquery yields at
most one row, and nothing depends on the order of evaluation (no division, no overflow).
"""

TYPES = ("int", "bigint", "text", "numeric", "bool", "date")
WORDS = ("", "a", "b", "ab", "B", "zz", "a b")


class Column:
    def __init__(self, name, type_name):
        self.name = name
        self.type = type_name


class Table:
    def __init__(self, name, columns):
        self.name = name
        self.columns = columns


class Schema:
    """Tables with nulls, duplicates and indexes."""

    def __init__(self, random):
        self.random = random
        self.tables = [self.table(number) for number in range(random.randint(2, 4))]
        self.script = [line for table in self.tables for line in self.definition(table)]

    def table(self, number):
        types = ["int", "int"] + [self.random.choice(TYPES) for _ in range(self.random.randint(1, 3))]
        return Table(f"t{number}", [Column("abcdef"[at], kind) for at, kind in enumerate(types)])

    def definition(self, table):
        random = self.random
        columns = ", ".join(f"{column.name} {column.type}" for column in table.columns)
        yield f"create table {table.name} ({columns})"
        if random.random() < 0.15:
            yield self.many_rows(table)
        elif rows := random.choice((0, 1, 3, 8, 20)):
            nulls, spread = random.choice((0.0, 0.15, 0.5)), random.choice((3, 6, 30))
            values = (", ".join(value(random, column.type, nulls, spread) for column in table.columns)
                      for _ in range(rows))
            yield f"insert into {table.name} values " + ", ".join(f"({row})" for row in values)
        for number in range(random.randint(0, 2)):
            chosen = random.sample(table.columns, random.randint(1, 2))
            keys = ", ".join(column.name + random.choice(("", "", " desc", " nulls first")) for column in chosen)
            yield f"create index {table.name}_i{number} on {table.name} ({keys})"
        if random.random() < 0.6:
            yield f"analyze {table.name}"

    def many_rows(self, table):
        """Some hundred rows in one short statement: enough to overflow a small work_mem once they are joined."""
        def computed(kind):
            number = f"(g * {self.random.choice((1, 7, 13, 37))} % {self.random.choice((3, 10, 50, 200))})"
            text = {"text": f"'w' || {number}", "bool": f"{number} < 2", "date": f"date '2020-01-01' + {number}::int",
                    "numeric": f"{number} / 2.0"}.get(kind, number)
            return f"case when g % {self.random.choice((5, 9, 1000))} > 0 then {text} end"
        columns = ", ".join(computed(column.type) for column in table.columns)
        return f"insert into {table.name} select {columns} from generate_series(1, {self.random.randint(50, 200)}) g"


def value(random, kind, nulls=0.1, spread=6):
    """A constant of a type."""
    if random.random() < nulls:
        return f"null::{kind}"
    number = random.randint(-1, spread)
    return {
        "int": str(number) if number >= 0 else f"({number})",
        "bigint": f"'{number}'::bigint",
        "text": f"'{random.choice(WORDS)}'::text",
        "numeric": f"{random.choice((number, number + 0.5))}::numeric" if number >= 0 else f"({number})::numeric",
        "bool": random.choice(("true", "false")),
        "date": f"date '2020-01-{number % 28 + 1:02}'",
    }[kind]


class Scope:
    """The columns in sight, the nearest query's first."""

    def __init__(self, columns, outer=None):
        self.columns = columns
        self.outer = outer

    def of_type(self, kind, random):
        scope, found = self, []
        while scope:
            found = [column.name for column in scope.columns if column.type == kind]
            if found and not (scope.outer and random.random() < 0.25):
                return found
            scope = scope.outer
        return found


class Generator:
    def __init__(self, random, schema):
        self.random = random
        self.schema = schema
        self.names = 0

    def chance(self, probability):
        return self.random.random() < probability

    def pick(self, *choices):
        return self.random.choice(choices)

    def alias(self):
        self.names += 1
        return f"x{self.names}"

    # Expressions.

    def expression(self, kind, scope, depth=2):
        if depth > 0 and self.chance(0.3):
            made = self.computed(kind, scope, depth - 1)
            if made:
                return made
        names = scope.of_type(kind, self.random)
        if names and self.chance(0.85):
            return self.random.choice(names)
        return value(self.random, kind)

    def computed(self, kind, scope, depth):
        sub = lambda wanted: self.expression(wanted, scope, depth)
        choice = self.random.randint(0, 6)
        if choice == 0:
            return f"coalesce({sub(kind)}, {sub(kind)})"
        if choice == 1:
            other = f" else {sub(kind)}" if self.chance(0.7) else ""
            return f"case when {self.condition(scope, depth)} then {sub(kind)}{other} end"
        if choice == 2 and depth > 0:
            return self.scalar_subquery(kind, scope, depth)
        if choice == 3:
            return f"nullif({sub(kind)}, {sub(kind)})"
        if kind in ("int", "numeric"):
            return f"({sub(kind)} {self.pick('+', '-', '*')} {value(self.random, kind, 0.05, 3)})"
        if kind == "bigint":
            return f"({sub('int')} + {sub('bigint')})"
        if kind == "text":
            return self.pick(f"({sub('text')} || {sub('text')})", f"upper({sub('text')})", f"({sub('int')})::text")
        if kind == "bool":
            return f"({self.condition(scope, depth)})"
        return None

    def scalar_subquery(self, kind, scope, depth):
        source, columns = self.source(1, scope, depth - 1)
        inner = Scope(columns, scope)
        where = f" where {self.condition(inner, depth - 1)}" if self.chance(0.7) else ""
        if kind == "bigint":
            return f"(select count(*) from {source}{where})"
        # Of the subquery's own columns: an aggregate of outer ones alone would be the outer query's.
        argument = self.expression(kind, Scope(columns), 0)
        if kind == "bool":
            return f"(select bool_or({argument}) from {source}{where})"
        return f"(select {self.pick('min', 'max')}({argument}) from {source}{where})"

    def comparison(self, scope, depth):
        kind = self.random.choice(TYPES)
        operator = self.pick("=", "=", "=", "<>", "<", "<=", ">", ">=")
        left, right = self.expression(kind, scope, depth), self.expression(kind, scope, depth)
        if kind == "int" and self.chance(0.2):
            right = self.expression("bigint", scope, depth)
        return f"{left} {operator} {right}"

    def condition(self, scope, depth=2):
        choice = self.random.randint(0, 16)
        if choice < 6 or depth <= 0:
            return self.comparison(scope, max(depth - 1, 0))
        if choice == 16:
            return self.row_comparison(scope, depth - 1)
        if choice < 8:
            parts = [self.condition(scope, depth - 1) for _ in range(self.random.randint(2, 3))]
            return "(" + self.pick(" and ", " and ", " or ").join(parts) + ")"
        kind = self.random.choice(TYPES)
        if choice == 8:
            return f"not ({self.condition(scope, depth - 1)})"
        if choice == 9:
            return f"{self.expression(kind, scope, depth - 1)} is {self.pick('', 'not ')}null"
        if choice == 10:
            constants = ", ".join(value(self.random, kind, 0.05) for _ in range(self.random.randint(1, 4)))
            return f"{self.expression(kind, scope, depth - 1)} {self.pick('', 'not ')}in ({constants})"
        if choice == 11:
            operator = self.pick("is distinct from", "is not distinct from")
            return f"{self.expression(kind, scope, 0)} {operator} {self.expression(kind, scope, 0)}"
        if choice == 12:
            return f"{self.expression(kind, scope, 0)} between {value(self.random, kind)} and {value(self.random, kind)}"
        return self.sublink(kind, scope, depth)

    def row_comparison(self, scope, depth):
        kinds = [self.random.choice(TYPES) for _ in range(2)]
        row = lambda: "(" + ", ".join(self.expression(kind, scope, 0) for kind in kinds) + ")"
        form = self.random.randint(0, 3)
        if form == 0 and depth > 0:
            source, columns = self.source(1, scope, depth - 1)
            outputs = ", ".join(self.expression(kind, Scope(columns), 0) for kind in kinds)
            where = f" where {self.condition(Scope(columns, scope), 0)}" if self.chance(0.5) else ""
            return f"{row()} {self.pick('in', 'not in')} (select {outputs} from {source}{where})"
        if form == 1:
            return f"{row()} {self.pick('in', 'not in')} ({row()}, {row()})"
        return f"{row()} {self.pick('=', '<>', '<', '<=', '>', '>=', 'is distinct from')} {row()}"

    def sublink(self, kind, scope, depth):
        """IN, EXISTS and quantified comparisons with subqueries, correlated or not."""
        if self.chance(0.15):
            query, _ = self.select(scope, depth - 1, kinds=[kind], ordered=False)
            return f"{self.expression(kind, scope, 0)} {self.pick('in', 'not in')} ({query})"
        source, columns = self.source(self.pick(1, 1, 2), scope, depth - 1)
        inner = Scope(columns, scope)
        where = f" where {self.condition(inner, depth - 1)}" if self.chance(0.8) else ""
        form = self.random.randint(0, 9)
        if form < 4:
            return f"{self.pick('', 'not ')}exists (select {self.pick('1', '*')} from {source}{where})"
        output = self.expression(kind, Scope(columns), 0)
        if form < 8:
            return f"{self.expression(kind, scope, 0)} {self.pick('in', 'not in')} (select {output} from {source}{where})"
        quantified = f"{self.pick('=', '<', '>=', '<>')} {self.pick('any', 'all')}"
        return f"{self.expression(kind, scope, 0)} {quantified} (select {output} from {source}{where})"

    # FROM.

    def source(self, count, outer, depth):
        """`count` relations joined in some nesting: the text and the columns it offers."""
        if count == 1:
            return self.relation(outer, depth)
        left_count = self.random.randint(1, count - 1)
        left, left_columns = self.source(left_count, outer, depth)
        right, right_columns = self.source(count - left_count, outer, depth)
        columns = left_columns + right_columns
        if count - left_count > 1 or self.chance(0.3):
            right = f"({right})" if " join " in right else right
        kind = self.pick("join", "join", "left join", "left join", "right join", "full join", "cross join")
        if kind == "cross join":
            return f"{left} cross join {right}", columns
        if self.chance(0.1) and all(any(column.name.endswith(".a") and column.type == "int" for column in side)
                                    and sum(column.name.endswith(".a") for column in side) == 1
                                    for side in (left_columns, right_columns)):
            return f"{left} {kind} {right} using (a)", columns
        if kind == "full join":
            condition = self.equality(left_columns, right_columns)
        elif self.chance(0.8):
            condition = self.equality(left_columns, right_columns)
            if self.chance(0.3):
                condition += f" and {self.condition(Scope(columns, outer), 1 if depth > 0 else 0)}"
        else:
            condition = self.condition(Scope(columns, outer), 1 if depth > 0 else 0)
        return f"{left} {kind} {right} on {condition}", columns

    def equality(self, left, right):
        pairs = [(a, b) for a in left for b in right if a.type == b.type]
        if not pairs:
            return "true"
        chosen = [self.random.choice(pairs) for _ in range(self.pick(1, 1, 2))]
        return " and ".join(f"{a.name} = {b.name}" for a, b in chosen)

    def relation(self, outer, depth):
        alias = self.alias()
        choice = self.random.randint(0, 19)
        if choice == 0:
            series = f"generate_series({self.random.randint(-1, 2)}, {self.random.randint(0, 6)})"
            return f"{series} as {alias} (a)", [Column(f"{alias}.a", "int")]
        if choice == 1:
            kinds = [self.random.choice(TYPES) for _ in range(self.random.randint(1, 3))]
            rows = [
                "(" + ", ".join(value(self.random, kind, 0.2) for kind in kinds) + ")"
                for _ in range(self.random.randint(1, 4))
            ]
            names = ["abc"[at] for at in range(len(kinds))]
            columns = [Column(f"{alias}.{name}", kind) for name, kind in zip(names, kinds)]
            return f"(values {', '.join(rows)}) as {alias} ({', '.join(names)})", columns
        if choice <= 4 and depth > 0:
            query, kinds = self.select(None, depth - 1, ordered=self.chance(0.3))
            columns = [Column(f"{alias}.c{at + 1}", kind) for at, kind in enumerate(kinds)]
            return f"({query}) as {alias}", columns
        table = self.random.choice(self.schema.tables)
        columns = [Column(f"{alias}.{column.name}", column.type) for column in table.columns]
        return f"{table.name} as {alias}", columns

    def from_list(self, count, outer, depth):
        """A FROM list; later items may be LATERAL."""
        items, columns = [], []
        while count > 0:
            size = self.random.randint(1, count)
            count -= size
            if columns and size == 1 and depth > 0 and self.chance(0.15):
                alias = self.alias()
                query, kinds = self.select(Scope(columns, outer), depth - 1, ordered=False)
                items.append(f"lateral ({query}) as {alias}")
                columns = columns + [Column(f"{alias}.c{at + 1}", kind) for at, kind in enumerate(kinds)]
                continue
            text, more = self.source(size, outer, depth)
            items.append(text)
            columns = columns + more
        return ", ".join(items), columns

    # SELECT.

    def select(self, outer=None, depth=2, kinds=None, ordered=True):
        """A query and the types of its columns c1, c2, ..."""
        if kinds is None:
            kinds = [self.random.choice(TYPES) for _ in range(self.random.randint(1, 4))]
        if depth > 0 and outer is None and self.chance(0.05):
            text = self.with_query(depth - 1, kinds)
        elif depth > 0 and self.chance(0.15):
            text = self.set_operation(outer, depth - 1, kinds)
        else:
            text = self.plain_select(outer, depth, kinds)
        if ordered:
            text += self.order_and_limit(kinds)
        return text, kinds

    def with_query(self, depth, kinds):
        """A WITH query that is read once or twice."""
        alias = self.alias()
        query, inner_kinds = self.select(None, depth, ordered=False)
        sides = [self.alias() for _ in range(self.pick(1, 2))]
        columns = [Column(f"{side}.c{at + 1}", kind) for side in sides for at, kind in enumerate(inner_kinds)]
        source = ", ".join(f"{alias} as {side}" for side in sides)
        scope = Scope(columns)
        where = f" where {self.condition(scope, depth)}" if self.chance(0.7) else ""
        values = [self.expression(kind, scope, 1) for kind in kinds]
        return f"with {alias} as ({query}) select {self.outputs(values)} from {source}{where}"

    def order_and_limit(self, kinds):
        keys = list(range(1, len(kinds) + 1))
        self.random.shuffle(keys)
        order = ", ".join(f"{key}{self.pick('', '', ' desc', ' nulls first', ' desc nulls last')}" for key in keys)
        text = f" order by {order}"
        if self.chance(0.4):
            text += f" limit {self.random.randint(0, 5)}"
        if self.chance(0.2):
            text += f" offset {self.random.randint(0, 3)}"
        return text

    def set_operation(self, outer, depth, kinds):
        def branch():
            query, _ = self.select(outer, depth, kinds, ordered=self.chance(0.15))
            return f"({query})"

        text = branch()
        for _ in range(self.pick(1, 1, 2)):
            operator = self.pick("union", "intersect", "except") + self.pick("", " all")
            text = f"{text} {operator} {branch()}"
        return text

    def plain_select(self, outer, depth, kinds):
        if self.chance(0.04):
            return "select " + self.outputs([self.expression(kind, Scope([], outer), 1) for kind in kinds])
        source, columns = self.from_list(self.pick(1, 1, 2, 2, 3, 4) if depth > 0 else 1, outer, depth)
        scope = Scope(columns, outer)
        where = f" where {self.condition(scope, depth)}" if self.chance(0.7) else ""
        if self.chance(0.25):
            return self.grouped(source, where, scope, depth, kinds)
        if self.chance(0.05) and "int" in kinds:
            values = [f"generate_series({self.random.randint(0, 2)}, {self.expression('int', scope, 0)} % 4)"
                      if kind == "int" else self.expression(kind, scope, 0) for kind in kinds]
            return f"select {self.outputs(values)} from {source}{where}"
        distinct = "distinct " if self.chance(0.15) else ""
        values = [self.expression(kind, scope, depth) for kind in kinds]
        return f"select {distinct}{self.outputs(values)} from {source}{where}"

    @staticmethod
    def outputs(values):
        return ", ".join(f"{text} as c{at + 1}" for at, text in enumerate(values))

    def grouped(self, source, where, scope, depth, kinds):
        inner = Scope(scope.columns)
        keys = [(self.expression(kind, inner, 1), kind)
                for kind in (self.random.choice(TYPES) for _ in range(self.pick(0, 1, 1, 2)))]
        # A constant would be taken for a column's number.
        keys = [(text, kind) for text, kind in keys if any(column.name in text for column in scope.columns)
                and "select" not in text]
        values = []
        for kind in kinds:
            known = [text for text, key_kind in keys if key_kind == kind]
            values.append(self.random.choice(known) if known and self.chance(0.7) else self.aggregate(kind, inner))
        text = f"select {self.outputs(values)} from {source}{where}"
        if keys:
            text += " group by " + ", ".join(key for key, _ in keys)
        if self.chance(0.3):
            text += f" having {self.aggregate('bigint', inner)} {self.pick('>', '<=', '=')} {self.random.randint(0, 4)}"
        elif self.chance(0.1) and keys:
            text += f" having {keys[0][0]} is {self.pick('', 'not ')}null"
        return text

    def aggregate(self, kind, scope):
        argument = self.expression(kind, scope, 1)
        distinct = "distinct " if self.chance(0.25) else ""
        text = {
            "int": f"{self.pick('min', 'max')}({distinct}{argument})",
            "bigint": self.pick("count(*)", f"count({distinct}{self.expression('int', scope, 1)})",
                                f"sum({distinct}{self.expression('int', scope, 0)})"),
            "numeric": f"{self.pick('sum', 'min', 'max', 'avg')}({distinct}{argument})",
            "text": f"{self.pick('min', 'max')}({distinct}{argument})",
            "date": f"{self.pick('min', 'max')}({distinct}{argument})",
            "bool": f"{self.pick('bool_or', 'bool_and', 'every')}({argument})",
        }[kind]
        if self.chance(0.15):
            text += f" filter (where {self.comparison(scope, 0)})"
        return text

    # INSERT, UPDATE, DELETE.

    def modification(self):
        table = self.random.choice(self.schema.tables)
        own = [Column(f"{table.name}.{column.name}", column.type) for column in table.columns]
        scope = Scope(own)
        names = ", ".join(column.name for column in table.columns)
        form = self.random.randint(0, 3)
        if form == 0:
            query, _ = self.select(None, 2, [column.type for column in table.columns], ordered=self.chance(0.3))
            return table, f"insert into {table.name} ({names}) {query} returning {names}"
        where = f" where {self.condition(scope, 2)}" if self.chance(0.9) else ""
        if form == 1:
            return table, f"delete from {table.name}{where} returning {names}"
        chosen = self.random.sample(table.columns, self.random.randint(1, 2))
        sets = ", ".join(f"{column.name} = {self.expression(column.type, scope, 2)}" for column in chosen)
        return table, f"update {table.name} set {sets}{where} returning {names}"
