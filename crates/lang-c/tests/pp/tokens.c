a+++++b a---b a->*b x<<=1 y>>=2 z...w .5 5. 5.e+3 0x1p-3 1'0 %:%: <: :> <% %> %:
/* comment */ a/**/b // line comment \
continued
"string with \" quote" 'c' '\'' "a" "b" L"wide" u8"eight" u"sixteen" U"thirtytwo" L'w'
spl\
iced iden\
tifier 12\
34 "str\
ing" +\
+ /\
* comment *\
/ end
/\
/ comment
$dollar _under __double a1b2 1a2b 0xfffffffffffffffful 1.0f
@ ` # not_a_directive
é µ
a ? b : c ; a == b != c <= d >= e && f || g ^ h | i & j ~k !l
x+=1 -=2 *=3 /=4 %=5 &=6 |=7 ^=8
