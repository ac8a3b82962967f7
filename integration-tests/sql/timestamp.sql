-- timestamp with and without time zone: one instant, or what a clock on a wall shows.

set timezone = 'UTC';
select timestamp '2024-02-29 12:34:56.789', timestamp '2024-02-29T12:34', timestamp '20240229 123456', timestamp 'Feb 29 12:34:56 2024', timestamp '2024-02-29 12:34 PM', timestamp '2024-02-29';
select timestamp '2024-02-29 24:00:00', timestamp '2024-02-29 23:59:60', timestamp '2024-02-29 12:34:56.1234567', timestamp '2024-02-29 12:00:00.5';
select timestamp '2024-02-30 00:00';
select timestamp '2024-02-29 25:00';
select timestamp '2024-02-29 12:61';
select timestamp 'garbage';
select timestamp '294277-01-01';
select timestamp '4714-11-24 00:00 BC', timestamp '294276-12-31 23:59:59.999999';

-- A zone in the text is ignored without time zone, and used with it.
select timestamp '2024-06-01 12:00+05', timestamptz '2024-06-01 12:00+05', timestamptz '2024-06-01 12:00 America/New_York', timestamptz '2024-06-01 12:00 EST', timestamptz '2024-06-01 12:00Z';
select timestamptz '2024-06-01 12:00 Nowhere/City';
select timestamptz '2024-06-01 12:00+25';

-- Output is in the session's zone, with its daylight saving.
set timezone = 'Europe/Berlin';
select timestamptz '2024-01-15 12:00Z', timestamptz '2024-07-15 12:00Z', timestamptz '2024-03-31 02:30', timestamptz '2024-10-27 02:30';
set timezone = 'Asia/Kolkata';
select timestamptz '2024-01-15 12:00Z';
set timezone = '-3';
select timestamptz '2024-01-15 12:00Z';
set timezone = 'Mars/Olympus';
show timezone;
set timezone = 'UTC';
select timestamp '2024-01-15 12:00' at time zone 'America/New_York', timestamptz '2024-01-15 12:00Z' at time zone 'Asia/Tokyo', timezone('Europe/Paris', timestamp '2024-07-01 00:00');

-- Styles.
set datestyle = 'SQL, MDY';
select timestamp '2024-02-29 12:34:56', timestamptz '2024-02-29 12:34:56Z';
set datestyle = 'German';
select timestamp '2024-02-29 12:34:56', timestamptz '2024-02-29 12:34:56.5Z';
set datestyle = 'Postgres';
select timestamp '2024-02-29 12:34:56', timestamptz '2024-02-29 12:34:56Z';
reset datestyle;

-- Precision of fractions.
select timestamp(0) '2024-02-29 12:34:56.789', timestamp(2) '2024-02-29 12:34:56.789', '2024-02-29 12:34:56.999999'::timestamptz(3);
select timestamp(7) '2024-02-29 12:34:56.1234567';

-- Comparisons, infinities, casts.
select timestamp '2024-01-01' < timestamp '2024-01-01 00:00:00.000001', timestamp 'infinity' > timestamp '294276-01-01', timestamptz '2024-01-01 00:00Z' = timestamptz '2024-01-01 01:00+01';
select timestamp 'infinity', timestamptz '-infinity', timestamp 'epoch', isfinite(timestamp 'infinity');
select timestamp '2024-02-29 12:34:56'::date, date '2024-02-29' = timestamp '2024-02-29 00:00', timestamp '2024-02-29 12:00'::timestamptz, timestamptz '2024-02-29 12:00Z'::timestamp;
select date '2024-02-29' < timestamptz '2024-02-29 00:00:01Z';
select timestamp '2024-01-01' = 5;

-- Parts and truncation.
select extract(year from timestamp '2024-02-29 12:34:56.789'), extract(second from timestamp '2024-02-29 12:34:56.789'), extract(millisecond from timestamp '2024-02-29 12:34:56.789'), extract(epoch from timestamptz '2024-01-01 00:00Z');
select date_part('hour', timestamp '2024-02-29 12:34:56'), extract(timezone from timestamptz '2024-01-01 00:00Z'), extract(timezone_hour from timestamptz '2024-01-01 00:00Z');
select date_trunc('hour', timestamp '2024-02-29 12:34:56'), date_trunc('month', timestamp '2024-02-29 12:34:56'), date_trunc('week', timestamp '2024-02-29 12:34:56'), date_trunc('day', timestamptz '2024-02-29 12:34:56Z');
select date_trunc('fortnight', timestamp '2024-02-29');
select extract(timezone from timestamp '2024-01-01');
select make_timestamp(2024, 2, 29, 12, 34, 56.5), to_timestamp(0), to_timestamp(1709210096.5);
select make_timestamp(2024, 2, 30, 0, 0, 0);
select now() = now(), now() = transaction_timestamp(), current_timestamp >= statement_timestamp() or true, clock_timestamp() >= now();

create table events (at timestamptz, local timestamp);
insert into events values ('2024-01-01 00:00Z', '2024-01-01'), ('infinity', null), ('2023-06-01 12:00+02', '2023-06-01 12:00');
select * from events order by at desc;
select min(at), max(local), count(local) from events;
set timezone = 'America/New_York';
select at, local from events order by at;
drop table events;
