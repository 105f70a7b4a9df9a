/* Download, check and unpacking, with file:// addresses: good archives, wrong checksums, broken
 * downloads, and archives that try to write elsewhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <openssl/evp.h>

#include "data/internal.h"
#include "scratch.h"

enum { RECORD = 3074 }; /* of CIFAR-100 */

static char folder[256];            /* of the test */
static char source[MDL_PATH_MAX];   /* the archive to be fetched, */
static char target[MDL_PATH_MAX];   /* where it goes, */
static char url[MDL_PATH_MAX + 16]; /* its address */
static char md5[33];                /* and its checksum */
static char found[MDL_PATH_MAX];
static uint8_t content[4 * RECORD];

static int set_up(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(content); i++)
        content[i] = (uint8_t)(i % 19); /* labels below 20 */
    if (!scratch_create(folder) ||
        mdl_path(source, sizeof(source), folder, "source.tar.gz") != MDL_OK ||
        mdl_path(target, sizeof(target), folder, "target/deep") != MDL_OK)
        return -1;
    snprintf(url, sizeof(url), "file://%s", source);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    mdl_context_reset(mdl_context_current());
    scratch_remove(folder);
    return 0;
}

/* ---- archives ------------------------------------------------------------------------------- */

typedef struct entry {
    const char *name;
    size_t size;      /* bytes of content */
    const char *link; /* where a symbolic link leads */
    const char *hard; /* or a hard link */
} entry;

static void hash_source(void)
{
    char *data;
    size_t size;
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned length;
    assert_int_equal(mdl_file_read(source, 0, &data, &size), MDL_OK);
    int good = EVP_Digest(data, size, digest, &length, EVP_md5(), NULL);
    mdl_free(data);
    assert_int_equal(good, 1);
    for (size_t i = 0; i < 16; i++)
        snprintf(md5 + 2 * i, 3, "%02X", digest[i]); /* upper case is accepted, too */
}

static void make_archive(const entry *entries, size_t count)
{
    struct archive *archive = archive_write_new();
    assert_int_equal(archive_write_add_filter_gzip(archive), ARCHIVE_OK);
    assert_int_equal(archive_write_set_format_pax_restricted(archive), ARCHIVE_OK);
    assert_int_equal(archive_write_open_filename(archive, source), ARCHIVE_OK);
    for (size_t i = 0; i < count; i++) {
        struct archive_entry *header = archive_entry_new();
        size_t length = strlen(entries[i].name);
        archive_entry_set_pathname(header, entries[i].name);
        archive_entry_set_filetype(header,
                                   entries[i].name[length - 1] == '/' ? AE_IFDIR : AE_IFREG);
        archive_entry_set_perm(header, 0644);
        archive_entry_set_size(header, (la_int64_t)entries[i].size);
        if (entries[i].link != NULL) {
            archive_entry_set_filetype(header, AE_IFLNK);
            archive_entry_set_symlink(header, entries[i].link);
        }
        if (entries[i].hard != NULL)
            archive_entry_set_hardlink(header, entries[i].hard);
        assert_int_equal(archive_write_header(archive, header), ARCHIVE_OK);
        if (entries[i].size > 0 && entries[i].size <= sizeof(content))
            assert_int_equal(archive_write_data(archive, content, entries[i].size),
                             entries[i].size);
        archive_entry_free(header);
    }
    assert_int_equal(archive_write_close(archive), ARCHIVE_OK);
    assert_int_equal(archive_write_free(archive), ARCHIVE_OK);
    hash_source();
}

static const entry good_entries[] = {
    {.name = "cifar-100-binary/"},
    {.name = "cifar-100-binary/train.bin", .size = 4 * RECORD},
    {.name = "cifar-100-binary/test.bin", .size = RECORD},
    {.name = "cifar-100-binary/extra.txt", .size = 7},
};

static mdl_status fetch(void)
{
    mdl_fetch_options options = {.url = url, .md5 = md5, .folder = target};
    return mdl_fetch("cifar100", &options, found, sizeof(found));
}

