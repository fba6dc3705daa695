// What programs and the kernel agree on. Structures and numbers come from the kernel's type information.
#pragma once
#include <linux/types.h>
#ifndef __VMLINUX_H__
#pragma skep types plain
#endif
#define BPF_OBJ_NAME_LEN 16U
#define BPF_TAG_SIZE 8
#define BPF_LINE_INFO_SIZE 16
#define BPF_BUILD_ID_SIZE 20
#define BPF_RINGBUF_HDR_SZ 8
#define BPF_MAX_TRAMP_LINKS 38
#define BPF_MAX_LOOPS (8 * 1024 * 1024)
#define XDP_PACKET_HEADROOM 256
#define BPF_DEVCG_ACC_MKNOD 1
#define BPF_DEVCG_ACC_READ 2
#define BPF_DEVCG_ACC_WRITE 4
#define BPF_DEVCG_DEV_BLOCK 1
#define BPF_DEVCG_DEV_CHAR 2
