settings = {}
try:
    settings["rate"]
except KeyError:
    raise ValueError("the setting rate is missing")
