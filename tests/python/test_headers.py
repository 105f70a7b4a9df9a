"""The structs and functions that ctypes knows are those of the headers; all files are installed."""

import pathlib
import re
import unittest

from mendel import _library

ROOT = pathlib.Path(__file__).resolve().parents[2]

STRUCTS = {
    "mdl_images": _library.Images,
    "mdl_images_shape": _library.ImagesShape,
    "mdl_predictor_shape": _library.PredictorShape,
    "mdl_file_result": _library.FileResult,
    "mdl_train_step": _library.TrainStep,
    "mdl_train_epoch": _library.TrainEpoch,
    "mdl_train_options": _library.TrainOptions,
    "mdl_evaluate_options": _library.EvaluateOptions,
    "mdl_compare_options": _library.CompareOptions,
    "mdl_merge_options": _library.MergeOptions,
    "mdl_evolve_step": _library.EvolveStep,
    "mdl_evolve_options": _library.EvolveOptions,
    "mdl_align_options": _library.AlignOptions,
    "mdl_recalibrate_options": _library.RecalibrateOptions,
    "mdl_interpolate_options": _library.InterpolateOptions,
    "mdl_export_options": _library.ExportOptions,
    "mdl_convert_options": _library.ConvertOptions,
    "mdl_data_fetch_options": _library.DataFetchOptions,
    "mdl_experiment_step": _library.ExperimentStep,
    "mdl_experiment_progress": _library.ExperimentProgress,
    "mdl_experiment_options": _library.ExperimentOptions,
    "mdl_report_options": _library.ReportOptions,
}
# What Python has no use for.
UNUSED = {
    "mdl_config_assign",
    "mdl_config_get",
    "mdl_config_text",
    "mdl_context_reset",
    "mdl_context_stopped",
}
# The letter by which ctypes describes a type.
TYPES = {"size_t": "L", "uint64_t": "L", "int": "i", "double": "d"}


def members(body):
    """(type, name) of each member of a struct's text."""
    text = re.sub(r"/\*.*?\*/", "", body, flags=re.S)
    for declaration in filter(str.strip, text.split(";")):
        function = re.search(r"\(\*(\w+)\)", declaration)
        if function:
            yield "function", function.group(1)
            continue
        kind, *names = re.split(r"[\s,]+", re.sub(r"\bconst\b", "", declaration).strip())
        for name in names:
            if name.strip("*"):
                plain = re.sub(r"\[\d+\]$", "", name.strip("*"))
                yield (kind if plain == name else "pointer"), plain


class Headers(unittest.TestCase):
    def setUp(self):
        if not (ROOT / "include").is_dir():
            self.skipTest("these tests do not lie in the sources")

    def test_structs(self):
        headers = "".join(path.read_text() for path in sorted(ROOT.glob("include/mendel/*.h")))
        found = {
            match.group(1): match.group(2)
            for match in re.finditer(r"typedef struct (\w+) \{(.*?)\n\} \w+;", headers, flags=re.S)
        }
        self.assertEqual(set(found), set(STRUCTS))
        for name, struct in STRUCTS.items():
            wanted = list(members(found[name]))
            self.assertEqual([field[0] for field in struct._fields_], [m[1] for m in wanted], name)
            for field, (kind, member) in zip(struct._fields_, wanted):
                if kind in TYPES:
                    self.assertEqual(field[1]._type_, TYPES[kind], f"{name}.{member}")

    def test_functions(self):
        exported = set((ROOT / "tests/install/symbols.txt").read_text().split())
        self.assertEqual(set(_library._FUNCTIONS) | UNUSED, exported)

    def test_files_are_installed(self):
        listed = (ROOT / "python/meson.build").read_text()
        for file in (ROOT / "python/mendel").glob("*.*"):
            if file.suffix in (".py", ".typed"):
                self.assertIn(f"'mendel/{file.name}'", listed)


if __name__ == "__main__":
    unittest.main()