static void assert_detail(const char *text)
{
    if (strstr(mdl_error_detail(), text) == NULL)
        fail_msg("'%s' is not in '%s'", text, mdl_error_detail());
}

static const char *in_target(const char *name)
{
    static char path[MDL_PATH_MAX];
    assert_int_equal(mdl_path(path, sizeof(path), target, "%s", name), MDL_OK);
    return path;
}

/* Write the first `size` bytes of the archive (with `flip` in the first) as a part. */
static void write_part(size_t size, int flip)
{
    char *data;
    size_t whole;
    assert_int_equal(mdl_make_folders(target), MDL_OK);
    assert_int_equal(mdl_file_read(source, 0, &data, &whole), MDL_OK);
    data[0] = (char)(data[0] ^ flip);
    assert_true(size <= whole);
    mdl_status status = mdl_file_write(in_target("cifar-100-binary.tar.gz.part"), data, size);
    mdl_free(data);
    assert_int_equal(status, MDL_OK);
}

static void assert_fetched(void)
{
    char *data;
    size_t size;
    assert_int_equal(fetch(), MDL_OK);
    assert_string_equal(found, in_target("cifar-100-binary"));
    assert_int_equal(scratch_count(found), 2); /* the extra file is passed over */
    assert_int_equal(mdl_file_read(in_target("cifar-100-binary/train.bin"), 0, &data, &size),
                     MDL_OK);
    bool same = size == sizeof(content) && memcmp(data, content, size) == 0;
    mdl_free(data);
    assert_true(same);
    assert_false(mdl_file_exists(in_target("cifar-100-binary.tar.gz.part")));
}

/* ---- good ----------------------------------------------------------------------------------- */

static uint64_t last_done, last_total;

static void on_progress(void *user, uint64_t done, uint64_t total)
{
    assert_ptr_equal(user, &last_done);
    last_done = done;
    last_total = total;
}

static void fetched(void **state)
{
    (void)state;
    make_archive(good_entries, MDL_COUNT(good_entries));
    mdl_fetch_options options = {
        .url = url, .md5 = md5, .folder = target, .progress = on_progress, .user = &last_done};
    assert_int_equal(mdl_fetch("cifar100", &options, found, sizeof(found)), MDL_OK);
    assert_true(last_done > 100 && last_total == last_done);
    assert_fetched();

    /* The reader finds it, in the folder and above it. */
    mdl_data_config config = mdl_data_config_default();
    mdl_dataset *set;
    assert_int_equal(mdl_path(config.source, sizeof(config.source), "", "cifar100:%s", target),
                     MDL_OK);
    assert_int_equal(mdl_dataset_read(&config, false, &set), MDL_OK);
    size_t count = set->count;
    mdl_dataset_free(set);
    assert_int_equal(count, 4);

    /* A complete set is left alone, even without the archive and its source. */
    assert_int_equal(mdl_remove_file(source), MDL_OK);
    assert_int_equal(mdl_remove_file(in_target("cifar-100-binary.tar.gz")), MDL_OK);
    assert_fetched();
}

/* A set that lost a file is unpacked again from the archive that is there. */
static void repaired(void **state)
{
    (void)state;
    make_archive(good_entries, MDL_COUNT(good_entries));
    assert_fetched();
    assert_int_equal(mdl_remove_file(source), MDL_OK);
    assert_int_equal(mdl_remove_file(in_target("cifar-100-binary/train.bin")), MDL_OK);
    assert_fetched();
    assert_int_equal(mdl_file_write(in_target("cifar-100-binary/train.bin"), "x", 1), MDL_OK);
    assert_fetched();
}

