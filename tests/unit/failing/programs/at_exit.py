import atexit

atexit.register(print, "cleaning up", flush=True)


class Held:
    def __del__(self):
        raise RuntimeError("too late")


held = Held()
raise ValueError("no rows")
