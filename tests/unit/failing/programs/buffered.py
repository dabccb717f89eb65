for epoch in range(3):
    print("epoch", epoch)
raise ValueError("loss is NaN")