static void resumed(void **state)
{
    (void)state;
    char *data;
    size_t size;
    make_archive(good_entries, MDL_COUNT(good_entries));
    assert_int_equal(mdl_file_read(source, 0, &data, &size), MDL_OK);
    mdl_free(data);
    const size_t parts[] = {0, 1, size / 2, size - 1, size};
    for (size_t i = 0; i < MDL_COUNT(parts); i++) {
        scratch_remove(target);
        write_part(parts[i], 0);
        assert_fetched();
    }
    /* A part of something else: noticed by the checksum, and the download starts again. */
    scratch_remove(target);
    write_part(size / 2, 1);
    assert_fetched();
    /* A part that is longer than the file. */
    scratch_remove(target);
    assert_int_equal(mdl_make_folders(target), MDL_OK);
    assert_int_equal(
        mdl_file_write(in_target("cifar-100-binary.tar.gz.part"), content, sizeof(content)),
        MDL_OK);
    assert_true(size < sizeof(content));
    assert_fetched();
}

/* That the part is kept and used: the source has only the second half right. */
static void resumed_without_the_first_half(void **state)
{
    (void)state;
    char *data;
    size_t size;
    make_archive(good_entries, MDL_COUNT(good_entries));
    assert_int_equal(mdl_file_read(source, 0, &data, &size), MDL_OK);
    write_part(size / 2, 0);
    memset(data, 0, size / 2);
    mdl_status status = mdl_file_write(source, data, size);
    mdl_free(data);
    assert_int_equal(status, MDL_OK);
    assert_fetched();
}

/* ---- refused -------------------------------------------------------------------------------- */

static void wrong_checksum(void **state)
{
    (void)state;
    make_archive(good_entries, MDL_COUNT(good_entries));
    md5[3] = md5[3] == '0' ? '1' : '0';
    assert_int_equal(fetch(), MDL_CHECKSUM);
    assert_detail("cifar-100-binary.tar.gz.bad");
    assert_true(mdl_file_exists(in_target("cifar-100-binary.tar.gz.bad")));
    assert_int_equal(scratch_count(target), 1);
    hash_source();
    assert_fetched();
    /* An archive that was put there is not touched. */
    assert_int_equal(mdl_remove_file(in_target("cifar-100-binary/test.bin")), MDL_OK);
    assert_int_equal(mdl_file_write(in_target("cifar-100-binary.tar.gz"), "mine", 4), MDL_OK);
    assert_int_equal(fetch(), MDL_CHECKSUM);
    assert_true(mdl_file_exists(in_target("cifar-100-binary.tar.gz")));
}

static void bad_arguments(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "abc", "c32a1d4ab5d03f1284b67883e8d8753",
                                      "c32a1d4ab5d03f1284b67883e8d875300",
                                      "g32a1d4ab5d03f1284b67883e8d87530"};
    mdl_fetch_options options = {.url = url, .folder = target};
    for (size_t i = 0; i < MDL_COUNT(bad); i++) {
        options.md5 = bad[i];
        assert_int_equal(mdl_fetch("cifar10", &options, found, sizeof(found)), MDL_INVALID);
        assert_detail("32 hexadecimal digits");
    }
    assert_int_equal(mdl_fetch("imagenet", &options, found, sizeof(found)), MDL_INVALID);
    assert_detail("expected one of cifar10, cifar100");
    options.md5 = NULL;
    assert_int_equal(mdl_fetch("cifar10", &options, found, 4), MDL_INVALID);
    assert_false(mdl_file_exists(target));
}

static void unreachable(void **state)
{
    (void)state;
    strcpy(md5, "c32a1d4ab5d03f1284b67883e8d87530");
    assert_int_equal(fetch(), MDL_IO); /* there is no such file */
    assert_detail("cannot download file://");
    assert_detail("cifar-100-binary.tar.gz yourself");
    static const char *const others[] = {
        "nonsense://x",    "ftp://host/x", "dict://host/x", "host/x",
        "gopher://host/x", "smb://host/x", "telnet://host", ""};
    for (size_t i = 0; i < MDL_COUNT(others); i++) {
        strcpy(url, others[i]);
        assert_int_equal(fetch(), MDL_INVALID);
        assert_detail("https://, http:// or file://");
    }
}

