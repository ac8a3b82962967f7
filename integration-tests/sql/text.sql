-- text: literals in all their spellings, operators and the string functions.

-- Quotes are doubled; adjacent literals on separate lines are one literal.
select 'it''s', 'a' 
  'b', '';
select 'a' 'b';
-- Escape strings, Unicode escapes, dollar quotes.
select E'tab\tnewline\\n', E'\x41\101\u00e9', U&'d\0061t\+000061', U&'d!0061' uescape '!';
select $$it's$$, $tag$a $$ b$tag$;
select E'\u00';
select 'unterminated;
';
select e'\xff';
select U&'\00zz';

-- Concatenation takes anything that has a text form.
select 'a' || 'b', 'n=' || 42, 1 || 'st', 'x' || true, 'x' || null, 'd:' || 1.50;
select 1 || 2;
select concat('a', null, 1, true), concat_ws(', ', 'a', null, 'b'), concat();

-- Measuring and cutting. Characters count, not bytes.
select length('héllo'), char_length('héllo'), octet_length('héllo'), bit_length('abc'), length('');
select substr('hello', 2, 3), substring('hello' from 2 for 3), substring('hello', 4), substr('hello', -1, 3), substr('hello', 10);
select substring('hello' from 2 for -1);
select left('hello', 2), left('hello', -2), right('hello', 2), right('hello', -2), left('hé', 1);
select position('l' in 'hello'), strpos('hello', 'z'), position('' in 'abc'), starts_with('hello', 'he'), 'hello' ^@ 'he';
select split_part('a,b,c', ',', 2), split_part('a,b,c', ',', -1), split_part('a,b,c', ',', 9), split_part('abc', '', 1);
select split_part('a,b', ',', 0);

-- Shaping.
select upper('héllo'), lower('HÉLLO'), initcap('hello wORLD foo_bar'), reverse('héllo'), repeat('ab', 3), repeat('x', -1);
select lpad('hi', 5, 'xy'), rpad('hi', 5, 'xy'), lpad('hello', 3), rpad('hi', 4) || '|', lpad('hi', 5, '');
select trim('  x  ') || '|', trim(leading 'x' from 'xxaxx'), trim(trailing 'x' from 'xxaxx'), trim(both 'xy' from 'yxaxy'), btrim('xax', 'x'), ltrim('  a'), rtrim('a  ') || '|';
select replace('hello', 'l', 'LL'), translate('12345', '143', 'ax'), overlay('Txxxxas' placing 'hom' from 2 for 4);
select ascii('A'), ascii('é'), ascii(''), chr(65), chr(233);
select chr(0);
select chr(1114112);
select md5('hello'), md5('');
select to_hex(255), to_hex(-1), quote_literal('it''s'), quote_ident('Hello'), quote_ident('hello'), quote_ident('select'), quote_nullable(null);
select format('%s is %L, not %I', 'a', 'b''c', 'D e'), format('%2$s %1$s', 'a', 'b'), format('%%|%5s|%-5s|', 'x', 'y');
select format('%s');
select format('%z', 1);

-- Patterns.
select 'hello' like 'h%o', 'hello' like 'h_llo', 'hello' like 'H%', 'hello' ilike 'H%', 'hello' not like '%z%', 'a%b' like 'a\%b', 'axb' like 'a\%b';
select 'a_b' like 'a#_b' escape '#', 'héllo' like 'h_llo', '' like '%', '' like '_', 'abc' like 'abc';
select 'x' like 'x\';
select 'x' like 'x' escape '##';
select 'hello' ~~ 'h%', 'hello' !~~ 'h%', 'hello' ~~* 'H%';

-- Comparison is by byte in the C collation.
select 'a' < 'b', 'Z' < 'a', 'a' < 'aa', '' < 'a', 'é' > 'z', 'abc' = 'abc ', greatest('b', 'a', 'c'), least('b', 'a');
select 'a' < 1;
select 'abc' ~<~ 'abd';

-- Functions refuse what they cannot take.
select length(42);
select upper(1);
select no_such_function('x');
select substr('a', 'b');
