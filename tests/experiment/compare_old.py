#!/usr/bin/env python3
"""Compare the folders of one experiment that two versions of the program ran.

    compare_old.py OLD NEW

OLD and NEW are folders that `mendel experiment` filled from the same configuration, seeds and data.
Their table.json may be of version 1 (rows have display names) or of version 2 (rows have ids).
The folders agree when

- both have the same trainings, and the weights of each final.safetensors are the same to the last
  byte (its metadata may differ: it holds the names of configuration keys, which version 2 renamed);
- so are the weights of each merged model that has the same path in both;
- the tables have the same rows, with the same accuracies, intervals, losses and sizes;
- they have the same tests between the same rows, with the same differences, intervals and p;
- the lines of metrics.jsonl and lineage.jsonl have the same figures;
- the test split was answered alike, image by image (test.json).

Times and latencies are not compared.  The exit code is 0 where all agree, 1 where something differs
(each difference is a line), 2 where a folder cannot be read.  Standard library only.
"""
import json
import math
import re
import struct
import sys
from pathlib import Path

# ---- what has another name in version 2 ----------------------------------------------------------

# Kinds of rows: version 1 -> version 2.  `mean`, `independent`, `control` and `method` need the name.
KINDS = {
    "fused": "m2n2",
    "best_parent": "best-parent",
    "average": "average",
    "soup": "soup",
    "slerp": "slerp",
    "ensemble": "ensemble",
    "trunk": "trunk",
    "matched": "matched",
}
CONTROLS = {
    "MLP head": "mlp-head",
    "no recursion": "no-recursion",
    "grid tokens": "grid-tokens",
    "pooled tokens": "pooled-tokens",
}
# Titles of methods in version 1 -> names in the table of methods.
METHODS = {
    "M2N2": "m2n2",
    "M2N2 without attraction": "no-attraction",
    "M2N2 without split point": "no-crossover-point",
    "M2N2 without crossover": "no-crossover",
    "GA": "ga",
    "GA without crossover": "ga-no-crossover",
    "MAP-Elites": "map-elites",
    "CMA-ES": "cma-es",
    "random search": "random",
    "SLERP, best of the line": "line",
    "uniform average": "average",
    "TIES": "ties",
    "DARE": "dare",
}
RENAMED_METHODS = {"no-split": "no-crossover-point"}
# Keys of the configuration and of the records: version 1 -> version 2.
KEYS = {
    "fitness_fraction": "validation_fraction",
    "split": "crossover_point",
    "fitness_loss": "validation_loss",
    "fitness_top1": "validation_top1",
    "path_points": "interpolation_points",
}
# Clocks, and paths that lie in the folder.
UNCOMPARED = re.compile(r"second|time|latency|joule|per_image|source")
ROW_FIELDS = ["top1", "low", "high", "loss", "parameters", "multiply_adds", "each_top1", "published"]
TEST_FIELDS = ["test", "difference", "low", "high", "p", "b", "c", "t", "df", "sign_flip_p", "n"]

differences = []


def differ(text):
    differences.append(text)


