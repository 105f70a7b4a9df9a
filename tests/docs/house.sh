# A folder in which the commands of documents and examples run and are small, read by `. .../house.sh`
# with the program as $mendel, whole: data sets, and a wrapper of the program as build/mendel.

# A data set in the form of CIFAR-10's: few images, noise and all ten classes.
make_cifar() {
    mkdir -p "$1"
    printf 'airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n' >"$1/batches.meta.txt"
    for file in data_batch_1 data_batch_2 data_batch_3 data_batch_4 data_batch_5 test_batch; do
        awk -v seed="$file" 'BEGIN {
            srand(length(seed) + substr(seed, 12, 1))
            for (i = 0; i < 10; i++) {
                printf "\\%03o", i
                for (j = 0; j < 3072; j++)
                    printf "\\%03o", 64 + i * 12 + int(rand() * 8)
            }
        }' >"$1/$file.text"
        printf '%b' "$(sed 's/\\/\\0/g' "$1/$file.text")" >"$1/$file.bin"
        rm "$1/$file.text"
    done
}

# Two classes of 8x8 PNG files, white and black with grey dots.
make_photos() {
    white=iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAAAAADhZOFXAAAAF0lEQVR42mNo+P8fjBigNJABFWIgRQoAeTQ1VtQGWtIAAAAASUVORK5CYII=
    black=iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAAAAADhZOFXAAAAE0lEQVR42mNoYGCAIHS6gYEUKQCB1wqB+Ex92wAAAABJRU5ErkJggg==
    for side in train test; do
        for class in white black; do
            mkdir -p "$1/$side/$class"
            eval "text=\$$class"
            for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do
                printf '%s' "$text" | base64 -d >"$1/$side/$class/$i.png"
            done
        done
    done
}

# What makes a command small, by its name.
write_wrapper() {
    small='--set data.limit=24 --set model.width=0.25 --set model.depth=0.34 --set data.image_size=16'
    train="$small --set train.epochs=1 --set train.batch=4 --set data.validation_fraction=0.4"
    experiment="$train --set experiment.seeds=1 --set merge.generations=1 --set merge.batch=2
        --set experiment.latency_runs=1 --set experiment.corrupt_images=1
        --set experiment.tta_images=1 --set trm.dim=32"
    {
        echo '#!/bin/sh'
        echo 'case $1 in'
        echo "train) set -- \"\$@\" $train ;;"
        echo "experiment) set -- \"\$@\"" $experiment ";;"
        echo "eval) set -- \"\$@\" --set data.limit=8 --images 1 --set experiment.latency_runs=1 ;;"
        echo "evolve) set -- \"\$@\" --set data.limit=24 --set merge.generations=1 --set merge.batch=2 ;;"
        echo "merge | interpolate | recalibrate | align) set -- \"\$@\" --set data.limit=24 ;;"
        echo "bench) set -- \"\$@\" --repeat 1 ;;"
        echo 'esac'
        echo 'case $1 in data | report | status | devices | help) ;; *) set -- "$@" --threads 1 ;; esac'
        echo "exec \"$mendel\" \"\$@\""
    } >build/mendel
    chmod +x build/mendel
}

# enter_house FOLDER ROOT: make it, and go there.
enter_house() {
    mkdir "$1" && cd "$1" && mkdir build || exit 1
    ln -s "$2/configs" configs
    ln -s "$2/tests" tests
    make_cifar data/cifar-10-batches-bin
    make_photos photos
    write_wrapper
    export XDG_CACHE_HOME="$1-cache"
}
