/* Download of published sets: by libcurl into ARCHIVE.part, which a later call continues; md5 and
 * sha256 are checked before the file gets its name; then it is unpacked.  Nothing is downloaded
 * behind the user's back: only mdl_fetch does it, by https, or http or a file where that was asked
 * for. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include <curl/curl.h>

#include "data/internal.h"

/* The published archives have 170 MB, and 186 MB unpacked. */
#define DOWNLOAD_LIMIT (UINT64_C(1) << 31)

typedef struct fetch_job {
    const mdl__published *set;
    const mdl_fetch_options *options;
    const char *url;
    const char *protocols;      /* the address may have, */
    const char *redirects;      /* and where it may lead to: lists for libcurl */
    mdl__digests expected;      /* "": not known */
    char archive[MDL_PATH_MAX]; /* the complete file, */
    char part[MDL_PATH_MAX];    /* what there is of it so far, */
    char bad[MDL_PATH_MAX];     /* and where a complete file with other sums goes */
} fetch_job;

/* ---- transfer ------------------------------------------------------------------------------- */

typedef struct transfer {
    const fetch_job *job;
    FILE *file;
    uint64_t start; /* bytes that were there before */
    uint64_t done;  /* bytes in the file */
    int error;      /* errno of a failed write */
    bool too_large;
} transfer;

static size_t on_data(char *data, size_t size, size_t count, void *user)
{
    transfer *now = user;
    size_t bytes = size * count;
    now->too_large = bytes > DOWNLOAD_LIMIT - now->done;
    if (now->too_large)
        return 0;
    if (fwrite(data, 1, bytes, now->file) != bytes) {
        now->error = errno;
        return 0;
    }
    now->done += bytes;
    return bytes;
}

static int on_progress(void *user, curl_off_t total, curl_off_t done, curl_off_t up_total,
                       curl_off_t up)
{
    (void)up_total;
    (void)up;
    const transfer *now = user;
    const mdl_fetch_options *options = now->job->options;
    if (options->progress != NULL)
        options->progress(options->user, now->start + (uint64_t)done,
                          total > 0 ? now->start + (uint64_t)total : 0);
    return mdl_stop_requested() ? 1 : 0;
}

static CURLcode restrict_protocols(CURL *curl, const fetch_job *job)
{
#if LIBCURL_VERSION_NUM >= 0x075500
    CURLcode code = curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, job->protocols);
    return code != CURLE_OK ? code
                            : curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, job->redirects);
#else
    long first = strcmp(job->protocols, "https") == 0  ? CURLPROTO_HTTPS
                 : strcmp(job->protocols, "http") == 0 ? CURLPROTO_HTTP
                                                       : CURLPROTO_FILE;
    long later =
        strcmp(job->redirects, "https") == 0 ? CURLPROTO_HTTPS : CURLPROTO_HTTP | CURLPROTO_HTTPS;
    CURLcode code = curl_easy_setopt(curl, CURLOPT_PROTOCOLS, first);
    return code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS, later);
#endif
}

/* As curl_easy_perform, which looks at a stop request once a second only. */
static CURLcode transfer_all(CURL *curl)
{
    CURLM *multi = curl_multi_init();
    CURLcode code = CURLE_OUT_OF_MEMORY; /* the only reason why it ends without a message */
    int running = 1, left;
    bool good = multi != NULL && curl_multi_add_handle(multi, curl) == CURLM_OK;
    while (good && running > 0 && !mdl_stop_requested())
        good = curl_multi_perform(multi, &running) == CURLM_OK &&
               (running == 0 || curl_multi_poll(multi, NULL, 0, 100, NULL) == CURLM_OK);
    const CURLMsg *message = good ? curl_multi_info_read(multi, &left) : NULL;
    if (message != NULL && message->msg == CURLMSG_DONE)
        code = message->data.result;
    else if (mdl_stop_requested())
        code = CURLE_ABORTED_BY_CALLBACK;
    curl_multi_remove_handle(multi, curl);
    curl_multi_cleanup(multi);
    return code;
}

