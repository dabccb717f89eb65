rows = []
assert rows
