#!/usr/bin/env python3
"""Manual pages (section 3) of the public functions, made from the headers: a page a function, with
its declaration, the comment before it, the structs that it takes, and what its header says at its
top.  usage: make_reference.py OUT-FOLDER HEADER..."""
import os
import re
import sys

COMMENT = r"/\*(?P<comment>(?:[^*]|\*(?!/))*)\*/\s*"
FUNCTION = re.compile(r"(?:" + COMMENT + r")?MDL_API (?P<declaration>[^;]*?\b(?P<name>mdl_\w+)\([^;]*);")
STRUCT = re.compile(r"typedef struct (?P<name>mdl_\w+) \{.*?\n\} (?P=name);", re.S)


def plain(comment):
    """A comment without its stars, as paragraphs; lines that are indented stay lines."""
    lines = [re.sub(r"^\s*\* ?", "", line).rstrip() for line in comment.split("\n")]
    return "\n".join(lines).strip()


def roff(text):
    return text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")


def paragraphs(text):
    out = []
    for block in re.split(r"\n\s*\n", text):
        lines = block.split("\n")
        out.append(".PP")
        literal = False
        for line in lines:
            indented = line.startswith(" ")
            if indented != literal:
                out.append(".nf" if indented else ".fi")
                literal = indented
            out.append(("\\&" if line.lstrip().startswith(".") else "") + roff(line))
        if literal:
            out.append(".fi")
    return out


def literal(text):
    return [".PP", ".nf"] + ["\\&" + roff(line) for line in text.split("\n")] + [".fi"]


def clean(declaration):
    declaration = re.sub(r"\s*MDL_MUST_CHECK", "", declaration)
    return re.sub(r"\s+", " ", declaration).strip() + ";"


def summary(text):
    first = re.split(r"(?<=[.:;])\s", re.sub(r"\s+", " ", text), maxsplit=1)[0]
    return first.rstrip(".:;") if first else "see below"


def needed(declaration, structs):
    """The structs that a declaration names, and those that these name."""
    found, texts = [], [declaration]
    while texts:
        text = texts.pop(0)
        for struct in structs:
            if struct not in found and re.search(rf"\b{struct}\b", text):
                found.append(struct)
                texts.append(structs[struct])
    return [structs[struct] for struct in found]


def page(name, declaration, comment, header, top, structs, related):
    used = needed(declaration, structs)
    lines = [f'.TH {name} 3 "" mendel "Mendel Library"', ".SH NAME", f"{name} \\- {roff(summary(comment))}",
             ".SH SYNOPSIS", ".nf", ".B #include <mendel/mendel.h>", ".PP", f".B {roff(clean(declaration))}", ".fi"]
    if comment:
        lines += [".SH DESCRIPTION"] + paragraphs(comment)
    if used:
        lines.append(".SH TYPES")
        for text in used:
            lines += literal(text)
    if top:
        lines += [f".SH \"ALL OF {header}\""] + paragraphs(top)
    others = [other for other in related if other != name]
    lines += [".SH SEE ALSO", ",\n".join(f".BR {other} (3)" for other in others) if others else ".BR mendel (1)"]
    return "\n".join(lines) + "\n"


def read(path):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    first = re.match(COMMENT, text)
    functions = []
    for match in FUNCTION.finditer(text):
        comment = plain(match["comment"]) if match["comment"] else ""
        comment = "" if comment.startswith("----") else comment
        functions.append((match["name"], match["declaration"], comment))
    structs = {m["name"]: m[0] for m in STRUCT.finditer(text)}
    return "mendel/" + os.path.basename(path), plain(first["comment"]), functions, structs


def main():
    out, headers = sys.argv[1], [read(path) for path in sys.argv[2:]]
    structs = {name: text for _, _, _, own in headers for name, text in own.items()}
    os.makedirs(out, exist_ok=True)
    for header, top, functions, _ in headers:
        related = [name for name, _, _ in functions]
        for name, declaration, comment in functions:
            if not comment:
                sys.exit(f"{header}: {name} has no comment of its own")
            with open(os.path.join(out, name + ".3"), "w", encoding="utf-8") as file:
                file.write(page(name, declaration, comment, header, top, structs, related))


main()
