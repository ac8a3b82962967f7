-- numeric: exact decimals of any size; scale rules, rounding, special values.

select 1.5, 0.1 + 0.2, 1.10, .5, 5., 1e3, 1.5e-3, 12345678901234567890.123456789;
select pg_typeof(1.0), pg_typeof(1e0), pg_typeof(1.0 + 1), pg_typeof(1.0 + 1::float8);

-- Scale of results: addition and subtraction take the larger, multiplication the sum.
select 1.5 + 2.25, 1.50 - 0.5, 1.5 * 2.25, 1.00 * 3;
-- Division gives at least sixteen significant digits.
select 1.0 / 3, 10 / 3.0, 2.0 / 3, 1 / 7.0, 1e-10 / 3, 100000000000.0 / 3;
select 7.5 % 2, -7.5 % 2, mod(7.5, -2), div(7.5, 2);
select 1.0 / 0;
select 1.0 % 0;

-- Precision and scale are enforced when declared.
select 123.456::numeric(6,2), 123.455::numeric(6,2), -123.455::numeric(6,2), 123.456::numeric(5), 0.0049::numeric(3,2);
select 12345.6::numeric(6,2);
select 1234::numeric(3);
select 12345::numeric(3,-2), 0.00123::numeric(3,5);
select 1::numeric(0);
select 1::numeric(1001);
select 1::numeric(5,1001);

-- Text.
select ' 12.50 '::numeric, '-0.0'::numeric, '1e5'::numeric, '0x1f'::numeric, '1_000.5'::numeric, '+.5'::numeric;
select '1.2.3'::numeric;
select ''::numeric;
select 'abc'::numeric;
select '1e'::numeric;

-- NaN equals itself and is greater than everything else, infinities come next.
select 'NaN'::numeric, 'Infinity'::numeric, '-inf'::numeric;
select 'NaN'::numeric = 'NaN'::numeric, 'NaN'::numeric > 'Infinity'::numeric, 'Infinity'::numeric > 1e100, '-Infinity'::numeric < 0;
select 'Infinity'::numeric + 1, 'Infinity'::numeric - 'Infinity'::numeric, 'Infinity'::numeric * -1, 1 / 'Infinity'::numeric, 'NaN'::numeric + 1;
select 'Infinity'::numeric(10,2);
select 'NaN'::numeric::int;
select 'Infinity'::numeric::int8;

-- Trailing zeros are shown and do not matter to equality.
select 1.0 = 1.00, 1.0, 1.00;

-- Rounding: half away from zero.
select round(2.5), round(-2.5), round(2.45, 1), round(1234.5, -2), trunc(2.9), trunc(-2.987, 2), ceil(2.1), ceil(-2.1), floor(-2.1), floor(2.9);
select abs(-1.5), sign(-1.5), sign(0.0), scale(1.230), min_scale(1.230), trim_scale(1.230);
select sqrt(2.0), sqrt(16.0), power(2.0, 10), power(2.0, -2), power(2.0, 0.5), exp(1.0), ln(10.0), log(1000.0), log(2.0, 8.0);
select sqrt(-1.0);
select ln(0.0);
select ln(-1.0);
select power(0.0, -1);
select power(-8.0, 0.5);
select factorial(20), factorial(25);
select factorial(-1);

-- Large values are exact.
select 99999999999999999999 * 99999999999999999999;
select 2.0 ^ 100, 1e50 + 1, (1e50 + 1) - 1e50;
select 123456789012345678901234567890 / 7, 123456789012345678901234567890 % 7;
select 1e131072;
select 10.0 ^ 200000;

-- In tables: sums stay exact, avg divides as / does.
create table ledger (id int, amount numeric(12,2));
insert into ledger values (1, 10.5), (2, 0.01), (3, -3.335), (4, null), (5, 99999.999);
select * from ledger order by id;
insert into ledger values (6, 1e10);
select sum(amount), avg(amount), min(amount), max(amount), count(amount) from ledger;
select amount from ledger order by amount desc nulls first;
select id from ledger where amount = 10.50;
select sum(amount)::numeric(10,1) from ledger;
drop table ledger;

-- Roots and logarithms of the largest numbers there are.
select length(sqrt('1e131071'::numeric)::text), ln('1e131071'::numeric);
select md5(string_agg(sqrt((x::numeric * 7919) ^ 9)::text, ',')) from generate_series(1, 100) x;

-- Long numbers: every digit counts.
create temp table long (n numeric);
insert into long values (('1' || repeat('7', 3000))::numeric), (('3.' || repeat('1', 2500))::numeric), (('0.' || repeat('0', 500) || '25')::numeric);
select md5((a.n * b.n)::text), md5((a.n / b.n)::text), md5((a.n % b.n)::text), md5(div(a.n, b.n)::text) from long a, long b order by a.n, b.n;
select md5(sqrt(n)::text), md5(ln(n)::text), md5(log(n)::text), md5(log(n, 7.5)::text) from long order by n;
select md5(exp(n)::text), md5(power(1.0000001, n)::text), md5(power(n, 0.3)::text) from long where n < 10 order by n;
select md5(factorial(1000)::text), md5(power(3::numeric, 3000)::text), md5(gcd(factorial(300), factorial(200) * 7919)::text);
select md5(('0x' || repeat('fedcba98', 500))::numeric::text), md5(('0b' || repeat('1', 3000))::numeric::text), md5(('0o' || repeat('7', 999))::numeric::text);
select ('1' || repeat('0', 131000))::numeric * 1e100, ('0x' || repeat('f', 200000))::numeric;
select length(sqrt(('1' || repeat('7', 130000))::numeric)::text), ln(('1' || repeat('7', 130000))::numeric), log(('1' || repeat('7', 130000))::numeric);
