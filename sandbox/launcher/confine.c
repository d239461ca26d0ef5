// What a process gives up for good: capabilities, resources, files, system calls.

#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

// Landlock's own names, because Debian 12's headers end at its third version.
struct ruleset {
    uint64_t files, network, scopes;
};

struct __attribute__((packed)) beneath {
    uint64_t allowed;
    int32_t parent;
};

enum {
    RULESET_VERSION = 1,
    RULE_BENEATH = 1,
    EXECUTE = 1 << 0,
    WRITE_FILE = 1 << 1,
    READ_FILE = 1 << 2,
    READ_DIR = 1 << 3,
    MAKE_CHAR = 1 << 6,
    MAKE_BLOCK = 1 << 11,
    FILES_1 = (1 << 13) - 1,  // ABI 1: all up to making links
    REFER = 1 << 13,          // 2
    TRUNCATE = 1 << 14,       // 3
    IOCTL_DEVICE = 1 << 15,   // 5
    TCP = 3,                  // 4: bind and connect
    SCOPES = 3,               // 6: abstract sockets, signals
};

int landlock_abi(void) {
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, RULESET_VERSION);
    return version < 0 ? 0 : (int)version;
}

static uint64_t file_rights(int abi) {
    uint64_t rights = FILES_1;
    if (abi >= 2) rights |= REFER;
    if (abi >= 3) rights |= TRUNCATE;
    if (abi >= 5) rights |= IOCTL_DEVICE;
    return rights;
}

static void allow(int ruleset, int abi, const char *path, uint64_t rights) {
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0) fail("landlock", path);
    struct stat status;
    if (fstat(fd, &status) != 0) fail("landlock", path);
    rights &= file_rights(abi);
    if (!S_ISDIR(status.st_mode)) rights &= EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE;
    struct beneath rule = {.allowed = rights, .parent = fd};
    if (syscall(SYS_landlock_add_rule, ruleset, RULE_BENEATH, &rule, 0) != 0) fail("landlock", path);
    if (close(fd) != 0) fail("landlock", path);
}

// In the restricted tier the whole host is in sight, so each path is named; in the other, the root holds nothing else.
static void allow_paths(const struct options *options, int ruleset, int abi) {
    const uint64_t look = EXECUTE | READ_FILE | READ_DIR, device = READ_FILE | WRITE_FILE | TRUNCATE;
    const uint64_t own = file_rights(abi) & ~(uint64_t)(MAKE_CHAR | MAKE_BLOCK | IOCTL_DEVICE);
    if (options->restricted == NULL) {
        allow(ruleset, abi, "/", look);
        allow(ruleset, abi, "/dev", device);
        allow(ruleset, abi, "/dev/shm", own);
        allow(ruleset, abi, "/box", own);
        allow(ruleset, abi, "/tmp", own);
        if (options->feed_fd >= 0) allow(ruleset, abi, "/code", own);
        return;
    }
    // The working folder is where restricted.c left the process: inside DIR.
    allow(ruleset, abi, "code", options->feed_fd >= 0 ? own : look);
    allow(ruleset, abi, "box", own);
    allow(ruleset, abi, "tmp", own);
    for (int i = 0; i < options->mount_count; i++) allow(ruleset, abi, options->mounts[i].source, look);
    const char *const devices[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"};
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) allow(ruleset, abi, devices[i], device);
    // Of /proc the program's own status alone: by it the executor's self-test sees that what is promised holds.
    allow(ruleset, abi, "/proc/self/status", READ_FILE);
}

void restrict_files(const struct sandbox *sandbox) {
    int abi = sandbox->landlock_abi;
    if (abi == 0) return;  // as low as the caller permits: main.c checked
    struct ruleset attributes = {.files = file_rights(abi)};
    size_t size = sizeof attributes.files;
    if (abi >= 4) {
        attributes.network = TCP;
        size = offsetof(struct ruleset, scopes);
    }
    if (abi >= 6) {
        attributes.scopes = SCOPES;
        size = sizeof attributes;
    }
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attributes, size, 0);
    if (ruleset < 0) fail("landlock", "ruleset");
    allow_paths(&sandbox->options, ruleset, abi);
    if (syscall(SYS_landlock_restrict_self, ruleset, 0) != 0) fail("landlock", "restrict");
    if (close(ruleset) != 0) fail("landlock", "ruleset");
}

