/* Calls whose arguments and results are the same in every run in an empty directory, but for addresses, times and numbers of
 * processes. What strace prints about them is compared with what skep prints. */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/statfs.h>
#include <sys/times.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/timerfd.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <netinet/in.h>
#include <linux/netlink.h>
#include <netinet/tcp.h>
#include <sys/mman.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <sys/select.h>
#include <poll.h>
#include <sys/prctl.h>
#include <signal.h>
#include <fcntl.h>
#include <unistd.h>
#include <errno.h>
#include <sys/uio.h>
#include <sched.h>
#include <sys/wait.h>
#include <sys/sendfile.h>
#include <sys/xattr.h>
#include <sys/inotify.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <string.h>
#include <stdlib.h>
#include <time.h>
#include <sys/time.h>
#include <sys/file.h>
int main(void) {
    char root[4096];
    getcwd(root, sizeof root);
    setpgid(0x7777, 1);
    char b[4096];
    struct stat st;
    int fd, p[2];
    fd = open("corpus", O_RDWR|O_CREAT|O_TRUNC|O_CLOEXEC, 0644);
    write(fd, "hello\tworld\n\1\0023\377", 16);
    lseek(fd, 0, SEEK_SET);
    read(fd, b, sizeof b);
    pread(fd, b, 4, 2);
    pwrite(fd, "xy", 2, 3);
    ftruncate(fd, 100);
    fsync(fd);
    fdatasync(fd);
    struct iovec v[2] = {{"ab", 2}, {"cde", 3}};
    writev(fd, v, 2);
    lseek(fd, 0, SEEK_SET);
    struct iovec r[2] = {{b, 3}, {b+100, 5}};
    readv(fd, r, 2);
    preadv(fd, r, 2, 1);
    pwritev(fd, v, 2, 5);
    syscall(SYS_stat, "/etc/passwd", &st);
    syscall(SYS_lstat, "/dev/null", &st);
    syscall(SYS_fstat, fd, &st);
    fstatat(AT_FDCWD, "/tmp", &st, AT_SYMLINK_NOFOLLOW);
    stat("/nonexistent", &st);
    struct statx sx;
    statx(AT_FDCWD, "/etc/passwd", 0, STATX_BASIC_STATS, &sx);
    access("/etc/passwd", R_OK|W_OK);
    faccessat(AT_FDCWD, "/etc", F_OK, 0);
    faccessat(AT_FDCWD, "/etc", X_OK, AT_EACCESS);
    pipe(p);
    pipe2(p, O_CLOEXEC|O_NONBLOCK);
    dup(p[0]);
    dup2(p[0], 50);
    dup3(p[0], 51, O_CLOEXEC);
    close(50);
    fcntl(p[0], F_GETFL);
    fcntl(p[0], F_SETFL, O_RDONLY);
    fcntl(p[0], F_GETFD);
    fcntl(p[0], F_SETFD, FD_CLOEXEC);
    fcntl(p[0], F_DUPFD_CLOEXEC, 60);
    fcntl(p[0], F_DUPFD, 70);
    struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    fcntl(fd, F_SETLK, &fl);
    fcntl(fd, F_GETLK, &fl);
    fcntl(p[0], F_GETPIPE_SZ);
    struct pollfd pf[2] = {{p[0], POLLIN, 0}, {p[1], POLLOUT, 0}};
    poll(pf, 2, 10);
    poll(pf, 1, 1);
    struct timespec ts = {0, 1000000};
    ppoll(pf, 2, &ts, NULL);
    ppoll(pf, 1, &ts, NULL);
    fd_set rs, ws;
    FD_ZERO(&rs);
    FD_ZERO(&ws);
    FD_SET(p[0], &rs);
    FD_SET(p[1], &ws);
    struct timeval tv = {0, 1000};
    select(p[1]+1, &rs, &ws, NULL, &tv);
    FD_SET(p[0], &rs);
    tv.tv_usec = 1000;
    select(p[1]+1, &rs, NULL, NULL, &tv);
    syscall(SYS_select, p[1]+1, &rs, &ws, NULL, &tv);
    syscall(SYS_select, 0, NULL, NULL, NULL, &tv);
    int ep = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event ev = {EPOLLOUT|EPOLLET, {.u64 = 0x1234567800000005}};
    epoll_ctl(ep, EPOLL_CTL_ADD, p[1], &ev);
    struct epoll_event evs[4];
    epoll_wait(ep, evs, 4, 0);
    epoll_wait(ep, evs, 4, 0);
    epoll_ctl(ep, EPOLL_CTL_DEL, p[1], NULL);
    epoll_create(3);
    void*m = mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0);
    mprotect(m, 4096, PROT_NONE);
    madvise(m, 8192, MADV_DONTNEED);
    m = mremap(m, 8192, 16384, MREMAP_MAYMOVE);
    msync(m, 4096, MS_SYNC);
    mlock(m, 4096);
    munlock(m, 4096);
    munmap(m, 16384);
    mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    mlockall(MCL_CURRENT);
    munlockall();
    struct sigaction sa = {.sa_handler = SIG_IGN, .sa_flags = SA_RESTART};
    sigaddset(&sa.sa_mask, SIGINT);
    sigaction(SIGUSR1, &sa, NULL);
    sigset_t ss, os;
    sigemptyset(&ss);
    sigaddset(&ss, SIGTERM);
    sigaddset(&ss, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &ss, &os);
    sigfillset(&ss);
    sigprocmask(SIG_SETMASK, &ss, &os);
    sigpending(&os);
    sigemptyset(&ss);
    sigprocmask(SIG_SETMASK, &ss, NULL);
    stack_t sk = {.ss_sp = b, .ss_size = 4096};
    sigaltstack(&sk, NULL);
    sigaltstack(NULL, &sk);
    kill(getpid(), 0);
    kill(getpid(), SIGUSR1);
    sigemptyset(&ss);
    sigaddset(&ss, SIGUSR2);
    sigprocmask(SIG_BLOCK, &ss, NULL);
    kill(getpid(), SIGUSR2);
    siginfo_t si;
    sigtimedwait(&ss, &si, &ts);
    nanosleep(&ts, NULL);
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
    syscall(SYS_nanosleep, &ts, &ts);
    syscall(SYS_clock_gettime, CLOCK_REALTIME, &ts);
    syscall(SYS_clock_getres, CLOCK_MONOTONIC, &ts);
    syscall(SYS_gettimeofday, &tv, NULL);
    syscall(SYS_time, NULL);
    ts.tv_sec = 0;
    ts.tv_nsec = 10;
    struct itimerval it = {{0, 0}, {100, 0}};
    setitimer(ITIMER_REAL, &it, NULL);
    getitimer(ITIMER_VIRTUAL, &it);
    alarm(100);
    alarm(0);
    int tf = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC|TFD_NONBLOCK);
    struct itimerspec its = {{0, 0}, {1, 5}};
    timerfd_settime(tf, 0, &its, NULL);
    timerfd_gettime(tf, &its);
    timerfd_settime(tf, TFD_TIMER_ABSTIME, &its, &its);
    getpid();
    getppid();
    getuid();
    geteuid();
    getgid();
    getegid();
    syscall(SYS_gettid);
    getpgrp();
    getpgid(0);
    getsid(0);
    setpgid(0, 0);
    uid_t a1, a2, a3;
    getresuid(&a1, &a2, &a3);
    getresgid(&a1, &a2, &a3);
    setuid(0);
    setresuid(-1, -1, 0);
    gid_t gs[16];
    getgroups(0, gs);
    gs[0] = 0;
    gs[1] = 5;
    setgroups(2, gs);
    getgroups(16, gs);
    struct rlimit rl;
    syscall(SYS_getrlimit, RLIMIT_NOFILE, &rl);
    syscall(SYS_setrlimit, RLIMIT_NOFILE, &rl);
    getrlimit(RLIMIT_CORE, &rl);
    struct rusage ru;
    getrusage(RUSAGE_SELF, &ru);
    struct tms tm;
    times(&tm);
    struct sysinfo sy;
    sysinfo(&sy);
    struct utsname un;
    uname(&un);
    umask(022);
    umask(0777);
    getcwd(b, sizeof b);
    getpriority(PRIO_PROCESS, 0);
    setpriority(PRIO_PROCESS, 0, 1);
    sched_yield();
    sched_getscheduler(0);
    struct sched_param sp;
    sched_getparam(0, &sp);
    sched_get_priority_max(SCHED_FIFO);
    cpu_set_t cs;
    CPU_ZERO(&cs);
    sched_getaffinity(0, sizeof cs, &cs);
    sched_setaffinity(0, sizeof cs, &cs);
    prctl(PR_SET_NAME, "corpus");
    prctl(PR_GET_NAME, b);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    prctl(PR_GET_DUMPABLE);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    mkdir("d", 0755);
    chdir("d");
    open(".", O_RDONLY|O_DIRECTORY);
    int df = open("/proc/self", O_PATH);
    fchdir(df);
    chdir(root);
    rename("corpus", "d/c2");
    link("d/c2", "d/c3");
    symlink("c2", "d/l");
    readlink("d/l", b, sizeof b);
    chmod("d/c2", 04711);
    fchmod(fd, 0600);
    chown("d/c2", 0, -1);
    lchown("d/l", 0, 0);
    truncate("d/c2", 10);
    unlink("d/c3");
    unlinkat(AT_FDCWD, "d/l", 0);
    mkdirat(AT_FDCWD, "d/e", 0700);
    renameat(AT_FDCWD, "d/e", AT_FDCWD, "d/f");
    renameat2(AT_FDCWD, "d/f", AT_FDCWD, "d/g", RENAME_NOREPLACE);
    rmdir("d/g");
    mknod("d/fifo", S_IFIFO|0600, 0);
    mknod("d/nul", S_IFCHR|0600, 0x103);
    utimensat(AT_FDCWD, "d/c2", NULL, 0);
    struct timespec tt[2] = {{1, 2}, {0, UTIME_NOW}};
    utimensat(AT_FDCWD, "d/c2", tt, 0);
    struct statfs sf;
    statfs("/proc", &sf);
    fstatfs(fd, &sf);
    flock(fd, LOCK_EX|LOCK_NB);
    posix_fallocate(fd, 0, 10);
    posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED);
    sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
    int o = open("d/c2", O_RDONLY);
    off_t of = 0;
    sendfile(p[1], o, &of, 3);
    sendfile(p[1], o, NULL, 2);
    int dd = open("d", O_RDONLY|O_DIRECTORY);
    syscall(SYS_getdents64, dd, b, 4096);
    syscall(SYS_getdents64, dd, b, 4096);
    setxattr("d/c2", "user.x", "v", 1, 0);
    getxattr("d/c2", "user.x", b, 100);
    listxattr("d/c2", b, 100);
    removexattr("d/c2", "user.x");
    unlink("d/c2");
    unlink("d/fifo");
    unlink("d/nul");
    rmdir("d");
    int s = socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_TCP);
    int one = 1;
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, 4);
    setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, 4);
    socklen_t sl = 4;
    getsockopt(s, SOL_SOCKET, SO_TYPE, &one, &sl);
    struct sockaddr_in in = {AF_INET, htons(18123), {htonl(0x7f000001)}};
    bind(s, (void*)&in, sizeof in);
    listen(s, 5);
    int c = socket(AF_INET, SOCK_STREAM, 0);
    connect(c, (void*)&in, sizeof in);
    sl = sizeof in;
    int a = accept(s, (void*)&in, &sl);
    sl = sizeof in;
    getsockname(s, (void*)&in, &sl);
    sl = 100;
    getpeername(s, (void*)&in, &sl);
    send(c, "abc", 3, MSG_NOSIGNAL);
    recv(a, b, 100, 0);
    sendto(c, "q", 1, 0, NULL, 0);
    recvfrom(a, b, 10, MSG_DONTWAIT, NULL, NULL);
    recv(a, b, 10, MSG_DONTWAIT);
    shutdown(c, SHUT_WR);
    accept4(a, NULL, NULL, SOCK_CLOEXEC);
    int u[2];
    socketpair(AF_UNIX, SOCK_DGRAM, 0, u);
    struct iovec io = {"msg", 3};
    char cb[CMSG_SPACE(sizeof(int))] = {0};
    struct msghdr mh = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = cb, .msg_controllen = sizeof cb};
    struct cmsghdr*cm = CMSG_FIRSTHDR(&mh);
    cm->cmsg_level = SOL_SOCKET;
    cm->cmsg_type = SCM_RIGHTS;
    cm->cmsg_len = CMSG_LEN(4);
    *(int*)CMSG_DATA(cm) = 0;
    sendmsg(u[0], &mh, 0);
    struct iovec ri = {b, 10};
    struct msghdr rm = {.msg_iov = &ri, .msg_iovlen = 1, .msg_control = cb, .msg_controllen = sizeof cb};
    recvmsg(u[1], &rm, MSG_CMSG_CLOEXEC);
    int us = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un sun = {AF_UNIX, "nosock"};
    connect(us, (void*)&sun, sizeof sun);
    struct sockaddr_un ab = {AF_UNIX, "\0abs"};
    bind(us, (void*)&ab, 6);
    int nl = socket(AF_NETLINK, SOCK_RAW|SOCK_NONBLOCK, NETLINK_ROUTE);
    struct sockaddr_nl snl = {AF_NETLINK};
    bind(nl, (void*)&snl, sizeof snl);
    int s6 = socket(AF_INET6, SOCK_DGRAM, IPPROTO_UDP);
    struct sockaddr_in6 in6 = {AF_INET6, htons(18124), 0, IN6ADDR_LOOPBACK_INIT};
    bind(s6, (void*)&in6, sizeof in6);
    sendto(s6, "z", 1, 0, (void*)&in6, sizeof in6);
    sl = sizeof in6;
    recvfrom(s6, b, 10, 0, (void*)&in6, &sl);
    ioctl(0, TCGETS, b);
    ioctl(p[0], FIONREAD, &one);
    ioctl(p[0], FIONBIO, &one);
    ioctl(0, TIOCGWINSZ, b);
    ioctl(fd, 0x12345678, 5);
    int ef = eventfd(3, EFD_CLOEXEC);
    inotify_init1(IN_CLOEXEC);
    int in_ = inotify_init();
    inotify_add_watch(in_, "/tmp", IN_CREATE|IN_DELETE);
    inotify_rm_watch(in_, 1);
    sigemptyset(&ss);
    sigaddset(&ss, SIGHUP);
    signalfd(-1, &ss, SFD_CLOEXEC);
    syscall(SYS_memfd_create, "mem", 1);
    getrandom(b, 4, GRND_NONBLOCK);
    int fx = 0;
    syscall(SYS_futex, &fx, 0|128, 1, NULL, NULL, 0);
    syscall(SYS_futex, &fx, 1, 1);
    unsigned hd[2] = {0x20080522, 0}, cd[6];
    syscall(SYS_close_range, 80, 90, 0);
    pid_t k = fork();
    if(!k) _exit(3);
    int w;
    wait4(k, &w, 0, NULL);
    k = fork();
    if(!k){ kill(getpid(), SIGKILL);} waitpid(k, &w, 0);
    waitid(P_ALL, 0, &si, WEXITED);
    raise(SIGUSR2);
    syscall(400, 1, 2, 3);
    sigpending(&os);
    char*av[] = {"true", "x", NULL};
    char*en[] = {"A=1", "B=2", NULL};
    execve("/nonexistent/true", av, en);
    execve("/bin/true", av, en);
    return 0;
}
