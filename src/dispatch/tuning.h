/* Private to dispatch: the table of variants as routing uses it. */
#ifndef MDL_DISPATCH_TUNING_H
#define MDL_DISPATCH_TUNING_H

#include "dispatch/dispatch.h"

mdl_status mdl__tuning_copy(const mdl_tuning *from, mdl_tuning **out) MDL_MUST_CHECK;
/* The number of the variant that the device's table has for a call with its kernel set; 0 where it
 * has none, or one that this kernel does not know. */
int mdl__tuned_variant(const mdl_device *device, const mdl_call *call);

/* $XDG_CACHE_HOME/mendel or ~/.cache/mendel; it need not exist. */
mdl_status mdl__cache_folder(char *folder, size_t size) MDL_MUST_CHECK;

#endif
