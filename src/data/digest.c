/* The md5 and the sha256 of a file, by OpenSSL's libcrypto. */
#include <errno.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/evp.h>

#include "data/internal.h"

static bool finish(EVP_MD_CTX *context, char *hex, size_t size)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    if (EVP_DigestFinal_ex(context, digest, &length) != 1 || length != (size - 1) / 2)
        return false;
    for (size_t i = 0; i < length; i++)
        snprintf(hex + 2 * i, size - 2 * i, "%02x", digest[i]);
    return true;
}

/* Why libcrypto failed: it lacks memory where it says so, or cannot even say anything. */
static mdl_status why_failed(void)
{
    unsigned long error = ERR_get_error();
    bool memory = error == 0;
    for (; error != 0; error = ERR_get_error())
        memory = memory || ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE;
    return memory ? mdl_fail(MDL_NO_MEMORY, "md5 and sha256: out of memory")
                  : mdl_fail(MDL_UNSUPPORTED, "this system's libcrypto offers no md5 or no sha256");
}

static mdl_status digest_stream(FILE *file, const char *path, mdl__digests *out)
{
    unsigned char piece[1 << 14];
    ERR_clear_error();
    EVP_MD_CTX *md5 = EVP_MD_CTX_new(), *sha256 = EVP_MD_CTX_new();
    bool good = md5 != NULL && sha256 != NULL && EVP_DigestInit_ex(md5, EVP_md5(), NULL) == 1 &&
                EVP_DigestInit_ex(sha256, EVP_sha256(), NULL) == 1;
    for (size_t got = 1; good && got > 0 && mdl_stop_check() == MDL_OK;) {
        got = fread(piece, 1, sizeof(piece), file);
        good = EVP_DigestUpdate(md5, piece, got) == 1 && EVP_DigestUpdate(sha256, piece, got) == 1;
    }
    good = good && finish(md5, out->md5, sizeof(out->md5)) &&
           finish(sha256, out->sha256, sizeof(out->sha256));
    mdl_status status = good ? MDL_OK : why_failed();
    EVP_MD_CTX_free(md5);
    EVP_MD_CTX_free(sha256);
    if (mdl_stop_check() != MDL_OK)
        return mdl_fail(MDL_CANCELLED, "interrupted while %s is checked; run again to go on", path);
    if (ferror(file) != 0)
        return mdl_fail_errno(errno, "cannot read %s", path);
    return status;
}

mdl_status mdl__digest_file(const char *path, mdl__digests *out)
{
    int fd;
    MDL_TRY(mdl_file_open(path, &fd));
    FILE *file = fdopen(fd, "rb");
    if (file == NULL) {
        close(fd);
        return mdl_fail(MDL_NO_MEMORY, "cannot open %s: out of memory", path);
    }
    mdl_status status = digest_stream(file, path, out);
    fclose(file);
    return status;
}
