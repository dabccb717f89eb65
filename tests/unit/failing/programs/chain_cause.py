def connect():
    raise ConnectionRefusedError(111, "Connection refused")


def load(order):
    try:
        connect()
    except OSError as error:
        raise RuntimeError(f"cannot load order {order}") from error


try:
    load(7)
except RuntimeError as error:
    raise SystemError("the nightly run failed") from error