static CURLcode perform(transfer *now, CURL *curl, char error[CURL_ERROR_SIZE])
{
    error[0] = '\0';
    bool good =
        curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_URL, now->job->url) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_USERAGENT, "mendel") == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L) == CURLE_OK &&
        restrict_protocols(curl, now->job) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_MAXREDIRS, 10L) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 30L) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, 60L) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_RESUME_FROM_LARGE, (curl_off_t)now->start) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_WRITEDATA, now) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_XFERINFODATA, now) == CURLE_OK;
#if LIBCURL_VERSION_NUM >= 0x075700
    curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L); /* not even a name's look-up is waited for */
#endif
    return good ? transfer_all(curl) : CURLE_OUT_OF_MEMORY; /* copies of texts */
}

/* Whether this failure means that the part that is there cannot be continued: the server has no
 * ranges, or the part is longer than the file. */
static bool cannot_resume(CURL *curl, CURLcode code)
{
    long response = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &response);
    return code == CURLE_RANGE_ERROR || code == CURLE_BAD_DOWNLOAD_RESUME ||
           (code == CURLE_HTTP_RETURNED_ERROR && response == 416);
}

static mdl_status fail_transfer(const transfer *now, CURLcode code, const char *error)
{
    const fetch_job *job = now->job;
    if (now->error != 0)
        return mdl_fail_errno(now->error, "cannot write %s", job->part);
    if (now->too_large)
        return mdl_fail(MDL_FORMAT, "%s has more than %" PRIu64 " bytes, which no such set has",
                        job->url, DOWNLOAD_LIMIT);
    if (code == CURLE_OUT_OF_MEMORY)
        return mdl_fail(MDL_NO_MEMORY, "cannot download %s: out of memory", job->url);
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return mdl_fail(MDL_CANCELLED,
                        "interrupted; %" PRIu64 " bytes are kept in %s, run again to go on",
                        now->done, job->part);
    if (code == CURLE_UNSUPPORTED_PROTOCOL)
        return mdl_fail(MDL_IO,
                        "cannot download %s: it leads on to an address that is not %s, which is "
                        "refused; put the file at %s yourself",
                        job->url, job->redirects, job->archive);
    return mdl_fail(MDL_IO,
                    "cannot download %s: %s; run again to go on after the %" PRIu64
                    " bytes that are there, or put the file at %s yourself",
                    job->url, error[0] != '\0' ? error : curl_easy_strerror(code), now->done,
                    job->archive);
}

/* Append to the part what is missing.  *unusable: see cannot_resume. */
static mdl_status download(const fetch_job *job, uint64_t start, bool *unusable)
{
    transfer now = {.job = job, .start = start, .done = start};
    char error[CURL_ERROR_SIZE];
    *unusable = false;
    CURL *curl = curl_easy_init();
    if (curl == NULL)
        return mdl_fail(MDL_NO_MEMORY, "libcurl cannot start: out of memory");
    now.file = fopen(job->part, "abe");
    if (now.file == NULL) {
        now.error = errno;
        curl_easy_cleanup(curl);
        return fail_transfer(&now, CURLE_WRITE_ERROR, "");
    }
    CURLcode code = perform(&now, curl, error);
    *unusable = cannot_resume(curl, code);
    curl_easy_cleanup(curl);
    if (fclose(now.file) != 0 && code == CURLE_OK) {
        now.error = errno;
        code = CURLE_WRITE_ERROR;
    }
    return code == CURLE_OK ? MDL_OK : fail_transfer(&now, code, error);
}

/* ---- archive -------------------------------------------------------------------------------- */

static mdl_status move(const char *from, const char *to)
{
    if (rename(from, to) != 0)
        return mdl_fail_errno(errno, "cannot rename %s to %s", from, to);
    return MDL_OK;
}

