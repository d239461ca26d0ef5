// The tier for hosts that allow no namespaces: the program works in a folder of the host that its slot's uid owns.
// The launcher takes that uid itself before it touches anything there, so that nothing in the folder can lead it to
// more than the program already had.

#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    LANDLOCK_SIGNALS = 6,
    DEPTH_MAX = 64,  // of folders that are open at once
};

static void take_slot(const struct options *options) {
    if (geteuid() == 0) {
        uid_t id = (uid_t)options->slot_uid;
        if (setresgid(id, id, id) != 0) fail("identity", "setresgid");
        if (setresuid(id, id, id) != 0) fail("identity", "setresuid");
    }
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) fail("identity", "dumpable");
}

void prepare_restricted(struct sandbox *sandbox) {
    const struct options *options = &sandbox->options;
    // Launcher and init have the program's own uid: only Landlock keeps its signals from them, and without root from
    // the executor.
    if (sandbox->landlock_abi < LANDLOCK_SIGNALS) fail_with(ENOTSUP, "landlock", "abi");
    take_slot(options);
    // What the init leaves behind when it is killed comes to the launcher.
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) fail("identity", "subreaper");
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

// Moves a folder that lies too deep up into the one that is being emptied, where its turn comes again.
static bool move_up(int folder, const char *name, int top) {
    static unsigned number;
    char free_name[16];
    if (fchmodat(folder, name, 0700, 0) != 0) return false;  // a folder that moves has to be writable itself
    int moved;
    do {
        snprintf(free_name, sizeof free_name, "%u", number++);
        moved = renameat(folder, name, top, free_name);
        // One that has that name may be there from a launcher that was killed.
    } while (moved != 0 && (errno == EEXIST || errno == ENOTEMPTY || errno == ENOTDIR));
    return moved == 0;
}

// Removes what is in a folder. What cannot be removed is left to the executor, which finds its folder not empty.
static void empty_folder(int folder, int depth, int top) {
    _Alignas(struct entry) char buffer[2048];
    if (fchmod(folder, 0700) != 0) return;
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
                if (depth == DEPTH_MAX) {
                    removed |= move_up(folder, entry->name, top);
                    continue;
                }
                int below = openat(folder, entry->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                if (below < 0) {
                    // A folder without read permission is still ours to open up. A link would have been removed above.
                    if (fchmodat(folder, entry->name, 0700, 0) != 0) continue;
                    below = openat(folder, entry->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                    if (below < 0) continue;
                }
                empty_folder(below, depth + 1, top);
                if (close(below) != 0) fail("mount", "empty");
                if (unlinkat(folder, entry->name, AT_REMOVEDIR) == 0) removed = true;
            }
        }
    } while (removed);
}

void empty_restricted(const char *path) {
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0) fail("mount", path);
    empty_folder(folder, 0, folder);
    if (close(folder) != 0) fail("mount", path);
}

void empty_left_folder(const struct options *options) {
    take_slot(options);
    struct stat status;
    if (lstat(options->empty, &status) != 0) fail("mount", options->empty);
    if (!S_ISDIR(status.st_mode) || status.st_uid != geteuid()) fail_with(EPERM, "mount", options->empty);
    empty_restricted(options->empty);
}
