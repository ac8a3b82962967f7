-- bytea: strings of bytes, in hexadecimal and in the older escape form.

select '\x48656c6c6f'::bytea, '\xDEADbeef'::bytea, '\x'::bytea, 'abc'::bytea, 'a\\b'::bytea, 'a\000b'::bytea, '\x 12 34'::bytea;
select '\x1'::bytea;
select '\xzz'::bytea;
select 'a\9'::bytea;
select 'a\'::bytea;

set bytea_output = 'escape';
select '\x48656c6c6f'::bytea, '\x00ff5c7f'::bytea;
set bytea_output = 'wrong';
reset bytea_output;
show bytea_output;

-- Operators and functions.
select '\x01'::bytea || '\x02'::bytea, length('\x010203'::bytea), octet_length('\x010203'::bytea), bit_length('\x01'::bytea);
select substring('\x0102030405'::bytea from 2 for 2), substr('\x010203'::bytea, 2), position('\x02'::bytea in '\x0102'::bytea);
select substring('\x01'::bytea from 1 for -1);
select get_byte('\x0102'::bytea, 1), set_byte('\x0102'::bytea, 0, 255), get_bit('\x01'::bytea, 0), set_bit('\x00'::bytea, 3, 1);
select get_byte('\x0102'::bytea, 2);
select encode('\x48656c6c6f'::bytea, 'hex'), encode('\x48656c6c6f'::bytea, 'base64'), encode('\x00ff41'::bytea, 'escape');
select decode('48656c', 'hex'), decode('SGVsbG8=', 'base64'), decode('a\\001', 'escape');
select decode('4865z', 'hex');
select encode('\x00'::bytea, 'rot13');
select md5('\x616263'::bytea), sha256('abc'::bytea);
select overlay('\x01020304'::bytea placing '\xff'::bytea from 2), trim('\x00'::bytea from '\x000100'::bytea), btrim('\x000100'::bytea, '\x00'::bytea);
select convert_to('é', 'UTF8'), convert_from('\xc3a9'::bytea, 'UTF8'), convert_from('\xff'::bytea, 'UTF8');
select reverse('\x0102'::bytea);

-- Comparison is by unsigned byte.
select '\x01'::bytea < '\x02'::bytea, '\xff'::bytea > '\x7f'::bytea, '\x'::bytea < '\x00'::bytea, '\x01'::bytea = '\x01'::bytea;
select '\x01'::bytea like '\x01'::bytea;
select '\x01'::bytea = 'x';
select '\x01'::bytea = 1;
select 1::bytea;
select 'abc'::text::bytea;
select '\x01'::bytea::text;

create table blobs (k bytea primary key, v bytea);
insert into blobs values ('\x0001', 'one'), ('\xff', 'two'), ('\x', null);
insert into blobs values ('\xff', 'again');
select k, v from blobs order by k desc;
select min(k), max(k), count(v) from blobs;
update blobs set v = v || '\x21'::bytea where k = '\x0001';
select v, length(v) from blobs where k = '\x0001';
drop table blobs;
