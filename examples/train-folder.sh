#!/bin/sh
# Trains on a folder of images, PHOTOS/CLASS/*.jpg or PHOTOS/{train,test}/CLASS/*.jpg, evaluates on the
# test split, and draws the report.  Stopped by Ctrl-C or a scheduler, it goes on when called again.
# usage: train-folder.sh PHOTOS [OUT]
set -eu
data=folder:$1 out=${2:-runs/photos}
mendel data info "$data"
mendel train --data "$data" --set train.epochs=40 --set schedule.warmup=2 --resume --out "$out"
mendel eval "$out/final.safetensors" --data "$data" --calibration --predictions "$out/predictions.csv"
mendel report "$out"
