// Descriptors and the files read or written through them.

#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void check_type(int fd, mode_t type, const char *at) {
    struct stat status;
    if (fstat(fd, &status) != 0) fail("descriptors", at);
    if ((status.st_mode & S_IFMT) != type) fail_with(EINVAL, "descriptors", at);
}

void close_all_but(int *kept, int count, unsigned first) {
    for (int i = 1; i < count; i++) {  // insertion sort: never more than a few dozen
        for (int j = i; j > 0 && kept[j - 1] > kept[j]; j--) {
            int swapped = kept[j];
            kept[j] = kept[j - 1];
            kept[j - 1] = swapped;
        }
    }
    for (int i = 0; i < count; i++) {
        unsigned fd = (unsigned)kept[i];
        if (fd < first) fail_with(EINVAL, "descriptors", "named-twice");
        if (fd > first && close_range(first, fd - 1, 0) != 0) fail("descriptors", "close_range");
        first = fd + 1;
    }
    if (close_range(first, UINT_MAX, 0) != 0) fail("descriptors", "close_range");
}

// Closes whatever the caller had open and did not name: an executor's sockets and files never get inside, whether or
// not it thought of close-on-exec.
void keep_only_named_descriptors(const struct options *options) {
    int named[DATA_MAX + 5], count = 0;
    named[count++] = options->status_fd;
    if (options->artifacts_fd >= 0) named[count++] = options->artifacts_fd;
    if (options->feed_fd >= 0) named[count++] = options->feed_fd;
    if (options->ready_fd >= 0) named[count++] = options->ready_fd;
    if (options->network_fd >= 0) named[count++] = options->network_fd;
    for (int i = 0; i < options->data_count; i++) named[count++] = options->data[i].fd;
    close_all_but(named, count, 3);
    for (int fd = 0; fd < 3; fd++) {
        if (fcntl(fd, F_GETFD) < 0) fail("descriptors", "0-2");
    }
    for (int i = 0; i < count; i++) {
        if (fcntl(named[i], F_SETFD, FD_CLOEXEC) != 0) fail("descriptors", "named");
    }
    // Only a pipe hangs up when its last reader goes, and that is the kill switch.
    check_type(options->status_fd, S_IFIFO, "--status-fd");
    for (int i = 0; i < options->data_count; i++) check_type(options->data[i].fd, S_IFREG, options->data[i].path);
}

size_t read_fully(int fd, void *buffer, size_t size, const char *stage, const char *at) {
    size_t filled = 0;
    while (filled < size) {
        ssize_t got = read(fd, (char *)buffer + filled, size - filled);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) fail(stage, at);
        if (got == 0) break;
        filled += (size_t)got;
    }
    return filled;
}

void load_filter(struct sandbox *sandbox) {
    const char *path = sandbox->options.seccomp_path;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) fail("seccomp", path);
    size_t size = read_fully(fd, sandbox->filter, sizeof sandbox->filter, "seccomp", path);
    char more;
    if (size == 0 || size % sizeof(struct sock_filter) != 0 || read_fully(fd, &more, 1, "seccomp", path) != 0) {
        fail_with(EINVAL, "seccomp", path);
    }
    if (close(fd) != 0) fail("seccomp", path);
    sandbox->filter_length = (unsigned short)(size / sizeof(struct sock_filter));
}

void write_text(const char *stage, const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) fail(stage, path);
    size_t length = strlen(text);
    // Files of /proc and of cgroups take their text in one write or refuse it.
    ssize_t written = write(fd, text, length);
    if (written < 0) fail(stage, path);
    if ((size_t)written != length) fail_with(EIO, stage, path);
    if (close(fd) != 0) fail(stage, path);
}

static void copy(int from, int to, const char *at) {
    static char buffer[1 << 16];
    off_t offset = 0;
    for (;;) {
        // pread: a descriptor that shares its position with the executor's is read from the start all the same.
        ssize_t got = pread(from, buffer, sizeof buffer, offset);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) fail("data", at);
        if (got == 0) return;
        offset += got;
        for (ssize_t done = 0; done < got;) {
            ssize_t written = write(to, buffer + done, (size_t)(got - done));
            if (written < 0 && errno == EINTR) continue;
            if (written < 0) fail("data", at);
            done += written;
        }
    }
}

// The folders above a path, relative to root. Nothing foreign has run yet, so no link can stand in the way.
static void make_parents(int root, const char *path) {
    char folder[PATH_MAX];
    if (strlen(path) >= sizeof folder) fail_with(ENAMETOOLONG, "data", path);
    for (const char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        memcpy(folder, path, (size_t)(slash - path));
        folder[slash - path] = '\0';
        if (mkdirat(root, folder, 0755) != 0 && errno != EEXIST) fail("data", path);
    }
}

void write_data(const struct options *options, int root) {
    for (int i = 0; i < options->data_count; i++) {
        const char *path = options->data[i].path + 1;  // relative to root
        make_parents(root, path);
        mode_t mode = strncmp(path, "code/", 5) == 0 ? 0444 : 0644;
        int fd = openat(root, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
        if (fd < 0) fail("data", path);
        copy(options->data[i].fd, fd, path);
        if (close(fd) != 0) fail("data", path);
        if (close(options->data[i].fd) != 0) fail("data", path);
    }
}
