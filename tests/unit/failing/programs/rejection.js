Promise.reject("no such bucket");
