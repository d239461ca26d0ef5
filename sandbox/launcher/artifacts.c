// Streams what the program left below /box, when nothing of it runs any more. Names and contents are its own, so every
// path is opened by the kernel's rule for that: below /box, through no link, on no other file system.

#include "launcher.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    DEPTH_MAX = 16,
    NAME_MAX_BYTES = 1024,
    ENTRIES_MAX = 16384,  // looked at, over all: a program cannot keep the init busy for long
};

static struct {
    const struct options *options;
    int box;
    uint64_t count, bytes, skipped, entries;
    bool truncated;
} archive;

static void send(const void *data, size_t size) {
    for (size_t done = 0; done < size;) {
        ssize_t written = write(archive.options->artifacts_fd, (const char *)data + done, size - done);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) fail("artifacts", "write");
        done += (size_t)written;
    }
}

static void send_file(int fd, const char *name, uint64_t size) {
    if (archive.count >= archive.options->artifacts_count_max ||
        size > archive.options->artifacts_bytes_max - archive.bytes) {
        archive.truncated = true;
        return;
    }
    archive.count++;
    archive.bytes += size;
    uint32_t name_length = htobe32((uint32_t)strlen(name));
    uint64_t content_length = htobe64(size);
    send(&name_length, sizeof name_length);
    send(&content_length, sizeof content_length);
    send(name, strlen(name));
    static char buffer[1 << 16];
    while (size > 0) {
        size_t part = size < sizeof buffer ? (size_t)size : sizeof buffer;
        // The writers are dead: a file that ends early would break the promise of its length.
        if (read_fully(fd, buffer, part, "artifacts", "read") != part) fail_with(EIO, "artifacts", "shrunk");
        send(buffer, part);
        size -= part;
    }
}

static int open_below_box(const char *name) {
    struct open_how how = {
        .flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV,
    };
    return (int)syscall(SYS_openat2, archive.box, name, &how, sizeof how);
}

static void send_path(char *name, int depth);

// Calls send_path for each entry of a folder; name is the folder's own and serves as room for theirs.
static void send_folder(int fd, char *name, int depth) {
    _Alignas(struct entry) char buffer[4096];
    size_t length = strlen(name);
    for (;;) {
        long got = syscall(SYS_getdents64, fd, buffer, sizeof buffer);
        if (got < 0) fail("artifacts", "getdents64");
        if (got == 0) return;
        for (long at = 0; at < got;) {
            const struct entry *entry = (const struct entry *)(buffer + at);
            at += entry->length;
            if (strcmp(entry->name, ".") == 0 || strcmp(entry->name, "..") == 0) continue;
            size_t more = strlen(entry->name);
            if (length + 1 + more >= NAME_MAX_BYTES) {
                archive.skipped++;
                continue;
            }
            name[length] = '/';
            memcpy(name + length + 1, entry->name, more + 1);
            send_path(name, depth + 1);
            name[length] = '\0';
            if (archive.truncated) return;
        }
    }
}

static void send_path(char *name, int depth) {
    if (depth > DEPTH_MAX || archive.entries >= ENTRIES_MAX) {
        archive.skipped++;
        archive.truncated |= archive.entries >= ENTRIES_MAX;
        return;
    }
    archive.entries++;
    int fd = open_below_box(name);
    if (fd < 0) {
        // A link, a socket, a file without permission, a name that is not there: none of them is an artifact.
        archive.skipped++;
        return;
    }
    struct stat status;
    if (fstat(fd, &status) != 0) fail("artifacts", "fstat");
    if (S_ISREG(status.st_mode)) send_file(fd, name, (uint64_t)status.st_size);
    else if (S_ISDIR(status.st_mode)) send_folder(fd, name, depth);
    else archive.skipped++;
    if (close(fd) != 0) fail("artifacts", "close");
}

void stream_artifacts(const struct options *options, int box) {
    archive.options = options;
    archive.box = box;
    for (int i = 0; i < options->artifact_count && !archive.truncated; i++) {
        char name[NAME_MAX_BYTES];
        strcpy(name, options->artifacts[i]);  // options.c bounds it by 255 bytes
        for (size_t end = strlen(name); end > 1 && name[end - 1] == '/'; end--) name[end - 1] = '\0';
        send_path(name, 0);
    }
    uint32_t end = 0;
    send(&end, sizeof end);
    report("artifacts count=%llu bytes=%llu skipped=%llu truncated=%d", (unsigned long long)archive.count,
           (unsigned long long)archive.bytes, (unsigned long long)archive.skipped, archive.truncated);
}
