/* Steps 0 to 4 in one C file: what the checks ask of an engine, they ask of any program. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static const char *name, *hostname = "slipway", *rootfs = "rootfs";
static sigset_t all, callers_mask;

#define OF_YOUR_OWN "`./just rootfs busybox DIR` makes one of your own"

/* One line, and the status of an engine that failed. */
static void fail(int status, const char *cure, const char *format, ...) {
    int errnum = errno;
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%s: ", name);
    vfprintf(stderr, format, args);
    va_end(args);
    if (errnum) fprintf(stderr, ": %s", strerror(errnum));
    if (cure) fprintf(stderr, " (%s)", cure);
    fputc('\n', stderr);
    exit(status);
}
#define CHECK(call, cure, ...) do { if ((call) == -1) fail(125, cure, __VA_ARGS__); } while (0)

/* --- the container's mounts --- */

static void mount_new(const char *type, const char *target, unsigned long flags, const char *data) {
    CHECK(mount(type, target, type, flags, data), NULL, "mount %s on %s", type, target);
}

static void mount_point(const char *path) {
    struct stat st;
    if (mkdir(path, 0755) == -1 && errno != EEXIST)
        fail(125, errno == EACCES ? OF_YOUR_OWN : NULL, "mkdir %s/%s", rootfs, path);
    CHECK(lstat(path, &st), NULL, "lstat %s", path);
    if (!S_ISDIR(st.st_mode)) {
        errno = ENOTDIR;
        fail(125, "it may be no symbolic link", "mount point %s/%s", rootfs, path);
    }
}

static void make_dev(void) {
    static const char *devices[] = {"null", "zero", "full", "random", "urandom", "tty"};
    static const char *links[][2] = {{"/proc/self/fd", "dev/fd"},
                                     {"/proc/self/fd/0", "dev/stdin"},
                                     {"/proc/self/fd/1", "dev/stdout"},
                                     {"/proc/self/fd/2", "dev/stderr"},
                                     {"pts/ptmx", "dev/ptmx"}};
    mount_point("dev");
    mount_new("tmpfs", "dev", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0755,size=64k");
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
        char from[32], to[32];
        snprintf(from, sizeof from, "/dev/%s", devices[i]);
        snprintf(to, sizeof to, "dev/%s", devices[i]);
        int fd = open(to, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
        CHECK(fd, NULL, "create %s", to);
        close(fd);
        CHECK(mount(from, to, NULL, MS_BIND, NULL), NULL, "bind %s", to);
    }
    for (size_t i = 0; i < sizeof links / sizeof *links; i++)
        CHECK(symlink(links[i][0], links[i][1]), NULL, "symlink %s", links[i][1]);
    CHECK(mkdir("dev/pts", 0755), NULL, "mkdir dev/pts");
    mount_new("devpts", "dev/pts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620");
    CHECK(mkdir("dev/shm", 0755), NULL, "mkdir dev/shm");
    mount_new("tmpfs", "dev/shm", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=1777,size=64m");
}

static void enter(void) {
    CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), NULL, "make all mounts private");
    char dot[4100], whole[4100];
    snprintf(dot, sizeof dot, "%s/.", rootfs);
    if (!realpath(dot, whole))
        fail(125, errno == ENOENT ? "`./just rootfs` makes one" : NULL, "enter \"%s\"", rootfs);
    errno = 0;
    if (!strcmp(whole, "/")) fail(125, NULL, "\"/\" is the root directory already");
    CHECK(mount(whole, whole, NULL, MS_BIND | MS_REC, NULL), NULL, "bind %s to itself", whole);
    struct statvfs found;
    CHECK(statvfs(whole, &found), NULL, "statvfs %s", whole);
    /* These have the same numbers in both calls. */
    unsigned long kept = found.f_flag & (MS_RDONLY | MS_NOSUID | MS_NOEXEC);
    CHECK(mount(NULL, whole, NULL, MS_REMOUNT | MS_BIND | MS_NODEV | kept, NULL), NULL, "remount %s", whole);
    CHECK(chdir(whole), NULL, "chdir to %s", whole);
    mount_point("proc");
    mount_new("proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
    make_dev();
    CHECK(syscall(SYS_pivot_root, ".", "."), NULL, "pivot_root into %s", whole);
    CHECK(umount2(".", MNT_DETACH), NULL, "unmount the old root");
}

/* --- the command --- */

/* What the kernel's errno leaves open, looked up in the file. */
static const char *look_at(const char *path, int errnum) {
    char start[5] = "";
    struct stat st;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file >= 0) (void)!read(file, start, 4), close(file);
    int is_script = strncmp(start, "#!", 2) == 0;
    if (stat(path, &st)) return NULL;
    if (errnum == ENOENT) return "it is there, but its interpreter or loader is not";
    if (errnum == EACCES && S_ISDIR(st.st_mode)) return "it is a directory";
    if (errnum == EACCES && !(st.st_mode & 0111)) return "chmod +x makes it executable";
    if (errnum == EACCES && is_script) return "its interpreter may not be executed";
    if (errnum == ENOEXEC && strncmp(start, "\177ELF", 4) == 0) return "it is for another processor";
    if (errnum == ENOEXEC) return "it begins with no #! line";
    return NULL;
}

