set -eu
trap 'echo cleaning up' EXIT
echo begin
trian --epochs 3
