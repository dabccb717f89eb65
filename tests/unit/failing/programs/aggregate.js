Promise.any([Promise.reject(new Error("mirror a is down")), Promise.reject(new Error("mirror b is down"))]);
