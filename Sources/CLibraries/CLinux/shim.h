#pragma once
#include <sys/prctl.h>

/* prctl is variadic, which Swift does not import. */

/* Names the calling thread; the kernel keeps 15 bytes. */
static inline int linux_name_thread(const char *name) { return prctl(PR_SET_NAME, name, 0, 0, 0); }
