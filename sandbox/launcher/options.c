// The command line. Everything on it comes from the executor, yet every number and path is checked: a mistake there
// must end in an error record and never in a looser sandbox.

#include "launcher.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static noreturn void refuse(const char *at) {
    fail_with(EINVAL, "arguments", at);
}

static uint64_t number(const char *text, uint64_t least, uint64_t most, const char *name) {
    if (*text < '0' || *text > '9') refuse(name);
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || *end != '\0' || value < least || value > most) refuse(name);
    return value;
}

static int descriptor(const char *text, const char *name) {
    return (int)number(text, 3, 1 << 16, name);
}

// An absolute path without empty, "." or ".." parts.
static const char *absolute(const char *path, const char *name) {
    if (path[0] != '/' || path[1] == '\0') refuse(name);
    for (const char *part = path; *part == '/';) {
        const char *end = strchrnul(part + 1, '/');
        size_t length = (size_t)(end - part) - 1;
        if (length == 0 || (length == 1 && part[1] == '.') || (length == 2 && part[1] == '.' && part[2] == '.')) {
            refuse(name);
        }
        part = end;
    }
    return path;
}

static bool below(const char *path, const char *folder) {
    size_t length = strlen(folder);
    return strncmp(path, folder, length) == 0 && path[length] == '/';
}

static void check_variable(const char *entry, const char *name) {
    const char *equals = strchr(entry, '=');
    if (equals == NULL || equals == entry) refuse(name);
}

static int room(int count, int max, const char *name) {
    if (count >= max) refuse(name);
    return count;
}

// Options of one number each.
static bool take_number(struct options *o, const char *name, const char *text) {
    const struct {
        const char *name;
        uint64_t *value, least, most;
    } numbers[] = {
        // 2^32-1 means "leave unchanged" to the kernel, and 0 is root.
        {"--slot-uid", &o->slot_uid, 1, UINT32_MAX - 1},
        {"--landlock-min", &o->landlock_min, 0, 1000},
        {"--box-bytes", &o->box_bytes, 4096, 1ULL << 40},
        {"--box-inodes", &o->box_inodes, 8, 1 << 24},
        {"--tmp-bytes", &o->tmp_bytes, 4096, 1ULL << 40},
        {"--tmp-inodes", &o->tmp_inodes, 8, 1 << 24},
        {"--shm-bytes", &o->shm_bytes, 4096, 1ULL << 40},
        {"--cpu-seconds", &o->cpu_seconds, 1, 1 << 20},
        {"--nofile", &o->nofile, 16, 1 << 20},
        {"--fsize", &o->fsize, 0, 1ULL << 40},
        {"--nproc", &o->nproc, 1, 1 << 20},
        {"--address-space", &o->address_space, 1 << 20, 1ULL << 46},
        {"--compile-words", &o->compile_words, 1, COMPILE_WORDS_MAX},
        {"--artifacts-count", &o->artifacts_count_max, 0, 1 << 16},
        {"--artifacts-bytes", &o->artifacts_bytes_max, 0, 1ULL << 40},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (strcmp(name, numbers[i].name) != 0) continue;
        *numbers[i].value = number(text, numbers[i].least, numbers[i].most, name);
        return true;
    }
    return false;
}

// Options of one word that is no number.
static bool take_word(struct options *o, const char *name, char *text) {
    if (strcmp(name, "--status-fd") == 0) o->status_fd = descriptor(text, name);
    else if (strcmp(name, "--artifacts-fd") == 0) o->artifacts_fd = descriptor(text, name);
    else if (strcmp(name, "--feed-fd") == 0) o->feed_fd = descriptor(text, name);
    else if (strcmp(name, "--ready-fd") == 0) o->ready_fd = descriptor(text, name);
    else if (strcmp(name, "--network-fd") == 0) o->network_fd = descriptor(text, name);
    else if (strcmp(name, "--seccomp") == 0) o->seccomp_path = text;
    else if (strcmp(name, "--cgroup-v2") == 0 && o->cgroup_v2 == NULL) o->cgroup_v2 = absolute(text, name);
    else if (strcmp(name, "--cgroup-v1") == 0)
        o->cgroups_v1[room(o->cgroup_v1_count++, CGROUPS_MAX, name)] = absolute(text, name);
    else if (strcmp(name, "--env") == 0) {
        check_variable(text, name);
        o->environment[room(o->environment_count++, ENVIRONMENT_MAX, name)] = text;
    } else if (strcmp(name, "--cwd") == 0) o->cwd = absolute(text, name);
    else if (strcmp(name, "--artifact") == 0) {
        // Relative to /box. The kernel keeps it below there when it is opened; an empty name would be an error then.
        if (text[0] == '/' || text[0] == '\0' || strlen(text) > 255) refuse(name);
        o->artifacts[room(o->artifact_count++, ARTIFACTS_MAX, name)] = text;
    } else if (strcmp(name, "--restricted") == 0) o->restricted = absolute(text, name);
    else if (strcmp(name, "--empty") == 0) o->empty = absolute(text, name);
    else return false;
    return true;
}

