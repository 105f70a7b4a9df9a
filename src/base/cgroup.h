/* Private to base: what control groups leave to this process. */
#ifndef MDL_CGROUP_H
#define MDL_CGROUP_H

#include <stdint.h>

/* Processors that the CFS quotas of this process's control groups (version 1 and 2, each up to the
 * top of what is mounted) allow for, rounded up: 2.5 processors are worth three threads, since two
 * could not use them.  0: there is no quota, or it cannot be read.  Files are looked for below the
 * folder `root` ("" for the system's). */
int mdl__cgroup_cpus(const char *root);

/* Bytes that the limits of this process's control groups still leave, the least of all up to the
 * top; UINT64_MAX: there is no limit, or it cannot be read. */
uint64_t mdl__cgroup_memory(const char *root);

#endif
