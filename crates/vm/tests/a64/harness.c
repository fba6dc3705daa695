/* Runs BPF programs compiled to AArch64 code, for tests under an emulator.
 *
 * Usage: harness JOBS > RESULTS. Both are sequences of 64-bit little-endian words; `jit/foreign.rs` of the crate writes
 * the one and reads the other. The jobs start with the layout of the address space and the stubs; the harness has no
 * constant of its own but the sizes of what it reserves.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

typedef uint64_t u64;

struct outcome {
    u64 value, stop;
};

struct function {
    u64 address, at, cost;
};

#define CAGE (1ull << 32)
#define GUARD (1ull << 20)
#define CODE_ROOM (64ull << 20)
#define STUB_ROOM 4096

static FILE *jobs;
static uint8_t *base, *state, *code;
static u64 stop_access;
static u64 stop_pc_at, stop_registers_at, packet_at, packet_len_at;
static struct function *functions;
static u64 function_count, unsupported;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static u64 word(void)
{
    u64 value;
    if (fread(&value, 8, 1, jobs) != 1)
        fail("the jobs end too early");
    return value;
}

static uint8_t *bytes(u64 *length)
{
    *length = word();
    u64 padded = (*length + 7) & ~7ull;
    uint8_t *memory = malloc(padded + 8);
    if (!memory || fread(memory, 1, padded, jobs) != padded)
        fail("the jobs end too early");
    return memory;
}

static u64 *field(u64 offset)
{
    return (u64 *)(state + offset);
}

static void map(uint8_t *start, u64 length, int protection)
{
    if (mprotect(start, length, protection))
        fail("mprotect");
}

/* What jit/signal.rs does: an access of a program that faults goes on at the exit stub. */
static void handler(int signal_number, siginfo_t *info, void *context)
{
    (void)info;
    mcontext_t *machine = &((ucontext_t *)context)->uc_mcontext;
    if (machine->pc - (u64)code >= CODE_ROOM) {
        signal(signal_number, SIG_DFL);
        return;
    }
    *field(stop_pc_at) = machine->pc;
    memcpy(field(stop_registers_at), machine->regs, 31 * 8);
    machine->pc = stop_access;
}

static struct outcome helper(u64 r1, u64 r2, u64 r3, u64 r4, u64 r5, void *of)
{
    (void)r2, (void)r3, (void)r4, (void)r5;
    if (of != state)
        abort();
    return (struct outcome){ r1, 0 };
}

static struct outcome other_program(void)
{
    return (struct outcome){ 0, 0 };
}

static struct outcome indirect(u64 value)
{
    for (u64 i = 0; i < function_count; i++)
        if (functions[i].address == value)
            return (struct outcome){ (u64)code + STUB_ROOM + functions[i].at, functions[i].cost };
    if (value == 5)
        return (struct outcome){ (u64)helper, 0 };
    return (struct outcome){ 0, ~0ull };
}

static struct outcome packet_load(u64 offset, u64 size)
{
    const uint8_t *packet = *(uint8_t **)field(packet_at);
    offset = (uint32_t)offset;
    /* The areas of linux/filter.h, which begin here, are tested elsewhere. */
    if (offset >= 1ull << 31)
        unsupported = 1;
    if (offset + size > *field(packet_len_at))
        return (struct outcome){ 0, 1 };
    u64 value = 0;
    for (u64 i = 0; i < size; i++)
        value = value << 8 | packet[offset + i];
    return (struct outcome){ value, 0 };
}

/* The format that a64::link describes. */
static void link_call(uint8_t *at, u64 target)
{
    for (int quarter = 0; quarter < 4; quarter++) {
        uint32_t insn;
        memcpy(&insn, at + 4 * quarter, 4);
        insn = (insn & ~(0xffffu << 5)) | (uint32_t)(target >> (16 * quarter) & 0xffff) << 5;
        memcpy(at + 4 * quarter, &insn, 4);
    }
}

/* The stub that enters code. */
typedef struct outcome (*enter_function)(uint8_t *, uint8_t *, const u64 *);

int main(int count, char **arguments)
{
    if (count != 2 || !(jobs = fopen(arguments[1], "rb")))
        fail("usage: harness JOBS");
    u64 state_distance = word(), state_room = word(), stack = word(), page = word(), context_window = word();
    u64 fuel_at = word(), context_at = word();
    packet_at = word(), packet_len_at = word(), stop_pc_at = word(), stop_registers_at = word();
    u64 enter = word(), stop = word();
    stop_access = word();

    u64 length;
    uint8_t *stubs = bytes(&length);
    uint8_t *space =
        mmap(NULL, state_distance + CAGE + GUARD, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    code = mmap(NULL, CODE_ROOM, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (space == MAP_FAILED || code == MAP_FAILED || length > STUB_ROOM)
        fail("mmap");
    base = space + state_distance;
    state = space;
    map(state, state_room, PROT_READ | PROT_WRITE);
    map(base + stack, page, PROT_READ | PROT_WRITE);
    memcpy(code, stubs, length);
    stop_access += (u64)code;
    struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };
    if (sigaction(SIGSEGV, &action, NULL) || sigaction(SIGBUS, &action, NULL))
        fail("sigaction");

    while (word()) {
        u64 start = word(), room = word(), stack_end = word(), fuel = word();
        u64 context_len, packet_len, code_len;
        uint8_t *context = bytes(&context_len), *packet = bytes(&packet_len), *program = bytes(&code_len);
        if (code_len + STUB_ROOM > CODE_ROOM)
            fail("a program is too long");
        uint8_t *at = code + STUB_ROOM;
        memcpy(at, program, code_len);
        for (u64 calls = word(); calls; calls--) {
            u64 place = word(), kind = word();
            u64 targets[] = { (u64)code + stop, (u64)helper, (u64)other_program, (u64)indirect, (u64)packet_load };
            link_call(at + place, targets[kind]);
        }
        function_count = word();
        functions = calloc(function_count + 1, sizeof *functions);
        for (u64 i = 0; i < function_count; i++)
            functions[i].address = word(), functions[i].at = word(), functions[i].cost = word();
        __builtin___clear_cache((char *)code, (char *)at + code_len);

        memset(state, 0, state_room);
        memset(base + stack, 0, page);
        map(base + context_window, room, PROT_READ | PROT_WRITE);
        memset(base + context_window, 0, room);
        memcpy(base + start, context, context_len);
        *field(fuel_at) = fuel;
        *field(context_at) = start;
        *(uint8_t **)field(packet_at) = packet;
        *field(packet_len_at) = packet_len;
        unsupported = 0;

        u64 registers[6] = { start, context_len, 0, 0, 0, stack_end };
        struct outcome end = ((enter_function)(code + enter))(base, at, registers);

        u64 words[6] = { end.value, end.stop, *field(stop_pc_at) - (u64)at, *field(fuel_at), (u64)base, unsupported };
        fwrite(words, 8, 6, stdout);
        fwrite(field(stop_registers_at), 8, 32, stdout);
        fwrite(base + start, 1, (context_len + 7) & ~7ull, stdout);
        map(base + context_window, room, PROT_NONE);
        free(context), free(packet), free(program), free(functions);
    }
    return 0;
}
