// The launcher itself, on the host's side: it gives its child new namespaces, tells the kernel who the child is and
// what it may use, lets it go, and then only waits for three things: the child's end, SIGTERM, and a hang-up of the
// status pipe, which means that the executor is gone.

#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static struct sandbox sandbox;

// Signals that ask for an end are read from a descriptor, in step with everything else that can happen.
static int take_over_signals(void) {
    sigset_t ends;
    if (sigemptyset(&ends) != 0 || sigaddset(&ends, SIGTERM) != 0 || sigaddset(&ends, SIGINT) != 0 ||
        sigaddset(&ends, SIGHUP) != 0 || sigprocmask(SIG_SETMASK, &ends, NULL) != 0) {
        fail("wait", "signals");
    }
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || signal(SIGCHLD, SIG_DFL) == SIG_ERR) fail("wait", "signals");
    int fd = signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0) fail("wait", "signalfd");
    return fd;
}

// Root keeps its supplementary groups across a change of uid unless it drops them, and with them their files. Whoever
// is not root keeps the groups it has: a user namespace takes no right away that its maker had.
static void drop_groups(void) {
    if (geteuid() == 0) {
        if (setgroups(0, NULL) != 0) fail("identity", "setgroups");
        sandbox.groups_dropped = true;
    } else if (sandbox.options.slot_uid != geteuid()) {
        fail_with(EPERM, "identity", "--slot-uid");
    }
}

static void share_memory(void) {
    void *memory = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) fail("clone", "mmap");
    sandbox.shared = memory;
}

// The child starts inside its v2 group, so not one page or process of it is ever counted elsewhere.
static pid_t clone_init(int *pidfd) {
    int group = -1;
    struct clone_args arguments = {
        .flags = CLONE_PIDFD,
        .pidfd = (uint64_t)(uintptr_t)pidfd,
        .exit_signal = SIGCHLD,
    };
    if (sandbox.options.restricted == NULL) {
        arguments.flags |= CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS;
        if (sandbox.network != NETWORK_SLOT) arguments.flags |= CLONE_NEWNET;
    }
    if (sandbox.options.cgroup_v2 != NULL) {
        group = open(sandbox.options.cgroup_v2, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (group < 0) fail("cgroup", sandbox.options.cgroup_v2);
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = (__u64)group;
    }
    pid_t child = (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
    if (child < 0) fail("clone", "clone3");
    if (child > 0 && group >= 0 && close(group) != 0) fail("cgroup", "close");
    return child;
}

static void join_v1_groups(pid_t child) {
    char path[PATH_MAX], text[32];
    snprintf(text, sizeof text, "%d", child);
    for (int i = 0; i < sandbox.options.cgroup_v1_count; i++) {
        int length = snprintf(path, sizeof path, "%s/cgroup.procs", sandbox.options.cgroups_v1[i]);
        if (length < 0 || (size_t)length >= sizeof path) fail_with(ENAMETOOLONG, "cgroup", path);
        write_text("cgroup", path, text);
    }
}

static void map_identity(pid_t child) {
    char path[64], text[64];
    // Whoever is not root can give away no gid but its own, which need not have its uid's number.
    unsigned long long uid = sandbox.options.slot_uid, gid = geteuid() == 0 ? uid : getegid();
    snprintf(path, sizeof path, "/proc/%d/setgroups", child);
    write_text("map", path, "deny");
    snprintf(path, sizeof path, "/proc/%d/gid_map", child);
    snprintf(text, sizeof text, "%d %llu 1", INSIDE_UID, gid);
    write_text("map", path, text);
    snprintf(path, sizeof path, "/proc/%d/uid_map", child);
    snprintf(text, sizeof text, "%d %llu 1", INSIDE_UID, uid);
    write_text("map", path, text);
}

static void signal_init(int pidfd, int signal) {
    if (syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) != 0 && errno != ESRCH) fail("wait", "pidfd");
}

// Returns when the init has ended; by then the kernel has killed and reaped everything in its pid namespace.
static void wait_for_init(int pidfd, int signals, siginfo_t *ended) {
    struct pollfd waits[] = {
        {.fd = pidfd, .events = POLLIN},
        {.fd = signals, .events = POLLIN},
        {.fd = sandbox.options.status_fd, .events = 0},  // POLLERR alone: no reader is left
    };
    for (;;) {
        if (poll(waits, 3, -1) < 0) {
            if (errno == EINTR) continue;
            fail("wait", "poll");
        }
        if (waits[0].revents != 0) break;
        if (waits[1].revents != 0) {
            struct signalfd_siginfo asked;
            if (read(signals, &asked, sizeof asked) == sizeof asked) signal_init(pidfd, SIGTERM);
        }
        if (waits[2].revents != 0) {
            signal_init(pidfd, SIGKILL);
            waits[2].fd = -1;
        }
    }
    if (waitid((idtype_t)P_PIDFD, (id_t)pidfd, ended, WEXITED) != 0) fail("wait", "waitid");
}

// Without a pid namespace the program's group outlives an init that was killed. The policy of this tier lets nothing
// leave the group, and the kernel signals a group as a whole, forks under way included.
static void end_restricted(void) {
    pid_t group = sandbox.shared->program_group;
    if (group > 1 && kill(-group, SIGKILL) != 0 && errno != ESRCH) fail("wait", "kill");
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR) continue;
    if (errno != ECHILD) fail("wait", "waitpid");
    empty_restricted(sandbox.options.restricted);
}

