raise ExceptionGroup("all", [ExceptionGroup("some", [TypeError("a"), KeyError("b")]), ValueError("c")])
