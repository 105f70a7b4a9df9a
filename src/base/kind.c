/* What a file is that stands where another kind was expected, by how it begins: so that the error
 * can call it by its name and say what to do.  It reads no file. */
#include <string.h>

#include "base/base.h"

/* Whether the bytes lie at `offset`. */
static bool has(const char *bytes, size_t size, size_t offset, const char *what, size_t length)
{
    return offset <= size && length <= size - offset && memcmp(bytes + offset, what, length) == 0;
}

/* Whether the text is somewhere in the first `limit` bytes. */
static bool contains(const char *bytes, size_t size, size_t limit, const char *text)
{
    size_t length = strlen(text);
    size = mdl_min_size(size, limit);
    for (size_t i = 0; i + length <= size; i++)
        if (memcmp(bytes + i, text, length) == 0)
            return true;
    return false;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Whether the text comes first behind a byte order mark and blanks, in either case. */
static bool begins_text(const char *bytes, size_t size, const char *text)
{
    size_t at = has(bytes, size, 0, "\xef\xbb\xbf", 3) ? 3 : 0;
    while (at < size &&
           (bytes[at] == ' ' || bytes[at] == '\t' || bytes[at] == '\r' || bytes[at] == '\n'))
        at++;
    for (; *text != '\0'; text++, at++)
        if (at >= size || lower(bytes[at]) != *text)
            return false;
    return true;
}

#define ELSEWHERE                                                                                  \
    "; read it there and write its arrays anew: safetensors.numpy.save_file(ARRAYS, NEW)"

static const char *zip_kind(const char *bytes, size_t size)
{
    if (contains(bytes, size, 4096, "data.pkl") || contains(bytes, size, 4096, "/data/"))
        return "a checkpoint of PyTorch (.pt, .pth)";
    if (contains(bytes, size, 4096, "model.weights.h5"))
        return "a Keras model (.keras); save its weights anew with safetensors.numpy.save_file";
    if (contains(bytes, size, 4096, ".npy"))
        return "a zip archive of NumPy arrays (.npz); safetensors.numpy.save_file writes these "
               "anew";
    return "a zip archive; unpack it first";
}

/* "\x80", the version, and an opcode that begins an object or the frame of one. */
static bool is_pickle(const char *bytes, size_t size)
{
    return size > 2 && bytes[0] == '\x80' && bytes[1] >= 2 && bytes[1] <= 5 && bytes[2] != '\0';
}

/* ModelProto: the version of its format (field 1), then the producer's name (2), the domain (4) or
 * the graph (7). */
static bool is_onnx(const char *bytes, size_t size)
{
    return size > 3 && bytes[0] == '\x08' && bytes[1] >= 1 && bytes[1] <= 20 &&
           (bytes[2] == '\x12' || bytes[2] == '\x22' || bytes[2] == '\x3a');
}

/* SavedModel: the version of its schema, which is 1, then the graph (2). */
static bool is_saved_model(const char *bytes, size_t size)
{
    return has(bytes, size, 0, "\x08\x01\x12", 3);
}

/* The first entry of the table: an empty key, then the number of files and a version. */
static bool is_tensorflow_index(const char *bytes, size_t size)
{
    return has(bytes, size, 0, "\0\0", 2) && size > 3 && bytes[3] == '\x08' &&
           contains(bytes, size, 16, "\x1a\x02\x08\x01");
}

static bool is_safetensors(const char *bytes, size_t size)
{
    return size > 9 && bytes[8] == '{' && has(bytes, size, 4, "\0\0\0\0", 4) &&
           (contains(bytes, size, 1 << 16, "\"dtype\"") ||
            contains(bytes, size, 1 << 16, "\"__metadata__\""));
}

const char *mdl_file_kind(const char *bytes, size_t size)
{
    static const struct {
        const char *bytes;
        size_t length, offset;
        const char *kind;
    } kinds[] = {
        {"version https://git-lfs", 23, 0,
         "a git-lfs pointer, which stands for the file; `git lfs pull` in its repository fetches "
         "that"},
        {"MDLSTAT1", 8, 0,
         "a resume.state, which a run goes on from; the checkpoints lie beside it "
         "(final.safetensors, epoch-*.safetensors)"},
        {"GGUF", 4, 0, "a GGUF file"},
        {"\x89HDF\r\n\x1a\n", 8, 0, "an HDF5 file (Keras .h5)"},
        {"\x93NUMPY", 6, 0, "a NumPy array (.npy)"},
        {"\x1f\x8b", 2, 0, "compressed by gzip; unpack it first (gunzip)"},
        {"BZh", 3, 0, "compressed by bzip2; unpack it first (bunzip2)"},
        {"\xfd\x37zXZ", 5, 0, "compressed by xz; unpack it first (unxz)"},
        {"\x28\xb5\x2f\xfd", 4, 0, "compressed by zstd; unpack it first (unzstd)"},
        {"7z\xbc\xaf\x27\x1c", 6, 0, "a 7z archive; unpack it first"},
        {"ustar", 5, 257, "a tar archive; unpack it first"},
        {"TFL3", 4, 4, "a TensorFlow Lite file"},
        {"\x89PNG", 4, 0, "an image (PNG)"},
        {"\xff\xd8\xff", 3, 0, "an image (JPEG)"},
        {"PAR1", 4, 0, "a Parquet table"},
        {"ARROW1", 6, 0, "an Arrow table"},
        {"%PDF-", 5, 0, "a PDF document"},
        {"\x7f"
         "ELF",
         4, 0, "a program or library (ELF)"},
    };
    if (size == 0)
        return "empty; the copy or the download was cut off";
    for (size_t i = 0; i < MDL_COUNT(kinds); i++)
        if (has(bytes, size, kinds[i].offset, kinds[i].bytes, kinds[i].length))
            return kinds[i].kind;
    if (begins_text(bytes, size, "<!doctype html") || begins_text(bytes, size, "<html") ||
        begins_text(bytes, size, "<head"))
        return "an HTML page, as a server sends instead of a file that one must log in for, or "
               "that is not there; fetch it again";
    if (begins_text(bytes, size, "<?xml"))
        return "an XML text, as a server sends with an error; fetch it again";
    if (has(bytes, size, 0, "PK\x03\x04", 4) || has(bytes, size, 0, "PK\x05\x06", 4))
        return zip_kind(bytes, size);
    if (is_safetensors(bytes, size))
        return "a safetensors checkpoint";
    if (is_pickle(bytes, size))
        return "a Python pickle, but not as torch.save writes it; save the tensors with "
               "torch.save(model.state_dict(), NEW)";
    if (is_saved_model(bytes, size))
        return "a SavedModel of TensorFlow" ELSEWHERE;
    if (is_tensorflow_index(bytes, size) || begins_text(bytes, size, "model_checkpoint_path:"))
        return "a part of a TensorFlow checkpoint" ELSEWHERE;
    return is_onnx(bytes, size) ? "an ONNX model" : NULL;
}
