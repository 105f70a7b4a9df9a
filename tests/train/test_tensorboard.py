#!/usr/bin/env python3
"""TensorBoard's event files: records are whole, points are those of metrics.jsonl, none stands
twice, after a whole training, a stopped one, and one that was killed and resumed.

    test_tensorboard.py MENDEL
"""
import json
import os
import sys
import tempfile
import unittest

import events

MENDEL = os.path.abspath(sys.argv.pop(1))


class EventFiles(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory(prefix="mendel-events-")
        self.addCleanup(self.scratch.cleanup)
        self.folder = os.path.join(self.scratch.name, "run")

    def same(self):
        points, texts = events.read(self.folder)
        own = events.expected(self.folder)
        self.assertTrue(events.same(points, own), f"{points}\n{own}")
        return points, texts

    def test_checksum(self):
        # RFC 3720, B.4: 32 bytes of zeros.
        self.assertEqual(events.crc32c(bytes(32)),
                         ((0x8A9136AA >> 15 | 0x8A9136AA << 17) + 0xA282EAD8) & 0xFFFFFFFF)

    def test_whole(self):
        events.train(MENDEL, self.folder, "train.epochs=4")
        points, texts = self.same()
        self.assertEqual([os.path.basename(f) for f in events.files(self.folder)],
                         ["events.out.tfevents.000001"])
        self.assertEqual(len(points["loss/train"]), 4)
        self.assertEqual(len(points["loss/validation"]), 2)
        self.assertIn("    train:\n", texts["configuration"][0])
        self.assertIn("      epochs: 4  ", texts["configuration"][0])

    def test_stopped_in_an_epoch(self):
        # The point of the part of an epoch goes when the epoch is finished.
        events.train(MENDEL, self.folder, "train.epochs=4", "train.max_steps=50")
        self.same()
        events.train(MENDEL, self.folder, "train.max_steps=0", resume=True)
        self.same()
        self.assertEqual(len(events.files(self.folder)), 2)

    def test_killed(self):
        events.train_killed(MENDEL, self.folder, "train.epochs=40")
        points, _ = self.same()
        self.assertEqual([step for step, _ in points["loss/train"]],
                         sorted({step for step, _ in points["loss/train"]}))
        self.assertEqual(len(points["loss/train"]), 40)

    def test_off_and_on(self):
        # Without the key there is no file; switched on later, the file has what was before.
        events.train(MENDEL, self.folder, "train.epochs=4", "train.max_steps=50",
                     "train.tensorboard=false")
        self.assertEqual(events.files(self.folder), [])
        events.train(MENDEL, self.folder, "train.max_steps=0", "train.tensorboard=true", resume=True)
        self.same()

    def test_overwrite(self):
        events.train(MENDEL, self.folder, "train.epochs=1")
        beside = os.path.join(self.folder, "events.out.tfevents.somebody's")
        open(beside, "w").close()
        events.subprocess.run([*events.command(MENDEL, self.folder, ["train.tensorboard=false"], False),
                               "--set", "train.epochs=1", "--overwrite"], check=True, capture_output=True)
        self.assertEqual(events.files(self.folder), [beside])

    def check_search(self, folder):
        points, texts = events.read(folder)
        self.assertEqual(set(points), {"accuracy/best", "accuracy/mean", "loss/best", "niches", "members"})
        for of in points.values():
            self.assertEqual([step for step, _ in of], list(range(0, 2001, 4)))
        with open(os.path.join(folder, "winner.json"), encoding="utf-8") as file:
            members = json.load(file)["members"]
        last = {tag: of[-1][1] for tag, of in points.items()}
        self.assertAlmostEqual(last["accuracy/best"], max(m["top1"] for m in members), places=6)
        self.assertAlmostEqual(last["accuracy/mean"], sum(m["top1"] for m in members) / len(members), places=6)
        self.assertAlmostEqual(last["loss/best"], min(m["loss"] for m in members), places=5)
        self.assertEqual(last["members"], len(members))
        self.assertIn("    merge:\n", texts["configuration"][0])
        return points

    def test_search(self):
        whole, killed = (os.path.join(self.scratch.name, name) for name in ("whole", "killed"))
        events.search(MENDEL, whole)
        events.search_killed(MENDEL, killed)
        self.assertEqual(len(events.files(killed)), 3)
        self.assertEqual(self.check_search(whole), self.check_search(killed))


if __name__ == "__main__":
    unittest.main()
