#!/usr/bin/env python3
"""Writes the corpora of the fuzz targets.

    python3 tests/fuzz/make_corpus.py build/mendel

Good files come from the program itself (a tiny experiment, a tiny training), the hostile ones are
those that once cost somebody time.  Files that are there and are not made here stay.  JPEG needs
Pillow, pickles need NumPy, PyTorch's files torch; they are left as they are without.  A file NAME.make is a recipe for replay.c: lines COUNT TEXT.
"""
import gzip, io, json, os, pickle, struct, subprocess, sys, tarfile, tempfile, zipfile, zlib

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")


def put(target, name, data):
    folder = os.path.join(HERE, target)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as file:
        file.write(data.encode() if isinstance(data, str) else data)


def read(path):
    with open(path, "rb") as file:
        return file.read()


# ---- configuration ----------------------------------------------------------------------------

TINY = """data: {source: digits, size: native, limit: 60}
model: {kind: hybrid, width: 0.1, depth: 0.1, stem_stride: 1, strides: [1, 1, 1, 1, 1, 1, 1]}
trm: {dim: 4, n: 1, t: 1, n_sup: 2}
train: {epochs: 1, batch: 16, ema: 0}
merge: {archive: 4, evaluations: 4, batch: 1}
experiment: {seeds: 2, trunk_epochs: 1, children: 2, child_epochs: 1, matched: true,
  interpolation_points: 3, latency_runs: 2, corrupt_images: 2, tta_images: 2, baseline: false}
run: {threads: 1}
"""


def config():
    put("config", "tiny.yaml", TINY)
    put("config", "dotted.yaml", "data.source: \"idx:/a b\"\ntrain.epochs: 3\noptim.lr: 1e-3\n")
    put("config", "anchors.yaml", "data: &a {flip: random}\nmodel: {strides: [&s 1, *s, 2, 2, 1, 2, 1]}\n")
    put("config", "augment.yaml", "data:\n  augment: [crop, flip, cutout]\n  crop_padding: 4\n")
    put("config", "bytes.yaml", "run:\n  memory_limit: 1.5 GiB\n  backend: \"opencl:1:0\"\n  seed: 18446744073709551615\n")
    put("config", "text.yaml", "data:\n  source: \"folder:/\\u00e4 \\x07 \\\"\\\\ # %\"\n")
    put("config", "block.yaml", "data:\n  source: |\n    two\n    lines\n")
    put("config", "second.yaml", "a: 1\n---\nb: 2\n")
    put("config", "latin1.yaml", b"data: {source: \"idx:/x\x81\"}\n")
    put("config", "utf16.yaml", "\ufeffdata: {source: digits}\n".encode("utf-16-le"))
    put("config", "depth.make", "100000 [\n")
    put("config", "depth-map.make", "50000 {a: \n")
    put("config", "depth-dash.make", "30000 - \n")
    put("config", "aliases.make", "1 a: &a [x,x]\\n\n20000 ? *a\\n\n")
    put("config", "keys.make", "20000 train.epochs: 1\\n\n")
    put("config", "lines.make", "300000 \\n\n")
    for i, line in enumerate(
            ["train.epochs=5", "optim.lr=3e-4", "data.source=\"idx:/x\\x81\"", "data.source=\"a\\0b\"",
             "data.augment=[crop, flip]", "run.memory_limit=2GiB", "model.strides=[1,1,2,2,1,2,1]",
             "experiment.methods=\"ties, dare\"", "run.seed=18446744073709551615", "data.source=' x '",
             "data.source=\"\\u2028\\ufeff\\ud800\"", "data.source=!!int 5", "optim.lr=-0", "trm.halt=on",
             "data.crop_padding=3\ndata.augment=none", "data.source=~", "run.tuning=\"tab\\there\""]):
        put("set", "%02d" % i, line)
    put("set", "depth.make", "1 model.strides=\n4000 [\n")


# ---- checkpoints ------------------------------------------------------------------------------

def safetensors(header, data):
    text = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def tensor(kind, shape, begin, end):
    return {"dtype": kind, "shape": shape, "data_offsets": [begin, end]}


