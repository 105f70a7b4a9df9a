#!/bin/sh
# BatchNorm over one value a channel cannot train: refused before anything runs, with the layer's
# name, whatever the micro-batches of one image come from.
# usage: test_one_value.sh MENDEL
set -u
. "$(dirname "$0")/../expect.sh"
. "$(dirname "$0")/../scratch.sh"

net='--set model.width=0.1 --set model.depth=0.1 --set data.image_size=16 --threads 1 --data digits
    --set data.limit=64 --set train.epochs=1'
for kind in efficientnet_lite0 hybrid; do
    for cut in '--set train.batch=1' '--set train.batch=4 --set train.accumulate=4'; do
        expect 2 train $net --set model.kind=$kind $cut --out r
        says err 'BatchNorm layer blocks.5.0.bn2'
        says err 'micro-batches of 1'
        [ ! -e r/metrics.jsonl ] || fail 'the training began'
        expect 2 plan $net --set model.kind=$kind $cut
        says err 'BatchNorm layer blocks.5.0.bn2'
    done
done
# A memory limit cuts batches, but never so far.
expect 5 train $net --set train.batch=8 --memory-limit 100kB --out r
says err 'micro-batches of 2 images'
says err 'micro-batches of one image are no way: the BatchNorm layer blocks.5.0.bn2'
expect 5 plan $net --set train.batch=8 --memory-limit 100kB
says err 'BatchNorm layer blocks.5.0.bn2'
printf 'model: {width: 0.1, depth: 0.1}\ndata: {image_size: 16, limit: 100}\n' >x.yaml
printf 'train: {epochs: 1, batch: 4, accumulate: 4}\nrun: {threads: 1}\n' >>x.yaml
expect 2 experiment x.yaml --out x
says err 'BatchNorm layer blocks.5.0.bn2'
[ ! -e x/A-seed1/metrics.jsonl ] || fail 'the experiment trained'

# What no training does is not timed either.
small='--model baseline --set model.width=0.1 --set model.depth=0.1 --set data.image_size=16 --repeat 1'
expect 2 bench --only train --batch 1 $small
says err 'BatchNorm layer blocks.5.0.bn2'
expect 0 bench --only infer --batch 1 $small

# Enough values: two images, or larger maps, or no BatchNorm; evaluating takes single images.
expect 0 train $net --set train.batch=2 --set train.max_steps=2 --out two
expect 0 train $net --set data.image_size=32 --set train.batch=1 --set train.max_steps=2 --out large
expect 0 train --set model.kind=mlp --set data.size=native --set train.batch=1 --threads 1 \
    --set train.max_steps=2 --out mlp
expect 0 eval two/final.safetensors --data digits --batch 1
expect 2 recalibrate two/final.safetensors --data digits --set data.limit=1 -o o.st
says err 'statistics of the BatchNorm layer blocks.5.0.bn2'
expect 0 recalibrate two/final.safetensors --data digits --images 1 -o o.st
exit $((failures > 0))
