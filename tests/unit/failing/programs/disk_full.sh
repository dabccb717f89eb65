echo "writing the table"
dd if=/dev/zero of=/dev/full bs=1M count=20