def load(path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        print(f"{path}: {error}", file=sys.stderr)
        sys.exit(2)


# ---- tables --------------------------------------------------------------------------------------


def key_of_old(row):
    """(kind, arm, what) of a row of version 1."""
    kind, arm = row["kind"], row["arm"]
    name = row["name"].removeprefix(arm + ": ") if arm else row["name"]
    if kind in ("baseline", "hybrid"):
        return "mean", kind, ""
    if kind in KINDS:
        return KINDS[kind], arm, ""
    if kind == "parent":
        return kind, arm, name
    if kind == "independent":
        special = {"independent average": "independent-average",
                   "independent aligned average": "independent-aligned"}
        if name in special:
            return special[name], arm, ""
        return kind, arm, name.removeprefix("independent ")
    if kind == "control":
        return kind, arm, CONTROLS[name]
    return "method", arm, METHODS[name]


def key_of_new(row):
    """(kind, arm, what) of a row of version 2."""
    what = RENAMED_METHODS.get(row["what"], row["what"])
    if row["kind"] in ("parent", "independent", "control", "method"):
        return row["kind"], row["arm"], what.replace("child-", "child ").replace("seed-", "seed ")
    return row["kind"], row["arm"], ""


def read_old(table):
    rows, by_name = {}, {}
    for row in table["rows"]:
        key = key_of_old(row)
        by_name[row["name"]] = key
        rows[key] = {field: row.get(field) for field in ROW_FIELDS}
        rows[key]["each_top1"] = row["seed_top1"]
    tests = {}
    for test in table["tests"]:
        # Without a trunk the controls are compared with the hybrid's first seed, which has no row.
        ends = tuple(by_name.get(test[end], ("training", "", test[end])) for end in ("first", "second"))
        tests[ends] = {field: test[field] for field in TEST_FIELDS if field in test}
        if "seeds" in test:
            tests[ends]["n"] = test["seeds"]
    return rows, tests


def read_new(table):
    rows, by_id = {}, {}
    for row in table["rows"]:
        key = key_of_new(row)
        if row["id"] in by_id:
            differ(f"table.json: two rows have the id {row['id']}")
        # Version 1 had no row for a seed, and called it by its training in tests.
        by_id[row["id"]] = ("training", "", row["what"]) if key[0] == "seed" else key
        rows[key] = {field: row.get(field) for field in ROW_FIELDS}
    tests = {}
    for test in table["tests"]:
        ends = tuple(by_id.get(test[end], ("training", "", training_of(test[end])))
                     for end in ("first", "second"))
        tests[ends] = {field: test.get(field) for field in TEST_FIELDS}
        tests[ends]["n"] = [test.get("n_first"), test.get("n_second")]
    return rows, tests


def training_of(identity):
    """hybrid.seed-1 -> seed 1: a training that has no row of its own."""
    return identity.split(".", 1)[-1].replace("-", " ")


def read_table(folder):
    table = load(folder / "table.json")
    return table, (read_new if table.get("version", 1) >= 2 else read_old)(table)


def same(a, b):
    """Numbers are the same to 12 digits, which is more than any of them was measured to."""
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    number = (int, float)
    if isinstance(a, number) and isinstance(b, number) and not isinstance(a, bool):
        return math.isclose(a, b, rel_tol=1e-12, abs_tol=1e-15)
    return a == b


def say(key):
    """A row or a pair of rows in words."""
    if isinstance(key[0], tuple):
        return " against ".join(say(end) for end in key)
    return ".".join(part for part in (key[1], key[0], key[2]) if part)


def compare_tables(old_folder, new_folder):
    old_table, (old_rows, old_tests) = read_table(old_folder)
    new_table, (new_rows, new_tests) = read_table(new_folder)
    where = f"{new_folder}/table.json"
    if old_table["images"] != new_table["images"]:
        differ(f"{where}: {old_table['images']} and {new_table['images']} test images")
    for what, old, new in (("row", old_rows, new_rows), ("test", old_tests, new_tests)):
        for key in old.keys() - new.keys():
            differ(f"{where}: the {what} {say(key)} is missing")
        for key in new.keys() - old.keys():
            if key[0] != "seed":  # version 2 has a row for each seed, too
                differ(f"{where}: the {what} {say(key)} was not there before")
        for key in old.keys() & new.keys():
            for field, value in old[key].items():
                new_value = new[key].get(field)
                if field == "each_top1" and not value:
                    continue
                if not same(value, new_value):
                    differ(f"{where}: {what} {say(key)}: {field} was {value} and is {new_value}")
    check_holm(new_table, where)
    return len(old_rows), len(old_tests)


def check_holm(table, where):
    """p_holm of version 2 must be Holm's (1979) over all tests of the table that have a p."""
    tested = [t for t in table["tests"] if t.get("p") is not None and "p_holm" in t]
    tested.sort(key=lambda t: t["p"])
    largest = 0.0
    for i, test in enumerate(tested):
        largest = max(largest, min(1.0, test["p"] * (len(tested) - i)))
        if not math.isclose(test["p_holm"], largest, rel_tol=1e-9):
            differ(f"{where}: {test['first']} against {test['second']}: p_holm is {test['p_holm']}, "
                   f"Holm's is {largest}")


# ---- weights -------------------------------------------------------------------------------------


def new_path(new_folder, path):
    """Where a file of the old folder lies in the new one: folders have the names of methods."""
    if (new_folder / path).exists():
        return path
    text = str(path)
    for old, new in RENAMED_METHODS.items():
        text = re.sub(rf"(^|/){old}(?=[-/]|$)", rf"\1{new}", text)
    return Path(text)


def weights_of(path):
    """The description of the tensors and their bytes, without the metadata."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + length])
    header.pop("__metadata__", None)
    return header, data[8 + length:]


def compare_weights(old_folder, new_folder):
    identical = alike = 0
    old_paths = {new_path(new_folder, p.relative_to(old_folder)): p
                 for p in old_folder.rglob("*.safetensors")}
    new_paths = {p.relative_to(new_folder) for p in new_folder.rglob("*.safetensors")}
    for path in sorted(old_paths.keys() ^ new_paths):
        text = f"{path}: only in {old_folder if path in old_paths else new_folder}"
        if path.name == "final.safetensors":
            differ(text)
        else:
            print("note:", text)
    for path in sorted(old_paths.keys() & new_paths):
        old, new = old_paths[path], new_folder / path
        if old.read_bytes() == new.read_bytes():
            identical += 1
        elif weights_of(old) == weights_of(new):
            alike += 1
        else:
            differ(f"{new}: other weights")
    return identical, alike


# ---- lines of figures, and the answers on the test split ------------------------------------------


def lines_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def plain(value):
    """Without times, and with the names of version 2."""
    if isinstance(value, dict):
        return {KEYS.get(k, k): plain(v) for k, v in value.items() if not UNCOMPARED.search(k)}
    return [plain(v) for v in value] if isinstance(value, list) else value


def compare_lines(old_folder, new_folder):
    count = 0
    for name in ("metrics.jsonl", "lineage.jsonl"):
        for old_path in sorted(old_folder.rglob(name)):
            path = new_path(new_folder, old_path.relative_to(old_folder))
            if not (new_folder / path).is_file():
                differ(f"{new_folder}/{path} is missing")
                continue
            old, new = lines_of(old_path), lines_of(new_folder / path)
            if len(old) != len(new):
                differ(f"{new_folder}/{path}: {len(old)} and {len(new)} lines")
                continue
            for i, (a, b) in enumerate(zip(old, new)):
                a, b = plain(a), plain(b)
                changed = [k for k in a if k not in b or not same(a[k], b[k])]
                if changed:
                    differ(f"{new_folder}/{path}:{i + 1}: {changed[0]} was {a[changed[0]]} and is "
                           f"{b.get(changed[0])}")
                    break
            count += len(old)
    return count


def answers_of(value):
    """All texts of digits 0 and 1: a digit for each test image, 1 where the answer was right."""
    if isinstance(value, str):
        return [value] if len(value) > 9 and set(value) <= set("01") else []
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [text for child in children for text in answers_of(child)]


def compare_answers(old_folder, new_folder):
    count = 0
    for old_path in sorted(old_folder.rglob("test.json")):
        path = old_path.relative_to(old_folder)
        if not (new_folder / path).is_file():
            differ(f"{new_folder}/{path} is missing")
            continue
        old, new = sorted(answers_of(load(old_path))), sorted(answers_of(load(new_folder / path)))
        count += len(old)
        if old != new:
            differ(f"{new_folder}/{path}: {len(set(old) - set(new))} of {len(old)} models answer "
                   "otherwise")
    return count


# ---- main ----------------------------------------------------------------------------------------


def main():
    if len(sys.argv) != 3 or sys.argv[1].startswith("-"):
        print(__doc__)
        return 2
    old_folder, new_folder = Path(sys.argv[1]), Path(sys.argv[2])
    rows = tests = 0
    tables = sorted(p.parent.relative_to(old_folder) for p in old_folder.rglob("table.json"))
    if not tables:
        print(f"{old_folder}: no table.json; is it the folder of a finished experiment?", file=sys.stderr)
        return 2
    for folder in tables:
        n_rows, n_tests = compare_tables(old_folder / folder, new_folder / folder)
        rows, tests = rows + n_rows, tests + n_tests
    identical, alike = compare_weights(old_folder, new_folder)
    lines = compare_lines(old_folder, new_folder)
    answers = compare_answers(old_folder, new_folder)
    for text in differences:
        print("differs:", text)
    print(f"{len(tables)} tables, {rows} rows, {tests} tests; checkpoints: {identical} the same files, "
          f"{alike} with the same weights and other metadata; {lines} lines of figures, {answers} "
          f"models on the test split: {len(differences)} differences")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