// Options of two words.
static bool take_pair(struct options *o, const char *name, const char *first, const char *second) {
    if (strcmp(name, "--ro") == 0) {
        int i = room(o->mount_count++, MOUNTS_MAX, name);
        o->mounts[i].source = absolute(first, name);
        o->mounts[i].target = absolute(second, name);
    } else if (strcmp(name, "--link") == 0) {
        int i = room(o->link_count++, LINKS_MAX, name);
        if (*first == '\0') refuse(name);
        o->links[i].text = first;
        o->links[i].path = absolute(second, name);
    } else if (strcmp(name, "--data") == 0) {
        int i = room(o->data_count++, DATA_MAX, name);
        o->data[i].fd = descriptor(first, name);
        o->data[i].path = absolute(second, name);
        if (!below(second, "/code") && !below(second, "/box")) refuse(name);
    } else return false;
    return true;
}

// What only makes sense, or is only safe, together.
static void check(const struct options *o) {
    if (o->slot_uid == 0) refuse("--slot-uid");
    if (o->empty != NULL) {
        if (o->command_count > 0) refuse("PROGRAM");
        return;
    }
    if (o->seccomp_path == NULL) refuse("--seccomp");
    bool grouped = o->cgroup_v2 != NULL || o->cgroup_v1_count > 0;
    if (grouped == o->no_cgroup) refuse("--no-cgroup");
    if (o->command_count == 0 || o->command[0][0] != '/') refuse("PROGRAM");
    if (o->compile_words >= (uint64_t)o->command_count) refuse("--compile-words");
    if (o->compile_words > 0 && o->command[o->compile_words][0] != '/') refuse("PROGRAM");
    if ((o->artifact_count > 0) != (o->artifacts_fd >= 0)) refuse("--artifacts-fd");
    if (o->ready_fd >= 0 && o->feed_fd < 0) refuse("--ready-fd");
    if (o->feed_fd >= 0 && o->compile_words > 0) refuse("--feed-fd");
    if (o->restricted == NULL) return;
    if (o->network_fd >= 0) refuse("--network-fd");
    if (o->link_count > 0) refuse("--link");
    for (int i = 0; i < o->mount_count; i++) {
        if (strcmp(o->mounts[i].source, o->mounts[i].target) != 0) refuse("--ro");
    }
}

void parse_options(int argc, char **argv, struct options *o) {
    *o = (struct options){
        .status_fd = -1, .artifacts_fd = -1, .feed_fd = -1, .ready_fd = -1, .network_fd = -1, .cwd = "/box",
        .box_bytes = 64 << 20, .box_inodes = 4096, .tmp_bytes = 64 << 20, .tmp_inodes = 4096, .shm_bytes = 16 << 20,
        .cpu_seconds = 11, .nofile = 256, .fsize = 64 << 20, .artifacts_count_max = 32, .artifacts_bytes_max = 8 << 20,
    };
    // Errors of the command line need the status pipe, wherever on it that stands.
    for (int i = 1; i + 1 < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--status-fd") == 0) {
            o->status_fd = descriptor(argv[i + 1], "--status-fd");
            report_to(o->status_fd);
            break;
        }
    }
    if (o->status_fd < 0) _exit(EXIT_NOT_RUN);
    report_with_next("version protocol=1");
    int i = 1;
    while (i < argc && strcmp(argv[i], "--") != 0) {
        if (strcmp(argv[i], "--no-cgroup") == 0) {
            o->no_cgroup = true;
            i += 1;
        } else if (i + 1 < argc && (take_number(o, argv[i], argv[i + 1]) || take_word(o, argv[i], argv[i + 1]))) {
            i += 2;
        } else if (i + 2 < argc && take_pair(o, argv[i], argv[i + 1], argv[i + 2])) {
            i += 3;
        } else {
            refuse(argv[i]);
        }
    }
    if (i == argc) refuse("--");
    o->command = argv + i + 1;
    o->command_count = argc - i - 1;
    check(o);
}
