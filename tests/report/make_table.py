#!/usr/bin/env python3
"""Print a table.json of version 2 from few words, for the tests of the report.

make_table.py KIND ROW... [-- TEST...]
    ROW   ID:KIND:TOP1[:KEY=VALUE...]             e.g. hybrid.m2n2:m2n2:0.8
    TEST  FIRST,SECOND,TEST,OUTCOME,DIFFERENCE,P  e.g. hybrid.m2n2,hybrid.best-parent,mcnemar,open,0.1,0.2
Values are JSON.
"""
import json
import sys

words = sys.argv[2:]
cut = words.index("--") if "--" in words else len(words)
rows, tests = [], []
for word in words[:cut]:
    name, kind, top1, *more = word.split(":")
    top1 = json.loads(top1)
    row = {"id": name, "kind": kind, "arm": name.split(".")[0] if "." in name else "",
           "what": name.rsplit(".", 1)[-1], "from": "seed 1", "from_second": "seed 2", "models": 2,
           "ema": 0, "epochs": 3, "evaluations": 4, "is_average": False, "recalibrated": False,
           "shares_trunk": False, "top1": top1, "low": None, "high": None, "loss": 1.5,
           "parameters": 1000, "multiply_adds": 2000, "train_seconds": 3, "latency_median_s": 0,
           "latency_p95_s": 0, "each": "", "each_top1": [], "deviation": None, "published": None}
    for pair in more:
        key, value = pair.split("=", 1)
        row[key] = json.loads(value)
    rows.append(row)
for word in words[cut + 1:]:
    first, second, test, outcome, difference, p = word.split(",")
    tests.append({"first": first, "second": second, "test": test, "outcome": outcome,
                  "difference": json.loads(difference), "low": None, "high": None,
                  "p": json.loads(p), "p_holm": json.loads(p), "t": 2.0, "df": 4, "n_first": 5,
                  "n_second": 5, "b": 12, "c": 2, "sign_flip_p": 0.0625})
json.dump({"version": 2, "kind": sys.argv[1], "data": "digits", "images": 100, "repeats": 2,
           "evaluations": 10, "specialists": False,
           "rows": rows, "tests": tests, "findings": []}, sys.stdout)
