#include "include/once.h"
#include <once.h>
#include "guarded.h"
#include <guarded.h>
#define NAME "guarded.h"
#include NAME
#define ANGLED <once.h>
#include ANGLED
__LINE__ __INCLUDE_LEVEL__ __COUNTER__ __COUNTER__
#define line() __LINE__
line()
#line 100 "renamed.c"
__LINE__ __FILE__
#line 7
__LINE__ __FILE__
__COUNTER__
#define c2(a) a a
c2(__COUNTER__)
#pragma push_macro("c2")
#undef c2
#define c2(a) other a
c2(1)
#pragma pop_macro("c2")
c2(1)
int after;
