-- double precision: IEEE 754 values in their shortest exact form.

select 1::float8, 0.1::float8, 1e15::float8, 1e16::float8, 123456789.125::float8, 1e-5::float8, 1e-4::float8, -0.0::float8;
select 0.1::float8 + 0.2::float8, 1::float8 / 3, 2::float8 * 1e300;
select '1e308'::float8, '4.9e-324'::float8, '2.2250738585072014e-308'::float8, '1.7976931348623157e308'::float8;

-- Text and its errors.
select ' 1.5 '::float8, '1e3'::float8, 'inf'::float8, '-Infinity'::float8, 'nan'::float8, '.5'::float8, '5.'::float8;
select ''::float8;
select '1.5.5'::float8;
select 'abc'::float8;
select '1e400'::float8;
select '1e-400'::float8;

-- Arithmetic that leaves the range is an error; division by zero too.
select 1e308::float8 * 10;
select 1e-308::float8 / 1e308;
select 1::float8 / 0;
select 0::float8 / 0;
select 'inf'::float8 + 1, 'inf'::float8 - 'inf'::float8, 'nan'::float8 + 1, 1 / 'inf'::float8;

-- NaN equals NaN and is above everything; minus zero equals zero.
select 'nan'::float8 = 'nan'::float8, 'nan'::float8 > 'inf'::float8, 'inf'::float8 > 1e308, -0.0::float8 = 0.0::float8;

-- The operators and functions.
select 7.5::float8 - 2, -(2.5::float8), @ (-2.5::float8), 2::float8 ^ 10, |/ 16::float8, ||/ 64::float8;
select abs(-1.5::float8), ceil(1.2::float8), floor(-1.2::float8), round(2.5::float8), round(3.5::float8), trunc(-1.7::float8), sign(-2::float8);
select sqrt(2::float8), exp(1::float8), ln(10::float8), log(100::float8), power(2::float8, 0.5), pi();
select sqrt(-1::float8);
select ln(0::float8);
select power(0::float8, -1);
select sin(0::float8), cos(0::float8), atan2(1, 1), degrees(pi()), radians(180::float8);
select width_bucket(5.35::float8, 0.024, 10.06, 5);

-- Casts.
select 1.5::float8::numeric, 0.1::float8::numeric, 1e20::float8::int8;
select 1e10::float8::int4, 2.5::float8::int8, 1.5::float8::int2;
select 123.456::numeric::float8, 7::float8, 9007199254740993::int8::float8;
select 'inf'::float8::numeric, 'nan'::float8::numeric;

-- A session can ask for fewer digits.
set extra_float_digits = 0;
select 0.1::float8 + 0.2::float8, 1::float8 / 3;
set extra_float_digits = -5;
select 1::float8 / 3;
set extra_float_digits = 10;
reset extra_float_digits;
select 1::float8 / 3;

-- Sorting and grouping.
create table samples (x float8);
insert into samples values (1.5), ('nan'), ('inf'), ('-inf'), (0), (-0.0), (null), (1e-300), (1.5);
select x from samples order by x;
select x, count(*) from samples group by x order by x;
select sum(x) from samples where x < 'inf' and x > '-inf';
select min(x), max(x), count(x) from samples;
select avg(x) from samples where x between 0 and 2;
drop table samples;