def checkpoints(work):
    header = {"__metadata__": {"format": "pt", "mendel.images.input": "8 8 1", "mendel.config": TINY},
              "conv.weight": tensor("F32", [2, 3, 1, 2], 0, 48),
              "bn.running_mean": tensor("F32", [2], 48, 56),
              "fc.weight": tensor("F16", [2, 3], 56, 68),
              "fc.bias": tensor("BF16", [2], 68, 72),
              "bn.num_batches_tracked": tensor("I64", [], 72, 80)}
    good = safetensors(header, struct.pack("<20f", *[i / 8 for i in range(20)]))
    put("safetensors", "model.safetensors", good)
    put("safetensors", "nan.safetensors", safetensors(header, struct.pack("<20f", *[float("nan")] * 20)))
    put("safetensors", "cut.safetensors", good[:-7])
    put("safetensors", "empty.safetensors", safetensors({}, b""))
    put("safetensors", "null-metadata.safetensors", safetensors({"__metadata__": None, "a": tensor("U8", [1], 0, 1)}, b"a"))
    put("safetensors", "hole.safetensors", safetensors({"a": tensor("U8", [1], 1, 2)}, b"ab"))
    put("safetensors", "overlap.safetensors", safetensors({"a": tensor("U8", [2], 0, 2), "b": tensor("U8", [2], 1, 3)}, b"abc"))
    put("safetensors", "overflow.safetensors", safetensors({"a": tensor("F64", [2 ** 32, 2 ** 32, 2], 0, 8)}, b"a" * 8))
    put("safetensors", "zero.safetensors", safetensors({"a": tensor("F64", [2 ** 62, 0, 2 ** 62], 0, 0)}, b""))
    put("safetensors", "long.safetensors", struct.pack("<Q", 2 ** 63) + b"{}")
    put("safetensors", "lfs.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    put("safetensors", "page.safetensors", "<!DOCTYPE html><html><title>404</title></html>\n")
    put("safetensors", "zip.safetensors", b"PK\x03\x04" + b"\0" * 40)
    put("safetensors", "depth.make", "1 \\x40\\x9c\\x00\\x00\\x00\\x00\\x00\\x00{\"a\":\n39995 [\n")
    put("safetensors", "tensors.safetensors", safetensors({"t%d" % i: tensor("U8", [0], 0, 0) for i in range(100)}, b""))
    def shards(name, index, shard=good):
        put("shards", name, (index if isinstance(index, str) else json.dumps({"metadata": {"total_size": 80}, "weight_map": index})).encode()
            + b"==" + shard)
    shards("plain", {"fc.bias": "1", "fc.weight": "1", "conv.weight": "1"})
    shards("missing", {"fc.bias": "1", "absent": "1"})
    shards("no-file", {"fc.bias": "2"})
    shards("itself", {"fc.bias": "model.safetensors.index.json"})
    shards("climbs", {"fc.bias": "../f.pt", "fc.weight": "/etc/passwd"})
    shards("types", {"fc.bias": 1, "fc.weight": ["1"]})
    shards("list", '{"weight_map": ["fc.bias"]}')
    shards("index-of-index", {"a": "1"}, b'{"weight_map": {"a": "1"}}')
    subprocess.run([MENDEL, "train", "--data", "digits", "--set", "data.size=native", "--set", "model.kind=mlp",
                    "--set", "model.hidden=1", "--set", "data.limit=20", "--set", "train.max_steps=1", "--set",
                    "train.epochs=1", "--set", "train.batch=4", "--out", work + "/mlp"], check=True, stdout=subprocess.DEVNULL)
    put("safetensors", "mlp.safetensors", read(work + "/mlp/final.safetensors"))


# ---- resume states ----------------------------------------------------------------------------

def block(name, data):
    return struct.pack("<IQ", len(name), len(data)) + name.encode() + data


def u64(*values):
    return struct.pack("<%dQ" % len(values), *values)


def states():
    put("state", "two", block("a", b"12345678") + block("b", b""))
    put("state", "twice", block("a", b"1") + block("a", b"2"))
    put("state", "long-name", block("n" * 255, b"x"))
    put("state", "beyond", struct.pack("<IQ", 1, 2 ** 63) + b"a")
    put("state", "nul-name", block("a\0b", b"1") + block("a", b"2"))
    put("state", "damaged", b"!MDLSTAT1" + b"\0" * 36)
    put("state", "many.make", "200000 \\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00a\n")
    position = struct.pack("<5Q6d", 1, 0, 3, 3, 0, 0, 0, 0.1, 0, 1, float("nan"))
    put("resume", "position", b"\0" + block("position", position))
    put("resume", "position-far", b"\0" + block("position", struct.pack("<5Q6d", 2 ** 64 - 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)))
    put("resume", "batch-far", b"\0" + block("position", struct.pack("<5Q6d", 0, 2 ** 32, 0, 0, 0, 0, 0, 0, 0, 0, 0)))
    put("resume", "choice", b"\0" + block("choice", u64(0, 2)))
    put("resume", "choice-zero", b"\0" + block("choice", u64(2 ** 63, 0)))
    put("resume", "machine", b"\0" + block("machine", b"x" * 96))
    put("resume", "sampler", b"\1" + block("sampler", u64(2 ** 64 - 1, 7)))
    put("resume", "slots", b"\1" + block("slots", b"".join(struct.pack("<QII", 0, i, 1) for i in range(4))))
    put("resume", "slots-far", b"\1" + block("slots", b"".join(struct.pack("<QII", 0, 2 ** 32 - 1 - i, 9) for i in range(4))))
    def counters(next_id, evaluations, bytes_, seconds, sigma):
        return block("counters", struct.pack("<3Q2d", next_id, evaluations, bytes_, seconds, sigma))
    def members(*rows):
        return block("members", b"".join(struct.pack("<2Q2d", *row) for row in rows))
    line = "{\"id\": %d, \"parents\": [%d, %d], \"kept\": true, \"top1\": 0.5, \"loss\": 1, \"dropped\": null}\n"
    lines = b"".join((line % (i, max(i - 2, 0), i - 1)).encode() for i in range(1, 4))
    put("search", "as-it-is", b"")
    put("search", "winner", counters(4, 1, len(lines), 1, 1) + b"===\n" + lines)
    put("search", "next-id", counters(2 ** 64 - 1, 1, 10, 1, 1) + b"===\n" + (line % (1, 0, 0)).encode())
    put("search", "far-lineage", counters(2 ** 40, 1, 2 ** 46, 1, 1) + b"===\n" + (line % (1, 0, 0)).encode())
    put("search", "next-zero", counters(0, 1, 10, 1, 1) + b"===\n" + (line % (1, 0, 0)).encode())
    put("search", "far-id", members((2 ** 40, 0, 0.5, 1), (2, 1, 0.5, 1), (3, 2, .5, 1)) + b"===\n" + (line % (3, 1, 2)).encode())
    put("search", "nan-members", members((1, 2 ** 60, float("nan"), float("nan")), (0, 9, 0, 0), (3, 2, float("inf"), 1)))
    put("search", "nan-scores", block("scores 0", struct.pack("<6f", *[float("nan")] * 6)))
    put("search", "negative-scores", block("scores 1", struct.pack("<6f", -1, -1e30, 1e30, 2, 0, 1)))
    put("search", "ids-alike", members((1, 0, .5, 1), (1, 1, .5, 1), (1, 2, .5, 1)))
    put("search", "lines.make", "1 ===\\n\n200000 \\n\n")


# ---- data -------------------------------------------------------------------------------------

def idx(magic, sizes, data):
    return struct.pack(">I%dI" % len(sizes), magic, *sizes) + data


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, depth, colour, rows, extra=b"", interlace=0):
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">2I5B", width, height, depth, colour, 0, 0, interlace)) +
            extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def jpegs():
    try:
        from PIL import Image
    except ImportError:
        print("no Pillow: corpus/jpeg stays as it is")
        return
    pixels = bytes((x * 31 + y * 17 + c * 80) % 256 for y in range(9) for x in range(11) for c in range(4))
    cmyk = Image.frombytes("CMYK", (11, 9), pixels)
    rgb = Image.frombytes("RGB", (11, 9), pixels[:297])
    for name, image, options in [("rgb", rgb, {}), ("progressive", rgb, {"progressive": True, "subsampling": 2}),
                                 ("grey", rgb.convert("L"), {}), ("cmyk", cmyk, {}), ("444", rgb, {"subsampling": 0, "quality": 20}),
                                 ("exif", rgb, {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"})]:
        out = io.BytesIO()
        image.save(out, "JPEG", **options)
        put("jpeg", name + ".jpg", out.getvalue())
    cut = io.BytesIO()
    rgb.save(cut, "JPEG")
    put("jpeg", "cut.jpg", cut.getvalue()[:-40])


def data():
    labels, images = idx(0x801, [3], b"\0\1\2"), idx(0x803, [3, 2, 2], bytes(range(12)))
    put("idx", "plain", b"\1" + labels + b"==" + images)
    put("idx", "test", b"\0" + labels + b"==" + images)
    put("idx", "gzip", b"\1" + gzip.compress(labels, mtime=0) + b"==" + gzip.compress(images, mtime=0))
    put("idx", "huge", b"\1" + labels + b"==" + idx(0x803, [3, 2 ** 31, 2 ** 31], bytes(12)))
    put("idx", "more", b"\1" + idx(0x801, [2 ** 32 - 1], b"\0") + b"==" + images)
    put("idx", "label", b"\1" + idx(0x801, [3], b"\0\xff\2") + b"==" + images + b"x")
    put("idx", "floats", b"\1" + idx(0xd01, [1], bytes(4)) + b"==" + images)
    put("cifar", "ten", b"\0\0\0\1\x09==" + b"\n".join(b"name%d" % i for i in range(10)) + b"\n")
    put("cifar", "hundred", b"\1\0\0\1\x13\x63==" + b"".join(b"fine %d\r\n" % i for i in range(100)))
    put("cifar", "cut", b"\0\x05\0\1==few\nnames\n")
    put("cifar", "label", b"\0\0\x0a==\n\n\n")
    put("cifar", "nothing", b"\0\0==")
    put("cifar", "lines.make", "1 \\x00\\x00\\x01==\n60000 \\n\n")
    grey = b"".join(b"\0" + bytes(range(4)) for _ in range(3))
    put("png", "grey.png", png(4, 3, 8, 0, grey))
    put("png", "rgb.png", png(2, 2, 8, 2, b"\0abcdef\1ghijkl"))
    put("png", "rgba.png", png(2, 1, 8, 6, b"\0abc\0def\x80"))
    put("png", "rgb16.png", png(1, 2, 16, 2, b"\0abcdef\2ghijkl"))
    put("png", "grey16-gamma.png", png(2, 1, 16, 0, b"\0abcd", chunk(b"gAMA", struct.pack(">I", 45455))))
    put("png", "palette.png", png(3, 1, 2, 3, b"\0\x18", chunk(b"PLTE", b"abcdefghi") + chunk(b"tRNS", b"\0\x80")))
    put("png", "interlaced.png", png(3, 3, 8, 0, b"".join(b"\0" + bytes(n) for n in (1, 1, 2, 2, 1, 3)), interlace=1))
    put("png", "grey-transparent.png", png(2, 1, 1, 0, b"\0\x40", chunk(b"tRNS", b"\0\1")))
    put("png", "text.png", png(1, 1, 8, 0, b"\0a", chunk(b"tEXt", b"a\0b") + chunk(b"iCCP", b"x\0\0" + zlib.compress(b"p" * 200))))
    put("png", "huge.png", png(2 ** 31 - 1, 2 ** 31 - 1, 8, 2, b""))
    put("png", "short.png", png(100, 100, 8, 2, b"\0a"))
    put("png", "raw-magic.png", b"!\xff\xd8\xff\xe0")
    jpegs()


# ---- archives ---------------------------------------------------------------------------------

def tar(entries, compress=False):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, content, changes in entries:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in changes.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(content) if info.isreg() else None)
    whole = out.getvalue().rstrip(b"\0") + b"\0" * 1024  # without the padding to 10 kB
    whole += b"\0" * (-len(whole) % 512)
    return gzip.compress(whole, mtime=0) if compress else whole


def archives():
    put("archive", "good.tar", tar([("x/a.bin", b"aaa", {}), ("x/other", b"o", {}), ("x/b.bin", b"bb", {})]))
    put("archive", "good.tar.gz", tar([("a.bin", b"aaa" * 100, {})], True))
    put("archive", "bomb.tar.gz", tar([("a.bin", b"\0" * (3 << 20), {})], True))
    put("archive", "climbs.tar", tar([("x/../../a.bin", b"a", {})]))
    put("archive", "absolute.tar", tar([("/a.bin", b"a", {})]))
    put("archive", "twice.tar", tar([("a.bin", b"a", {}), ("y/a.bin", b"b", {})]))
    put("archive", "symlink.tar", tar([("a.bin", b"", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"})]))
    put("archive", "hardlink.tar", tar([("b.bin", b"", {"type": tarfile.LNKTYPE, "linkname": "a.bin"})]))
    put("archive", "device.tar", tar([("a.bin", b"", {"type": tarfile.CHRTYPE})]))
    put("archive", "long-name.tar", tar([("d" * 300 + "/a.bin", b"a", {})]))
    put("archive", "pax.tar", tar([("pax", b"30 path=x/../../../etc/a.bin..\n", {"type": tarfile.XHDTYPE})]))
    huge = bytearray(tar([("a.bin", b"a", {})]))
    huge[124:136] = b"77777777777\0"
    put("archive", "huge.tar", bytes(huge))


# ---- NumPy's arrays ---------------------------------------------------------------------------

def npy(literal, values, version=1, length=None):
    size = len(literal) if length is None else length
    return (b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", size) +
            literal.encode() + values)


def header(kind, shape, fortran=False):
    return "{'descr': '%s', 'fortran_order': %s, 'shape': %s, }" % (kind, fortran, shape)


def npz(files, stored=False):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            archive.writestr(zipfile.ZipInfo(name), content, archive.compression)
    return b"\0" + out.getvalue()


def arrays():
    images = npy(header("|u1", "(2, 2, 3, 3)"), bytes(range(36)))
    labels = npy(header("<i8", "(2,)"), struct.pack("<2q", 0, 3))
    put("npy", "plain", b"\1" + images + b"==" + labels)
    put("npy", "fortran", b"\1" + npy(header("|u1", "(2, 3, 3)", True), bytes(18), 2) + b"==" +
        npy(header(">u4", "(2, 1)"), struct.pack(">2I", 1, 0), 3))
    put("npy", "wraps", b"\1" + npy(header("|u1", "(4294967296, 4294967296, 4, 4)"), bytes(16)) + b"==" + labels)
    put("npy", "zeros", b"\1" + npy(header("|u1", "(0, 4294967296, 4294967296, 3)"), b"") + b"==" + labels)
    put("npy", "long-header", b"\1" + npy("{", b"", 2, 100 << 20) + b"==" + labels)
    put("npy", "objects", b"\1" + npy(header("|O", "(2,)"), b"\x80\4cos\nsystem\n") + b"==" + labels)
    put("npy", "records", b"\1" + npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,)}", bytes(8)) + b"==" + labels)
    put("npy", "digits", b"\1" + npy("{'shape': (99999999999999999999999,), 'descr': '|u99999999999'}", b"") + b"==" + labels)
    put("npy", "floats", b"\1" + npy(header("<f4", "(1, 3, 3)"), bytes(36)) + b"==" + labels)
    pair = [("train_images.npy", images), ("train_labels.npy", labels)]
    put("npy", "deflated.npz", npz(pair))
    put("npy", "stored.npz", npz(pair + [("../val_images.npy", images), ("a\nb.npy", b"")], True))
    put("npy", "twice.npz", npz(pair + [("TRAIN_X.npy", images)]))
    put("npy", "bomb.npz", npz([("train_images.npy", npy(header("|u1", "(2, 2, 3, 3)"), bytes(1 << 22)))] + pair[1:]))
    put("npy", "claims.npz", npz([("train_images.npy", npy(header("|u1", "(100000, 1000, 1000, 3)"), b""))] + pair[1:]))
    put("npy", "undivided.npz", npz([("images.npy", npy(header("|u1", "(9, 1, 1)"), bytes(9))),
                                     ("labels.npy", npy(header("|u1", "(9,)"), bytes([0, 1, 2] * 3)))]))


# ---- CIFAR's batches for Python ---------------------------------------------------------------

def row(count, key, labels, kind=b"u1"):
    def text(s):
        return b"U" + bytes([len(s)]) + s
    array = (b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85U\1b\x87R(K\1K" + bytes([count]) +
             b"M\0\x0c\x86cnumpy\ndtype\n" + text(kind) + b"K\0K\1\x87R(K\3U\1|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb\x89T" +
             struct.pack("<I", 3072 * count) + bytes(3072 * count) + b"tb")
    lists = b"".join(text(k) + b"](" + b"".join(b"K" + bytes([i]) for i in labels) + b"e" for k in key)
    return b"\x80\2}(" + text(b"data") + array + lists + b"u."


def batches():
    names = b"\x80\2}U\x0blabel_names](" + b"".join(b"U\1" + bytes([97 + i]) for i in range(10)) + b"es."
    put("batches", "ten", b"\0" + row(1, [b"labels"], [9]) + b"==" + names)
    put("batches", "hundred", b"\1" + row(1, [b"fine_labels", b"coarse_labels"], [19]) + b"==")
    put("batches", "label", b"\0" + row(1, [b"labels"], [10]) + b"==")
    put("batches", "fewer", b"\0" + row(1, [b"labels"], [1, 2, 3]) + b"==")
    put("batches", "type", b"\0" + row(1, [b"labels"], [1], b"i1") + b"==")
    put("batches", "runs", b"\0\x80\2cos\nsystem\nU\2id\x85R.==")


# ---- lists of images --------------------------------------------------------------------------

def lists():
    put("csv", "splits", "a.png,x,train\nb.png,y,train\na.png,x,val\nb.png,y,test\n")
    put("csv", "header", b"\xef\xbb\xbfsplit,label,path\r\ntrain,1,a.png\r\ntest,0,b.png\r\n")
    put("csv", "undivided", "".join("%s.png,%d\n" % ("ab"[i % 2], i % 3) for i in range(12)))
    put("csv", "quoted", "\"a.png\",\"x, \"\"y\"\"\nz\",train\nb.png,y,test\n")
    put("csv", "open", "a.png,\"x\nb.png,y\n")
    put("csv", "outside", "../../../etc/passwd,a,train\n/dev/zero,b,train\na.png,b,test\n")
    put("csv", "returns", "a.png,x\rb.png,y\r")
    put("csv", "fields.make", "5000 a,\n")
    put("csv", "lines.make", "500 a.png,x\\n\n")


# ---- tar archives of images -------------------------------------------------------------------

def samples():
    picture = png(2, 2, 8, 2, (b"\0" + bytes(6)) * 2)
    pair = [("d/%d.%s" % (i, ending), content, {}) for i in range(6)
            for ending, content in [("png", picture), ("cls", b"%d\n" % (i % 3))]]
    put("tar", "good.tar", tar(pair))
    put("tar", "json.tar", tar([("%d.%s" % (i, e), c, {}) for i in range(3)
                                for e, c in [("json", b'{"label": "x%d"}' % i), ("png", picture), ("txt", b"t")]]))
    put("tar", "climbs.tar", tar([("../../x.png", picture, {}), ("../../x.cls", b"1", {})] + pair))
    put("tar", "newline.tar", tar([("a\nb.png", picture, {}), ("a\nb.cls", b"1", {})] + pair))
    put("tar", "link.tar", tar([("a.png", b"", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}), ("a.cls", b"1", {})]))
    put("tar", "hardlink.tar", tar(pair + [("9.png", b"", {"type": tarfile.LNKTYPE, "linkname": "d/0.png"})]))
    put("tar", "device.tar", tar([("a.png", b"", {"type": tarfile.CHRTYPE}), ("a.cls", b"1", {})]))
    put("tar", "long-name.tar", tar([("d" * 2000 + ".png", picture, {})]))
    put("tar", "cut.tar", tar(pair)[:2900])
    huge = bytearray(tar(pair))
    huge[124:136] = b"77777777777\0"
    put("tar", "huge.tar", bytes(huge))


# ---- JSON -------------------------------------------------------------------------------------

def page(**files):
    text = b""
    for name, content in [("config.yaml", b"model:\n  kind: hybrid\n")] + list(files.items()):
        text += b"=== " + name.encode() + b"\n" + content.strip() + b"\n"
    return text


def pages(work):
    with open(work + "/c.yaml", "w") as file:
        file.write(TINY)
    subprocess.run([MENDEL, "experiment", work + "/c.yaml", "--out", work + "/e"], check=True, stdout=subprocess.DEVNULL)
    def of(*names):
        return {name: compact(read(work + "/e/" + name), name) for name in names}
    def compact(content, name):
        return json.dumps(json.loads(content), separators=(",", ":")).encode() if name.endswith(".json") else content
    table = of("table.json")
    put("report", "table", page(**table))
    put("report", "search", page(**of("C-hybrid/search.json", "C-hybrid/winner.json", "C-hybrid/lineage.jsonl")))
    put("report", "training", page(**of("table.json", "B-trunk/step.json", "B-trunk/metrics.jsonl", "B-child1/step.json",
                                              "B-child1/metrics.jsonl", "made.json")))
    put("report", "paths", page(**of("paths.json")))
    evaluation = json.loads(read(work + "/e/evaluation.json"))
    evaluation["models"] = evaluation["models"][:1]
    put("report", "evaluation", page(**table, **{"evaluation.json": json.dumps(evaluation, separators=(",", ":")).encode()}))
    each = {"class": 0, "name": "<b>", "images": 3, "called": 2, "right": 2, "precision": 1, "precision_low": 0.3, "precision_high": 1,
            "recall": 0.6, "recall_low": 0.2, "recall_high": 0.9, "f1": 0.8, "f1_low": 0.3, "f1_high": 0.9}
    errors = {"checkpoint": "a", "images": 4, "top1": 0.75, "classes": {
        "count": 2, "top5": None, "macro_precision": 0.75, "macro_recall": 0.8, "macro_f1": 0.7, "fewest": 1, "most": 3,
        "each": [each, dict(each, name=None, **{"class": 1})], "confusion": [[2, 1], [0, 1]],
        "confused": [{"label": 0, "called": 1, "images": 1}]}, "mistakes": [
        {"index": 7, "label": 0, "label_name": "<b>", "called": 1, "called_name": None, "probability": 0.9,
         "label_probability": 0.05, "image": "iVBORw0KGgo="}, {"image": "\" onload="}]}
    put("report", "errors", page(**{"eval.json": json.dumps(errors, separators=(",", ":")).encode()}))
    put("report", "repeats", page(**{"repeat-1/config.yaml": b"{}", "repeat-2/config.yaml": b"{}", "repeat-1/table.json": table["table.json"],
                                           "repeat-2/table.json": table["table.json"], "table.json": table["table.json"]}))
    methods = [{"name": n, "title": n.upper(), "published": p, "mean": p - .01, "sd": .01, "top1": [p, p - .02, p], "fitness_top1": [p, p, p],
                "evaluations_per_second": 10, "m2n2_ahead": {"difference": .1, "t": 2, "df": 2, "p": .1}} for n, p in [("m2n2", .9), ("ga", .8), ("cma-es", .5)]]
    results = {"setting": "scratch", "evaluations": 100, "runs": 3, "test": 360, "methods": methods, "order": {"pairs": 2, "same": 2}}
    put("report", "results", page(**{"results.json": json.dumps(results).encode()}, **table))
    put("report", "empty", page())
    put("report", "far-number", page(**{"C-hybrid/winner.json": b"{\"winner\":1e300,\"images\":1e300,\"members\":[{\"id\":-1,\"right\":\"01\",\"owns\":1e300}],\"owner\":[1e300],\"ancestors\":[{\"id\":1e300,\"parents\":[-5,1e300]}]}"}))
    put("report", "nan-index", page(**{"C-hybrid/winner.json": b"{\"winner\":null,\"images\":2,\"members\":[{\"id\":\"x\",\"right\":\"01\",\"owns\":null}],\"owner\":[null,\"1\"],\"ancestors\":[1,null,{\"id\":null,\"parents\":[null]}]}",
                                              "C-hybrid/lineage.jsonl": b"{\"id\":null,\"source\":null}\nnot json\n{\"id\":1,\"source\":\"a\"}"}))
    put("report", "wrong-types", page(**{"table.json": b"{\"title\":7,\"images\":-1,\"verdict\":[],\"rows\":[null,{\"name\":1,\"top1\":\"x\",\"seed_top1\":[null,\"a\"]},[]],\"tests\":{}}",
                                               "evaluation.json": b"{\"models\":[{\"name\":null,\"calibration\":{\"plain\":{\"bins\":[[],{}]}},\"robustness\":{\"kinds\":[{\"top1\":1e300}]}}]}",
                                               "paths.json": b"{\"paths\":[{\"t\":[0,1],\"lines\":[{\"top1\":[1e300]}]}]}"}))
    put("report", "lines.make", "1 === config.yaml\\n{}\\n=== C-hybrid/winner.json\\n{\"winner\":1,\"images\":1,\"members\":[{\"id\":1,\"right\":\"1\",\"owns\":1}],\"owner\":[1],\"ancestors\":[{\"id\":1,\"parents\":[]}]}\\n=== C-hybrid/lineage.jsonl\\n\n1500000 \\n\n1 {\"id\":1,\"source\":\"a\"}\n")
    put("report", "curve.make", "1 === config.yaml\\n{}\\n=== B-child1/metrics.jsonl\\n\n300000 \\n\n")
    put("report", "images.make", "1 === config.yaml\\n{}\\n=== C-hybrid/winner.json\\n{\"winner\":1,\"images\":200000,\"members\":[{\"id\":1,\"owns\":1,\"right\":\"\n200000 1\n1 \"},{\"id\":2,\"owns\":1,\"right\":\"\n200000 0\n1 \"}],\"owner\":[],\"ancestors\":[]}\n")
    put("record", "step", b"\0" + read(work + "/e/B-child1/step.json").replace(json.loads(read(work + "/e/B-child1/step.json"))["depends"].encode(), b"@@@@"))
    put("record", "search", b"\0" + b"{\"depends\":\"@@@@\",\"done\":true,\"seconds\":1e999,\"evaluations\":\"4\"}")
    put("record", "other", b"\0" + b"{\"depends\":\"\",\"done\":true}")
    put("record", "list", b"\0[\"@@@@\"]")
    put("record", "made", b"\1" + read(work + "/e/made.json"))
    put("record", "made-list", b"\1{\"by\":[1,null,{\"version\":[]}]}")
    put("record", "made-damaged", b"\1{\"by\":")
    put("record", "depth.make", "1 \\x00\n50000 [\n")


def tables():
    put("tuning", "table.json", "{\"format\":\"mendel tuning 1\",\"version\":\"0.1.0\",\"backend\":\"cpu\",\"device\":\"\",\"calls\":{\"LINEAR f32 [64, 32] [32, 10]\":\"openblas\"}}")
    put("tuning", "parameters.json", "{\"format\":\"mendel tuning 1\",\"version\":\"0.1.0\",\"backend\":\"opencl\",\"device\":\"x\",\"calls\":{},\"parameters\":\"WGD=32 MDIMCD=8\"}")
    put("tuning", "twice.json", "{\"format\":\"mendel tuning 1\",\"calls\":{\"a\":\"b\",\"a\":\"c\"}}")
    put("tuning", "types.json", "{\"format\":1,\"calls\":{\"a\":null},\"parameters\":[]}")
    put("tuning", "depth.make", "50000 [\n")
    put("text", "plain", "a name")
    put("text", "latin1", b"caf\xe9 \\x41 \\x5C \xf0\x9f\x98\x80 \xed\xa0\x80 \xc0\x80 \n\x1b[31m")
    put("text", "escapes", "\\x00\\xZZ\\x4\\\\x41\\x")


# ---- what Python writes -----------------------------------------------------------------------

class Call:
    """Pickles as a call of this function."""
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def pickles():
    import collections
    try:
        import numpy
    except ImportError:
        return
    batch = {b"labels": [3, 200, 70000], b"data": numpy.array([[1, 2, 250], [4, 5, 6]], numpy.uint8),
             "x": numpy.array([1.5, -2], ">f4"), "t": numpy.asfortranarray(numpy.arange(6, dtype=numpy.int16).reshape(2, 3))}
    for protocol in (2, 3, 4, 5):
        put("pickle", "batch-%d.pkl" % protocol, pickle.dumps(batch, protocol))
    put("pickle", "python2.pkl", b"\x80\x02}q\x01(U\x06labelsq\x02]q\x03(K\x06K\x09eU\x0bbatch_labelq\x04U\x05a\xffbcdu.")
    put("pickle", "values.pkl", pickle.dumps((collections.OrderedDict([("a", 1), ("b", -5)]), None, True, False, 2.5, 1 << 70,
                                              -(1 << 40), "\u00e4", b"\xe4", (), (1,), [1, 2, 3, 4], {}), 2))
    loop = []
    loop.append(loop)
    put("pickle", "loop.pkl", pickle.dumps(loop, 4))
    put("pickle", "scalar.pkl", pickle.dumps({"best": numpy.float64(0.5)}, 2))
    put("pickle", "system.pkl", pickle.dumps(Call(os.system, "true"), 2))
    put("pickle", "eval.pkl", pickle.dumps([Call(eval, "1")], 4))
    put("pickle", "pairs.pkl", b"\x80\x02ccollections\nOrderedDict\n]](U\x01aK\x01ea\x85R.")
    put("pickle", "memo.pkl", b"\x80\x02Nr\xff\xff\xff\x7f.")
    put("pickle", "length.pkl", b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\xffabc.")
    put("pickle", "marks.make", "50000 (\n1 .\n")
    put("pickle", "lists.make", "50000 ]\n1 .\n")
    put("pickle", "deep.make", "50000 ]\n49999 a\n1 .\n")
    put("pickle", "encode.make", "1 c_codecs\\nencode\\nq\\x00X\\xe8\\x03\\x00\\x00\n1000 a\n1 q\\x01U\\x06latin1\\x86q\\x02\n5000 h\\x00h\\x02R0\n1 N.\n")


def torch_files():
    """Checkpoints of PyTorch; without it those that are there stay."""
    try:
        import torch
    except ImportError:
        return
    import collections
    def save(name, value, **options):
        file = io.BytesIO()
        torch.save(value, file, **options)
        put("torch", name, file.getvalue())
    a = torch.arange(6, dtype=torch.float32).reshape(2, 3)
    state = collections.OrderedDict([
        ("a", a), ("t", a.t()), ("row", a[1]), ("half", torch.tensor([1.5, -2], dtype=torch.float16)),
        ("bf", torch.tensor([1.5, -2], dtype=torch.bfloat16)), ("n", torch.tensor(7)), ("f64", torch.tensor([0.1], dtype=torch.float64)),
        ("yes", torch.tensor([True, False])), ("byte", torch.tensor([200], dtype=torch.uint8)), ("none", torch.zeros(0, 3)),
        ("last", torch.arange(8, dtype=torch.int16).reshape(1, 2, 2, 2).contiguous(memory_format=torch.channels_last))])
    save("plain.pt", state)
    save("older.pt", state, _use_new_zipfile_serialization=False)
    save("f8.pt", {"e4": torch.tensor([1.0, 2.0]).to(torch.float8_e4m3fn), "u16": torch.tensor([60000], dtype=torch.uint16)})
    save("nested.pt", {"epoch": 3, "best": 0.5, "optimizer": {"lr": 0.1}, "model": {"w": a}, "state_dict": collections.OrderedDict(
        [("w", torch.nn.Parameter(a + 1)), ("steps", 5)])})
    save("expanded.pt", {"w": torch.zeros(1).expand(1000)})
    save("nothing.pt", {"epoch": 3})
    save("module.pt", torch.nn.Linear(1, 1))
    script = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), script)
    put("torch", "script.pt", script.getvalue())
    plain = read(os.path.join(HERE, "torch", "nested.pt"))
    put("torch", "cut.pt", plain[:-30])
    def repacked(name, change=lambda entry, content: content, method=zipfile.ZIP_STORED):
        out = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(plain)) as old, zipfile.ZipFile(out, "w", method) as new:
            for entry in old.namelist():
                content = change(entry, old.read(entry))
                if content is not None:
                    new.writestr(zipfile.ZipInfo(entry), content, method)
        put("torch", name, out.getvalue())
    repacked("deflated.pt", method=zipfile.ZIP_DEFLATED)
    repacked("no-storage.pt", lambda entry, content: None if "/data/" in entry else content)
    repacked("short-storage.pt", lambda entry, content: content[:4] if "/data/" in entry else content)
    repacked("big-endian.pt", lambda entry, content: b"big" if entry.endswith("byteorder") else content)
    repacked("system.pt", lambda entry, content: pickle.dumps(Call(os.system, "true"), 2) if entry.endswith("data.pkl") else content)


def names():
    head = "index,label,predicted,logit_0,logit_1"
    put("predictions", "plain", head + "\n0,0,1,0.5,1.5\n7,1,1,-1e-9,2\n")
    put("predictions", "named", head + ",label_name,predicted_name\n3,0,1,1,2,cat,\"a, \"\"b\"\"\"\n1,1,1,1,2,\"a, \"\"b\"\"\",cat\n")
    put("predictions", "returns", head + "\r\n0,0,0,1,2\r\n1,1,0,1,2")
    put("predictions", "head", head + "\n")
    put("predictions", "twice", head + "\n4,0,0,1,2\n4,0,0,1,2\n")
    put("predictions", "large", head + "\n4294967295,65535,65535\n4294967296,1,1\n")
    put("predictions", "open", head + ",label_name,\n0,0,0,1,2,\"cat")
    put("classes", "same", "[\"cat\",\"dog\"]\n[\"dog\",\"cat\"]")
    put("classes", "ten", json.dumps(["%d" % i for i in range(10)]) + "\n" + json.dumps(["%d" % i for i in reversed(range(10))]))
    put("classes", "many", json.dumps(["n%d" % i for i in range(12)]) + "\n[]")
    put("classes", "escaped", "[\"caf\\\\xE9\",\"\\u005cx5C\",\"\\n\",\"\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\"]\nnull")
    put("classes", "alike", "[\"a\\\\x41\",\"aA\"]\n[1]")
    put("classes", "depth.make", "50000 [\n")
    lock = "A run of Mendel owns this folder while its process lives.\nhost a\npid 1\nstart 7\nsince now\ncommand mendel train\n"
    put("owner", "training", lock + "===\n# A run of Mendel: a training.\nmodel:\n  kind: mlp\n")
    put("owner", "old", "===\nmodel:\n  kind: mlp # network\nrun:\n  seed: 0\n")
    put("owner", "far-pid", lock.replace("pid 1", "pid 99999999999999999999").replace("host a", "host \x1b[2J\x7f"))
    put("owner", "long.make", "1 A run of Mendel owns this folder while its process lives.\\nhost \n5000 a\n1 \\npid -1\\ncommand \n5000 b\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    MENDEL = os.path.abspath(sys.argv[1])
    config()
    states()
    data()
    archives()
    arrays()
    batches()
    lists()
    samples()
    tables()
    names()
    pickles()
    torch_files()
    with tempfile.TemporaryDirectory() as work:
        checkpoints(work)
        pages(work)
