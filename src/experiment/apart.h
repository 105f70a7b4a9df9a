/* Ranks of a job that work apart for a while, each for itself, and agree anew afterwards. */
#ifndef MDL_APART_H
#define MDL_APART_H

#include "base/base.h"

/* Let each rank do work of its own, which makes no call of the communicator (to it there is one
 * process), and wait for all; then as mdl_comm_agree.  Meanwhile the ranks stay in touch: where one
 * fails or is asked to stop, so are all (mdl_context_stop), and one that hangs is noticed. */
mdl_status mdl__apart(const mdl_comm *comm, mdl_status (*work)(void *user),
                      void *user) MDL_MUST_CHECK;
/* As mdl_comm_agree where an earlier failure may have been settled, and all have gone on since. */
mdl_status mdl__agree_anew(const mdl_comm *comm, mdl_status own) MDL_MUST_CHECK;

#endif
