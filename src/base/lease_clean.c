/* Files in the making that a process left behind which was killed while it had a lease. */
#include <string.h>

#include "base/base.h"

typedef char token_text[MDL_LEASE_TOKEN + 1];

/* The token in "<name>.<token>.mendel-tmp". */
static bool token_of(const char *name, token_text token)
{
    size_t length;
    if (!mdl_text_ends(name, MDL_UNFINISHED, &length) || length <= 1 + MDL_LEASE_TOKEN ||
        name[length - MDL_LEASE_TOKEN - 1] != '.')
        return false;
    memcpy(token, name + length - MDL_LEASE_TOKEN, MDL_LEASE_TOKEN);
    token[MDL_LEASE_TOKEN] = '\0';
    return strspn(token, "0123456789abcdef") == MDL_LEASE_TOKEN;
}

typedef struct left { /* a file in the making */
    char path[MDL_PATH_MAX];
    token_text token;
} left;

static mdl_status list_left(const char *work, left **list, size_t *count)
{
    mdl_status status = MDL_OK;
    token_text token;
    DIR *names;
    MDL_TRY(mdl_folder_open(work, &names));
    for (struct dirent *e; names != NULL && status == MDL_OK && (e = readdir(names)) != NULL;) {
        if (!token_of(e->d_name, token))
            continue;
        status = mdl_grow(*count, *count + 1, sizeof(**list), "files in the making", (void **)list);
        if (status != MDL_OK)
            break;
        left *one = &(*list)[(*count)++];
        memcpy(one->token, token, sizeof(token));
        status = mdl_path(one->path, sizeof(one->path), work, "%s", e->d_name);
    }
    if (names != NULL)
        closedir(names);
    return status;
}

/* A lease is there before the files that are made under it, so those are listed first. */
mdl_status mdl_leases_clean(const char *leases, const char *work)
{
    left *files = NULL;
    mdl_lease_seen *seen = NULL;
    size_t n = 0, n_seen = 0;
    mdl_status status = list_left(work, &files, &n);
    if (status == MDL_OK && n > 0)
        status = mdl_leases_list(leases, &seen, &n_seen);
    for (size_t i = 0; i < n && status == MDL_OK; i++) {
        size_t k = 0;
        while (k < n_seen && strcmp(seen[k].owner.token, files[i].token) != 0)
            k++;
        if (k == n_seen)
            status = mdl_remove_file(files[i].path);
    }
    mdl_free(seen);
    mdl_free(files);
    return status;
}
