set -u
echo "$MODEL"
