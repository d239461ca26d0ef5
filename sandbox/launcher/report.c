// Records on the status pipe: lines of their own, each whole within one write, so that records of several processes
// never mix. Records that come together go together: every write wakes the executor.

#include "launcher.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int status = -1;
static int told = -1;
static char unsent[1024];  // below PIPE_BUF: the kernel writes it whole or not at all
static size_t unsent_length;

void report_to(int status_fd) {
    status = status_fd;
}

void also_tell(int fd) {
    told = fd;
}

static void add(const char *format, va_list arguments) {
    char line[512];
    int length = vsnprintf(line, sizeof line - 1, format, arguments);
    if (length < 0) _exit(EXIT_NOT_RUN);
    if ((size_t)length > sizeof line - 2) length = sizeof line - 2;
    line[length] = '\n';
    // Never more than two records wait; a third would be our mistake, not worth more room.
    if (unsent_length + (size_t)length + 1 > sizeof unsent) _exit(EXIT_NOT_RUN);
    memcpy(unsent + unsent_length, line, (size_t)length + 1);
    unsent_length += (size_t)length + 1;
}

void report_with_next(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    add(format, arguments);
    va_end(arguments);
}

void report(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    add(format, arguments);
    va_end(arguments);
    ssize_t written;
    do written = write(status, unsent, unsent_length);
    while (written < 0 && errno == EINTR);
    // Nobody reads: the executor is gone, and whoever notices next kills the sandbox.
    if (written != (ssize_t)unsent_length) _exit(EXIT_NOT_RUN);
    unsent_length = 0;
}

void forget_unsent(void) {
    unsent_length = 0;
}

noreturn void fail(const char *stage, const char *at) {
    fail_with(errno, stage, at);
}

noreturn void fail_with(int error, const char *stage, const char *at) {
    char word[200];
    size_t length = 0;
    for (; at[length] != '\0' && length < sizeof word - 1; length++) {
        word[length] = at[length] > ' ' && at[length] < 127 ? at[length] : '?';
    }
    word[length] = '\0';
    if (status >= 0) report("error stage=%s errno=%d at=%s", stage, error, word);
    // Last: whoever hears of it may end this process.
    if (told >= 0 && write(told, "", 1) != 1) _exit(EXIT_NOT_RUN);
    _exit(EXIT_NOT_RUN);
}
