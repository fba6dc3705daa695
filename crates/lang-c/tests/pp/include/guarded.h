#ifndef GUARDED_H
#define GUARDED_H
guarded_only __INCLUDE_LEVEL__
#include "sub/nested.h"
#endif
