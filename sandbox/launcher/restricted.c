// The tier for hosts that allow no namespaces: the program works in a folder of the host that its slot's uid owns.
// The launcher takes that uid itself before it touches anything there, so that nothing in the folder can lead it to
// more than the program already had.

#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    LANDLOCK_FILES_AND_NETWORK = 4,
    LANDLOCK_SIGNALS = 6,
    DEPTH_MAX = 256,
};

void prepare_restricted(struct sandbox *sandbox) {
    const struct options *options = &sandbox->options;
    bool root = geteuid() == 0;
    // Without a uid of its own the program could signal the executor, were it not for Landlock.
    int least = root ? LANDLOCK_FILES_AND_NETWORK : LANDLOCK_SIGNALS;
    if (sandbox->landlock_abi < least) fail_with(ENOTSUP, "landlock", "abi");
    if (root) {
        uid_t id = (uid_t)options->slot_uid;
        if (setresgid(id, id, id) != 0) fail("identity", "setresgid");
        if (setresuid(id, id, id) != 0) fail("identity", "setresuid");
    }
    // What the init leaves behind when it is killed comes to the launcher.
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) fail("identity", "subreaper");
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) fail("identity", "dumpable");
    if (chdir(options->restricted) != 0) fail("mount", options->restricted);
    struct stat status;
    if (stat(".", &status) != 0) fail("mount", options->restricted);
    if (status.st_uid != geteuid() || (status.st_mode & 0077) != 0) fail_with(EPERM, "mount", options->restricted);
    const char *const folders[] = {"code", "box", "tmp"};
    for (int i = 0; i < 3; i++) {
        if (mkdir(folders[i], 0700) != 0) fail("mount", options->restricted);  // one that exists is refused
    }
    int root_fd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root_fd < 0) fail("data", options->restricted);
    write_data(options, root_fd);
    if (close(root_fd) != 0) fail("data", options->restricted);
}

// Removes what is in a folder. What cannot be removed is left to the executor, which finds its folder not empty.
static void empty_folder(int folder, int depth) {
    _Alignas(struct entry) char buffer[2048];
    if (depth > DEPTH_MAX || fchmod(folder, 0700) != 0) return;
    bool removed;
    do {
        removed = false;
        if (lseek(folder, 0, SEEK_SET) != 0) return;
        long got;
        while ((got = syscall(SYS_getdents64, folder, buffer, sizeof buffer)) > 0) {
            for (long at = 0; at < got;) {
                const struct entry *entry = (const struct entry *)(buffer + at);
                at += entry->length;
                if (strcmp(entry->name, ".") == 0 || strcmp(entry->name, "..") == 0) continue;
                if (unlinkat(folder, entry->name, 0) == 0) {
                    removed = true;
                    continue;
                }
                if (errno != EISDIR && errno != EPERM) continue;
                int below = openat(folder, entry->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                if (below < 0) {
                    // A folder without read permission is still ours to open up. A link would have been removed above.
                    if (fchmodat(folder, entry->name, 0700, 0) != 0) continue;
                    below = openat(folder, entry->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                    if (below < 0) continue;
                }
                empty_folder(below, depth + 1);
                if (close(below) != 0) fail("mount", "empty");
                if (unlinkat(folder, entry->name, AT_REMOVEDIR) == 0) removed = true;
            }
        }
    } while (removed);
}

void empty_restricted(const struct options *options) {
    int folder = open(options->restricted, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0) fail("mount", options->restricted);
    empty_folder(folder, 0);
    if (close(folder) != 0) fail("mount", options->restricted);
}
