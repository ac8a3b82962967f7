-- EXPLAIN with costs: PostgreSQL's cost model over the statistics of ANALYZE.

create table item (id int primary key, kind int, price numeric(8,2), name text);
insert into item select g, g % 20, g * 1.5, 'item ' || g from generate_series(1, 5000) g;
create index item_kind on item (kind);
create table kind (kind int primary key, label text);
insert into kind select g, 'kind ' || g from generate_series(0, 19) g;
vacuum analyze item, kind;
select relname, relpages, reltuples, relallvisible from pg_class where relname in ('item', 'item_pkey', 'item_kind', 'kind') order by relname;

explain select * from item;
explain select 1;
explain select * from item where id = 42;
explain select * from item where id < 100;
explain select * from item where id > 4900 and kind = 3;
explain select * from item where name = 'item 7';
explain select * from item where name like 'item 1%';
explain select * from item where kind is null;
explain select * from item where price > 1000;
explain select * from item where price between 100 and 200 and kind <> 4;
explain select id from item where id between 10 and 20;
explain select * from item order by id limit 10;
explain select * from item order by name;
explain select * from item order by price desc limit 5;
explain select count(*) from item;
explain select kind, count(*), avg(price) from item group by kind;
explain select kind, count(*) from item group by kind having count(*) > 10 order by kind;
explain select distinct kind from item;
explain select * from item join kind using (kind);
explain select * from item i join kind k on k.kind = i.kind where i.id = 7;
explain select k.label, count(*) from item i join kind k using (kind) where i.price < 300 group by k.label;
explain select * from kind where exists (select 1 from item where item.kind = kind.kind and item.price > 7400);
explain select * from item where kind in (select kind from kind where label = 'kind 3');
explain select * from generate_series(1, 1000) g where g > 10;
explain values (1), (2), (3);
explain update item set price = 0 where id = 5;
explain delete from item where kind = 5;
explain insert into kind values (20, 'x');

-- Statistics follow the data after ANALYZE only.
delete from item where id > 1000;
analyze item;
select reltuples from pg_class where relname = 'item';
explain select * from item where kind = 3;
create table fresh (a int, b text);
explain select * from fresh;
explain select * from fresh where a = 1;
set random_page_cost = 1;
set enable_seqscan = off;
explain select * from kind;
reset all;
drop table item, kind, fresh;
