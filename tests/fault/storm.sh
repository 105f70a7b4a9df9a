# What storms of kills share, read by `. .../storm.sh` with $seed set.
# shellcheck shell=sh
draws=0

# draw MOST: a number below MOST, from the seed and how many were drawn; into $drawn
draw() {
    draws=$((draws + 1))
    drawn=$(awk -v s="$seed" -v n=$draws -v m="$1" 'BEGIN { srand(s * 1000 + n); rand(); print rand() * m }')
}
milliseconds() {
    echo $(($(date +%s%N) / 1000000))
}
