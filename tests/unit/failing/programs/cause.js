async function load() {
  try {
    throw new Error("connect ECONNREFUSED 127.0.0.1:5432");
  } catch (cause) {
    throw new Error("cannot load order 7", { cause });
  }
}
load();
