#!/usr/bin/env python3
"""The facts of a report's page by their ids, not by its sentences.

facts.py table DIR           every number of DIR/table.json and evaluation.json stands in DIR/report.html
facts.py value PAGE ROW KEY  print the number of a row
facts.py outcome PAGE        print the outcome of the answer (a number of mdl_outcome)
facts.py sections PAGE       print the ids of the sections
"""
import json
import math
import sys
from html.parser import HTMLParser


class Page(HTMLParser):
    def __init__(self, path):
        super().__init__()
        self.row, self.facts, self.sections, self.outcome = "", {}, [], None
        with open(path, encoding="utf-8", errors="replace") as file:
            self.feed(file.read())

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "tr":
            self.row = attrs.get("data-row", "")
        if tag == "section":
            self.sections.append(attrs.get("id"))
        self.outcome = attrs.get("data-outcome", self.outcome)
        if "data-key" in attrs:
            self.facts.setdefault((self.row, attrs["data-key"]), []).append(
                float(attrs["data-value"]))


def expect(page, row, key, value):
    if value is None:
        return 0
    found = page.facts.get((row, key), [])
    if any(math.isclose(value, x, rel_tol=1e-12, abs_tol=1e-15) for x in found):
        return 1
    sys.exit(f"{row} {key}: expected {value}, the page has {found}")


def check_table(folder):
    page = Page(folder + "/report.html")
    with open(folder + "/table.json", encoding="utf-8") as file:
        table = json.load(file)
    n = 0
    for row in table["rows"]:
        for key in ("top1", "loss", "published"):
            n += expect(page, row["id"], key, row[key])
    for test in table["tests"]:
        for key in ("difference", "p", "p_holm"):
            n += expect(page, test["first"] + "-" + test["second"], key, test[key])
    try:
        with open(folder + "/evaluation.json", encoding="utf-8") as file:
            models = json.load(file)["models"]
    except FileNotFoundError:
        models = []
    for model in models:
        n += expect(page, model["id"], "ece", model["calibration"]["plain"]["ece"])
        n += expect(page, model["id"], "clean", model["robustness"]["clean"])
        n += expect(page, model["id"], "both", model["tta"]["both"])
    if n == 0:
        sys.exit("nothing was compared")


command, path = sys.argv[1], sys.argv[2]
if command == "table":
    check_table(path)
elif command == "value":
    print(Page(path).facts[(sys.argv[3], sys.argv[4])][0])
elif command == "outcome":
    print(Page(path).outcome)
elif command == "sections":
    print(*Page(path).sections)
else:
    sys.exit(__doc__)