/* Not execvp: that would start a shell on what the kernel does not know. */
static void become(char **argv) {
    char path[4100] = "", file[4100];
    struct stat st;
    int errnum = ENOENT;
    if (strchr(argv[0], '/')) {
        snprintf(path, sizeof path, "%s", argv[0]);
        execv(path, argv);
        errnum = errno;
    } else {
        char *paths = strdup(getenv("PATH") ? getenv("PATH") : "/bin:/usr/bin");
        for (char *dir = strtok(paths, ":"); dir && *argv[0]; dir = strtok(NULL, ":")) {
            snprintf(file, sizeof file, "%s/%s", dir, argv[0]);
            execv(file, argv);
            int refused = errno;
            if (!*path && stat(file, &st) == 0 && S_ISREG(st.st_mode)) {
                snprintf(path, sizeof path, "%s", file);
                errnum = refused;
            }
        }
    }
    const char *cure = *path ? look_at(path, errnum) : "not found on PATH";
    errno = errnum;
    fail(errnum == ENOENT || errnum == ENOTDIR ? 127 : 126, cure, "cannot execute \"%s\"", argv[0]);
}

static int child(int engine, char **argv) {
    char byte;
    CHECK(prctl(PR_SET_PDEATHSIG, SIGKILL), NULL, "prctl");
    if (recv(engine, &byte, 1, MSG_DONTWAIT) == 0) return 125;
    sigprocmask(SIG_SETMASK, &callers_mask, NULL);
    CHECK(syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC), NULL, "close_range");
    CHECK(sethostname(hostname, strlen(hostname)), errno == EINVAL ? "at most 64 bytes" : NULL,
          "sethostname to %s", hostname);
    enter();
    become(argv);
    return 125;
}

/* --- the engine's life --- */

static int has_plans_for(pid_t pid, int signal) {
    char path[64], line[256];
    int has = 0;
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *file = fopen(path, "re");
    if (!file) return 1;
    while (fgets(line, sizeof line, file)) {
        unsigned long long mask;
        if (sscanf(line, "SigBlk: %llx", &mask) == 1 || sscanf(line, "SigIgn: %llx", &mask) == 1 ||
            sscanf(line, "SigCgt: %llx", &mask) == 1)
            has |= mask >> (signal - 1) & 1;
    }
    fclose(file);
    return has;
}

