const a = Array.from({ length: 100 }, (_, i) => ({ toJSON() { a.length = 1; a.push({}, {}, [a.length]); gcChurn(); return i } }));
function gcChurn() { for (let i = 0; i < 1000; i++) ({ i }) }
a