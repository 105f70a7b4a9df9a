/* Status codes and the detail of the last error.  Every function of Mendel that can fail returns
 * an mdl_status: 0 on success, negative otherwise.  The text that says what went wrong (operation,
 * shapes, file and offset, native code) is kept per thread until the next failure. */
#ifndef MENDEL_STATUS_H
#define MENDEL_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

/* name, value, what it means in words */
#define MDL_STATUS_LIST(X)                                                                         \
    X(OK, 0, "success")                                                                            \
    X(NO_MEMORY, -1, "out of memory")                                                              \
    X(INVALID, -2, "invalid argument")                                                             \
    X(SHAPE, -3, "shapes do not fit")                                                              \
    X(CONFIG, -4, "invalid configuration")                                                         \
    X(IO, -5, "input or output failed")                                                            \
    X(FORMAT, -6, "malformed file")                                                                \
    X(NOT_FOUND, -7, "not found")                                                                  \
    X(UNSUPPORTED, -8, "not supported")                                                            \
    X(DEVICE, -9, "device failed")                                                                 \
    X(NUMERIC, -10, "not a finite number")                                                         \
    X(CANCELLED, -11, "interrupted")                                                               \
    X(CHECKSUM, -12, "checksum differs")                                                           \
    X(MEMORY_LIMIT, -13, "does not fit the memory limit")

typedef enum mdl_status {
#define X(name, value, text) MDL_##name = value,
    MDL_STATUS_LIST(X)
#undef X
} mdl_status;

#if defined(__GNUC__)
#define MDL_MUST_CHECK   __attribute__((warn_unused_result))
#define MDL_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define MDL_API          __attribute__((visibility("default"))) /* what the shared library exports */
#else
#define MDL_MUST_CHECK
#define MDL_API
#define MDL_PRINTF(f, a)
#endif

/* What a status means, in words.  Never NULL; the text is static. */
MDL_API const char *mdl_status_text(mdl_status status);

/* The detail of this thread's last failure, "" if there was none.  Valid until this thread's next
 * failure; belongs to the library. */
MDL_API const char *mdl_error_detail(void);

/* Free a text that a function of the library gave.  NULL is allowed. */
MDL_API void mdl_free(void *text);

#ifdef __cplusplus
}
#endif
#endif
