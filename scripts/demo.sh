#!/usr/bin/env bash
# The whole way on a generated sample: terrain, TFRecords, a trained U-Net, two evaluation jobs.
# Usage: demo.sh FOLDER.  The folder is made anew.
set -euo pipefail
folder=$1

say() { printf '\n== %s\n' "$*"; }

case $folder in ''|/|.|..) echo "error: demo folder '$folder'" >&2; exit 2 ;; esac
rm -rf "$folder"
mkdir -p "$folder"
say "1/5 Generating Mars-like terrain with landslides"
python -m tfrecords_builder.sample --out "$folder/raw"
say "2/5 Building TFRecords"
python -m tfrecords_builder --src "$folder/raw" --out "$folder/data"
say "3/5 Training a small U-Net"
python -m mmls_tf.train --flagfile=configs/demo.flags --data="$folder/data" --run="$folder/run"
say "4/5 Evaluating on test"
python -m mmls_tf.evaluate --run="$folder/run" --split=test
say "5/5 Evaluating on isolated, a job of its own"
python -m mmls_tf.evaluate --run="$folder/run" --split=isolated
say "Everything is in $folder/"
cat <<EOF
  $folder/raw/                           generated GeoTIFFs, as users download them
  $folder/data/dataset.json              the data set's manifest, its shards beside it
  $folder/run/                           weights, configuration, history, TensorBoard events
  $folder/run/evaluations/test.json      scores on test
  $folder/run/evaluations/test.png       predictions on test
  $folder/run/evaluations/isolated.json  scores on the isolated region
  $folder/run/evaluations/isolated.png   predictions on the isolated region
  $folder/run/isolated_ledger.jsonl      the ledger of isolated evaluations
EOF
