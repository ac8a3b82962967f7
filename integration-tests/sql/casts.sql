-- Casts: which exist, when they happen by themselves, and what they refuse.

-- Two spellings, and the typed literal.
select cast(42 as text), 42::text, text '42', cast('42' as integer), int4 '42', "int4"('7');
-- Unknown literals take the type the context asks for.
select 1 + '2', '1' + 2, 'a' || 'b', '2024-01-01' < date '2024-01-02', coalesce(null, '5') , pg_typeof(coalesce(null, 5));
select pg_typeof('x'), pg_typeof(null), pg_typeof('1' || '2');
select 1 + 'x';
select '1' + '2';

-- Numbers widen by themselves and narrow only on assignment or request.
select pg_typeof(1 + 1.5), pg_typeof(1.5 + 1::float8), pg_typeof(1::int2 + 1.5), pg_typeof(case when true then 1 else 2.5 end);
select pg_typeof(coalesce(1, 2.0)), pg_typeof(greatest(1, 2::int8)), pg_typeof(nullif(1, 2.0));
select 3.7::int, 3.2::int8, 300::int2, 1e2::int, 3.999::numeric(3,1), 70000::float8::numeric;
select 70000::int2;
select 3000000000::int;
select 1e20::int8;
select 'inf'::float8::int8;

-- Text to anything goes through the input function; anything to text through the output function.
select '12'::text::int, 'true'::text::bool, '1.5'::varchar::numeric, '2024-01-01'::text::date, 12::varchar(1), 1.50::text, date '2024-01-01'::text;
select 'x'::text::int;
select '12.5'::text::int;
select 'maybe'::text::bool;

-- There is no way between some types.
select true::numeric;
select 1::date;
select date '2024-01-01'::int;
select '\x01'::bytea::int8;
select 1.5::boolean;
select cast(1 as no_such_type);
select 1::integer(5);
select 'a'::text(5);

-- Nothing is turned to text silently for comparison or as argument.
select 1 = '1'::text;
select upper(12);
select '1'::text + 1;
select length(12345);
select 12345 like '12%';
select repeat('x', 2.0);
select repeat('x', '2');

-- Assignment casts.
create table target (i int, n numeric(4,1), t varchar(5), b boolean, d date);
insert into target values (1.5, 12.345, 123, true, '2024-01-01');
insert into target (i) values (2::int8);
insert into target (t) values (123456);
insert into target (b) values (1);
insert into target (d) values (20240101);
insert into target (d) values (timestamp '2024-05-06 07:08:09');
insert into target (i) values ('12'::text);
insert into target (n) values (1000);
insert into target (i) values (3000000000);
select * from target order by i, d;
update target set i = n where i = 2;
update target set d = i;
select i, n::int, t::text || '!', b::int, d::timestamp from target order by i, d;
drop table target;

-- Both sides of UNION-like constructs must meet in one type.
select case when true then 1 else 'x' end;
select case when true then 1 else true end;
select coalesce(1, 'x');
select coalesce(1, date '2024-01-01');
select greatest(1, true);
values (1), ('2'), (3.5);
values (1), ('x');
values (1), (true);
values (1), (2, 3);