// Every way to a capability is closed, then the capabilities go. Without a user namespace and without root there is
// nothing to give up, and the kernel lets nobody touch the bounding set: no-new-privileges keeps it out of reach.
void drop_privileges(const struct options *options) {
    if (options->restricted == NULL) {
        unsigned long capability = 0;
        while (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0) capability++;
        if (errno != EINVAL || capability <= CAP_SYSLOG) fail("credentials", "bounding");  // EINVAL: past the last one
        const unsigned long bits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
                                   SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
                                   SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
        if (prctl(PR_SET_SECUREBITS, bits, 0, 0, 0) != 0) fail("credentials", "securebits");
    }
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0) fail("credentials", "ambient");
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
    if (syscall(SYS_capset, &header, none) != 0) fail("credentials", "capset");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) fail("credentials", "no_new_privs");
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) fail("credentials", "dumpable");
}

// Never above what the host allows: the hard limits are bounds already.
static void limit(int resource, rlim_t soft, rlim_t hard, const char *name) {
    struct rlimit limit;
    if (getrlimit(resource, &limit) != 0) fail("rlimit", name);
    if (hard < limit.rlim_max) limit.rlim_max = hard;
    limit.rlim_cur = soft < limit.rlim_max ? soft : limit.rlim_max;
    if (setrlimit(resource, &limit) != 0) fail("rlimit", name);
}

void limit_resources(const struct options *options) {
    limit(RLIMIT_CPU, options->cpu_seconds, options->cpu_seconds + 1, "cpu");
    limit(RLIMIT_NOFILE, options->nofile, options->nofile, "nofile");
    limit(RLIMIT_FSIZE, options->fsize, options->fsize, "fsize");
    limit(RLIMIT_STACK, 8 << 20, 64 << 20, "stack");
    // 1, not 0: where the host hands crashes to a program, only this keeps the kernel from starting it.
    limit(RLIMIT_CORE, 1, 1, "core");
    limit(RLIMIT_MEMLOCK, 64 << 10, 64 << 10, "memlock");
    limit(RLIMIT_SIGPENDING, 1024, 1024, "sigpending");
    limit(RLIMIT_MSGQUEUE, 0, 0, "msgqueue");
    limit(RLIMIT_RTPRIO, 0, 0, "rtprio");
    limit(RLIMIT_NICE, 0, 0, "nice");
    if (options->nproc > 0) limit(RLIMIT_NPROC, options->nproc, options->nproc, "nproc");
    if (options->address_space > 0) limit(RLIMIT_AS, options->address_space, options->address_space, "as");
}

static void install(const struct sock_filter *filter, unsigned short length) {
    struct sock_fprog program = {.len = length, .filter = (struct sock_filter *)filter};
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) fail("seccomp", "filter");
}

void filter_program(const struct sandbox *sandbox) {
    install(sandbox->filter, sandbox->filter_length);
}

#if defined(__x86_64__)
#define NATIVE_ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#error "sandbox/policy has no filters for this architecture"
#endif

// The init handles what the program left behind, names and contents it does not control. It gets by with this list;
// anything else would be the program's doing, and ends the sandbox.
void filter_init(void) {
    static const int calls[] = {
        SYS_read,     SYS_pread64, SYS_write,           SYS_close,      SYS_openat2,        SYS_fstat,
        SYS_lseek,    SYS_wait4,   SYS_rt_sigtimedwait, SYS_getdents64, SYS_rt_sigprocmask, SYS_kill,
        SYS_newfstatat, SYS_getrusage, SYS_exit,        SYS_exit_group, SYS_rt_sigreturn,   SYS_restart_syscall,
    };
    enum { COUNT = sizeof calls / sizeof *calls };
    struct sock_filter filter[COUNT + 6];
    int length = 0;
    filter[length++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    filter[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE_ARCHITECTURE, 1, 0);
    filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    filter[length++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (int i = 0; i < COUNT; i++) {  // each jumps to the last instruction
        filter[length] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)calls[i],
                                                      (unsigned char)(COUNT - i), 0);
        length++;
    }
    filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    install(filter, (unsigned short)length);
}