static bool matches(const fetch_job *job, const mdl__digests *got)
{
    const mdl__digests *wanted = &job->expected;
    return (wanted->md5[0] == '\0' || strcmp(wanted->md5, got->md5) == 0) &&
           (wanted->sha256[0] == '\0' || strcmp(wanted->sha256, got->sha256) == 0);
}

static mdl_status fail_checksum(const fetch_job *job, const char *path, const mdl__digests *got)
{
    bool md5 = job->expected.md5[0] != '\0' && strcmp(job->expected.md5, got->md5) != 0;
    return mdl_fail(MDL_CHECKSUM,
                    "%s from %s has the %s %s, expected %s: it is damaged or another edition; "
                    "remove it and run again, or give its checksum if you trust it",
                    path, job->url, md5 ? "md5" : "sha256", md5 ? got->md5 : got->sha256,
                    md5 ? job->expected.md5 : job->expected.sha256);
}

static mdl_status keep(const fetch_job *job, const mdl__digests *got)
{
    mdl_log(MDL_LOG_INFO, "%s has the sha256 %s", job->archive, got->sha256);
    return MDL_OK;
}

/* Get the archive into its place, its sums checked.  A part that turns out not to belong to this
 * file is dropped once, and the download starts at 0. */
static mdl_status obtain(const fetch_job *job)
{
    mdl__digests got;
    if (mdl_file_exists(job->archive)) {
        MDL_TRY(mdl__digest_file(job->archive, &got));
        return matches(job, &got) ? keep(job, &got) : fail_checksum(job, job->archive, &got);
    }
    for (;;) {
        uint64_t start = 0;
        bool again = false, whole = false;
        if (mdl_file_exists(job->part)) {
            MDL_TRY(mdl__file_size(job->part, &start));
            MDL_TRY(mdl__digest_file(job->part, &got));
            whole = matches(job, &got); /* it may be complete */
        }
        if (!whole) {
            mdl_status status = download(job, start, &again);
            if (status != MDL_OK && !(again && start > 0))
                return status;
            if (status == MDL_OK) {
                MDL_TRY(mdl__digest_file(job->part, &got));
                again = !matches(job, &got);
            }
        }
        if (!again) {
            MDL_TRY(move(job->part, job->archive));
            return keep(job, &got);
        }
        if (start == 0)
            break;
        mdl_log(MDL_LOG_INFO, "%s cannot be continued: starting again", job->part);
        MDL_TRY(mdl_remove_file(job->part));
    }
    MDL_TRY(move(job->part, job->bad));
    return fail_checksum(job, job->bad, &got);
}

/* All needed files are there and have whole records. */
static bool complete(const mdl__published *set, const char *folder)
{
    for (size_t i = 0; i < set->needed; i++) {
        char path[MDL_PATH_MAX];
        uint64_t size;
        if (mdl_path(path, sizeof(path), folder, "%s", set->files[i]) != MDL_OK ||
            mdl__file_size(path, &size) != MDL_OK || size == 0 || size % set->record != 0)
            return false;
    }
    return true;
}

/* What is allowed follows from what was typed: nothing less safe, and no file that is led to. */
static mdl_status check_address(fetch_job *job)
{
    static const struct {
        const char *start, *protocols, *redirects;
    } kinds[] = {{"https://", "https", "https"},
                 {"http://", "http", "http,https"},
                 {"file://", "file", "https"}};
    for (size_t i = 0; i < MDL_COUNT(kinds); i++)
        if (strncasecmp(job->url, kinds[i].start, strlen(kinds[i].start)) == 0) {
            job->protocols = kinds[i].protocols;
            job->redirects = kinds[i].redirects;
            return MDL_OK;
        }
    return mdl_fail(MDL_INVALID,
                    "the address '%s' cannot be downloaded from: expected https://, http:// or "
                    "file:// in front",
                    job->url);
}

