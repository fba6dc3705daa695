/* Nearly every system call with four sets of odd arguments: all bits, nothing, an open file with buffers of zeros, buffers
 * of zeros from the first argument on. It runs as nobody in a namespace for objects of System V of its own, and leaves out
 * what would wait, end it or reach others. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static long raw(long n, long a, long b, long c, long d, long e, long f) {
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

/* At the same places in every run, because addresses stand where calls expect numbers. */
#define SIZE 8192
static char *const one = (char *)0x406040, *const two = (char *)0x404040;

/* Lists of numbers end with -1. Calls that do not come back, wait forever, make processes or end some. */
static const short never[] = {
    SYS_rt_sigreturn, SYS_pause, SYS_clone, SYS_fork, SYS_vfork, SYS_exit, SYS_kill, SYS_ptrace, SYS_tkill,
    SYS_exit_group, SYS_tgkill, SYS_seccomp, -1};
/* Those that would wait without a time or for a message, close what is open, or make a queue. */
static const short not_zero[] = {
    SYS_close, SYS_select, SYS_msgget, SYS_msgrcv, SYS_pselect6, SYS_ppoll, SYS_close_range, -1};
/* Those that close the open file, or wait. */
static const short not_file[] = {SYS_alarm, SYS_close, SYS_close_range, -1};
/* Those that change the memory of the buffers. */
static const short not_buffer[] = {
    SYS_mmap, SYS_mprotect, SYS_munmap, SYS_brk, SYS_mremap, SYS_madvise, SYS_mlock, SYS_munlock, SYS_remap_file_pages,
    SYS_mbind, SYS_mlock2, SYS_pkey_mprotect, 440 /* process_madvise */, -1};

static int is(const short *list, int n) {
    for (; *list >= 0; list++)
        if (*list == n) return 1;
    return 0;
}

static void clear(void) {
    for (int i = 0; i < SIZE; i++) {
        one[i] = two[i] = 0;
        __asm__ volatile("" ::: "memory");
    }
}

int main(void) {
    if (raw(SYS_mmap, 0x404000, 6 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) < 0)
        return 1;
    raw(SYS_unshare, 0x08000000, 0, 0, 0, 0, 0);
    dup2(open("/dev/null", O_RDWR), 3);
    raw(SYS_setresgid, 65534, 65534, 65534, 0, 0, 0);
    if (raw(SYS_setresuid, 65534, 65534, 65534, 0, 0, 0) < 0) return 1;
    for (int n = 0; n < 450; n++) {
        if ((n > 334 && n < 424) || is(never, n)) continue;
        raw(n, -1, -1, -1, -1, -1, -1);
        if (!is(not_zero, n)) raw(n, 0, 0, 0, 0, 0, 0);
        clear();
        if (!is(not_file, n)) raw(n, 3, (long)one, 64, 7, (long)two, 9);
        clear();
        if (!is(not_buffer, n)) raw(n, (long)one, (long)two, 2, 3, (long)one, 5);
    }
    return 0;
}
