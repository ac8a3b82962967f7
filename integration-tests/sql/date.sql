-- date: input in many styles, arithmetic in days, special values.

set datestyle = 'ISO, MDY';
select date '2024-02-29', date '20240229', date 'Feb 29, 2024', date '29 Feb 2024', date '2/29/2024', date '2024.060', date 'J2460370';
select date '2023-02-29';
select date '2024-13-01';
select date '2024-00-10';
select date 'yesterdays';
select date '';
select date '0001-01-01 BC', date '4713-01-01 BC', date '5874897-12-31', date '1-1-70';
select date '99-01-01';
select date '5874898-01-01';
select date '4715-01-01 BC';

-- The order of day and month is the session's; ambiguous only to people.
select date '01/02/03';
set datestyle = 'ISO, DMY';
select date '01/02/03', date '31/12/2024';
select date '12/31/2024';
set datestyle = 'ISO, YMD';
select date '01/02/03';
-- Output styles.
set datestyle = 'SQL, DMY';
select date '2024-02-29';
set datestyle = 'German';
select date '2024-02-29';
set datestyle = 'Postgres, MDY';
select date '2024-02-29';
set datestyle = 'Klingon';
show datestyle;
reset datestyle;
show datestyle;

-- Days.
select date '2024-03-01' - date '2024-02-01', date '2024-02-28' + 2, date '2024-03-01' - 1, 3 + date '2024-01-01';
select date '2024-01-01' - date '2023-01-01', date '2000-01-01' - date '1999-12-31';
select date '2024-01-01' + date '2024-01-02';
select date '5874897-12-31' + 1;
select date '2024-01-01' * 2;

-- Comparisons and infinities.
select date '2024-01-01' < date '2024-01-02', date 'infinity' > date '5874897-12-31', date '-infinity' < date '0001-01-01', date 'infinity' = date 'infinity';
select date 'infinity', date '-infinity', isfinite(date 'infinity'), isfinite(date '2024-01-01'), date 'infinity' + 1;
select date 'infinity' - date '2024-01-01';
select greatest(date '2024-01-01', date '2023-01-01'), date 'epoch';

-- Parts.
select extract(year from date '2024-02-29'), extract(month from date '2024-02-29'), extract(day from date '2024-02-29'), extract(dow from date '2024-02-29'), extract(isodow from date '2024-03-03'), extract(doy from date '2024-12-31'), extract(week from date '2024-12-31'), extract(quarter from date '2024-05-01'), extract(epoch from date '2024-01-01');
select date_part('year', date '2024-02-29'), extract(century from date '2001-01-01'), extract(decade from date '1999-01-01'), extract(julian from date '2024-01-01');
select extract(hour from date '2024-01-01');
select extract(parsec from date '2024-01-01');
select make_date(2024, 2, 29), make_date(-44, 3, 15);
select make_date(2024, 2, 30);

-- Casts.
select '2024-02-29'::date, date '2024-02-29'::timestamp, timestamp '2024-02-29 23:59:59'::date, date '2024-02-29'::text;
select 1::date;
select date '2024-01-01' = 1;

create table days (d date, note text);
insert into days values ('2024-02-29', 'leap'), ('1999-12-31', 'eve'), ('infinity', 'never'), (null, 'unknown'), ('0044-03-15 BC', 'ides');
select d, note from days order by d;
select min(d), max(d), count(d) from days;
select note from days where d between '1999-01-01' and '2024-12-31' order by d;
select note from days where d > 'not a day';
drop table days;
select make_date(2147483647, 1, 1);
select make_date(-5000, 1, 1);
select make_date(0, 1, 1);
select make_date(-2147483648, 1, 1);
select make_timestamp(-2147483648, 1, 1, 1, 1, 1);
