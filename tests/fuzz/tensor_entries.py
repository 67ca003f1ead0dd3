"""Pickles of tensors as torch writes them, and pickles that just miss being that: the machine takes such in one step.

Each is a list of opcodes before it is bytes, so that a change hits an opcode: a memo index that is used twice, a slot
that is replaced between two tensors or fetched from the middle of one, another name behind a GET, an end too early.
"""

import random
import struct

_ODD = b"()tQR.hjqrKMJX\x80\x85\x86\x87\x88\x89\x94\x95\n\x00\x01\x72\xff"
_NUMBERS = (0, 1, 2, 3, 4, 16, 64, 113, 114, 116, 255, 256, 1000, 29_295, 65_535, 65_536, 30_522 * 768, (1 << 31) - 1)
_STORAGES = (
    b"torch\nFloatStorage\n",
    b"torch\nLongStorage\n",
    b"torch\nBFloat16Storage\n",
    b"torch.storage\nUntypedStorage\n",
)
_HOSTILE = (
    b"cos\nsystem\n",
    b"ctorch\nSize\n",
    b"ctorch\nload\n",
    b"ctorch._utils\n_rebuild_tensor\n",
    b"ctorch._utils\n_rebuild_tensor_v3\n",
    b"ctorch._utils\n_rebuild_parameter\n",
    b"ctorch\nHalfStorage\n",
    b"ccollections\nCounter\n",
    b"]",
    b"}",
    b")",
    b"N",
    b"X\x07\x00\x00\x00storage",
    b"X\x06\x00\x00\x00cuda:0",
    b"\x8c\x02os",
)  # fmt: skip
_NAMES = (
    "w",
    "weight",
    "layers.{}.bias",
    "module.encoder.layer.{}.attention.self.query.weight",
    "gAJ" + "A" * 40 + "{}",
    "8003" + "5d" * 20 + "2e",
    "é{}",
    "n" * 254,
    "n" * 300,
    "",
)


class Writer:
    """Opcodes and the memo of a pickler of protocol 2."""

    def __init__(self, source: random.Random) -> None:
        self.source = source
        self.opcodes: list[bytes] = []
        self.index = 0
        self.slots: dict[bytes, int] = {}
        self.storages = source.choices(_STORAGES, k=2)
        self.device = source.choice(("cpu", "cpu", "cuda:0", ""))
        self.layouts = [_layout(source) for _ in range(2)]  # few, as in models: what is known of one serves the next

    def put(self) -> None:
        self.opcodes.append(put(self.index))
        self.index += 1

    def once(self, *opcodes: bytes) -> None:
        """Opcodes that leave one value the first time, a GET of it from then on."""
        whole = b"".join(opcodes)
        if whole in self.slots:
            self.opcodes.append(get(self.slots[whole]))
        else:
            self.opcodes.extend(opcodes)
            self.slots[whole] = self.index
            self.put()

    def text(self, value: str) -> None:
        encoded = value.encode()
        self.once(b"X" + struct.pack("<I", len(encoded)) + encoded)

    def sizes(self, numbers: list[int]) -> None:
        if not numbers:
            self.opcodes.append(b")")
            return
        if len(numbers) > 3:
            self.opcodes.append(b"(")
        self.opcodes.extend(map(number, numbers))
        self.opcodes.append(b"t" if len(numbers) > 3 else bytes([0x84 + len(numbers)]))
        self.put()

    def ordered(self) -> None:
        self.once(b"ccollections\nOrderedDict\n")
        self.opcodes += [b")", b"R"]
        self.put()

    def tensor(self, key: str) -> None:
        source = self.source
        self.once(b"ctorch._utils\n_rebuild_tensor_v2\n")
        self.opcodes += [b"(", b"("]
        self.text("storage")
        self.once(b"c" + source.choice(self.storages))
        self.text(key)
        self.text(self.device if source.random() < 0.95 else "meta")
        numel, start, sizes, strides, flag = source.choice(self.layouts) if source.random() < 0.9 else _layout(source)
        self.opcodes += [number(numel), b"t"]
        self.put()
        self.opcodes += [b"Q", number(start)]
        self.sizes(sizes)
        self.sizes(strides)
        self.opcodes.append(flag)
        self.ordered()
        self.opcodes.append(b"t")
        self.put()
        self.opcodes.append(b"R")
        self.put()


def _layout(source: random.Random) -> tuple[int, int, list[int], list[int], bytes]:
    dimensions = source.choice((0, 1, 1, 1, 2, 2, 2, 2, 3, 4, 5, 8, 9))
    sizes, strides = ([source.choice(_NUMBERS) for _ in range(dimensions)] for _ in range(2))
    flag = source.choice((b"\x89", b"\x89", b"\x88"))
    return source.choice(_NUMBERS), source.choice(_NUMBERS[:6]), sizes, strides, flag


