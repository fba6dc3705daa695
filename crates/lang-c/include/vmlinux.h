// The types of the kernel, on demand: a name that is not declared is looked for in the kernel's type information.
#pragma once
#ifndef __VMLINUX_H__
#define __VMLINUX_H__
#endif
#pragma skep types relocatable
