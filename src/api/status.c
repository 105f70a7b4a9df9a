/* The public door to how far a run is. */
#include "api/api.h"
#include "runs/runs.h"

mdl_status mdl_run_status(mdl_context *context, const char *folder, char **result)
{
    mdl_entry entry;
    struct json_t *json = NULL;
    MDL_REQUIRE(result);
    *result = NULL;
    MDL_REQUIRE(folder);
    mdl_status status = mdl_enter(&entry, context);
    if (status == MDL_OK)
        status = mdl_status_of(folder, &json);
    if (status == MDL_OK)
        status = mdl_result_text(json, result);
    return mdl_leave(&entry, status);
}
