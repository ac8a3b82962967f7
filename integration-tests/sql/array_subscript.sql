-- Elements of arrays, and operators over arrays of one type.

create table lists (id int, a int[], t text[], m int[][]);
insert into lists values (1, '{10,20,30}', '{a,NULL,c}', '{{1,2},{3,4}}'), (2, '[0:1]={7,8}', '{}', null), (3, null, null, null);
select id, a[1], a[0], a[3], a[4], a[-1] from lists order by id;
select id, t[1], t[2], t[3] from lists order by id;
select id, m[1][1], m[2][1], m[1], m[3][1], m[1][1][1] from lists order by id;
select a[null], m[1][null] from lists where id = 1;
select id from lists where a[id] = 10 order by id;
select a[id + 1] from lists order by id;
select ('{x,y}'::text[])[2], (array[1.5, 2.5])[1], (array['p', 'q'])['2'];
select (indkey)[0] from pg_index where indexrelid = 'pg_class_oid_index'::regclass;
select a['x'] from lists;
select id[1] from lists;
select 'abc'::text || 'def', array['a'] || array['b'], array['a'] || 'b'::text, 'a'::text || array['b'];
select array[1] || 2::bigint, array[1] || array['x'];
select array[1] || 'x'::text;
drop table lists;

-- Subscripts end before the largest integer.
select '[2147483647:2147483647]={1}'::int[];
select array_dims('[2147483646:2147483646]={1}'::int[]);
select array_append('[2147483646:2147483646]={1}'::int[], 1);
select array_prepend(1, '[-2147483648:-2147483648]={1}'::int[]);
select array_dims(array_fill(1, array[1], array[2147483647]));
select array_dims(array_fill(1, array[2], array[2147483646]));
select array_cat('[2147483646:2147483646]={1}'::int[], '{2,3}');
select generate_subscripts('{1}'::int[], -2147483648), array_position('[2147483646:2147483646]={1}'::int[], 1);
