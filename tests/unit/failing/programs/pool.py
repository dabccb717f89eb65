import concurrent.futures


def square(n):
    if n == 3:
        raise ValueError(f"bad number {n}")
    return n * n


if __name__ == "__main__":
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        print(list(pool.map(square, range(5))))
