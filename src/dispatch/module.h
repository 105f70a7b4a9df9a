/* Private to dispatch: the backend that is loaded at run time. */
#ifndef MDL_DISPATCH_MODULE_H
#define MDL_DISPATCH_MODULE_H

#include "dispatch/dispatch.h"

extern const mdl_backend mdl__backend_module;

#endif
