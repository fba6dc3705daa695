// Gives a blob of type information (a file) to the kernel; prints the kernel's reason and fails if it refuses.
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static char blob[1 << 20], reason[1 << 16];

int main(int count, char **arguments)
{
    struct {
        uint64_t btf, log_buf;
        uint32_t size, log_size, log_level;
    } load = { (uintptr_t)blob, (uintptr_t)reason, 0, sizeof(reason), 1 };
    FILE *file = count == 2 ? fopen(arguments[1], "r") : NULL;
    if (!file)
        return 2;
    load.size = fread(blob, 1, sizeof(blob), file);
    // BPF_BTF_LOAD
    if (syscall(SYS_bpf, 18, &load, sizeof(load)) >= 0)
        return 0;
    printf("%s\n%s", strerror(errno), reason);
    return 1;
}
