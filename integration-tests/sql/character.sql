-- varchar(n), char(n) and name: limits, padding and the casts between them.

-- An explicit cast cuts silently; an assignment does not, unless only spaces are lost.
select 'hello'::varchar(3), 'hello'::varchar, 'hé'::varchar(1), 'hello'::char(3), 'hello'::char;
create table words (v varchar(4), c char(4));
insert into words values ('abcd', 'abcd'), ('ab', 'ab'), ('ab   ', 'ab      '), ('', '');
insert into words values ('abcde', 'a');
insert into words values ('a', 'abcde');
insert into words values ('abc  x', 'a');
insert into words values ('héhé', 'héhé');
select v, c, length(v), length(c), octet_length(c), v || '|', c || '|' from words order by v, c;

-- Blanks at the end of char(n) mean nothing in comparisons; in varchar they do.
select 'a '::char(3) = 'a'::char(3), 'a '::varchar = 'a'::varchar, 'a '::char(5) = 'a'::char(2), 'a '::char(3) = 'a'::text;
select v from words where c = 'ab' order by v;
select v from words where c = 'ab   ' order by v;
select v from words where v = 'ab';
select 'a'::char(3) < 'b'::char(3), 'a'::char(3) || 'b', length('a  '::char(3)), ('a'::char(3))::text || '|';
select c like 'ab', c like 'ab  ' from words where v = 'ab';
select count(distinct c), count(distinct v) from words;
select c, count(*) from words group by c order by c;

-- Types seen.
select pg_typeof('a'::varchar(3)), pg_typeof('a'::char(3)), pg_typeof('a'), pg_typeof('a'::text || 'b'::varchar);
select 'x'::varchar(0);
select 'x'::char(0);
select 'x'::varchar(10485761);
select 12345::varchar(3), 12345::char(7) || '|', true::varchar(2);

-- name holds 63 bytes; longer identifiers are cut, with a notice.
select 'abc'::name, length('abc'::name), pg_typeof('abc'::name);
select length('abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz'::name);
create table abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz (a int);
select relname from pg_class where relname like 'abcdefghijklm%';
drop table abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk;
select 'a'::name < 'b'::name, 'a'::name = 'a'::text, 'a'::name || 'b';
create table named (n name primary key);
insert into named values ('one'), ('two');
insert into named values ('one');
select n from named where n = 'two';
select n from named order by n desc;
select current_user, session_user, current_schema, current_catalog;
drop table named;

-- Updates follow the same limits.
update words set v = 'toolong' where v = 'ab';
update words set v = 'toolong'::varchar(4) where v = 'ab';
select v from words order by v;
drop table words;
