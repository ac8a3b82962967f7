-- Casts of arrays, element by element.

create table casts (id int, v int[], t text[], n int[][]);
insert into casts values (1, '{1,NULL,3}', '{4,5}', '{{1,2},{3,4}}'), (2, '{}', '{a}', null), (3, '[2:3]={7,8}', null, '{}');
select id, v::bigint[], v::text[], v::numeric[] from casts order by id;
select id, n::float8[] from casts order by id;
select t::int[] from casts where id = 1;
select t::int[] from casts where id = 2;
select t::int[] from casts where id = 3;
select '{1.5,2.5}'::numeric[]::int[], array['ab', 'cde']::varchar(2)[], array[1, 0]::bool[];
select v::bigint[] = '{1,NULL,3}'::bigint[], (v::text[])[1] from casts where id = 1;
select indkey::int2[], (indkey::int2[])[0] from pg_index where indexrelid = 'pg_class_oid_index'::regclass;
select array[1, 2]::date[];
drop table casts;
