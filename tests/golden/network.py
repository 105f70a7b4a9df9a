"""The networks of Mendel written a second time, in PyTorch, for comparison; no training loop.

Own code after the published descriptions: EfficientNet-Lite0 (names as timm's efficientnet_lite0),
the Tiny Recursive Model (arXiv 2510.04871) between its features and the classes, and a small MLP.
A network is a dictionary {name: tensor} in the layout of files, and functions over it.

Needs PyTorch 1.13 or newer and numpy (Debian: python3-torch).  The unit tests do not need it: they
read the files that make_golden.py wrote.
"""
import json
import math
import struct

import numpy
import torch
import torch.nn.functional as F

# repeat, kernel, stride, expansion, channels going out
STAGES = [(1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112),
          (4, 5, 2, 6, 192), (1, 3, 1, 6, 320)]

DEFAULTS = dict(kind="efficientnet_lite0", height=32, channels=3, classes=10, stem_stride=1,
                strides=[s[2] for s in STAGES], width=1.0, depth=1.0, eps=1e-3, momentum=0.1,
                padding="symmetric", hidden=256, smoothing=0.0,
                dim=128, n=2, t=2, n_sup=1, tokens="pooled", mix="mlp", stablemax=False,
                halt_weight=0.5)


def config(**changes):
    unknown = set(changes) - set(DEFAULTS)
    if unknown:
        raise KeyError(f"unknown settings: {unknown}")
    return dict(DEFAULTS, **changes)


# ---- structure ------------------------------------------------------------------------------------

