// What the program sees as its file system: a small read-only root with the runtime's folders, five devices, a /proc
// of its own processes only, and private writable folders with limits on bytes and files.

#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    ROOT_BYTES = 1 << 20,
    ROOT_INODES = 512,
    FED_CODE_BYTES = 16 << 20,  // a warm interpreter's /code
    FED_CODE_INODES = 256,
};

static const char *const devices[DEVICES] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"};

static int clone_tree(const char *path, uint64_t attributes) {
    int tree = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    if (tree < 0) fail("mount", path);
    struct mount_attr attr = {.attr_set = attributes};
    if (mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof attr) != 0) fail("mount", path);
    return tree;
}

void clone_trees(const struct options *options, int *trees) {
    // First of all: nothing that is mounted on the host later may appear inside, nor the other way round.
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) fail("namespace", "private");
    for (int i = 0; i < options->mount_count; i++) {
        trees[i] = clone_tree(options->mounts[i].source, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
    }
    for (int i = 0; i < DEVICES; i++) {
        trees[options->mount_count + i] =
            clone_tree(devices[i], MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
    }
}

// Makes a folder and, where they are missing, those above it. All paths are relative to the new root, which is the
// working folder.
static void make_folder(const char *path) {
    if (mkdir(path, 0755) == 0 || errno == EEXIST) return;
    if (errno != ENOENT) fail("mount", path);
    char part[PATH_MAX];
    size_t length = strlen(path);
    if (length >= sizeof part) fail_with(ENAMETOOLONG, "mount", path);
    for (size_t i = 1; i <= length; i++) {
        if (path[i] != '/' && path[i] != '\0') continue;
        memcpy(part, path, i);
        part[i] = '\0';
        if (mkdir(part, 0755) != 0 && errno != EEXIST) fail("mount", path);
    }
}

static void make_parent(const char *path) {
    const char *slash = strrchr(path, '/');
    if (slash == NULL) return;
    char parent[PATH_MAX];
    if ((size_t)(slash - path) >= sizeof parent) fail_with(ENAMETOOLONG, "mount", path);
    memcpy(parent, path, (size_t)(slash - path));
    parent[slash - path] = '\0';
    make_folder(parent);
}

static void make_file(const char *path) {
    if (mknod(path, S_IFREG | 0444, 0) == 0 || errno == EEXIST) return;
    if (errno != ENOENT) fail("mount", path);
    make_parent(path);
    if (mknod(path, S_IFREG | 0444, 0) != 0) fail("mount", path);
}

static void place_tree(int tree, const char *path) {
    struct stat status;
    if (fstat(tree, &status) != 0) fail("mount", path);
    if (S_ISDIR(status.st_mode)) make_folder(path);
    else make_file(path);
    if (move_mount(tree, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) != 0) fail("mount", path);
    if (close(tree) != 0) fail("mount", path);
}

static void mount_tmpfs(const char *path, uint64_t bytes, uint64_t inodes, const char *mode, unsigned long flags) {
    char text[128];
    snprintf(text, sizeof text, "size=%llu,nr_inodes=%llu,mode=%s", (unsigned long long)bytes,
             (unsigned long long)inodes, mode);
    if (mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV | flags, text) != 0) fail("mount", path);
}

static void make_link(const char *text, const char *path) {
    if (symlink(text, path) == 0) return;
    if (errno != ENOENT) fail("mount", path);
    make_parent(path);
    if (symlink(text, path) != 0) fail("mount", path);
}

static void build_devices(const struct options *options, const int *trees) {
    make_folder("dev/shm");
    for (int i = 0; i < DEVICES; i++) place_tree(trees[options->mount_count + i], devices[i] + 1);
    make_link("/proc/self/fd", "dev/fd");
    make_link("/proc/self/fd/0", "dev/stdin");
    make_link("/proc/self/fd/1", "dev/stdout");
    make_link("/proc/self/fd/2", "dev/stderr");
    mount_tmpfs("dev/shm", options->shm_bytes, options->tmp_inodes, "1777", MS_NOEXEC);
}

// The root holds the program's sources, so it is as large as they are, and a little.
static uint64_t source_bytes(const struct options *options) {
    uint64_t bytes = 0;
    for (int i = 0; i < options->data_count; i++) {
        struct stat status;
        if (fstat(options->data[i].fd, &status) != 0) fail("data", options->data[i].path);
        if (status.st_size > 1LL << 40) fail_with(EFBIG, "data", options->data[i].path);
        bytes += ((uint64_t)status.st_size | 0xffff) + 1;
    }
    return bytes;
}

static void pivot(void) {
    if (syscall(SYS_pivot_root, ".", ".") != 0) fail("pivot", "pivot_root");
    // The old root now lies on top of the new one, and "." is still the old one's place.
    if (umount2(".", MNT_DETACH) != 0) fail("pivot", "umount");
    if (chdir("/") != 0) fail("pivot", "chdir");
    if (mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL) != 0) {
        fail("pivot", "read-only");
    }
}

static void rename_host(void) {
    static const char name[] = "sandbox";
    if (sethostname(name, sizeof name - 1) != 0) fail("namespace", "sethostname");
    if (setdomainname("", 0) != 0) fail("namespace", "setdomainname");
    // Here and not in the clone: only now is the init in all of its groups, and they become the roots it sees.
    if (unshare(CLONE_NEWCGROUP) != 0) fail("namespace", "cgroup");
}

void build_root(const struct sandbox *sandbox, const int *trees) {
    const struct options *options = &sandbox->options;
    // Over /tmp because every host has that folder; the host's stays as it is, this mount is in our namespace alone.
    mount_tmpfs("/tmp", ROOT_BYTES + source_bytes(options), ROOT_INODES, "0755", 0);
    if (chdir("/tmp") != 0) fail("mount", "chdir");
    for (int i = 0; i < options->mount_count; i++) place_tree(trees[i], options->mounts[i].target + 1);
    for (int i = 0; i < options->link_count; i++) make_link(options->links[i].text, options->links[i].path + 1);
    build_devices(options, trees);
    make_folder("proc");
    if (mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "subset=pid,hidepid=invisible") != 0) {
        fail("proc", "mount");
    }
    make_folder("box");
    make_folder("tmp");
    make_folder("code");
    mount_tmpfs("box", options->box_bytes, options->box_inodes, "0755", 0);
    mount_tmpfs("tmp", options->tmp_bytes, options->tmp_inodes, "1777", 0);
    if (options->feed_fd >= 0) mount_tmpfs("code", FED_CODE_BYTES, FED_CODE_INODES, "0755", 0);
}

void enter_root(const struct sandbox *sandbox) {
    int root = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) fail("data", "root");
    write_data(&sandbox->options, root);
    if (close(root) != 0) fail("data", "root");
    pivot();
    rename_host();
}
