// The last mile: the process that becomes the foreign program. Order matters: what needs a right comes before what
// takes it away, and the filter comes last.

#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { PARKED = 64 };  // where descriptors wait that must not lie where the feed goes

// The kernel should end the program before the init when memory runs out. Refusing costs nothing: it only helps choose.
static void offer_to_memory_killer(const struct options *options) {
    if (options->restricted != NULL) return;
    // /proc/self belongs to root while a process is not dumpable; nothing foreign runs yet that could look.
    if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0) fail("rlimit", "dumpable");
    write_text("rlimit", "/proc/self/oom_score_adj", "1000");
}

static void reset_signals(void) {
    for (int number = 1; number < NSIG; number++) {
        // The kernel fixes these two; the C library keeps two more to itself and never ignores them.
        if (number == SIGKILL || number == SIGSTOP || (number > 31 && number < SIGRTMIN)) continue;
        if (signal(number, SIG_DFL) == SIG_ERR) fail("exec", "signal");
    }
    sigset_t none;
    if (sigemptyset(&none) != 0 || sigprocmask(SIG_SETMASK, &none, NULL) != 0) fail("exec", "sigprocmask");
}

static int parked(int fd) {
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, PARKED);
    if (copy < 0) fail("descriptors", "park");
    return copy;
}

// The program gets its three standard streams and, when warm, its feed. All else closes as it starts.
static void hand_over_descriptors(const struct options *options, bool compile, int failed_fd) {
    if (compile) {
        int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (null < 0 || dup2(null, 0) < 0) fail("descriptors", "/dev/null");
    }
    unsigned first = FEED_FD;
    if (options->feed_fd >= 0 && !compile) {
        report_to(parked(options->status_fd));
        also_tell(parked(failed_fd));
        int feed = parked(options->feed_fd), ready = options->ready_fd < 0 ? -1 : parked(options->ready_fd);
        if (dup2(feed, FEED_FD) < 0) fail("descriptors", "feed");
        first = READY_FD;
        if (ready >= 0) {
            if (dup2(ready, READY_FD) < 0) fail("descriptors", "ready");
            first = READY_FD + 1;
        }
    }
    if (close_range(first, UINT_MAX, CLOSE_RANGE_CLOEXEC) != 0) fail("descriptors", "close_range");
}

noreturn void become_program(const struct sandbox *sandbox, char **command, bool compile, int failed_fd) {
    const struct options *options = &sandbox->options;
    also_tell(failed_fd);
    if (setsid() < 0) fail("exec", "setsid");
    if (options->restricted != NULL) {
        sandbox->shared->program_group = getpid();
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) fail("exec", "PR_SET_PDEATHSIG");
        if (getppid() != sandbox->shared->init) _exit(EXIT_NOT_RUN);  // it died before the line above
    }
    hand_over_descriptors(options, compile, failed_fd);
    offer_to_memory_killer(options);
    limit_resources(options);
    restrict_files(sandbox);
    // A path of the inside; in the restricted tier it is relative to the working folder.
    if (chdir(options->cwd + (options->restricted != NULL)) != 0) fail("exec", options->cwd);
    reset_signals();
    filter_program(sandbox);
    execve(command[0], command, options->environment);
    fail("exec", command[0]);
}
