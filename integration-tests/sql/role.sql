-- Roles: making, changing and dropping them, and SET ROLE.

create role t_reader;
create role t_writer login password 'secret' connection limit 5;
create user t_admin superuser createdb createrole;
create role t_reader;
create role "Mixed Role" nologin valid until '2030-01-01 00:00Z';
create role pg_mine;
create role public;
create role current_user;
create role bad nonsense;
create role bad login nologin;
create role bad connection limit -5;
select rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolconnlimit, rolbypassrls, rolvaliduntil from pg_roles where rolname in ('t_reader', 't_writer', 't_admin', 'Mixed Role') order by rolname;
select rolname, rolpassword like 'SCRAM-SHA-256$4096:%' as scram from pg_authid where rolname in ('t_reader', 't_writer') order by rolname;
select usename, usesuper, usecreatedb from pg_user where usename like 't\_%' order by usename;
select rolname from pg_roles where rolname = 'postgres' and rolsuper;

alter role t_reader login createdb;
alter user t_writer password null;
alter role t_writer nologin;
alter role "Mixed Role" rename to t_plain;
alter role t_missing login;
select rolname, rolcanlogin, rolcreatedb from pg_roles where rolname like 't\_%' order by rolname;

-- Who am I.
select current_user, session_user, current_role, user;
set role t_reader;
select current_user, session_user;
show is_superuser;
show role;
create role t_more;
set role none;
select current_user;
set role t_missing;
set session authorization t_reader;
select current_user, session_user;
reset session authorization;
select current_user;
begin;
set local role t_reader;
select current_user;
rollback;
select current_user;

-- Membership.
create role t_group;
create role t_member in role t_group;
grant t_group to t_reader;
select r.rolname as role, m.rolname as member from pg_auth_members a join pg_roles r on r.oid = a.roleid join pg_roles m on m.oid = a.member where r.rolname = 't_group' order by 2;
revoke t_group from t_reader;
grant t_member to t_group;

-- Owners cannot be dropped.
set role t_reader;
create table public.owned_one (a int);
reset role;
create schema owned_schema authorization t_reader;
select nspowner::regrole from pg_namespace where nspname = 'owned_schema';
set role t_reader;
create table owned_schema.t (a int);
insert into owned_schema.t values (1);
select * from owned_schema.t;
reset role;
select relowner::regrole from pg_class where oid = 'owned_schema.t'::regclass;
drop role t_reader;
set client_min_messages = warning;
drop schema owned_schema cascade;
drop role t_reader;
drop role t_reader, t_missing;
drop role if exists t_missing;
drop role t_writer, t_admin, t_plain, t_group, t_member;
drop role postgres;
select count(*) from pg_roles where rolname like 't\_%';
