set -ex
trap 'rm -rf /tmp/no-such-folder' EXIT
cp /no/such/file /tmp/