static void pass_on(pid_t pid, int signal, int by_terminal) {
    if (has_plans_for(pid, signal)) {
        if (!by_terminal) kill(pid, signal);
    } else if (signal == SIGCONT) {
        kill(pid, SIGCONT);
    } else if (signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU) {
        kill(pid, SIGSTOP);
    } else if (signal != SIGWINCH && signal != SIGURG) {
        kill(pid, SIGKILL);
    }
}

static int supervise(pid_t pid) {
    int signals = signalfd(-1, &all, SFD_CLOEXEC);
    CHECK(signals, NULL, "signalfd");
    for (;;) {
        struct signalfd_siginfo info;
        if (read(signals, &info, sizeof info) != sizeof info) fail(125, NULL, "read a signal");
        if (info.ssi_signo != SIGCHLD) {
            int signal = info.ssi_signo;
            int of_terminal = signal == SIGINT || signal == SIGQUIT || signal == SIGTSTP ||
                              signal == SIGWINCH || signal == SIGTTIN || signal == SIGTTOU;
            pass_on(pid, signal, of_terminal && info.ssi_code == SI_KERNEL);
            continue;
        }
        int status;
        if (waitpid(pid, &status, WNOHANG | WUNTRACED) != pid) continue;
        if (WIFSTOPPED(status)) {
            sigset_t stop;
            sigemptyset(&stop);
            sigaddset(&stop, SIGTSTP);
            raise(SIGTSTP);
            sigprocmask(SIG_UNBLOCK, &stop, NULL);
            sigprocmask(SIG_BLOCK, &stop, NULL);
        } else {
            return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        }
    }
}

static int run(char **argv) {
    struct termios settings;
    int on_terminal = tcgetattr(0, &settings) == 0 && tcgetpgrp(0) == getpgrp();
    int line[2];
    signal(SIGCHLD, SIG_DFL);
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &callers_mask);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, line), NULL, "socketpair");
    struct clone_args args = {
        .flags = CLONE_NEWUTS | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC,
        .exit_signal = SIGCHLD,
    };
    pid_t pid = syscall(SYS_clone3, &args, sizeof args);
    CHECK(pid, errno == EPERM ? "it needs root: sudo" : NULL, "clone3 a child into new namespaces");
    if (pid == 0) {
        close(line[0]);
        return child(line[1], argv);
    }
    close(line[1]);
    char byte;
    while (read(line[0], &byte, 1) > 0) {}
    int status = supervise(pid);
    pid_t group = on_terminal ? tcgetpgrp(0) : 0;
    if (on_terminal && (group == getpgrp() || (kill(-group, 0) == -1 && errno == ESRCH))) {
        sigset_t out;
        sigemptyset(&out);
        sigaddset(&out, SIGTTOU);
        sigprocmask(SIG_BLOCK, &out, NULL);
        tcsetpgrp(0, getpgrp());
        tcsetattr(0, TCSADRAIN, &settings);
    }
    return status;
}

int main(int argc, char **argv) {
    static const struct option options[] = {{"hostname", required_argument, NULL, 'n'},
                                            {"rootfs", required_argument, NULL, 'r'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    const char *slash = strrchr(argv[0], '/');
    name = slash ? slash + 1 : argv[0];
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, "+h", options, NULL)) != -1;) {
        switch (option) {
        case 'n': hostname = optarg; break;
        case 'r': rootfs = optarg; break;
        case 'h':
            printf("Runs COMMAND in a container\n\nUsage: %s [OPTIONS] COMMAND [ARG]...\n\nOptions:\n"
                   "      --hostname NAME  its hostname [default: slipway]\n"
                   "      --rootfs DIR     its root directory [default: rootfs]\n"
                   "  -h, --help           Print help\n", name);
            CHECK(fflush(stdout), NULL, "cannot write to standard output");
            return 0;
        default:
            errno = 0;
            fail(125, NULL, "unexpected argument '%s' (see --help)", argv[optind - 1]);
        }
    }
    errno = 0;
    if (optind == argc) fail(125, NULL, "no COMMAND (see --help)");
    return run(argv + optind);
}
