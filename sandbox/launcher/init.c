// The sandbox's first process. It gives up every privilege, starts the program, reaps whatever dies, and when the
// program has ended kills what is left, streams the artifacts and ends, which ends the pid namespace. The program can
// neither see it, nor trace it, nor signal it: it is not dumpable, the kernel keeps a namespace's own signals from its
// first process, and Landlock keeps the program's signals among its own.

#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static bool stopped;

static void await_only(sigset_t *awaited) {
    if (sigemptyset(awaited) != 0 || sigaddset(awaited, SIGCHLD) != 0 || sigaddset(awaited, SIGTERM) != 0) {
        fail("wait", "signals");
    }
    sigset_t all;
    if (sigfillset(&all) != 0 || sigprocmask(SIG_SETMASK, &all, NULL) != 0) fail("wait", "signals");
}

// Everything inside but the init itself. The kernel does this under the lock that a fork needs, so nothing escapes by
// forking.
static void kill_the_rest(const struct sandbox *sandbox) {
    pid_t everyone = -1;
    if (sandbox->options.restricted != NULL) {
        everyone = -sandbox->shared->program_group;
        if (everyone >= -1) return;  // not yet a group of its own: nothing of it runs foreign code
    }
    if (kill(everyone, SIGKILL) != 0 && errno != ESRCH) fail("wait", "kill");
}

static long long microseconds(struct timeval time) {
    return (long long)time.tv_sec * 1000000 + time.tv_usec;
}

static void report_exit(const char *step, int status, const struct rusage *usage, bool with_next) {
    void (*const send)(const char *, ...) = with_next ? report_with_next : report;
    send("exit step=%s kind=%s value=%d user_us=%lld system_us=%lld maxrss_kib=%ld", step,
         WIFSIGNALED(status) ? "signal" : "code", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
         microseconds(usage->ru_utime), microseconds(usage->ru_stime), usage->ru_maxrss);
}

// Reaps until the program itself is among the dead. It looks for SIGTERM after each of them, because they may come as
// fast as they are reaped, and waits for a signal only when there is none.
static int await_program(const struct sandbox *sandbox, pid_t program, struct rusage *usage) {
    static const struct timespec at_once;
    sigset_t awaited;
    await_only(&awaited);
    for (;;) {
        int status;
        pid_t dead = wait4(-1, &status, WNOHANG, usage);
        if (dead < 0) fail("wait", "wait4");
        if (dead == program) return status;
        int signal = sigtimedwait(&awaited, NULL, dead > 0 ? &at_once : NULL);
        if (signal < 0 && errno != EINTR && errno != EAGAIN) fail("wait", "sigtimedwait");
        if (signal == SIGTERM && !stopped) {
            stopped = true;
            kill_the_rest(sandbox);  // first: a report that nobody reads ends this process
            report("stopped");
        }
    }
}

// To the first process of a pid namespace all others in it are children, if only when their own parents have died.
static bool is_nothing_left(const struct sandbox *sandbox) {
    if (sandbox->options.restricted != NULL) return false;
    pid_t dead;
    while ((dead = wait4(-1, NULL, WNOHANG, NULL)) > 0) continue;
    return dead < 0 && errno == ECHILD;
}

static void end_what_is_left(const struct sandbox *sandbox) {
    kill_the_rest(sandbox);
    while (wait4(-1, NULL, 0, NULL) > 0 || errno == EINTR) continue;
    if (errno != ECHILD) fail("wait", "wait4");
    sandbox->shared->program_group = 0;  // its number may be somebody else's from now on
}

