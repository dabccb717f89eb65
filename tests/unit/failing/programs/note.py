try:
    int("x7")
except ValueError as error:
    error.add_note("in row 12 of orders.csv")
    raise
