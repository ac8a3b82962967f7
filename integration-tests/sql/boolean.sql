-- The type boolean: its spellings, its operators, and what does not belong to it.

-- Literals come as keywords and as strings; unique prefixes of the words are enough.
select true, false, null::boolean;
select 't'::boolean, 'tr'::boolean, 'true'::boolean, 'y'::boolean, 'yes'::boolean, 'on'::boolean, '1'::boolean;
select 'f'::boolean, 'fal'::boolean, 'false'::boolean, 'n'::boolean, 'no'::boolean, 'off'::boolean, '0'::boolean;
-- White space around and case do not matter.
select bool '  TRUE  ', bool 'False', bool 'ON';
select bool 'test';
select bool 'o';
select bool '';
select bool 'yeah';
select '2'::boolean;

-- Three-valued logic.
select true and null, false and null, true or null, false or null, not null::boolean;
select true and true, true and false, false or true, false or false, not true, not false;

-- IS tests never answer NULL.
select true is true, null::boolean is true, null::boolean is not true, null::boolean is unknown, false is not unknown;
select false is false, null::boolean is false, null::boolean is not false;
select 1 is true;

-- Comparison: false sorts before true.
select false < true, true <= false, true = true, true <> false, false >= false, true > false;
select true is distinct from null, null::boolean is not distinct from null;

-- Casts: to and from integer explicitly only, to text as a word.
select 1::boolean, 0::boolean, (-7)::boolean, true::int, false::int;
select true::text, false::varchar, 'yes'::text::boolean;
select 1 and true;
select not 1;
select true + 1;
select true::bigint;
select 1.0::boolean;

-- In tables.
create table flags (name text, flag boolean);
insert into flags values ('a', true), ('b', 'no'), ('c', null), ('d', 't');
insert into flags values ('e', 1);
insert into flags values ('f', 'maybe');
select name from flags where flag order by name;
select name from flags where not flag order by name;
select name from flags where flag is null;
select name from flags where flag = false;
select name from flags where name;
select flag, count(*) from flags group by flag order by flag;
select bool_and(flag), bool_or(flag), every(flag) from flags;
select bool_and(flag) from flags where name = 'none';
select name, flag from flags order by flag desc nulls last, name;
drop table flags;
