-- smallint, integer and bigint: literals, arithmetic, bounds and what happens past them.

-- A literal takes the smallest type that holds it.
select pg_typeof(1), pg_typeof(2147483647), pg_typeof(2147483648), pg_typeof(9223372036854775807), pg_typeof(9223372036854775808);
-- Other bases, and underscores between digits.
select 0x2A, 0o52, 0b101010, 1_000_000, 0xFFFF_FFFF;
select 1__000;
select 0b12;
select 123abc;
select 0x;

-- The ends of each type.
select 32767::int2, (-32768)::int2, 2147483647::int4, (-2147483648)::int4, 9223372036854775807::int8, (-9223372036854775808)::int8;
select 32768::int2;
select 2147483648::int4;
select 9223372036854775808::int8;
select '32768'::int2;
select '2147483648'::int4;
select '9223372036854775808'::int8;
select '-9223372036854775809'::int8;

-- Text forms.
select '  42  '::int4, '+7'::int2, '-0'::int8, '0x1F'::int4, '1_000'::int4;
select ''::int4;
select '4 2'::int4;
select 'forty-two'::int4;
select '1.5'::int4;
select '1e3'::int8;
select null::int4;

-- Arithmetic; the wider type wins.
select 2 + 3, 2 - 3, 2 * 3, 7 / 2, -7 / 2, 7 % 3, -7 % 3, 7 % -3;
select pg_typeof(1::int2 + 1::int2), pg_typeof(1::int2 + 1), pg_typeof(1 + 1::int8), pg_typeof(1::int2 * 1::int8);
select 1 / 0;
select 1::int8 / 0;
select 1 % 0;
select mod(10, 3), div(10, 3), abs(-5), abs(-5::int8), sign(-3);
select gcd(12, 18), lcm(4, 6), gcd(0, 0), gcd(-12::int8, 18::int8);

-- Overflow is an error, never a wrap.
select 32767::int2 + 1::int2;
select 2147483647 + 1;
select -2147483648 - 1;
select 2147483647 * 2;
select 9223372036854775807 + 1;
select 9223372036854775807 * 2;
select -(-2147483648);
select - (-32768)::int2;
select abs(-2147483648);
select (-2147483648) / (-1);
select (-9223372036854775808) / (-1);
select (-2147483648) % (-1);

-- Bits.
select 12 & 10, 12 | 10, 12 # 10, ~12, 1 << 4, 256 >> 2, -16 >> 2;
select 1::int8 << 40, ~0::int8, 5::int2 & 4::int2;

-- Comparison across the widths.
select 1::int2 = 1::int8, 2 > 1::int2, 3::int8 <> 3, 2 between 1 and 3, 2 not between 1 and 3, 2 in (1, 2, 3);
select 1 < 'two';
select 2 between symmetric 3 and 1;

-- Rounding on the way in: numeric rounds half away from zero, float8 half to even.
select 2.5::int4, (-2.5)::int4, 3.5::int4, 2.5::float8::int4, 3.5::float8::int4, (-2.5)::float8::int4;
select 1e10::int4;
select 'NaN'::float8::int4;
select 40000::int4::int2;
