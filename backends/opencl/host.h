/* Private to the OpenCL backend: where the program's functions are kept. */
#ifndef OCL_HOST_H
#define OCL_HOST_H

#include "backends/backend.h"

void ocl_host_set(const mdl_host *given);

#endif
