// Settings of the kernel's build in every form.
#include "skep.h"

extern int LINUX_KERNEL_VERSION __kconfig;
extern bool CONFIG_BPF_SYSCALL __kconfig;
extern enum libbpf_tristate CONFIG_NET __kconfig;
extern char CONFIG_BPF_JIT __kconfig;
extern u32 CONFIG_HZ __kconfig;
extern u64 CONFIG_NR_CPUS __kconfig;
extern char CONFIG_DEFAULT_HOSTNAME[16] __kconfig;
extern char CONFIG_CC_VERSION_TEXT[8] __kconfig;
extern u64 CONFIG_OF_NO_KERNEL __kconfig __weak;
extern bool LINUX_HAS_BPF_COOKIE __kconfig __weak;

u64 version, hz, cpus, none, name, compiler;

SEC("tc") int settings(void *ctx)
{
    version = LINUX_KERNEL_VERSION;
    hz = CONFIG_HZ;
    cpus = CONFIG_NR_CPUS;
    none = CONFIG_OF_NO_KERNEL;
    name = CONFIG_DEFAULT_HOSTNAME[0];
    compiler = CONFIG_CC_VERSION_TEXT[1];
    return CONFIG_BPF_SYSCALL + CONFIG_NET + CONFIG_BPF_JIT + LINUX_HAS_BPF_COOKIE;
}
