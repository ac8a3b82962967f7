-- Of the matches at the leftmost place the longest counts.
select substring('foobar' from 'o|oo|oob');
select regexp_match('abcd', '(a|ab)(c|bcd)');
select regexp_match('aab', 'a*(ab)*');
select regexp_replace('xabcabcx', 'ab|abc', '-', 'g');
select regexp_replace('foobarbaz', 'b(..|.)', 'X\1Y', 'g');
select regexp_matches('foobarbequebaz', 'ba.|bar..', 'g');
select regexp_matches('a1b22c333', '[a-z](\d|\d\d)', 'g');
select regexp_split_to_array('the quick  brown fox', ' |  ');
select regexp_count('aaa', 'a|aa'), regexp_instr('xaab', 'a|aa|aab', 1, 1, 1), regexp_substr('xaab', 'a|aa|aab');
select regexp_match('abc', '(a)|(abc)'), regexp_match('abc', '(?:a|(abc))');
select regexp_match('abab', '(a|ab|aba)*'), regexp_match('ababx', '(a|b|ab)+');
select 'ab' ~ '^(a|ab)$', 'foobar' ~ '\yfoo|foobar\y';
select regexp_match(E'a\nb\nc', '^(b|b\n)', 'n'), regexp_match(E'a\nb', 'a$', 'n');

-- The first quantifier decides whether the whole is greedy.
select regexp_match('XY1234Z', 'Y*([0-9]{1,3})'), regexp_match('XY1234Z', 'Y*?([0-9]{1,3})');
select substring('XY1234Z', 'Y*([0-9]{1,3})'), substring('XY1234Z', 'Y*?([0-9]{1,3})');
select regexp_match('abc01234xyz', '(.*)(\d+)(.*)'), regexp_match('abc01234xyz', '(.*?)(\d+)(.*)');
select regexp_match('abc01234xyz', '(?:(.*?)(\d+)(.*)){1,1}');
select regexp_match('foobar', '(foo|foobar)?'), regexp_match('foobar', '(foo|foobar)??');
select regexp_replace('aaa', 'a*?', '-', 'g'), regexp_replace('aaa', 'a+?', '-', 'g');
select regexp_match('key=val=x', '^(.+)=(.*)$'), regexp_match('key=val=x', '^(.+?)=(.*)$');
select regexp_match('aaaa', '(a{1,2}?)(a*)'), regexp_match('aaaa', '(a{2}?)(a*)'), regexp_match('aaaa', '(a+?)(a+)');

-- Behind much text, and over much of it.
select regexp_match(repeat('-', 10000) || 'xabcd', 'a|ab|abc'), regexp_instr(repeat('-', 10000) || 'xabcd', 'a|ab|abc', 1, 1, 1);
select length(regexp_replace(repeat('ab', 10000), 'ab|abab', 'x', 'g'));
select length(substring(repeat('xy', 10000) from '(x|xy)*'));
select repeat('-', 10000) || 'ab' ~ 'b$', repeat('-', 10000) || 'ab' ~ 'a$';
