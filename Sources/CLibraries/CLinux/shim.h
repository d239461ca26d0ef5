#pragma once
#include <errno.h>
#include <fcntl.h>
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

static inline int linux_event(void) { return (int)syscall(SYS_eventfd2, 0u, O_CLOEXEC | O_NONBLOCK); }
