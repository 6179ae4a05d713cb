const o = {};
for (let i = 0; i < 50; i++) o['k' + i] = { toJSON() { for (const k of Object.keys(o)) delete o[k]; for (let j = 0; j < 200; j++) o['n' + j] = j; return i } };
o