// The slot's network namespace. Making one costs the kernel more than all else of a sandbox, most of it when it is
// taken apart; so a slot keeps one, in which nothing is but a loopback interface that is down, and its sandboxes enter
// it one after the other.
//
// Nobody inside can change it: it belongs to the user namespace of whoever made it, in which no sandbox has any
// capability. What a sandbox can leave there are sockets (names of abstract ones live in the namespace), and those only
// for as long as the kernel takes to collect what was under way between two of them. So the sockets are counted here,
// before anything foreign starts; where that does not say "none", the sandbox gets a namespace of its own.

#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SOCKETS_LINE_MAX = 64, INTERFACES_MAX = 1024 };

// The start of a file of the namespace that this process is in. Empty where the kernel has no such file.
static void read_start(const char *path, char *text, size_t size) {
    text[0] = '\0';
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    text[read_fully(fd, text, size - 1, "namespace", path)] = '\0';
    if (close(fd) != 0) fail("namespace", path);
}

// Of every family, bound or not, and those that no descriptor refers to any more but the kernel has not let go yet.
static bool has_no_sockets(void) {
    static const char none[] = "sockets: used 0\n";
    char text[SOCKETS_LINE_MAX];
    read_start("/proc/self/net/sockstat", text, sizeof text);
    return strncmp(text, none, sizeof none - 1) == 0;
}

// Two lines of headings, then one for each interface.
static bool has_only_loopback(void) {
    char text[INTERFACES_MAX];
    read_start("/proc/self/net/dev", text, sizeof text);
    const char *line = text;
    for (int i = 0; i < 2; i++) {
        line = strchr(line, '\n');
        if (line == NULL) return false;
        line++;
    }
    while (*line == ' ') line++;
    if (strncmp(line, "lo:", 3) != 0) return false;
    const char *end = strchr(line, '\n');
    return end != NULL && end[1] == '\0';
}

void enter_network(struct sandbox *sandbox) {
    int fd = sandbox->options.network_fd;
    if (fd < 0) return;
    struct stat own, given;
    if (stat("/proc/self/ns/net", &own) != 0 || fstat(fd, &given) != 0) fail("namespace", "--network-fd");
    // The executor's own would be the host's.
    if (own.st_dev == given.st_dev && own.st_ino == given.st_ino) fail_with(EINVAL, "namespace", "--network-fd");
    // EINVAL: it is of another kind, which is a mistake. Otherwise the host does not let it in; a new one is as good.
    bool entered = setns(fd, CLONE_NEWNET) == 0;
    if (!entered && errno == EINVAL) fail("namespace", "--network-fd");
    if (close(fd) != 0) fail("namespace", "--network-fd");
    sandbox->network = entered && has_no_sockets() && has_only_loopback() ? NETWORK_SLOT : NETWORK_UNCLEAN;
}
