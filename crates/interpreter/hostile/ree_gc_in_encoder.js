const make = (n) => { const a = { n }; a.self = a; return a };
const o = { get a() { for (let i = 0; i < 3e4; i++) make(i); return { get b() { for (let i = 0; i < 3e4; i++) make(i); return 'c' } } } };
o