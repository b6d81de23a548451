dd if=/disk "bs=$1" "skip=$2" count=1