def put(index: int) -> bytes:
    return struct.pack("<BB", 0x71, index) if index < 256 else struct.pack("<BI", 0x72, index)


def get(index: int) -> bytes:
    return struct.pack("<BB", 0x68, index) if index < 256 else struct.pack("<BI", 0x6A, index)


def number(value: int) -> bytes:
    if value < 256:
        return struct.pack("<BB", 0x4B, value)
    return struct.pack("<BH", 0x4D, value) if value < 65_536 else struct.pack("<Bi", 0x4A, value)


def state_dict(source: random.Random, tensors: int) -> list[bytes]:
    """Return the opcodes of a state dict."""
    writer = Writer(source)
    writer.opcodes.append(b"\x80\x02")
    # A memo that is long already, or has a gap: the indices of the first tensor are long ones, or reach over 255.
    writer.index = source.choice((0, 0, 0, source.randrange(180, 260), source.randrange(430, 520), 760))
    writer.ordered()
    writer.opcodes.append(b"(")
    for index in range(tensors):
        kind = source.random()
        if kind < 0.8:
            writer.text(source.choice(_NAMES).format(index))
        elif kind < 0.9:
            writer.opcodes.append(number(index))
        else:
            writer.text("step")
        writer.tensor(str(source.choice((*[index] * 9, 0, 10**index))))
    writer.opcodes += [b"u", b"."]
    return writer.opcodes


def near_miss(source: random.Random) -> bytes:
    """Return a state dict, mostly with something about it that is not as torch writes it."""
    opcodes = state_dict(source, source.randrange(2, 9))
    for _ in range(source.choice((0, 1, 1, 1, 2, 3))):
        _change(opcodes, source)
    data = b"".join(opcodes)
    if source.random() < 0.1:
        data = data[: source.randrange(len(data) + 1)]
    if source.random() < 0.1:
        # A frame that ends anywhere, also inside an entry.
        at = source.randrange(2, len(data)) if len(data) > 2 else len(data)
        data = data[:at] + b"\x95" + struct.pack("<Q", source.randrange(200)) + data[at:]
    return data


def _change(opcodes: list[bytes], source: random.Random) -> None:
    at = source.randrange(1, len(opcodes))
    kind = source.randrange(9)
    puts = [index for index, code in enumerate(opcodes) if code[0] in b"qr"]
    gets = [index for index, code in enumerate(opcodes) if code[0] in b"hj"]
    if kind == 0:
        byte = source.randrange(len(opcodes[at]))
        code = bytearray(opcodes[at])
        code[byte] = source.choice(_ODD) if source.random() < 0.5 else source.randrange(256)
        opcodes[at] = bytes(code)
    elif kind == 1 and puts:
        opcodes[source.choice(puts)] = put(_slot(opcodes, puts, source))
    elif kind == 2 and gets and puts:
        opcodes[source.choice(gets)] = get(_slot(opcodes, puts, source))
    elif kind == 3 and puts:
        # What a slot holds is something else from here on.
        opcodes[at:at] = [source.choice(_HOSTILE), put(_slot(opcodes, puts, source)), b"0"]
    elif kind == 4 and puts:
        # A value of the middle of an entry is fetched, and may be called.
        opcodes[at:at] = [get(_slot(opcodes, puts, source)), source.choice((b"0", b")R0", b"\x85q\x00", b"2"))]
    elif kind == 5:
        names = [index for index, code in enumerate(opcodes) if code[0] == 0x63]
        if names:
            opcodes[source.choice(names)] = source.choice(_HOSTILE)
    elif kind == 6:
        numbers = [index for index, code in enumerate(opcodes) if code[0] in b"KMJ"]
        if numbers:
            odd = (
                b"J\xff\xff\xff\xff",
                b"J\x00\x00\x00\x80",
                b"\x8a\x05\x00\x00\x00\x00\x01",
                b"\x8a\x01\xff",
                b"N",
                b"\x88",
            )
            opcodes[source.choice(numbers)] = source.choice(odd)
    elif kind == 7:
        del opcodes[at : at + source.randrange(1, 3)]
    else:
        begin = source.randrange(1, len(opcodes))
        opcodes[at:at] = opcodes[begin : begin + source.randrange(1, 12)]


def _slot(opcodes: list[bytes], puts: list[int], source: random.Random) -> int:
    """Return the index of a PUT, or one beside it."""
    index = int.from_bytes(opcodes[source.choice(puts)][1:], "little")
    return min(max(0, index + source.choice((0, 0, 0, 0, 1, -1, 256))), (1 << 32) - 1)
