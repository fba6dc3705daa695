/* Calls that administrators meet, with arguments that succeed or fail in known ways: objects of System V, prctl, clocks,
 * several messages at a time, asynchronous input, what stands for files, policies, keys, mounts. What strace prints about
 * them is compared with what skep prints. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static long words[64];
static char bytes[256];

static void semaphores(void) {
    int id = semget(IPC_PRIVATE, 3, 0600 | IPC_CREAT);
    unsigned short values[3] = {1, 2, 3};
    struct semid_ds state;
    struct seminfo info;
    semctl(id, 0, SETALL, values);
    semctl(id, 1, GETVAL, 0);
    semctl(id, 0, SETVAL, 7);
    semctl(id, 0, IPC_STAT, &state);
    semctl(0, 0, IPC_INFO, &info);
    semctl(0, 0, SEM_INFO, &info);
    semctl(0, 0, SEM_STAT, &state);
    semctl(id, 0, IPC_SET, &state);
    struct sembuf op = {1, 1, IPC_NOWAIT};
    semop(id, &op, 1);
    semctl(id, 0, IPC_RMID);
    semctl(id, 0, IPC_STAT, &state);
}

static void shared_memory(void) {
    int id = shmget(IPC_PRIVATE, 4096, 0600 | IPC_CREAT);
    struct shmid_ds state;
    shmctl(id, IPC_STAT, &state);
    shmctl(id, IPC_SET, &state);
    shmctl(id, SHM_LOCK, 0);
    shmctl(0, IPC_INFO, (void *)words);
    shmctl(0, SHM_INFO, (void *)words);
    shmctl(0, SHM_STAT, &state);
    shmctl(id, IPC_RMID, 0);
    shmget(5, 4096, 0600 | IPC_CREAT | SHM_HUGETLB | 40 << 26);
}

static void queues(void) {
    int id = msgget(77, 0600 | IPC_CREAT);
    struct msqid_ds state;
    struct { long type; char text[100]; } message = {3, "hello"};
    msgctl(id, IPC_STAT, &state);
    msgctl(id, IPC_SET, &state);
    msgsnd(id, &message, 5, 0);
    msgrcv(id, &message, 10, 0, IPC_NOWAIT);
    msgrcv(id, &message, 10, 0, IPC_NOWAIT | MSG_NOERROR);
    msgsnd(id, &message, 100, IPC_NOWAIT);
    msgrcv(id, &message, 100, -5, MSG_NOERROR);
    msgctl(id, MSG_INFO, (void *)words);
    msgctl(id, MSG_STAT, &state);
    msgsnd(id, &message, -1, 0);
    msgctl(id, IPC_RMID, 0);
    struct mq_attr attr = {O_NONBLOCK, 4, 64, 0};
    int queue = syscall(SYS_mq_open, "skep-strace", O_RDWR | O_CREAT, 0600, &attr);
    syscall(SYS_mq_getsetattr, queue, &attr, words);
    syscall(SYS_mq_timedsend, queue, "hello", 5, 3, 0);
    unsigned priority = 0;
    syscall(SYS_mq_timedreceive, queue, bytes, 64, &priority, 0);
    struct sigevent event;
    memset(&event, 0, sizeof event);
    event.sigev_notify = SIGEV_NONE;
    syscall(SYS_mq_notify, queue, &event);
    syscall(SYS_mq_unlink, "skep-strace");
}

static void options(void) {
    prctl(PR_GET_PDEATHSIG, words);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    prctl(PR_GET_PDEATHSIG, words);
    prctl(PR_GET_CHILD_SUBREAPER, words);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_GET_TID_ADDRESS, words);
    prctl(PR_GET_TSC, words);
    prctl(PR_GET_SECUREBITS);
    prctl(PR_GET_SECCOMP);
    prctl(PR_CAPBSET_READ, 3);
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, 3, 0, 0);
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    for (int what = 0; what < 4; what++) prctl(PR_GET_SPECULATION_CTRL, what, 0, 0, 0);
    prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
    prctl(PR_GET_TIMERSLACK);
    prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0);
    prctl(PR_MCE_KILL_GET, 0, 0, 0, 0);
    prctl(PR_MCE_KILL, PR_MCE_KILL_SET, 9, 0, 0);
    prctl(PR_SET_NAME, "a name that is too long");
    prctl(PR_GET_NAME, bytes);
    prctl(PR_GET_KEEPCAPS);
    prctl(PR_GET_TIMING);
    prctl(PR_GET_DUMPABLE);
    prctl(PR_SET_DUMPABLE, 5);
    prctl(PR_SET_MM, 15, words, 0, 0);
    prctl(PR_SET_MM, 8, 5, 0, 0);
    prctl(PR_GET_UNALIGN, words);
    prctl(PR_GET_FPEMU, words);
    prctl(PR_SET_PTRACER, -1);
    prctl(0x53564d41, 0, 0, 0, "name");
    prctl(PR_SET_SECCOMP, 5, 6, 7, 8);
    syscall(SYS_personality, 0xffffffff);
    syscall(SYS_personality, 0x0040000);
}

static void clocks(void) {
    struct timex state;
    memset(&state, 0, sizeof state);
    state.modes = 0xa001;
    adjtimex(&state);
    memset(&state, 0, sizeof state);
    syscall(SYS_clock_adjtime, CLOCK_REALTIME, &state);
    syscall(SYS_clock_adjtime, CLOCK_MONOTONIC, &state);
    struct sigevent event;
    memset(&event, 0, sizeof event);
    event.sigev_value.sival_int = 5;
    event.sigev_signo = SIGALRM;
    timer_t timer;
    syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer);
    event.sigev_notify = 9;
    syscall(SYS_timer_create, CLOCK_TAI, &event, &timer);
}

static void messages(void) {
    int pair[2];
    struct iovec out[2] = {{"ab", 2}, {"cde", 3}};
    char first[10], second[10];
    struct iovec in[2] = {{first, 10}, {second, 10}};
    struct mmsghdr many[2];
    struct timespec limit = {1, 0};
    struct sockaddr_in name;
    socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair);
    memset(many, 0, sizeof many);
    many[0].msg_hdr.msg_iov = out;
    many[0].msg_hdr.msg_iovlen = 2;
    many[1].msg_hdr.msg_iov = out + 1;
    many[1].msg_hdr.msg_iovlen = 1;
    sendmmsg(pair[0], many, 2, 0);
    sendmmsg(-1, many, 2, MSG_OOB);
    many[0].msg_hdr.msg_iov = in;
    many[0].msg_hdr.msg_iovlen = 1;
    many[1].msg_hdr.msg_iov = in + 1;
    many[1].msg_hdr.msg_name = &name;
    many[1].msg_hdr.msg_namelen = sizeof name;
    recvmmsg(pair[1], many, 2, MSG_DONTWAIT, &limit);
    recvmmsg(pair[1], many, 2, MSG_DONTWAIT, 0);
    struct msghdr one;
    memset(&one, 0, sizeof one);
    one.msg_iov = out;
    one.msg_iovlen = 2;
    sendmsg(pair[0], &one, 0);
    one.msg_iov = in;
    one.msg_iovlen = 1;
    one.msg_name = bytes;
    one.msg_namelen = 100;
    recvmsg(pair[1], &one, 0);
    one.msg_namelen = 50;
    recvmsg(pair[1], &one, MSG_DONTWAIT);
    readv(pair[1], in, 2);
    int udp = socket(AF_INET, SOCK_DGRAM, 0), on = 1;
    struct sockaddr_in here = {AF_INET, 0, {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof here;
    bind(udp, (void *)&here, sizeof here);
    getsockname(udp, (void *)&here, &length);
    sendto(udp, "x", 1, 0, (void *)&here, sizeof here);
    one.msg_namelen = 100;
    recvmsg(udp, &one, 0);
    setsockopt(udp, SOL_IP, IP_TOS, &on, 4);
    setsockopt(udp, SOL_IP, 64, &on, 4);
    setsockopt(udp, SOL_SOCKET, SO_ATTACH_FILTER, 0, 16);
    struct ip_mreq group = {{htonl(0xe0000001)}, {htonl(INADDR_LOOPBACK)}};
    setsockopt(udp, SOL_IP, IP_ADD_MEMBERSHIP, &group, sizeof group);
    length = 4;
    getsockopt(udp, SOL_IP, IP_TTL, &on, &length);
    getsockopt(udp, 270, 1, &on, &length);
    socket(AF_PACKET, SOCK_DCCP, htons(0x88cc));
    socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 4);
}

static void files(void) {
    aio_context_t context = 0;
    struct iocb block, *blocks[1] = {&block};
    struct io_event events[4];
    struct timespec limit = {1, 0};
    memset(&block, 0, sizeof block);
    syscall(SYS_io_setup, 8, &context);
    block.aio_fildes = open("/etc/passwd", O_RDONLY);
    block.aio_buf = (long)bytes;
    block.aio_nbytes = 5;
    block.aio_data = 9;
    syscall(SYS_io_submit, context, 1, blocks);
    syscall(SYS_io_getevents, context, 1, 4, events, &limit);
    syscall(SYS_io_cancel, context, &block, events);
    syscall(SYS_io_destroy, context);
    struct file_handle *handle = (void *)bytes;
    int mount;
    handle->handle_bytes = 64;
    name_to_handle_at(AT_FDCWD, "/nonexistent", handle, &mount, AT_SYMLINK_FOLLOW);
    open_by_handle_at(-1, handle, O_RDONLY);
    struct iovec in = {bytes + 100, 10};
    preadv(block.aio_fildes, &in, 1, 3);
    syscall(SYS_preadv2, block.aio_fildes, &in, 1, 3, 0, 8);
    long how[4] = {O_RDONLY | O_CLOEXEC, 0, 0x8, 0};
    syscall(437, AT_FDCWD, "nonexistent", how, 24);
    syscall(437, AT_FDCWD, "nonexistent", how, 32);
    how[3] = 5;
    syscall(437, AT_FDCWD, "nonexistent", how, 32);
    openat(AT_FDCWD, "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    openat(AT_FDCWD, ".", O_RDWR | O_TMPFILE, 0600);
    mknod("/nonexistent/special", S_IFCHR | 0600, 0x12345);
    struct { long access, modification; } times = {1000000000, 5};
    syscall(SYS_utime, ".", &times);
    syscall(SYS_utime, "nonexistent", &times);
    flock(block.aio_fildes, LOCK_SH | LOCK_NB);
}

static void mounts(void) {
    unshare(CLONE_NEWNS);
    mount("none", "/", 0, MS_REC | MS_PRIVATE, 0);
    mount("skep", "/nonexistent", "tmpfs", MS_NOSUID | MS_NODEV, "size=1m");
    mount(0, "/nonexistent", 0, MS_REMOUNT | MS_RDONLY, "size=1m");
    umount2("/nonexistent", MNT_DETACH);
    int context = syscall(430, "tmpfs", 1);
    syscall(431, context, 1, "size", "1m", 0);
    syscall(431, context, 0, "ro", 0, 0);
    syscall(431, context, 2, "binary", "abc", 3);
    syscall(431, context, 6, 0, 0, 0);
    int mount = syscall(432, context, 1, 0xf);
    syscall(429, mount, "", AT_FDCWD, "/nonexistent", 4);
    syscall(428, AT_FDCWD, "/", 0x80001 | 0x8000);
    syscall(433, AT_FDCWD, "/", 1);
    long attr[4] = {1, 0, MS_PRIVATE, 0};
    syscall(442, mount, "", 0x1000, attr, 32);
    syscall(SYS_quotactl, 0x80000100, "/nonexistent", 0, 0);
    syscall(SYS_quotactl, 0x80000700, "/nonexistent", 5, words);
    syscall(SYS_swapon, "/nonexistent", 0x8005);
    long rules[2] = {0xf, 0};
    int ruleset = syscall(444, rules, 8, 0);
    struct { long access; int parent; } __attribute__((packed)) beneath = {4, ruleset};
    syscall(445, ruleset, 1, &beneath, 0);
}

static void processes(void) {
    memset(words, 0, sizeof words);
    words[0] = 48;
    syscall(SYS_sched_setattr, 0, words, 0);
    syscall(SYS_sched_getattr, 0, words, 48, 0);
    syscall(SYS_sched_getattr, 0, words, 64, 0);
    memset(words, 0, sizeof words);
    syscall(SYS_get_mempolicy, words, words + 1, 64, 0, 0);
    words[0] = 1;
    syscall(SYS_set_mempolicy, 2 | 0x8000, words, 65);
    syscall(SYS_set_mempolicy, 0, 0, 0);
    syscall(SYS_migrate_pages, 0, 64, words, words);
    words[0] = (long)words;
    words[1] = 0;
    int status[2];
    syscall(SYS_move_pages, 0, 2, words, 0, status, 0);
    syscall(SYS_ioprio_set, 1, 0, 2 << 13 | 5);
    syscall(SYS_ioprio_get, 1, 0);
    struct iovec here = {bytes, 10}, there = {bytes + 100, 10};
    memset(bytes, 'x', sizeof bytes);
    process_vm_readv(0x7ffffff, &here, 1, &there, 1, 0);
    process_vm_readv(getpid(), &here, 1, &there, 1, 0);
    process_vm_writev(getpid(), &here, 1, &there, 1, 0);
    syscall(SYS_kcmp, getpid(), getpid(), 0, 0, 1);
    syscall(SYS_kcmp, getpid(), getpid(), 1, 0, 0);
    syscall(SYS_membarrier, 8, 0, 0);
    void *list;
    size_t length;
    syscall(SYS_get_robust_list, 0, &list, &length);
    int action = SECCOMP_RET_ERRNO;
    syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action);
    syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, words);
    struct { unsigned version; int pid; } head = {0x20080522, 0};
    unsigned sets[6] = {0};
    syscall(SYS_capget, &head, sets);
    syscall(SYS_capset, &head, sets);
    syscall(SYS_keyctl, 3, 0x7ffffff1);
    syscall(SYS_keyctl, 10, -3, "user", "skep-nonexistent", 0);
    syscall(SYS_keyctl, 5, 0x7ffffff1, 0x3f3f0000);
    syscall(SYS_keyctl, 2, 0x7ffffff1, "payload", 7);
    syscall(SYS_keyctl, 14, -1);
    syscall(SYS_request_key, "user", "skep-nonexistent", 0, -4);
    long waiter[3] = {5, (long)words, 2};
    struct timespec past = {0, 0};
    syscall(449, waiter, 1, 0, &past, CLOCK_MONOTONIC);
    syscall(SYS_perf_event_open, 0, -1, 0, -1, 9);
    unsigned event[32] = {3, 64, 0x10203};
    syscall(SYS_perf_event_open, event, -1, -1, -1, 0);
    event[0] = 5;
    event[10] = 1 << 14 | 1;
    event[13] = 3;
    syscall(SYS_perf_event_open, event, -1, -1, -1, 8);
    setns(-1, CLONE_NEWNET);
}

int main(void) {
    unshare(CLONE_NEWIPC);
    semaphores();
    shared_memory();
    queues();
    options();
    clocks();
    messages();
    files();
    mounts();
    processes();
    return 0;
}
