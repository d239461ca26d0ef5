#pragma once
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* prctl, fcntl and syscall are variadic, which Swift does not import. */

/* Names the calling thread; the kernel keeps 15 bytes. */
static inline int linux_name_thread(const char *name) { return prctl(PR_SET_NAME, name, 0, 0, 0); }

/* A file in memory alone, closed on exec. */
static inline int linux_memory_file(const char *name) {
  return (int)syscall(SYS_memfd_create, name, 1u /* MFD_CLOEXEC */);
}

/* A descriptor that becomes readable when the process ends; closed on exec. */
static inline int linux_process_descriptor(int pid) { return (int)syscall(SYS_pidfd_open, pid, 0u); }

/* Another number, at least `least`, for the same open file; closed on exec. */
static inline int linux_duplicate(int descriptor, int least) { return fcntl(descriptor, F_DUPFD_CLOEXEC, least); }

static inline int linux_set_nonblocking(int descriptor) {
  int flags = fcntl(descriptor, F_GETFL);
  return flags < 0 ? -1 : fcntl(descriptor, F_SETFL, flags | O_NONBLOCK);
}

/* Both ends of a pipe, closed on exec; the read end first. */
static inline int linux_pipe(int ends[2]) { return (int)syscall(SYS_pipe2, ends, O_CLOEXEC); }

/* The newest version of Landlock that the kernel has; -1 where it has none. */
static inline int linux_landlock_version(void) {
  return (int)syscall(444 /* SYS_landlock_create_ruleset */, (void *)0, 0ul, 1u /* LANDLOCK_CREATE_RULESET_VERSION */);
}

static inline int linux_event(void) { return (int)syscall(SYS_eventfd2, 0u, O_CLOEXEC | O_NONBLOCK); }

static inline void *linux_leave_network(void *made) {
  /* unshare(2) is a GNU extension, which this header cannot ask for: whoever includes it may have asked for less. */
  if (syscall(SYS_unshare, 0x40000000 /* CLONE_NEWNET */) == 0) {
    *(int *)made = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  }
  return 0;
}

/* A new, empty network namespace, which lives for as long as the descriptor is open; closed on exec. -1 where this
   process may not have one. The thread that makes it, and is in it, ends here: the others stay where they are. */
static inline int linux_new_network(void) {
  pthread_t thread;
  int made = -1;
  if (pthread_create(&thread, 0, linux_leave_network, &made) != 0) return -1;
  return pthread_join(thread, 0) == 0 ? made : -1;
}
