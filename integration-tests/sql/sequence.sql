-- Sequences: numbers handed out once, whatever becomes of the transaction.

create sequence s;
select nextval('s'), nextval('s'), currval('s');
select lastval();
select * from s;
select last_value, is_called from s;
create sequence s;
create sequence if not exists s;

-- Rolled back transactions keep their numbers.
begin;
select nextval('s');
rollback;
select nextval('s');

-- setval.
select setval('s', 100), nextval('s');
select setval('s', 200, false), nextval('s');
select setval('s', 0);
select currval('s');
select nextval('missing');
select currval('missing');
create table not_a_sequence (a int);
select nextval('not_a_sequence');

-- Options.
create sequence down increment by -2 start 10 minvalue 5 maxvalue 10;
select nextval('down'), nextval('down'), nextval('down');
select nextval('down');
create sequence around minvalue 1 maxvalue 3 cycle;
select nextval('around'), nextval('around'), nextval('around'), nextval('around');
create sequence small as smallint start 32766;
select nextval('small'), nextval('small');
select nextval('small');
create sequence cached cache 20;
select nextval('cached'), nextval('cached');
create sequence bad increment 0;
create sequence bad minvalue 10 maxvalue 1;
create sequence bad start 0;
create sequence bad maxvalue 10 start 11;
create sequence bad as text;
create sequence bad as smallint maxvalue 100000;
create sequence bad cache 0;
create sequence bad increment 1 increment 2;
select seqtypid::regtype, seqstart, seqincrement, seqmax, seqmin, seqcache, seqcycle from pg_sequence where seqrelid in ('down'::regclass, 'small'::regclass) order by seqrelid;
select sequencename, data_type, start_value, min_value, max_value, increment_by, cycle, cache_size, last_value from pg_sequences where schemaname = 'public' order by 1;

-- currval needs a nextval first, in this session.
create sequence fresh;
select currval('fresh');
select last_value, log_cnt, is_called from fresh;
select nextval('fresh');
select last_value, log_cnt, is_called from fresh;

-- As default.
create table numbered (id bigint default nextval('fresh') primary key, v text);
insert into numbered (v) values ('a'), ('b'), ('c');
insert into numbered (v) select 'g' || g from generate_series(1, 3) g;
select * from numbered order by id;
insert into numbered values (default, 'explicit') returning id;
drop sequence fresh;
alter table numbered drop column id;
drop sequence fresh;
select nextval('fresh');

-- Sequences are relations: they can be read, and not written.
select count(*) from s;
insert into s values (1);
update s set last_value = 1;
delete from s;
truncate s;
select relkind from pg_class where relname = 's';

-- OWNED BY ties it to a column.
create table owner (id int, other int);
create sequence owned owned by owner.id;
alter table owner drop column id;
select nextval('owned');
create sequence owned2 owned by owner.other;
drop table owner;
select nextval('owned2');
create sequence bad owned by nothing;

begin;
create sequence passing;
select nextval('passing');
rollback;
select nextval('passing');
drop sequence s, down, around;
drop sequence if exists s;
drop table not_a_sequence, numbered;
