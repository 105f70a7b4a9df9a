/* Private to dispatch: calls that run on the host for a device with memory of its own. */
#ifndef MDL_DISPATCH_HOST_H
#define MDL_DISPATCH_HOST_H

#include "dispatch/dispatch.h"

/* Memory for the data of the call, kept by the device; shapes are needed, data is not. */
mdl_status mdl__host_reserve(mdl_device *device, const mdl_call *call) MDL_MUST_CHECK;
/* Its kernel is one of the reference backend. */
mdl_status mdl__host_run(mdl_device *device, const mdl_call *call) MDL_MUST_CHECK;

#endif
