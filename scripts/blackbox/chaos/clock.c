/* Preloaded into one process, moves its wall clock by as many seconds as the file CHAOS_CLOCK says, looked at once a
 * second. Timers and the monotonic clock go on as ever, as they do when an administrator sets a machine's clock.
 * (libfaketime wraps condition variables as well, and crashes Swift's runtime by it.) */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static _Atomic long offset;
static _Atomic long looked = -1;

static long shift(void) {
    struct timespec steady;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &steady);
    if (looked != steady.tv_sec) {
        looked = steady.tv_sec;
        const char *path = getenv("CHAOS_CLOCK");
        char text[32] = {0};
        int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        if (file >= 0) {
            if (read(file, text, sizeof text - 1) > 0) offset = strtol(text, 0, 10);
            close(file);
        }
    }
    return offset;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += shift();
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    (void)zone;
    struct timespec exact;
    int result = clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return result;
}

time_t time(time_t *out) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (out) *out = exact.tv_sec;
    return exact.tv_sec;
}