def round_channels(channels, width):
    wanted = channels * width
    rounded = max(8, int(wanted + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * wanted else rounded


def blocks(c):
    """(prefix, kernel, stride, expansion, channels in, channels out) of each MBConv block."""
    result, inside = [], 32
    for s, (repeat, kernel, _, expansion, channels) in enumerate(STAGES):
        ends = s in (0, len(STAGES) - 1)
        outside = round_channels(channels, c["width"])
        for r in range(repeat if ends else math.ceil(repeat * c["depth"])):
            stride = c["strides"][s] if r == 0 else 1
            result.append((f"blocks.{s}.{r}", kernel, stride, expansion, inside, outside))
            inside = outside
    return result


def final_map(c):
    """Side of the last feature map; both kinds of padding give ceil(side / stride)."""
    side = -(-c["height"] // c["stem_stride"])
    for _, _, stride, _, _, _ in blocks(c):
        side = -(-side // stride)
    return side


def swiglu_width(d):
    return -(-round(d * 4 * 2 / 3) // 256) * 256


def shapes(c):
    """{name: (role, shape in files)} of all parameters and buffers."""
    table = {}

    def bn(name, channels):
        for part in ("weight", "bias", "running_mean", "running_var"):
            table[f"{name}.{part}"] = ({"weight": "gamma", "bias": "beta"}.get(part, part), (channels,))

    def conv(name, o, i, k):
        table[f"{name}.weight"] = ("matrix", (o, i, k, k))

    def linear(name, o, i):
        table[f"{name}.weight"] = ("matrix", (o, i))

    if c["kind"] == "mlp":
        pixels = c["height"] ** 2 * c["channels"]
        for name, o, i in (("fc1", c["hidden"], pixels), ("fc2", c["classes"], c["hidden"])):
            linear(name, o, i)
            table[f"{name}.bias"] = ("bias", (o,))
        return table

    conv("conv_stem", 32, c["channels"], 3)
    bn("bn1", 32)
    for name, kernel, _, expansion, i, o in blocks(c):
        if expansion == 1:
            conv(f"{name}.conv_dw", i, 1, kernel)
            bn(f"{name}.bn1", i)
            conv(f"{name}.conv_pw", o, i, 1)
            bn(f"{name}.bn2", o)
        else:
            wide = i * expansion
            conv(f"{name}.conv_pw", wide, i, 1)
            bn(f"{name}.bn1", wide)
            conv(f"{name}.conv_dw", wide, 1, kernel)
            bn(f"{name}.bn2", wide)
            conv(f"{name}.conv_pwl", o, wide, 1)
            bn(f"{name}.bn3", o)
    conv("conv_head", 1280, blocks(c)[-1][5], 1)
    bn("bn2", 1280)
    if c["kind"] == "efficientnet_lite0":
        linear("classifier", c["classes"], 1280)
        table["classifier.bias"] = ("bias", (c["classes"],))
        return table

    d, tokens = c["dim"], token_count(c)
    table["trm.y0"] = table["trm.z0"] = ("start", (d,))
    linear("trm.embed", d, 1280)
    for b in range(2):
        name = f"trm.blocks.{b}"
        if tokens > 1 and c["mix"] == "attention":
            linear(f"{name}.mix.qkv", 3 * d, d)
            linear(f"{name}.mix.out", d, d)
        elif tokens > 1:
            linear(f"{name}.mix.up", 2 * swiglu_width(tokens), tokens)
            linear(f"{name}.mix.down", tokens, swiglu_width(tokens))
        linear(f"{name}.mlp.up", 2 * swiglu_width(d), d)
        linear(f"{name}.mlp.down", d, swiglu_width(d))
    linear("trm.head", c["classes"], d)
    linear("trm.q_head", 1, d)
    table["trm.q_head.bias"] = ("bias", (1,))
    return table


def token_count(c):
    return 1 if c["tokens"] == "pooled" else final_map(c) ** 2


def is_buffer(role):
    return role in ("running_mean", "running_var", "start")


# ---- forward --------------------------------------------------------------------------------------

def convolve(c, x, weight, stride=1):
    kernel = int(weight.shape[2])  # int: while a graph is traced, it is a tensor
    groups = int(x.shape[1]) if weight.shape[1] == 1 else 1
    if c["padding"] == "symmetric":
        return F.conv2d(x, weight, stride=stride, padding=(kernel - 1) // 2, groups=groups)
    size = x.shape[2]
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    before, after = total // 2, total - total // 2
    return F.conv2d(F.pad(x, (before, after, before, after)), weight, stride=stride, groups=groups)


class Net:
    """One forward pass: p is the dictionary; in training its running statistics are updated."""

    def __init__(self, c, p, training):
        self.c, self.p, self.training = c, p, training

    def bn(self, x, name, relu=True):
        p = self.p
        x = F.batch_norm(x, p[f"{name}.running_mean"], p[f"{name}.running_var"],
                         p[f"{name}.weight"], p[f"{name}.bias"], self.training,
                         self.c["momentum"], self.c["eps"])
        return F.relu6(x) if relu else x

    def conv(self, x, name, stride=1):
        return convolve(self.c, x, self.p[f"{name}.weight"], stride)

    def features(self, x):
        x = self.bn(self.conv(x, "conv_stem", self.c["stem_stride"]), "bn1")
        for name, _, stride, expansion, i, o in blocks(self.c):
            h = x
            if expansion == 1:
                h = self.bn(self.conv(h, f"{name}.conv_dw", stride), f"{name}.bn1")
                h = self.bn(self.conv(h, f"{name}.conv_pw"), f"{name}.bn2", relu=False)
            else:
                h = self.bn(self.conv(h, f"{name}.conv_pw"), f"{name}.bn1")
                h = self.bn(self.conv(h, f"{name}.conv_dw", stride), f"{name}.bn2")
                h = self.bn(self.conv(h, f"{name}.conv_pwl"), f"{name}.bn3", relu=False)
            x = x + h if stride == 1 and i == o else h
        return self.bn(self.conv(x, "conv_head"), "bn2")

    def linear(self, x, name):
        return F.linear(x, self.p[f"{name}.weight"], self.p.get(f"{name}.bias"))

    def swiglu(self, x, name):
        gate, up = self.linear(x, f"{name}.up").chunk(2, -1)
        return self.linear(F.silu(gate) * up, f"{name}.down")

    def attention(self, x, name):
        batch, tokens, d = x.shape
        heads = max(1, d // 32)
        q, k, v = (part.reshape(batch, tokens, heads, d // heads).transpose(1, 2)
                   for part in self.linear(x, f"{name}.qkv").chunk(3, -1))
        weights = torch.softmax(rotate(q) @ rotate(k).transpose(2, 3) / math.sqrt(d // heads), -1)
        return self.linear((weights @ v).transpose(1, 2).reshape(batch, tokens, d), f"{name}.out")

    def net(self, h):
        for b in range(2):
            name = f"trm.blocks.{b}"
            if h.dim() == 3 and self.c["mix"] == "attention":
                h = rms(h + self.attention(h, f"{name}.mix"))
            elif h.dim() == 3:
                turned = h.transpose(1, 2)
                h = rms(turned + self.swiglu(turned, f"{name}.mix")).transpose(1, 2)
            h = rms(h + self.swiglu(h, f"{name}.mlp"))
        return h

    def recursion(self, x, y, z):
        for _ in range(self.c["n"]):
            z = self.net(x + y + z)
        return self.net(y + z), z

    def trm(self, features, steps):
        """[(logits, q)] of each supervision step."""
        if self.c["tokens"] == "pooled":
            tokens = features.mean((2, 3))
        else:
            tokens = features.flatten(2).transpose(1, 2)
            tokens = tokens[:, 0] if tokens.shape[1] == 1 else tokens
        x = rms(self.linear(tokens, "trm.embed"))
        y, z = self.p["trm.y0"].expand_as(x), self.p["trm.z0"].expand_as(x)
        result = []
        for _ in range(steps):
            with torch.no_grad():
                for _ in range(self.c["t"] - 1):
                    y, z = self.recursion(x, y, z)
            y, z = self.recursion(x, y, z)
            answer = y.mean(1) if y.dim() == 3 else y
            result.append((self.linear(answer, "trm.head"), self.linear(answer, "trm.q_head")))
            y, z = y.detach(), z.detach()
        return result

    def forward(self, images):
        """images [N, C, H, W] -> [(logits, q or None)] of each supervision step."""
        if self.c["kind"] == "mlp":
            # Mendel reads pixels in the order height, width, channel.
            pixels = images.permute(0, 2, 3, 1).flatten(1)
            return [(self.linear(F.relu(self.linear(pixels, "fc1")), "fc2"), None)]
        features = self.features(images)
        if self.c["kind"] == "hybrid":
            return self.trm(features, self.c["n_sup"])
        return [(self.linear(features.mean((2, 3)), "classifier"), None)]


def rms(x):
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-5)


def rotate(x):
    """Rotary embedding, half-split pairs, theta 10000; x [N, heads, L, channels]."""
    tokens, size = x.shape[2], x.shape[3]
    speed = 10000.0 ** (-torch.arange(0, size, 2, dtype=torch.float64) / size)
    angle = torch.arange(tokens, dtype=torch.float64)[:, None] * speed
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


def cross_entropy(c, logits, labels):
    if not (c["stablemax"] and c["kind"] == "hybrid"):
        return F.cross_entropy(logits, labels, label_smoothing=c["smoothing"])
    s = torch.where(logits >= 0, logits + 1, 1 / (1 - logits.clamp(max=0)))
    log_p = torch.log(s / s.sum(1, keepdim=True))
    hard = -log_p.gather(1, labels[:, None]).mean()
    return (1 - c["smoothing"]) * hard - c["smoothing"] * log_p.mean()


def total_loss(c, steps, labels):
    total = 0
    for logits, q in steps:
        total = total + cross_entropy(c, logits, labels)
        if q is not None:
            right = (logits.argmax(1) == labels).to(q.dtype)
            total = total + c["halt_weight"] * F.binary_cross_entropy_with_logits(q[:, 0], right)
    return total


def training_step(c, values, images, labels, dtype=torch.float64):
    """Forward and backward without an update.  values: {name: numpy array}; images: numpy NCHW.
    Returns loss, [(logits, q)], {name: gradient}, {name: updated buffer}, all float64 numpy."""
    table = shapes(c)
    p = {}
    for name, (role, shape) in table.items():
        p[name] = torch.tensor(values[name].reshape(shape), dtype=dtype)
        p[name].requires_grad_(not is_buffer(role))
    steps = Net(c, p, True).forward(torch.tensor(images, dtype=dtype))
    loss = total_loss(c, steps, torch.tensor(labels))
    loss.backward()

    def out(t):
        return None if t is None else t.detach().double().numpy()
    return (float(loss), [(out(logits), out(q)) for logits, q in steps],
            {n: out(t.grad) for n, t in p.items() if t.requires_grad},
            {n: out(t) for n, t in p.items() if not t.requires_grad})


def inference(c, values, images, dtype=torch.float64):
    p = {n: torch.tensor(values[n].reshape(s), dtype=dtype) for n, (_, s) in shapes(c).items()}
    with torch.no_grad():
        return [logits.double().numpy()
                for logits, _ in Net(c, p, False).forward(torch.tensor(images, dtype=dtype))]


# ---- values that C repeats ------------------------------------------------------------------------

def hash_uniform(name, count):
    """Values in [-1, 1): splitmix64 (Steele et al. 2014) of FNV-1a(name) + (i + 1) * golden."""
    state = 0xcbf29ce484222325
    for byte in name.encode():
        state = (state ^ byte) * 0x100000001b3 % 2**64
    z = numpy.uint64(state) + numpy.arange(1, count + 1, dtype=numpy.uint64) * numpy.uint64(0x9e3779b97f4a7c15)
    z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xbf58476d1ce4e5b9)
    z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94d049bb133111eb)
    z = z ^ (z >> numpy.uint64(31))
    return (z >> numpy.uint64(11)).astype(numpy.float64) * 2.0**-52 - 1.0


def fill(c):
    """{name: values in the layout of files}."""
    result = {}
    for name, (role, shape) in shapes(c).items():
        u = hash_uniform(name, math.prod(shape))
        if role == "matrix":
            # Deviation sqrt(2 / fan-in) before ReLU6, sqrt(1 / fan-in) in the recursion.
            u = u * math.sqrt((6.0 if len(shape) == 4 else 3.0) / math.prod(shape[1:]))
        elif role in ("gamma", "running_var"):
            u = 1.0 + 0.3 * u
        elif role == "start":
            u = 1.5 * u
        else:
            u = 0.3 * u
        result[name] = u.reshape(shape)
    return result


def fill_images(c, batch):
    """Images [N, C, H, W]; the hash runs over [N, H, W, C], Mendel's order."""
    side, channels = c["height"], c["channels"]
    u = 2.0 * hash_uniform("images", batch * side * side * channels)
    return numpy.ascontiguousarray(u.reshape(batch, side, side, channels).transpose(0, 3, 1, 2))


def fill_labels(c, batch):
    return [(3 * i + 1) % c["classes"] for i in range(batch)]


# ---- safetensors ----------------------------------------------------------------------------------

TYPES = {"F32": numpy.float32, "F64": numpy.float64, "I64": numpy.int64}


def write_safetensors(path, values):
    """{name: numpy array}, without metadata."""
    names = {numpy.dtype(t): n for n, t in TYPES.items()}
    header, data = {}, b""
    for name, array in values.items():
        begin, data = len(data), data + numpy.ascontiguousarray(array).tobytes()
        header[name] = {"dtype": names[array.dtype], "shape": list(array.shape),
                        "data_offsets": [begin, len(data)]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def read_safetensors(path):
    with open(path, "rb") as file:
        raw = file.read()
    length = struct.unpack("<Q", raw[:8])[0]
    header, data = json.loads(raw[8:8 + length]), raw[8 + length:]
    result = {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            array = numpy.frombuffer(data[begin:end], TYPES[entry["dtype"]])
            result[name] = array.reshape(entry["shape"])
    return result