/* A server on this machine that answers one request with a redirect; returns its port. */
static int redirecting_server(const char *location, pid_t *child)
{
    struct sockaddr_in name = {.sin_family = AF_INET};
    socklen_t size = sizeof(name);
    int server = socket(AF_INET, SOCK_STREAM, 0);
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(server, (struct sockaddr *)&name, sizeof(name)), 0);
    assert_int_equal(listen(server, 1), 0);
    assert_int_equal(getsockname(server, (struct sockaddr *)&name, &size), 0);
    *child = fork();
    assert_true(*child >= 0);
    if (*child == 0) {
        char request[2000], answer[500];
        int client = accept(server, NULL, NULL);
        int length = snprintf(answer, sizeof(answer),
                              "HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n"
                              "Connection: close\r\n\r\n",
                              location);
        bool good = client >= 0 && read(client, request, sizeof(request)) > 0 &&
                    write(client, answer, (size_t)length) == length;
        _exit(good ? 0 : 1);
    }
    close(server);
    return ntohs(name.sin_port);
}

static void redirects(void **state)
{
    (void)state;
    make_archive(good_entries, MDL_COUNT(good_entries));
    static char local[sizeof(url)];
    setenv("no_proxy", "127.0.0.1", 1);
    snprintf(local, sizeof(local), "%s", url); /* file://: where it is */
    const char *const places[] = {"ftp://127.0.0.1:1/x", local, "dict://127.0.0.1:1/x"};
    for (size_t i = 0; i < MDL_COUNT(places); i++) {
        pid_t child;
        int code;
        snprintf(url, sizeof(url), "http://127.0.0.1:%d/x", redirecting_server(places[i], &child));
        assert_int_equal(fetch(), MDL_IO);
        assert_detail("not http,https, which is refused");
        assert_int_equal(waitpid(child, &code, 0), child);
        assert_int_equal(code, 0);
    }
}

/* The sums that were published are those expected; one that is given counts alone. */
static void sha256_sums(void **state)
{
    (void)state;
    make_archive(good_entries, MDL_COUNT(good_entries));
    mdl__digests sums;
    assert_int_equal(mdl__digest_file(source, &sums), MDL_OK);
    mdl_fetch_options options = {.url = url, .folder = target};
    assert_int_equal(mdl_fetch("cifar100", &options, found, sizeof(found)), MDL_CHECKSUM);
    assert_detail("03b5dce01913d631647c71ecec9e9cb8");
    char wrong[65];
    strcpy(wrong, sums.sha256);
    wrong[7] = wrong[7] == '0' ? '1' : '0';
    options.sha256 = wrong;
    assert_int_equal(mdl_fetch("cifar100", &options, found, sizeof(found)), MDL_CHECKSUM);
    assert_detail(wrong);
    options.md5 = md5; /* both count */
    assert_int_equal(mdl_fetch("cifar100", &options, found, sizeof(found)), MDL_CHECKSUM);
    options.md5 = NULL;
    options.sha256 = "abc";
    assert_int_equal(mdl_fetch("cifar100", &options, found, sizeof(found)), MDL_INVALID);
    assert_detail("64 hexadecimal digits");
    options.sha256 = sums.sha256;
    assert_int_equal(mdl_fetch("cifar100", &options, found, sizeof(found)), MDL_OK);
}

static void interrupted(void **state)
{
    (void)state;
    make_archive(good_entries, MDL_COUNT(good_entries));
    write_part(10, 0);
    mdl_context_stop(mdl_context_current());
    assert_int_equal(fetch(), MDL_CANCELLED);
    assert_detail("run again");
    mdl_context_reset(mdl_context_current());
    assert_fetched();
}