static mdl_status take_sum(const char *text, const char *kind, size_t digits, char *out)
{
    size_t length = strlen(text);
    if (length != digits || strspn(text, "0123456789abcdefABCDEF") != length)
        return mdl_fail(MDL_INVALID, "'%.80s' is no %s: expected %zu hexadecimal digits", text,
                        kind, digits);
    for (size_t i = 0; i <= length; i++)
        out[i] = (char)tolower((unsigned char)text[i]);
    return MDL_OK;
}

/* One sum that is given stands for both that were published: it may be of another edition. */
static mdl_status expect_sums(const mdl__published *set, const mdl_fetch_options *options,
                              fetch_job *job)
{
    bool given = options->md5 != NULL || options->sha256 != NULL;
    const char *md5 = given ? options->md5 : set->md5;
    const char *sha256 = given ? options->sha256 : set->sha256;
    job->expected = (mdl__digests){"", ""};
    if (md5 != NULL)
        MDL_TRY(take_sum(md5, "md5", sizeof(job->expected.md5) - 1, job->expected.md5));
    return sha256 != NULL
               ? take_sum(sha256, "sha256", sizeof(job->expected.sha256) - 1, job->expected.sha256)
               : MDL_OK;
}

static mdl_status prepare_job(const mdl__published *set, const mdl_fetch_options *options,
                              fetch_job *job)
{
    job->set = set;
    job->options = options;
    job->url = options->url != NULL ? options->url : set->url;
    MDL_TRY(check_address(job));
    MDL_TRY(expect_sums(set, options, job));
    MDL_TRY(mdl_path(job->archive, sizeof(job->archive), options->folder, "%s", set->archive));
    MDL_TRY(mdl_path(job->part, sizeof(job->part), options->folder, "%s.part", set->archive));
    if (strncmp(job->url, "file://", 7) == 0 && mdl_same_file(job->url + 7, job->part))
        return mdl_fail(MDL_CONFIG,
                        "%s is where the download would be written: copy it elsewhere, or choose "
                        "another folder",
                        job->part);
    return mdl_path(job->bad, sizeof(job->bad), options->folder, "%s.bad", set->archive);
}

static mdl_status obtain_and_unpack(const fetch_job *job, const char *folder)
{
    const mdl__published *set = job->set;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return mdl_fail(MDL_NO_MEMORY, "libcurl cannot start: out of memory");
    mdl_status status = obtain(job);
    curl_global_cleanup();
    MDL_TRY(status);
    MDL_TRY(mdl_make_folders(folder));
    MDL_TRY(mdl__unpack(job->archive, folder, set->files, set->count, DOWNLOAD_LIMIT));
    if (complete(set, folder))
        return MDL_OK;
    return mdl_fail(MDL_FORMAT,
                    "%s does not hold the whole set: expected %zu files (%s ...) of records of "
                    "%" PRIu64 " bytes",
                    job->archive, set->needed, set->files[0], set->record);
}

static mdl_status find_published(const char *name, const mdl__published **out)
{
    const mdl_source *source = mdl_source_of(name);
    char names[256] = "";
    *out = source != NULL && strchr(name, ':') == NULL ? source->published : NULL;
    if (*out != NULL)
        return MDL_OK;
    for (size_t i = 0; i < mdl_source_count; i++) {
        size_t used = strlen(names);
        if (mdl_sources[i]->published != NULL)
            snprintf(names + used, sizeof(names) - used, "%s%s", used > 0 ? ", " : "",
                     mdl_sources[i]->name);
    }
    return mdl_fail(MDL_INVALID, "'%s' cannot be downloaded: expected one of %s", name, names);
}

mdl_status mdl_fetch(const char *name, const mdl_fetch_options *options, char *found,
                     size_t found_size)
{
    const mdl__published *set;
    fetch_job job;
    MDL_TRY(find_published(name, &set));
    MDL_TRY(prepare_job(set, options, &job));
    MDL_TRY(mdl_path(found, found_size, options->folder, "%s", set->subfolder));
    if (complete(set, found))
        return MDL_OK;
    MDL_TRY(mdl_make_folders(options->folder));
    return obtain_and_unpack(&job, found);
}
