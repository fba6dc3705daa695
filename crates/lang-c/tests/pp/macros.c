// Examples after the standard (C11, 6.10.3.5), and of our own.
#define x 3
#define f(a) f(x * (a))
#undef x
#define x 2
#define g f
#define z z[0]
#define h g(~
#define m(a) a(w)
#define w 0,1
#define t(a) a
#define p() int
#define q(x) x
#define r(x,y) x ## y
#define str(x) # x
f(y+1) + f(f(z)) % t(t(g)(0) + t)(1);
g(x+(3,4)-w) | h 5) & m
	(f)^m(m);
p() i[q()] = { q(1), r(2,3), r(4,), r(,5), r(,) };
char c[2][6] = { str(hello), str() };
#define xstr(s) str(s)
#define debug(s, t) printf("x" # s "= %d, x" # t "= %s", \
	x ## s, x ## t)
#define INCFILE(n) vers ## n
#define glue(a, b) a ## b
#define xglue(a, b) glue(a, b)
#define HIGHLOW "hello"
#define LOW LOW ", world"
debug(1, 2);
fputs(str(strncmp("abc\0d", "abc", '\4') == 0) str(: @\n), s);
xstr(INCFILE(2).k)
glue(HIGH, LOW);
xglue(HIGH, LOW)
#define hash_hash # ## #
#define mkstr(a) # a
#define in_between(a) mkstr(a)
#define join(c, d) in_between(c hash_hash d)
char p1[] = join(x, y);
#define t2(x,y,z) x ## y ## z
int j[] = { t2(1,2,3), t2(,4,5), t2(6,,7), t2(8,9,), t2(10,,), t2(,11,), t2(,,12), t2(,,) };
#define showlist(...) puts(#__VA_ARGS__)
#define report(test, ...) ((test)?puts(#test): printf(__VA_ARGS__))
showlist(The first, second, and third items.);
report(x>y, "x is %d but y is %d", x, y);
#define OBJ_LIKE (1-1)
#define FTN_LIKE(a) ( a )
OBJ_LIKE FTN_LIKE(x) FTN_LIKE
(y) FTN_LIKE
;
#define foo() bar
foo
()
foo
#define EMPTY
#define NOTHING() EMPTY
a NOTHING() b EMPTY c
-EMPTY- +EMPTY+ <EMPTY<
#define AA BB
#define BB AA
AA BB
#define self(a) self(a, self(a))
self(self(1))
#define f2(a) a*g2
#define g2(a) f2(a)
f2(2)(9)
#define LPAREN (
#define RPAREN )
#define F(x, y) x + y
#define ELLIP_FUNC(...) __VA_ARGS__
ELLIP_FUNC(F, LPAREN, 'a', 'b', RPAREN)
#define CAT(a,b) a##b
#define EXPAND(x) x
EXPAND(CAT(EX,PAND)(1))
str( a  b	c
   d ) str("\n" 'a' "\\" '"') str( ) str(a/**/b) str(L"x\n")
#define spaced(a,b) <a> < b > <a b> <a/b>
spaced( 1 , 2 )
CAT(1,e+5) CAT(.,5) CAT(<,<=) CAT(L,"x") CAT(u8,"y") CAT(-,>)
GIVEN PLAIN PAIR(1, 2)