/* An archive with the right checksum and a bad entry after good ones: nothing is written. */
static void hostile_archives(void **state)
{
    (void)state;
    static const struct {
        entry bad;
        const char *text;
    } cases[] = {
        {{.name = "../train.bin", .size = 9}, "leaves the folder"},
        {{.name = "a/../../train.bin", .size = 9}, "leaves the folder"},
        {{.name = "a/..", .size = 9}, "leaves the folder"},
        {{.name = "a\\..\\train.bin", .size = 9}, "leaves the folder"},
        {{.name = "/tmp/train.bin", .size = 9}, "absolute"},
        {{.name = "C:\\train.bin", .size = 9}, "absolute"},
        {{.name = "a/fine_label_names.txt", .link = "/etc/passwd"}, "a link"},
        {{.name = "other", .link = ".."}, "a link"},
        {{.name = "a/hard", .hard = "/etc/passwd"}, "a link"},
        {{.name = "b/train.bin", .size = RECORD}, "comes twice"},
    };
    for (size_t i = 0; i < MDL_COUNT(cases); i++) {
        entry entries[MDL_COUNT(good_entries) + 1];
        memcpy(entries, good_entries, sizeof(good_entries));
        entries[MDL_COUNT(good_entries)] = cases[i].bad;
        scratch_remove(target);
        make_archive(entries, MDL_COUNT(entries));
        assert_int_equal(fetch(), MDL_FORMAT);
        assert_detail(cases[i].text);
        assert_int_equal(scratch_count(in_target("cifar-100-binary")), 0);
        assert_int_equal(scratch_count(target), 2); /* that folder and the archive */
        assert_int_equal(scratch_count(folder), 2); /* source and target */
    }
}

/* What comes out is counted, also of files that are passed over. */
static void oversized(void **state)
{
    (void)state;
    static const char *const wanted[] = {"train.bin", "test.bin"};
    const uint64_t all = 5 * RECORD + 7;
    make_archive(good_entries, MDL_COUNT(good_entries));
    assert_int_equal(mdl_make_folders(target), MDL_OK);
    for (uint64_t limit = 0; limit < all; limit += limit < all - 9 ? 1000 : 1) {
        assert_int_equal(mdl__unpack(source, target, wanted, 2, limit), MDL_FORMAT);
        assert_detail("more content");
        assert_int_equal(scratch_count(target), 0);
    }
    assert_int_equal(mdl__unpack(source, target, wanted, 2, all), MDL_OK);
    assert_int_equal(scratch_count(target), 2);
}

static void incomplete_archives(void **state)
{
    (void)state;
    make_archive(good_entries, 2);
    assert_int_equal(fetch(), MDL_FORMAT);
    assert_detail("does not hold the whole set");
    scratch_remove(target);
    entry entries[MDL_COUNT(good_entries)];
    memcpy(entries, good_entries, sizeof(entries));
    entries[2].size = RECORD - 1;
    make_archive(entries, MDL_COUNT(entries));
    assert_int_equal(fetch(), MDL_FORMAT);
    assert_detail("does not hold the whole set");

    scratch_remove(target);
    char *data;
    size_t size;
    make_archive(good_entries, MDL_COUNT(good_entries));
    assert_int_equal(mdl_file_read(source, 0, &data, &size), MDL_OK);
    mdl_status status = mdl_file_write(source, data, size - size / 3);
    mdl_free(data);
    assert_int_equal(status, MDL_OK);
    hash_source();
    assert_int_equal(fetch(), MDL_FORMAT); /* the right checksum of half an archive */
    assert_int_equal(scratch_count(in_target("cifar-100-binary")), 0);
    scratch_remove(target);
    assert_int_equal(mdl_file_write(source, content, sizeof(content)), MDL_OK);
    hash_source();
    assert_int_equal(fetch(), MDL_FORMAT); /* no archive at all */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(fetched),
        TEST(repaired),
        TEST(resumed),
        TEST(resumed_without_the_first_half),
        TEST(wrong_checksum),
        TEST(bad_arguments),
        TEST(unreachable),
        TEST(redirects),
        TEST(sha256_sums),
        TEST(interrupted),
        TEST(hostile_archives),
        TEST(oversized),
        TEST(incomplete_archives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