// In the child: waits until the launcher has mapped it, and once more until it has grouped it: joining v1 groups can
// take the kernel milliseconds, in which the root is built. EOF instead of a word means that the launcher failed.
static void await_release(int release) {
    char word;
    if (read_fully(release, &word, 1, "clone", "release") != 1) _exit(EXIT_NOT_RUN);
}

// Takes the slot's identity. The kernel forgets the parent-death signal with the old one, so it is set again; the
// launcher holds its end of the pipe for as long as it lives, which shows a death in between as a hang-up.
static void become_slot(int release) {
    if (setresgid(INSIDE_UID, INSIDE_UID, INSIDE_UID) != 0) fail("identity", "setresgid");
    if (setresuid(INSIDE_UID, INSIDE_UID, INSIDE_UID) != 0) fail("identity", "setresuid");
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) fail("identity", "PR_SET_PDEATHSIG");
    struct pollfd launcher = {.fd = release, .events = 0};
    if (poll(&launcher, 1, 0) != 0) _exit(EXIT_NOT_RUN);
}

static noreturn void start_init(int release[2], pid_t launcher) {
    // The launcher's death is the sandbox's. Where no pid namespace ends with its init, the init needs a last moment to
    // end the program's group.
    int last = sandbox.options.restricted == NULL ? SIGKILL : SIGTERM;
    if (prctl(PR_SET_PDEATHSIG, last) != 0) fail("clone", "PR_SET_PDEATHSIG");
    if (close(release[1]) != 0) fail("clone", "release");
    if (sandbox.options.restricted == NULL) {
        int trees[TREES_MAX];
        clone_trees(&sandbox.options, trees);
        await_release(release[0]);
        forget_unsent();
        become_slot(release[0]);
        build_root(&sandbox, trees);
        await_release(release[0]);
        enter_root(&sandbox);
    } else {
        if (getppid() != launcher) _exit(EXIT_NOT_RUN);  // it died before the line above
        await_release(release[0]);
        forget_unsent();
        await_release(release[0]);
    }
    if (close(release[0]) != 0) fail("clone", "release");
    run_init(&sandbox);
}

int main(int argc, char **argv) {
    parse_options(argc, argv, &sandbox.options);
    keep_only_named_descriptors(&sandbox.options);
    umask(022);
    if (sandbox.options.empty != NULL) {
        drop_groups();
        empty_left_folder(&sandbox.options);
        return 0;
    }
    int signals = take_over_signals();
    load_filter(&sandbox);
    sandbox.landlock_abi = landlock_abi();
    if ((uint64_t)sandbox.landlock_abi < sandbox.options.landlock_min) fail_with(ENOTSUP, "landlock", "abi");
    drop_groups();
    if (sandbox.options.restricted != NULL) prepare_restricted(&sandbox);
    enter_network(&sandbox);
    share_memory();

    int release[2], pidfd = -1;
    if (pipe2(release, O_CLOEXEC) != 0) fail("clone", "pipe2");
    pid_t launcher = getpid();
    pid_t child = clone_init(&pidfd);
    if (child == 0) start_init(release, launcher);
    report("init pid=%d", child);
    if (sandbox.options.restricted == NULL) map_identity(child);
    if (write(release[1], "", 1) != 1) fail("clone", "release");
    join_v1_groups(child);
    if (write(release[1], "", 1) != 1) fail("clone", "release");
    // Nothing else stays open: whoever reads the program's output must not wait for the launcher's copies to close.
    int kept[] = {pidfd, signals, sandbox.options.status_fd, release[1]};
    close_all_but(kept, 4, 0);

    siginfo_t ended = {0};
    wait_for_init(pidfd, signals, &ended);
    if (sandbox.options.restricted != NULL) end_restricted();
    report("end init=%s:%d", ended.si_code == CLD_EXITED ? "code" : "signal", ended.si_status);
    return sandbox.shared->started ? 0 : EXIT_NOT_RUN;
}
