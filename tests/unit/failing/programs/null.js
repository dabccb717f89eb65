console.log("begin");
const db = null;
db.query("select 1");
