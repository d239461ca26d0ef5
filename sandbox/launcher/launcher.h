// sandbox-launcher: builds one sandbox, runs one program in it, reports how that ended, and is gone.
//
// How it is called, its descriptors, its records and the artifacts' archive are a protocol, written down in
// sandbox/README.md; this header holds only what the files here share. Processes, from the outside in:
//
//   launcher   on the host: builds the namespaces' outside (maps, cgroups), then only waits      main.c network.c
//   init       pid 1 inside: builds the inside, gives up every privilege, reaps, streams         init.c root.c
//   program    pid 2 inside: confines itself for good and becomes the foreign program            program.c confine.c
//
// Every call is checked where it stands. A failure goes to the status pipe with its stage and errno and ends the
// process; the processes below it die with it. No memory is allocated and nothing is read from the environment.

#ifndef SANDBOX_LAUNCHER_H
#define SANDBOX_LAUNCHER_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdnoreturn.h>
#include <sys/resource.h>
#include <sys/types.h>

enum {
    EXIT_NOT_RUN = 125,  // the launcher's own exit code when the program was not run
    INSIDE_UID = 1000,   // what the slot's uid and gid look like inside
    MOUNTS_MAX = 32,
    DEVICES = 5,
    TREES_MAX = MOUNTS_MAX + DEVICES,
    LINKS_MAX = 16,
    DATA_MAX = 64,
    ENVIRONMENT_MAX = 128,
    CGROUPS_MAX = 8,
    ARTIFACTS_MAX = 32,
    COMPILE_WORDS_MAX = 255,
    FILTER_MAX = 4096,  // instructions: the kernel's own bound
    FEED_FD = 3,        // where a warm program finds its feed
    READY_FD = 4,       // and where it says that it is ready
};

// What the caller asked for. Strings point into argv.
struct options {
    int status_fd, artifacts_fd, feed_fd, ready_fd, network_fd;
    uint64_t slot_uid;
    const char *seccomp_path;
    const char *cgroup_v2;
    const char *cgroups_v1[CGROUPS_MAX];
    int cgroup_v1_count;
    bool no_cgroup;
    uint64_t landlock_min;
    struct { const char *source, *target; } mounts[MOUNTS_MAX];
    int mount_count;
    struct { const char *text, *path; } links[LINKS_MAX];
    int link_count;
    struct { int fd; const char *path; } data[DATA_MAX];
    int data_count;
    char *environment[ENVIRONMENT_MAX + 1];
    int environment_count;
    const char *cwd;
    uint64_t box_bytes, box_inodes, tmp_bytes, tmp_inodes, shm_bytes;
    uint64_t cpu_seconds, nofile, fsize, nproc, address_space;  // nproc and address_space: 0 for none
    uint64_t compile_words;
    const char *artifacts[ARTIFACTS_MAX];
    int artifact_count;
    uint64_t artifacts_count_max, artifacts_bytes_max;
    const char *restricted;  // the working folder of the restricted tier, or NULL
    const char *empty;       // such a folder that was left, to be emptied instead of running anything, or NULL
    char **command;
    int command_count;
};

// Where the network namespace comes from: made with the sandbox, or the slot's, unless that was not found empty.
enum network { NETWORK_NEW, NETWORK_SLOT, NETWORK_UNCLEAN };

// What stands between the processes of one sandbox.
struct sandbox {
    struct options options;
    struct sock_filter filter[FILTER_MAX];
    unsigned short filter_length;
    int landlock_abi;
    bool groups_dropped;
    enum network network;
    struct shared *shared;
};

// Memory that the launcher shares with its init, never with the program: the exec unmaps it.
struct shared {
    volatile pid_t init;           // restricted tier: whose death is the program's
    volatile pid_t program_group;  // restricted tier: whom the launcher kills when the init is gone
    volatile bool started;
};

// A folder's entry as getdents64 writes it.
struct entry {
    uint64_t inode;
    int64_t offset;
    unsigned short length;
    unsigned char type;
    char name[];
};

// report.c: records on the status pipe.
void report_to(int status_fd);
void report(const char *format, ...) __attribute__((format(printf, 1, 2)));
void report_with_next(const char *format, ...) __attribute__((format(printf, 1, 2)));  // in the same write
void forget_unsent(void);  // in a child: its parent sends them
void also_tell(int fd);  // a pipe that hears of a failure too
noreturn void fail(const char *stage, const char *at);                // with errno
noreturn void fail_with(int error, const char *stage, const char *at);

// options.c
void parse_options(int argc, char **argv, struct options *options);

// descriptors.c
void close_all_but(int *kept, int count, unsigned first);  // sorts kept; leaves what is below first alone
void keep_only_named_descriptors(const struct options *options);
void load_filter(struct sandbox *sandbox);
size_t read_fully(int fd, void *buffer, size_t size, const char *stage, const char *at);
void write_text(const char *stage, const char *path, const char *text);
void write_data(const struct options *options, int root);

// network.c
void enter_network(struct sandbox *sandbox);

// root.c: the file systems of the inside.
void clone_trees(const struct options *options, int *trees);  // takes hold of what is shown, as the launcher's uid
void build_root(const struct sandbox *sandbox, const int *trees);  // as the slot's
void enter_root(const struct sandbox *sandbox);  // in its groups: its data counts there. The old root is gone after it

// restricted.c
void prepare_restricted(struct sandbox *sandbox);
void empty_restricted(const char *path);
void empty_left_folder(const struct options *options);

// init.c
noreturn void run_init(struct sandbox *sandbox);

// artifacts.c
void stream_artifacts(const struct options *options, int box);

// program.c
noreturn void become_program(const struct sandbox *sandbox, char **command, bool compile, int failed_fd);

// confine.c
int landlock_abi(void);
void drop_privileges(const struct options *options);
void limit_resources(const struct options *options);
void restrict_files(const struct sandbox *sandbox);
void filter_program(const struct sandbox *sandbox);
void filter_init(void);

#endif
