-- Bit strings: literals, operators, functions, casts, columns.
select b'101', x'1F', pg_typeof(b'1'), B'0'::bit(3), B'101'::varbit, b'1011'::bit(2), b'101' & b'110', b'101' | b'010', b'101' # b'111', ~b'101', b'1011' << 1, b'1011' >> 1, b'10' || b'01', length(b'101'), octet_length(b'101010101'), bit_length(b'101');
select 5::bit(4), (-5)::bit(8), 44::bit(10), b'101'::int, b'101'::int8, get_bit(b'101', 1), set_bit(b'101', 1, 1), substring(b'110010' from 2 for 3), position(b'010' in b'110010'), overlay(b'01010101' placing b'111' from 2 for 3), bit_count(b'10101'), b'101' = b'101', b'1' < b'10', b'11' > b'101';
select b'12';
select x'1g';
select b'101' & b'1';
select get_bit(b'101', 3);
create table b (a bit(3), v bit varying(4), d bit);
insert into b values (b'101', b'1', b'1'), (b'111', b'1010', b'0');
insert into b values (b'10', b'1', b'1');
insert into b values (b'101', b'10101', b'1');
select * from b order by a desc;
select max(a), count(distinct v) from b;
select a, count(*) from b group by a order by a;
create index on b (v);
drop table b;
select bit '101', bit(5) '10101', varbit '1', bit(2) '101';
