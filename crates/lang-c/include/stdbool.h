// Truth values.
#pragma once
#ifndef bool
#define bool _Bool
#endif
#ifndef true
#define true 1
#define false 0
#endif
#define __bool_true_false_are_defined 1
