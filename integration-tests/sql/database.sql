-- Databases: copies of a template, each with its own catalogs.

select current_database(), current_catalog;
create table here (a int);
insert into here values (1);
create database t_database_copy;
create database t_database_copy;
select datname, encoding, datistemplate, datallowconn, datconnlimit, datcollate, datctype from pg_database where datname in ('postgres', 'template0', 'template1', 't_database_copy') order by 1;
\c t_database_copy
select current_database();
select * from here;
create table there (a int primary key, b text);
insert into there select g, 'x' from generate_series(1, 100) g;
select count(*) from there;
drop database t_database_copy;
\c t_database
select * from there;
create database t_database_second template t_database_copy;
\c t_database_second
select count(*) from there;
insert into there values (101, 'more');
select count(*) from there;
\c t_database_copy
select count(*) from there;
\c t_database
alter database t_database_second rename to t_database_third;
\c t_database_third
select count(*) from there;
\c t_database
drop database t_database_copy;
drop database t_database_copy;
drop database if exists t_database_copy;
drop database t_database;
drop database template0;
create database bad template nowhere;
create database bad encoding 'nonsense';
create database bad nonsense;
create database bad connection limit -2;
create database limited connection limit 3 allow_connections false is_template true;
select datconnlimit, datallowconn, datistemplate from pg_database where datname = 'limited';
alter database limited is_template false;
drop database limited;
drop database t_database_third with (force);
select count(*) from pg_database where datname like 't\_database\_%';
select * from here;
drop table here;