static void report_layers(const struct sandbox *sandbox) {
    const struct options *options = &sandbox->options;
    const char *cgroup = "none";
    if (options->cgroup_v2 != NULL) cgroup = options->cgroup_v1_count > 0 ? "v1+v2" : "v2";
    else if (options->cgroup_v1_count > 0) cgroup = "v1";
    static const char *const networks[] = {
        [NETWORK_NEW] = "new",
        [NETWORK_SLOT] = "slot",
        [NETWORK_UNCLEAN] = "unclean",
    };
    report_with_next("layers tier=%s cgroup=%s landlock=%d seccomp=1 uid=%llu groups=%s network=%s",
                     options->restricted != NULL ? "restricted" : "namespaces", cgroup, sandbox->landlock_abi,
                     (unsigned long long)options->slot_uid, sandbox->groups_dropped ? "none" : "kept",
                     options->restricted != NULL ? "host" : networks[sandbox->network]);
}

static void close_inputs(const struct options *options) {
    for (int fd = 0; fd < 3; fd++) {
        if (close(fd) != 0) fail("descriptors", "0-2");
    }
    if (options->feed_fd >= 0 && close(options->feed_fd) != 0) fail("descriptors", "--feed-fd");
    if (options->ready_fd >= 0 && close(options->ready_fd) != 0) fail("descriptors", "--ready-fd");
}

// Starts one command and returns how it ended. After the last one the init needs no more calls than those it keeps.
static int run_step(const struct sandbox *sandbox, char **command, bool compile) {
    int failed[2];
    if (pipe2(failed, O_CLOEXEC) != 0) fail("clone", "pipe2");
    pid_t program = fork();
    if (program < 0) fail("clone", "fork");
    if (program == 0) {
        if (close(failed[0]) != 0) fail("clone", "close");
        become_program(sandbox, command, compile, failed[1]);
    }
    if (close(failed[1]) != 0) fail("clone", "close");
    char word;
    if (read_fully(failed[0], &word, 1, "clone", "program") != 0) _exit(EXIT_NOT_RUN);  // it has reported why
    if (close(failed[0]) != 0) fail("clone", "close");
    if (!sandbox->shared->started) report_layers(sandbox);
    sandbox->shared->started = true;
    report("started step=%s", compile ? "compile" : "run");
    if (!compile) {
        close_inputs(&sandbox->options);
        filter_init();
    }
    struct rusage usage;
    int status = await_program(sandbox, program, &usage);
    // The last record but one, unless something is left to be ended: nobody waits for that to hear of the exit.
    bool nothing_left = is_nothing_left(sandbox);
    bool with_next = nothing_left && !compile && sandbox->options.artifact_count == 0;
    report_exit(compile ? "compile" : "run", status, &usage, with_next);
    if (!nothing_left) end_what_is_left(sandbox);
    return status;
}

noreturn void run_init(struct sandbox *sandbox) {
    struct options *options = &sandbox->options;
    // kill(-1) below means everyone inside only to the first process of a pid namespace.
    if (options->restricted == NULL && getpid() != 1) fail_with(ESRCH, "namespace", "pid");
    sandbox->shared->init = getpid();
    // As the first process of a pid namespace has it: orphans come here to be reaped. Dead ones count for RLIMIT_NPROC.
    if (options->restricted != NULL && prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) fail("identity", "subreaper");
    const char *place = options->restricted != NULL ? "box" : "/box";
    int box = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (box < 0) fail("artifacts", "/box");
    drop_privileges(options);
    char **command = options->command;
    int status = 0;
    if (options->compile_words > 0) {
        // The words share one array, so the first command's end is marked in a copy of it.
        static char *first[COMPILE_WORDS_MAX + 1];
        for (uint64_t i = 0; i < options->compile_words; i++) first[i] = command[i];
        command += options->compile_words;
        status = run_step(sandbox, first, true);
    }
    if (status == 0 && !stopped) run_step(sandbox, command, false);
    if (options->artifact_count > 0) stream_artifacts(options, box);
    struct rusage usage;
    if (getrusage(RUSAGE_CHILDREN, &usage) != 0) fail("wait", "getrusage");
    report("usage user_us=%lld system_us=%lld maxrss_kib=%ld", microseconds(usage.ru_utime),
           microseconds(usage.ru_stime), usage.ru_maxrss);
    _exit(0);
}
